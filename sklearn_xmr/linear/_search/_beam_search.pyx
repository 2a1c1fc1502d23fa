"""Search of a label tree, in C: one query, a block of queries, given labels.

Scores are kept as logarithms: log sigmoid(v), or -max(0, 1 - v)**p for the l<p>-hinge,
summed along the path, where a node counts `path_weight` times as much as its children.
A child's score never exceeds its parent's, so a parent that scores below the worst of
the k best so far need not be opened.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memset

from sklearn_xmr.linear._constants cimport XMR_CHUNK_WIDTH, XMR_NOOP, XMR_QUERIES
from sklearn_xmr.linear._weights._level_pointers cimport xmr_level
from sklearn_xmr.utils._buffer cimport Buffer, reserve

cdef extern from "_chunk_scores.h" nogil:
    void xmr_score_chunk(const xmr_level *level, int64_t chunk, const xmr_query *query,
                         const float *dense_margins, xmr_hit *hits, float *scores)
    void xmr_dense_margins(const xmr_level *level, int64_t chunk, const float *const *x,
                           int n_queries, float *w, float *margins)
    void xmr_log_scores(float *scores, int64_t n, int combiner, float weight, float parent)
    int64_t xmr_candidates(const float *scores, int64_t n, float least, uint8_t *nodes)

cdef extern from "../../utils/_topk_heap.h" nogil:
    void offer "xmr_offer"(Candidate *heap, int64_t *n, int64_t capacity, Candidate new)
    void pop "xmr_pop"(Candidate *heap, int64_t *n)
    void sort_best_first "xmr_sort_best_first"(Candidate *heap, int64_t n)

cdef extern from *:
    """
    #define XMR_NO_LIMIT INT64_MAX
    """
    int64_t NO_LIMIT "XMR_NO_LIMIT"

cdef extern from "../../utils/_portable.h" nogil:
    void prefetch "xmr_prefetch"(const void *address)

cdef enum:
    WAVES = 3
    AHEAD = 4             # pairs whose queries are requested from memory


cdef struct Pair:
    int32_t query
    int64_t chunk
    float score           # the node's


cdef void free_workspace(SearchWorkspace *ws) noexcept nogil:
    free(ws.hits.data)
    free(ws.beam.data)
    free(ws.heap.data)
    free(ws.n_beam.data)
    free(ws.n_heap.data)
    free(ws.sorted_pairs.data)
    free(ws.first.data)
    free(ws.frontier.data)
    free(ws.dense_row.data)


cdef xmr_query query_of(const Instances *X, int64_t row) noexcept nogil:
    cdef xmr_query query
    query.nnz = X.indptr[row + 1] - X.indptr[row]
    query.indices = X.indices + X.indptr[row]
    query.values = X.values + X.indptr[row]
    query.dense = X.dense + row * X.n_dense
    return query


cdef inline bint is_hopeless(const Search *s, float parent, const Candidate *heap,
                             int64_t n, int64_t capacity) noexcept nogil:
    """Whether no child can enter the heap."""
    return s.combiner != XMR_NOOP and n == capacity and parent < heap[0].score


cdef int reserve_query(const Search *s, int64_t nnz, SearchWorkspace *ws) noexcept nogil:
    """Buffers that a query of so many sparse features needs; -1 without memory."""
    return 0 if (reserve(&ws.hits, (nnz + 1) * sizeof(xmr_hit))
                 and reserve(&ws.dense_row, (s.levels[0].n_dense + 1) * sizeof(float))) else -1


cdef void score_chunk(const xmr_level *l, int64_t chunk, const xmr_query *query,
                      const float *dense_margins, SearchWorkspace *ws) noexcept nogil:
    """Margins of a chunk's nodes into ws.scores.

    `dense_margins`: those of the dense features, where they have been computed.
    """
    if l.n_dense and dense_margins == NULL:
        xmr_dense_margins(l, chunk, &query.dense, 1, <float *>ws.dense_row.data,
                          &ws.dense_margins[0][0])
        dense_margins = ws.dense_margins[0]
    xmr_score_chunk(l, chunk, query, dense_margins, <xmr_hit *>ws.hits.data, ws.scores)


cdef inline float level_weight(const Search *s, int level) noexcept nogil:
    """What the log scores of a level count: 1 on the last."""
    cdef float weight = 1
    while level < s.n_levels - 1:
        weight *= s.path_weight
        level += 1
    return weight


cdef inline void log_scores(const Search *s, int level, int64_t first, int64_t width,
                            float parent, SearchWorkspace *ws) noexcept nogil:
    """Margins of the nodes first, first + 1, ... in ws.scores become log scores."""
    cdef int64_t i
    cdef const float *step
    xmr_log_scores(ws.scores, width, s.combiner, level_weight(s, level), parent)
    if s.weight_steps:
        step = s.weight_steps[level] + first
        for i in range(width):
            ws.scores[i] += step[i]


cdef void open_chunk(const Search *s, int level, int64_t chunk, float parent,
                     const xmr_query *query, const float *dense_margins, Candidate *heap,
                     int64_t *n, int64_t capacity, SearchWorkspace *ws) noexcept nogil:
    """Offer all nodes of a chunk to the heap."""
    cdef const xmr_level *l = &s.levels[level]
    cdef int64_t first = l.child_ptr[chunk], i, count
    cdef const int64_t *order = s.label_order if level == s.n_levels - 1 else NULL
    cdef Candidate new
    cdef uint8_t[XMR_CHUNK_WIDTH] nodes
    cdef int64_t width = l.child_ptr[chunk + 1] - first
    score_chunk(l, chunk, query, dense_margins, ws)
    log_scores(s, level, first, width, parent, ws)
    count = xmr_candidates(ws.scores, width, heap[0].score if n[0] == capacity else -INFINITY,
                           nodes)
    for i in range(count):
        new.score = ws.scores[nodes[i]]
        if n[0] == capacity and new.score < heap[0].score:
            continue
        new.node = <int32_t>(order[first + nodes[i]] if order else first + nodes[i])
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
                        int64_t n_heap, SearchWorkspace *ws) noexcept nogil:
    """Add the children of a node to the frontier, but for those that are hopeless."""
    cdef const xmr_level *l = &s.levels[level]
    cdef int64_t chunk, first, c, width
    cdef Candidate new
    for chunk in range(l.parent_ptr[node], l.parent_ptr[node + 1]):
        first = l.child_ptr[chunk]
        width = l.child_ptr[chunk + 1] - first
        score_chunk(l, chunk, query, NULL, ws)
        log_scores(s, level, first, width, score, ws)
        for c in range(width):
            if is_hopeless(s, ws.scores[c], heap, n_heap, s.k):
                continue
            new.score = -ws.scores[c]
            new.node = encode_node(s, level + 1, first + c)
            offer(<Candidate *>ws.frontier.data, n_open, NO_LIMIT, new)


cdef int64_t search_best_first(const Search *s, const xmr_query *query,
                               int64_t *n_visited, SearchWorkspace *ws) noexcept nogil:
    """Best k labels into ws.heap, best first; their number, or -1 without memory.

    Opens the best node found so far, until no open node scores above the k-th best
    label: that is exact. At most beam_size nodes are opened on each level. As nodes of
    a level are opened from the best down, these are those that a beam keeps: the
    result is the beam's, mostly at a fraction of its cost. `n_visited` becomes the
    number of nodes opened. Not for XMR_NOOP, whose children may score above their parents.
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
    if not (frontier and heap and opened) or reserve_query(s, query.nnz, ws) < 0:
        return -1
    memset(opened, 0, s.n_levels * sizeof(int64_t))
    frontier[0].score, frontier[0].node = -s.root_score, encode_node(s, 0, 0)
    n_visited[0] = 0
    while n_open > 0:
        best = frontier[0]
        if is_hopeless(s, -best.score, heap, n_heap, s.k):
            break
        pop(frontier, &n_open)
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
            open_chunk(s, level, chunk, -best.score, query, NULL, heap, &n_heap, s.k, ws)
    sort_best_first(heap, n_heap)
    return n_heap


