"""Train the one-against-siblings problems of a label tree, node by node.

A *node* is a parent and its children: one binary problem per child, all on the
same rows. Up to XMR_CHUNK_WIDTH children of a node make a *chunk*, up to XMR_LANES of
a chunk a *block*. A task takes a chunk (or, of a large node, one block), copies the
node's rows with their features renumbered 0 .. d_node - 1, and solves each block's
children in lockstep (``_dual_ascent.h``). What survives pruning goes straight into the
form in which the search reads it: nothing of the size of features x labels is ever made.

Every block has its own random stream and its own buffers, so the model does not
depend on the number of threads.
"""

from cython.parallel cimport parallel, threadid
from libc.float cimport FLT_MAX
from libc.math cimport sqrtf
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from sklearn_xmr.linear._constants import LOSSES, VALUE_TYPES

from sklearn_xmr.linear._constants cimport (
    XMR_CHUNK_BLOCKS,
    XMR_CHUNK_WIDTH,
    XMR_INT8,
    XMR_LANES,
    XMR_LOGISTIC,
    XMR_MINED,
    XMR_OWN,
)
from sklearn_xmr.linear._solver._chunk_builder cimport (
    Chunk, Piece, free_chunk, free_piece, merge_pieces
)
from sklearn_xmr.linear._weights._bucket_layout cimport (
    ChunkRows, Layout, fill_chunk, layout_chunk
)
from sklearn_xmr.linear._weights._level_pointers cimport LevelPointers, xmr_level
from sklearn_xmr.utils._buffer cimport Buffer, reserve
from sklearn_xmr.utils._compact_rows cimport (
    CSR, CompactRows, CompactWorkspace, compact_rows, free_compact_workspace,
    init_compact_workspace
)
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._pointers cimport (
    float_pointer, int32_pointer, int64_pointer, uint8_pointer
)

from sklearn_xmr.utils._work cimport Signals, Work, leave, should_stop, stop, take

cdef extern from "_dual_ascent.h" nogil:
    ctypedef struct xmr_block:
        const int64_t *indptr
        const int32_t *indices
        const float *values
        const float *sq_norm
        const float *shrink
        const float *dense
        const int32_t *dense_rows
        int32_t n_dense
        float beta
        int n_vectors
        int32_t bias_row
        float *W
        const float *gram
        float *margins
        int64_t n_rows
        float *dual
        const float *cost
        float positive_cost, negative_cost
        const uint8_t *use
        float mined_cost
        int loss
        const uint32_t *positive
        const uint32_t *member
        uint32_t *pending
        uint32_t live
        float idle
        const int32_t *order
        int64_t n_visits
        float pmax[XMR_LANES]
        float pmin[XMR_LANES]

    void xmr_run_pass(xmr_block *b)
    void xmr_make_gram(const xmr_block *block, int32_t *order, float *gram)
    void xmr_weights_from_dual(xmr_block *b, int32_t *order)
    int64_t xmr_kept_weights(const xmr_block *b, float threshold, uint32_t lanes,
                             uint32_t *kept, float *largest)

cdef extern from "../_weights/_values.h" nogil:
    int64_t xmr_item(int kind)
    float xmr_value(const void *values, int kind, int64_t at)

cdef extern from "../_weights/_chunk_lookup.h" nogil:
    ctypedef struct xmr_hit:
        const uint8_t *units
        int32_t count
        float x

    const uint32_t *xmr_bucket(const xmr_level *level, int64_t chunk, int32_t feature)
    int xmr_find(const xmr_level *level, const uint8_t *packed, int32_t feature,
                 const uint32_t *bucket, xmr_hit *hit)

cdef extern from "../../utils/_portable.h" nogil:
    int xmr_lowest_bit(uint32_t x)
    int xmr_count_bits(uint32_t x)

cdef enum:
    PARTIAL_PASSES = 3    # over pending rows, between two passes over all
    MOST_GRAM_ROWS = 4096  # their products take 64 MB
    AUTO = 0              # modes: by cost, all nodes on W, small ones on products
    GRAM = 2

# Projected gradients up to this share of tol are left alone within a pass. A few new
# instances change only the known nodes that mistake them by tol: half of the nodes. With
# many, 20 parts of Tate's data, that would cost 0.6 points of P@5.
cdef float IDLE = 0.2, IDLE_FEW = 1.0
cdef int64_t FEW_ROWS = 16
# Logit of alpha / U from which the logistic dual starts: alpha = 2e-9 U, w = 0.
cdef float LOGISTIC_START = -20.0

MODES = {"auto": AUTO, "rows": 1, "gram": GRAM}
# Cost model of Gram mode: microseconds of a fit, per row and full block of labels, that
# margins and steps on W take (constant, per sparse, per dense feature), and those, per
# pair of rows, that steps on margins take (per block) and making the products (once).
# A least-squares fit to the times of benchmarks/solver_modes.py.
cdef float SAVED = 0.38, SAVED_SPARSE = 0.037, SAVED_DENSE = 0.0062
cdef float STEP = 0.0161, PRODUCT_SPARSE = 0.00047, PRODUCT_DENSE = 0.000058


cdef struct SolverWorkspace:
    # One thread's buffers, reused from task to task.
    CompactWorkspace compact
    Buffer sq_norm, W, gram, margins, dual, cost, positive, member, pending, order, kept
    Buffer squares, shrink, values, dense    # of a node whose weights are known
    Buffer hits, known
    int64_t[XMR_CHUNK_BLOCKS + 1] known_ptr  # block of the task -> known weights
    Work *work            # of all threads
    int thread


cdef struct Data:
    CSR X
    const float *dense    # n_rows x n_dense
    int32_t n_dense
    const float *sq_norm  # |x_i|^2 + beta^2, both kinds of features
    float beta            # value of the bias feature


cdef struct Problem:
    const int64_t *parent_ptr       # parent -> rows
    const int32_t *parent_rows
    const uint8_t *parent_use       # per parent row, or NULL: XMR_OWN, _ALL or _MINED
    const int64_t *positive_ptr     # child -> positive rows
    const int32_t *positive_rows
    const float *positive_weight    # per positive, or NULL: relevance
    const float *row_weight         # per row of X, or NULL: sample weights
    const int64_t *chunk_parent     # chunk -> parent
    const int64_t *chunk_child      # chunk -> first child
    const int64_t *block_ptr        # chunk -> blocks
    const int32_t *block_children   # blocks x XMR_LANES: child, or -1
    int64_t first_child             # its number in the whole training, for the seeds


