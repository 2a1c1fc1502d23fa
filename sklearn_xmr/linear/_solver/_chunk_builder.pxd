# Pruned weights of blocks of children, merged into the form that the search reads.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef struct Piece:
    # Pruned weights of one block of children, row-major over features.
    int64_t n_rows, n_entries
    int32_t *features     # n_rows, global ids, ascending
    uint32_t *kept        # n_rows: bit per lane
    float *weights        # n_entries


cdef struct Chunk:
    # The same of all blocks of a chunk, as ChunkedWeights stores it.
    int64_t n_rows, n_entries
    int32_t *features
    uint8_t *counts       # entries of the feature row, less one
    uint8_t *columns
    void *values


cdef void free_piece(Piece *piece) noexcept nogil
cdef void free_chunk(Chunk *chunk) noexcept nogil
cdef int merge_pieces(Piece *pieces, int64_t n, const int32_t *children, int64_t first_child,
                      float threshold, int value_kind, const float *scale,
                      Chunk *c) noexcept nogil