# --- a block of queries ---------------------------------------------------------------

cdef inline int wave_of(int64_t b) noexcept nogil:
    """A query's best node goes first, its next two second: they close the others."""
    return 0 if b == 0 else (1 if b < 3 else 2)


cdef int64_t list_pairs(const Search *s, int level, int64_t n_rows, int64_t width,
                        SearchWorkspace *ws) noexcept nogil:
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


cdef void request_query(const Instances *X, int64_t row, const Pair *pairs,
                        int64_t n_left) noexcept nogil:
    """Ask memory for the queries of later pairs: they come in any order."""
    cdef int64_t later
    if n_left <= 2 * AHEAD:
        return
    prefetch(X.indptr + row + pairs[2 * AHEAD].query)
    later = X.indptr[row + pairs[AHEAD].query]
    prefetch(X.indices + later)
    prefetch(X.values + later)


cdef void open_for_many(const Search *s, int level, const Instances *X, int64_t first_row,
                        const Pair *pairs, int64_t n_pairs, int64_t n_left,
                        int64_t capacity, SearchWorkspace *ws) noexcept nogil:
    """Open a chunk for up to XMR_QUERIES queries, but for those to which it is hopeless."""
    cdef int64_t width = max(s.beam_size, s.k), i, row, n = 0
    cdef Candidate *heap = <Candidate *>ws.heap.data
    cdef int64_t *n_heap = <int64_t *>ws.n_heap.data
    cdef const float *dense[XMR_QUERIES]
    cdef int64_t wanted[XMR_QUERIES]
    cdef xmr_query query
    for i in range(n_pairs):
        request_query(X, first_row, pairs + i, n_left - i)
        row = pairs[i].query
        if not is_hopeless(s, pairs[i].score, heap + row * width, n_heap[row], capacity):
            wanted[n] = i
            dense[n] = X.dense + (first_row + row) * X.n_dense
            n += 1
    if n and X.n_dense:
        xmr_dense_margins(&s.levels[level], pairs[0].chunk, dense, <int>n,
                          <float *>ws.dense_row.data, &ws.dense_margins[0][0])
    for i in range(n):
        row = pairs[wanted[i]].query
        query = query_of(X, first_row + row)
        open_chunk(s, level, pairs[0].chunk, pairs[wanted[i]].score, &query,
                   &ws.dense_margins[i][0] if X.n_dense else NULL,
                   heap + row * width, &n_heap[row], capacity, ws)


