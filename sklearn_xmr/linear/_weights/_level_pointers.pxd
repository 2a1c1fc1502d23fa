# The weights of a level as C code reads them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef extern from "_chunk_lookup.h" nogil:
    ctypedef struct xmr_chunk:
        const uint8_t *packed
        const uint32_t *buckets

    ctypedef struct xmr_level:
        int64_t n_parents, n_nodes
        const int64_t *parent_ptr
        const int64_t *child_ptr
        const xmr_chunk *chunks
        int shift
        int kind
        const float *scale
        const float *intercept
        int32_t n_dense
        const void *dense
        const float *dense_scale


cdef class LevelPointers:
    cdef xmr_level level
    cdef xmr_chunk *chunks
    cdef readonly int64_t n_chunks
    cdef list kept_alive
    cdef _point_chunks(self, weights)
