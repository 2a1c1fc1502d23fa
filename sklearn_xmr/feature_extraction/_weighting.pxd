# From counts of terms to the values of a row.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef struct WeightingPlan:
    bint binary, sublinear_tf
    const double *idf          # of each column, or NULL
    const float *idf32         # the same in single precision, or NULL
    int norm                   # of NORMS

cdef void weigh(const WeightingPlan *plan, const uint64_t *pairs, int64_t n,
                double *values) noexcept nogil


cdef inline uint64_t pair_of(int64_t column, int32_t count) noexcept nogil:
    """A column below 2**31 in the low half, its count in the high half."""
    return <uint64_t>column | <uint64_t><uint32_t>count << 32


cdef inline int32_t column_of(uint64_t pair) noexcept nogil:
    return <int32_t><uint32_t>pair


cdef inline int32_t count_of(uint64_t pair) noexcept nogil:
    return <int32_t>(pair >> 32)


cdef class Weighting:
    cdef WeightingPlan plan
    cdef list kept_alive
    cdef readonly int64_t n_factors
    cdef tuple settings
