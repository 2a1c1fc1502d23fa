"""Replace weights of some nodes and features in packed chunks, as cheap as the change.

Only the buckets of these features are unpacked; the others are copied as they are, unless
the largest weight of a node outgrows its scale. Other nodes keep the bytes of their weights.
"""

from libc.math cimport fabsf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import numpy as np

from sklearn_xmr.linear._constants cimport XMR_CHUNK_WIDTH, XMR_INT8
from sklearn_xmr.linear._weights._bucket_layout cimport (
    Bucket, ChunkRows, Layout, count_bytes, fill_bucket, get_low, low_bytes, read_head
)
from sklearn_xmr.linear._weights._level_pointers cimport LevelPointers, xmr_level
from sklearn_xmr.utils._buffer cimport Buffer, reserve

cdef extern from "_values.h" nogil:
    int64_t xmr_item(int kind)
    float xmr_value(const void *values, int kind, int64_t at)
    void xmr_store_value(void *values, int kind, int64_t at, float w, float inverse_scale)

# A node whose largest weight outgrows its scale gets room for the next updates too.
cdef float ROOM = 1.1


cdef struct Changes:
    # New weights of a chunk's changed nodes, in place of all of their weights of reached
    # features; features ascend.
    const uint8_t *changed    # per old node
    const int32_t *reached
    int64_t n_reached
    const int32_t *features
    const uint8_t *counts     # entries of each, less one
    const uint8_t *columns
    const float *weights
    int64_t n_rows, n_entries


cdef struct Rewrite:
    # A chunk that is rewritten, and one bucket of it in pieces.
    const xmr_level *level
    Layout layout
    int64_t width, old_width
    const float *scale        # of its nodes before
    float *new_scale
    float[XMR_CHUNK_WIDTH] inverse_scale  # of the new ones
    bint rescale              # whether all buckets have to be written anew
    ChunkRows rows
    int32_t *features
    uint8_t *counts
    uint8_t *columns
    uint8_t *values
    int64_t n_entries


