"""Growable block of memory; C level only, see ``_buffer.pxd``."""

from libc.stdlib cimport free

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **out, size_t alignment, size_t size)


cdef void *reserve(Buffer *buffer, size_t size) noexcept nogil:
    """At least `size` bytes, 64-byte aligned, or NULL; the old content may be lost.

    A buffer begins as zeros; ``free(buffer.data)`` frees it.
    """
    if buffer.data == NULL or buffer.size < size:
        free(buffer.data)
        buffer.data = NULL
        buffer.size = 0
        size += size // 4 + 64
        if posix_memalign(&buffer.data, 64, size) != 0:
            buffer.data = NULL
            return NULL
        buffer.size = size
    return buffer.data
