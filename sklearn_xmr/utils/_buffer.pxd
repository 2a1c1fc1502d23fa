# A block of memory that grows when more is asked of it, and is reused otherwise.
cdef struct Buffer:
    void *data
    size_t size

cdef void *reserve(Buffer *buffer, size_t size) noexcept nogil
cdef void *extend(Buffer *buffer, size_t size) noexcept nogil
