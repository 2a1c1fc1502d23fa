"""Counts of known or hashed terms: texts in, the arrays of a CSR matrix out."""

from cython.parallel cimport parallel, threadid
from libc.stdint cimport INT32_MAX, INT32_MIN, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from sklearn_xmr.feature_extraction._analyzer cimport (
    Analyzer, Plan, Text, Texts, analyze, free_analysis
)
from sklearn_xmr.feature_extraction._terms cimport (
    N_TOGETHER, Span, Terms, TermTable, find_terms, xmr_murmur3
)
from sklearn_xmr.feature_extraction._weighting cimport (
    column_of, count_of, pair_of, weigh
)
from sklearn_xmr.utils._buffer cimport extend, reserve
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport Signals, Work, leave, should_stop, take

cdef struct Lookup:            # from terms to columns
    const Terms *terms         # NULL: they are hashed
    int64_t n_features
    bint alternate_sign


# --- one text ---------------------------------------------------------------------------

cdef void free_worker(Worker *worker) noexcept nogil:
    free_analysis(&worker.analysis)
    free(worker.pairs.data)
    free(worker.spare.data)
    free(worker.values.data)
    free(worker.bytes.data)


cdef int64_t merge_pairs(uint64_t *pairs, int64_t n) noexcept nogil:
    """Add the counts of pairs of one column, which are adjacent; how many are left."""
    cdef int64_t i, n_left = 0
    for i in range(n):
        if n_left and column_of(pairs[n_left - 1]) == column_of(pairs[i]):
            pairs[n_left - 1] = pair_of(
                column_of(pairs[i]), count_of(pairs[n_left - 1]) + count_of(pairs[i])
            )
        else:
            pairs[n_left] = pairs[i]
            n_left += 1
    return n_left


cdef inline uint64_t hashed(const Lookup *lookup, const uint8_t *term,
                            int64_t n) noexcept nogil:
    """Column and sign of a term, as scikit-learn's FeatureHasher defines them."""
    cdef int32_t hash = xmr_murmur3(term, n)
    cdef int64_t column
    if hash == INT32_MIN:
        column = (INT32_MAX - (lookup.n_features - 1)) % lookup.n_features
    else:
        column = (hash if hash >= 0 else -hash) % lookup.n_features
    return pair_of(column, -1 if lookup.alternate_sign and hash < 0 else 1)


cdef int64_t count_row(const Plan *plan, const Text *text, const Lookup *lookup,
                       Worker *worker) noexcept nogil:
    """Append the pairs of a text, by column, to the worker's; their number or -1."""
    cdef Analysis *analysis = &worker.analysis
    cdef int64_t n
    cdef uint64_t *pairs
    cdef uint64_t *spare
    if analyze(plan, text, analysis) < 0:
        return -1
    pairs = <uint64_t *>extend(
        &worker.pairs, (worker.n_pairs + analysis.n_terms + 1) * sizeof(uint64_t)
    )
    spare = <uint64_t *>reserve(&worker.spare, (analysis.n_terms + 1) * sizeof(uint64_t))
    if pairs == NULL or spare == NULL:
        return -1
    pairs += worker.n_pairs
    n = look_up(lookup, analysis, pairs)
    xmr_sort_pairs(pairs, spare, n)
    return merge_pairs(pairs, n)


cdef int64_t look_up(const Lookup *lookup, const Analysis *analysis,
                     uint64_t *pairs) noexcept nogil:
    """A pair for each term that has a column; their number."""
    cdef int64_t i = 0, k, n = 0
    cdef int together
    cdef const Span *spans
    cdef int32_t[N_TOGETHER] numbers
    if lookup.terms == NULL:
        for i in range(analysis.n_terms):
            spans = analysis.terms + i
            pairs[i] = hashed(lookup, analysis.text + spans.start, spans.end - spans.start)
        return analysis.n_terms
    while i < analysis.n_terms:
        together = <int>min(N_TOGETHER, analysis.n_terms - i)
        find_terms(lookup.terms, analysis.text, analysis.terms + i, together, numbers)
        for k in range(together):
            if numbers[k] >= 0:
                pairs[n] = pair_of(numbers[k], 1)
                n += 1
        i += together
    return n


# --- many texts -------------------------------------------------------------------------

