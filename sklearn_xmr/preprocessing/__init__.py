"""Label names to indicator columns and back; sparse and dense features together."""

from sklearn_xmr.preprocessing._hybrid import HybridFeatures, HybridUnion
from sklearn_xmr.preprocessing._label_names import LabelNameBinarizer

__all__ = ["HybridFeatures", "HybridUnion", "LabelNameBinarizer"]
