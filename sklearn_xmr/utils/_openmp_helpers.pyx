"""How many OpenMP threads a call may use; asked afresh on every call.

A cached count would ignore ``threadpool_limits`` and the limits that joblib's
workers set, and libgomp hangs when a forked child opens a team of threads after
its parent did, so a forked child works with one thread.
"""

import os

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static int xmr_max_threads(void) { return omp_get_max_threads(); }
    static int xmr_has_openmp(void) { return 1; }
    #else
    static int xmr_max_threads(void) { return 1; }
    static int xmr_has_openmp(void) { return 0; }
    #endif
    """
    int xmr_max_threads() nogil
    int xmr_has_openmp() nogil

HAS_OPENMP = bool(xmr_has_openmp())
_process = {"forked": False}


def _mark_forked():
    _process["forked"] = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_forked)


def effective_n_threads():
    """Number of threads that OpenMP may use now (int, at least 1)."""
    if _process["forked"]:
        return 1
    return max(1, xmr_max_threads())
