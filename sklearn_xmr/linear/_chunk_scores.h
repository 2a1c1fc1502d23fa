/* Margins of all children of a chunk for one sparse query.
 *
 * A chunk keeps, for each feature that any of its children uses, a row of entries
 * (column, value). Rows are found by buckets: the features of bucket b are those with
 * feature >> shift == b, and a bucket knows its first row and its first entry. Within
 * it the low bits of each row's feature (1 or 2 bytes) and its number of entries
 * (1 byte) are scanned: about one cache line each. A row of n entries thus costs
 * 2 + 8 / (rows per bucket) bytes, and an entry 1 + (1, 2 or 4) bytes.
 */
#ifndef XMR_CHUNK_SCORES_H
#define XMR_CHUNK_SCORES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "../utils/_simd.h"

enum { XMR_FLOAT32 = 0, XMR_FLOAT16 = 1, XMR_INT8 = 2 };

typedef struct {
    int64_t n_parents, n_nodes, n_buckets;
    const int64_t *parent_ptr;    /* parent -> chunks */
    const int64_t *child_ptr;     /* chunk -> nodes */
    const int64_t *chunk_rows;    /* chunk -> rows */
    const int64_t *chunk_entries; /* chunk -> entries */
    const uint32_t *buckets;      /* chunk x (n_buckets + 1) x (row, entry), from the
                                     chunk's first */
    int shift, wide;              /* wide: low bits are uint16 */
    const void *low;
    const uint8_t *counts;        /* entries of a row, less one */
    const uint8_t *columns;       /* node of an entry, from the chunk's first */
    int kind;
    const void *values;
    const float *scale;           /* node -> factor of its values */
    const float *intercept;
    int32_t n_dense;
    const void *dense;            /* node x n_dense, of the same kind */
    const float *dense_scale;
} xmr_level;

typedef struct {
    const int32_t *indices;
    const float *values;
    int64_t nnz;
    const float *dense;
} xmr_query;

typedef struct {
    int64_t entry;
    int32_t count;
    float x;
} xmr_hit;

/* --- value types ------------------------------------------------------------------ */

XMR_INLINE float xmr_from_half(uint16_t h)
{
    /* Shift exponent and fraction into place; 2^112 makes up for the other bias, and
     * is exact for subnormal numbers as well. Weights are finite. */
    const uint32_t bits = (uint32_t)(h & 0x7fff) << 13;
    float size;
    memcpy(&size, &bits, 4);
    size *= 5.192296858534828e33f;
    return h & 0x8000 ? -size : size;
}

XMR_INLINE uint16_t xmr_to_half(float w)
{
    const uint16_t sign = w < 0 ? 0x8000 : 0;
    float size = w < 0 ? -w : w;
    uint32_t bits;
    size = size > 65504.0f ? 65504.0f : size;
    size *= 1.9259299443872359e-34f; /* 2^-112 */
    memcpy(&bits, &size, 4);
    bits += 0xfff + ((bits >> 13) & 1); /* to the nearest, ties to even */
    return sign | (uint16_t)(bits >> 13);
}

static inline void xmr_store_value(void *values, int kind, int64_t at, float w,
                                   float inverse_scale)
{
    if (kind == XMR_FLOAT32)
        ((float *)values)[at] = w;
    else if (kind == XMR_FLOAT16)
        ((uint16_t *)values)[at] = xmr_to_half(w);
    else
        ((int8_t *)values)[at] = (int8_t)__builtin_rintf(w * inverse_scale);
}

XMR_INLINE float xmr_value(const void *values, int kind, int64_t at)
{
    if (kind == XMR_FLOAT32)
        return ((const float *)values)[at];
    if (kind == XMR_FLOAT16)
        return xmr_from_half(((const uint16_t *)values)[at]);
    return (float)((const int8_t *)values)[at];
}

/* --- look-up ---------------------------------------------------------------------- */

