"""Search over chunked weights, for Python: instances in, arrays of labels out."""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_xmr.linear._constants cimport XMR_NOOP
from sklearn_xmr.linear._search._beam_search cimport (
    Candidate, Instances, Search, SearchWorkspace, free_workspace, query_of, score_labels,
    search_best_first, search_block, xmr_query
)
from sklearn_xmr.linear._weights._level_pointers cimport LevelPointers, xmr_level
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._pointers cimport float_pointer, int32_pointer, int64_pointer
from sklearn_xmr.utils._work cimport Signals, Work, should_stop

cdef enum:
    BLOCK_ROWS = 4096     # queries that one thread searches together


# --- workspaces -------------------------------------------------------------------------

cdef class PooledWorkspace:
    """Buffers of one search at a time."""

    cdef SearchWorkspace ws

    def __cinit__(self):
        memset(&self.ws, 0, sizeof(SearchWorkspace))

    def __dealloc__(self):
        free_workspace(&self.ws)


cdef PooledWorkspace take_workspace(list pool):
    """From the pool, or new; list.pop and extend are atomic."""
    try:
        return pool.pop()
    except IndexError:
        return PooledWorkspace()


cdef class ThreadWorkspaces:
    """A workspace from the pool and a query for each of some threads."""

    cdef list workspaces
    cdef SearchWorkspace **ws
    cdef xmr_query *queries

    def __cinit__(self, pool, int n_threads):
        cdef int t
        self.workspaces = [take_workspace(pool) for _ in range(n_threads)]
        self.ws = <SearchWorkspace **>malloc(n_threads * sizeof(SearchWorkspace *))
        self.queries = <xmr_query *>malloc(n_threads * sizeof(xmr_query))
        if self.ws == NULL or self.queries == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(n_threads):
            self.ws[t] = &(<PooledWorkspace>self.workspaces[t]).ws

    def __dealloc__(self):
        free(self.ws)
        free(self.queries)

    cdef give_back(self, pool):
        pool.extend(self.workspaces)


# --- arguments --------------------------------------------------------------------------

cdef class HeldInstances:
    """The instances of a call, as the search reads them; keeps their arrays alive."""

    cdef Instances X
    cdef int64_t n_rows
    cdef list kept_alive

    def __cinit__(self, X):
        self.kept_alive = []
        indptr = X.sparse.indptr.astype(np.int64, copy=False)
        self.n_rows = len(indptr) - 1
        self.X.indptr = int64_pointer(indptr, self.kept_alive)
        self.X.indices = int32_pointer(X.sparse.indices, self.kept_alive)
        self.X.values = float_pointer(X.sparse.data, self.kept_alive)
        self.X.n_dense = X.dense.shape[1]
        self.X.dense = float_pointer(X.dense.reshape(-1), self.kept_alive)


