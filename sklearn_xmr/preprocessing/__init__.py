"""Label names to indicator columns and back."""

from sklearn_xmr.preprocessing._label_names import LabelNameBinarizer

__all__ = ["LabelNameBinarizer"]