cdef struct Prior:
    # What is known of the children before: their weights, and how surely.
    const xmr_level *level      # or NULL
    const int64_t *chunks       # chunk of the problem -> chunk of the level
    const float *evidence       # block -> what multiplies mean squares
    const float *mean_squares   # of features, then dense features


cdef struct KnownWeight:
    int32_t feature       # its number among those of the node's rows
    int32_t lane
    float weight


cdef struct Settings:
    int loss
    float positive_cost, negative_cost, mined_cost
    float tol, idle
    int max_iter
    float threshold
    int value_kind
    int mode
    uint64_t seed


cdef struct Output:
    Piece *pieces         # per block, until its chunk is merged
    Chunk *chunks
    int32_t **reached     # per chunk whose weights were known: features of its rows, ascending
    int64_t *n_reached
    float *intercept      # per child
    float *scale          # per child: value of the code 1
    float *dense          # per child: n_dense weights
    uint8_t *changed      # per child: 1 where there are weights of it
    int32_t *n_iter       # per block


cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    """SplitMix64: turns consecutive seeds into independent ones."""
    x = x + <uint64_t>0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint32_t next_random(uint64_t *state) noexcept nogil:
    state[0] = state[0] * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
    return <uint32_t>(state[0] >> 32)


cdef void shuffle(int32_t *items, int64_t n, uint64_t *state) noexcept nogil:
    cdef int64_t i, j
    cdef int32_t swapped
    for i in range(n - 1):
        j = i + <int64_t>((<uint64_t>next_random(state) * <uint64_t>(n - i)) >> 32)
        swapped = items[i]
        items[i] = items[j]
        items[j] = swapped


# --- one block of children --------------------------------------------------------------

cdef int gather_rows(const Data *data, const int32_t *rows, int64_t n,
                     SolverWorkspace *ws, CompactRows *node, xmr_block *b) noexcept nogil:
    """Point the block at the node's rows; -1 without memory."""
    cdef int64_t i
    cdef float *sq_norm
    if compact_rows(&data.X, rows, n, &ws.compact, node) < 0:
        return -1
    sq_norm = <float *>reserve(&ws.sq_norm, n * sizeof(float))
    if sq_norm == NULL:
        return -1
    for i in range(n):
        sq_norm[i] = data.sq_norm[rows[i]]
    b.indptr, b.indices = node.rows.indptr, node.rows.indices
    b.values, b.sq_norm = node.rows.values, sq_norm
    b.beta, b.bias_row = data.beta, node.rows.n_features
    b.dense, b.n_dense = data.dense, data.n_dense
    b.dense_rows = NULL
    if n < data.X.n_rows:
        b.dense_rows = rows
    b.n_rows = n
    b.gram = NULL
    b.shrink = NULL
    return 0


cdef inline int64_t find_row(const int32_t *rows, int64_t start, int64_t n,
                             int32_t row) noexcept nogil:
    """Position of `row` in the sorted `rows`, known to be at or after `start`."""
    cdef int64_t step = 1, lo = start, hi, mid
    while lo + step < n and rows[lo + step] <= row:
        lo += step
        step *= 2
    hi = lo + step if lo + step < n else n
    while hi - lo > 1:
        mid = (lo + hi) // 2
        if rows[mid] <= row:
            lo = mid
        else:
            hi = mid
    return lo


cdef uint32_t used_lanes(const int32_t *children) noexcept nogil:
    cdef uint32_t bits = 0
    cdef int lane
    for lane in range(XMR_LANES):
        if children[lane] >= 0:
            bits |= (<uint32_t>1) << lane
    return bits


cdef void mark_positives(const Problem *problem, int64_t parent, const int32_t *children,
                         const Settings *settings, uint32_t *positive, uint32_t *member,
                         float *cost, int lanes) noexcept nogil:
    """Set the positive and member bits (and costs, where not all equal) of a block."""
    cdef int64_t start = problem.parent_ptr[parent]
    cdef int64_t n = problem.parent_ptr[parent + 1] - start
    cdef const int32_t *rows = problem.parent_rows + start
    cdef uint32_t all_lanes = used_lanes(children)
    cdef const float *positive_weight = problem.positive_weight
    cdef const float *row_weight = problem.row_weight
    cdef int64_t i, k, at
    cdef int lane
    cdef float relevance
    for i in range(n):
        positive[i] = 0
        member[i] = all_lanes
        if problem.parent_use and problem.parent_use[start + i] == XMR_OWN:
            member[i] = 0
    if cost:
        for i in range(n * lanes):
            at = i // lanes
            cost[i] = row_weight[rows[at]] if row_weight else 1
            if problem.parent_use and problem.parent_use[start + at] == XMR_MINED:
                cost[i] *= settings.mined_cost
            else:
                cost[i] *= settings.negative_cost
    for lane in range(lanes):
        if children[lane] < 0:
            continue
        at = 0
        for k in range(problem.positive_ptr[children[lane]],
                       problem.positive_ptr[children[lane] + 1]):
            at = find_row(rows, at, n, problem.positive_rows[k])
            positive[at] |= (<uint32_t>1) << lane
            member[at] |= (<uint32_t>1) << lane
            if cost:
                relevance = positive_weight[k] if positive_weight else 1
                cost[at * lanes + lane] = settings.positive_cost * relevance * (
                    row_weight[rows[at]] if row_weight else 1)
                if relevance <= 0:
                    member[at] &= ~((<uint32_t>1) << lane)


cdef int64_t rows_with(const uint32_t *bits, uint32_t wanted, int64_t n,
                       int32_t *rows) noexcept nogil:
    """The rows that have any of the wanted bits; how many."""
    cdef int64_t i, count = 0
    for i in range(n):
        rows[count] = <int32_t>i
        count += (bits[i] & wanted) != 0
    return count


cdef void stop_converged(xmr_block *b, float tol) noexcept nogil:
    cdef int lane
    for lane in range(8 * b.n_vectors):
        if b.pmax[lane] - b.pmin[lane] <= tol:
            b.live &= ~((<uint32_t>1) << lane)


