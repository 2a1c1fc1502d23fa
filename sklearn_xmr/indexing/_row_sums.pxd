# What balanced 2-means and PIFA share: the length of sums, and the smallest of many.
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t


cdef struct Scored:
    float score
    int32_t item


cdef inline double unit_scale(const double *total, int32_t d) noexcept nogil:
    """What turns a vector into one of unit length; 1 for zeros."""
    cdef double sq = 0
    cdef int32_t f
    for f in range(d):
        sq += total[f] * total[f]
    return 1.0 / sqrt(sq) if sq > 0 else 1.0


cdef inline bint before(Scored a, Scored b) noexcept nogil:
    """Order by score, ties by item: a total order, so the cut is unique."""
    return a.score < b.score or (a.score == b.score and a.item < b.item)


cdef inline void select_smallest(Scored *a, int64_t n, int64_t k) noexcept nogil:
    """Reorder so that a[:k] holds the k smallest (Hoare's quickselect)."""
    cdef int64_t lo = 0, hi = n - 1, i, j
    cdef Scored pivot, x
    while lo < hi:
        pivot = a[lo + (hi - lo) // 2]
        i = lo
        j = hi
        while i <= j:
            while before(a[i], pivot):
                i += 1
            while before(pivot, a[j]):
                j -= 1
            if i <= j:
                x = a[i]
                a[i] = a[j]
                a[j] = x
                i += 1
                j -= 1
        if k <= j:
            hi = j
        elif k >= i:
            lo = i
        else:
            return
