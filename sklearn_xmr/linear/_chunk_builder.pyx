"""Merge the pruned weights of a chunk's blocks; C level only, see the .pxd."""

from libc.math cimport fabsf
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "_chunk_scores.h" nogil:
    void xmr_store_value(void *values, int kind, int64_t at, float w, float inverse_scale)

cdef extern from *:
    """
    #define xmr_lowest_bit(x) __builtin_ctz(x)
    """
    int xmr_lowest_bit(uint32_t x) noexcept nogil

cdef enum:
    MAX_LANES = 32
    MAX_BLOCKS = 8        # of a chunk: 256 children

# A weight alone in its row takes twice the space of others: it must be this many times
# the threshold.
cdef float LONE = 2.0


cdef void free_piece(Piece *piece) noexcept nogil:
    free(piece.features)
    free(piece.kept)
    free(piece.weights)
    memset(piece, 0, sizeof(Piece))


cdef int32_t next_feature(const Piece *pieces, int64_t n, const int64_t *row) noexcept nogil:
    """The smallest feature that some piece has next."""
    cdef int32_t least = INT32_MAX
    cdef int64_t p
    for p in range(n):
        if row[p] < pieces[p].n_rows and pieces[p].features[row[p]] < least:
            least = pieces[p].features[row[p]]
    return least


cdef int merge_pieces(Piece *pieces, int64_t n, const int32_t *children, int64_t first_child,
                      float threshold, int value_kind, const float *scale,
                      Chunk *c) noexcept nogil:
    """Merge the n pieces of a chunk's blocks row by row, and free them.

    `children` has 32 for each piece; `scale` is per child. -1 without memory.
    """
    cdef int64_t p, entry = 0, before, rows = 0
    cdef int64_t[MAX_BLOCKS] row, taken
    cdef int32_t feature, child
    cdef uint32_t bits
    cdef float lone = 0
    c.n_rows = c.n_entries = 0
    for p in range(n):
        row[p] = taken[p] = 0
        rows += pieces[p].n_rows
        c.n_entries += pieces[p].n_entries
    c.features = <int32_t *>malloc(rows * sizeof(int32_t) + 1)
    c.counts = <uint8_t *>malloc(rows + 1)
    c.columns = <uint8_t *>malloc(c.n_entries + 1)
    c.values = malloc(c.n_entries * sizeof(float) + 1)
    if not (c.features and c.counts and c.columns and c.values):
        return -1
    while True:
        feature = next_feature(pieces, n, row)
        if feature == INT32_MAX:
            break
        before = entry
        for p in range(n):
            if row[p] == pieces[p].n_rows or pieces[p].features[row[p]] != feature:
                continue
            bits = pieces[p].kept[row[p]]
            row[p] += 1
            while bits:
                child = children[p * MAX_LANES + xmr_lowest_bit(bits)]
                c.columns[entry] = <uint8_t>(child - first_child)
                xmr_store_value(c.values, value_kind, entry,
                                pieces[p].weights[taken[p]], 1 / scale[child])
                lone = fabsf(pieces[p].weights[taken[p]])
                taken[p] += 1
                entry += 1
                bits &= bits - 1
        if entry - before == 1 and lone < LONE * threshold:
            entry = before
            continue
        c.features[c.n_rows] = feature
        c.counts[c.n_rows] = <uint8_t>(entry - before - 1)
        c.n_rows += 1
    c.n_entries = entry
    for p in range(n):
        free_piece(&pieces[p])
    return 0


cdef void free_chunk(Chunk *chunk) noexcept nogil:
    free(chunk.features)
    free(chunk.counts)
    free(chunk.columns)
    free(chunk.values)
    memset(chunk, 0, sizeof(Chunk))
