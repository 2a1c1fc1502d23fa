"""Search of a label tree over chunked weights: beam search, exact search, given labels.

Scores are kept as logarithms: log sigmoid(v), or -max(0, 1 - v)**p for the l<p>-hinge,
summed along the path. A child's score never exceeds its parent's, so a parent that
scores below the worst of the k best so far need not be opened.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_xmr.utils._compact_rows cimport Buffer, reserve

cdef extern from "_chunk_scores.h" nogil:
    ctypedef struct xmr_level:
        int64_t n_parents, n_nodes, n_buckets
        const int64_t *parent_ptr
        const int64_t *child_ptr
        const int64_t *chunk_rows
        const int64_t *chunk_entries
        const uint32_t *buckets
        int shift, wide
        const void *low
        const uint8_t *counts
        const uint8_t *columns
        int kind
        const void *values
        const float *scale
        const float *intercept
        int32_t n_dense
        const void *dense
        const float *dense_scale

    ctypedef struct xmr_query:
        const int32_t *indices
        const float *values
        int64_t nnz
        const float *dense

    ctypedef struct xmr_hit:
        pass

    void xmr_score_chunk(const xmr_level *level, int64_t chunk, const xmr_query *query,
                         xmr_hit *hits, float *scores)
    void xmr_log_scores(float *scores, int64_t n, int combiner, float parent)

cdef extern from *:
    """
    #define XMR_NO_LIMIT INT64_MAX
    """
    int64_t NO_LIMIT "XMR_NO_LIMIT"

cdef enum:
    NOOP = -1
    BLOCK_ROWS = 4096     # queries that one thread searches together
    WAVES = 3

VALUE_KINDS = {"float32": 0, "float16": 1, "int8": 2}


cdef struct Candidate:
    float score
    int32_t node          # a label, on the last level; ties: the smaller first


cdef struct Pair:
    int32_t query
    int64_t chunk
    float score           # the node's


cdef struct Workspace:
    # One thread's buffers, reused from block to block and from call to call.
    Buffer hits, beam, heap, n_beam, n_heap, sorted_pairs, first, frontier
    float[256] scores


cdef struct Rows:
    # The instances: CSR and a dense block.
    const int64_t *indptr
    const int32_t *indices
    const float *values
    const float *dense
    int64_t n_dense


cdef struct Search:
    const xmr_level *levels
    int n_levels
    const int64_t *label_order    # node of the last level -> label; or NULL
    int64_t beam_size, k
    int combiner


cdef void free_workspace(Workspace *ws) noexcept nogil:
    free(ws.hits.data)
    free(ws.beam.data)
    free(ws.heap.data)
    free(ws.n_beam.data)
    free(ws.n_heap.data)
    free(ws.sorted_pairs.data)
    free(ws.first.data)
    free(ws.frontier.data)


cdef inline xmr_query query_of(const Rows *rows, int64_t row) noexcept nogil:
    cdef xmr_query query
    query.nnz = rows.indptr[row + 1] - rows.indptr[row]
    query.indices = rows.indices + rows.indptr[row]
    query.values = rows.values + rows.indptr[row]
    query.dense = rows.dense + row * rows.n_dense
    return query


# --- the best of many: a bounded heap, worst on top -----------------------------------

cdef inline bint worse(Candidate a, Candidate b) noexcept nogil:
    return a.score < b.score or (a.score == b.score and a.node > b.node)


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


cdef inline bint is_hopeless(const Search *s, float parent, const Candidate *heap,
                             int64_t n, int64_t capacity) noexcept nogil:
    """Whether no child can enter the heap."""
    return s.combiner != NOOP and n == capacity and parent < heap[0].score


cdef void open_chunk(const Search *s, int level, int64_t chunk, float parent,
                     const xmr_query *query, Candidate *heap, int64_t *n,
                     int64_t capacity, Workspace *ws) noexcept nogil:
    """Offer all nodes of a chunk to the heap."""
    cdef const xmr_level *l = &s.levels[level]
    cdef int64_t first = l.child_ptr[chunk], c
    cdef const int64_t *order = s.label_order if level == s.n_levels - 1 else NULL
    cdef Candidate new
    cdef int64_t width = l.child_ptr[chunk + 1] - first
    xmr_score_chunk(l, chunk, query, <xmr_hit *>ws.hits.data, ws.scores)
    xmr_log_scores(ws.scores, width, s.combiner, parent)
    for c in range(width):
        new.score = ws.scores[c]
        if n[0] == capacity and new.score < heap[0].score:
            continue
        new.node = <int32_t>(order[first + c] if order else first + c)
        offer(heap, n, capacity, new)


# --- one query ------------------------------------------------------------------------

cdef inline int32_t encode_node(const Search *s, int level, int64_t node) noexcept nogil:
    """Inner nodes of all levels in one numbering, from the root at -1 downwards.

    The frontier's heap has the larger of two equal scores' numbers on top: nodes of
    upper levels, then the first of a level, as a beam takes them.
    """
    cdef int t
    for t in range(level):
        node += s.levels[t].n_parents
    return <int32_t>(-1 - node)


cdef inline int decode_node(const Search *s, int64_t code, int64_t *node) noexcept nogil:
    """Level and node of a code."""
    cdef int level = 0
    node[0] = -1 - code
    while node[0] >= s.levels[level].n_parents:
        node[0] -= s.levels[level].n_parents
        level += 1
    return level


cdef void push_children(const Search *s, int level, int64_t node, float score,
                        const xmr_query *query, int64_t *n_open, const Candidate *heap,
                        int64_t n_heap, Workspace *ws) noexcept nogil:
    """Add the children of a node to the frontier, but for those that are hopeless."""
    cdef const xmr_level *l = &s.levels[level]
    cdef int64_t chunk, first, c, width
    cdef Candidate new
    for chunk in range(l.parent_ptr[node], l.parent_ptr[node + 1]):
        first = l.child_ptr[chunk]
        width = l.child_ptr[chunk + 1] - first
        xmr_score_chunk(l, chunk, query, <xmr_hit *>ws.hits.data, ws.scores)
        xmr_log_scores(ws.scores, width, s.combiner, score)
        for c in range(width):
            if is_hopeless(s, ws.scores[c], heap, n_heap, s.k):
                continue
            new.score = -ws.scores[c]
            new.node = encode_node(s, level + 1, first + c)
            offer(<Candidate *>ws.frontier.data, n_open, NO_LIMIT, new)


cdef int64_t search_best_first(const Search *s, const xmr_query *query,
                               int64_t *n_visited, Workspace *ws) noexcept nogil:
    """Best k labels into ws.heap, best first; their number, or -1 without memory.

    Opens the best node found so far, until no open node scores above the k-th best
    label: that is exact. At most beam_size nodes are opened on each level. As nodes of
    a level are opened from the best down, these are those that a beam keeps: the
    result is the beam's, mostly at a fraction of its cost. `n_visited` becomes the
    number of nodes opened. Not for NOOP, whose children may score above their parents.
    """
    cdef int64_t n_open = 1, n_heap = 0, n_inner = 0, chunk, node = 0
    cdef int t, level
    cdef Candidate *frontier
    cdef Candidate *heap
    cdef Candidate best
    cdef int64_t *opened
    for t in range(s.n_levels):
        n_inner += s.levels[t].n_parents
    frontier = <Candidate *>reserve(&ws.frontier, (n_inner + 1) * sizeof(Candidate))
    heap = <Candidate *>reserve(&ws.heap, (s.k + 1) * sizeof(Candidate))
    opened = <int64_t *>reserve(&ws.n_heap, s.n_levels * sizeof(int64_t))
    if not (frontier and heap and opened
            and reserve(&ws.hits, (query.nnz + 1) * sizeof(xmr_hit))):
        return -1
    memset(opened, 0, s.n_levels * sizeof(int64_t))
    frontier[0].score, frontier[0].node = 0, encode_node(s, 0, 0)
    n_visited[0] = 0
    while n_open > 0:
        best = frontier[0]
        if is_hopeless(s, -best.score, heap, n_heap, s.k):
            break
        n_open -= 1
        frontier[0] = frontier[n_open]
        sift_down(frontier, n_open, 0)
        level = decode_node(s, best.node, &node)
        if opened[level] == s.beam_size:
            continue
        opened[level] += 1
        n_visited[0] += 1
        if level < s.n_levels - 1:
            push_children(s, level, node, -best.score, query, &n_open, heap, n_heap, ws)
            continue
        for chunk in range(s.levels[level].parent_ptr[node],
                           s.levels[level].parent_ptr[node + 1]):
            open_chunk(s, level, chunk, -best.score, query, heap, &n_heap, s.k, ws)
    sort_best_first(heap, n_heap)
    return n_heap


# --- a block of queries ---------------------------------------------------------------

cdef inline int wave_of(int64_t b) noexcept nogil:
    """A query's best node goes first, its next two second: they close the others."""
    return 0 if b == 0 else (1 if b < 3 else 2)