/* Within a bucket: the row whose low bits are `wanted`. Rows and their counts are read
 * 16 at a time, up to 15 beyond the end: the arrays have that much to spare. Returns
 * the row or -1; `before` becomes the number of entries of the rows before it.
 * No branch depends on the row's place: a miss per look-up would cost more than all
 * the rest. */
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
        const int at = __builtin_ctz(found | 0x10000);
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

XMR_INLINE int64_t xmr_find_half(const uint16_t *low, const uint8_t *counts, int64_t n,
                                 uint16_t wanted, int64_t *before)
{
    *before = 0;
    for (int64_t i = 0; i < n && low[i] <= wanted; i++) {
        if (low[i] == wanted)
            return i;
        *before += counts[i] + 1;
    }
    return -1;
}

XMR_INLINE const uint32_t *xmr_bucket(const xmr_level *level, int64_t chunk,
                                      int32_t feature)
{
    return level->buckets
           + 2 * (chunk * (level->n_buckets + 1) + (feature >> level->shift));
}

XMR_INLINE void xmr_prefetch_bucket_rows(const xmr_level *level, int64_t chunk,
                                         const uint32_t *bucket)
{
    const int64_t row = level->chunk_rows[chunk] + bucket[0];
    if (bucket[2] == bucket[0])
        return;
    __builtin_prefetch((const char *)level->low + (row << level->wide));
    __builtin_prefetch(level->counts + row);
}

/* The entries of the feature's row; 0 where the chunk does not use it. */
XMR_INLINE int xmr_find(const xmr_level *level, int64_t chunk, int32_t feature,
                        const uint32_t *bucket, int64_t *entry, int32_t *count)
{
    const int64_t n = bucket[2] - bucket[0];
    const int64_t first = level->chunk_rows[chunk] + bucket[0];
    const int32_t low = feature & ((1 << level->shift) - 1);
    int64_t before = 0;
    const int64_t at = level->wide
        ? xmr_find_half((const uint16_t *)level->low + first, level->counts + first, n,
                        (uint16_t)low, &before)
        : xmr_find_byte((const uint8_t *)level->low + first, level->counts + first, n,
                        (uint8_t)low, &before);
    if (at < 0)
        return 0;
    *entry = level->chunk_entries[chunk] + bucket[1] + before;
    *count = level->counts[first + at] + 1;
    return 1;
}

/* --- margins ---------------------------------------------------------------------- */

/* Four entries at a time; those beyond the row's end count with weight 0, so that rows
 * of one to four entries, which most are, take the same path. Their columns are some
 * other row's, or zeros at the end: places that exist. */
XMR_INLINE void xmr_add_hits(const xmr_level *level, const int kind, const xmr_hit *hits,
                             int64_t n_hits, float *scores)
{
    for (int64_t h = 0; h < n_hits; h++) {
        const float x = hits[h].x;
        for (int64_t e = hits[h].entry, left = hits[h].count; left > 0; e += 4, left -= 4) {
            const uint8_t *columns = level->columns + e;
            const float w0 = x * xmr_value(level->values, kind, e);
            const float w1 = (left > 1 ? x : 0.0f) * xmr_value(level->values, kind, e + 1);
            const float w2 = (left > 2 ? x : 0.0f) * xmr_value(level->values, kind, e + 2);
            const float w3 = (left > 3 ? x : 0.0f) * xmr_value(level->values, kind, e + 3);
            scores[columns[0]] += w0;
            scores[columns[1]] += w1;
            scores[columns[2]] += w2;
            scores[columns[3]] += w3;
        }
    }
}

/* Dense weights of one node times the query's dense features. */
XMR_INLINE float xmr_dense_dot(const void *weights, const int kind, int64_t at,
                               const float *x, int32_t n)
{
    xmr_v8f sums = {0};
    int32_t j = 0;
    for (; j + 7 < n; j += 8) {
        float w[8];
        for (int l = 0; l < 8; l++)
            w[l] = xmr_value(weights, kind, at + j + l);
        sums += xmr_load(w) * xmr_load(x + j);
    }
    float total = ((sums[0] + sums[1]) + (sums[2] + sums[3]))
                  + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (; j < n; j++)
        total += xmr_value(weights, kind, at + j) * x[j];
    return total;
}

