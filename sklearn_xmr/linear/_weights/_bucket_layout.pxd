# The bytes of a chunk's weights: packing and unpacking, bucket by bucket.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef struct Layout:
    # What chunks of a level have in common.
    int64_t item          # bytes of a value
    int shift             # low bits of a feature
    int64_t n_buckets


cdef struct ChunkRows:
    # A chunk before packing: feature rows, ascending, and their entries.
    int64_t n_rows
    const int32_t *features
    const uint8_t *counts     # entries of each feature row, less one
    const uint8_t *columns    # per entry: node
    const uint8_t *values     # per entry
    int64_t width             # nodes of the chunk


cdef int64_t layout_chunk(const ChunkRows *rows, const Layout *layout,
                          uint32_t *buckets) noexcept nogil
cdef void fill_chunk(const ChunkRows *rows, const Layout *layout, const uint32_t *buckets,
                     uint8_t *packed) noexcept nogil