cdef int descend(xmr_block *b, int64_t n, const Settings *settings, uint64_t seed,
                 SolverWorkspace *ws) noexcept nogil:
    """Dual coordinate descent until every lane converges; the number of passes.

    After a pass over all rows come some over those that moved in the one before: a
    lane has converged when a pass over all its rows says so.
    """
    cdef uint64_t state = mix(seed)
    cdef int32_t *order = <int32_t *>ws.order.data
    cdef int iteration
    cdef bint partial
    cdef const uint32_t *wanted
    b.idle = settings.idle * settings.tol
    for iteration in range(settings.max_iter):
        if should_stop(ws.work, ws.thread):
            break
        partial = settings.loss != XMR_LOGISTIC and iteration % (PARTIAL_PASSES + 1) != 0
        wanted = b.member
        if partial:
            wanted = b.pending
        b.n_visits = rows_with(wanted, b.live, n, order)
        shuffle(order, b.n_visits, &state)
        xmr_run_pass(b)
        if not partial:
            stop_converged(b, settings.tol)
            if b.live == 0:
                return iteration + 1
    return settings.max_iter


cdef inline size_t n_weights(const xmr_block *b, int lanes) noexcept nogil:
    return (<size_t>b.bias_row + 1 + b.n_dense) * lanes


cdef int reserve_block(const Problem *problem, int64_t n, int lanes, bint gram,
                       SolverWorkspace *ws, xmr_block *b) noexcept nogil:
    """Buffers of a block of so many lanes; -1 without memory."""
    b.W = <float *>reserve(&ws.W, n_weights(b, lanes) * sizeof(float))
    b.dual = <float *>reserve(&ws.dual, n * lanes * sizeof(float))
    b.positive = <uint32_t *>reserve(&ws.positive, n * sizeof(uint32_t))
    b.member = <uint32_t *>reserve(&ws.member, n * sizeof(uint32_t))
    b.pending = <uint32_t *>reserve(&ws.pending, n * sizeof(uint32_t))
    b.order = <int32_t *>reserve(&ws.order, n * sizeof(int32_t))
    b.cost = NULL
    if problem.positive_weight or problem.row_weight:
        b.cost = <float *>reserve(&ws.cost, n * lanes * sizeof(float))
        if b.cost == NULL:
            return -1
    b.gram = <float *>ws.gram.data if gram else NULL
    if gram:
        b.margins = <float *>reserve(&ws.margins, n * lanes * sizeof(float))
        if b.margins == NULL:
            return -1
    return 0 if b.W and b.dual and b.positive and b.member and b.pending and b.order else -1


cdef int solve_block(const Problem *problem, const Prior *prior, int64_t chunk,
                     int64_t block, int64_t number, bint gram, const Settings *settings,
                     SolverWorkspace *ws, xmr_block *b) noexcept nogil:
    """Weights of one block, a task's number-th, into ws.W; the passes, or -1."""
    cdef int64_t parent = problem.chunk_parent[chunk]
    cdef int64_t i, n = problem.parent_ptr[parent + 1] - problem.parent_ptr[parent]
    cdef const int32_t *children = problem.block_children + block * XMR_LANES
    cdef int lanes, passes
    cdef float start = LOGISTIC_START if settings.loss == XMR_LOGISTIC else 0.0
    b.live = used_lanes(children)
    b.n_vectors = (xmr_count_bits(b.live) + 7) // 8
    lanes = 8 * b.n_vectors
    if reserve_block(problem, n, lanes, gram, ws, b) < 0:
        return -1
    memset(b.W, 0, n_weights(b, lanes) * sizeof(float))
    memset(b.pending, 0, n * sizeof(uint32_t))
    if gram:
        memset(b.margins, 0, n * lanes * sizeof(float))
    for i in range(n * lanes):
        b.dual[i] = start
    if prior.level:
        start_from_known(problem, prior, chunk, children, number, ws, b)
    mark_positives(problem, parent, children, settings, <uint32_t *>b.positive,
                   <uint32_t *>b.member, <float *>b.cost, lanes)
    b.positive_cost, b.negative_cost = settings.positive_cost, settings.negative_cost
    b.mined_cost = settings.mined_cost
    b.use = NULL
    if problem.parent_use:
        b.use = problem.parent_use + problem.parent_ptr[parent]
    b.loss = settings.loss
    passes = descend(b, n, settings, settings.seed ^ mix(
        <uint64_t>(problem.first_child + children[0])), ws)
    if gram:
        xmr_weights_from_dual(b, <int32_t *>ws.order.data)
    return passes


cdef uint32_t changed_lanes(const xmr_block *b) noexcept nogil:
    """The lanes whose weights are not what they were: a dual variable has left zero."""
    cdef int64_t i, lanes = 8 * b.n_vectors
    cdef uint32_t bits = 0
    cdef int lane
    cdef float[XMR_LANES] largest
    if b.loss == XMR_LOGISTIC:
        return <uint32_t>-1
    memset(largest, 0, sizeof(largest))
    for i in range(b.n_rows):
        for lane in range(<int>lanes):
            largest[lane] = max(largest[lane], b.dual[i * lanes + lane])
    for lane in range(<int>lanes):
        bits |= <uint32_t>(largest[lane] > 0) << lane
    return bits


# --- children whose weights are known -------------------------------------------------------
#
# Their weights w0 come from earlier rows, which are gone. In place of |w|^2, the penalty is
# sum_f d_f (w_f - w0_f)^2, where d_f = 1 + evidence * mean square of the feature: what the
# Hessian of the earlier rows' losses has on its diagonal. With rows x_f / sqrt(d_f) and
# weights sqrt(d_f) w_f, this is the usual problem, but starts from w0; the intercept is the
# same for both.

cdef int take_squares(const Data *data, const Prior *prior, const CompactRows *node,
                      SolverWorkspace *ws) noexcept nogil:
    """Mean squares of the features of the node's rows, dense ones last; -1 without memory."""
    cdef int32_t f, n_sparse = node.rows.n_features
    cdef float *squares = <float *>reserve(
        &ws.squares, (n_sparse + data.n_dense) * sizeof(float))
    if squares == NULL:
        return -1
    for f in range(n_sparse):
        squares[f] = prior.mean_squares[node.features[f] if node.features else f]
    for f in range(data.n_dense):
        squares[n_sparse + f] = prior.mean_squares[data.X.n_features + f]
    return 0


