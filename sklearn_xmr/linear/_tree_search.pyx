"""Beam search over the chunked weights of a label tree.

Scores are kept as logarithms: log sigmoid(v), or -max(0, 1 - v)**p for the
l<p>-hinge, summed along the path. Each thread takes whole queries and runs the
search in its own buffers, so a query's result does not depend on the batch.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.math cimport expf, log1pf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

import numpy as np

cdef enum:
    SIGMOID = 0
    NOOP = -1
    # Values 1 .. 4: the power of the hinge.
    LINEAR_SCAN = 16


cdef struct Level:
    int64_t n_parents, n_nodes
    const int64_t *child_ptr
    const int64_t *chunk_ptr      # parent -> feature rows
    const int64_t *entry_ptr      # parent -> entries
    const int32_t *features
    const uint32_t *row_ptr       # row -> entries, within the chunk
    const void *columns           # child offset within the chunk
    int column_size               # bytes: 1, 2 or 4
    const float *values
    const float *intercept
    const int64_t *bucket_ptr     # parent -> buckets
    const uint32_t *buckets       # bucket -> rows, within the chunk
    const uint8_t *bucket_shift


cdef struct Candidate:
    float score
    int32_t node
    int64_t rank                  # ties: the smaller first


cdef struct Workspace:
    float *scores                 # of one chunk's children
    Candidate *beam
    Candidate *heap


cdef struct Query:
    const int32_t *indices
    const float *values
    int64_t nnz


# --- one chunk --------------------------------------------------------------------

cdef inline int64_t find_feature(const Level *level, int64_t parent,
                                 int32_t feature) noexcept nogil:
    """Row of a feature in the parent's chunk, or -1.

    Buckets of equal feature ranges lead to a handful of rows: about one cache line
    for the bucket and one for its features.
    """
    cdef int64_t first = level.chunk_ptr[parent], lo, hi, mid
    cdef const uint32_t *bucket = (level.buckets + level.bucket_ptr[parent]
                                   + (feature >> level.bucket_shift[parent]))
    cdef const int32_t *features = level.features + first
    lo = bucket[0]
    hi = bucket[1]
    while hi - lo > LINEAR_SCAN:
        mid = (lo + hi) // 2
        if features[mid] <= feature:
            lo = mid
        else:
            hi = mid
    while lo < hi and features[lo] < feature:
        lo += 1
    return lo if lo < hi and features[lo] == feature else -1


cdef inline void add_entries(const Level *level, int64_t first, uint32_t begin,
                             uint32_t end, float x, float *scores) noexcept nogil:
    cdef uint32_t e
    cdef const float *values = level.values + first
    cdef const uint8_t *narrow
    cdef const uint16_t *middle
    cdef const int32_t *wide
    if level.column_size == 1:
        narrow = <const uint8_t *>level.columns + first
        for e in range(begin, end):
            scores[narrow[e]] += x * values[e]
    elif level.column_size == 2:
        middle = <const uint16_t *>level.columns + first
        for e in range(begin, end):
            scores[middle[e]] += x * values[e]
    else:
        wide = <const int32_t *>level.columns + first
        for e in range(begin, end):
            scores[wide[e]] += x * values[e]


cdef void score_chunk(const Level *level, int64_t parent, const Query *query,
                      float *scores) noexcept nogil:
    """Margins v = w.x + b of all children of a parent."""
    cdef int64_t first = level.child_ptr[parent], k, row
    cdef int64_t n = level.child_ptr[parent + 1] - first
    cdef const uint32_t *row_ptr = level.row_ptr + level.chunk_ptr[parent] + parent
    for k in range(n):
        scores[k] = level.intercept[first + k]
    if level.chunk_ptr[parent] == level.chunk_ptr[parent + 1]:
        return
    for k in range(query.nnz):
        row = find_feature(level, parent, query.indices[k])
        if row >= 0:
            add_entries(level, level.entry_ptr[parent], row_ptr[row], row_ptr[row + 1],
                        query.values[k], scores)


cdef inline float log_score(float v, int combiner) noexcept nogil:
    """Logarithm of the transformed margin; the margin itself for NOOP."""
    cdef float slack, power
    cdef int _
    if combiner == SIGMOID:
        return -log1pf(expf(-v)) if v > 0 else v - log1pf(expf(v))
    if combiner == NOOP:
        return v
    slack = 1 - v
    if slack <= 0:
        return 0
    power = slack
    for _ in range(1, combiner):
        power *= slack
    return -power


# --- the best of many: a bounded heap, worst on top -----------------------------------

cdef inline bint worse(Candidate a, Candidate b) noexcept nogil:
    return a.score < b.score or (a.score == b.score and a.rank > b.rank)


cdef void sift_down(Candidate *heap, int64_t n, int64_t at) noexcept nogil:
    cdef int64_t child
    cdef Candidate moved = heap[at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and worse(heap[child + 1], heap[child]):
            child += 1
        if not worse(heap[child], moved):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


cdef inline void offer(Candidate *heap, int64_t *n, int64_t capacity,
                       Candidate new) noexcept nogil:
    """Keep the `capacity` best candidates seen."""
    cdef int64_t at, parent
    if n[0] == capacity:
        if worse(heap[0], new):
            heap[0] = new
            sift_down(heap, capacity, 0)
        return
    at = n[0]
    n[0] += 1
    while at > 0:
        parent = (at - 1) // 2
        if not worse(new, heap[parent]):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = new


cdef void sort_best_first(Candidate *heap, int64_t n) noexcept nogil:
    """Heap sort: the worst goes to the end, again and again."""
    cdef Candidate top
    while n > 1:
        n -= 1
        top = heap[0]
        heap[0] = heap[n]
        heap[n] = top
        sift_down(heap, n, 0)


# --- one query ------------------------------------------------------------------------

cdef int64_t search_one(const Level *levels, int n_levels, const Query *query,
                        int64_t beam_size, int64_t k, int combiner,
                        const int64_t *label_order, Workspace *ws) noexcept nogil:
    """Best k nodes of the last of `levels` into ws.heap, best first; their number.

    `label_order`, where given, turns nodes of the last level into labels, so that
    ties go to the smaller label.
    """
    cdef int64_t n_beam = 1, n_heap = 0, capacity, b, c, first
    cdef int t
    cdef Candidate new
    cdef Candidate *swap
    ws.beam[0].node = 0
    ws.beam[0].score = 0
    for t in range(n_levels):
        n_heap = 0
        capacity = k if t == n_levels - 1 else beam_size
        for b in range(n_beam):
            first = levels[t].child_ptr[ws.beam[b].node]
            score_chunk(&levels[t], ws.beam[b].node, query, ws.scores)
            for c in range(levels[t].child_ptr[ws.beam[b].node + 1] - first):
                new.node = <int32_t>(first + c)
                new.rank = first + c
                if t == n_levels - 1 and label_order != NULL:
                    new.rank = label_order[first + c]
                new.score = log_score(ws.scores[c], combiner)
                if combiner != NOOP:
                    new.score += ws.beam[b].score
                offer(ws.heap, &n_heap, capacity, new)
        if t < n_levels - 1:
            swap = ws.beam
            ws.beam = ws.heap
            ws.heap = swap
            n_beam = n_heap
    sort_best_first(ws.heap, n_heap)
    return n_heap


cdef class TreeSearch:
    """Beam search over a list of :class:`ChunkedWeights`, one per level.

    Parameters
    ----------
    levels : list of ChunkedWeights
        From the root down.
    label_order : ndarray of int64
        Label of each node of the last level.
    """

    cdef Level *levels
    cdef int n_levels
    cdef int64_t widest_chunk
    cdef object kept_alive
    cdef const int64_t[::1] label_order

    def __cinit__(self):
        self.levels = NULL

    def __init__(self, levels, const int64_t[::1] label_order):
        cdef int t
        self.n_levels = len(levels)
        self.kept_alive = list(levels)
        self.label_order = label_order
        self.widest_chunk = 1
        free(self.levels)
        self.levels = <Level *>calloc(self.n_levels, sizeof(Level))
        if self.levels == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(self.n_levels):
            self._point(&self.levels[t], levels[t])

    def __dealloc__(self):
        free(self.levels)

    cdef _point(self, Level *level, weights):
        cdef const int64_t[::1] child_ptr = weights.child_ptr
        cdef const int64_t[::1] chunk_ptr = weights.chunk_ptr
        cdef const int64_t[::1] entry_ptr = weights.entry_ptr
        cdef const int32_t[::1] features = weights.features
        cdef const uint32_t[::1] row_ptr = weights.row_ptr
        cdef const float[::1] values = weights.values
        cdef const float[::1] intercept = weights.intercept
        cdef const int64_t[::1] bucket_ptr = weights.bucket_ptr
        cdef const uint32_t[::1] buckets = weights.buckets
        cdef const uint8_t[::1] bucket_shift = weights.bucket_shift
        cdef const uint8_t[::1] columns = weights.columns.view(np.uint8)
        level.n_parents, level.n_nodes = child_ptr.shape[0] - 1, intercept.shape[0]
        level.child_ptr, level.chunk_ptr = &child_ptr[0], &chunk_ptr[0]
        level.entry_ptr, level.row_ptr = &entry_ptr[0], &row_ptr[0]
        level.features = &features[0] if features.shape[0] else NULL
        level.values = &values[0] if values.shape[0] else NULL
        level.columns = &columns[0] if columns.shape[0] else NULL
        level.column_size = weights.columns.itemsize
        level.intercept = &intercept[0]
        level.bucket_ptr, level.buckets = &bucket_ptr[0], &buckets[0]
        level.bucket_shift = &bucket_shift[0]
        self.widest_chunk = max(self.widest_chunk, np.diff(weights.child_ptr).max())

    def search(self, const int64_t[::1] indptr, const int32_t[::1] indices,
               const float[::1] values, int n_levels, int64_t beam_size, int64_t k,
               int combiner, int n_threads):
        """The k best nodes of level ``n_levels - 1`` for every row.

        Returns
        -------
        nodes : ndarray of int64 (n_rows, k)
            Labels for the last level, nodes above it; -1 where there are fewer.
        scores : ndarray of float32 (n_rows, k)
            Log scores (margins for the no-op combiner), -inf where there are fewer.
        """
        cdef int64_t n_rows = indptr.shape[0] - 1, row, i, found
        cdef bint to_labels = n_levels == self.n_levels
        cdef const int64_t *order = &self.label_order[0] if to_labels else NULL
        cdef const int32_t *all_indices = &indices[0] if indices.shape[0] else NULL
        cdef const float *all_values = &values[0] if values.shape[0] else NULL
        cdef Workspace *all_ws = NULL
        cdef Workspace *ws
        cdef int t
        cdef Query *queries
        k = min(k, self.levels[n_levels - 1].n_nodes)
        beam_size = min(beam_size, max(self.levels[t].n_nodes for t in range(n_levels)))
        nodes = np.full((n_rows, k), -1, dtype=np.int64)
        scores = np.full((n_rows, k), -np.inf, dtype=np.float32)
        cdef int64_t[:, ::1] out_nodes = nodes
        cdef float[:, ::1] out_scores = scores
        n_threads = max(1, min(n_threads, n_rows // 4))
        all_ws = self._workspaces(n_threads, max(beam_size, k))
        queries = <Query *>calloc(n_threads, sizeof(Query))
        with nogil, parallel(num_threads=n_threads):
            for row in prange(n_rows, schedule="dynamic", chunksize=16):
                t = threadid()
                ws = &all_ws[t]
                queries[t].indices = all_indices + indptr[row]
                queries[t].values = all_values + indptr[row]
                queries[t].nnz = indptr[row + 1] - indptr[row]
                found = search_one(self.levels, n_levels, &queries[t], beam_size, k,
                                   combiner, order, ws)
                for i in range(found):
                    out_nodes[row, i] = ws.heap[i].rank
                    out_scores[row, i] = ws.heap[i].score
        free(queries)
        self._release(all_ws, n_threads)
        return nodes, scores

    cdef Workspace *_workspaces(self, int n_threads, int64_t width) except NULL:
        cdef Workspace *all_ws = <Workspace *>calloc(n_threads, sizeof(Workspace))
        cdef int t
        cdef bint failed = all_ws == NULL
        for t in range(0 if failed else n_threads):
            all_ws[t].scores = <float *>malloc(self.widest_chunk * sizeof(float))
            all_ws[t].beam = <Candidate *>malloc((width + 1) * sizeof(Candidate))
            all_ws[t].heap = <Candidate *>malloc((width + 1) * sizeof(Candidate))
            failed |= not (all_ws[t].scores and all_ws[t].beam and all_ws[t].heap)
        if failed:
            self._release(all_ws, n_threads)
            raise MemoryError("no memory for the tree search")
        return all_ws

    cdef void _release(self, Workspace *all_ws, int n_threads):
        cdef int t
        if all_ws == NULL:
            return
        for t in range(n_threads):
            free(all_ws[t].scores)
            free(all_ws[t].beam)
            free(all_ws[t].heap)
        free(all_ws)


def fill_buckets(const int64_t[::1] chunk_ptr, const int32_t[::1] features,
                 const int64_t[::1] bucket_ptr, const uint8_t[::1] bucket_shift,
                 uint32_t[::1] buckets):
    """Row where each bucket of each chunk begins; see ``find_feature``."""
    cdef int64_t parent, row, n_rows, first
    cdef int64_t bucket, n_buckets
    for parent in range(chunk_ptr.shape[0] - 1):
        first = chunk_ptr[parent]
        n_rows = chunk_ptr[parent + 1] - first
        n_buckets = bucket_ptr[parent + 1] - bucket_ptr[parent]
        row = 0
        for bucket in range(n_buckets):
            while row < n_rows and (features[first + row] >> bucket_shift[parent]) < bucket:
                row += 1
            buckets[bucket_ptr[parent] + bucket] = <uint32_t>row
