"""Stages 2 and 3, linear: node solver, chunked weights, tree search, XR-Linear."""

from sklearn_xmr.linear._chunked_weights import ChunkedWeights
from sklearn_xmr.linear._xr_linear import XRLinearClassifier

__all__ = ["ChunkedWeights", "XRLinearClassifier"]
