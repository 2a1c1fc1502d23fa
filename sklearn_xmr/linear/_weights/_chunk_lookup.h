/* A level's chunks in memory, and the look-up of a feature in one of them.
 *
 * A chunk keeps, for each feature that any of its children uses, a row of entries
 * (column, value). Rows are found by buckets: the features of bucket b are those with
 * feature >> shift == b. A bucket's bytes (see _bucket_layout.pyx) begin with the low
 * bits of its rows' features and their numbers of entries, which are scanned; the
 * entries follow. A row costs 2 + 5 / (rows per bucket) bytes, and an entry
 * 1 + (1, 2 or 4).
 */
#ifndef XMR_CHUNK_LOOKUP_H
#define XMR_CHUNK_LOOKUP_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "../../utils/_simd.h"
#include "../_constants.h"
#include "_values.h"

typedef struct {
    const uint8_t *packed;   /* rows and entries, and XMR_SPARE bytes that may be read */
    const uint32_t *buckets; /* bucket -> its first byte; at the end, the chunk's size */
} xmr_chunk;

typedef struct {
    int64_t n_parents, n_nodes;
    const int64_t *parent_ptr;    /* parent -> chunks */
    const int64_t *child_ptr;     /* chunk -> nodes */
    const xmr_chunk *chunks;
    int shift;                    /* low bits of a feature; over 8 they take two bytes */
    int kind;                     /* of values */
    const float *scale;           /* node -> factor of its values */
    const float *intercept;
    int32_t n_dense;
    const void *dense;            /* node x n_dense, of the same kind */
    const float *dense_scale;
} xmr_level;

typedef struct {
    const uint8_t *units; /* of a full row: values; of another: columns, then values */
    int32_t count;
    float x;
} xmr_hit;

/* --- look-up ---------------------------------------------------------------------- */

/* Within a bucket: the row whose low bits are `wanted`. Rows and their counts are read
 * 16 at a time, up to 15 beyond the end. Returns the row or -1; `before` becomes the
 * number of units of the rows before it. No branch depends on the row's place: a miss
 * per look-up would cost more than all the rest. */
#ifdef __SSE2__
XMR_INLINE int64_t xmr_find_byte(const uint8_t *low, const uint8_t *counts, int64_t n,
                                 uint8_t wanted, int64_t *before)
{
    const __m128i want = _mm_set1_epi8((char)wanted), zero = _mm_setzero_si128();
    const __m128i place = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                        15);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(low + i));
        const __m128i c = _mm_loadu_si128((const __m128i *)(counts + i));
        const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(x, want));
        const int at = xmr_lowest_bit(found | 0x10000);
        const __m128i earlier = _mm_cmplt_epi8(place, _mm_set1_epi8((char)at));
        const __m128i sums = _mm_sad_epu8(_mm_and_si128(c, earlier), zero);
        total += at + _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4);
        if (found) {
            *before = total;
            return i + at < n ? i + at : -1;
        }
    }
    return -1;
}
#else
XMR_INLINE int64_t xmr_find_byte(const uint8_t *low, const uint8_t *counts, int64_t n,
                                 uint8_t wanted, int64_t *before)
{
    *before = 0;
    for (int64_t i = 0; i < n; i++) {
        if (low[i] == wanted)
            return i;
        *before += counts[i] + 1;
    }
    return -1;
}
#endif

XMR_INLINE int64_t xmr_find_half(const uint8_t *low, const uint8_t *counts, int64_t n,
                                 int32_t wanted, int64_t *before)
{
    *before = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((low[2 * i] | low[2 * i + 1] << 8) == wanted)
            return i;
        *before += counts[i] + 1;
    }
    return -1;
}

/* Offsets of the feature's bucket and of the next. */
XMR_INLINE const uint32_t *xmr_bucket(const xmr_level *level, int64_t chunk,
                                      int32_t feature)
{
    return level->chunks[chunk].buckets + (feature >> level->shift);
}

XMR_INLINE void xmr_prefetch_bucket(const uint8_t *packed, const uint32_t *bucket)
{
    if (bucket[1] == bucket[0])
        return;
    xmr_prefetch(packed + bucket[0]);
    xmr_prefetch(packed + bucket[0] + 64);
}

/* The feature's row in a chunk whose bytes begin at `packed`: 0 where it has none, 1 for
 * one of entries, 2 for a full one. */
XMR_INLINE int xmr_find(const xmr_level *level, const uint8_t *packed, int32_t feature,
                        const uint32_t *bucket, xmr_hit *hit)
{
    const int wide = level->shift > 8;
    const uint8_t *at = packed + bucket[0];
    int64_t n, n_full, row, before = 0;
    const uint8_t *low, *counts;
    if (bucket[1] == bucket[0])
        return 0;
    n = (wide ? at[0] | at[1] << 8 : at[0]) + 1;
    n_full = wide ? at[2] | at[3] << 8 : at[1];
    low = at + 2 + 2 * wide;
    counts = low + (n << wide);
    feature &= (1 << level->shift) - 1;
    row = wide ? xmr_find_half(low, counts, n, feature, &before)
               : xmr_find_byte(low, counts, n, (uint8_t)feature, &before);
    if (row < 0)
        return 0;
    hit->units = counts + n + before * (1 + xmr_item(level->kind));
    hit->count = counts[row] + 1;
    xmr_prefetch(hit->units);
    return 1 + (row < n_full);
}

#endif
