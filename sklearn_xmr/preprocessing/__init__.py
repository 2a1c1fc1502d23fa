"""Label names to columns and back; thesauri; sparse and dense features together."""

from sklearn_xmr.preprocessing._hybrid import HybridFeatures, HybridUnion
from sklearn_xmr.preprocessing._label_names import LabelNameBinarizer
from sklearn_xmr.preprocessing._thesaurus import Thesaurus

__all__ = ["HybridFeatures", "HybridUnion", "LabelNameBinarizer", "Thesaurus"]
