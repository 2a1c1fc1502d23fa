"""Stages and models put together: neighbours, ensembles, fusion, calibration."""

from sklearn_xmr.compose._ensemble import XREnsembleClassifier
from sklearn_xmr.compose._neighbors import XRNeighborsClassifier

__all__ = ["XREnsembleClassifier", "XRNeighborsClassifier"]
