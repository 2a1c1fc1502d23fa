"""Models that rank labels by similar instances, or by the labels' own vectors."""

from sklearn_xmr.neighbors._classification import XRNeighborsClassifier
from sklearn_xmr.neighbors._forest import XRForestClassifier
from sklearn_xmr.neighbors._label_vectors import (
    XRLabelTextClassifier,
    XRLabelVectorsClassifier,
)

__all__ = [
    "XRForestClassifier",
    "XRLabelTextClassifier",
    "XRLabelVectorsClassifier",
    "XRNeighborsClassifier",
]
