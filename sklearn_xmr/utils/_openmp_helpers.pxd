# Threads of the parallel region that follows: as many as wanted, or as can be made.
cdef int team(int wanted) noexcept nogil
