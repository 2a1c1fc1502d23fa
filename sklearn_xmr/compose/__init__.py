"""Models of models: stages, averages, stacks, calibration, label sets and more."""

from sklearn_xmr.compose._averaging import XREnsembleClassifier
from sklearn_xmr.compose._bandit import XRBanditClassifier
from sklearn_xmr.compose._calibrated import XRCalibratedClassifier
from sklearn_xmr.compose._conformal import XRConformalClassifier
from sklearn_xmr.compose._hierarchy import XRHierarchyClassifier
from sklearn_xmr.compose._label_names import LabelNamesClassifier
from sklearn_xmr.compose._stacking import XRStackingClassifier
from sklearn_xmr.compose._stages import XMRClassifier
from sklearn_xmr.compose._text_classifier import make_text_classifier

__all__ = [
    "LabelNamesClassifier",
    "XMRClassifier",
    "XRBanditClassifier",
    "XRCalibratedClassifier",
    "XRConformalClassifier",
    "XREnsembleClassifier",
    "XRHierarchyClassifier",
    "XRStackingClassifier",
    "make_text_classifier",
]
