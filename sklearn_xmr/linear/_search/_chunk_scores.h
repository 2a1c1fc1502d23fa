/* Margins of all children of a chunk for one sparse query. */
#ifndef XMR_CHUNK_SCORES_H
#define XMR_CHUNK_SCORES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../_weights/_chunk_lookup.h"

typedef struct {
    const int32_t *indices;
    const float *values;
    int64_t nnz;
    const float *dense;
} xmr_query;

/* --- margins ---------------------------------------------------------------------- */

/* Four values from any address; those beyond the first `left` are zeros, since what lies
 * there may be no number. */
XMR_INLINE xmr_v4f xmr_load_values(const uint8_t *values, const int kind, int32_t left)
{
    const xmr_v4i place = {0, 1, 2, 3}, all = {left, left, left, left};
    const xmr_v4i keep = place < all;
    xmr_v4f w;
#if defined(__SSE2__) && !defined(XMR_NO_VECTORS)
    if (kind == XMR_INT8) { /* gcc 12 converts bytes one by one */
        const __m128i zero = _mm_setzero_si128();
        int32_t bytes;
        memcpy(&bytes, values, 4);
        __m128i x = _mm_unpacklo_epi8(zero, _mm_cvtsi32_si128(bytes));
        x = _mm_srai_epi32(_mm_unpacklo_epi16(zero, x), 24);
        return _mm_cvtepi32_ps(_mm_and_si128(x, (__m128i)keep));
    }
#endif
    for (int i = 0; i < 4; i++)
        w[i] = xmr_value(values, kind, i);
    return (xmr_v4f)((xmr_v4i)w & keep);
}

/* scores[node] += x * value, of rows of entries, four at a time. Those beyond the row's
 * end count as zeros, so that rows of one to four entries, which most are, take the same
 * path. What is read as their columns is any byte: a place that exists. */
XMR_INLINE void xmr_add_entries(const int kind, const xmr_hit *hits, int64_t n_hits,
                                float *scores)
{
    for (int64_t h = 0; h < n_hits; h++) {
        const uint8_t *columns = hits[h].units, *values = columns + hits[h].count;
        for (int32_t left = hits[h].count; left > 0; left -= 4) {
            const xmr_v4f w = hits[h].x * xmr_load_values(values, kind, left);
            for (int i = 0; i < 4; i++)
                scores[columns[i]] += w[i];
            columns += 4;
            values += 4 * xmr_item(kind);
        }
    }
}

/* The same of full rows, two rows at once. A plain loop: gcc turns it into vectors. */
XMR_INLINE void xmr_add_full_rows(const int kind, const xmr_hit *hits, int64_t n_hits,
                                  int64_t n, float *XMR_RESTRICT scores)
{
    int64_t h = 0;
    for (; h + 1 < n_hits; h += 2) {
        const uint8_t *a = hits[h].units, *b = hits[h + 1].units;
        const float xa = hits[h].x, xb = hits[h + 1].x;
        for (int64_t c = 0; c < n; c++)
            scores[c] += xa * xmr_value(a, kind, c) + xb * xmr_value(b, kind, c);
    }
    if (h < n_hits)
        for (int64_t c = 0; c < n; c++)
            scores[c] += hits[h].x * xmr_value(hits[h].units, kind, c);
}

XMR_INLINE void xmr_add_hits(const int kind, const xmr_hit *hits, int64_t n_entry_rows,
                             const xmr_hit *full, int64_t n_full_rows, int64_t n,
                             float *scores)
{
    xmr_add_full_rows(kind, full, n_full_rows, n, scores);
    xmr_add_entries(kind, hits, n_entry_rows, scores);
}

/* --- dense features ----------------------------------------------------------------- */

/* out[q] = w.x[q]; the order of the sum does not depend on the number of queries. */
XMR_INLINE void xmr_dots(const int n_queries, const float *w, const float *const *x,
                         int32_t n, float *out)
{
    xmr_v8f sums[XMR_QUERIES];
    int32_t j = 0;
    for (int q = 0; q < n_queries; q++)
        sums[q] = xmr_splat(0.0f);
    for (; j + 7 < n; j += 8) {
        const xmr_v8f part = xmr_load(w + j);
        for (int q = 0; q < n_queries; q++)
            sums[q] += part * xmr_load(x[q] + j);
    }
    for (int q = 0; q < n_queries; q++) {
        float sum = xmr_sum(sums[q]);
        for (int32_t rest = j; rest < n; rest++)
            sum += w[rest] * x[q][rest];
        out[q] = sum;
    }
}

/* The chunk's dense weights times the dense features of up to XMR_QUERIES queries, into
 * margins[query * XMR_CHUNK_WIDTH + child]: a node's weights are decoded (into `w`, n_dense long)
 * and loaded once for all of them. */
