"""Counts of all terms of a corpus, of which the vocabulary is then chosen.

Texts are read once. Each thread numbers the terms that it meets in a table of its own;
at the end the tables are merged, in parts by hash, and the rows renumbered.
"""

from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from sklearn_xmr.feature_extraction._terms import TermTable

from sklearn_xmr.feature_extraction._analyzer cimport Analyzer, Text, Texts, analyze
from sklearn_xmr.feature_extraction._term_counts cimport (
    PIECE_CHARACTERS, PIECE_TEXTS, Row, RowWriter, Worker, n_pieces, xmr_sort_pairs
)
from sklearn_xmr.feature_extraction._terms cimport (
    N_TOGETHER, GrowingTerms, Term, free_growing_terms, number_terms, xmr_equal
)
from sklearn_xmr.feature_extraction._weighting cimport (
    Weighting, column_of, count_of, pair_of
)
from sklearn_xmr.utils._buffer cimport Buffer, extend, reserve
from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport (
    Signals, Work, leave, should_stop, should_stop_at, take
)

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #define xmr_trim_heap() malloc_trim(0)  /* glibc keeps what was freed */
    #else
    #define xmr_trim_heap() 0
    #endif
    """
    int xmr_trim_heap() nogil

cdef enum:
    PART_BITS = 6              # of the hash: the tables are merged in 64 parts
    N_PARTS = 64

cdef struct NewTerms:          # of a text: numbers of the worker's table
    int32_t first
    int32_t n

cdef struct Source:            # where a merged term was found
    int32_t worker
    int32_t number

cdef struct SortedTerm:
    const uint8_t *bytes
    uint64_t prefix            # first eight bytes, the first one highest
    uint32_t length
    int32_t merged


cdef inline uint8_t *put_number(uint8_t *at, uint32_t x) noexcept nogil:
    """Seven bits a byte, the low ones first; the place behind, at most five bytes on."""
    while x >= 0x80:
        at[0] = <uint8_t>(x | 0x80)
        at += 1
        x >>= 7
    at[0] = <uint8_t>x
    return at + 1


cdef inline const uint8_t *get_number(const uint8_t *at, uint32_t *x) noexcept nogil:
    cdef int shift = 0
    x[0] = 0
    while at[0] & 0x80:
        x[0] |= <uint32_t>(at[0] & 0x7f) << shift
        shift += 7
        at += 1
    x[0] |= <uint32_t>at[0] << shift
    return at + 1


cdef inline const uint8_t *get_entry(const uint8_t *at, int32_t *number,
                                     int32_t *count) noexcept nogil:
    """A term and how often it occurs; the place behind."""
    cdef uint32_t x = 0, y = 1
    at = get_number(at, &x)
    if x & 1:
        at = get_number(at, &y)
    number[0], count[0] = <int32_t>(x >> 1), <int32_t>y
    return at


cdef class CorpusRows(RowWriter):
    """Rows of a corpus in two to three bytes a term, instead of pairs of eight.

    The frequent terms, which are met early, have small numbers. These are a worker's own
    until the vocabulary is chosen; then ``ranks`` of the numbers (-1 for none) and
    ``columns`` of the ranks turn them into columns.
    """

    cdef int32_t **ranks
    cdef const int32_t *columns

    cdef int store(self, int64_t row, int w, const uint64_t *pairs, int64_t n) noexcept nogil:
        """Append a row to what the worker stores; -1 without memory."""
        cdef Worker *worker = &self.workers[w]
        cdef int64_t i
        cdef uint32_t number
        cdef uint8_t *at = <uint8_t *>extend(&worker.bytes, worker.n_bytes + 10 * n + 1)
        if at == NULL:
            return -1
        self.rows[row].worker, self.rows[row].start = w, worker.n_bytes
        self.rows[row].n = self.rows[row].n_kept = n
        at += worker.n_bytes
        for i in range(n):
            number = <uint32_t>column_of(pairs[i]) << 1
            if count_of(pairs[i]) == 1:
                at = put_number(at, number)
            else:
                at = put_number(put_number(at, number | 1), <uint32_t>count_of(pairs[i]))
        worker.n_bytes = at - <uint8_t *>worker.bytes.data
        return 0

    cdef const uint8_t *bytes_of(self, int64_t row) noexcept nogil:
        cdef Row place = self.rows[row]
        return <const uint8_t *>self.workers[place.worker].bytes.data + place.start

    cdef void count_kept(self, int64_t row) noexcept nogil:
        cdef const uint8_t *at = self.bytes_of(row)
        cdef const int32_t *ranks = self.ranks[self.rows[row].worker]
        cdef int64_t _
        cdef int32_t number = 0, count = 0
        self.rows[row].n_kept = 0
        for _ in range(self.rows[row].n):
            at = get_entry(at, &number, &count)
            self.rows[row].n_kept += ranks[number] >= 0

    cdef const uint64_t *row_pairs(self, int64_t row, Worker *own) noexcept nogil:
        """Columns and counts in the order of the ranks."""
        cdef const uint8_t *at = self.bytes_of(row)
        cdef const int32_t *ranks = self.ranks[self.rows[row].worker]
        cdef int64_t _, k, n = 0
        cdef int32_t number = 0, count = 0
        cdef size_t size = (self.rows[row].n_kept + 1) * sizeof(uint64_t)
        cdef uint64_t *pairs = <uint64_t *>reserve(&own.pairs, size)
        cdef uint64_t *spare = <uint64_t *>reserve(&own.spare, size)
        if pairs == NULL or spare == NULL:
            return NULL
        for _ in range(self.rows[row].n):
            at = get_entry(at, &number, &count)
            if ranks[number] >= 0:
                pairs[n] = pair_of(ranks[number], count)
                n += 1
        xmr_sort_pairs(pairs, spare, n)
        for k in range(n):
            pairs[k] = pair_of(self.columns[column_of(pairs[k])], count_of(pairs[k]))
        return pairs


cdef class CorpusCounter:
    """Terms of a corpus and their counts in each text.

    Call :meth:`add` for all texts, then :meth:`merge`; then the others.

    Parameters
    ----------
    analyzer : Analyzer
        How texts become terms.
    n_threads : int
        Most threads to use.
    """

    cdef Analyzer analyzer
    cdef int n_threads
    cdef CorpusRows rows
    cdef GrowingTerms *tables      # of each worker
    cdef Buffer new_terms
    cdef int64_t n_texts
    cdef int32_t **merged_of       # of each worker's terms, then their ranks
    cdef Source *sources           # of each merged term
    cdef int64_t n_places          # for merged terms, not all of them taken
    cdef object frequencies

    def __cinit__(self, Analyzer analyzer not None, int n_threads):
        self.analyzer, self.n_threads = analyzer, max(1, n_threads)
        self.rows = CorpusRows(0, self.n_threads)
        self.tables = <GrowingTerms *>calloc(self.n_threads, sizeof(GrowingTerms))
        self.merged_of = <int32_t **>calloc(self.n_threads, sizeof(int32_t *))
        self.sources = NULL
        if self.tables == NULL or self.merged_of == NULL:
            raise MemoryError("no memory for the terms of the texts")

    def __dealloc__(self):
        cdef int w
        for w in range(self.n_threads):
            if self.tables != NULL:
                free_growing_terms(&self.tables[w])
            if self.merged_of != NULL:
                free(self.merged_of[w])
        free(self.tables)
        free(self.merged_of)
        free(self.sources)
        free(self.new_terms.data)

    @property
    def n_rows(self):
        """Number of texts (int)."""
        return self.n_texts

    # --- reading ------------------------------------------------------------------------

    def add(self, list texts):
        """Count the terms of some more texts.

        Parameters
        ----------
        texts : list of str
            The texts; nobody may change the list meanwhile.
        """
        cdef Texts prepared = self.analyzer.prepare(texts)
        cdef int64_t n_rows = self.n_texts + prepared.n
        if not self.rows.grow(n_rows) or extend(
            &self.new_terms, (n_rows + 1) * sizeof(NewTerms)
        ) == NULL:
            raise MemoryError("no memory for the terms of the texts")
        self._count(prepared)
        self.n_texts = n_rows

    cdef int _count(self, Texts texts) except -1:
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(n_pieces(texts.n))
        cdef int n_threads = max(
            1, min(self.n_threads, texts.n_characters // PIECE_CHARACTERS)
        )
        with nogil, parallel(num_threads=team(n_threads)):
            self._count_pieces(texts, threadid(), &work)
        signals.end()
        return self.rows.check()

    cdef void _count_pieces(self, Texts texts, int w, Work *work) noexcept nogil:
        cdef int64_t piece = take(work), i
        while piece >= 0:
            for i in range(piece * PIECE_TEXTS, min((piece + 1) * PIECE_TEXTS, texts.n)):
                if self._count_row(&texts.items[i], self.n_texts + i, w) < 0:
                    self.rows.workers[w].failed = True
            piece = -1 if should_stop(work, w) else take(work)
        leave(work, w)

    cdef int _count_row(self, const Text *text, int64_t row, int w) noexcept nogil:
        """Store the terms of a text in their order; -1 without memory."""
        cdef Worker *worker = &self.rows.workers[w]
        cdef GrowingTerms *table = &self.tables[w]
        cdef NewTerms *new = <NewTerms *>self.new_terms.data + row
        cdef int64_t i = 0, n = 0
        cdef int together
        cdef uint64_t *pairs
        cdef int32_t[N_TOGETHER] numbers
        if analyze(&self.analyzer.plan, text, &worker.analysis) < 0:
            return -1
        pairs = <uint64_t *>reserve(
            &worker.pairs, (worker.analysis.n_terms + 1) * sizeof(uint64_t)
        )
        if pairs == NULL:
            return -1
        new.first = <int32_t>table.n_terms
        while i < worker.analysis.n_terms:
            together = <int>min(N_TOGETHER, worker.analysis.n_terms - i)
            if number_terms(
                table, worker.analysis.text, worker.analysis.terms + i, together, numbers
            ) < 0:
                return -1
            n = count_terms(<Term *>table.terms.data, numbers, together, pairs, n)
            i += together
        new.n = <int32_t>table.n_terms - new.first
        return self.rows.store(row, w, pairs, n)

    # --- merging ------------------------------------------------------------------------

    def merge(self):
        """Find the terms that the workers have in common.

        Returns
        -------
        ndarray of int64 of shape (n_places,)
            In how many texts each term occurs; 0 where there is no term. The places
            are the terms' numbers for the other methods.
        """
        cdef int w
        cdef int64_t n
        cdef list ordered = []
        if self.frequencies is not None:
            return self.frequencies
        n_terms = [self.tables[w].n_terms for w in range(self.n_threads)]
        self.n_places = sum(n_terms)
        if self.n_places > 0x7ffffffe:
            raise MemoryError("the texts have more terms than the 2**31 supported")
        self.sources = <Source *>malloc((self.n_places + 1) * sizeof(Source))
        starts = np.zeros((self.n_threads, N_PARTS + 1), dtype=np.int64)
        for w in range(self.n_threads):
            n = n_terms[w]
            self.merged_of[w] = <int32_t *>malloc((n + 1) * sizeof(int32_t))
            if self.merged_of[w] == NULL or self.sources == NULL:
                raise MemoryError("no memory for the terms of the texts")
            ordered.append(by_part(&self.tables[w], starts[w]))
        self.frequencies = np.zeros(self.n_places, dtype=np.int64)
        bases = np.zeros(N_PARTS + 1, dtype=np.int64)
        bases[1:] = np.cumsum(np.diff(starts, axis=1).sum(axis=0))
        self._merge_parts(np.concatenate([np.empty(0, np.uint64), *ordered]), starts, bases)
        return self.frequencies

    cdef int _merge_parts(self, const uint64_t[::1] ordered, const int64_t[:, ::1] starts,
                          const int64_t[::1] bases) except -1:
        cdef int part, failed = 0
        cdef int64_t[::1] frequencies = self.frequencies
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(N_PARTS)
        for part in prange(
            N_PARTS, nogil=True, schedule="dynamic", chunksize=1,
            num_threads=team(self.n_threads),
        ):
            if should_stop(&work, threadid()):
                continue
            if self._merge_part(part, ordered, starts, bases, frequencies) < 0:
                failed += 1
        signals.end()
        if failed:
            raise MemoryError("no memory for the terms of the texts")
        return 0

    cdef int _merge_part(self, int part, const uint64_t[::1] ordered,
                         const int64_t[:, ::1] starts, const int64_t[::1] bases,
                         int64_t[::1] frequencies) noexcept nogil:
        """Number the terms of a part from its base on; -1 without memory."""
        cdef int64_t n_slots = 2, i, first = 0, n_merged = 0
        cdef int64_t base = bases[part], n = bases[part + 1] - bases[part]
        cdef int32_t number, place
        cdef uint32_t hash, at
        cdef int w
        cdef Buffer buffer = Buffer(NULL, 0)
        cdef uint64_t *slots
        while n_slots < 2 * n:
            n_slots *= 2
        slots = <uint64_t *>reserve(&buffer, n_slots * sizeof(uint64_t))
        if slots == NULL:
            return -1
        memset(slots, 0, n_slots * sizeof(uint64_t))
        for w in range(self.n_threads):
            for i in range(first + starts[w, part], first + starts[w, part + 1]):
                hash = <uint32_t>(ordered[i] >> 32)
                number = column_of(ordered[i])
                at = hash & <uint32_t>(n_slots - 1)
                while slots[at] and not (
                    slots[at] >> 32 == hash
                    and self._same_term(base + column_of(slots[at]) - 1, w, number)
                ):
                    at = (at + 1) & <uint32_t>(n_slots - 1)
                if slots[at] == 0:
                    slots[at] = <uint64_t>hash << 32 | <uint64_t>(n_merged + 1)
                    self.sources[base + n_merged].worker = w
                    self.sources[base + n_merged].number = number
                    n_merged += 1
                place = <int32_t>(base + column_of(slots[at]) - 1)
                self.merged_of[w][number] = place
                frequencies[place] += (<Term *>self.tables[w].terms.data)[number].n_texts
            first += self.tables[w].n_terms
        free(buffer.data)
        return 0

    cdef bint _same_term(self, int64_t merged, int w, int32_t number) noexcept nogil:
        cdef const Term *one = self._term(merged)
        cdef const Term *other = <Term *>self.tables[w].terms.data + number
        return one.head == other.head and one.length == other.length and xmr_equal(
            self._bytes(merged), <uint8_t *>self.tables[w].bytes.data + other.start,
            one.length,
        )

    cdef const Term *_term(self, int64_t merged) noexcept nogil:
        cdef Source source = self.sources[merged]
        return <Term *>self.tables[source.worker].terms.data + source.number

    cdef const uint8_t *_bytes(self, int64_t merged) noexcept nogil:
        cdef int w = self.sources[merged].worker
        return <uint8_t *>self.tables[w].bytes.data + self._term(merged).start

    # --- choosing -----------------------------------------------------------------------

    def n_occurrences(self):
        """Count how often each term occurs in all texts.

        Returns
        -------
        ndarray of int64 of shape (n_places,)
        """
        cdef int64_t i, _
        cdef int32_t number = 0, count = 0
        cdef const uint8_t *at
        cdef const int32_t *merged
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(self.n_texts)
        total = np.zeros(self.n_places, dtype=np.int64)
        cdef int64_t[::1] out = total
        with nogil:
            for i in range(self.n_texts):
                if should_stop_at(&work, 0, i):
                    break
                at = self.rows.bytes_of(i)
                merged = self.merged_of[self.rows.rows[i].worker]
                for _ in range(self.rows.rows[i].n):
                    at = get_entry(at, &number, &count)
                    out[merged[number]] += count
        signals.end()
        return total

    def sort(self, const int32_t[::1] terms):
        """Sort terms as Python sorts strings, by the numbers of their characters.

        Parameters
        ----------
        terms : ndarray of int32 of shape (n_kept,)
            Terms by their places.

        Returns
        -------
        ndarray of int32 of shape (n_kept,)
        """
        cdef int64_t n = terms.shape[0], i
        result = np.empty(n, dtype=np.int32)
        cdef int32_t[::1] out = result
        cdef int64_t[::1] starts = np.zeros(0x10001, dtype=np.int64)
        cdef SortedTerm *items = <SortedTerm *>malloc((n + 1) * sizeof(SortedTerm))
        cdef SortedTerm *spare = <SortedTerm *>malloc((n + 1) * sizeof(SortedTerm))
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(0)
        if items == NULL or spare == NULL:
            free(items)
            free(spare)
            raise MemoryError("no memory for sorting the terms")
        with nogil:
            for i in range(n):
                items[i].bytes = self._bytes(terms[i])
                items[i].length = self._term(terms[i]).length
                items[i].prefix = prefix_of(items[i].bytes, items[i].length)
                items[i].merged = terms[i]
            sort_terms(items, spare, n, &starts[0], self.n_threads, &work)
            for i in range(n):
                out[i] = spare[i].merged
        free(items)
        free(spare)
        signals.end()
        return result

    def table(self, const int32_t[::1] terms):
        """Make the table of the vocabulary.

        Parameters
        ----------
        terms : ndarray of int32 of shape (n_terms,)
            Terms by their places, in the order of the columns.

        Returns
        -------
        TermTable
        """
        cdef int64_t n = terms.shape[0], i, at = 0
        lengths = np.empty(n, dtype=np.int64)
        cdef int64_t[::1] sizes = lengths
        for i in range(n):
            sizes[i] = self._term(terms[i]).length
        joined = np.empty(lengths.sum(), dtype=np.uint8)
        cdef uint8_t[::1] out = joined
        for i in range(n):
            if sizes[i]:
                memcpy(&out[at], self._bytes(terms[i]), sizes[i])
                at += sizes[i]
        return TermTable.of_bytes(joined, lengths)

    # --- the matrix ---------------------------------------------------------------------

    def matrix(self, const int32_t[::1] terms, Weighting weighting not None, dtype):
        """Make the matrix of the texts that were read, and forget them.

        Parameters
        ----------
        terms : ndarray of int32 of shape (n_terms,)
            Terms by their places, in the order of the columns.
        weighting : Weighting
            How counts become values.
        dtype : dtype
            float32, float64, int32 or int64.

        Returns
        -------
        data : ndarray of shape (nnz,)
        indices : ndarray of int32 of shape (nnz,)
            In each row in the order in which the corpus has the terms first, as
            scikit-learn has them.
        indptr : ndarray of int64 of shape (n_texts + 1,)
        """
        cdef const int32_t[::1] columns = self._rank(terms)
        cdef int64_t i
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(self.n_texts)
        self._free_tables()
        self.rows.ranks = self.merged_of
        self.rows.columns = &columns[0] if columns.shape[0] else NULL
        for i in prange(self.n_texts, nogil=True, num_threads=team(self.n_threads)):
            if not should_stop_at(&work, threadid(), i):
                self.rows.count_kept(i)
        signals.end()
        return self.rows.arrays(weighting, dtype, self.n_threads)

    cdef _free_tables(self):
        cdef int w
        for w in range(self.n_threads):
            free_growing_terms(&self.tables[w])
            memset(&self.tables[w], 0, sizeof(GrowingTerms))
        free(self.sources)
        self.sources = NULL
        self.frequencies = None
        xmr_trim_heap()

    cdef _rank(self, const int32_t[::1] terms):
        """Rank terms by first occurrence; the column of each rank.

        ``merged_of`` becomes the rank of each worker's terms, -1 where it is dropped.
        """
        cdef int64_t i, number, n_ranks = 0
        cdef int32_t merged
        cdef int w
        cdef Signals signals = Signals()
        cdef Work work = signals.begin(self.n_texts)
        cdef const NewTerms *new = <NewTerms *>self.new_terms.data
        ranks_of = np.full(self.n_places, -1, dtype=np.int32)
        columns_of = np.full(self.n_places, -1, dtype=np.int32)
        columns_of[np.asarray(terms)] = np.arange(len(terms), dtype=np.int32)
        columns = np.empty(len(terms), dtype=np.int32)
        cdef int32_t[::1] rank = ranks_of, column = columns_of, out = columns
        with nogil:
            for i in range(self.n_texts):
                if should_stop_at(&work, 0, i):
                    break
                w = self.rows.rows[i].worker
                for number in range(new[i].first, <int64_t>new[i].first + new[i].n):
                    merged = self.merged_of[w][number]
                    if column[merged] >= 0 and rank[merged] < 0:
                        rank[merged] = <int32_t>n_ranks
                        out[n_ranks] = column[merged]
                        n_ranks += 1
            for w in range(self.n_threads):
                for number in range(self.tables[w].n_terms):
                    self.merged_of[w][number] = rank[self.merged_of[w][number]]
        signals.end()
        return columns


# --- pieces -----------------------------------------------------------------------------

cdef int64_t count_terms(Term *terms, const int32_t *numbers, int n_numbers,
                         uint64_t *pairs, int64_t n) noexcept nogil:
    """Add occurrences to the n pairs of a text; how many pairs it has then."""
    cdef int i
    cdef Term *term
    for i in range(n_numbers):
        term = terms + numbers[i]
        if term.place < n and column_of(pairs[term.place]) == numbers[i]:
            pairs[term.place] = pair_of(numbers[i], count_of(pairs[term.place]) + 1)
        else:
            term.place = <uint32_t>n
            term.n_texts += 1
            pairs[n] = pair_of(numbers[i], 1)
            n += 1
    return n


cdef by_part(const GrowingTerms *table, int64_t[::1] starts):
    """(hash, number) of all terms, by the first bits of the hash; where parts start."""
    cdef const uint64_t *slots = <uint64_t *>table.slots.data
    cdef int64_t i, n_slots = <int64_t>table.mask + 1 if slots else 0
    cdef int part
    cdef int64_t[N_PARTS] at
    pairs = np.empty(table.n_terms, dtype=np.uint64)
    cdef uint64_t[::1] out = pairs
    with nogil:
        for i in range(n_slots):
            if slots[i]:
                starts[(slots[i] >> (64 - PART_BITS)) + 1] += 1
        for part in range(N_PARTS):
            starts[part + 1] += starts[part]
            at[part] = starts[part]
        for i in range(n_slots):
            if slots[i]:
                part = <int>(slots[i] >> (64 - PART_BITS))
                out[at[part]] = slots[i] - 1
                at[part] += 1
    return pairs


cdef uint64_t prefix_of(const uint8_t *bytes, uint32_t n) noexcept nogil:
    cdef uint64_t prefix = 0
    cdef uint32_t i
    for i in range(8):
        prefix = prefix << 8 | (bytes[i] if i < n else 0)
    return prefix


cdef int compare_terms(const void *a, const void *b) noexcept nogil:
    cdef const SortedTerm *one = <const SortedTerm *>a
    cdef const SortedTerm *other = <const SortedTerm *>b
    cdef int order
    if one.prefix != other.prefix:
        return -1 if one.prefix < other.prefix else 1
    order = memcmp(one.bytes, other.bytes, min(one.length, other.length))
    if order == 0:
        order = (one.length > other.length) - (one.length < other.length)
    return order


cdef void sort_terms(const SortedTerm *items, SortedTerm *out, int64_t n, int64_t *starts,
                     int n_threads, Work *work) noexcept nogil:
    """Into `out`, first by two bytes, then each of these groups for itself.

    `starts` are 0x10001 zeros.
    """
    cdef int64_t i, group
    for i in range(n):
        starts[(items[i].prefix >> 48) + 1] += 1
    for group in range(0x10000):
        starts[group + 1] += starts[group]
    for i in range(n):  # afterwards each start is the end of its group
        group = items[i].prefix >> 48
        out[starts[group]] = items[i]
        starts[group] += 1
    for group in prange(0x10000, schedule="dynamic", chunksize=64, num_threads=team(n_threads)):
        if not should_stop_at(work, threadid(), group):
            sort_group(out, starts[group - 1] if group else 0, starts[group])


cdef void sort_group(SortedTerm *items, int64_t first, int64_t last) noexcept nogil:
    if last - first > 1:
        qsort(items + first, last - first, sizeof(SortedTerm), &compare_terms)
