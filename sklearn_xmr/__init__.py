"""Extreme multi-label ranking with scikit-learn estimators.

Three stages: group the labels into a tree (``indexing``), find the groups that fit
an instance, and rank the labels inside them (``linear``). ``metrics`` and
``datasets`` stand on their own.
"""

from sklearn_xmr._version import __version__
from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    label_representation,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics import make_topk_scorer, predict_topk

__all__ = [
    "HierarchicalLabelClusterer",
    "LabelTree",
    "XRLinearClassifier",
    "__version__",
    "label_representation",
    "make_topk_scorer",
    "predict_topk",
]
