"""Work of many threads that Ctrl-C, or any signal with a handler, ends soon.

Python runs handlers of signals in its main thread, between two instructions: while
compiled code works, there are none. So the thread that called looks after signals ten
times a second, between its tasks, in long ones, and while it waits for the others.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memset

cdef extern from "_work.h" nogil:
    int xmr_team_size()
    double xmr_now()
    void xmr_sleep(double seconds)
    void xmr_leave(Work *work)
    bint xmr_all_have_left(const Work *work, int n_others)

cdef double INTERVAL = 0.1           # seconds between looks
cdef double FIRST_PAUSE = 2e-5, LONGEST_PAUSE = 0.01


cdef class Signals:
    """What a signal raised during work, to be raised when all threads have left."""

    cdef Work begin(self, int64_t n_tasks):
        """Work of so many tasks."""
        cdef Work work
        memset(&work, 0, sizeof(Work))
        work.n_tasks = n_tasks
        work.look_at = xmr_now() + INTERVAL
        work.owner = <void *>self
        self.error = None
        return work

    cdef int end(self) except -1:
        """Raise what a signal raised."""
        if self.error is not None:
            raise self.error
        return 0

    def look(self):
        """Whether a handler has raised; the error is kept."""
        try:
            PyErr_CheckSignals()
        except BaseException as error:  # whatever the handler raises, to be raised later
            self.error = error
            return True
        return False


cdef void look(Work *work) noexcept with gil:
    if (<Signals>work.owner).look():
        stop(work)


cdef bint should_stop(Work *work, int thread) noexcept nogil:
    """Whether to end now; thread 0, which called, looks after signals."""
    cdef double now
    if thread == 0:
        now = xmr_now()
        if now >= work.look_at:
            work.look_at = now + INTERVAL
            look(work)
    return is_stopped(work)


cdef void leave(Work *work, int thread) noexcept nogil:
    """Say that a thread has no more tasks; thread 0 waits for the others."""
    cdef int n_others = xmr_team_size() - 1
    cdef double pause = FIRST_PAUSE
    if thread != 0:
        xmr_leave(work)
        return
    while not xmr_all_have_left(work, n_others):
        xmr_sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        should_stop(work, 0)