cdef class ChunkUpdates:
    """New bytes of some chunks of a level, one chunk at a time.

    Parameters
    ----------
    weights : ChunkedWeights or PatchedWeights
    """

    cdef LevelPointers pointers
    cdef Rewrite r
    cdef Buffer features, counts, columns, values, out
    cdef object n_ends

    def __cinit__(self):
        memset(&self.features, 0, sizeof(Buffer))
        memset(&self.counts, 0, sizeof(Buffer))
        memset(&self.columns, 0, sizeof(Buffer))
        memset(&self.values, 0, sizeof(Buffer))
        memset(&self.out, 0, sizeof(Buffer))

    def __init__(self, weights):
        self.pointers = LevelPointers(weights)
        self.n_ends = weights.buckets.shape[1]
        self.r.level = &self.pointers.level
        self.r.layout.item = xmr_item(self.r.level.kind)
        self.r.layout.shift = self.r.level.shift
        self.r.layout.n_buckets = self.n_ends - 1

    def __dealloc__(self):
        free(self.features.data)
        free(self.counts.data)
        free(self.columns.data)
        free(self.values.data)
        free(self.out.data)

    def rewrite(self, int64_t chunk, const uint8_t[::1] changed, const int32_t[::1] reached,
                const int32_t[::1] features, const uint8_t[::1] counts,
                const uint8_t[::1] columns, const float[::1] weights, float[::1] scale,
                int64_t spare):
        """The bytes of a chunk in which weights of some nodes have been replaced.

        Parameters
        ----------
        chunk : int
        changed : ndarray of uint8 of shape (width,)
            1 for the nodes whose weights are replaced.
        reached : ndarray of int32
            Features of which they are replaced, or dropped; ascending.
        features : ndarray of int32 of shape (n_rows,)
            Those of them of which there are new weights, ascending.
        counts : ndarray of uint8 of shape (n_rows,)
            Weights of each, less one.
        columns : ndarray of uint8 of shape (n_entries,)
            Node of each weight, relative to the chunk's first: changed ones, in any order.
        weights : ndarray of float32 of shape (n_entries,)
        scale : ndarray of float32 of shape (width,)
            Scales of the chunk's nodes, changed where new weights need it.
        spare : int
            Zeros to add at the end.

        Returns
        -------
        packed : ndarray of uint8
        buckets : ndarray of uint32 of shape (n_buckets + 1,)

        Raises
        ------
        MemoryError
        ValueError
            If the chunk's bytes are damaged.
        """
        cdef Changes c
        memset(&c, 0, sizeof(Changes))
        c.n_rows, c.n_entries = features.shape[0], columns.shape[0]
        c.n_reached, c.changed = reached.shape[0], &changed[0]
        if c.n_reached:
            c.reached = &reached[0]
        if c.n_rows:
            c.features, c.counts = &features[0], &counts[0]
            c.columns, c.weights = &columns[0], &weights[0]
        return self._rewrite(chunk, &c, &scale[0], scale.shape[0], spare, False)

    def widen(self, int64_t chunk, int64_t width):
        """The bytes of a chunk with more nodes, which have no weights.

        Parameters
        ----------
        chunk : int
        width : int
            Number of nodes, at least as many as the chunk has.

        Returns
        -------
        packed : ndarray of uint8
        buckets : ndarray of uint32 of shape (n_buckets + 1,)
        """
        cdef Changes c
        cdef int64_t first = self.r.level.child_ptr[chunk]
        cdef int64_t old = self.r.level.child_ptr[chunk + 1] - first
        memset(&c, 0, sizeof(Changes))
        scales = np.ones(width, dtype=np.float32)
        cdef float[::1] scale = scales
        memcpy(&scale[0], self.r.level.scale + first, old * sizeof(float))
        return self._rewrite(chunk, &c, &scale[0], width, 0, width > old)

    cdef _rewrite(self, int64_t chunk, const Changes *c, float *scale, int64_t width,
                  int64_t spare, bint whole):
        cdef Rewrite *r = &self.r
        cdef int64_t size, node, first = r.level.child_ptr[chunk]
        r.width, r.old_width = width, r.level.child_ptr[chunk + 1] - first
        r.scale, r.new_scale = r.level.scale + first, scale
        ends = np.empty(self.n_ends, dtype=np.uint32)
        cdef uint32_t[::1] buckets = ends
        self._reserve(chunk, c)
        with nogil:
            r.rescale = choose_scales(r, c) or whole
            for node in range(width):
                r.inverse_scale[node] = 1 / scale[node]
            size = rewrite_chunk(r, chunk, c, &buckets[0], <uint8_t *>self.out.data)
        if size < 0:
            raise ValueError("the weights of a chunk are damaged: train the model again")
        packed = np.empty(size + spare, dtype=np.uint8)
        packed[size:] = 0
        cdef uint8_t[::1] content = packed
        if size:
            memcpy(&content[0], self.out.data, size)
        return packed, ends

    cdef _reserve(self, int64_t chunk, const Changes *c):
        """Room for the new chunk, and for any bucket of it."""
        cdef Rewrite *r = &self.r
        cdef const uint32_t *ends = r.level.chunks[chunk].buckets
        cdef int64_t bucket, largest = 0, unit = 1 + r.layout.item
        cdef int64_t step = low_bytes(r.layout.shift), n_rows
        for bucket in range(r.layout.n_buckets):
            largest = max(largest, <int64_t>ends[bucket + 1] - ends[bucket])
        n_rows = largest // (step + 2) + c.n_rows + 1
        r.features = <int32_t *>reserve(&self.features, n_rows * sizeof(int32_t))
        r.counts = <uint8_t *>reserve(&self.counts, n_rows)
        # A full row of the old chunk has at most `width` entries, whatever its bytes.
        r.columns = <uint8_t *>reserve(&self.columns, n_rows * r.width)
        r.values = <uint8_t *>reserve(&self.values, n_rows * r.width * r.layout.item)
        # A row takes 4/3 of its entries' bytes at most, and a unit; a bucket its head. Full
        # rows of int8 have twice as many bytes of entries as of values.
        n_rows = 4 * <int64_t>ends[r.layout.n_buckets] + c.n_rows * (
            r.width * unit + 4 * step + 1 + unit) + 2 * step * r.layout.n_buckets
        if not (r.features and r.counts and r.columns and r.values
                and reserve(&self.out, n_rows)):
            raise MemoryError("no memory to update a chunk of weights")
        r.rows.features, r.rows.counts = r.features, r.counts
        r.rows.columns, r.rows.values = r.columns, r.values
        r.rows.width = r.width


