"""Extreme multi-label ranking with scikit-learn estimators.

Three stages: group the labels into a tree (``indexing``), find the groups that fit
an instance, and rank the labels inside them (``linear``). ``compose`` puts stages
and models together. ``metrics`` and
``datasets`` stand on their own.
"""

import importlib

from sklearn_xmr._version import __version__
from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    RecursiveLabelClusterer,
    label_representation,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics import make_topk_scorer, predict_topk
from sklearn_xmr.utils.hybrid import HybridFeatures, HybridUnion

__all__ = [
    "HierarchicalLabelClusterer",
    "HybridFeatures",
    "HybridUnion",
    "LabelTree",
    "RecursiveLabelClusterer",
    "XMRClassifier",
    "XRCalibratedClassifier",
    "XREnsembleClassifier",
    "XRLabelTextClassifier",
    "XRLinearClassifier",
    "XRNeighborsClassifier",
    "XRStackingClassifier",
    "__version__",
    "label_representation",
    "make_topk_scorer",
    "predict_topk",
]


# Gradient boosting behind them takes 15 MB to import: on first use only.
_COMPOSED = {name for name in __all__ if name.startswith("X")} - {"XRLinearClassifier"}


def __getattr__(name):
    """Import ``datasets`` and the classifiers of ``compose`` on first use."""
    if name == "datasets":
        return importlib.import_module("sklearn_xmr.datasets")
    if name in _COMPOSED:
        return getattr(importlib.import_module("sklearn_xmr.compose"), name)
    raise AttributeError(f"module 'sklearn_xmr' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
