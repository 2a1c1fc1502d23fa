"""Top-k lists, (n, k) with -1 for none, as sparse matrices."""

import numpy as np
from scipy import sparse


def csr_from_topk(columns, values, n_columns):
    """CSR matrix of the values at the columns that are not -1.

    Parameters
    ----------
    columns : ndarray of int of shape (n_rows, k)
    values : ndarray of shape (n_rows, k)
    n_columns : int

    Returns
    -------
    csr_matrix of shape (n_rows, n_columns)
        Sorted indices.
    """
    found = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    shape = (len(columns), n_columns)
    out = sparse.csr_matrix((values[found], columns[found], indptr), shape=shape)
    out.sort_indices()
    return out
