# What a thread needs to count the terms of texts, one text after another.
from libc.stdint cimport int32_t, int64_t, uint64_t

from sklearn_xmr.feature_extraction._analyzer cimport Analysis
from sklearn_xmr.feature_extraction._weighting cimport Weighting, WeightingPlan
from sklearn_xmr.utils._buffer cimport Buffer
from sklearn_xmr.utils._work cimport Work

cdef extern from "../utils/_sorting.h" nogil:
    void xmr_sort_pairs(uint64_t *pairs, uint64_t *spare, int64_t n)

cdef enum:
    PIECE_TEXTS = 32            # texts that a thread takes at once
    PIECE_CHARACTERS = 20000    # that are worth a thread


cdef struct Row:                # of one text: what a worker stored of it
    int64_t start
    int64_t n                   # terms
    int64_t n_kept              # terms that have a column
    int32_t worker

cdef struct Worker:
    Analysis analysis
    Buffer pairs, spare         # of rows, and for sorting
    Buffer values
    int64_t n_pairs
    Buffer bytes                # of rows of a corpus, see _corpus_counter.pyx
    int64_t n_bytes
    bint failed                 # for want of memory

cdef inline int64_t n_pieces(int64_t n_texts) noexcept nogil:
    return (n_texts + PIECE_TEXTS - 1) // PIECE_TEXTS

cdef void free_worker(Worker *worker) noexcept nogil
cdef int64_t merge_pairs(uint64_t *pairs, int64_t n) noexcept nogil


ctypedef fused value:
    float
    double
    int32_t
    int64_t


cdef class RowWriter:
    cdef int64_t n_rows
    cdef int n_workers
    cdef Buffer row_buffer
    cdef Row *rows
    cdef Worker *workers
    cdef bint grow(self, int64_t n_rows)
    cdef void place_row(self, int64_t row, int worker, int64_t n) noexcept nogil
    cdef const uint64_t *row_pairs(self, int64_t row, Worker *own) noexcept nogil
    cdef int check(self) except -1
    cdef arrays(self, Weighting weighting, dtype, int n_threads)
    cdef int write(self, const WeightingPlan *plan, const int64_t[::1] indptr,
                   int32_t[::1] indices, value[::1] data, int n_threads) except -1
    cdef void write_pieces(self, const WeightingPlan *plan, const int64_t *indptr,
                           int32_t *indices, value *data, int w,
                           Work *work) noexcept nogil
