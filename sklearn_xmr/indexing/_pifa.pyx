"""Unit-length weighted sums of sparse rows: positive instance feature aggregation.

Label l is represented by unit(sum_i w_il x_i) over its instances i, of which only the
entries of largest absolute value may be kept. Groups of rows are summed in parallel,
in two passes: the first counts the features of each sum, so that the second knows where
to write it.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from sklearn_xmr.indexing._row_sums cimport Scored, select_smallest, unit_scale
from sklearn_xmr.utils._buffer cimport Buffer, reserve
from sklearn_xmr.utils._compact_rows cimport (
    CSR, CompactWorkspace, as_csr, free_compact_workspace, init_compact_workspace,
    number_features
)
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport Signals, Work, should_stop


cdef struct SumWorkspace:
    # One thread's buffers, reused from group to group.
    CompactWorkspace compact
    Buffer total, scored, dropped


cdef struct Groups:
    int64_t n
    const int64_t *ptr    # group -> rows
    const int32_t *rows
    const float *weights  # of each row in its group


cdef SumWorkspace *new_workspaces(int n_threads, int32_t n_features) noexcept nogil:
    cdef SumWorkspace *all_ws = <SumWorkspace *>calloc(n_threads, sizeof(SumWorkspace))
    cdef int t
    if all_ws == NULL:
        return NULL
    for t in range(n_threads):
        if init_compact_workspace(&all_ws[t].compact, n_features) < 0:
            free_workspaces(all_ws, n_threads)
            return NULL
    return all_ws


cdef void free_workspaces(SumWorkspace *all_ws, int n_threads) noexcept nogil:
    cdef int t
    if all_ws == NULL:
        return
    for t in range(n_threads):
        free_compact_workspace(&all_ws[t].compact)
        free(all_ws[t].total.data)
        free(all_ws[t].scored.data)
        free(all_ws[t].dropped.data)
    free(all_ws)


cdef int count_features(const CSR *X, const Groups *groups, int64_t g,
                        CompactWorkspace *ws, int64_t *count) noexcept nogil:
    """Number of features that a group's rows have; -1 without memory."""
    count[0] = number_features(X, groups.rows + groups.ptr[g],
                               groups.ptr[g + 1] - groups.ptr[g], ws)
    return 0 if count[0] >= 0 else -1


cdef void add_rows(const CSR *X, const Groups *groups, int64_t g, const int32_t *local_id,
                   double *total) noexcept nogil:
    """Add the weighted rows of a group, over local features."""
    cdef int64_t i, k, row
    for i in range(groups.ptr[g], groups.ptr[g + 1]):
        row = groups.rows[i]
        for k in range(X.indptr[row], X.indptr[row + 1]):
            total[local_id[X.indices[k]]] += groups.weights[i] * X.values[k]


cdef void drop_smallest(const double *total, int32_t n, int64_t n_dropped, Scored *scored,
                        uint8_t *dropped) noexcept nogil:
    """Mark the entries of smallest absolute value."""
    cdef int32_t f
    cdef int64_t i
    for f in range(n):
        scored[f].item, scored[f].score = f, <float>fabs(total[f])
    select_smallest(scored, n, n_dropped)
    for i in range(n_dropped):
        dropped[scored[i].item] = 1


cdef int sum_group(const CSR *X, const Groups *groups, int64_t g, int64_t n_kept,
                   SumWorkspace *ws, int32_t *indices, float *values) noexcept nogil:
    """Write the n_kept largest entries of a group's sum; -1 without memory."""
    cdef int32_t f, n = number_features(X, groups.rows + groups.ptr[g],
                                        groups.ptr[g + 1] - groups.ptr[g], &ws.compact)
    if n < 0:
        return -1
    cdef const int32_t *features = <const int32_t *>ws.compact.features.data
    cdef double *total = <double *>reserve(&ws.total, n * sizeof(double))
    cdef Scored *scored = <Scored *>reserve(&ws.scored, n * sizeof(Scored))
    cdef uint8_t *dropped = <uint8_t *>reserve(&ws.dropped, n)
    cdef double scale
    cdef int64_t at = 0
    if not (total and scored and dropped):
        return -1
    memset(total, 0, n * sizeof(double))
    memset(dropped, 0, n)
    add_rows(X, groups, g, ws.compact.local_id, total)
    if n_kept < n:
        drop_smallest(total, n, n - n_kept, scored, dropped)
    scale = unit_scale(total, n)
    for f in range(n):
        if not dropped[f]:
            indices[at] = features[f]
            values[at] = <float>(scale * total[f])
            at += 1
    return 0