cdef int64_t list_pairs(const Search *s, int level, int64_t n_rows, int64_t width,
                        Workspace *ws) noexcept nogil:
    """All (chunk, query) pairs of a level by wave and chunk; their number, or -1."""
    cdef const xmr_level *l = &s.levels[level]
    cdef const Candidate *beam = <Candidate *>ws.beam.data
    cdef const int64_t *n_beam = <int64_t *>ws.n_beam.data
    cdef int64_t n_chunks = l.parent_ptr[l.n_parents], n_pairs = 0, row, b, i, key, chunk
    cdef int64_t *first = <int64_t *>reserve(&ws.first,
                                             (WAVES * n_chunks + 1) * sizeof(int64_t))
    cdef Pair *in_order
    if first == NULL:
        return -1
    memset(first, 0, (WAVES * n_chunks + 1) * sizeof(int64_t))
    for row in range(n_rows):
        for b in range(n_beam[row]):
            key = beam[row * width + b].node
            for chunk in range(l.parent_ptr[key], l.parent_ptr[key + 1]):
                first[wave_of(b) * n_chunks + chunk + 1] += 1
                n_pairs += 1
    for i in range(WAVES * n_chunks):
        first[i + 1] += first[i]
    in_order = <Pair *>reserve(&ws.sorted_pairs, (n_pairs + 1) * sizeof(Pair))
    if in_order == NULL:
        return -1
    for row in range(n_rows):
        for b in range(n_beam[row]):
            key = beam[row * width + b].node
            for chunk in range(l.parent_ptr[key], l.parent_ptr[key + 1]):
                i = first[wave_of(b) * n_chunks + chunk]
                first[wave_of(b) * n_chunks + chunk] += 1
                in_order[i].query = <int32_t>row
                in_order[i].chunk = chunk
                in_order[i].score = beam[row * width + b].score
    return n_pairs


