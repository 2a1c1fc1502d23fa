"""Extreme multi-label ranking with scikit-learn estimators.

Three stages: group the labels into a tree (``indexing``), find the groups that fit
an instance, and rank the labels inside them (``linear``). ``neighbors`` ranks by
similar instances or labels, ``compose`` puts stages and models together,
``transformer`` reads texts, ``persistence`` saves models, ``distributed`` goes past
one machine. ``model_selection`` and
``inspection`` work with any of the models; ``metrics``, ``datasets``,
``preprocessing`` and ``feature_extraction`` need none.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from sklearn_xmr._version import __version__
from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    RecursiveLabelClusterer,
    label_representation,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics import make_topk_scorer
from sklearn_xmr.preprocessing import HybridFeatures, HybridUnion, Thesaurus
from sklearn_xmr.utils._response import partial_fit, predict_topk, topk_predictor

if TYPE_CHECKING:  # editors and type checkers look no further than this
    from sklearn_xmr import (  # noqa: F401
        compose,
        datasets,
        distributed,
        feature_extraction,
        inspection,
        model_selection,
        neighbors,
        persistence,
        preprocessing,
        transformer,
    )
    from sklearn_xmr.compose import (
        LabelNamesClassifier,
        XMRClassifier,
        XRBanditClassifier,
        XRCalibratedClassifier,
        XRConformalClassifier,
        XREnsembleClassifier,
        XRHierarchyClassifier,
        XRStackingClassifier,
        make_text_classifier,
    )
    from sklearn_xmr.neighbors import (
        XRForestClassifier,
        XRLabelTextClassifier,
        XRLabelVectorsClassifier,
        XRNeighborsClassifier,
    )
    from sklearn_xmr.persistence import load_model, save_model
    from sklearn_xmr.transformer import FineTuning, XTransformerClassifier

__all__ = [
    "FineTuning",
    "HierarchicalLabelClusterer",
    "HybridFeatures",
    "HybridUnion",
    "LabelNamesClassifier",
    "LabelTree",
    "RecursiveLabelClusterer",
    "Thesaurus",
    "XMRClassifier",
    "XRBanditClassifier",
    "XRCalibratedClassifier",
    "XRConformalClassifier",
    "XREnsembleClassifier",
    "XRForestClassifier",
    "XRHierarchyClassifier",
    "XRLabelTextClassifier",
    "XRLabelVectorsClassifier",
    "XRLinearClassifier",
    "XRNeighborsClassifier",
    "XRStackingClassifier",
    "XTransformerClassifier",
    "__version__",
    "get_include",
    "label_representation",
    "load_libpecos_model",
    "load_model",
    "make_text_classifier",
    "make_topk_scorer",
    "partial_fit",
    "predict_topk",
    "save_model",
    "topk_predictor",
]


# On first use only: gradient boosting behind compose takes 15 MB to import.
_LATE = {
    "FineTuning": "transformer",
    "LabelNamesClassifier": "compose",
    "XMRClassifier": "compose",
    "XRBanditClassifier": "compose",
    "XRCalibratedClassifier": "compose",
    "XRConformalClassifier": "compose",
    "XREnsembleClassifier": "compose",
    "XRForestClassifier": "neighbors",
    "XRHierarchyClassifier": "compose",
    "XRLabelTextClassifier": "neighbors",
    "XRLabelVectorsClassifier": "neighbors",
    "XRNeighborsClassifier": "neighbors",
    "XRStackingClassifier": "compose",
    "XTransformerClassifier": "transformer",
    "load_libpecos_model": "persistence",
    "load_model": "persistence",
    "make_text_classifier": "compose",
    "save_model": "persistence",
}
_SUBPACKAGES = (
    "compose",
    "datasets",
    "distributed",
    "feature_extraction",
    "inspection",
    "model_selection",
    "neighbors",
    "persistence",
    "preprocessing",
    "transformer",
)


def get_include() -> str:
    """Return the folder of ``xmr_model.h``, a reader of model files for C.

    Returns
    -------
    str
        For the compiler: ``cc -I FOLDER``.

    Examples
    --------
    >>> import os
    >>> import sklearn_xmr
    >>> os.listdir(sklearn_xmr.get_include())
    ['xmr_model.h']
    """
    return os.path.join(os.path.dirname(__file__), "include")


def __getattr__(name: str) -> Any:
    """Import subpackages, and classifiers but for XR-Linear, on first use."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"sklearn_xmr.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(f"sklearn_xmr.{_LATE[name]}"), name)
    raise AttributeError(f"module 'sklearn_xmr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
