"""Instances that are no matrix: texts, tables, hybrid features for models inside."""

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from sklearn_xmr.utils.hybrid import HybridFeatures


def is_for_models_inside(X):
    """Whether X goes to the models unseen: they bring their own features.

    Texts (list, array or Series of str), tables with a column that is no number, and
    HybridFeatures do. A matrix or a table of numbers is checked here.
    """
    if sparse.issparse(X):
        return False
    if isinstance(X, HybridFeatures):
        return True
    if hasattr(X, "iloc") and hasattr(X, "dtypes"):  # pandas
        dtypes = X.dtypes if X.ndim == 2 else [X.dtype]
        return not all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes)
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "OUS"
    return hasattr(X, "__len__") and len(X) > 0 and isinstance(X[0], str)


def rows_of(X, rows):
    """Some instances, by index array or slice."""
    if isinstance(X, (HybridFeatures, np.ndarray)) or sparse.issparse(X):
        return X[rows]
    return _safe_indexing(X, rows)
