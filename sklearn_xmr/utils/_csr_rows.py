"""Rows of CSR matrices that may be longer than memory, or than SciPy copies well."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._matrices import INT32_MAX
from sklearn_xmr.utils._ranges import pointers, ranges


def csr_of_arrays(shape, indptr, indices, data):
    """Make a CSR matrix of the arrays of a canonical one, without copying the values.

    Parameters
    ----------
    shape : (n_rows, n_columns)
    indptr : ndarray of int of shape (n_rows + 1,)
    indices : ndarray of int32 of shape (n_values,)
        Ascending in each row.
    data : ndarray of shape (n_values,)

    Returns
    -------
    csr_matrix
        Its indptr is int32 where there are few enough values.
    """
    matrix = sparse.csr_matrix(tuple(shape), dtype=data.dtype)
    fits = indptr[-1] <= INT32_MAX
    matrix.indptr = indptr.astype(np.int32, copy=False) if fits else indptr
    matrix.indices, matrix.data = indices, data
    # SciPy would copy the indices of a long matrix as int64 to find out.
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def row_range(matrix, first, last):
    """Some consecutive rows of a canonical CSR matrix, which share its memory.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_rows, n_columns)
    first, last : int
        First row, and the row after the last.

    Returns
    -------
    csr_matrix of shape (last - first, n_columns)
    """
    indptr = matrix.indptr[first : last + 1]
    start, end = indptr[[0, -1]]
    shape = last - first, matrix.shape[1]
    values = matrix.data[start:end]
    return csr_of_arrays(shape, indptr - start, matrix.indices[start:end], values)


def take_rows(matrix, rows):
    """Copy some rows of a canonical CSR matrix.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_rows, n_columns)
    rows : ndarray of int of shape (n_taken,)

    Returns
    -------
    csr_matrix of shape (n_taken, n_columns)
    """
    starts = matrix.indptr[rows].astype(np.int64)
    counts = matrix.indptr[rows + 1] - starts
    places = ranges(starts, counts)
    shape = len(rows), matrix.shape[1]
    return csr_of_arrays(
        shape, pointers(counts), matrix.indices[places], matrix.data[places]
    )