cdef class TextCounter:
    """Rows of texts, from the terms of a table or from hashed terms.

    Any number of threads may use one at once.

    Parameters
    ----------
    analyzer : Analyzer
        How texts become terms.
    weighting : Weighting
        How counts become values.
    terms : TermTable, default=None
        Column of each term; terms that it lacks are ignored. None: they are hashed.
    n_features : int, default=0
        Number of columns for hashed terms, up to 2**31 - 1.
    alternate_sign : bool, default=False
        Whether half of the hashed terms count negative.

    Raises
    ------
    ValueError
        If ``n_features`` is out of range, or the weights are of another vocabulary.
    """

    cdef Analyzer analyzer
    cdef Weighting weighting
    cdef TermTable terms
    cdef Lookup lookup
    cdef list pool

    def __init__(self, Analyzer analyzer not None, Weighting weighting not None,
                 TermTable terms=None, n_features=0, alternate_sign=False):
        self.analyzer, self.weighting, self.terms = analyzer, weighting, terms
        self.lookup.terms = terms.checked_view() if terms is not None else NULL
        self.lookup.n_features = len(terms) if terms is not None else n_features
        if not 0 <= self.lookup.n_features <= INT32_MAX or (
            terms is None and n_features == 0
        ):
            raise ValueError(f"n_features must be 1 to {INT32_MAX}, got {n_features}")
        if weighting.n_factors not in (-1, self.lookup.n_features):
            raise ValueError(
                f"idf must have a factor for each of the {self.lookup.n_features} terms, "
                f"got {weighting.n_factors}"
            )
        self.lookup.alternate_sign = alternate_sign
        self.pool = []

    def __reduce__(self):
        lookup = self.lookup
        settings = self.analyzer, self.weighting, self.terms
        return type(self), (*settings, lookup.n_features, bool(lookup.alternate_sign))

    @property
    def n_features(self):
        """Number of columns (int)."""
        return self.lookup.n_features

    def rows(self, list texts, dtype, int n_threads):
        """Values and columns of some texts.

        Parameters
        ----------
        texts : list of str
            The texts; nobody may change the list meanwhile.
        dtype : dtype
            float32, float64, int32 or int64.
        n_threads : int
            Most threads to use.

        Returns
        -------
        data : ndarray of shape (nnz,)
        indices : ndarray of int32 of shape (nnz,)
            Ascending in each row.
        indptr : ndarray of int64 of shape (n_texts + 1,)
        """
        cdef Texts prepared = self.analyzer.prepare(texts)
        n_threads = max(1, min(n_threads, prepared.n_characters // PIECE_CHARACTERS))
        cdef RowWriter rows = RowWriter(prepared.n, n_threads)
        self._count(prepared, rows, n_threads)
        return rows.arrays(self.weighting, dtype, n_threads)

    cdef int _count(self, Texts texts, RowWriter out, int n_threads) except -1:
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_pieces(texts.n))
        if n_threads == 1:
            with nogil:
                self._count_pieces(texts, out, 0, &work)
        else:
            with nogil, parallel(num_threads=team(n_threads)):
                self._count_pieces(texts, out, threadid(), &work)
        signals.end()
        return out.check()

    cdef void _count_pieces(self, Texts texts, RowWriter out, int w,
                            Work *work) noexcept nogil:
        cdef Worker *worker = &out.workers[w]
        cdef int64_t piece = take(work), i, n
        while piece >= 0:
            for i in range(piece * PIECE_TEXTS, min((piece + 1) * PIECE_TEXTS, texts.n)):
                n = count_row(&self.analyzer.plan, &texts.items[i], &self.lookup, worker)
                worker.failed = worker.failed or n < 0
                out.place_row(i, w, max(n, 0))
            piece = -1 if should_stop(work, w) else take(work)
        leave(work, w)

    @property
    def is_hashed(self):
        """Whether terms are hashed (bool)."""
        return self.lookup.terms == NULL

    def row(self, text):
        """Columns and float32 values of one text, with buffers that are used again.

        Parameters
        ----------
        text : str
            The text.

        Returns
        -------
        indices : ndarray of int32 of shape (n_terms,)
            Ascending.
        values : ndarray of float32 of shape (n_terms,)
        """
        cdef PooledWorker pooled = take_worker(self.pool)
        cdef Worker *worker = &pooled.worker
        cdef Texts prepared = self.analyzer.prepare([text])
        cdef int64_t n, i
        cdef double *values
        cdef uint64_t *pairs
        worker.n_pairs = 0
        with nogil:
            n = count_row(&self.analyzer.plan, prepared.items, &self.lookup, worker)
            values = <double *>reserve(&worker.values, max(n, 1) * sizeof(double))
        if n < 0 or values == NULL:
            raise MemoryError("no memory for the terms of a text")
        pairs = <uint64_t *>worker.pairs.data
        weigh(&self.weighting.plan, pairs, n, values)
        indices, out = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.float32)
        cdef int32_t[::1] columns = indices
        cdef float[::1] floats = out
        for i in range(n):
            columns[i] = column_of(pairs[i])
            floats[i] = <float>values[i]
        self.pool.append(pooled)
        return indices, out


cdef class PooledWorker:
    """Buffers of one text at a time."""

    cdef Worker worker

    def __cinit__(self):
        memset(&self.worker, 0, sizeof(Worker))

    def __dealloc__(self):
        free_worker(&self.worker)


