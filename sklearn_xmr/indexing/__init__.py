"""Stage 1, label indexing: label vectors, label trees, clustering into trees."""

from sklearn_xmr.indexing._base import LabelClustererMixin
from sklearn_xmr.indexing._hierarchical import HierarchicalLabelClusterer
from sklearn_xmr.indexing._label_tree import LabelTree
from sklearn_xmr.indexing._recursive import RecursiveLabelClusterer
from sklearn_xmr.indexing._representation import label_representation

__all__ = [
    "HierarchicalLabelClusterer",
    "LabelClustererMixin",
    "LabelTree",
    "RecursiveLabelClusterer",
    "label_representation",
]
