"""Search over chunked weights, for Python: arrays in, arrays out."""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_xmr.linear._search_core cimport (
    NOOP, Candidate, Rows, Search, Workspace, free_workspace, query_of, score_labels,
    search_best_first, search_block, xmr_level, xmr_query
)

cdef enum:
    BLOCK_ROWS = 4096     # queries that one thread searches together

VALUE_KINDS = {"float32": 0, "float16": 1, "int8": 2}


cdef class SearchWorkspace:
    """Buffers of one search at a time."""

    cdef Workspace ws

    def __cinit__(self):
        memset(&self.ws, 0, sizeof(Workspace))

    def __dealloc__(self):
        free_workspace(&self.ws)


cdef class Threads:
    """A workspace from the pool and a query for each thread."""

    cdef list workspaces
    cdef Workspace **ws
    cdef xmr_query *queries

    def __cinit__(self, pool, int n_threads):
        cdef int t
        self.workspaces = [take_workspace(pool) for _ in range(n_threads)]
        self.ws = <Workspace **>malloc(n_threads * sizeof(Workspace *))
        self.queries = <xmr_query *>malloc(n_threads * sizeof(xmr_query))
        if self.ws == NULL or self.queries == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(n_threads):
            self.ws[t] = &(<SearchWorkspace>self.workspaces[t]).ws

    def __dealloc__(self):
        free(self.ws)
        free(self.queries)

    cdef give_back(self, pool):
        pool.extend(self.workspaces)


cdef SearchWorkspace take_workspace(list pool):
    """From the pool, or new; list.pop and extend are atomic."""
    try:
        return pool.pop()
    except IndexError:
        return SearchWorkspace()


cdef Rows rows_of(const int64_t[::1] indptr, const int32_t[::1] indices,
                  const float[::1] values, const float[:, ::1] dense):
    cdef Rows rows
    rows.indptr, rows.n_dense = &indptr[0], dense.shape[1]
    rows.indices = &indices[0] if indices.shape[0] else NULL
    rows.values = &values[0] if values.shape[0] else NULL
    rows.dense = &dense[0, 0] if dense.shape[0] and dense.shape[1] else NULL
    return rows


cdef class LabelWeights:
    """Weights that multiply the labels' scores, for a search that stays exact.

    With u(node) the logarithm of the largest weight below a node, the search ranks
    nodes by log score + u(node), to which each node adds ``u(node) - u(parent) <= 0``
    on the way down: as without weights, no child scores above its parent.

    Parameters
    ----------
    levels : list of ChunkedWeights
    label_order : ndarray of int64
    weights : ndarray of shape (n_labels,)
        Positive.
    """

    cdef list steps
    cdef const float **pointers
    cdef float root_score

    def __cinit__(self):
        self.pointers = NULL

    def __init__(self, levels, label_order, weights):
        cdef int t
        cdef const float[::1] step
        self.steps = []
        below = np.log(np.asarray(weights, dtype=np.float64))[label_order]
        for level in reversed(levels):
            starts = level.child_ptr[level.parent_ptr]
            above = np.maximum.reduceat(below, starts[:-1])
            steps = below - np.repeat(above, np.diff(starts))
            self.steps.insert(0, steps.astype(np.float32))
            below = above
        self.root_score = below[0]
        self.pointers = <const float **>malloc(len(levels) * sizeof(float *))
        if self.pointers == NULL:
            raise MemoryError("no memory for label weights")
        for t in range(len(levels)):
            step = self.steps[t]
            self.pointers[t] = &step[0]

    def __dealloc__(self):
        free(self.pointers)


