"""Rows of a CSR matrix with ascending columns, in single precision."""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy as np

from sklearn_xmr.utils._buffer cimport Buffer, reserve
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport Signals, Work, should_stop

cdef extern from "_sorting.h" nogil:
    void xmr_sort_pairs(uint64_t *pairs, uint64_t *spare, int64_t n)

cdef extern from "_work.h" nogil:
    int xmr_team_size()

cdef enum:
    PIECE_ROWS = 256

ctypedef fused index:
    int32_t
    int64_t

ctypedef fused value:
    float
    double


def sorted_rows(const index[::1] indptr, const index[::1] indices, const value[::1] data,
                int n_threads):
    """Sort the columns of each row.

    Parameters
    ----------
    indptr : ndarray of int32 or int64 of shape (n_rows + 1,)
        Valid row pointers.
    indices : ndarray of the same dtype of shape (nnz,)
        Columns, 0 to 2**31 - 1.
    data : ndarray of float32 or float64 of shape (nnz,)
        Values.
    n_threads : int
        Threads to use.

    Returns
    -------
    indices : ndarray of int32 of shape (nnz,) or None
        Ascending in each row; None if a row has a column twice.
    data : ndarray of float32 of shape (nnz,)
    """
    cdef int64_t n_rows = indptr.shape[0] - 1, n = indptr[n_rows]
    out_indices, out_data = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.float32)
    cdef int32_t[::1] columns = out_indices
    cdef float[::1] values = out_data
    cdef int t
    cdef bint failed = False, twice = False
    if n == 0:
        return out_indices, out_data
    n_threads = max(1, min(n_threads, n_rows // PIECE_ROWS))
    cdef Sorter *sorters = <Sorter *>calloc(n_threads, sizeof(Sorter))
    if sorters == NULL:
        raise MemoryError("no memory for sorting rows")
    cdef Signals signals = Signals()
    cdef Work work = signals.begin(n_rows)
    with nogil, parallel(num_threads=team(n_threads)):
        sort_pieces(
            &indptr[0], &indices[0], &data[0], n_rows, &columns[0], &values[0],
            &sorters[threadid()], threadid(), xmr_team_size(), &work,
        )
    for t in range(n_threads):
        failed, twice = failed or sorters[t].failed, twice or sorters[t].twice
        free(sorters[t].pairs.data)
        free(sorters[t].spare.data)
    free(sorters)
    signals.end()
    if failed:
        raise MemoryError("no memory for sorting rows")
    return (None if twice else out_indices), out_data


cdef struct Sorter:            # of a thread
    Buffer pairs, spare
    bint failed, twice


cdef void sort_pieces(const index *indptr, const index *indices, const value *data,
                      int64_t n_rows, int32_t *columns, float *values, Sorter *sorter,
                      int t, int n_threads, Work *work) noexcept nogil:
    """Every n_threads-th piece of rows, from the t-th on, of a team of so many."""
    cdef int64_t first = t * PIECE_ROWS, row
    while first < n_rows and not should_stop(work, t):
        for row in range(first, min(first + PIECE_ROWS, n_rows)):
            sort_row(
                indices + indptr[row], data + indptr[row], indptr[row + 1] - indptr[row],
                columns + indptr[row], values + indptr[row], sorter,
            )
        first += n_threads * PIECE_ROWS


cdef void sort_row(const index *indices, const value *data, int64_t n, int32_t *columns,
                   float *values, Sorter *sorter) noexcept nogil:
    cdef uint64_t *pairs = <uint64_t *>reserve(&sorter.pairs, (n + 1) * sizeof(uint64_t))
    cdef uint64_t *spare = <uint64_t *>reserve(&sorter.spare, (n + 1) * sizeof(uint64_t))
    cdef int64_t i
    cdef float x
    cdef uint32_t bits
    if pairs == NULL or spare == NULL:
        sorter.failed = True
        return
    for i in range(n):
        x = <float>data[i]
        memcpy(&bits, &x, sizeof(bits))
        pairs[i] = <uint64_t>indices[i] | <uint64_t>bits << 32
    xmr_sort_pairs(pairs, spare, n)
    for i in range(n):
        bits = <uint32_t>(pairs[i] >> 32)
        columns[i] = <int32_t><uint32_t>pairs[i]
        memcpy(&values[i], &bits, sizeof(bits))
        sorter.twice = sorter.twice or (i > 0 and columns[i] == columns[i - 1])
