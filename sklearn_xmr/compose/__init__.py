"""Own stages, and models put together: neighbours, ensembles, stacking, calibration."""

from sklearn_xmr.compose._calibrated import XRCalibratedClassifier
from sklearn_xmr.compose._ensemble import XREnsembleClassifier
from sklearn_xmr.compose._label_texts import XRLabelTextClassifier
from sklearn_xmr.compose._neighbors import XRNeighborsClassifier
from sklearn_xmr.compose._stacking import XRStackingClassifier
from sklearn_xmr.compose._xmr import XMRClassifier

__all__ = [
    "XMRClassifier",
    "XRCalibratedClassifier",
    "XREnsembleClassifier",
    "XRLabelTextClassifier",
    "XRNeighborsClassifier",
    "XRStackingClassifier",
]