XMR_INLINE void xmr_dense_margins_body(const xmr_level *level, int64_t chunk,
                                       const float *const *x, int n_queries,
                                       float *XMR_RESTRICT w, float *margins)
{
    const float *tile[XMR_QUERIES];
    const int32_t n = level->n_dense;
    for (int q = 0; q < XMR_QUERIES; q++)
        tile[q] = x[q < n_queries ? q : 0];
    for (int64_t c = level->child_ptr[chunk]; c < level->child_ptr[chunk + 1]; c++) {
        const void *from = (const char *)level->dense + c * n * xmr_item(level->kind);
        float *out = margins + (c - level->child_ptr[chunk]);
        float dots[XMR_QUERIES];
        if (level->kind == XMR_FLOAT32)
            memcpy(w, from, n * sizeof(float));
        else if (level->kind == XMR_FLOAT16)
            for (int32_t j = 0; j < n; j++)
                w[j] = xmr_value(from, XMR_FLOAT16, j);
        else
            for (int32_t j = 0; j < n; j++)
                w[j] = xmr_value(from, XMR_INT8, j);
        if (n_queries == 1)
            xmr_dots(1, w, tile, n, dots);
        else
            xmr_dots(XMR_QUERIES, w, tile, n, dots);
        for (int q = 0; q < n_queries; q++)
            out[q * XMR_CHUNK_WIDTH] = dots[q] * level->dense_scale[c];
    }
}

XMR_VERSIONS(void, xmr_dense_margins,
             (const xmr_level *level, int64_t chunk, const float *const *x, int n_queries,
              float *XMR_RESTRICT w, float *margins),
             (level, chunk, x, n_queries, w, margins))

/* --- a chunk ------------------------------------------------------------------------ */

/* scores[child] = w.x + b, with the dense margins, if any. First all buckets are
 * requested from memory: a query of a hundred features misses the cache that many times
 * in every chunk, and waits for them together. `hits` has room for the query's features
 * and one more: full rows are listed from its end. */
XMR_INLINE void xmr_score_chunk_body(const xmr_level *level, int64_t chunk,
                                     const xmr_query *query, const float *dense_margins,
                                     xmr_hit *hits, float *scores)
{
    const int64_t first = level->child_ptr[chunk];
    const int64_t n = level->child_ptr[chunk + 1] - first;
    const uint8_t *packed = level->chunks[chunk].packed;
    int64_t n_hits = 0;
    xmr_hit *full = hits + query->nnz;
    for (int64_t k = 0; k < query->nnz; k++)
        xmr_prefetch_bucket(packed, xmr_bucket(level, chunk, query->indices[k]));
    for (int64_t k = 0; k < query->nnz; k++) {
        const int32_t f = query->indices[k];
        xmr_hit hit;
        const int found = xmr_find(level, packed, f, xmr_bucket(level, chunk, f), &hit);
        if (!found)
            continue;
        hit.x = query->values[k];
        hits[n_hits] = hit;
        full[0] = hit; /* both: the row's kind is hard to predict */
        n_hits += found == 1;
        full -= found == 2;
    }
    full++;
    const int64_t n_full = hits + query->nnz + 1 - full;
    memset(scores, 0, n * sizeof(float));
    if (level->kind == XMR_FLOAT32)
        xmr_add_hits(XMR_FLOAT32, hits, n_hits, full, n_full, n, scores);
    else if (level->kind == XMR_FLOAT16)
        xmr_add_hits(XMR_FLOAT16, hits, n_hits, full, n_full, n, scores);
    else
        xmr_add_hits(XMR_INT8, hits, n_hits, full, n_full, n, scores);
    for (int64_t c = 0; c < n; c++)
        scores[c] = scores[c] * level->scale[first + c] + level->intercept[first + c];
    for (int64_t c = 0; dense_margins && c < n; c++)
        scores[c] += dense_margins[c];
}

XMR_VERSIONS(void, xmr_score_chunk,
             (const xmr_level *level, int64_t chunk, const xmr_query *query,
              const float *dense_margins, xmr_hit *hits, float *scores),
             (level, chunk, query, dense_margins, hits, scores))

/* Margins into log scores below a parent's, to which they add weight * log sigmoid(v), or
 * weight * -max(0, 1 - v)**power for the hinges, whose code is the power. XMR_NOOP leaves
 * margins as they are. */
XMR_INLINE void xmr_log_scores_body(float *scores, int64_t n, int combiner, float weight,
                                    float parent)
{
    if (combiner == XMR_SIGMOID) {
        for (int64_t c = 0; c < n; c++) {
            const float v = scores[c];
            scores[c] = parent + weight * (v > 0 ? -log1pf(expf(-v)) : v - log1pf(expf(v)));
        }
    } else if (combiner >= XMR_L1_HINGE) {
        for (int64_t c = 0; c < n; c++) {
            const float v = 1.0f - scores[c], slack = v > 0 ? v : 0;
            const float square = slack * slack;
            float power = combiner & 1 ? slack : 1.0f;
            power *= combiner & 2 ? square : 1.0f;
            power *= combiner & 4 ? square * square : 1.0f;
            scores[c] = parent - weight * power;
        }
    }
}

XMR_VERSIONS(void, xmr_log_scores,
             (float *scores, int64_t n, int combiner, float weight, float parent),
             (scores, n, combiner, weight, parent))

/* The nodes that score at least so much, ascending; their number. */
XMR_INLINE int64_t xmr_candidates_body(const float *scores, int64_t n, float least,
                                       uint8_t *nodes)
{
    int64_t count = 0, c = 0;
    for (; c + 7 < n; c += 8) {
        uint32_t bits = xmr_or(xmr_lane_bits(xmr_load(scores + c) >= least, 0));
        for (; bits; bits &= bits - 1)
            nodes[count++] = (uint8_t)(c + xmr_lowest_bit(bits));
    }
    for (; c < n; c++) {
        nodes[count] = (uint8_t)c;
        count += scores[c] >= least;
    }
    return count;
}

XMR_VERSIONS(int64_t, xmr_candidates,
             (const float *scores, int64_t n, float least, uint8_t *nodes),
             (scores, n, least, nodes))

#endif