cdef int64_t clip_count(value, int64_t most, name) except -1:
    """An integer of any size, but no more than `most`; ValueError below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return most if value > most else value


cdef class LabelWeights:
    """Weights that multiply the labels' scores, for a search that stays exact.

    With u(node) the logarithm of the largest weight below a node, the search ranks
    nodes by log score + u(node), to which each node adds ``u(node) - u(parent) <= 0``
    on the way down: as without weights, no child scores above its parent.

    Parameters
    ----------
    offsets : list of ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, per level from the root down.
    label_order : ndarray of int64 of shape (n_labels,)
        Label of each node of the last level.
    weights : ndarray of shape (n_labels,)
        Positive.
    """

    cdef list steps
    cdef const float **pointers
    cdef float root_score

    def __cinit__(self):
        self.pointers = NULL

    def __init__(self, offsets, label_order, weights):
        cdef int t
        cdef list kept_alive = []
        below = np.log(np.asarray(weights, dtype=np.float64))[label_order]
        self.steps = []
        for starts in reversed(offsets):
            above = np.maximum.reduceat(below, starts[:len(starts) - 1])
            steps = below - np.repeat(above, np.diff(starts))
            self.steps.insert(0, steps.astype(np.float32))
            below = above
        self.root_score = below[0]
        self.pointers = <const float **>malloc(len(offsets) * sizeof(float *))
        if self.pointers == NULL:
            raise MemoryError("no memory for label weights")
        for t in range(len(offsets)):
            self.pointers[t] = float_pointer(self.steps[t], kept_alive)

    def __dealloc__(self):
        free(self.pointers)


# --- the search -------------------------------------------------------------------------

cdef class TreeSearch:
    """Search over a list of :class:`ChunkedWeights`, one per level.

    It keeps the arrays of the weights as they were when it was made, pointers to their
    elements, and a pool of workspaces; any number of threads may search at once.

    Parameters
    ----------
    levels : list of ChunkedWeights
        From the root down.
    label_order : ndarray of int64 of shape (n_labels,)
        Label of each node of the last level.
    """

    cdef xmr_level *levels
    cdef int n_levels
    cdef list kept_alive, offsets, parents, pool
    cdef tuple cached_weights
    cdef const int64_t[::1] label_order

    def __cinit__(self):
        self.levels = NULL

    def __init__(self, levels, const int64_t[::1] label_order):
        cdef int t
        cdef LevelPointers pointers
        self.n_levels = len(levels)
        self.label_order = label_order
        self.kept_alive, self.pool = [], []
        self.offsets = [level.child_ptr[level.parent_ptr] for level in levels]
        self.parents, self.cached_weights = None, (None, None)
        free(self.levels)
        self.levels = <xmr_level *>calloc(self.n_levels, sizeof(xmr_level))
        if self.levels == NULL:
            raise MemoryError("no memory for the tree search")
        for t in range(self.n_levels):
            pointers = LevelPointers(levels[t])
            self.levels[t] = pointers.level
            self.kept_alive.append(pointers)

    def __dealloc__(self):
        free(self.levels)

    def label_weights(self, values):
        """Weights of the labels in the form that the search takes.

        Those of the last call are kept, and given again for equal values.

        Parameters
        ----------
        values : ndarray of shape (n_labels,)
            Positive factors of the labels' scores.

        Returns
        -------
        LabelWeights
        """
        cached_for, weights = self.cached_weights
        if weights is None or not np.array_equal(cached_for, values):
            values = np.array(values)
            weights = LabelWeights(self.offsets, np.asarray(self.label_order), values)
            self.cached_weights = values, weights
        return weights

    cdef Search _plan(self, n_levels, beam_size, k, rule, LabelWeights weights) except *:
        """Checked settings of a search, with counts no larger than can be of use."""
        cdef Search s
        cdef int t
        cdef int64_t widest = 1
        if not 1 <= n_levels <= self.n_levels:
            raise ValueError(f"n_levels must be 1 to {self.n_levels}, got {n_levels}")
        s.levels, s.n_levels = self.levels, n_levels
        s.combiner, s.path_weight = rule.code, rule.path_weight
        for t in range(s.n_levels):
            widest = max(widest, self.levels[t].n_nodes)
        s.beam_size = widest
        if beam_size is not None:
            s.beam_size = clip_count(beam_size, widest, "beam_size")
        s.k = clip_count(k, self.levels[s.n_levels - 1].n_nodes, "k")
        s.label_order = &self.label_order[0] if s.n_levels == self.n_levels else NULL
        s.weight_steps = weights.pointers if weights is not None else NULL
        s.root_score = 0 if weights is None else weights.root_score
        return s

    def search(self, X, n_levels, beam_size, k, rule, int n_threads,
               LabelWeights weights=None):
        """The k best nodes of level ``n_levels - 1`` for every row, by beam search.

        Parameters
        ----------
        X : HybridFeatures of shape (n_rows, n_sparse + n_dense)
            Float32, with sorted int32 column numbers.
        n_levels : int
            Levels to search, from the root down.
        beam_size : int or None
            Nodes kept per level; None for all.
        k : int
        rule : PostProcessor
            How margins become scores.
        n_threads : int
        weights : LabelWeights, default=None

        Returns
        -------
        nodes : ndarray of int64 of shape (n_rows, k)
            Labels for the last level, nodes above it; -1 where there are fewer. At
            most as many columns as the level has nodes.
        scores : ndarray of float32 of shape (n_rows, k)
            Log scores (margins for "noop"), -inf where there are fewer.

        Raises
        ------
        ValueError
            If ``n_levels``, ``beam_size`` or ``k`` is out of range.
        """
        cdef Search s = self._plan(n_levels, beam_size, k, rule, weights)
        cdef HeldInstances queries = HeldInstances(X)
        nodes = np.full((queries.n_rows, s.k), -1, dtype=np.int64)
        scores = np.full((queries.n_rows, s.k), -np.inf, dtype=np.float32)
        n_threads = max(1, min(n_threads, queries.n_rows // 8))
        self._search_blocks(&s, queries, n_threads, nodes, scores)
        return nodes, scores

    cdef _search_blocks(self, Search *s, HeldInstances queries, int n_threads,
                        int64_t[:, ::1] nodes, float[:, ::1] scores):
        """Search a block of rows at a time, each in one thread."""
        cdef int64_t n_rows = queries.n_rows, block, first, n
        cdef int64_t n_blocks = count_blocks(s, n_rows, n_threads)
        cdef int64_t block_rows = max(1, divided_up(n_rows, n_blocks))
        cdef int failed = 0
        cdef SearchWorkspace *ws
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_blocks)
        cdef ThreadWorkspaces threads = ThreadWorkspaces(self.pool, n_threads)
        with nogil, parallel(num_threads=team(n_threads)):
            for block in prange(n_blocks, schedule="dynamic", chunksize=1):
                if should_stop(&work, threadid()):
                    continue
                ws = threads.ws[threadid()]
                first = min(block * block_rows, n_rows)
                n = min(block_rows, n_rows - first)
                if search_block(s, &queries.X, first, n, ws) < 0:
                    failed += 1
                else:
                    copy_beams(s, ws, first, n, nodes, scores)
        threads.give_back(self.pool)
        signals.end()
        if failed:
            raise MemoryError("no memory for the tree search")

    def search_best_first(self, X, beam_size, k, rule, int n_threads,
                          LabelWeights weights=None):
        """The k best labels for every row, row by row: exact with beam_size None.

        Parameters
        ----------
        X, beam_size, k, n_threads, weights
            As in :meth:`search`.
        rule : PostProcessor
            As in :meth:`search`, but not "noop".

        Returns
        -------
        labels, scores : ndarray of shape (n_rows, k)
            As in :meth:`search`.
        n_visited : ndarray of int64 of shape (n_rows,)
            Nodes whose children were scored.

        Raises
        ------
        ValueError
            If ``beam_size`` or ``k`` is out of range.
        """
        cdef Search s = self._plan(self.n_levels, beam_size, k, rule, weights)
        cdef HeldInstances queries = HeldInstances(X)
        cdef int64_t n_rows = queries.n_rows, row, n
        cdef int failed = 0
        cdef int t
        labels = np.full((n_rows, s.k), -1, dtype=np.int64)
        scores = np.full((n_rows, s.k), -np.inf, dtype=np.float32)
        visited = np.zeros(n_rows, dtype=np.int64)
        cdef int64_t[:, ::1] out_labels = labels
        cdef float[:, ::1] out_scores = scores
        cdef int64_t[::1] out_visited = visited
        n_threads = max(1, min(n_threads, n_rows // 4))
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_rows)
        cdef ThreadWorkspaces threads = ThreadWorkspaces(self.pool, n_threads)
        with nogil, parallel(num_threads=team(n_threads)):
            for row in prange(n_rows, schedule="dynamic", chunksize=16):
                t = threadid()
                if should_stop(&work, t):
                    continue
                threads.queries[t] = query_of(&queries.X, row)
                n = search_best_first(&s, &threads.queries[t], &out_visited[row],
                                      threads.ws[t])
                failed += n < 0
                copy_row(<const Candidate *>threads.ws[t].heap.data, n, row, out_labels,
                         out_scores)
        threads.give_back(self.pool)
        signals.end()
        if failed:
            raise MemoryError("no memory for the tree search")
        return labels, scores, visited

    def search_row(self, const int32_t[::1] indices, const float[::1] values,
                   const float[::1] dense, beam_size, k, rule,
                   LabelWeights weights=None):
        """The best labels of one row, and their scores; as many as the beam reaches.

        Parameters
        ----------
        indices : ndarray of int32 of shape (nnz,)
            Sparse features of the row.
        values : ndarray of float32 of shape (nnz,)
        dense : ndarray of float32 of shape (n_dense,)
        beam_size, k, rule, weights
            As in :meth:`search`.

        Returns
        -------
        labels : ndarray of int64 of shape (n_found,)
            Best first, at most k.
        scores : ndarray of float32 of shape (n_found,)

        Raises
        ------
        ValueError
            If ``beam_size`` or ``k`` is out of range.
        """
        cdef Search s = self._plan(self.n_levels, beam_size, k, rule, weights)
        cdef PooledWorkspace workspace = take_workspace(self.pool)
        cdef Instances X
        cdef int64_t n, i
        cdef int64_t[2] indptr
        cdef const Candidate *found = NULL
        indptr[0], indptr[1] = 0, indices.shape[0]
        X.indptr, X.n_dense = indptr, dense.shape[0]
        X.indices = &indices[0] if indices.shape[0] else NULL
        X.values = &values[0] if indices.shape[0] else NULL
        X.dense = &dense[0] if dense.shape[0] else NULL
        with nogil:
            n = search_one(&s, &X, &workspace.ws, &found)
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

    def score_pairs(self, X, const int64_t[::1] pair_ptr, const int32_t[::1] nodes,
                    rule, int n_threads):
        """Log scores of given nodes of the last level.

        Parameters
        ----------
        X : HybridFeatures of shape (n_rows, n_sparse + n_dense)
            As in :meth:`search`.
        pair_ptr : ndarray of int64 of shape (n_rows + 1,)
            Pairs of each row.
        nodes : ndarray of int32 of shape (n_pairs,)
            Node of each pair, ascending within a row.
        rule, n_threads
            As in :meth:`search`.

        Returns
        -------
        ndarray of float32 of shape (n_pairs,)
        """
        cdef Search s = self._plan(self.n_levels, 1, 1, rule, None)
        cdef HeldInstances queries = HeldInstances(X)
        scores = np.zeros(nodes.shape[0], dtype=np.float32)
        n_threads = max(1, min(n_threads, queries.n_rows // 4))
        if nodes.shape[0]:
            self._score_rows(&s, queries, pair_ptr, nodes, n_threads, scores)
        return scores

    cdef _score_rows(self, const Search *s, HeldInstances queries,
                     const int64_t[::1] pair_ptr, const int32_t[::1] nodes, int n_threads,
                     float[::1] scores):
        """Score the pairs of a row at a time, each row in one thread."""
        cdef int64_t row, n
        cdef int failed = 0
        cdef int t
        cdef list parents = self._parents()
        longest = np.diff(pair_ptr).max()
        cdef int32_t[:, ::1] path = np.empty((n_threads, self.n_levels * longest), np.int32)
        cdef ThreadWorkspaces threads = ThreadWorkspaces(self.pool, n_threads)
        cdef const int32_t **parent_of = pointers_to(parents)
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(queries.n_rows)
        with nogil, parallel(num_threads=team(n_threads)):
            for row in prange(queries.n_rows, schedule="dynamic", chunksize=16):
                t = threadid()
                if should_stop(&work, t):
                    continue
                n = pair_ptr[row + 1] - pair_ptr[row]
                if n > 0:
                    threads.queries[t] = query_of(&queries.X, row)
                    failed += score_labels(s, parent_of, &nodes[pair_ptr[row]], n,
                                           &threads.queries[t], &scores[pair_ptr[row]],
                                           &path[t, 0], threads.ws[t])
        free(parent_of)
        threads.give_back(self.pool)
        signals.end()
        if failed:
            raise MemoryError("no memory for the tree search")

    cdef list _parents(self):
        """Parent of each node, per level (ndarrays of int32); made when first needed."""
        if self.parents is None:
            self.parents = [
                np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
                for starts in self.offsets
            ]
        return self.parents


cdef int64_t count_blocks(const Search *s, int64_t n_rows, int n_threads) noexcept nogil:
    """Even blocks of rows, small enough that beams of many nodes stay within 32 MB."""
    cdef int64_t most_rows = (1 << 21) // max(s.beam_size, s.k)
    cdef int64_t n_blocks
    most_rows = max(1, min(BLOCK_ROWS, most_rows))
    n_blocks = divided_up(n_rows, most_rows)
    return max(1, divided_up(n_blocks, n_threads) * n_threads)


cdef inline int64_t divided_up(int64_t n, int64_t by) noexcept nogil:
    """n / by, rounded up; C rounds -(-n // by) down."""
    return (n + by - 1) // by


cdef inline void copy_row(const Candidate *found, int64_t n, int64_t row,
                          int64_t[:, ::1] nodes, float[:, ::1] scores) noexcept nogil:
    """Write the n candidates that were found for a row."""
    cdef int64_t i
    for i in range(n):
        nodes[row, i] = found[i].node
        scores[row, i] = found[i].score


cdef void copy_beams(const Search *s, SearchWorkspace *ws, int64_t first, int64_t n,
                     int64_t[:, ::1] nodes, float[:, ::1] scores) noexcept nogil:
    """Write what a block of n rows has found."""
    cdef int64_t row, width = max(s.beam_size, s.k)
    for row in range(n):
        copy_row(<const Candidate *>ws.beam.data + row * width,
                 (<int64_t *>ws.n_beam.data)[row], first + row, nodes, scores)


cdef int64_t search_one(const Search *s, const Instances *X, SearchWorkspace *ws,
                        const Candidate **found) noexcept nogil:
    """Best labels of the only row of X; their number, or -1 without memory."""
    cdef xmr_query query = query_of(X, 0)
    cdef int64_t n, n_visited = 0
    if s.combiner != XMR_NOOP:
        n = search_best_first(s, &query, &n_visited, ws)
        found[0] = <const Candidate *>ws.heap.data
        return n
    if search_block(s, X, 0, 1, ws) < 0:
        return -1
    found[0] = <const Candidate *>ws.beam.data
    return (<int64_t *>ws.n_beam.data)[0]


cdef const int32_t **pointers_to(list arrays) except NULL:
    """Pointers to the elements of arrays of int32, which the caller frees."""
    cdef int i
    cdef list kept_alive = []
    cdef const int32_t **out = <const int32_t **>malloc(len(arrays) * sizeof(int32_t *))
    if out == NULL:
        raise MemoryError("no memory for the tree search")
    for i in range(len(arrays)):
        out[i] = int32_pointer(arrays[i], kept_alive)
    return out
