from libc.stdint cimport int64_t


cdef extern from "_work.h" nogil:
    ctypedef struct Work "xmr_work":
        int64_t n_tasks, next
        int n_done, stop, failed
        double look_at
        void *owner

    int64_t take "xmr_take"(Work *work)
    bint is_stopped "xmr_is_stopped"(const Work *work)
    void stop "xmr_stop"(Work *work)


cdef bint should_stop(Work *work, int thread) noexcept nogil
cdef void leave(Work *work, int thread) noexcept nogil


cdef class Signals:
    cdef object error
    cdef Work begin(self, int64_t n_tasks)
    cdef int end(self) except -1
