"""Features from texts, under scikit-learn's names."""

from sklearn_xmr.feature_extraction import text

__all__ = ["text"]