cdef bint choose_scales(Rewrite *r, const Changes *c) noexcept nogil:
    """Larger scales for nodes whose weights outgrow theirs; whether there are any."""
    cdef float[XMR_CHUNK_WIDTH] largest
    cdef int64_t e
    cdef bint differ = False
    if r.level.kind != XMR_INT8:
        return False
    memset(largest, 0, sizeof(largest))
    for e in range(c.n_entries):
        largest[c.columns[e]] = max(largest[c.columns[e]], fabsf(c.weights[e]))
    for e in range(r.width):
        # A node of scale 1 has no weights yet.
        if largest[e] > 127 * r.new_scale[e] or (r.new_scale[e] == 1 and largest[e] > 0):
            r.new_scale[e] = ROOM * largest[e] / 127
            differ = True
    return differ


cdef int64_t rewrite_chunk(Rewrite *r, int64_t chunk, const Changes *c, uint32_t *ends,
                           uint8_t *out) noexcept nogil:
    """Write the chunk's bytes and the ends of its buckets; how many bytes, or -1."""
    cdef const uint32_t *old = r.level.chunks[chunk].buckets
    cdef const uint8_t *packed = r.level.chunks[chunk].packed
    cdef int64_t bucket, n, at = 0, row = 0, last = 0, entry = 0, copied = 0
    cdef int64_t reached = 0, last_reached = 0
    for bucket in range(r.layout.n_buckets):
        n = <int64_t>old[bucket + 1] - old[bucket]
        while last < c.n_rows and (c.features[last] >> r.layout.shift) == bucket:
            last += 1
        while (last_reached < c.n_reached
               and (c.reached[last_reached] >> r.layout.shift) == bucket):
            last_reached += 1
        if last_reached == reached and not r.rescale:
            ends[bucket] = <uint32_t>(at + old[bucket] - copied)
            continue
        # Those before, which stay as they are, in one piece.
        memcpy(out + at, packed + copied, old[bucket] - copied)
        at += old[bucket] - copied
        copied = old[bucket + 1]
        ends[bucket] = <uint32_t>at
        r.rows.n_rows = r.n_entries = 0
        entry = merge_bucket(r, packed + old[bucket], n, bucket, c, reached, last_reached,
                             row, last, entry)
        if entry < 0:
            return -1
        if r.rows.n_rows:
            n = count_bytes(&r.rows, &r.layout, 0, r.rows.n_rows)
            fill_bucket(&r.rows, 0, r.rows.n_rows, 0, &r.layout, out + at)
            at += n
        row, reached = last, last_reached
    n = <int64_t>old[r.layout.n_buckets] - copied
    memcpy(out + at, packed + copied, n)
    ends[r.layout.n_buckets] = <uint32_t>(at + n)
    return at + n


cdef int64_t merge_bucket(Rewrite *r, const uint8_t *at, int64_t size, int64_t bucket,
                          const Changes *c, int64_t reached, int64_t last_reached,
                          int64_t row, int64_t last, int64_t entry) noexcept nogil:
    """The rows of a bucket, old and new, by feature; the entry after the new ones.

    -1 if the old bytes are damaged.
    """
    cdef Bucket old
    cdef int32_t first = <int32_t>(bucket << r.layout.shift), feature
    cdef int64_t step = low_bytes(r.layout.shift), unit = 1 + r.layout.item
    # Full rows come first, others then; both ascend. Two places are merged with the new.
    cdef int64_t full = 0, part = 0, n_full = 0, n_rows = 0
    cdef const uint8_t *full_units = NULL
    cdef const uint8_t *part_units = NULL
    cdef const uint8_t *units
    cdef int64_t i, n, n_new
    cdef bint is_full, is_reached
    if size:
        if not is_sound(r, at, size, &old):
            return -1
        n_full, n_rows = old.n_full, old.n_rows
        full_units, part_units = old.units, old.units
        for i in range(n_full):
            part_units += (<int64_t>old.counts[i] + 1) * unit
        part = n_full
    while full < n_full or part < n_rows or row < last:
        feature = next_row(r, &old, full, n_full, part, n_rows, c, row, last, first)
        while reached < last_reached and c.reached[reached] < feature:
            reached += 1
        is_reached = reached < last_reached and c.reached[reached] == feature
        units = NULL
        n = 0
        is_full = full < n_full and first + get_low(old.low + full * step,
                                                    r.layout.shift) == feature
        if is_full:
            units, n = full_units, r.old_width
            full_units += (<int64_t>old.counts[full] + 1) * unit
            full += 1
        elif part < n_rows and first + get_low(old.low + part * step,
                                               r.layout.shift) == feature:
            units, n = part_units, <int64_t>old.counts[part] + 1
            part_units += n * unit
            part += 1
        if not (is_reached or is_full or r.rescale):
            copy_row(r, units, n, feature)
            continue
        n_new = 0
        if row < last and c.features[row] == feature:
            n_new = <int64_t>c.counts[row] + 1
            row += 1
        merge_row(r, c, units, n, is_full, is_reached, entry, entry + n_new, feature)
        entry += n_new
    return entry