cdef int search_block(const Search *s, const Rows *rows, int64_t first_row,
                      int64_t n_rows, Workspace *ws) noexcept nogil:
    """Best k nodes of n_rows rows into ws.beam (n_rows x width), counts into ws.n_beam.

    Level by level, and within a level chunk by chunk: a chunk is read from memory once
    for all queries of the block that need it. -1 without memory.
    """
    cdef int64_t width = max(s.beam_size, s.k), row, i, n_pairs, capacity, longest = 0
    cdef int t
    cdef Buffer swap
    cdef Pair pair
    cdef xmr_query query
    cdef Candidate *heap
    cdef int64_t *n_heap
    for row in range(n_rows):
        longest = max(longest, query_of(rows, first_row + row).nnz)
    if not (reserve(&ws.beam, n_rows * width * sizeof(Candidate))
            and reserve(&ws.heap, n_rows * width * sizeof(Candidate))
            and reserve(&ws.n_beam, n_rows * sizeof(int64_t))
            and reserve(&ws.n_heap, n_rows * sizeof(int64_t))
            and reserve(&ws.hits, (longest + 1) * sizeof(xmr_hit))):
        return -1
    for row in range(n_rows):
        (<Candidate *>ws.beam.data)[row * width].node = 0
        (<Candidate *>ws.beam.data)[row * width].score = 0
        (<int64_t *>ws.n_beam.data)[row] = 1
    for t in range(s.n_levels):
        n_pairs = list_pairs(s, t, n_rows, width, ws)
        if n_pairs < 0:
            return -1
        heap, n_heap = <Candidate *>ws.heap.data, <int64_t *>ws.n_heap.data
        memset(n_heap, 0, n_rows * sizeof(int64_t))
        capacity = s.k if t == s.n_levels - 1 else s.beam_size
        for i in range(n_pairs):
            pair = (<Pair *>ws.sorted_pairs.data)[i]
            row = pair.query
            if is_hopeless(s, pair.score, heap + row * width, n_heap[row], capacity):
                continue
            query = query_of(rows, first_row + row)
            open_chunk(s, t, pair.chunk, pair.score, &query, heap + row * width,
                       &n_heap[row], capacity, ws)
        for row in range(n_rows):
            sort_best_first(heap + row * width, n_heap[row])
        swap = ws.beam
        ws.beam = ws.heap
        ws.heap = swap
        swap = ws.n_beam
        ws.n_beam = ws.n_heap
        ws.n_heap = swap
    return 0