cdef class TreeSearch:
    """Search over a list of :class:`ChunkedWeights`, one per level.

    It holds pointers into the arrays and a pool of workspaces; any number of threads
    may search at once.

    Parameters
    ----------
    levels : list of ChunkedWeights
        From the root down.
    label_order : ndarray of int64
        Label of each node of the last level.
    """

    cdef xmr_level *levels
    cdef int n_levels
    cdef object kept_alive, parents, cached_weights
    cdef list pool
    cdef const int64_t[::1] label_order

    def __cinit__(self):
        self.levels = NULL

    def __init__(self, levels, const int64_t[::1] label_order):
        cdef int t
        self.n_levels = len(levels)
        self.kept_alive = list(levels)
        self.label_order = label_order
        self.pool = []
        self.parents = None
        self.cached_weights = None, None
        free(self.levels)
        self.levels = <xmr_level *>calloc(self.n_levels, sizeof(xmr_level))
        if self.levels == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(self.n_levels):
            self._point(&self.levels[t], levels[t])

    def __dealloc__(self):
        free(self.levels)

    cdef _point(self, xmr_level *level, weights):
        cdef const int64_t[::1] parent_ptr = weights.parent_ptr
        cdef const int64_t[::1] child_ptr = weights.child_ptr
        cdef const int64_t[::1] chunk_ptr = weights.chunk_ptr
        cdef const uint32_t[:, ::1] buckets = weights.buckets
        cdef const uint8_t[::1] packed = weights.packed
        cdef const float[::1] scale = weights.scale
        cdef const float[::1] intercept = weights.intercept
        cdef const uint8_t[:, ::1] dense = weights.dense.view(np.uint8)
        cdef const float[::1] dense_scale = weights.dense_scale
        level.n_parents, level.n_nodes = parent_ptr.shape[0] - 1, intercept.shape[0]
        level.n_buckets = buckets.shape[1] - 1
        level.parent_ptr, level.child_ptr = &parent_ptr[0], &child_ptr[0]
        level.chunk_ptr, level.buckets = &chunk_ptr[0], &buckets[0, 0]
        level.packed, level.shift = &packed[0], weights.shift
        level.kind = VALUE_KINDS[weights.value_type]
        level.scale, level.intercept = &scale[0], &intercept[0]
        level.n_dense = <int32_t>weights.dense.shape[1]
        if level.n_dense:
            level.dense, level.dense_scale = &dense[0, 0], &dense_scale[0]

    def label_weights(self, given, values):
        """LabelWeights of an array of values; made once for what the user gave."""
        cached_for, weights = self.cached_weights
        if cached_for is not given or weights is None:
            weights = LabelWeights(self.kept_alive, np.asarray(self.label_order), values)
            self.cached_weights = given, weights
        return weights

    cdef Search _plan(self, int n_levels, beam_size, int64_t k, int combiner,
                      LabelWeights weights) except *:
        cdef Search s
        cdef int t
        cdef int64_t widest = 1
        for t in range(n_levels):
            widest = max(widest, self.levels[t].n_nodes)
        s.levels, s.n_levels, s.combiner = self.levels, n_levels, combiner
        s.label_order = &self.label_order[0] if n_levels == self.n_levels else NULL
        s.weight_steps = NULL if weights is None else weights.pointers
        s.root_score = 0 if weights is None else weights.root_score
        s.k = min(k, self.levels[n_levels - 1].n_nodes)
        s.beam_size = widest if beam_size is None else min(<int64_t>beam_size, widest)
        return s

    def search(self, const int64_t[::1] indptr, const int32_t[::1] indices,
               const float[::1] values, const float[:, ::1] dense, int n_levels,
               beam_size, int64_t k, int combiner, int n_threads,
               LabelWeights weights=None):
        """The k best nodes of level ``n_levels - 1`` for every row, by beam search.

        Returns
        -------
        nodes : ndarray of int64 (n_rows, k)
            Labels for the last level, nodes above it; -1 where there are fewer.
        scores : ndarray of float32 (n_rows, k)
            Log scores (margins for the no-op combiner), -inf where there are fewer.
        """
        cdef Search s = self._plan(n_levels, beam_size, k, combiner, weights)
        cdef int64_t n_rows = indptr.shape[0] - 1, block, first, n, row, i, width
        cdef int64_t block_rows, n_blocks
        cdef Rows rows = rows_of(indptr, indices, values, dense)
        cdef Workspace *ws
        cdef int failed = 0
        cdef const Candidate *found
        nodes = np.full((n_rows, s.k), -1, dtype=np.int64)
        scores = np.full((n_rows, s.k), -np.inf, dtype=np.float32)
        cdef int64_t[:, ::1] out_nodes = nodes
        cdef float[:, ::1] out_scores = scores
        width = max(s.beam_size, s.k)
        n_threads = max(1, min(n_threads, n_rows // 8))
        # Even blocks, small enough that beams of many nodes stay within 32 MB.
        block_rows = max(1, min(BLOCK_ROWS, (1 << 21) // width))
        n_blocks = -(-n_rows // block_rows)
        n_blocks = max(1, -(-n_blocks // n_threads) * n_threads)
        block_rows = max(1, -(-n_rows // n_blocks))
        cdef Threads threads = Threads(self.pool, n_threads)
        with nogil, parallel(num_threads=n_threads):
            for block in prange(n_blocks, schedule="dynamic", chunksize=1):
                ws = threads.ws[threadid()]
                first = min(block * block_rows, n_rows)
                n = min(block_rows, n_rows - first)
                if search_block(&s, &rows, first, n, ws) < 0:
                    failed += 1
                    continue
                for row in range(n):
                    found = <const Candidate *>ws.beam.data + row * width
                    for i in range((<int64_t *>ws.n_beam.data)[row]):
                        out_nodes[first + row, i] = found[i].node
                        out_scores[first + row, i] = found[i].score
        threads.give_back(self.pool)
        if failed:
            raise MemoryError("no memory for the tree search")
        return nodes, scores

    def search_best_first(self, const int64_t[::1] indptr, const int32_t[::1] indices,
                          const float[::1] values, const float[:, ::1] dense,
                          beam_size, int64_t k, int combiner, int n_threads,
                          LabelWeights weights=None):
        """The k best labels for every row, row by row: exact with beam_size None.

        Returns
        -------
        labels, scores
            As in :meth:`search`.
        n_visited : ndarray of int64 (n_rows,)
            Nodes whose children were scored.
        """
        cdef Search s = self._plan(self.n_levels, beam_size, k, combiner, weights)
        cdef int64_t n_rows = indptr.shape[0] - 1, row, i, n
        cdef Rows rows = rows_of(indptr, indices, values, dense)
        cdef int failed = 0
        cdef int t
        cdef const Candidate *found
        nodes = np.full((n_rows, s.k), -1, dtype=np.int64)
        scores = np.full((n_rows, s.k), -np.inf, dtype=np.float32)
        visited = np.zeros(n_rows, dtype=np.int64)
        cdef int64_t[:, ::1] out_nodes = nodes
        cdef float[:, ::1] out_scores = scores
        cdef int64_t[::1] out_visited = visited
        n_threads = max(1, min(n_threads, n_rows // 4))
        cdef Threads threads = Threads(self.pool, n_threads)
        with nogil, parallel(num_threads=n_threads):
            for row in prange(n_rows, schedule="dynamic", chunksize=16):
                t = threadid()
                threads.queries[t] = query_of(&rows, row)
                n = search_best_first(&s, &threads.queries[t], &out_visited[row],
                                      threads.ws[t])
                failed += n < 0
                found = <const Candidate *>threads.ws[t].heap.data
                for i in range(n):
                    out_nodes[row, i] = found[i].node
                    out_scores[row, i] = found[i].score
        threads.give_back(self.pool)
        if failed:
            raise MemoryError("no memory for the tree search")
        return nodes, scores, visited

    def search_row(self, const int32_t[::1] indices, const float[::1] values,
                   const float[::1] dense, beam_size, int64_t k, int combiner,
                   LabelWeights weights=None):
        """The best labels of one row, and their scores; as many as the beam reaches."""
        cdef Search s = self._plan(self.n_levels, beam_size, k, combiner, weights)
        cdef SearchWorkspace workspace = take_workspace(self.pool)
        cdef Rows rows
        cdef xmr_query query
        cdef int64_t n, i, n_visited = 0
        cdef int64_t[2] indptr
        cdef const Candidate *found
        indptr[0], indptr[1] = 0, indices.shape[0]
        rows.indptr, rows.n_dense = indptr, dense.shape[0]
        rows.indices = &indices[0] if indices.shape[0] else NULL
        rows.values = &values[0] if indices.shape[0] else NULL
        rows.dense = &dense[0] if dense.shape[0] else NULL
        query = query_of(&rows, 0)
        with nogil:
            if combiner != NOOP:
                n = search_best_first(&s, &query, &n_visited, &workspace.ws)
                found = <const Candidate *>workspace.ws.heap.data
            else:
                n = search_block(&s, &rows, 0, 1, &workspace.ws)
                n = (<int64_t *>workspace.ws.n_beam.data)[0] if n == 0 else -1
                found = <const Candidate *>workspace.ws.beam.data
        if n < 0:
            raise MemoryError("no memory for the tree search")
        labels = np.empty(n, dtype=np.int64)
        scores = np.empty(n, dtype=np.float32)
        cdef int64_t[::1] out_labels = labels
        cdef float[::1] out_scores = scores
        for i in range(n):
            out_labels[i], out_scores[i] = found[i].node, found[i].score
        self.pool.append(workspace)
        return labels, scores

    def score_pairs(self, const int64_t[::1] indptr, const int32_t[::1] indices,
                    const float[::1] values, const float[:, ::1] dense,
                    const int64_t[::1] pair_ptr, const int32_t[::1] nodes,
                    int combiner, int n_threads):
        """Log scores of given nodes of the last level, ascending within each row.

        Returns
        -------
        ndarray of float32 (n_pairs,)
        """
        cdef Search s = self._plan(self.n_levels, 1, 1, combiner, None)
        cdef int64_t n_rows = indptr.shape[0] - 1, row, n, longest
        cdef int failed = 0
        cdef int t
        cdef const int32_t[::1] parent
        cdef const int32_t **parent_of
        cdef Rows rows = rows_of(indptr, indices, values, dense)
        scores = np.zeros(nodes.shape[0] + 1, dtype=np.float32)
        cdef float[::1] out = scores
        if nodes.shape[0] == 0:
            return scores[:nodes.shape[0]]
        if self.parents is None:
            self.parents = [parents_of(weights) for weights in self.kept_alive]
        longest = np.diff(pair_ptr).max()
        n_threads = max(1, min(n_threads, n_rows // 4))
        path_array = np.empty((n_threads, self.n_levels * longest), dtype=np.int32)
        cdef int32_t[:, ::1] path = path_array
        cdef Threads threads = Threads(self.pool, n_threads)
        parent_of = <const int32_t **>malloc(self.n_levels * sizeof(int32_t *))
        if parent_of == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(self.n_levels):
            parent = self.parents[t]
            parent_of[t] = &parent[0]
        with nogil, parallel(num_threads=n_threads):
            for row in prange(n_rows, schedule="dynamic", chunksize=16):
                t = threadid()
                n = pair_ptr[row + 1] - pair_ptr[row]
                if n > 0:
                    threads.queries[t] = query_of(&rows, row)
                    failed += score_labels(&s, parent_of, &nodes[pair_ptr[row]], n,
                                           &threads.queries[t], &out[pair_ptr[row]],
                                           &path[t, 0], threads.ws[t])
        free(parent_of)
        threads.give_back(self.pool)
        if failed:
            raise MemoryError("no memory for the tree search")
        return scores[:nodes.shape[0]]


def parents_of(weights):
    """Parent of each node of a level (ndarray of int32)."""
    ends = weights.child_ptr[weights.parent_ptr]
    return np.repeat(np.arange(len(ends) - 1, dtype=np.int32), np.diff(ends))