cdef int read_known(const Problem *problem, const Prior *prior, int64_t chunk, int64_t first,
                    int64_t last, const CompactRows *node, SolverWorkspace *ws) noexcept nogil:
    """The known weights of the node's features, block by block; -1 without memory.

    A chunk's rows have the weights of all of its blocks, so they are read once for all.
    """
    cdef int16_t[XMR_CHUNK_WIDTH] place  # of a child: block * XMR_LANES + lane, or -1
    cdef const int32_t *children = problem.block_children + first * XMR_LANES
    cdef int64_t i, n = node.rows.n_features
    cdef xmr_hit *hits = <xmr_hit *>reserve(&ws.hits, n * sizeof(xmr_hit))
    if hits == NULL:
        return -1
    memset(place, 0xff, sizeof(place))  # -1
    for i in range((last - first) * XMR_LANES):
        if children[i] >= 0:
            place[children[i] - problem.chunk_child[chunk]] = <int16_t>i
    find_rows(prior, chunk, node, hits)
    memset(ws.known_ptr, 0, sizeof(ws.known_ptr))
    visit_known(prior, chunk, place, hits, n, ws.known_ptr + 1, NULL)
    for i in range(last - first):
        ws.known_ptr[i + 1] += ws.known_ptr[i]
    if reserve(&ws.known, ws.known_ptr[last - first] * sizeof(KnownWeight)) == NULL:
        return -1
    visit_known(prior, chunk, place, hits, n, ws.known_ptr, <KnownWeight *>ws.known.data)
    for i in range(last - first, 0, -1):  # each has moved on to the next one
        ws.known_ptr[i] = ws.known_ptr[i - 1]
    ws.known_ptr[0] = 0
    return 0


cdef void find_rows(const Prior *prior, int64_t chunk, const CompactRows *node,
                    xmr_hit *hits) noexcept nogil:
    """The rows of the node's features in the known chunk; no units where there is none.

    ``x``, of which a search makes the feature's value, is the kind of row here.
    """
    cdef const xmr_level *level = prior.level
    cdef int64_t at = prior.chunks[chunk]
    cdef int32_t f, feature
    for f in range(node.rows.n_features):
        feature = node.features[f] if node.features else f
        hits[f].x = xmr_find(level, level.chunks[at].packed, feature,
                             xmr_bucket(level, at, feature), &hits[f])
        if hits[f].x == 0:
            hits[f].units = NULL


