"""Own stages, other models, and models put together: ensembles, stacks, calibration."""

from sklearn_xmr.compose._calibrated import XRCalibratedClassifier
from sklearn_xmr.compose._ensemble import XREnsembleClassifier
from sklearn_xmr.compose._forest import XRForestClassifier
from sklearn_xmr.compose._label_texts import XRLabelTextClassifier
from sklearn_xmr.compose._neighbors import XRNeighborsClassifier
from sklearn_xmr.compose._stacking import XRStackingClassifier
from sklearn_xmr.compose._xmr import XMRClassifier

__all__ = [
    "XMRClassifier",
    "XRCalibratedClassifier",
    "XREnsembleClassifier",
    "XRForestClassifier",
    "XRLabelTextClassifier",
    "XRNeighborsClassifier",
    "XRStackingClassifier",
]
