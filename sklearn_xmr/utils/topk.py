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


def topk_of_csr(scores, k):
    """The k largest stored values of each row of a CSR matrix, best first.

    Parameters
    ----------
    scores : csr_matrix of shape (n_rows, n_columns)
        Sorted indices.
    k : int

    Returns
    -------
    columns : ndarray of int64 of shape (n_rows, min(k, n_columns))
        -1 where a row stores fewer. Ties: the smaller column first.
    values : ndarray of float32 of the same shape
        -inf where the column is -1.
    """
    n_rows = scores.shape[0]
    k = min(k, scores.shape[1])
    counts = np.diff(scores.indptr)
    rows = np.repeat(np.arange(n_rows), counts)
    order = np.lexsort((scores.indices, -scores.data, rows))
    rank = np.arange(len(order)) - np.repeat(scores.indptr[:-1], counts)
    order, rows, rank = order[rank < k], rows[rank < k], rank[rank < k]
    columns = np.full((n_rows, k), -1, dtype=np.int64)
    values = np.full((n_rows, k), -np.inf, dtype=np.float32)
    columns[rows, rank] = scores.indices[order]
    values[rows, rank] = scores.data[order]
    return columns, values
