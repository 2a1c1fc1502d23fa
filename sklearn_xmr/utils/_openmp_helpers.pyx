"""How many OpenMP threads a call may use; asked afresh on every call.

A cached count would ignore ``threadpool_limits`` and the limits that joblib's
workers set, and libgomp hangs when a forked child opens a team of threads after
its parent did, so a forked child works with one thread.
"""

import os
import re

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

cdef extern from "_threads.h" nogil:
    size_t xmr_stack_size
    int xmr_team(int wanted)

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


cdef int team(int wanted) noexcept nogil:
    """Threads of the parallel region that follows: as many as wanted, or as can be made.

    Where limits of the system allow fewer (of a container, of the address space),
    libgomp would print a line and end the process.
    """
    return xmr_team(wanted)


def stack_size(text):
    """Bytes of a stack, as OMP_STACKSIZE says them: kilobytes without a unit; or 0."""
    parts = re.fullmatch(r"\s*(\d+)\s*([bkmg]?)\s*", text.lower())
    return int(parts[1]) << {"b": 0, "m": 20, "g": 30}.get(parts[2], 10) if parts else 0


xmr_stack_size = stack_size(
    os.environ.get("OMP_STACKSIZE", os.environ.get("GOMP_STACKSIZE", ""))
)