cdef void visit_known(const Prior *prior, int64_t chunk, const int16_t *place,
                      const xmr_hit *hits, int64_t n_features, int64_t *ends,
                      KnownWeight *known) noexcept nogil:
    """Count each block's known weights in ``ends``, or put them there and move it on."""
    cdef const xmr_level *level = prior.level
    cdef int64_t at = prior.chunks[chunk], first = level.child_ptr[at]
    cdef int64_t f, e, n, column
    cdef const uint8_t *values
    cdef KnownWeight *out
    cdef bint full
    for f in range(n_features):
        if hits[f].units == NULL:
            continue
        full = hits[f].x == 2  # of a value for each child
        n = level.child_ptr[at + 1] - first if full else hits[f].count
        values = hits[f].units if full else hits[f].units + n
        for e in range(n):
            column = e if full else hits[f].units[e]
            if place[column] < 0:
                continue
            if known:
                out = &known[ends[place[column] // XMR_LANES]]
                out.feature, out.lane = <int32_t>f, place[column] % XMR_LANES
                out.weight = xmr_value(values, level.kind, e) * level.scale[first + column]
            ends[place[column] // XMR_LANES] += 1


cdef int shrink_rows(const Data *data, const Prior *prior, int64_t block,
                     const int32_t *rows, const CompactRows *node, SolverWorkspace *ws,
                     xmr_block *b) noexcept nogil:
    """Point the block at rows whose features are divided by sqrt(d); -1 without memory."""
    cdef int32_t f, n_sparse = b.bias_row
    cdef int64_t i, k, nnz = node.rows.indptr[b.n_rows]
    cdef float evidence = prior.evidence[block], squares
    cdef const float *mean_squares = <const float *>ws.squares.data
    cdef float *shrink = <float *>reserve(&ws.shrink, (n_sparse + b.n_dense) * sizeof(float))
    cdef float *values = <float *>reserve(&ws.values, nnz * sizeof(float))
    cdef float *sq_norm = <float *>reserve(&ws.sq_norm, b.n_rows * sizeof(float))
    cdef float *dense = <float *>reserve(&ws.dense, b.n_rows * b.n_dense * sizeof(float))
    cdef const float *dense_row
    if not (shrink and values and sq_norm and dense):
        return -1
    for f in range(n_sparse + b.n_dense):
        shrink[f] = 1 / sqrtf(1 + evidence * mean_squares[f])
    b.beta = data.beta / sqrtf(1 + evidence * data.beta * data.beta)
    for i in range(b.n_rows):
        squares = b.beta * b.beta
        for k in range(node.rows.indptr[i], node.rows.indptr[i + 1]):
            values[k] = node.rows.values[k] * shrink[node.rows.indices[k]]
            squares += values[k] * values[k]
        dense_row = data.dense + <int64_t>b.n_dense * rows[i]
        for f in range(b.n_dense):
            dense[i * b.n_dense + f] = dense_row[f] * shrink[n_sparse + f]
            squares += dense[i * b.n_dense + f] * dense[i * b.n_dense + f]
        sq_norm[i] = squares
    b.values, b.sq_norm, b.shrink = values, sq_norm, shrink
    if b.n_dense:
        b.dense = dense
        b.dense_rows = NULL
    return 0


cdef inline float *weight_of(xmr_block *b, int32_t feature, int lane) noexcept nogil:
    """Of a sparse feature, the bias, or a dense feature, which come in this order."""
    cdef int64_t lanes = 8 * b.n_vectors, dense = feature - b.bias_row - 1
    if dense < 0:
        return b.W + feature * lanes + lane
    return b.W + (b.bias_row + 1) * lanes + (lane // 8 * b.n_dense + dense) * 8 + lane % 8


cdef void start_from_known(const Problem *problem, const Prior *prior, int64_t chunk,
                           const int32_t *children, int64_t number, SolverWorkspace *ws,
                           xmr_block *b) noexcept nogil:
    """Set W, which is zeros, to the known weights, as weights of the shrunk rows."""
    cdef const float *shrink = b.shrink
    cdef const xmr_level *level = prior.level
    cdef const KnownWeight *known = <const KnownWeight *>ws.known.data
    cdef int64_t first = level.child_ptr[prior.chunks[chunk]], child, k
    cdef int lane
    cdef int32_t f
    for lane in range(8 * b.n_vectors):
        if children[lane] < 0:
            continue
        child = first + children[lane] - problem.chunk_child[chunk]
        if b.beta > 0:
            weight_of(b, b.bias_row, lane)[0] = level.intercept[child] / b.beta
        for f in range(b.n_dense):
            weight_of(b, b.bias_row + 1 + f, lane)[0] = level.dense_scale[child] * xmr_value(
                level.dense, level.kind, child * b.n_dense + f) / shrink[b.bias_row + f]
    for k in range(ws.known_ptr[number], ws.known_ptr[number + 1]):
        f = known[k].feature
        b.W[<int64_t>f * 8 * b.n_vectors + known[k].lane] = known[k].weight / shrink[f]


# --- Gram mode -------------------------------------------------------------------------

cdef bint prefers_gram(const Settings *settings, const xmr_block *b,
                       int64_t n_blocks) noexcept nogil:
    """Whether a node is solved faster on the products of its rows."""
    cdef float sparse = <float>b.indptr[b.n_rows] / max(b.n_rows, 1)
    cdef float saved = SAVED + SAVED_SPARSE * sparse + SAVED_DENSE * b.n_dense
    cdef float products = PRODUCT_SPARSE * sparse + PRODUCT_DENSE * b.n_dense
    if settings.mode != AUTO:
        return settings.mode == GRAM and b.n_rows <= MOST_GRAM_ROWS
    return n_blocks * saved > b.n_rows * (n_blocks * STEP + products)


cdef int prepare_gram(SolverWorkspace *ws, xmr_block *b) noexcept nogil:
    """The products of all rows into ws.gram; -1 without memory."""
    cdef float *gram = <float *>reserve(&ws.gram, b.n_rows * b.n_rows * sizeof(float))
    cdef int32_t *order = <int32_t *>reserve(&ws.order, b.n_rows * sizeof(int32_t))
    b.W = <float *>reserve(&ws.W, n_weights(b, XMR_LANES) * sizeof(float))
    if not (gram and order and b.W):
        return -1
    memset(b.W, 0, n_weights(b, XMR_LANES) * sizeof(float))
    xmr_make_gram(b, order, gram)
    return 0


# --- pruned weights -------------------------------------------------------------------------

cdef int reserve_piece(const uint32_t *kept, int32_t n_features, int64_t n_entries,
                       Piece *piece) noexcept nogil:
    """Memory for the features of which any lane is kept; -1 without."""
    cdef int32_t f
    piece.n_entries, piece.n_rows = n_entries, 0
    for f in range(n_features):
        piece.n_rows += kept[f] != 0
    piece.features = <int32_t *>malloc(piece.n_rows * sizeof(int32_t) + 1)
    piece.kept = <uint32_t *>malloc(piece.n_rows * sizeof(uint32_t) + 1)
    piece.weights = <float *>malloc(piece.n_entries * sizeof(float) + 1)
    return 0 if piece.features and piece.kept and piece.weights else -1


cdef void copy_kept(const xmr_block *b, const int32_t *features, const uint32_t *kept,
                    Piece *piece) noexcept nogil:
    """Copy the weights that are kept, feature by feature."""
    cdef int64_t entry = 0, row = 0
    cdef int32_t f
    cdef uint32_t bits
    cdef float factor
    for f in range(b.bias_row):
        bits = kept[f]
        if bits == 0:
            continue
        factor = b.shrink[f] if b.shrink else 1.0
        piece.features[row] = features[f] if features else f
        piece.kept[row] = bits
        row += 1
        while bits:
            piece.weights[entry] = factor * b.W[
                <int64_t>f * 8 * b.n_vectors + xmr_lowest_bit(bits)]
            entry += 1
            bits &= bits - 1


cdef void copy_child(const xmr_block *b, int lane, int32_t child, float largest,
                     int value_kind, Output *out) noexcept nogil:
    """Copy what a child has beside its pruned weights."""
    cdef int lanes = 8 * b.n_vectors
    cdef const float *dense = b.W + (<int64_t>b.bias_row + 1) * lanes + lane % 8
    cdef int32_t f
    out.intercept[child] = b.W[<int64_t>b.bias_row * lanes + lane] * b.beta
    for f in range(b.n_dense):
        out.dense[<int64_t>child * b.n_dense + f] = dense[
            ((lane // 8) * <int64_t>b.n_dense + f) * 8]
        if b.shrink:
            out.dense[<int64_t>child * b.n_dense + f] *= b.shrink[b.bias_row + f]
    out.scale[child] = 1.0
    if value_kind == XMR_INT8 and largest > 0:
        out.scale[child] = largest / 127


cdef int emit_piece(const xmr_block *b, const int32_t *features, const int32_t *children,
                    uint32_t lanes, const Settings *settings, SolverWorkspace *ws,
                    Piece *piece, Output *out) noexcept nogil:
    """Copy the lanes' weights of at least the threshold into a piece; -1 without memory."""
    cdef int lane
    cdef int64_t n_entries
    cdef float[XMR_LANES] largest
    cdef uint32_t *kept = <uint32_t *>reserve(&ws.kept, b.bias_row * sizeof(uint32_t))
    if kept == NULL:
        return -1
    n_entries = xmr_kept_weights(b, settings.threshold, lanes, kept, largest)
    if reserve_piece(kept, b.bias_row, n_entries, piece) < 0:
        return -1
    copy_kept(b, features, kept, piece)
    while lanes:
        lane = xmr_lowest_bit(lanes)
        copy_child(b, lane, children[lane], largest[lane], settings.value_kind, out)
        out.changed[children[lane]] = 1
        lanes &= lanes - 1
    return 0


# --- all of them ---------------------------------------------------------------------------

cdef int run_task(const Data *data, const Problem *problem, const Prior *prior,
                  int64_t chunk, int64_t first, int64_t last, const Settings *settings,
                  SolverWorkspace *ws, Output *out) noexcept nogil:
    """Solve the blocks first .. last - 1 of a chunk; 0, or -1 without memory."""
    cdef int64_t parent = problem.chunk_parent[chunk]
    cdef const int32_t *rows = problem.parent_rows + problem.parent_ptr[parent]
    cdef int64_t n = problem.parent_ptr[parent + 1] - problem.parent_ptr[parent]
    cdef const int32_t *children
    cdef int64_t block
    cdef uint32_t lanes
    cdef xmr_block b
    cdef CompactRows node
    cdef bint gram
    if gather_rows(data, rows, n, ws, &node, &b) < 0:
        return -1
    if prior.level and prepare_known(data, problem, prior, chunk, first, last, &node, ws,
                                     out) < 0:
        return -1
    gram = prior.level == NULL and prefers_gram(settings, &b, last - first)
    if gram and prepare_gram(ws, &b) < 0:
        return -1
    for block in range(first, last):
        if should_stop(ws.work, ws.thread):
            return 0
        if prior.level and shrink_rows(data, prior, block, rows, &node, ws, &b) < 0:
            return -1
        out.n_iter[block] = solve_block(problem, prior, chunk, block, block - first, gram,
                                        settings, ws, &b)
        if out.n_iter[block] < 0:
            return -1
        children = problem.block_children + block * XMR_LANES
        lanes = used_lanes(children)
        if prior.level:
            lanes &= changed_lanes(&b)
        if emit_piece(&b, node.features, children, lanes, settings, ws,
                      &out.pieces[block], out) < 0:
            return -1
    if last - first == problem.block_ptr[chunk + 1] - problem.block_ptr[chunk]:
        return merge_chunk(problem, chunk, settings, out)
    return 0


cdef int prepare_known(const Data *data, const Problem *problem, const Prior *prior,
                       int64_t chunk, int64_t first, int64_t last, const CompactRows *node,
                       SolverWorkspace *ws, Output *out) noexcept nogil:
    """What the blocks of a task share where weights are known; -1 without memory."""
    if out.reached[chunk] == NULL and keep_reached(node, chunk, out) < 0:
        return -1
    if take_squares(data, prior, node, ws) < 0:
        return -1
    return read_known(problem, prior, chunk, first, last, node, ws)


cdef int keep_reached(const CompactRows *node, int64_t chunk, Output *out) noexcept nogil:
    """Copy the features of a chunk's rows; -1 without memory."""
    cdef int32_t f, n = node.rows.n_features
    cdef int32_t *features = <int32_t *>malloc(n * sizeof(int32_t) + 1)
    if features == NULL:
        return -1
    for f in range(n):
        features[f] = node.features[f] if node.features else f
    out.reached[chunk], out.n_reached[chunk] = features, n
    return 0


cdef void run_tasks(const Data *data, const Problem *problem, const Prior *prior,
                    const int64_t *tasks, const Settings *settings, Work *work,
                    SolverWorkspace *ws, int thread, Output *out) noexcept nogil:
    """Take tasks until there are none: chunk, first block, and the block after the last."""
    cdef const int64_t *task
    cdef int64_t number = take(work)
    ws.work, ws.thread = work, thread
    while number >= 0:
        task = tasks + 3 * number
        if run_task(data, problem, prior, task[0], task[1], task[2], settings, ws, out) < 0:
            work.failed = 1
            stop(work)
        number = -1 if should_stop(work, thread) else take(work)
    leave(work, thread)


cdef int merge_chunk(const Problem *problem, int64_t chunk, const Settings *settings,
                     Output *out) noexcept nogil:
    cdef int64_t first = problem.block_ptr[chunk], last = problem.block_ptr[chunk + 1]
    return merge_pieces(
        out.pieces + first, last - first, problem.block_children + first * XMR_LANES,
        problem.chunk_child[chunk], settings.threshold, settings.value_kind, out.scale,
        &out.chunks[chunk])


cdef SolverWorkspace *new_workspaces(int n_threads, int32_t n_features) noexcept nogil:
    cdef SolverWorkspace *all_ws = <SolverWorkspace *>calloc(n_threads, sizeof(SolverWorkspace))
    cdef int t
    if all_ws == NULL:
        return NULL
    for t in range(n_threads):
        if init_compact_workspace(&all_ws[t].compact, n_features) < 0:
            free_workspaces(all_ws, n_threads)
            return NULL
    return all_ws


cdef void free_workspaces(SolverWorkspace *all_ws, int n_threads) noexcept nogil:
    cdef int t
    cdef SolverWorkspace *ws
    if all_ws == NULL:
        return
    for t in range(n_threads):
        ws = &all_ws[t]
        free_compact_workspace(&ws.compact)
        free(ws.sq_norm.data)
        free(ws.W.data)
        free(ws.gram.data)
        free(ws.margins.data)
        free(ws.dual.data)
        free(ws.cost.data)
        free(ws.positive.data)
        free(ws.member.data)
        free(ws.pending.data)
        free(ws.order.data)
        free(ws.kept.data)
        free(ws.squares.data)
        free(ws.shrink.data)
        free(ws.hits.data)
        free(ws.known.data)
        free(ws.values.data)
        free(ws.dense.data)
    free(all_ws)


cdef ChunkRows as_chunk_rows(const Chunk *chunk, int64_t width) noexcept nogil:
    cdef ChunkRows rows
    rows.n_rows, rows.width = chunk.n_rows, width
    rows.features, rows.counts = chunk.features, chunk.counts
    rows.columns, rows.values = chunk.columns, <const uint8_t *>chunk.values
    return rows


cdef class NodeSolver:
    """Pruned weights of all children of all chunks of a training problem.

    Attributes
    ----------
    intercept, scale : ndarray of float32 of shape (n_children,)
        Bias weight times bias value; the weight that a stored value of 1 stands for.
    dense : ndarray of float32 of shape (n_children, n_dense)
        Weights of the dense features.
    changed : ndarray of uint8 of shape (n_children,)
        1 for the children of which there are weights: all that were trained, or those
        whose known weights have changed.
    n_iter : ndarray of int32 of shape (n_blocks,)
        Passes over each block's rows; 0 where no task has trained it.
    """

    cdef Data data
    cdef Problem problem
    cdef Prior prior
    cdef Settings settings
    cdef Output out
    cdef int64_t n_blocks, n_chunks, n_children
    cdef list kept_alive
    cdef readonly object intercept, scale, dense, changed, n_iter

    def __dealloc__(self):
        self._free_output()

    cdef void _free_output(self) noexcept:
        cdef int64_t i
        if self.out.pieces != NULL:
            for i in range(self.n_blocks):
                free_piece(&self.out.pieces[i])
        if self.out.chunks != NULL:
            for i in range(self.n_chunks):
                free_chunk(&self.out.chunks[i])
        if self.out.reached != NULL:
            for i in range(self.n_chunks):
                free(self.out.reached[i])
        free(self.out.pieces)
        free(self.out.chunks)
        free(self.out.reached)
        free(self.out.n_reached)
        self.out.pieces = NULL
        self.out.chunks = NULL
        self.out.reached = NULL
        self.out.n_reached = NULL

    def solve(self, X, problem, plan, const int64_t[:, ::1] tasks, settings,
              sample_weight, int n_threads, prior=None):
        """Train the blocks that the tasks name, and merge those of each chunk.

        Parameters
        ----------
        X : HybridFeatures of shape (n_samples, n_sparse + n_dense)
            Float32, with int32 column numbers.
        problem : LevelProblem
        plan : BlockPlan
        tasks : ndarray of int64 of shape (n_tasks, 3)
            Chunk, its first block, and the block after the last, of each task.
        settings : SolverSettings
        sample_weight : ndarray of float32 of shape (n_samples,) or None
            Multiplies the costs of each row; None, or no element, for all 1.
        n_threads : int
        prior : KnownWeights, default=None
            Weights of the children from earlier rows, with the evidence of each block.

        Raises
        ------
        MemoryError
            If the buffers or the weights find no memory.
        ValueError
            If the squared length of a row overflows float32.
        KeyboardInterrupt
            Or what another signal's handler raises: soon after the signal.
        """
        cdef int failed
        self._free_output()
        self.kept_alive = []
        self._point_features(X, settings.bias)
        self._point_targets(problem, sample_weight)
        self._point_blocks(plan)
        self._take_settings(settings)
        self._point_prior(prior)
        self._make_output()
        failed = self._run(tasks, n_threads)
        if not failed:
            failed = self._merge_rest()
        self.kept_alive = None
        if failed:
            raise MemoryError("no memory to train the label tree")

    cdef _point_features(self, X, bias):
        indptr = X.sparse.indptr.astype(np.int64, copy=False)
        with np.errstate(over="ignore"):
            sq_norm = X.squared_norms() + np.float32(bias ** 2)
        if not np.isfinite(sq_norm).all():
            raise ValueError(
                "X holds numbers whose squares overflow float32, up to "
                f"{np.abs(X.sparse.data).max(initial=0):g}: scale the features"
            )
        self.data.X.n_rows, self.data.X.n_features = X.sparse.shape
        self.data.X.indptr = int64_pointer(indptr, self.kept_alive)
        self.data.X.indices = int32_pointer(X.sparse.indices, self.kept_alive)
        self.data.X.values = float_pointer(X.sparse.data, self.kept_alive)
        self.data.n_dense = X.dense.shape[1]
        self.data.dense = float_pointer(X.dense.reshape(-1), self.kept_alive)
        self.data.sq_norm, self.data.beta = float_pointer(sq_norm, self.kept_alive), bias

    cdef _point_targets(self, problem, sample_weight):
        cdef Problem *p = &self.problem
        self.n_children = len(problem.positive_ptr) - 1
        p.first_child = problem.first_child
        p.parent_ptr = int64_pointer(problem.parent_ptr, self.kept_alive)
        p.parent_rows = int32_pointer(problem.parent_rows, self.kept_alive)
        p.parent_use = uint8_pointer(problem.parent_use, self.kept_alive)
        p.positive_ptr = int64_pointer(problem.positive_ptr, self.kept_alive)
        p.positive_rows = int32_pointer(problem.positive_rows, self.kept_alive)
        p.positive_weight = float_pointer(problem.positive_weight, self.kept_alive)
        p.row_weight = NULL
        if sample_weight is not None:
            p.row_weight = float_pointer(sample_weight, self.kept_alive)

    cdef _point_blocks(self, plan):
        cdef Problem *p = &self.problem
        self.n_chunks, self.n_blocks = len(plan.chunk_parent), len(plan.block_children)
        p.chunk_parent = int64_pointer(plan.chunk_parent, self.kept_alive)
        p.chunk_child = int64_pointer(plan.chunk_child, self.kept_alive)
        p.block_ptr = int64_pointer(plan.block_ptr, self.kept_alive)
        p.block_children = int32_pointer(plan.block_children.reshape(-1), self.kept_alive)

    cdef _point_prior(self, prior):
        cdef LevelPointers pointers
        self.prior.level = NULL
        self.settings.idle = IDLE
        if prior is None:
            return
        if self.data.X.n_rows <= FEW_ROWS:
            self.settings.idle = IDLE_FEW
        pointers = LevelPointers(prior.weights)
        self.kept_alive.append(pointers)
        self.prior.level = &pointers.level
        self.prior.chunks = int64_pointer(prior.chunks, self.kept_alive)
        self.prior.evidence = float_pointer(prior.evidence, self.kept_alive)
        self.prior.mean_squares = float_pointer(prior.mean_squares, self.kept_alive)

    cdef _take_settings(self, settings):
        cdef Settings *s = &self.settings
        s.loss, s.mode = LOSSES[settings.loss], MODES[settings.mode]
        s.positive_cost, s.negative_cost = settings.positive_cost, settings.negative_cost
        s.mined_cost = settings.mined_cost * settings.negative_cost
        s.tol, s.max_iter, s.seed = settings.tol, settings.max_iter, settings.seed
        s.threshold = min(settings.weight_threshold / settings.row_length, FLT_MAX)
        s.value_kind = VALUE_TYPES.index(settings.weight_dtype)

    cdef _make_output(self):
        """Arrays for the results; a label without positives has all rows against it."""
        bias = -1.0 if self.data.beta else 0.0
        self.intercept = np.full(self.n_children, bias, dtype=np.float32)
        self.scale = np.ones(self.n_children, dtype=np.float32)
        self.dense = np.zeros((self.n_children, self.data.n_dense), dtype=np.float32)
        self.changed = np.zeros(self.n_children, dtype=np.uint8)
        self.n_iter = np.zeros(max(self.n_blocks, 1), dtype=np.int32)
        self.out.intercept = <float *>float_pointer(self.intercept, self.kept_alive)
        self.out.scale = <float *>float_pointer(self.scale, self.kept_alive)
        self.out.dense = <float *>float_pointer(self.dense.reshape(-1), self.kept_alive)
        self.out.changed = <uint8_t *>uint8_pointer(self.changed, self.kept_alive)
        self.out.n_iter = <int32_t *>int32_pointer(self.n_iter, self.kept_alive)
        self.out.pieces = <Piece *>calloc(self.n_blocks + 1, sizeof(Piece))
        self.out.chunks = <Chunk *>calloc(self.n_chunks + 1, sizeof(Chunk))
        self.out.reached = <int32_t **>calloc(self.n_chunks + 1, sizeof(int32_t *))
        self.out.n_reached = <int64_t *>calloc(self.n_chunks + 1, sizeof(int64_t))
        if not (self.out.pieces and self.out.chunks and self.out.reached
                and self.out.n_reached):
            raise MemoryError("no memory to train the label tree")

    cdef int _run(self, const int64_t[:, ::1] tasks, int n_threads) except -2:
        """Run all tasks; not 0 without memory. A signal's error ends the work."""
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(tasks.shape[0])
        cdef const int64_t *first = &tasks[0, 0] if tasks.shape[0] else NULL
        cdef SolverWorkspace *all_ws = new_workspaces(n_threads, self.data.X.n_features)
        if all_ws == NULL:
            return -1
        with nogil, parallel(num_threads=team(n_threads)):
            run_tasks(&self.data, &self.problem, &self.prior, first, &self.settings, &work,
                      &all_ws[threadid()], threadid(), &self.out)
        free_workspaces(all_ws, n_threads)
        signals.end()
        return work.failed

    cdef int _merge_rest(self):
        """Merge the chunks that no task has had whole; not 0 without memory."""
        cdef int64_t chunk
        cdef int failed = 0
        with nogil:
            for chunk in range(self.n_chunks):
                if self.out.chunks[chunk].features == NULL:
                    failed += merge_chunk(&self.problem, chunk, &self.settings, &self.out)
        return failed

    def count_rows(self, int64_t first, int64_t last):
        """Feature rows of the chunks first .. last - 1 (int)."""
        cdef int64_t chunk, n_rows = 0
        for chunk in range(first, last):
            n_rows += self.out.chunks[chunk].n_rows
        return n_rows

    def reached_features(self, int64_t chunk):
        """Features of the rows of a chunk whose weights were known.

        Parameters
        ----------
        chunk : int

        Returns
        -------
        ndarray of int32 of shape (n_features,)
            Ascending.
        """
        cdef int64_t n = self.out.n_reached[chunk]
        features = np.empty(n, dtype=np.int32)
        cdef int32_t[::1] view = features
        if n:
            memcpy(&view[0], self.out.reached[chunk], n * sizeof(int32_t))
        return features

    def copy_chunks(self, int64_t first, int64_t last):
        """The weights of chunks first .. last - 1 as feature rows, one after another.

        Parameters
        ----------
        first, last : int

        Returns
        -------
        chunk_rows, chunk_entries, features, counts, columns, values : ndarray
            As ``pack_chunks`` of ``_bucket_layout.pyx`` takes them.
        """
        cdef int64_t i, item = xmr_item(self.settings.value_kind), n = last - first
        cdef const Chunk *chunk
        row_array = np.zeros(n + 1, dtype=np.int64)
        entry_array = np.zeros(n + 1, dtype=np.int64)
        cdef int64_t[::1] rows = row_array, entries = entry_array
        for i in range(n):
            rows[i + 1] = rows[i] + self.out.chunks[first + i].n_rows
            entries[i + 1] = entries[i] + self.out.chunks[first + i].n_entries
        feature_array = np.empty(rows[n], dtype=np.int32)
        count_array = np.empty(rows[n], dtype=np.uint8)
        column_array = np.empty(entries[n], dtype=np.uint8)
        value_array = np.empty(entries[n] * item, dtype=np.uint8)
        cdef int32_t[::1] features = feature_array
        cdef uint8_t[::1] counts = count_array, columns = column_array
        cdef uint8_t[::1] values = value_array
        for i in range(n):
            chunk = &self.out.chunks[first + i]
            if chunk.n_rows:
                memcpy(&features[rows[i]], chunk.features, chunk.n_rows * sizeof(int32_t))
                memcpy(&counts[rows[i]], chunk.counts, chunk.n_rows)
                memcpy(&columns[entries[i]], chunk.columns, chunk.n_entries)
                memcpy(&values[entries[i] * item], chunk.values, chunk.n_entries * item)
        return row_array, entry_array, feature_array, count_array, column_array, value_array

    def take_chunks(self, int64_t first, int64_t last, const int64_t[::1] chunk_child,
                    int shift, int64_t n_buckets, int64_t spare):
        """Pack the weights of chunks first .. last - 1, and free them.

        Parameters
        ----------
        first, last : int
        chunk_child : ndarray of int64 of shape (n_chunks + 1,)
            First child of each chunk; the number of children at the end.
        shift, n_buckets, spare : int
            As in ``pack_chunks`` of ``_bucket_layout.pyx``.

        Returns
        -------
        chunk_ptr, buckets, packed : ndarray
            As of ``pack_chunks``.
        """
        cdef int64_t i
        cdef ChunkRows rows
        cdef Layout layout
        layout.shift, layout.n_buckets = shift, n_buckets
        layout.item = xmr_item(self.settings.value_kind)
        buckets_array = np.empty((last - first, n_buckets + 1), dtype=np.uint32)
        chunk_ptr_array = np.zeros(last - first + 1, dtype=np.int64)
        cdef uint32_t[:, ::1] buckets = buckets_array
        cdef int64_t[::1] chunk_ptr = chunk_ptr_array
        for i in range(last - first):
            rows = as_chunk_rows(&self.out.chunks[first + i],
                                 chunk_child[first + i + 1] - chunk_child[first + i])
            chunk_ptr[i + 1] = chunk_ptr[i] + layout_chunk(&rows, &layout, &buckets[i, 0])
        packed_array = np.empty(chunk_ptr[last - first] + spare, dtype=np.uint8)
        cdef uint8_t[::1] packed = packed_array
        packed_array[chunk_ptr[last - first]:] = 0
        for i in range(last - first):
            rows = as_chunk_rows(&self.out.chunks[first + i],
                                 chunk_child[first + i + 1] - chunk_child[first + i])
            fill_chunk(&rows, &layout, &buckets[i, 0], &packed[chunk_ptr[i]])
            free_chunk(&self.out.chunks[first + i])
        return chunk_ptr_array, buckets_array, packed_array