XMR_INLINE void xmr_add_dense(const xmr_level *level, const int kind, int64_t first,
                              int64_t n, const float *x, float *scores)
{
    for (int64_t c = 0; c < n; c++)
        scores[c] += level->dense_scale[first + c]
                     * xmr_dense_dot(level->dense, kind, (first + c) * level->n_dense, x,
                                     level->n_dense);
}

/* scores[child] = w.x + b. In three rounds, each of which requests from memory what the
 * next one reads: a query of a hundred features misses the cache that many times in
 * every chunk, and waits for them together. `warm`: other queries have just been in this
 * chunk. `hits` has room for the query's features. */
XMR_CLONES static void xmr_score_chunk(const xmr_level *level, int64_t chunk,
                                       const xmr_query *query, int warm, xmr_hit *hits,
                                       float *scores)
{
    const int64_t first = level->child_ptr[chunk];
    const int64_t n = level->child_ptr[chunk + 1] - first;
    const int64_t item = level->kind == XMR_FLOAT32 ? 4 : level->kind == XMR_FLOAT16 ? 2 : 1;
    int64_t n_hits = 0;
    for (int64_t k = 0; k < query->nnz && !warm; k++)
        xmr_prefetch_bucket_rows(level, chunk,
                                 xmr_bucket(level, chunk, query->indices[k]));
    for (int64_t k = 0; k < query->nnz; k++) {
        xmr_hit *hit = hits + n_hits;
        const int32_t f = query->indices[k];
        if (!xmr_find(level, chunk, f, xmr_bucket(level, chunk, f), &hit->entry,
                      &hit->count))
            continue;
        hit->x = query->values[k];
        __builtin_prefetch(level->columns + hit->entry);
        __builtin_prefetch((const char *)level->values + hit->entry * item);
        n_hits++;
    }
    for (int64_t c = 0; c < 256; c++) /* all: see xmr_add_hits */
        scores[c] = 0.0f;
    if (level->kind == XMR_FLOAT32)
        xmr_add_hits(level, XMR_FLOAT32, hits, n_hits, scores);
    else if (level->kind == XMR_FLOAT16)
        xmr_add_hits(level, XMR_FLOAT16, hits, n_hits, scores);
    else
        xmr_add_hits(level, XMR_INT8, hits, n_hits, scores);
    for (int64_t c = 0; c < n; c++)
        scores[c] = scores[c] * level->scale[first + c] + level->intercept[first + c];
    if (!level->n_dense)
        return;
    if (level->kind == XMR_FLOAT32)
        xmr_add_dense(level, XMR_FLOAT32, first, n, query->dense, scores);
    else if (level->kind == XMR_FLOAT16)
        xmr_add_dense(level, XMR_FLOAT16, first, n, query->dense, scores);
    else
        xmr_add_dense(level, XMR_INT8, first, n, query->dense, scores);
}

/* Margins into log scores below a parent's: log sigmoid(v), or -max(0, 1 - v)**power for
 * the hinges. Combiner codes: 0 sigmoid, -1 none (margins stay), else the power. */
XMR_CLONES static void xmr_log_scores(float *scores, int64_t n, int combiner, float parent)
{
    if (combiner == 0) {
        for (int64_t c = 0; c < n; c++) {
            const float v = scores[c];
            scores[c] = parent + (v > 0 ? -log1pf(expf(-v)) : v - log1pf(expf(v)));
        }
    } else if (combiner > 0) {
        for (int64_t c = 0; c < n; c++) {
            const float v = 1.0f - scores[c], slack = v > 0 ? v : 0;
            const float square = slack * slack;
            float power = combiner & 1 ? slack : 1.0f;
            power *= combiner & 2 ? square : 1.0f;
            power *= combiner & 4 ? square * square : 1.0f;
            scores[c] = parent - power;
        }
    }
}

#endif
