"""Merge the pruned weights of a chunk's blocks; C level only, see the .pxd."""

from libc.math cimport fabsf
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sklearn_xmr.linear._constants cimport XMR_CHUNK_BLOCKS, XMR_LANES

cdef extern from "../_weights/_values.h" nogil:
    void xmr_store_value(void *values, int kind, int64_t at, float w, float inverse_scale)

cdef extern from "../../utils/_portable.h" nogil:
    int xmr_lowest_bit(uint32_t x)

# A weight alone in its feature row takes twice the space of others: it must be this many
# times the threshold.
cdef float LONE = 2.0


cdef void free_piece(Piece *piece) noexcept nogil:
    free(piece.features)
    free(piece.kept)
    free(piece.weights)
    memset(piece, 0, sizeof(Piece))


cdef struct Merge:
    # The pieces of a chunk's blocks, and how far each has been read.
    const Piece *pieces
    int64_t n
    const int32_t *children   # XMR_LANES of each piece
    int64_t first_child
    int value_kind
    const float *scale        # per child
    int64_t[XMR_CHUNK_BLOCKS] row, entry


cdef int32_t next_feature(const Merge *m) noexcept nogil:
    """The smallest feature that some piece has next, or INT32_MAX."""
    cdef int32_t least = INT32_MAX
    cdef int64_t p
    for p in range(m.n):
        if m.row[p] < m.pieces[p].n_rows and m.pieces[p].features[m.row[p]] < least:
            least = m.pieces[p].features[m.row[p]]
    return least


cdef int reserve_chunk(const Piece *pieces, int64_t n, Chunk *c) noexcept nogil:
    """Memory for a chunk, which begins empty; -1 without."""
    cdef int64_t p, n_rows = 0, n_entries = 0
    for p in range(n):
        n_rows += pieces[p].n_rows
        n_entries += pieces[p].n_entries
    c.n_rows = c.n_entries = 0
    c.features = <int32_t *>malloc(n_rows * sizeof(int32_t) + 1)
    c.counts = <uint8_t *>malloc(n_rows + 1)
    c.columns = <uint8_t *>malloc(n_entries + 1)
    c.values = malloc(n_entries * sizeof(float) + 1)
    return 0 if c.features and c.counts and c.columns and c.values else -1


cdef int64_t merge_row(Merge *m, int32_t feature, Chunk *c, float *last) noexcept nogil:
    """Write the entries of a feature behind those of the chunk; how many.

    `last` becomes the absolute value of the last of them.
    """
    cdef int64_t p, at = c.n_entries
    cdef const Piece *piece
    cdef int32_t child
    cdef uint32_t bits
    cdef float weight = 0
    for p in range(m.n):
        piece = &m.pieces[p]
        if m.row[p] == piece.n_rows or piece.features[m.row[p]] != feature:
            continue
        bits = piece.kept[m.row[p]]
        m.row[p] += 1
        while bits:
            child = m.children[p * XMR_LANES + xmr_lowest_bit(bits)]
            weight = piece.weights[m.entry[p]]
            c.columns[at] = <uint8_t>(child - m.first_child)
            xmr_store_value(c.values, m.value_kind, at, weight, 1 / m.scale[child])
            m.entry[p] += 1
            at += 1
            bits &= bits - 1
    last[0] = fabsf(weight)
    return at - c.n_entries


cdef int merge_pieces(Piece *pieces, int64_t n, const int32_t *children, int64_t first_child,
                      float threshold, int value_kind, const float *scale,
                      Chunk *c) noexcept nogil:
    """Merge the n pieces of a chunk's blocks, feature by feature, and free them.

    `children` has XMR_LANES for each piece; `scale` is per child. -1 without memory.
    """
    cdef Merge m
    cdef int64_t p, count
    cdef int32_t feature
    cdef float weight
    memset(&m, 0, sizeof(Merge))
    m.pieces, m.n, m.children, m.first_child = pieces, n, children, first_child
    m.value_kind, m.scale = value_kind, scale
    if reserve_chunk(pieces, n, c) < 0:
        return -1
    feature = next_feature(&m)
    while feature != INT32_MAX:
        count = merge_row(&m, feature, c, &weight)
        if count > 1 or weight >= LONE * threshold:
            c.features[c.n_rows] = feature
            c.counts[c.n_rows] = <uint8_t>(count - 1)
            c.n_rows += 1
            c.n_entries += count
        feature = next_feature(&m)
    for p in range(n):
        free_piece(&pieces[p])
    return 0


cdef void free_chunk(Chunk *chunk) noexcept nogil:
    free(chunk.features)
    free(chunk.counts)
    free(chunk.columns)
    free(chunk.values)
    memset(chunk, 0, sizeof(Chunk))