cdef bint is_sound(const Rewrite *r, const uint8_t *at, int64_t size,
                   Bucket *bucket) noexcept nogil:
    """Read the head of a bucket; whether all of its rows lie within it, and the chunk."""
    cdef int64_t row, e, n, item = r.layout.item
    cdef const uint8_t *units
    if not read_head(at, size, r.layout.shift, bucket) or bucket.n_full > bucket.n_rows:
        return False
    units = bucket.units
    for row in range(bucket.n_rows):
        n = <int64_t>bucket.counts[row] + 1
        if n * (1 + item) > at + size - units:
            return False
        if row < bucket.n_full:
            if r.old_width * item > n * (1 + item):
                return False
        else:
            for e in range(n):
                if units[e] >= r.old_width:
                    return False
        units += n * (1 + item)
    return True


cdef int32_t next_row(const Rewrite *r, const Bucket *old, int64_t full, int64_t n_full,
                      int64_t part, int64_t n_rows, const Changes *c, int64_t row,
                      int64_t last, int32_t first) noexcept nogil:
    """The smallest feature that comes next."""
    cdef int64_t step = low_bytes(r.layout.shift), least = (<int64_t>1) << 40
    if full < n_full:
        least = first + get_low(old.low + full * step, r.layout.shift)
    if part < n_rows:
        least = min(least, first + get_low(old.low + part * step, r.layout.shift))
    if row < last:
        least = min(least, <int64_t>c.features[row])
    return <int32_t>least


cdef inline void put_value(Rewrite *r, int64_t column, float w) noexcept nogil:
    """Append an entry, unless its stored value is zero."""
    cdef int64_t item = r.layout.item
    xmr_store_value(r.values, r.level.kind, r.n_entries, w, r.inverse_scale[column])
    r.columns[r.n_entries] = <uint8_t>column
    r.n_entries += not is_zero(r.values + r.n_entries * item, item)


cdef inline bint is_zero(const uint8_t *value, int64_t item) noexcept nogil:
    cdef int64_t i
    for i in range(item):
        if value[i] != 0:
            return False
    return True


cdef inline void end_row(Rewrite *r, int64_t start, int32_t feature) noexcept nogil:
    """A row of the entries from `start` on, if there are any."""
    if r.n_entries > start:
        r.features[r.rows.n_rows] = feature
        r.counts[r.rows.n_rows] = <uint8_t>(r.n_entries - start - 1)
        r.rows.n_rows += 1


cdef void copy_row(Rewrite *r, const uint8_t *units, int64_t n, int32_t feature) noexcept nogil:
    cdef int64_t start = r.n_entries, item = r.layout.item
    memcpy(r.columns + start, units, n)
    memcpy(r.values + start * item, units + n, n * item)
    r.n_entries += n
    end_row(r, start, feature)


cdef void merge_row(Rewrite *r, const Changes *c, const uint8_t *units, int64_t n,
                    bint is_full, bint is_reached, int64_t new, int64_t last,
                    int32_t feature) noexcept nogil:
    """The old entries of nodes whose weights stay, and then the new ones, in any order."""
    cdef int64_t e, column, start = r.n_entries, most = start + r.width
    cdef const uint8_t *values = units if is_full else units + n
    for e in range(n):
        column = e if is_full else units[e]
        # Damaged rows may have nodes twice, for which there is no room.
        if r.n_entries < most and not (is_reached and c.changed[column]):
            put_old_value(r, column, values, e)
    for e in range(new, min(last, new + most - r.n_entries)):
        put_value(r, c.columns[e], c.weights[e])
    end_row(r, start, feature)


cdef inline void put_old_value(Rewrite *r, int64_t column, const uint8_t *values,
                               int64_t at) noexcept nogil:
    """Append an entry, as it is if its scale is the same."""
    cdef int64_t item = r.layout.item
    if r.new_scale[column] != r.scale[column]:
        put_value(r, column, xmr_value(values, r.level.kind, at) * r.scale[column])
    elif not is_zero(values + at * item, item):
        if item == 1:  # without a call
            r.values[r.n_entries] = values[at]
        else:
            memcpy(r.values + r.n_entries * item, values + at * item, item)
        r.columns[r.n_entries] = <uint8_t>column
        r.n_entries += 1