cdef PooledWorker take_worker(list pool):
    """From the pool, or new; list.pop and append are atomic."""
    try:
        return pool.pop()
    except IndexError:
        return PooledWorker()


# --- the matrix -------------------------------------------------------------------------

cdef class RowWriter:
    """Rows as pairs of some workers, and the arrays of the matrix that they make."""

    def __cinit__(self, int64_t n_rows, int n_workers):
        self.n_workers = n_workers
        self.workers = <Worker *>calloc(n_workers, sizeof(Worker))
        if self.workers == NULL or not self.grow(n_rows):
            raise MemoryError("no memory for the terms of the texts")

    def __dealloc__(self):
        cdef int w
        if self.workers != NULL:
            for w in range(self.n_workers):
                free_worker(&self.workers[w])
        free(self.workers)
        free(self.row_buffer.data)

    cdef bint grow(self, int64_t n_rows):
        """Make place for so many rows; False without memory."""
        self.rows = <Row *>extend(&self.row_buffer, (n_rows + 1) * sizeof(Row))
        self.n_rows = n_rows
        return self.rows != NULL

    cdef void place_row(self, int64_t row, int worker, int64_t n) noexcept nogil:
        """The next n pairs of a worker are those of a row."""
        self.rows[row].worker = worker
        self.rows[row].start = self.workers[worker].n_pairs
        self.rows[row].n = self.rows[row].n_kept = n
        self.workers[worker].n_pairs += n

    cdef arrays(self, Weighting weighting, dtype, int n_threads):
        """data, indices and indptr."""
        cdef int64_t i
        indptr = np.zeros(self.n_rows + 1, dtype=np.int64)
        cdef int64_t[::1] ends = indptr
        for i in range(self.n_rows):
            ends[i + 1] = ends[i] + self.rows[i].n_kept
        indices = np.empty(ends[self.n_rows], dtype=np.int32)
        data = np.empty(ends[self.n_rows], dtype=dtype)
        if ends[self.n_rows] == 0:
            pass
        elif dtype == np.float32:
            self.write[float](&weighting.plan, ends, indices, data, n_threads)
        elif dtype == np.float64:
            self.write[double](&weighting.plan, ends, indices, data, n_threads)
        elif dtype == np.int32:
            self.write[int32_t](&weighting.plan, ends, indices, data, n_threads)
        else:
            self.write[int64_t](&weighting.plan, ends, indices, data, n_threads)
        return data, indices, indptr

    cdef int write(self, const WeightingPlan *plan, const int64_t[::1] indptr,
                   int32_t[::1] indices, value[::1] data, int n_threads) except -1:
        """Weigh all rows into their places."""
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_pieces(self.n_rows))
        if n_threads == 1:  # opening a team of one costs microseconds too
            with nogil:
                self.write_pieces(plan, &indptr[0], &indices[0], &data[0], 0, &work)
        else:
            with nogil, parallel(num_threads=team(n_threads)):
                self.write_pieces(plan, &indptr[0], &indices[0], &data[0], threadid(), &work)
        signals.end()
        return self.check()

    cdef void write_pieces(self, const WeightingPlan *plan, const int64_t *indptr,
                           int32_t *indices, value *data, int w,
                           Work *work) noexcept nogil:
        cdef int64_t piece = take(work), i
        while piece >= 0:
            for i in range(piece * PIECE_TEXTS, min((piece + 1) * PIECE_TEXTS, self.n_rows)):
                write_row(
                    plan, self.row_pairs(i, &self.workers[w]), self.rows[i].n_kept,
                    &self.workers[w],
                    indices + indptr[i], data + indptr[i],
                )
            piece = -1 if should_stop(work, w) else take(work)
        leave(work, w)

    cdef const uint64_t *row_pairs(self, int64_t row, Worker *own) noexcept nogil:
        """Columns and counts of a row; NULL without memory. `own` is the caller's."""
        cdef Row place = self.rows[row]
        return <uint64_t *>self.workers[place.worker].pairs.data + place.start

    cdef int check(self) except -1:
        """MemoryError if a worker failed."""
        cdef int w
        for w in range(self.n_workers):
            if self.workers[w].failed:
                raise MemoryError("no memory for the terms of the texts")
        return 0


cdef void write_row(const WeightingPlan *plan, const uint64_t *pairs, int64_t n,
                    Worker *own, int32_t *indices, value *data) noexcept nogil:
    cdef int64_t k
    cdef double *values = <double *>reserve(&own.values, (n + 1) * sizeof(double))
    if values == NULL or pairs == NULL:
        own.failed = True
        return
    weigh(plan, pairs, n, values)
    for k in range(n):
        indices[k] = column_of(pairs[k])
        data[k] = <value>values[k]
