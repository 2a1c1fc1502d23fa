"""Balanced 2-means splits of sparse rows, and the PIFA sums that feed them."""

from cython.parallel cimport parallel, prange, threadid
from libc.math cimport fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from sklearn_xmr.utils._compact_rows cimport (
    CSR, Buffer, CompactRows, CompactWorkspace, compact_rows, free_compact_workspace,
    init_compact_workspace, number_features, reserve
)


cdef struct Scored:
    float score
    int32_t item


cdef struct Workspace:
    CompactWorkspace compact
    Buffer center, left_sum, right_sum, scored, side, moved


cdef Workspace *new_workspaces(int n_threads, int32_t n_features) noexcept nogil:
    cdef Workspace *all_ws = <Workspace *>calloc(n_threads, sizeof(Workspace))
    cdef int t
    if all_ws == NULL:
        return NULL
    for t in range(n_threads):
        if init_compact_workspace(&all_ws[t].compact, n_features) < 0:
            free_workspaces(all_ws, n_threads)
            return NULL
    return all_ws


cdef void free_workspaces(Workspace *all_ws, int n_threads) noexcept nogil:
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


cdef inline CSR as_csr(const int64_t[::1] indptr, const int32_t[::1] indices,
                       const float[::1] values, int32_t n_features) noexcept:
    cdef CSR X
    X.indptr, X.n_rows = &indptr[0], indptr.shape[0] - 1
    X.indices = &indices[0] if indices.shape[0] else NULL
    X.values = &values[0] if values.shape[0] else NULL
    X.n_features = n_features
    return X


# --- balanced 2-means -----------------------------------------------------------

cdef inline bint before(Scored a, Scored b) noexcept nogil:
    """Order by score, ties by item: a total order, so the cut is unique."""
    return a.score < b.score or (a.score == b.score and a.item < b.item)


