"""Growable block of memory; C level only, see ``_buffer.pxd``."""

from libc.stdlib cimport free, realloc

cdef extern from "_portable.h" nogil:
    void *xmr_aligned(size_t size)

cdef size_t MOST_BYTES = (<size_t>-1) // 4  # room to grow without an overflow


cdef void *reserve(Buffer *buffer, size_t size) noexcept nogil:
    """At least `size` bytes, 64-byte aligned, or NULL; the old content may be lost.

    A buffer begins as zeros; ``free(buffer.data)`` frees it.
    """
    if size > MOST_BYTES:
        return NULL
    if buffer.data == NULL or buffer.size < size:
        free(buffer.data)
        buffer.data = NULL
        buffer.size = 0
        size += size // 4 + 64
        buffer.data = xmr_aligned(size)
        if buffer.data != NULL:
            buffer.size = size
    return buffer.data


cdef void *extend(Buffer *buffer, size_t size) noexcept nogil:
    """At least `size` bytes with the old content, or NULL (the old ones are kept).

    Not aligned to 64 bytes; otherwise as :func:`reserve`.
    """
    cdef void *data
    if size > MOST_BYTES:
        return NULL
    if buffer.data == NULL or buffer.size < size:
        size += size // 2 + 64
        data = realloc(buffer.data, size)
        if data == NULL:
            return NULL
        buffer.data, buffer.size = data, size
    return buffer.data
