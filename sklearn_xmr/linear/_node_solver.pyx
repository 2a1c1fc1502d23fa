"""Train the one-against-siblings problems of a label tree, node by node.

A *node* is a parent and its children: one binary problem per child, all on the
same rows. A task takes a node (or, for a large node, one block of its children),
copies the node's rows with its features renumbered 0 .. d_node - 1, and solves up
to 32 children in lockstep (``_dual_ascent.h``). What survives pruning goes
straight into the chunk layout of the search: nothing of the size of features x
labels is ever made.

Every block has its own random stream and its own buffers, so the model does not
depend on the number of threads.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.math cimport INFINITY, fabsf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_xmr.utils._compact_rows cimport (
    CSR, Buffer, CompactRows, CompactWorkspace, compact_rows, free_compact_workspace,
    init_compact_workspace, reserve
)

cdef extern from "_dual_ascent.h" nogil:
    ctypedef struct xmr_block:
        const int64_t *indptr
        const int32_t *indices
        const float *values
        const float *sq_norm
        float beta
        int n_vectors
        int32_t bias_row
        float *W
        float *dual
        const float *cost
        float positive_cost, negative_cost
        int squared
        const uint32_t *positive
        uint32_t *active
        uint32_t live
        const int32_t *order
        int64_t n_visits
        float hi[32]
        float lo[32]
        float pmax[32]
        float pmin[32]

    void xmr_hinge_pass(xmr_block *b)
    void xmr_logistic_pass(xmr_block *b)

ctypedef fused column_t:
    uint8_t
    uint16_t
    int32_t

cdef enum:
    MAX_LANES = 32
    LONGEST_SHRUNK = 50  # passes

# Logit of alpha / U from which the logistic dual starts: alpha = 2e-9 U, w = 0.
cdef float LOGISTIC_START = -20.0

LOSSES = {"squared_hinge": 0, "hinge": 1, "logistic": 2}


cdef struct Workspace:
    # One thread's buffers, reused from task to task.
    CompactWorkspace compact
    Buffer sq_norm, W, dual, cost, positive, active, order


cdef struct Piece:
    # Pruned weights of one block of children, row-major over features.
    int64_t n_rows, n_entries
    int32_t *features     # n_rows, global ids, ascending
    uint8_t *counts       # n_rows: entries of the row
    int32_t *columns      # n_entries: child offset within the chunk
    float *weights        # n_entries


cdef struct Data:
    CSR X
    const float *sq_norm  # |x_i|^2 + beta^2
    float beta            # value of the bias feature


cdef struct Problem:
    const int64_t *parent_ptr       # parent -> rows
    const int32_t *parent_rows
    const uint8_t *parent_shared    # per parent row, or NULL: 0 = own positives only
    const int64_t *child_ptr        # parent -> children
    const int64_t *positive_ptr     # child -> positive rows
    const int32_t *positive_rows
    const float *positive_weight    # per positive, or NULL: relevance
    const int64_t *block_ptr        # parent -> blocks
    const int32_t *block_children   # blocks x 32: child, or -1


cdef struct Settings:
    int loss
    float positive_cost, negative_cost
    float tol
    int max_iter
    float threshold
    uint64_t seed


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


cdef int gather_rows(const Data *data, const int32_t *rows, int64_t n,
                     Workspace *ws, CompactRows *node, xmr_block *b) noexcept nogil:
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


cdef void mark_positives(const Problem *problem, int64_t parent, const int32_t *children,
                         const Settings *settings, uint32_t *positive, uint32_t *active,
                         float *cost, int lanes) noexcept nogil:
    """Set the positive and active bits (and costs, with relevance) of a block."""
    cdef int64_t start = problem.parent_ptr[parent]
    cdef int64_t n = problem.parent_ptr[parent + 1] - start
    cdef const int32_t *rows = problem.parent_rows + start
    cdef uint32_t all_lanes = 0
    cdef int64_t i, k, at
    cdef int lane
    for lane in range(MAX_LANES):
        if children[lane] >= 0:
            all_lanes |= (<uint32_t>1) << lane
    for i in range(n):
        positive[i] = 0
        active[i] = all_lanes
        if problem.parent_shared and not problem.parent_shared[start + i]:
            active[i] = 0
    if cost:
        for i in range(n * lanes):
            cost[i] = settings.negative_cost
    for lane in range(lanes):
        if children[lane] < 0:
            continue
        at = 0
        for k in range(problem.positive_ptr[children[lane]],
                       problem.positive_ptr[children[lane] + 1]):
            at = find_row(rows, at, n, problem.positive_rows[k])
            positive[at] |= (<uint32_t>1) << lane
            active[at] |= (<uint32_t>1) << lane
            if cost:
                cost[at * lanes + lane] = (
                    settings.positive_cost * problem.positive_weight[k])
                if problem.positive_weight[k] <= 0:
                    active[at] &= ~((<uint32_t>1) << lane)


cdef int64_t rows_to_visit(const uint32_t *active, uint32_t live, int64_t n,
                           int32_t *order) noexcept nogil:
    cdef int64_t i, count = 0
    for i in range(n):
        order[count] = <int32_t>i
        count += (active[i] & live) != 0
    return count


cdef void update_lanes(xmr_block *b, int64_t n, uint32_t *active, const uint32_t *initial,
                       uint32_t *complete, int *age, float tol) noexcept nogil:
    """After a pass: stop, re-open or shrink each lane.

    A lane within `tol` on its shrunk set gets all its rows back; within `tol` on
    all its rows it has converged. So does a lane that stays shrunk for long get
    them back: where float32 noise exceeds `tol`, it would never ask for them.
    """
    cdef uint32_t reopened = 0, bit
    cdef int64_t i
    cdef int lane
    for lane in range(8 * b.n_vectors):
        bit = (<uint32_t>1) << lane
        if not (b.live & bit):
            continue
        age[lane] += 1
        if b.pmax[lane] - b.pmin[lane] <= tol and complete[0] & bit:
            b.live &= ~bit
        elif b.pmax[lane] - b.pmin[lane] <= tol or age[lane] >= LONGEST_SHRUNK:
            reopened |= bit
            complete[0] |= bit
            age[lane] = 0
            b.hi[lane] = INFINITY
            b.lo[lane] = -INFINITY
        else:
            complete[0] &= ~bit
            b.hi[lane] = b.pmax[lane] if b.pmax[lane] > 0 else INFINITY
            b.lo[lane] = b.pmin[lane] if b.pmin[lane] < 0 else -INFINITY
    if reopened:
        for i in range(n):
            active[i] |= initial[i] & reopened


cdef int descend(xmr_block *b, int64_t n, uint32_t *active, const uint32_t *initial,
                 int32_t *order, const Settings *settings, uint64_t seed) noexcept nogil:
    """Dual coordinate descent until every lane converges; the number of passes."""
    cdef uint64_t state = mix(seed)
    cdef uint32_t complete = b.live   # lanes whose rows are all active
    cdef int[MAX_LANES] age           # passes since all rows were active
    cdef int lane, iteration
    for lane in range(MAX_LANES):
        age[lane] = 0
        b.hi[lane] = INFINITY
        b.lo[lane] = -INFINITY
    for iteration in range(settings.max_iter):
        b.n_visits = rows_to_visit(active, b.live, n, order)
        shuffle(order, b.n_visits, &state)
        if settings.loss == 2:
            xmr_logistic_pass(b)
        else:
            xmr_hinge_pass(b)
        update_lanes(b, n, active, initial, &complete, age, settings.tol)
        if b.live == 0:
            return iteration + 1
    return settings.max_iter


cdef int solve_block(const Problem *problem, int64_t parent, int64_t block,
                     const Settings *settings, Workspace *ws, xmr_block *b) noexcept nogil:
    """Weights of one block of children of `parent` into ws.W; the passes, or -1."""
    cdef int64_t i, n = problem.parent_ptr[parent + 1] - problem.parent_ptr[parent]
    cdef const int32_t *children = problem.block_children + block * MAX_LANES
    cdef int lane, lanes, n_children = 0
    cdef size_t n_weights
    cdef uint32_t *positive
    cdef uint32_t *active
    cdef int32_t *order
    cdef float *dual
    cdef float start = LOGISTIC_START if settings.loss == 2 else 0.0
    b.live = 0
    for lane in range(MAX_LANES):
        if children[lane] >= 0:
            n_children = lane + 1
            b.live |= (<uint32_t>1) << lane
    b.n_vectors = 1 if n_children <= 8 else (2 if n_children <= 16 else 4)
    lanes = 8 * b.n_vectors
    n_weights = (<size_t>b.bias_row + 1) * lanes
    b.W = <float *>reserve(&ws.W, n_weights * sizeof(float))
    dual = <float *>reserve(&ws.dual, n * lanes * sizeof(float))
    positive = <uint32_t *>reserve(&ws.positive, n * sizeof(uint32_t))
    active = <uint32_t *>reserve(&ws.active, 2 * n * sizeof(uint32_t))
    order = <int32_t *>reserve(&ws.order, n * sizeof(int32_t))
    b.cost = NULL
    if problem.positive_weight:
        b.cost = <float *>reserve(&ws.cost, n * lanes * sizeof(float))
    if not (b.W and dual and positive and active and order) or (
            problem.positive_weight and not b.cost):
        return -1
    memset(b.W, 0, n_weights * sizeof(float))
    for i in range(n * lanes):
        dual[i] = start
    mark_positives(problem, parent, children, settings, positive, active,
                   <float *>b.cost, lanes)
    for i in range(n):
        active[n + i] = active[i]
    b.dual, b.positive, b.active, b.order = dual, positive, active, order
    b.positive_cost, b.negative_cost = settings.positive_cost, settings.negative_cost
    b.squared = settings.loss == 0
    return descend(b, n, active, active + n, order, settings,
                   settings.seed ^ mix(<uint64_t>children[0]))


cdef int emit_piece(const xmr_block *b, const int32_t *features, const int32_t *children,
                    int64_t first_child, float threshold, Piece *piece,
                    float *intercept) noexcept nogil:
    """Copy the weights of at least `threshold` in absolute value into a piece."""
    cdef int lanes = 8 * b.n_vectors
    cdef int64_t at
    cdef int32_t f
    cdef int lane, count
    cdef float w
    piece.n_rows = piece.n_entries = 0
    for f in range(b.bias_row):
        count = 0
        for lane in range(lanes):
            w = b.W[<int64_t>f * lanes + lane]
            count += (fabsf(w) >= threshold) & (w != 0)
        piece.n_rows += count > 0
        piece.n_entries += count
    piece.features = <int32_t *>malloc(piece.n_rows * sizeof(int32_t) + 1)
    piece.counts = <uint8_t *>malloc(piece.n_rows * sizeof(uint8_t) + 1)
    piece.columns = <int32_t *>malloc(piece.n_entries * sizeof(int32_t) + 1)
    piece.weights = <float *>malloc(piece.n_entries * sizeof(float) + 1)
    if not (piece.features and piece.counts and piece.columns and piece.weights):
        return -1
    piece.n_rows = 0
    at = 0
    for f in range(b.bias_row):
        count = 0
        for lane in range(lanes):
            w = b.W[<int64_t>f * lanes + lane]
            if (fabsf(w) >= threshold) & (w != 0):
                piece.columns[at] = <int32_t>(children[lane] - first_child)
                piece.weights[at] = w
                at += 1
                count += 1
        if count:
            piece.features[piece.n_rows] = features[f] if features else f
            piece.counts[piece.n_rows] = <uint8_t>count
            piece.n_rows += 1
    for lane in range(lanes):
        if children[lane] >= 0:
            intercept[children[lane]] = (
                b.W[<int64_t>b.bias_row * lanes + lane] * b.beta)
    return 0


cdef int run_task(const Data *data, const Problem *problem, int64_t parent, int64_t first,
                  int64_t last, const Settings *settings, Workspace *ws, Piece *pieces,
                  float *intercept, int32_t *n_iter) noexcept nogil:
    """Solve the blocks first .. last - 1 of one parent; 0, or -1 without memory."""
    cdef const int32_t *rows = problem.parent_rows + problem.parent_ptr[parent]
    cdef int64_t n = problem.parent_ptr[parent + 1] - problem.parent_ptr[parent]
    cdef int64_t block
    cdef xmr_block b
    cdef CompactRows node
    if gather_rows(data, rows, n, ws, &node, &b) < 0:
        return -1
    for block in range(first, last):
        n_iter[block] = solve_block(problem, parent, block, settings, ws, &b)
        if n_iter[block] < 0:
            return -1
        if emit_piece(&b, node.features, problem.block_children + block * MAX_LANES,
                      problem.child_ptr[parent], settings.threshold, &pieces[block],
                      intercept) < 0:
            return -1
    return 0


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
    cdef Workspace *ws
    if all_ws == NULL:
        return
    for t in range(n_threads):
        ws = &all_ws[t]
        free_compact_workspace(&ws.compact)
        free(ws.sq_norm.data)
        free(ws.W.data)
        free(ws.dual.data)
        free(ws.cost.data)
        free(ws.positive.data)
        free(ws.active.data)
        free(ws.order.data)
    free(all_ws)


cdef inline const float *float_pointer(const float[::1] view) noexcept:
    return &view[0] if view.shape[0] else NULL


cdef class NodeSolver:
    """Pruned weights of all children of all parents of a training problem.

    Parameters
    ----------
    indptr, indices, values, sq_norm : CSR rows, indices sorted; and |x|^2 + bias^2
        int64 (n + 1,), int32 (nnz,), float32 (nnz,), float32 (n,).
    n_features : int
    bias : float
        Value of the bias feature; 0 trains without one.
    parent_ptr, parent_rows : int64 (n_parents + 1,), int32
        Rows of each parent, ascending.
    parent_shared : uint8, one per parent row, or empty
        0: the row counts only for the children that it is a positive of.
    child_ptr : int64 (n_parents + 1,)
        Children of each parent, numbered consecutively.
    positive_ptr, positive_rows, positive_weight : int64, int32, float32 or empty
        Positive rows of each child, ascending, within its parent's rows.
    """

    cdef Piece *pieces
    cdef int64_t n_blocks
    cdef object block_ptr
    cdef readonly object intercept, n_iter
    cdef const int64_t[::1] child_ptr
    cdef int32_t n_features

    def __cinit__(self):
        self.pieces = NULL
        self.n_blocks = 0

    def __dealloc__(self):
        cdef int64_t block
        if self.pieces == NULL:
            return
        for block in range(self.n_blocks):
            free(self.pieces[block].features)
            free(self.pieces[block].counts)
            free(self.pieces[block].columns)
            free(self.pieces[block].weights)
        free(self.pieces)

    def solve(self, const int64_t[::1] indptr, const int32_t[::1] indices,
              const float[::1] values, const float[::1] sq_norm, int32_t n_features,
              float bias, const int64_t[::1] parent_ptr, const int32_t[::1] parent_rows,
              const uint8_t[::1] parent_shared, const int64_t[::1] child_ptr,
              const int64_t[::1] positive_ptr, const int32_t[::1] positive_rows,
              const float[::1] positive_weight, const int64_t[::1] block_ptr,
              const int32_t[:, ::1] block_children, const int64_t[:, ::1] tasks,
              str loss, float positive_cost, float negative_cost, float tol,
              int max_iter, float threshold, uint64_t seed, int n_threads):
        """Run `tasks` (parent, first block, last block), in this order of start."""
        cdef int64_t n_tasks = tasks.shape[0], task
        cdef int64_t n_children = positive_ptr.shape[0] - 1
        cdef int failed = 0
        cdef Data data
        cdef Problem problem
        cdef Settings settings
        cdef Workspace *all_ws
        self.n_features = n_features
        self.child_ptr = child_ptr
        self.block_ptr = block_ptr
        self.n_blocks = block_children.shape[0]
        self.pieces = <Piece *>calloc(self.n_blocks + 1, sizeof(Piece))
        # A child without a positive row has no problem to solve: its intercept is
        # the limit of the all-negative solution, and its weights are zero.
        self.intercept = np.full(n_children, -1.0 if bias else 0.0, dtype=np.float32)
        self.n_iter = np.zeros(self.n_blocks, dtype=np.int32)
        cdef float[::1] intercept = self.intercept
        cdef int32_t[::1] n_iter = self.n_iter
        data.X.indptr, data.X.n_rows = &indptr[0], indptr.shape[0] - 1
        data.X.indices = &indices[0] if indices.shape[0] else NULL
        data.X.values, data.X.n_features = float_pointer(values), n_features
        data.sq_norm, data.beta = &sq_norm[0], bias
        problem.parent_ptr, problem.parent_rows = &parent_ptr[0], &parent_rows[0]
        problem.parent_shared = &parent_shared[0] if parent_shared.shape[0] else NULL
        problem.child_ptr = &child_ptr[0]
        problem.positive_ptr = &positive_ptr[0]
        problem.positive_rows = &positive_rows[0] if positive_rows.shape[0] else NULL
        problem.positive_weight = float_pointer(positive_weight)
        problem.block_ptr = &block_ptr[0]
        problem.block_children = &block_children[0, 0] if self.n_blocks else NULL
        settings.loss = LOSSES[loss]
        settings.positive_cost, settings.negative_cost = positive_cost, negative_cost
        settings.tol, settings.max_iter = tol, max_iter
        settings.threshold, settings.seed = threshold, seed
        all_ws = new_workspaces(n_threads, n_features)
        if self.pieces == NULL or all_ws == NULL:
            free_workspaces(all_ws, n_threads)
            raise MemoryError("no memory to train the label tree")
        with nogil, parallel(num_threads=n_threads):
            for task in prange(n_tasks, schedule="dynamic", chunksize=1):
                failed += run_task(
                    &data, &problem, tasks[task, 0], tasks[task, 1], tasks[task, 2],
                    &settings, &all_ws[threadid()], self.pieces, &intercept[0],
                    &n_iter[0])
        free_workspaces(all_ws, n_threads)
        if failed:
            raise MemoryError("no memory to train the label tree")

    def chunk_sizes(self):
        """Number of feature rows and of entries of every parent's chunk."""
        cdef const int64_t[::1] block_ptr = self.block_ptr
        cdef int64_t n_parents = block_ptr.shape[0] - 1, parent, block, k
        sizes = np.zeros((2, n_parents), dtype=np.int64)
        cdef int64_t[:, ::1] out = sizes
        cdef uint8_t[::1] seen
        cdef Piece *piece
        cdef int64_t rows
        seen_array = np.zeros(self.n_features, dtype=np.uint8)
        seen = seen_array
        for parent in range(n_parents):
            rows = 0
            for block in range(block_ptr[parent], block_ptr[parent + 1]):
                piece = &self.pieces[block]
                out[1, parent] += piece.n_entries
                for k in range(piece.n_rows):
                    rows += not seen[piece.features[k]]
                    seen[piece.features[k]] = 1
            out[0, parent] = rows
            for block in range(block_ptr[parent], block_ptr[parent + 1]):
                piece = &self.pieces[block]
                for k in range(piece.n_rows):
                    seen[piece.features[k]] = 0
        return sizes

    def fill_chunk(self, int64_t parent, int32_t[::1] features, uint32_t[::1] row_ptr,
                   column_t[::1] columns, float[::1] weights, int32_t[::1] slot):
        """Merge the blocks of one parent, row by row; frees them.

        `slot` is a scratch array of n_features zeros, left as zeros.
        """
        cdef int64_t first = self.block_ptr[parent], last = self.block_ptr[parent + 1]
        cdef int64_t block, k, entry, at, n_rows = 0
        cdef uint32_t begin = 0, count
        cdef int32_t f
        cdef Piece *piece
        for block in range(first, last):
            piece = &self.pieces[block]
            for k in range(piece.n_rows):
                f = piece.features[k]
                if slot[f] == 0:
                    features[n_rows] = f
                    n_rows += 1
                slot[f] += piece.counts[k]
        if last - first > 1:
            np.asarray(features).sort()
        for k in range(n_rows):
            count = slot[features[k]]
            row_ptr[k] = begin
            slot[features[k]] = begin
            begin += count
        row_ptr[n_rows] = begin
        for block in range(first, last):
            piece = &self.pieces[block]
            entry = 0
            for k in range(piece.n_rows):
                f = piece.features[k]
                at = slot[f]
                slot[f] += piece.counts[k]
                for count in range(piece.counts[k]):
                    columns[at + count] = <column_t>piece.columns[entry]
                    weights[at + count] = piece.weights[entry]
                    entry += 1
        for k in range(n_rows):
            slot[features[k]] = 0
        self._release(first, last)

    cdef void _release(self, int64_t first, int64_t last):
        cdef int64_t block
        for block in range(first, last):
            free(self.pieces[block].features)
            free(self.pieces[block].counts)
            free(self.pieces[block].columns)
            free(self.pieces[block].weights)
            memset(&self.pieces[block], 0, sizeof(Piece))