# --- given labels -----------------------------------------------------------------------

cdef int score_labels(const Search *s, const int32_t *const *parent_of,
                      const int32_t *nodes, int64_t n, const xmr_query *query,
                      float *scores, int32_t *path, Workspace *ws) noexcept nogil:
    """Log scores of ascending nodes of the last level; `path` has n_levels x n places.

    Chunks on the way are opened once, for all the nodes below them.
    """
    cdef int t
    cdef int64_t i, chunk, opened, parent, first
    cdef const xmr_level *l
    cdef float above
    if not reserve(&ws.hits, (query.nnz + 1) * sizeof(xmr_hit)):
        return -1
    for i in range(n):
        path[(s.n_levels - 1) * n + i] = nodes[i]
        scores[i] = 0
    for t in range(s.n_levels - 1, 0, -1):
        for i in range(n):
            path[(t - 1) * n + i] = parent_of[t][path[t * n + i]]
    for t in range(s.n_levels):
        l = &s.levels[t]
        opened = -1
        above = 0
        for i in range(n):
            parent = 0 if t == 0 else path[(t - 1) * n + i]
            chunk = l.parent_ptr[parent]
            while l.child_ptr[chunk + 1] <= path[t * n + i]:
                chunk += 1
            first = l.child_ptr[chunk]
            if chunk != opened:
                xmr_score_chunk(l, chunk, query, <xmr_hit *>ws.hits.data, ws.scores)
                # All nodes below a parent carry its score so far.
                above = scores[i]
                xmr_log_scores(ws.scores, l.child_ptr[chunk + 1] - first, s.combiner, above)
                opened = chunk
            scores[i] = ws.scores[path[t * n + i] - first]
    return 0