cdef int count_all(const CSR *X, const Groups *groups, SumWorkspace *all_ws, int n_threads,
                   int64_t *counts, Work *work) noexcept nogil:
    """Features of every group; not 0 without memory."""
    cdef int64_t g
    cdef int failed = 0
    with parallel(num_threads=team(n_threads)):
        for g in prange(groups.n, schedule="dynamic", chunksize=64):
            if should_stop(work, threadid()):
                continue
            failed += count_features(X, groups, g, &all_ws[threadid()].compact, &counts[g])
    return failed


cdef int sum_all(const CSR *X, const Groups *groups, SumWorkspace *all_ws, int n_threads,
                 const int64_t *ptr, int32_t *indices, float *values,
                 Work *work) noexcept nogil:
    """Sums of all groups, each at its place; not 0 without memory."""
    cdef int64_t g
    cdef int failed = 0
    with parallel(num_threads=team(n_threads)):
        for g in prange(groups.n, schedule="dynamic", chunksize=64):
            if should_stop(work, threadid()):
                continue
            failed += sum_group(X, groups, g, ptr[g + 1] - ptr[g], &all_ws[threadid()],
                                indices + ptr[g], values + ptr[g])
    return failed


def sum_of_rows(const int64_t[::1] indptr, const int32_t[::1] indices,
                const float[::1] values, int32_t n_features,
                const int64_t[::1] group_ptr, const int32_t[::1] group_rows,
                const float[::1] group_weights, int64_t max_entries, int n_threads):
    """Unit-length weighted sums of groups of rows.

    Parameters
    ----------
    indptr : ndarray of int64 of shape (n_rows + 1,)
        With `indices` and `values`, the rows as CSR.
    indices : ndarray of int32 of shape (nnz,)
    values : ndarray of float32 of shape (nnz,)
    n_features : int
    group_ptr : ndarray of int64 of shape (n_groups + 1,)
        Members of each group.
    group_rows : ndarray of int32 of shape (n_members,)
        Row numbers.
    group_weights : ndarray of float32 of shape (n_members,)
    max_entries : int
        Number of entries of a sum to keep: the largest in absolute value. The length
        is 1 before the others are dropped.
    n_threads : int

    Returns
    -------
    indptr : ndarray of int64 of shape (n_groups + 1,)
        With `indices` and `values`, the sums as CSR; sorted.
    indices : ndarray of int32
    values : ndarray of float32

    Raises
    ------
    MemoryError
        If there is no memory for the buffers.
    """
    cdef CSR X = as_csr(indptr, indices, values, n_features)
    cdef Groups groups
    cdef int failed
    cdef Signals signals = Signals()
    cdef Work work = signals.begin(group_ptr.shape[0] - 1)
    groups.n, groups.ptr = group_ptr.shape[0] - 1, &group_ptr[0]
    groups.rows = &group_rows[0] if group_rows.shape[0] else NULL
    groups.weights = &group_weights[0] if group_rows.shape[0] else NULL
    out_indptr = np.zeros(groups.n + 1, dtype=np.int64)
    cdef int64_t[::1] ptr = out_indptr
    cdef int32_t[::1] to_indices
    cdef float[::1] to_values
    cdef SumWorkspace *all_ws = new_workspaces(n_threads, n_features)
    if all_ws == NULL:
        raise MemoryError("no memory for the label representations")
    try:
        with nogil:
            failed = count_all(&X, &groups, all_ws, n_threads, &ptr[1], &work)
        signals.end()
        if not failed:
            np.minimum(out_indptr, max_entries, out=out_indptr)
            np.cumsum(out_indptr, out=out_indptr)
            out_indices = np.empty(ptr[groups.n] + 1, dtype=np.int32)
            out_values = np.empty(ptr[groups.n] + 1, dtype=np.float32)
            to_indices, to_values = out_indices, out_values
            with nogil:
                failed = sum_all(&X, &groups, all_ws, n_threads, &ptr[0], &to_indices[0],
                                 &to_values[0], &work)
            signals.end()
    finally:
        free_workspaces(all_ws, n_threads)
    if failed:
        raise MemoryError("no memory for the label representations")
    return out_indptr, out_indices[:ptr[groups.n]], out_values[:ptr[groups.n]]
