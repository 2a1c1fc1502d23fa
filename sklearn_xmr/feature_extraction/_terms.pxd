# Tables from terms (byte strings in UTF-8) to numbers: one that grows while texts are
# read, and one that is finished, whose arrays can be saved and memory-mapped.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from sklearn_xmr.utils._buffer cimport Buffer

cdef extern from "_hashing.h" nogil:
    enum: XMR_PADDING
    uint32_t xmr_hash(const uint8_t *p, int64_t n)
    uint64_t xmr_load64(const uint8_t *p)
    uint64_t xmr_load_few(const uint8_t *p, int64_t n)
    int xmr_equal(const uint8_t *a, const uint8_t *b, int64_t n)
    void xmr_prefetch(const void *p)
    int32_t xmr_murmur3(const uint8_t *p, int64_t n)


cdef enum:
    N_TOGETHER = 64    # terms that are looked up together, to wait for memory once


cdef struct Span:      # of a term, in a buffer
    int64_t start, end


# --- a table that grows -----------------------------------------------------------------

cdef struct Term:
    int64_t start      # of its bytes
    uint64_t head      # the first eight of them
    uint32_t length
    uint32_t n_texts   # that contain it
    uint32_t place     # of its entry in the text where it occurred last

cdef struct GrowingTerms:
    Buffer slots       # of uint64_t: number + 1 and, above it, the hash
    Buffer terms       # of Term
    Buffer bytes
    uint32_t mask
    int64_t n_terms, n_bytes

cdef void free_growing_terms(GrowingTerms *table) noexcept nogil
cdef int number_terms(GrowingTerms *table, const uint8_t *text, const Span *spans, int n,
                      int32_t *numbers) noexcept nogil


# --- a finished table -------------------------------------------------------------------

cdef struct Terms:
    const uint8_t *bytes
    const uint32_t *offsets
    const uint32_t *slots
    uint32_t mask, number_bits
    int32_t n_terms

cdef int32_t find_term(const Terms *terms, const uint8_t *p, int64_t n) noexcept nogil
cdef void find_terms(const Terms *terms, const uint8_t *text, const Span *spans, int n,
                     int32_t *numbers) noexcept nogil


cdef class TermTable:
    cdef Terms view
    cdef readonly object bytes, offsets, slots
    cdef object _numbers, _terms
    cdef const Terms *checked_view(self) except NULL