cdef int start_beams(const Search *s, const Instances *X, int64_t first_row, int64_t n_rows,
                     int64_t width, SearchWorkspace *ws) noexcept nogil:
    """A beam for each row that holds the root; -1 without memory."""
    cdef int64_t row, longest = 0
    cdef Candidate *beam
    cdef int64_t *n_beam
    for row in range(n_rows):
        longest = max(longest, query_of(X, first_row + row).nnz)
    beam = <Candidate *>reserve(&ws.beam, n_rows * width * sizeof(Candidate))
    n_beam = <int64_t *>reserve(&ws.n_beam, n_rows * sizeof(int64_t))
    if not (beam and n_beam and reserve_query(s, longest, ws) == 0
            and reserve(&ws.heap, n_rows * width * sizeof(Candidate))
            and reserve(&ws.n_heap, n_rows * sizeof(int64_t))):
        return -1
    for row in range(n_rows):
        beam[row * width].node, beam[row * width].score = 0, s.root_score
        n_beam[row] = 1
    return 0


cdef void open_pairs(const Search *s, int level, const Instances *X, int64_t first_row,
                     int64_t n_pairs, SearchWorkspace *ws) noexcept nogil:
    """Open the chunks of all pairs, each for up to XMR_QUERIES queries at once."""
    cdef const Pair *pairs = <const Pair *>ws.sorted_pairs.data
    cdef int64_t capacity = s.k if level == s.n_levels - 1 else s.beam_size
    cdef int64_t i = 0, n
    while i < n_pairs:
        n = 1
        while i + n < n_pairs and n < XMR_QUERIES and pairs[i + n].chunk == pairs[i].chunk:
            n += 1
        open_for_many(s, level, X, first_row, pairs + i, n, n_pairs - i, capacity, ws)
        i += n


cdef void heaps_to_beams(int64_t n_rows, int64_t width, SearchWorkspace *ws) noexcept nogil:
    """The heaps, best first, become the next level's beams."""
    cdef int64_t row
    cdef Buffer swap
    for row in range(n_rows):
        sort_best_first(<Candidate *>ws.heap.data + row * width,
                        (<int64_t *>ws.n_heap.data)[row])
    swap = ws.beam
    ws.beam = ws.heap
    ws.heap = swap
    swap = ws.n_beam
    ws.n_beam = ws.n_heap
    ws.n_heap = swap


cdef int search_block(const Search *s, const Instances *X, int64_t first_row,
                      int64_t n_rows, SearchWorkspace *ws) noexcept nogil:
    """Best k nodes of n_rows rows into ws.beam (n_rows x width), counts into ws.n_beam.

    Level by level, and within a level chunk by chunk: a chunk is read from memory once
    for all queries of the block that need it. -1 without memory.
    """
    cdef int64_t width = max(s.beam_size, s.k), n_pairs
    cdef int t
    if start_beams(s, X, first_row, n_rows, width, ws) < 0:
        return -1
    for t in range(s.n_levels):
        n_pairs = list_pairs(s, t, n_rows, width, ws)
        if n_pairs < 0:
            return -1
        memset(ws.n_heap.data, 0, n_rows * sizeof(int64_t))
        open_pairs(s, t, X, first_row, n_pairs, ws)
        heaps_to_beams(n_rows, width, ws)
    return 0


# --- given labels -----------------------------------------------------------------------

cdef int score_labels(const Search *s, const int32_t *const *parent_of,
                      const int32_t *nodes, int64_t n, const xmr_query *query,
                      float *scores, int32_t *path, SearchWorkspace *ws) noexcept nogil:
    """Log scores of ascending nodes of the last level; `path` has n_levels x n places.

    Chunks on the way are opened once, for all the nodes below them.
    """
    cdef int t
    cdef int64_t i, chunk, opened, parent, first
    cdef const xmr_level *l
    cdef float above
    if reserve_query(s, query.nnz, ws) < 0:
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
                score_chunk(l, chunk, query, NULL, ws)
                # All nodes below a parent carry its score so far.
                above = scores[i]
                xmr_log_scores(ws.scores, l.child_ptr[chunk + 1] - first, s.combiner,
                               level_weight(s, t), above)
                opened = chunk
            scores[i] = ws.scores[path[t * n + i] - first]
    return 0
