"""tf-idf of one row at a time, as scikit-learn defines it."""

from libc.math cimport fabs, log, sqrt

import numpy as np

cdef enum:
    NO_NORM
    L1
    L2
    N_LOGARITHMS = 256

NORMS = (None, "l1", "l2")
cdef double[N_LOGARITHMS] logarithms  # 1 + log(count)

cdef int count
for count in range(1, N_LOGARITHMS):
    logarithms[count] = log(<double>count) + 1


cdef class Weighting:
    """How counts become values.

    Parameters
    ----------
    binary : bool, default=False
        Whether every count is 1.
    sublinear_tf : bool, default=False
        Whether a count becomes ``1 + log(count)``.
    idf : array-like of shape (n_terms,), default=None
        Factor of each term.
    norm : {"l1", "l2", None}, default=None
        Norm that each row gets.

    Attributes
    ----------
    n_factors : int
        Length of ``idf``; -1 without.
    """

    def __init__(self, binary=False, sublinear_tf=False, idf=None, norm=None):
        cdef const double[::1] factors
        cdef const float[::1] factors32
        self.settings, self.kept_alive = (binary, sublinear_tf, idf, norm), []
        self.plan.binary, self.plan.sublinear_tf = binary, sublinear_tf
        self.plan.norm = NORMS.index(norm)
        self.plan.idf = NULL
        self.plan.idf32 = NULL
        self.n_factors = -1
        if idf is None:
            return
        self.n_factors = len(idf)
        if getattr(idf, "dtype", None) == np.float32 and idf.flags.c_contiguous:
            factors32 = idf  # the array itself: what users change in place counts
            self.kept_alive.append(factors32)
            self.plan.idf32 = &factors32[0] if factors32.shape[0] else NULL
        else:
            factors = np.ascontiguousarray(idf, dtype=np.float64)
            self.kept_alive.append(factors)
            self.plan.idf = &factors[0] if factors.shape[0] else NULL

    def __reduce__(self):
        return type(self), self.settings


cdef void weigh(const WeightingPlan *plan, const uint64_t *pairs, int64_t n,
                double *values) noexcept nogil:
    """Values of a row in the order of its pairs."""
    cdef int64_t i
    cdef int32_t count
    for i in range(n):
        count = 1 if plan.binary else count_of(pairs[i])
        if not plan.sublinear_tf:
            values[i] = count
        elif 0 < count < N_LOGARITHMS:
            values[i] = logarithms[count]
        else:
            values[i] = log(<double>count) + 1
        if plan.idf != NULL:
            values[i] *= plan.idf[column_of(pairs[i])]
        elif plan.idf32 != NULL:
            values[i] *= plan.idf32[column_of(pairs[i])]
    if plan.norm != NO_NORM:
        normalize_row(plan.norm, values, n)


cdef void normalize_row(int norm, double *values, int64_t n) noexcept nogil:
    """Divide by the norm, unless it is zero."""
    cdef int64_t i
    cdef double total = 0
    for i in range(n):
        total += values[i] * values[i] if norm == L2 else fabs(values[i])
    if norm == L2:
        total = sqrt(total)
    if total != 0:
        for i in range(n):
            values[i] /= total
