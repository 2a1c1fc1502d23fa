"""Balanced 2-means splits of sparse rows.

With centres c and d of the two halves, the rows x with the smallest (d - c).x go left:
as many as the left half holds, whatever the distances.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from sklearn_xmr.indexing._row_sums cimport Scored, select_smallest, unit_scale
from sklearn_xmr.utils._buffer cimport Buffer, reserve
from sklearn_xmr.utils._compact_rows cimport (
    CSR, CompactRows, CompactWorkspace, as_csr, compact_rows, free_compact_workspace,
    init_compact_workspace
)
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport Signals, Work, should_stop


cdef struct SplitWorkspace:
    # One thread's buffers, reused from node to node.
    CompactWorkspace compact
    Buffer center, left_sum, right_sum, scored, side, moved
    Work *work            # of all threads
    int thread


cdef SplitWorkspace *new_workspaces(int n_threads, int32_t n_features) noexcept nogil:
    cdef SplitWorkspace *all_ws = <SplitWorkspace *>calloc(n_threads, sizeof(SplitWorkspace))
    cdef int t
    if all_ws == NULL:
        return NULL
    for t in range(n_threads):
        if init_compact_workspace(&all_ws[t].compact, n_features) < 0:
            free_workspaces(all_ws, n_threads)
            return NULL
    return all_ws


cdef void free_workspaces(SplitWorkspace *all_ws, int n_threads) noexcept nogil:
    cdef int t
    if all_ws == NULL:
        return
    for t in range(n_threads):
        free_compact_workspace(&all_ws[t].compact)
        free(all_ws[t].center.data)
        free(all_ws[t].left_sum.data)
        free(all_ws[t].right_sum.data)
        free(all_ws[t].scored.data)
        free(all_ws[t].side.data)
        free(all_ws[t].moved.data)
    free(all_ws)


cdef inline float sparse_dot(const CSR *X, int64_t row, const float *dense) noexcept nogil:
    cdef float total = 0
    cdef int64_t k
    for k in range(X.indptr[row], X.indptr[row + 1]):
        total += X.values[k] * dense[X.indices[k]]
    return total


cdef void score_rows(const CSR *X, const float *center, Scored *scored,
                     int n_threads) noexcept nogil:
    cdef int64_t i
    if n_threads == 1:
        for i in range(X.n_rows):
            scored[i].item = <int32_t>i
            scored[i].score = sparse_dot(X, i, center)
    else:
        for i in prange(X.n_rows, schedule="static", num_threads=team(n_threads)):
            scored[i].item = <int32_t>i
            scored[i].score = sparse_dot(X, i, center)


cdef void add_row(const CSR *X, int64_t row, double sign, double *total) noexcept nogil:
    cdef int64_t k
    for k in range(X.indptr[row], X.indptr[row + 1]):
        total[X.indices[k]] += sign * X.values[k]


cdef double scale_of(const double *total, int32_t d, int64_t n, bint spherical) noexcept nogil:
    """What turns a sum of n rows into a mean, or into a unit vector."""
    return unit_scale(total, d) if spherical else 1.0 / n


cdef void random_direction(const CSR *X, uint64_t seed, float *center) noexcept nogil:
    """Difference of two distinct random rows."""
    cdef int64_t k
    cdef int64_t right = <int64_t>(seed % <uint64_t>X.n_rows)
    cdef int64_t left = <int64_t>((seed >> 32) % <uint64_t>(X.n_rows - 1))
    left += left >= right
    memset(center, 0, X.n_features * sizeof(float))
    for k in range(X.indptr[right], X.indptr[right + 1]):
        center[X.indices[k]] += X.values[k]
    for k in range(X.indptr[left], X.indptr[left + 1]):
        center[X.indices[k]] -= X.values[k]


cdef int64_t reassign(const Scored *scored, int64_t n, int64_t n_left, uint8_t *side,
                      int32_t *moved) noexcept nogil:
    """Put the n_left best-scored rows left; the rows that changed side, and how many."""
    cdef int64_t i, count = 0
    cdef int32_t item
    cdef uint8_t now
    for i in range(n):
        item = scored[i].item
        now = i >= n_left
        if side[item] != now:
            side[item] = now
            moved[count] = item
            count += 1
    return count


cdef void move_rows(const CSR *X, const int32_t *moved, int64_t n_moved,
                    const uint8_t *side, double *left, double *right) noexcept nogil:
    """Take the rows that changed side out of one sum and into the other."""
    cdef int64_t i
    cdef double sign
    for i in range(n_moved):
        sign = 1.0 if side[moved[i]] else -1.0
        add_row(X, moved[i], sign, right)
        add_row(X, moved[i], -sign, left)


cdef int split(const CSR *X, int64_t n_left, int max_iter, bint spherical, uint64_t seed,
               SplitWorkspace *ws, int n_threads) noexcept nogil:
    """Balanced 2-means of the rows of X; ws.side is 0 for left, 1 for right.

    The n_left rows that lie farthest to the left of the two centres go left. Only
    rows that change side touch the sums: after two or three iterations these are
    few. Sums are float64, so that the updates do not drift. Returns the number of
    iterations, or -1 without memory.
    """
    cdef int32_t d = X.n_features, f
    cdef int64_t n = X.n_rows, i, n_moved
    cdef double a, b
    cdef int iteration
    cdef float *center = <float *>reserve(&ws.center, d * sizeof(float))
    cdef double *left = <double *>reserve(&ws.left_sum, d * sizeof(double))
    cdef double *right = <double *>reserve(&ws.right_sum, d * sizeof(double))
    cdef Scored *scored = <Scored *>reserve(&ws.scored, n * sizeof(Scored))
    cdef uint8_t *side = <uint8_t *>reserve(&ws.side, n)
    cdef int32_t *moved = <int32_t *>reserve(&ws.moved, n * sizeof(int32_t))
    if not (center and left and right and scored and side and moved):
        return -1
    memset(side, 0, n)
    memset(left, 0, d * sizeof(double))
    memset(right, 0, d * sizeof(double))
    for i in range(n):
        add_row(X, i, 1.0, left)
    random_direction(X, seed, center)
    for iteration in range(max_iter):
        if should_stop(ws.work, ws.thread):
            break
        score_rows(X, center, scored, n_threads)
        select_smallest(scored, n, n_left)
        n_moved = reassign(scored, n, n_left, side, moved)
        if n_moved == 0:
            return iteration + 1
        move_rows(X, moved, n_moved, side, left, right)
        a = scale_of(right, d, n - n_left, spherical)
        b = scale_of(left, d, n_left, spherical)
        for f in range(d):
            center[f] = <float>(a * right[f] - b * left[f])
    return max_iter


cdef int split_node(const CSR *X, int32_t *items, int64_t n, int64_t n_left, int max_iter,
                    bint spherical, uint64_t seed, SplitWorkspace *ws,
                    int n_threads) noexcept nogil:
    """Reorder items[:n] (ascending) so that the left half comes first, each ascending."""
    cdef CompactRows node
    cdef int n_iter
    if n_left <= 0 or n_left >= n:
        return 0
    if compact_rows(X, items, n, &ws.compact, &node) < 0:
        return -1
    n_iter = split(&node.rows, n_left, max_iter, spherical, seed, ws, n_threads)
    if n_iter < 0:
        return -1
    reorder(items, n, <uint8_t *>ws.side.data, <int32_t *>ws.moved.data)
    return n_iter


cdef void reorder(int32_t *items, int64_t n, const uint8_t *side,
                  int32_t *right) noexcept nogil:
    """Put the items of the left side first; `right` has room for the others."""
    cdef int64_t i, at = 0, n_right = 0
    for i in range(n):
        if side[i]:
            right[n_right] = items[i]
            n_right += 1
        else:
            items[at] = items[i]
            at += 1
    for i in range(n_right):
        items[at + i] = right[i]


cdef class Splitter:
    """Balanced 2-means splits of the rows of one matrix, with buffers that last.

    Parameters
    ----------
    indptr : ndarray of int64 of shape (n_rows + 1,)
        With `indices` and `values`, the rows as CSR.
    indices : ndarray of int32 of shape (nnz,)
    values : ndarray of float32 of shape (nnz,)
    n_features, n_threads : int
    """

    cdef SplitWorkspace *all_ws
    cdef int n_threads
    cdef const int64_t[::1] indptr
    cdef const int32_t[::1] indices
    cdef const float[::1] values
    cdef CSR X

    def __cinit__(self, const int64_t[::1] indptr, const int32_t[::1] indices,
                  const float[::1] values, int32_t n_features, int n_threads):
        self.indptr, self.indices, self.values = indptr, indices, values
        self.X = as_csr(indptr, indices, values, n_features)
        self.n_threads = n_threads
        self.all_ws = new_workspaces(n_threads, n_features)
        if self.all_ws == NULL:
            raise MemoryError("no memory to cluster the labels")

    def __dealloc__(self):
        free_workspaces(self.all_ws, self.n_threads)

    def split(self, int32_t[::1] items, const int64_t[:, ::1] nodes,
              const uint64_t[::1] seeds, int max_iter, bint spherical):
        """Split every node, a range of `items`, into two.

        Many nodes go to one thread each; few are split one after another with their
        rows scored in parallel. Both give the same result.

        Parameters
        ----------
        items : ndarray of int32 of shape (n_rows,)
            A permutation of the rows, ascending within each node. Changed in place:
            the left part of a node comes first, and both parts are ascending.
        nodes : ndarray of int64 of shape (n_nodes, 3)
            Begin, end and size of the left part of each node.
        seeds : ndarray of uint64 of shape (n_nodes,)
        max_iter : int
            Of each split.
        spherical : bool
            Whether centres are scaled to unit length.

        Returns
        -------
        int
            Most iterations that any split took.

        Raises
        ------
        MemoryError
            If there is no memory for the buffers.
        """
        cdef int64_t n_nodes = nodes.shape[0], i
        cdef int n_threads = self.n_threads
        cdef SplitWorkspace *all_ws = self.all_ws
        cdef CSR *X = &self.X
        cdef int32_t *all_items = &items[0] if items.shape[0] else NULL
        n_iter_array = np.zeros(n_nodes, dtype=np.int32)
        cdef int32_t[::1] n_iter = n_iter_array
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_nodes)
        for i in range(n_threads):
            all_ws[i].work, all_ws[i].thread = &work, <int>i
        if n_nodes < n_threads:
            with nogil:
                for i in range(n_nodes):
                    n_iter[i] = split_node(
                        X, all_items + nodes[i, 0], nodes[i, 1] - nodes[i, 0], nodes[i, 2],
                        max_iter, spherical, seeds[i], &all_ws[0], n_threads)
        else:
            with nogil, parallel(num_threads=team(n_threads)):
                for i in prange(n_nodes, schedule="dynamic", chunksize=1):
                    n_iter[i] = split_node(
                        X, all_items + nodes[i, 0], nodes[i, 1] - nodes[i, 0], nodes[i, 2],
                        max_iter, spherical, seeds[i], &all_ws[threadid()], 1)
        signals.end()
        if (n_iter_array < 0).any():
            raise MemoryError("no memory to cluster the labels")
        return int(n_iter_array.max())