cdef void select_smallest(Scored *a, int64_t n, int64_t k) noexcept nogil:
    """Reorder so that a[:k] holds the k smallest (Hoare's quickselect)."""
    cdef int64_t lo = 0, hi = n - 1, i, j
    cdef Scored pivot, x
    while lo < hi:
        pivot = a[lo + (hi - lo) // 2]
        i = lo
        j = hi
        while i <= j:
            while before(a[i], pivot):
                i += 1
            while before(pivot, a[j]):
                j -= 1
            if i <= j:
                x = a[i]
                a[i] = a[j]
                a[j] = x
                i += 1
                j -= 1
        if k <= j:
            hi = j
        elif k >= i:
            lo = i
        else:
            return


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
        for i in prange(X.n_rows, schedule="static", num_threads=n_threads):
            scored[i].item = <int32_t>i
            scored[i].score = sparse_dot(X, i, center)


cdef void add_row(const CSR *X, int64_t row, double sign, double *total) noexcept nogil:
    cdef int64_t k
    for k in range(X.indptr[row], X.indptr[row + 1]):
        total[X.indices[k]] += sign * X.values[k]


cdef double scale_of(const double *total, int32_t d, int64_t n, bint spherical) noexcept nogil:
    """What turns a sum of n rows into a mean, or into a unit vector."""
    cdef double sq = 0
    cdef int32_t f
    if not spherical:
        return 1.0 / n
    for f in range(d):
        sq += total[f] * total[f]
    return 1.0 / sqrt(sq) if sq > 0 else 1.0


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


cdef int split(const CSR *X, int64_t n_left, int max_iter, bint spherical, uint64_t seed,
               Workspace *ws, int n_threads) noexcept nogil:
    """Balanced 2-means of the rows of X; ws.side tells left (0) from right (1).

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
        score_rows(X, center, scored, n_threads)
        select_smallest(scored, n, n_left)
        n_moved = reassign(scored, n, n_left, side, moved)
        if n_moved == 0:
            return iteration + 1
        for i in range(n_moved):
            a = 1.0 if side[moved[i]] else -1.0
            add_row(X, moved[i], a, right)
            add_row(X, moved[i], -a, left)
        a = scale_of(right, d, n - n_left, spherical)
        b = scale_of(left, d, n_left, spherical)
        for f in range(d):
            center[f] = <float>(a * right[f] - b * left[f])
    return max_iter


cdef int split_node(const CSR *X, int32_t *items, int64_t n, int64_t n_left, int max_iter,
                    bint spherical, uint64_t seed, Workspace *ws,
                    int n_threads) noexcept nogil:
    """Reorder items[:n] (ascending) so that the left half comes first, each ascending."""
    cdef CompactRows node
    cdef int64_t i, at = 0, n_right = 0
    cdef int n_iter
    cdef uint8_t *side
    cdef int32_t *right
    if n_left <= 0 or n_left >= n:
        return 0
    if compact_rows(X, items, n, &ws.compact, &node) < 0:
        return -1
    n_iter = split(&node.rows, n_left, max_iter, spherical, seed, ws, n_threads)
    if n_iter < 0:
        return -1
    side = <uint8_t *>ws.side.data
    right = <int32_t *>ws.moved.data
    for i in range(n):
        if side[i]:
            right[n_right] = items[i]
            n_right += 1
        else:
            items[at] = items[i]
            at += 1
    for i in range(n_right):
        items[at + i] = right[i]
    return n_iter


cdef class Splitter:
    """Balanced 2-means splits of the rows of one matrix, with buffers that last.

    Parameters
    ----------
    indptr, indices, values, n_features
        The rows as CSR.
    n_threads : int
    """

    cdef Workspace *all_ws
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
        """Split every node, a range of `items` in ascending order, into two.

        `items` is a permutation of the rows, changed in place; `nodes` has begin, end
        and size of the left part of each. Many nodes go to one thread each; few are
        split one after another with their rows scored in parallel. Both give the same
        result. Returns the most iterations that any split took (int).
        """
        cdef int64_t n_nodes = nodes.shape[0], i
        cdef int n_threads = self.n_threads
        cdef Workspace *all_ws = self.all_ws
        cdef CSR *X = &self.X
        cdef int32_t *all_items = &items[0] if items.shape[0] else NULL
        n_iter_array = np.zeros(n_nodes, dtype=np.int32)
        cdef int32_t[::1] n_iter = n_iter_array
        if n_nodes < n_threads:
            with nogil:
                for i in range(n_nodes):
                    n_iter[i] = split_node(
                        X, all_items + nodes[i, 0], nodes[i, 1] - nodes[i, 0], nodes[i, 2],
                        max_iter, spherical, seeds[i], &all_ws[0], n_threads)
        else:
            with nogil, parallel(num_threads=n_threads):
                for i in prange(n_nodes, schedule="dynamic", chunksize=1):
                    n_iter[i] = split_node(
                        X, all_items + nodes[i, 0], nodes[i, 1] - nodes[i, 0], nodes[i, 2],
                        max_iter, spherical, seeds[i], &all_ws[threadid()], 1)
        if (n_iter_array < 0).any():
            raise MemoryError("no memory to cluster the labels")
        return int(n_iter_array.max())


# --- PIFA -------------------------------------------------------------------------

cdef int count_features(const CSR *X, const int32_t *rows, int64_t n, CompactWorkspace *ws,
                        int64_t *out) noexcept nogil:
    out[0] = number_features(X, rows, n, ws)
    return 0 if out[0] >= 0 else -1


cdef int sum_rows(const CSR *X, const int32_t *rows, const float *weights, int64_t n,
                  int64_t n_kept, Workspace *ws, int32_t *indices, float *values) noexcept nogil:
    """The weighted sum of some rows, scaled to unit length, as one sparse row.

    Only its n_kept largest entries are written.
    """
    cdef int32_t n_local = number_features(X, rows, n, &ws.compact), f
    cdef double *total
    cdef double scale
    cdef int64_t i, k, at = 0
    cdef Scored *scored
    cdef uint8_t *dropped
    if n_local < 0:
        return -1
    total = <double *>reserve(&ws.left_sum, n_local * sizeof(double))
    scored = <Scored *>reserve(&ws.scored, n_local * sizeof(Scored))
    dropped = <uint8_t *>reserve(&ws.side, n_local)
    if not (total and scored and dropped):
        return -1
    memset(total, 0, n_local * sizeof(double))
    memset(dropped, 0, n_local)
    for i in range(n):
        for k in range(X.indptr[rows[i]], X.indptr[rows[i] + 1]):
            total[ws.compact.local_id[X.indices[k]]] += weights[i] * X.values[k]
    if n_kept < n_local:
        for f in range(n_local):
            scored[f].item, scored[f].score = f, <float>fabs(total[f])
        select_smallest(scored, n_local, n_local - n_kept)
        for i in range(n_local - n_kept):
            dropped[scored[i].item] = 1
    scale = scale_of(total, n_local, 1, True)
    for f in range(n_local):
        if not dropped[f]:
            indices[at] = (<int32_t *>ws.compact.features.data)[f]
            values[at] = <float>(scale * total[f])
            at += 1
    return 0


def sum_of_rows(const int64_t[::1] indptr, const int32_t[::1] indices,
                const float[::1] values, int32_t n_features,
                const int64_t[::1] group_ptr, const int32_t[::1] group_rows,
                const float[::1] group_weights, int64_t max_entries, int n_threads):
    """Unit-length weighted sums of groups of rows: CSR arrays, one row per group.

    Of each sum the `max_entries` largest entries are kept.
    """
    cdef CSR X = as_csr(indptr, indices, values, n_features)
    cdef int64_t n_groups = group_ptr.shape[0] - 1, g
    cdef int failed = 0
    cdef Workspace *all_ws
    cdef const int32_t *rows = &group_rows[0] if group_rows.shape[0] else NULL
    cdef const float *weights = &group_weights[0] if group_rows.shape[0] else NULL
    out_indptr = np.zeros(n_groups + 1, dtype=np.int64)
    cdef int64_t[::1] out_ptr = out_indptr
    all_ws = new_workspaces(n_threads, n_features)
    if all_ws == NULL:
        raise MemoryError("no memory for the label representations")
    with nogil, parallel(num_threads=n_threads):
        for g in prange(n_groups, schedule="dynamic", chunksize=64):
            failed += count_features(&X, rows + group_ptr[g], group_ptr[g + 1] - group_ptr[g],
                                     &all_ws[threadid()].compact, &out_ptr[g + 1])
    if failed:
        free_workspaces(all_ws, n_threads)
        raise MemoryError("no memory for the label representations")
    np.minimum(out_indptr, max_entries, out=out_indptr)
    np.cumsum(out_indptr, out=out_indptr)
    out_indices = np.empty(out_ptr[n_groups] + 1, dtype=np.int32)
    out_values = np.empty(out_ptr[n_groups] + 1, dtype=np.float32)
    cdef int32_t[::1] to_indices = out_indices
    cdef float[::1] to_values = out_values
    with nogil, parallel(num_threads=n_threads):
        for g in prange(n_groups, schedule="dynamic", chunksize=64):
            failed += sum_rows(&X, rows + group_ptr[g], weights + group_ptr[g],
                               group_ptr[g + 1] - group_ptr[g], out_ptr[g + 1] - out_ptr[g],
                               &all_ws[threadid()], &to_indices[out_ptr[g]],
                               &to_values[out_ptr[g]])
    free_workspaces(all_ws, n_threads)
    if failed:
        raise MemoryError("no memory for the label representations")
    nnz = int(out_indptr[n_groups])
    return out_indptr, out_indices[:nnz], out_values[:nnz]
