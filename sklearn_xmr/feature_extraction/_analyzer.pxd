# From texts to terms: words or characters, and n-grams of them, as places in one buffer.
from libc.stdint cimport int64_t, uint8_t, uint32_t

from sklearn_xmr.feature_extraction._terms cimport Span, Terms, TermTable
from sklearn_xmr.utils._buffer cimport Buffer

cdef struct Text:
    const void *characters
    int64_t length
    int width          # bytes a character, as Python stores them: 1, 2 or 4
    bint is_ascii

cdef struct Block:     # what 256 characters become without accents
    uint32_t starts[257]
    uint32_t *characters

cdef struct Plan:
    int unit           # of UNITS
    int64_t shortest   # word, in characters
    int64_t longest    # what is kept of a word
    int64_t min_n, max_n
    bint lowercase
    const Terms *stop_words
    Block **folding    # of each 256 characters, or NULL

cdef struct Analysis:  # of one text: terms[i] are bytes of a buffer
    Buffer folded, bytes, units, spans
    const uint8_t *text
    const Span *terms
    int64_t n_terms

cdef void free_analysis(Analysis *analysis) noexcept nogil
cdef int analyze(const Plan *plan, const Text *text, Analysis *out) noexcept nogil


cdef class Texts:
    cdef list kept_alive
    cdef Text *items
    cdef int64_t n, n_characters


cdef class Analyzer:
    cdef Plan plan
    cdef TermTable stop_words
    cdef object folding
    cdef tuple settings
    cdef Texts prepare(self, list texts)
    cdef int _place(self, Texts out, int64_t i, text) except -1
