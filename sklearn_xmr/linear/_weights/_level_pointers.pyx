"""Pointers to the weights of a level; C level only, see the .pxd."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

from sklearn_xmr.linear._constants import VALUE_TYPES

from sklearn_xmr.utils._pointers cimport (
    float_pointer, int64_pointer, uint8_pointer, uint32_pointer
)


cdef class LevelPointers:
    """The arrays of a level as they were when this was made, which it keeps alive.

    Parameters
    ----------
    weights : ChunkedWeights or PatchedWeights
    """

    def __cinit__(self):
        self.chunks = NULL

    def __init__(self, weights):
        cdef xmr_level *level = &self.level
        self.kept_alive = []
        level.n_parents, level.n_nodes = len(weights.parent_ptr) - 1, len(weights.intercept)
        level.parent_ptr = int64_pointer(weights.parent_ptr, self.kept_alive)
        level.child_ptr = int64_pointer(weights.child_ptr, self.kept_alive)
        level.shift, level.kind = weights.shift, VALUE_TYPES.index(weights.value_type)
        level.scale = float_pointer(weights.scale, self.kept_alive)
        level.intercept = float_pointer(weights.intercept, self.kept_alive)
        level.n_dense = weights.dense.shape[1]
        dense = weights.dense.reshape(-1).view(np.uint8)
        level.dense = uint8_pointer(dense, self.kept_alive)
        level.dense_scale = float_pointer(weights.dense_scale, self.kept_alive)
        self._point_chunks(weights)

    def __dealloc__(self):
        free(self.chunks)

    cdef _point_chunks(self, weights):
        cdef int64_t chunk, n_ends = weights.buckets.shape[1]
        cdef const int64_t *starts = int64_pointer(weights.chunk_ptr, self.kept_alive)
        cdef const uint8_t *packed = uint8_pointer(weights.packed, self.kept_alive)
        cdef const uint32_t *buckets = uint32_pointer(weights.buckets.reshape(-1),
                                                      self.kept_alive)
        self.n_chunks = len(weights.child_ptr) - 1
        free(self.chunks)
        self.chunks = <xmr_chunk *>calloc(self.n_chunks + 1, sizeof(xmr_chunk))
        if self.chunks == NULL:
            raise MemoryError("no memory for the chunks of a level")
        self.level.chunks = self.chunks
        for chunk in range(self.n_chunks):
            self.chunks[chunk].packed = packed + starts[chunk]
            self.chunks[chunk].buckets = buckets + chunk * n_ends
        for number, patch in weights.patches.items():
            chunk = number
            self.chunks[chunk].packed = uint8_pointer(patch.packed, self.kept_alive)
            self.chunks[chunk].buckets = uint32_pointer(patch.buckets, self.kept_alive)
