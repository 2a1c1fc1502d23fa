"""The bytes of a chunk's weights: packing and unpacking, bucket by bucket.

A chunk has a feature row for each feature that any of its nodes uses; a feature row has
an entry for each of these nodes. Feature rows whose features share the bits above
``shift`` make a bucket, which lies in one piece:

    number of feature rows, less one       1 byte, or 2 where shift > 8
    number of full feature rows            likewise
    low bits of each row's feature         likewise each; the full rows go first
    units of each feature row, less one    1 byte each
    row by row: the bytes of its units, each of 1 + (bytes of a value)

A feature row of n entries has n units: n columns (the nodes, 1 byte each), then n
values. A feature row that more than about a third of the nodes use is full: it has the
values of all nodes of the chunk, in no more bytes, or few more, and the search adds it
eight nodes at a time. Queries mostly hit such rows: their features are frequent. In
tate, tibkat and yso full rows hold 48, 3 and 77 % of what a query reads of a leaf, and
nearly all above.

Bucket b takes the bytes buckets[b] to buckets[b + 1] - 1 of its chunk: none if it is
empty. A look-up reads two places in memory, the offsets and the bucket.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

import numpy as np

from sklearn_xmr.linear._constants cimport XMR_CHUNK_WIDTH


cdef int64_t low_bytes(int shift) noexcept nogil:
    return 2 if shift > 8 else 1


cdef inline void put_low(uint8_t *at, int64_t x, int shift) noexcept nogil:
    """Little-endian, on every machine."""
    at[0] = <uint8_t>(x & 0xff)
    if shift > 8:
        at[1] = <uint8_t>(x >> 8)


cdef int64_t get_low(const uint8_t *at, int shift) noexcept nogil:
    return at[0] + (<int64_t>at[1] << 8 if shift > 8 else 0)


cdef inline int64_t most_full_rows(int shift) noexcept nogil:
    """Their number is stored as it is, not less one."""
    return 65535 if shift > 8 else 255


cdef inline bint is_full(int64_t n_entries, int64_t width, int64_t item) noexcept nogil:
    """Whether all values of a feature row take at most 4/3 of the bytes of its entries."""
    return 3 * width * item <= 4 * n_entries * (1 + item)


cdef inline int64_t full_units(int64_t width, int64_t item) noexcept nogil:
    return (width * item + item) // (1 + item)


cdef inline int64_t bucket_end(const ChunkRows *rows, const Layout *layout, int64_t bucket,
                               int64_t first) noexcept nogil:
    """The first feature row at or after `first` that is not in the bucket."""
    while first < rows.n_rows and (rows.features[first] >> layout.shift) == bucket:
        first += 1
    return first


cdef int64_t count_full(const ChunkRows *rows, const Layout *layout, int64_t first,
                        int64_t last) noexcept nogil:
    """How many of the feature rows first .. last - 1, a bucket, are kept full."""
    cdef int64_t row, n_full = 0
    for row in range(first, last):
        n_full += is_full(<int64_t>rows.counts[row] + 1, rows.width, layout.item)
    return min(n_full, most_full_rows(layout.shift))


cdef int64_t count_bytes(const ChunkRows *rows, const Layout *layout, int64_t first,
                         int64_t last) noexcept nogil:
    """Bytes of a bucket of the feature rows first .. last - 1."""
    cdef int64_t row, n, n_full = count_full(rows, layout, first, last)
    cdef int64_t step = low_bytes(layout.shift), unit = 1 + layout.item
    cdef int64_t n_bytes = 2 * step if last > first else 0
    for row in range(first, last):
        n = <int64_t>rows.counts[row] + 1
        if n_full > 0 and is_full(n, rows.width, layout.item):
            n = full_units(rows.width, layout.item)
            n_full -= 1
        n_bytes += step + 1 + n * unit
    return n_bytes


cdef int64_t layout_chunk(const ChunkRows *rows, const Layout *layout,
                          uint32_t *buckets) noexcept nogil:
    """Byte offsets of the buckets of a chunk, from its first byte; its size."""
    cdef int64_t bucket, first = 0, last, at = 0
    for bucket in range(layout.n_buckets):
        buckets[bucket] = <uint32_t>at
        last = bucket_end(rows, layout, bucket, first)
        at += count_bytes(rows, layout, first, last)
        first = last
    buckets[layout.n_buckets] = <uint32_t>at
    return at


cdef void put_full_row(const ChunkRows *rows, int64_t entry, int64_t n, const Layout *layout,
                       uint8_t *at) noexcept nogil:
    cdef int64_t e
    memset(at, 0, full_units(rows.width, layout.item) * (1 + layout.item))
    for e in range(entry, entry + n):
        if layout.item == 1:  # without a call
            at[rows.columns[e]] = rows.values[e]
        else:
            memcpy(at + rows.columns[e] * layout.item, rows.values + e * layout.item,
                   layout.item)


cdef int64_t fill_bucket(const ChunkRows *rows, int64_t first, int64_t last, int64_t entry,
                         const Layout *layout, uint8_t *head) noexcept nogil:
    """Write the bytes of a bucket of the feature rows first .. last - 1.

    `entry` is their first entry; the entry after their last is returned.
    """
    cdef int64_t row, n, n_full = count_full(rows, layout, first, last)
    cdef int64_t step = low_bytes(layout.shift), unit = 1 + layout.item
    cdef int64_t full_place = 0, place = n_full, here
    cdef uint8_t *low = head + 2 * step
    cdef uint8_t *counts = low + (last - first) * step
    cdef uint8_t *full_at = counts + (last - first)
    cdef uint8_t *at = full_at + n_full * full_units(rows.width, layout.item) * unit
    put_low(head, last - first - 1, layout.shift)
    put_low(head + step, n_full, layout.shift)
    for row in range(first, last):
        n = <int64_t>rows.counts[row] + 1
        if full_place < n_full and is_full(n, rows.width, layout.item):
            here = full_place
            full_place += 1
            counts[here] = <uint8_t>(full_units(rows.width, layout.item) - 1)
            put_full_row(rows, entry, n, layout, full_at)
            full_at += full_units(rows.width, layout.item) * unit
        else:
            here = place
            place += 1
            counts[here] = <uint8_t>(n - 1)
            memcpy(at, rows.columns + entry, n)
            memcpy(at + n, rows.values + entry * layout.item, n * layout.item)
            at += n * unit
        put_low(low + here * step, rows.features[row] & ((1 << layout.shift) - 1),
                layout.shift)
        entry += n
    return entry


cdef void fill_chunk(const ChunkRows *rows, const Layout *layout, const uint32_t *buckets,
                     uint8_t *packed) noexcept nogil:
    """Write the bytes of a chunk, whose offsets are known."""
    cdef int64_t bucket, first = 0, last, entry = 0
    for bucket in range(layout.n_buckets):
        last = bucket_end(rows, layout, bucket, first)
        if last > first:
            entry = fill_bucket(rows, first, last, entry, layout, packed + buckets[bucket])
        first = last


# --- packing, for Python ------------------------------------------------------------------

cdef ChunkRows slice_chunk(const int64_t[::1] chunk_rows, const int64_t[::1] chunk_entries,
                           const int32_t[::1] features, const uint8_t[::1] counts,
                           const uint8_t[::1] columns, const uint8_t[::1] values,
                           int64_t item, const int64_t[::1] child_ptr, int64_t chunk):
    """The feature rows and entries of one chunk."""
    cdef ChunkRows rows
    cdef int64_t row = chunk_rows[chunk], entry = chunk_entries[chunk]
    rows.n_rows = chunk_rows[chunk + 1] - row
    rows.width = child_ptr[chunk + 1] - child_ptr[chunk]
    rows.features = NULL
    rows.counts = NULL
    rows.columns = NULL
    rows.values = NULL
    if rows.n_rows > 0:
        rows.features, rows.counts = &features[row], &counts[row]
        rows.columns, rows.values = &columns[entry], &values[entry * item]
    return rows


def pack_chunks(const int64_t[::1] chunk_rows, const int64_t[::1] chunk_entries,
                const int32_t[::1] features, const uint8_t[::1] counts,
                const uint8_t[::1] columns, const uint8_t[::1] values,
                const int64_t[::1] child_ptr, int64_t item, int shift, int64_t n_buckets,
                int64_t spare):
    """Pack feature rows and entries that are given one after another.

    Parameters
    ----------
    chunk_rows, chunk_entries : ndarray of int64 of shape (n_chunks + 1,)
        First feature row, and first entry, of each chunk.
    features : ndarray of int32 of shape (n_feature_rows,)
        Ascending within a chunk.
    counts : ndarray of uint8 of shape (n_feature_rows,)
        Entries of each feature row, less one.
    columns : ndarray of uint8 of shape (n_entries,)
        Node of each entry, relative to the chunk's first.
    values : ndarray of uint8 of shape (n_entries * item,)
        Bytes of the entries' values.
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        Nodes of each chunk.
    item : int
        Bytes of a value.
    shift : int
        Low bits of a feature: features with equal bits above share a bucket.
    n_buckets : int
        Buckets of a chunk.
    spare : int
        Zeros to add at the end.

    Returns
    -------
    chunk_ptr : ndarray of int64 of shape (n_chunks + 1,)
        First byte of each chunk.
    buckets : ndarray of uint32 of shape (n_chunks, n_buckets + 1)
        First byte of each bucket, from the chunk's first.
    packed : ndarray of uint8 of shape (chunk_ptr[-1] + spare,)
    """
    cdef int64_t n_chunks = chunk_rows.shape[0] - 1, chunk
    cdef Layout layout
    cdef ChunkRows rows
    layout.item, layout.shift, layout.n_buckets = item, shift, n_buckets
    buckets_array = np.zeros((n_chunks, n_buckets + 1), dtype=np.uint32)
    chunk_ptr_array = np.zeros(n_chunks + 1, dtype=np.int64)
    cdef uint32_t[:, ::1] buckets = buckets_array
    cdef int64_t[::1] chunk_ptr = chunk_ptr_array
    for chunk in range(n_chunks):
        rows = slice_chunk(chunk_rows, chunk_entries, features, counts, columns, values,
                           item, child_ptr, chunk)
        chunk_ptr[chunk + 1] = chunk_ptr[chunk] + layout_chunk(&rows, &layout,
                                                               &buckets[chunk, 0])
    packed_array = np.zeros(chunk_ptr[n_chunks] + spare, dtype=np.uint8)
    cdef uint8_t[::1] packed = packed_array
    for chunk in range(n_chunks):
        rows = slice_chunk(chunk_rows, chunk_entries, features, counts, columns, values,
                           item, child_ptr, chunk)
        fill_chunk(&rows, &layout, &buckets[chunk, 0], &packed[chunk_ptr[chunk]])
    return chunk_ptr_array, buckets_array, packed_array


# --- unpacking ------------------------------------------------------------------------------

cdef struct Unpacked:
    # Entries found so far.
    int64_t n
    int32_t *chunk
    int32_t *feature
    uint8_t *column
    uint8_t *value


cdef inline void put_entry(int32_t chunk, int32_t feature, int64_t column,
                           const uint8_t *value, int64_t item, Unpacked *out) noexcept nogil:
    """Append an entry; one whose value is zero is overwritten by the next."""
    cdef int64_t i
    cdef bint nonzero = False
    out.chunk[out.n], out.feature[out.n] = chunk, feature
    out.column[out.n] = <uint8_t>column
    memcpy(out.value + out.n * item, value, item)
    for i in range(item):
        nonzero |= value[i] != 0
    out.n += nonzero


cdef bint read_head(const uint8_t *at, int64_t size, int shift,
                    Bucket *bucket) noexcept nogil:
    """Read the head of a bucket of so many bytes; whether it fits into them."""
    cdef int64_t step = low_bytes(shift)
    if size < 2 * step:
        return False
    bucket.n_rows, bucket.n_full = get_low(at, shift) + 1, get_low(at + step, shift)
    bucket.low = at + 2 * step
    bucket.counts = bucket.low + bucket.n_rows * step
    bucket.units = bucket.counts + bucket.n_rows
    return bucket.units - at <= size


cdef bint unpack_bucket(const uint8_t *at, int64_t size, int32_t chunk, int64_t width,
                        int32_t first_feature, const Layout *layout,
                        Unpacked *out) noexcept nogil:
    """Append the entries of a bucket; whether they fit into its bytes."""
    cdef int64_t item = layout.item, step = low_bytes(layout.shift), row, e, n
    cdef const uint8_t *end = at + size
    cdef const uint8_t *units
    cdef int32_t feature
    cdef Bucket bucket
    if not read_head(at, size, layout.shift, &bucket):
        return False
    units = bucket.units
    for row in range(bucket.n_rows):
        feature = first_feature + <int32_t>get_low(bucket.low + row * step, layout.shift)
        n = <int64_t>bucket.counts[row] + 1
        if n * (1 + item) > end - units:
            return False
        if row >= bucket.n_full:
            for e in range(n):
                put_entry(chunk, feature, units[e], units + n + e * item, item, out)
        elif width * item > n * (1 + item):
            return False
        else:
            for e in range(width):
                put_entry(chunk, feature, e, units + e * item, item, out)
        units += n * (1 + item)
    return True


cdef bint unpack_chunk(const uint8_t *packed, int64_t size, const uint32_t *buckets,
                       int32_t chunk, int64_t width, const Layout *layout,
                       Unpacked *out) noexcept nogil:
    """Append the entries of a chunk; whether its buckets lie one after another in it."""
    cdef int64_t bucket
    cdef int32_t feature
    for bucket in range(layout.n_buckets):
        if buckets[bucket] == buckets[bucket + 1]:
            continue
        if buckets[bucket] > buckets[bucket + 1] or buckets[bucket + 1] > size:
            return False
        feature = <int32_t>(bucket << layout.shift)
        if not unpack_bucket(packed + buckets[bucket], buckets[bucket + 1] - buckets[bucket],
                             chunk, width, feature, layout, out):
            return False
    return True


def unpack_chunks(const int64_t[::1] chunk_ptr, const uint32_t[:, ::1] buckets,
                  const uint8_t[::1] packed, const int64_t[::1] child_ptr, int64_t item,
                  int shift):
    """The entries of all feature rows whose value is not zero.

    Every size that the bytes tell is checked before it is used: damaged weights may
    give wrong entries, but nothing outside the arrays is read or written.

    Parameters
    ----------
    chunk_ptr, buckets, packed : ndarray
        As of ``pack_chunks``.
    child_ptr : ndarray of int64 of shape (n_chunks + 1,)
        Nodes of each chunk.
    item, shift : int
        As for ``pack_chunks``.

    Returns
    -------
    chunk : ndarray of int32 of shape (nnz,)
        Of each entry, in the order in which they are packed.
    feature : ndarray of int32 of shape (nnz,)
    column : ndarray of uint8 of shape (nnz,)
        Node, relative to the chunk's first.
    value : ndarray of uint8 of shape (nnz * item,)
        Bytes.

    Raises
    ------
    ValueError
        If the sizes contradict each other.
    """
    cdef int64_t n_chunks = chunk_ptr.shape[0] - 1, chunk, width
    cdef int64_t most = packed.shape[0] // item + 1
    cdef bint sound = (0 <= shift <= 16 and buckets.shape[0] >= n_chunks
                       and child_ptr.shape[0] > n_chunks)
    cdef Layout layout
    cdef Unpacked out
    layout.item, layout.shift, layout.n_buckets = item, shift, buckets.shape[1] - 1
    arrays = [np.empty(most, dtype=dtype) for dtype in (np.int32, np.int32, np.uint8)]
    arrays.append(np.empty(most * item, dtype=np.uint8))
    cdef int32_t[::1] chunks = arrays[0], features = arrays[1]
    cdef uint8_t[::1] columns = arrays[2], values = arrays[3]
    out.n, out.chunk, out.feature = 0, &chunks[0], &features[0]
    out.column, out.value = &columns[0], &values[0]
    for chunk in range(n_chunks):
        sound = (sound and 0 <= chunk_ptr[chunk] <= chunk_ptr[chunk + 1] <= packed.shape[0]
                 and 0 <= child_ptr[chunk] <= child_ptr[chunk + 1])
        width = child_ptr[chunk + 1] - child_ptr[chunk] if sound else 0
        sound = sound and width <= XMR_CHUNK_WIDTH
        if sound and chunk_ptr[chunk] < chunk_ptr[chunk + 1]:
            sound = unpack_chunk(&packed[chunk_ptr[chunk]],
                                 chunk_ptr[chunk + 1] - chunk_ptr[chunk],
                                 &buckets[chunk, 0], chunk, width, &layout, &out)
    if not sound:
        raise ValueError("the packed weights are damaged: their sizes are contradictory")
    counts = (out.n, out.n, out.n, out.n * item)
    return tuple(array[:n].copy() for array, n in zip(arrays, counts, strict=True))
