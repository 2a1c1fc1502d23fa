"""Features from texts, under scikit-learn's names."""

from sklearn_xmr.feature_extraction import text
from sklearn_xmr.feature_extraction._character_tables import character_tables

__all__ = ["character_tables", "text"]
