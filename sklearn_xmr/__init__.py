"""Extreme multi-label ranking with scikit-learn estimators.

Three stages: group the labels into a tree (``indexing``), find the groups that fit
an instance, and rank the labels inside them (``linear``). ``compose`` puts stages
and models together, ``transformer`` reads texts. ``metrics``, ``datasets`` and
``preprocessing`` stand on their own; ``model_selection`` and ``inspection`` work with
any of the models.
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
    "XRForestClassifier",
    "XRLabelTextClassifier",
    "XRLinearClassifier",
    "XRNeighborsClassifier",
    "XRStackingClassifier",
    "XTransformerClassifier",
    "__version__",
    "label_representation",
    "make_topk_scorer",
    "predict_topk",
]


# Gradient boosting behind compose takes 15 MB to import: on first use only.
_LATE = {
    name: "sklearn_xmr.compose"
    for name in __all__
    if name.startswith("X") and name != "XRLinearClassifier"
}
_LATE["XTransformerClassifier"] = "sklearn_xmr.transformer"


SUBPACKAGES = (
    "compose",
    "datasets",
    "inspection",
    "model_selection",
    "preprocessing",
    "transformer",
)


def __getattr__(name):
    """Import subpackages, and classifiers but for XR-Linear, on first use."""
    if name in SUBPACKAGES:
        return importlib.import_module(f"sklearn_xmr.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'sklearn_xmr' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
