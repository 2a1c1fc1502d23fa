"""Model files: one file of a JSON header and aligned arrays, without code."""

from sklearn_xmr.persistence._libpecos import load_libpecos_model
from sklearn_xmr.persistence._model_file import load_model, save_model

__all__ = ["load_libpecos_model", "load_model", "save_model"]
