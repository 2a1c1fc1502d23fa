# Pointers to the elements of arrays, for structs that C code reads. Each function also
# puts the array into a list, which keeps it alive as long as the struct is used.
# NULL for an empty array; ValueError for another dtype, or not one dimension of
# adjacent elements.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef inline const int64_t *int64_pointer(array, list kept) except? NULL:
    cdef const int64_t[::1] view = array
    kept.append(array)
    return &view[0] if view.shape[0] else NULL


cdef inline const int32_t *int32_pointer(array, list kept) except? NULL:
    cdef const int32_t[::1] view = array
    kept.append(array)
    return &view[0] if view.shape[0] else NULL


cdef inline const uint32_t *uint32_pointer(array, list kept) except? NULL:
    cdef const uint32_t[::1] view = array
    kept.append(array)
    return &view[0] if view.shape[0] else NULL


cdef inline const uint8_t *uint8_pointer(array, list kept) except? NULL:
    cdef const uint8_t[::1] view = array
    kept.append(array)
    return &view[0] if view.shape[0] else NULL


cdef inline const float *float_pointer(array, list kept) except? NULL:
    cdef const float[::1] view = array
    kept.append(array)
    return &view[0] if view.shape[0] else NULL
