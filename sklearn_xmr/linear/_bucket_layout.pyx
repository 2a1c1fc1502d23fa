"""The bytes of a chunk's weights: packing and unpacking, bucket by bucket.

A chunk has a row for each feature that any of its nodes uses; a row has an entry for
each of these nodes. Rows whose features share the bits above ``shift`` make a bucket,
which lies in one piece:

    number of rows, less one        1 byte, or 2 where shift > 8
    number of full rows             likewise
    low bits of each row's feature  likewise each; the full rows go first
    units of each row, less one     1 byte each
    row by row: the bytes of its units, each of 1 + (bytes of a value)

A row of n entries has n units: n columns (the nodes, 1 byte each), then n values. A row
that more than about a third of the nodes use is full: it has the values of all nodes of
the chunk, in no more bytes, or few more, and the search adds it eight nodes at a time.
Queries mostly hit such rows: their features are frequent. In tate, tibkat and yso full
rows hold 48, 3 and 77 % of what a query reads of a leaf, and nearly all above.

Bucket b takes the bytes buckets[b] to buckets[b + 1] - 1 of its chunk: none if it is
empty. A look-up reads two places in memory, the offsets and the bucket.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

import numpy as np


cdef inline int64_t low_bytes(int shift) noexcept nogil:
    return 2 if shift > 8 else 1


cdef inline void put_low(uint8_t *at, int64_t x, int shift) noexcept nogil:
    """Little-endian, on every machine."""
    at[0] = <uint8_t>(x & 0xff)
    if shift > 8:
        at[1] = <uint8_t>(x >> 8)


cdef inline int64_t get_low(const uint8_t *at, int shift) noexcept nogil:
    return at[0] + (<int64_t>at[1] << 8 if shift > 8 else 0)


cdef inline int64_t most_full_rows(int shift) noexcept nogil:
    """Their number is stored as it is, not less one."""
    return 65535 if shift > 8 else 255


cdef inline bint is_full(int64_t n_entries, int64_t width, int64_t item) noexcept nogil:
    """Whether all values of a row take at most 4/3 of the bytes of its entries."""
    return 3 * width * item <= 4 * n_entries * (1 + item)


cdef inline int64_t full_units(int64_t width, int64_t item) noexcept nogil:
    return (width * item + item) // (1 + item)


cdef inline int64_t bucket_end(const Rows *rows, const Layout *layout, int64_t bucket,
                               int64_t first) noexcept nogil:
    """The first row at or after `first` that is not in the bucket."""
    while first < rows.n_rows and (rows.features[first] >> layout.shift) == bucket:
        first += 1
    return first


cdef int64_t count_full(const Rows *rows, const Layout *layout, int64_t first,
                        int64_t last) noexcept nogil:
    """How many of the rows first .. last - 1, which make a bucket, are kept full."""
    cdef int64_t row, n_full = 0
    for row in range(first, last):
        n_full += is_full(<int64_t>rows.counts[row] + 1, rows.width, layout.item)
    return min(n_full, most_full_rows(layout.shift))


cdef int64_t layout_chunk(const Rows *rows, const Layout *layout,
                          uint32_t *buckets) noexcept nogil:
    """Byte offsets of the buckets of a chunk, from its first byte; its size."""
    cdef int64_t bucket, row, first = 0, last, n, n_full, at = 0
    cdef int64_t step = low_bytes(layout.shift), unit = 1 + layout.item
    for bucket in range(layout.n_buckets):
        buckets[bucket] = <uint32_t>at
        last = bucket_end(rows, layout, bucket, first)
        n_full = count_full(rows, layout, first, last)
        for row in range(first, last):
            n = <int64_t>rows.counts[row] + 1
            if n_full > 0 and is_full(n, rows.width, layout.item):
                n = full_units(rows.width, layout.item)
                n_full -= 1
            at += step + 1 + n * unit
        at += 2 * step if last > first else 0
        first = last
    buckets[layout.n_buckets] = <uint32_t>at
    return at


cdef void put_full_row(const Rows *rows, int64_t entry, int64_t n, const Layout *layout,
                       uint8_t *at) noexcept nogil:
    cdef int64_t e
    memset(at, 0, full_units(rows.width, layout.item) * (1 + layout.item))
    for e in range(entry, entry + n):
        memcpy(at + rows.columns[e] * layout.item, rows.values + e * layout.item,
               layout.item)


cdef int64_t fill_bucket(const Rows *rows, int64_t first, int64_t last, int64_t entry,
                         const Layout *layout, uint8_t *head) noexcept nogil:
    """Write the bytes of a bucket of the rows first .. last - 1; its last entry."""
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


cdef void fill_chunk(const Rows *rows, const Layout *layout, const uint32_t *buckets,
                     uint8_t *packed) noexcept nogil:
    """Write the bytes of a chunk, whose offsets are known."""
    cdef int64_t bucket, first = 0, last, entry = 0
    for bucket in range(layout.n_buckets):
        last = bucket_end(rows, layout, bucket, first)
        if last > first:
            entry = fill_bucket(rows, first, last, entry, layout, packed + buckets[bucket])
        first = last


cdef Rows rows_of_chunk(const int64_t[::1] chunk_rows, const int64_t[::1] chunk_entries,
                        const int32_t[::1] features, const uint8_t[::1] counts,
                        const uint8_t[::1] columns, const uint8_t[::1] values,
                        int64_t item, const int64_t[::1] child_ptr, int64_t chunk):
    cdef Rows rows
    cdef int64_t row = chunk_rows[chunk], entry = chunk_entries[chunk]
    rows.n_rows, rows.width = chunk_rows[chunk + 1] - row, (
        child_ptr[chunk + 1] - child_ptr[chunk])
    if rows.n_rows > 0:
        rows.features, rows.counts = &features[row], &counts[row]
        rows.columns, rows.values = &columns[entry], &values[entry * item]
    return rows


def pack_chunks(const int64_t[::1] chunk_rows, const int64_t[::1] chunk_entries,
                const int32_t[::1] features, const uint8_t[::1] counts,
                const uint8_t[::1] columns, const uint8_t[::1] values,
                const int64_t[::1] child_ptr, int64_t item, int shift, int64_t n_buckets,
                int64_t spare):
    """Pack rows and entries that are given one after another.

    Returns
    -------
    chunk_ptr : ndarray of int64 of shape (n_chunks + 1,)
        First byte of each chunk.
    buckets : ndarray of uint32 of shape (n_chunks, n_buckets + 1)
    packed : ndarray of uint8
        With `spare` zeros at the end.
    """
    cdef int64_t n_chunks = chunk_rows.shape[0] - 1, chunk
    cdef Layout layout
    cdef Rows rows
    layout.item, layout.shift, layout.n_buckets = item, shift, n_buckets
    buckets_array = np.zeros((n_chunks, n_buckets + 1), dtype=np.uint32)
    chunk_ptr_array = np.zeros(n_chunks + 1, dtype=np.int64)
    cdef uint32_t[:, ::1] buckets = buckets_array
    cdef int64_t[::1] chunk_ptr = chunk_ptr_array
    for chunk in range(n_chunks):
        rows = rows_of_chunk(chunk_rows, chunk_entries, features, counts, columns, values,
                             item, child_ptr, chunk)
        chunk_ptr[chunk + 1] = chunk_ptr[chunk] + layout_chunk(&rows, &layout,
                                                               &buckets[chunk, 0])
    packed_array = np.zeros(chunk_ptr[n_chunks] + spare, dtype=np.uint8)
    cdef uint8_t[::1] packed = packed_array
    for chunk in range(n_chunks):
        rows = rows_of_chunk(chunk_rows, chunk_entries, features, counts, columns, values,
                             item, child_ptr, chunk)
        fill_chunk(&rows, &layout, &buckets[chunk, 0], &packed[chunk_ptr[chunk]])
    return chunk_ptr_array, buckets_array, packed_array


def unpack_chunks(const int64_t[::1] chunk_ptr, const uint32_t[:, ::1] buckets,
                  const uint8_t[::1] packed, const int64_t[::1] child_ptr, int64_t item,
                  int shift):
    """All rows and entries; of full rows, those that are not zero.

    Returns
    -------
    chunk_row, feature : ndarray of int64 of shape (nnz,)
        Of each entry, in the order in which they are packed.
    column : ndarray of uint8 of shape (nnz,)
    value : ndarray of uint8 of shape (nnz * item,)
        Bytes.
    """
    cdef int64_t n_chunks = chunk_ptr.shape[0] - 1, n_buckets = buckets.shape[1] - 1
    cdef int64_t chunk, bucket, i, n, n_full, e, width, low, counts, at, entry = 0
    cdef int64_t step = low_bytes(shift), byte, most = packed.shape[0] // item + 1
    cdef bint nonzero
    chunk_array = np.empty(most, dtype=np.int32)
    feature_array = np.empty(most, dtype=np.int32)
    column_array = np.empty(most, dtype=np.uint8)
    value_array = np.empty(most * item, dtype=np.uint8)
    cdef int32_t[::1] chunk_of = chunk_array, feature = feature_array
    cdef uint8_t[::1] column = column_array, value = value_array
    for chunk in range(n_chunks):
        width = child_ptr[chunk + 1] - child_ptr[chunk]
        for bucket in range(n_buckets):
            if buckets[chunk, bucket + 1] == buckets[chunk, bucket]:
                continue
            at = chunk_ptr[chunk] + buckets[chunk, bucket]
            n = get_low(&packed[at], shift) + 1
            n_full = get_low(&packed[at + step], shift)
            low = at + 2 * step
            counts = low + n * step
            at = counts + n
            for i in range(n):
                for e in range(width if i < n_full else <int64_t>packed[counts + i] + 1):
                    column[entry] = <uint8_t>e if i < n_full else packed[at + e]
                    byte = at + e * item
                    if i >= n_full:
                        byte += <int64_t>packed[counts + i] + 1
                    memcpy(&value[entry * item], &packed[byte], item)
                    chunk_of[entry] = <int32_t>chunk
                    feature[entry] = <int32_t>(
                        (bucket << shift) + get_low(&packed[low + i * step], shift))
                    nonzero = False
                    for byte in range(item):
                        nonzero |= value[entry * item + byte] != 0
                    entry += nonzero
                at += (<int64_t>packed[counts + i] + 1) * (1 + item)
    return (chunk_array[:entry].copy(), feature_array[:entry].copy(),
            column_array[:entry].copy(), value_array[:entry * item].copy())
