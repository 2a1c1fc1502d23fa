"""Rows of unit length, whatever their magnitude."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

# Squares of values beyond these overflow or vanish in float32.
LEAST, MOST = 1e-15, 1e15


def unit_rows(X):
    """Rows scaled to unit length; rows of zeros stay.

    Parameters
    ----------
    X : {ndarray, csr_matrix} of float of shape (n_rows, n_columns)
        Finite. Not changed.

    Returns
    -------
    {ndarray, csr_matrix} of the same dtype
    """
    values = np.abs(X.data if sparse.issparse(X) else X)
    some = values[values > 0]
    if len(some) and (some.max() > MOST or some.min() < LEAST):
        X = _of_largest_one(X)
    return normalize(X)


def _of_largest_one(X):
    """Rows whose largest absolute value is one."""
    largest = abs(X).max(axis=1)
    largest = largest.toarray() if sparse.issparse(largest) else largest
    largest = np.asarray(largest, dtype=np.float64).ravel()
    largest[largest == 0] = 1
    if not sparse.issparse(X):
        return (X / largest[:, None]).astype(X.dtype)
    scaled = X.copy()
    scaled.data = (X.data / np.repeat(largest, np.diff(X.indptr))).astype(X.dtype)
    return scaled