# --- Python ---------------------------------------------------------------------------

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
    cdef object kept_alive, parents
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
        cdef const int64_t[::1] chunk_rows = weights.chunk_rows
        cdef const int64_t[::1] chunk_entries = weights.chunk_entries
        cdef const uint32_t[:, :, ::1] buckets = weights.buckets
        cdef const uint8_t[::1] low = weights.low.view(np.uint8)
        cdef const uint8_t[::1] counts = weights.counts
        cdef const uint8_t[::1] columns = weights.columns
        cdef const uint8_t[::1] values = weights.values.view(np.uint8)
        cdef const float[::1] scale = weights.scale
        cdef const float[::1] intercept = weights.intercept
        cdef const uint8_t[:, ::1] dense = weights.dense.view(np.uint8)
        cdef const float[::1] dense_scale = weights.dense_scale
        level.n_parents, level.n_nodes = parent_ptr.shape[0] - 1, intercept.shape[0]
        level.n_buckets = buckets.shape[1] - 1
        level.parent_ptr, level.child_ptr = &parent_ptr[0], &child_ptr[0]
        level.chunk_rows, level.chunk_entries = &chunk_rows[0], &chunk_entries[0]
        level.buckets = &buckets[0, 0, 0]
        level.shift, level.wide = weights.shift, weights.low.itemsize == 2
        level.low, level.counts = &low[0], &counts[0]
        level.columns = &columns[0] if columns.shape[0] else NULL
        level.values = &values[0] if values.shape[0] else NULL
        level.kind = VALUE_KINDS[str(weights.values.dtype)]
        level.scale, level.intercept = &scale[0], &intercept[0]
        level.n_dense = <int32_t>weights.dense.shape[1]
        if level.n_dense:
            level.dense, level.dense_scale = &dense[0, 0], &dense_scale[0]

    cdef Search _plan(self, int n_levels, beam_size, int64_t k, int combiner) except *:
        cdef Search s
        cdef int t
        cdef int64_t widest = 1
        for t in range(n_levels):
            widest = max(widest, self.levels[t].n_nodes)
        s.levels, s.n_levels, s.combiner = self.levels, n_levels, combiner
        s.label_order = &self.label_order[0] if n_levels == self.n_levels else NULL
        s.k = min(k, self.levels[n_levels - 1].n_nodes)
        s.beam_size = widest if beam_size is None else min(<int64_t>beam_size, widest)
        return s

    def search(self, const int64_t[::1] indptr, const int32_t[::1] indices,
               const float[::1] values, const float[:, ::1] dense, int n_levels,
               beam_size, int64_t k, int combiner, int n_threads):
        """The k best nodes of level ``n_levels - 1`` for every row, by beam search.

        Returns
        -------
        nodes : ndarray of int64 (n_rows, k)
            Labels for the last level, nodes above it; -1 where there are fewer.
        scores : ndarray of float32 (n_rows, k)
            Log scores (margins for the no-op combiner), -inf where there are fewer.
        """
        cdef Search s = self._plan(n_levels, beam_size, k, combiner)
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
                          beam_size, int64_t k, int combiner, int n_threads):
        """The k best labels for every row, row by row: exact with beam_size None.

        Returns
        -------
        labels, scores
            As in :meth:`search`.
        n_visited : ndarray of int64 (n_rows,)
            Nodes whose children were scored.
        """
        cdef Search s = self._plan(self.n_levels, beam_size, k, combiner)
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
                   const float[::1] dense, beam_size, int64_t k, int combiner):
        """The best labels of one row, and their scores; as many as the beam reaches."""
        cdef Search s = self._plan(self.n_levels, beam_size, k, combiner)
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
        cdef Search s = self._plan(self.n_levels, 1, 1, combiner)
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


def count_buckets(const int64_t[::1] chunk_rows, const int32_t[::1] features,
                  const uint8_t[::1] counts, int shift, uint32_t[:, :, ::1] buckets):
    """First row and first entry of each bucket of each chunk."""
    cdef int64_t chunk, row, first, last
    cdef int64_t n_buckets = buckets.shape[1] - 1, bucket
    cdef uint32_t entry
    with nogil:
        for chunk in range(chunk_rows.shape[0] - 1):
            first, last = chunk_rows[chunk], chunk_rows[chunk + 1]
            row, entry = first, 0
            for bucket in range(n_buckets + 1):
                while row < last and (features[row] >> shift) < bucket:
                    entry += counts[row] + 1
                    row += 1
                buckets[chunk, bucket, 0] = <uint32_t>(row - first)
                buckets[chunk, bucket, 1] = entry
