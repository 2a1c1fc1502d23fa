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


cdef struct Bucket:
    # Where the parts of a packed bucket are.
    int64_t n_rows, n_full
    const uint8_t *low        # bits of each feature row's feature
    const uint8_t *counts     # units of each feature row, less one
    const uint8_t *units      # of the first feature row


cdef int64_t layout_chunk(const ChunkRows *rows, const Layout *layout,
                          uint32_t *buckets) noexcept nogil
cdef void fill_chunk(const ChunkRows *rows, const Layout *layout, const uint32_t *buckets,
                     uint8_t *packed) noexcept nogil
cdef int64_t count_bytes(const ChunkRows *rows, const Layout *layout, int64_t first,
                         int64_t last) noexcept nogil
cdef int64_t fill_bucket(const ChunkRows *rows, int64_t first, int64_t last, int64_t entry,
                         const Layout *layout, uint8_t *head) noexcept nogil
cdef bint read_head(const uint8_t *at, int64_t size, int shift, Bucket *bucket) noexcept nogil
cdef int64_t low_bytes(int shift) noexcept nogil
cdef int64_t get_low(const uint8_t *at, int shift) noexcept nogil
