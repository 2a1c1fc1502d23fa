/* Products of a node's rows with the weights of up to XMR_LANES siblings: what a visit of
 * a row in coordinate descent reads (the margins of all lanes) and writes (a step along
 * the row). Three ways, with the same result up to rounding:
 *
 * - sparse features: one row at a time, from W and into W;
 * - dense features: eight rows at a time. A tile's margins are computed together when
 *   its first row is visited, so that a vector of W is loaded once for eight rows, as
 *   in a matrix product; the steps of rows visited since are added through the tile's
 *   own products x_r.x_s; W gets all steps when its last row is done.
 * - Gram mode, for nodes of few rows: all products x_i.x_k are made at first, margins
 *   are kept for all rows, and a step costs n_rows instead of a row's features.
 *   W is made at the end.
 */
#ifndef XMR_ROW_PRODUCTS_H
#define XMR_ROW_PRODUCTS_H

#include <math.h>
#include <string.h>

#include "../../utils/_simd.h"
#include "../_constants.h"

typedef struct {
    /* The node's rows as CSR over its own features 0 .. n_features - 1. */
    const int64_t *indptr;
    const int32_t *indices;
    const float *values;
    const float *sq_norm;     /* |x_i|^2 + beta^2, per row */
    const float *shrink;      /* per feature, dense ones last: values are x times this, and
                               * weights those of x divided by it; or NULL */
    /* Dense features of the same rows, n_dense each (0: none): those of row i are at
     * dense_rows[i], or at i where dense_rows is NULL. */
    const float *dense;
    const int32_t *dense_rows;
    int32_t n_dense;
    float beta;               /* value of the bias feature */
    int n_vectors;            /* lanes / 8: 1 to XMR_VECTORS */
    int32_t bias_row;         /* row of W that holds the bias: n_features */
    float *W;                 /* (n_features + 1) x lanes; dense: vectors x n_dense x 8 */
    const float *gram;        /* n_rows x n_rows: x_i.x_k + beta^2; or NULL */
    float *margins;           /* with gram: lanes / 8 x n_rows x 8, w.x_i + b */
    int64_t n_rows;
    float *dual;              /* n_rows x lanes: alpha, or its logit (logistic) */
    const float *cost;        /* n_rows x lanes: U, or NULL for the two below */
    float positive_cost, negative_cost;
    const uint8_t *use;       /* per row; XMR_MINED: costs mined_cost; or NULL */
    float mined_cost;
    int loss;
    const uint32_t *positive; /* bit per lane: y_i = +1 */
    const uint32_t *member;   /* bit per lane: the row counts for this label */
    uint32_t *pending;        /* bit per lane, set by a pass: |gradient| > idle */
    uint32_t live;            /* bit per lane: not yet converged */
    float idle;               /* projected gradients up to this are left alone */
    const int32_t *order;     /* rows to visit, in this order */
    int64_t n_visits;
    float pmax[XMR_LANES], pmin[XMR_LANES]; /* per lane: range of projected gradients */
} xmr_block;

/* --- sparse features ---------------------------------------------------------------- */

#define XMR_PREFETCH_DISTANCE 6
#define XMR_PREFETCH_WEIGHTS 1

XMR_INLINE void xmr_prefetch_row(const xmr_block *b, int64_t visit)
{
    if (visit + 2 * XMR_PREFETCH_DISTANCE < b->n_visits)
        xmr_prefetch(&b->indptr[b->order[visit + 2 * XMR_PREFETCH_DISTANCE]]);
    if (visit + XMR_PREFETCH_DISTANCE < b->n_visits) {
        const int64_t row = b->order[visit + XMR_PREFETCH_DISTANCE];
        const int64_t at = b->indptr[row];
        xmr_prefetch(&b->indices[at]);
        xmr_prefetch(&b->values[at]);
        xmr_prefetch(&b->dual[row * 8 * b->n_vectors]);
    }
    if (visit + XMR_PREFETCH_WEIGHTS < b->n_visits) {
        const int64_t row = b->order[visit + XMR_PREFETCH_WEIGHTS];
        const char *W = (const char *)b->W;
        const int64_t bytes = sizeof(xmr_v8f) * b->n_vectors;
        for (int64_t k = b->indptr[row]; k < b->indptr[row + 1]; k++) {
            xmr_prefetch(W + b->indices[k] * bytes);
            if (bytes > 64) xmr_prefetch(W + b->indices[k] * bytes + 64);
        }
    }
}

/* out[lane] = w_lane . x_row + b_lane * beta, without the dense features. Two
 * accumulators hide the latency of the multiply-add where a block has few vectors. */
XMR_INLINE void xmr_sparse_margins(const int nv, const xmr_block *b, int64_t row,
                                   xmr_v8f *out)
{
    const xmr_v8f *W = (const xmr_v8f *)b->W;
    const int64_t end = b->indptr[row + 1];
    int64_t k = b->indptr[row];
    xmr_v8f even[XMR_VECTORS], odd[XMR_VECTORS];
    for (int v = 0; v < nv; v++) {
        even[v] = W[(int64_t)b->bias_row * nv + v] * b->beta;
        odd[v] = xmr_splat(0.0f);
    }
    for (; k + 1 < end; k += 2) {
        const xmr_v8f *w0 = W + (int64_t)b->indices[k] * nv;
        const xmr_v8f *w1 = W + (int64_t)b->indices[k + 1] * nv;
        const float x0 = b->values[k], x1 = b->values[k + 1];
        for (int v = 0; v < nv; v++) {
            even[v] += x0 * w0[v];
            odd[v] += x1 * w1[v];
        }
    }
    if (k < end)
        for (int v = 0; v < nv; v++)
            even[v] += b->values[k] * W[(int64_t)b->indices[k] * nv + v];
    for (int v = 0; v < nv; v++)
        out[v] = even[v] + odd[v];
}

/* w_lane += step[lane] * x_row and the bias likewise, for the vectors with a lane in
 * `moved`; without the dense features. */
XMR_INLINE void xmr_add_sparse_row(const int nv, xmr_block *b, int64_t row,
                                   const xmr_v8f *step, uint32_t moved)
{
    xmr_v8f *W = (xmr_v8f *)b->W;
    for (int v = 0; v < nv; v++) {
        if (!(moved >> (8 * v) & 0xff))
            continue;
        for (int64_t k = b->indptr[row]; k < b->indptr[row + 1]; k++)
            W[(int64_t)b->indices[k] * nv + v] += b->values[k] * step[v];
        W[(int64_t)b->bias_row * nv + v] += b->beta * step[v];
    }
}

/* --- dense features: tiles of eight rows ---------------------------------------------- */

#define XMR_TILE 8

typedef struct {
    const float *x[XMR_TILE];           /* the rows' dense features */
    float gram[XMR_TILE][XMR_TILE];     /* x_r.x_s for s < r */
    xmr_v8f margin[XMR_TILE][XMR_VECTORS];        /* when the tile was opened */
    xmr_v8f step[XMR_TILE][XMR_VECTORS];          /* of rows that moved */
    uint32_t moved[XMR_TILE];           /* bit per lane, per row */
    int n;
} xmr_tile;

XMR_INLINE xmr_v8f *xmr_dense_weights(const xmr_block *b, int v)
{
    return (xmr_v8f *)b->W + ((int64_t)b->bias_row + 1) * b->n_vectors
           + (int64_t)v * b->n_dense;
}

/* sums[r] = sum over j of x[r][j] * W[j], for eight rows. */
XMR_INLINE void xmr_rows_times_weights_body(const float *const *x, const xmr_v8f *W,
                                            int32_t n, xmr_v8f *sums)
{
    xmr_v8f s[XMR_TILE];
    for (int r = 0; r < XMR_TILE; r++)
        s[r] = xmr_splat(0.0f);
    for (int32_t j = 0; j < n; j++) {
        const xmr_v8f w = W[j];
        for (int r = 0; r < XMR_TILE; r++)
            s[r] += x[r][j] * w;
    }
    for (int r = 0; r < XMR_TILE; r++)
        sums[r] = s[r];
}

XMR_VERSIONS(void, xmr_rows_times_weights,
             (const float *const *x, const xmr_v8f *W, int32_t n, xmr_v8f *sums),
             (x, W, n, sums))

/* W[j] += sum over r of x[r][j] * step[r], for m rows. */
XMR_INLINE void xmr_add_rows(const int m, const float *const *x, const xmr_v8f *step,
                             int32_t n, xmr_v8f *W)
{
    xmr_v8f s[XMR_TILE];
    const float *rows[XMR_TILE];
    for (int r = 0; r < m; r++) {
        s[r] = step[r];
        rows[r] = x[r];
    }
    for (int32_t j = 0; j < n; j++) {
        xmr_v8f w = W[j];
        for (int r = 0; r < m; r++)
            w += rows[r][j] * s[r];
        W[j] = w;
    }
}

XMR_INLINE void xmr_weights_plus_rows_body(int m, const float *const *x,
                                           const xmr_v8f *step, int32_t n, xmr_v8f *W)
{
    switch (m) {
    case 1: xmr_add_rows(1, x, step, n, W); break;
    case 2: xmr_add_rows(2, x, step, n, W); break;
    case 3: xmr_add_rows(3, x, step, n, W); break;
    case 4: xmr_add_rows(4, x, step, n, W); break;
    case 5: xmr_add_rows(5, x, step, n, W); break;
    case 6: xmr_add_rows(6, x, step, n, W); break;
    case 7: xmr_add_rows(7, x, step, n, W); break;
    case 8: xmr_add_rows(8, x, step, n, W); break;
    }
}

XMR_VERSIONS(void, xmr_weights_plus_rows,
             (int m, const float *const *x, const xmr_v8f *step, int32_t n, xmr_v8f *W),
             (m, x, step, n, W))

/* x_r.x_s of one row with those before it, all at once. */
XMR_INLINE void xmr_tile_gram_row(const int r, int32_t n_dense, xmr_tile *t)
{
    xmr_v8f sums[XMR_TILE];
    int32_t j = 0;
    for (int s = 0; s < r; s++)
        sums[s] = xmr_splat(0.0f);
    for (; j + 7 < n_dense; j += 8) {
        const xmr_v8f x = xmr_load(t->x[r] + j);
        for (int s = 0; s < r; s++)
            sums[s] += x * xmr_load(t->x[s] + j);
    }
    for (int s = 0; s < r; s++)
        t->gram[r][s] = xmr_sum(sums[s]);
    for (; j < n_dense; j++)
        for (int s = 0; s < r; s++)
            t->gram[r][s] += t->x[r][j] * t->x[s][j];
}

XMR_INLINE void xmr_tile_gram_body(int32_t n_dense, xmr_tile *t)
{
    xmr_tile_gram_row(1, n_dense, t);
    xmr_tile_gram_row(2, n_dense, t);
    xmr_tile_gram_row(3, n_dense, t);
    xmr_tile_gram_row(4, n_dense, t);
    xmr_tile_gram_row(5, n_dense, t);
    xmr_tile_gram_row(6, n_dense, t);
    xmr_tile_gram_row(7, n_dense, t);
}

XMR_VERSIONS(void, xmr_tile_gram,
             (int32_t n_dense, xmr_tile *t),
             (n_dense, t))

/* The rows visit .. visit + 7 of b->order; missing ones repeat the first. */
XMR_INLINE void xmr_open_tile(const int nv, const xmr_block *b, int64_t visit, xmr_tile *t)
{
    t->n = b->n_visits - visit < XMR_TILE ? (int)(b->n_visits - visit) : XMR_TILE;
    for (int r = 0; r < XMR_TILE; r++) {
        const int64_t row = b->order[visit + (r < t->n ? r : 0)];
        t->x[r] = b->dense + (b->dense_rows ? b->dense_rows[row] : row) * b->n_dense;
        t->moved[r] = 0;
    }
    for (int v = 0; v < nv; v++) {
        xmr_v8f sums[XMR_TILE] = {{0}};
        if (b->live >> (8 * v) & 0xff) /* else nothing is done with the margins */
            xmr_rows_times_weights(t->x, xmr_dense_weights(b, v), b->n_dense, sums);
        for (int r = 0; r < XMR_TILE; r++)
            t->margin[r][v] = sums[r];
    }
    xmr_tile_gram(b->n_dense, t);
}

/* W += the steps of all rows of the tile. */
XMR_INLINE void xmr_close_tile(const int nv, xmr_block *b, const xmr_tile *t)
{
    for (int v = 0; v < nv; v++) {
        const float *x[XMR_TILE];
        xmr_v8f step[XMR_TILE];
        int m = 0;
        for (int r = 0; r < t->n; r++) {
            if (!(t->moved[r] >> (8 * v) & 0xff))
                continue;
            x[m] = t->x[r];
            step[m++] = t->step[r][v];
        }
        xmr_weights_plus_rows(m, x, step, b->n_dense, xmr_dense_weights(b, v));
    }
}

/* --- Gram mode -------------------------------------------------------------------------- */

XMR_INLINE xmr_v8f *xmr_kept_margin(const xmr_block *b, int64_t row, int v)
{
    return (xmr_v8f *)b->margins + v * b->n_rows + row;
}

/* Margins of all rows after a step along one. */
XMR_INLINE void xmr_add_gram_row(const int nv, xmr_block *b, int64_t row,
                                 const xmr_v8f *step, uint32_t moved)
{
    const float *products = b->gram + row * b->n_rows;
    for (int v = 0; v < nv; v++) {
        xmr_v8f *margin = xmr_kept_margin(b, 0, v);
        if (!(moved >> (8 * v) & 0xff))
            continue;
        for (int64_t k = 0; k < b->n_rows; k++)
            margin[k] += products[k] * step[v];
    }
}

/* --- what a visit needs ----------------------------------------------------------------- */

/* Margins of the row that is visited now. */
XMR_INLINE void xmr_margins(const int nv, const xmr_block *b, int64_t visit, xmr_tile *t,
                            xmr_v8f *out)
{
    const int64_t row = b->order[visit];
    const int r = (int)(visit % XMR_TILE);
    if (b->gram) {
        for (int v = 0; v < nv; v++)
            out[v] = *xmr_kept_margin(b, row, v);
        return;
    }
    xmr_prefetch_row(b, visit);
    xmr_sparse_margins(nv, b, row, out);
    if (!b->n_dense)
        return;
    if (r == 0)
        xmr_open_tile(nv, b, visit, t);
    for (int v = 0; v < nv; v++)
        out[v] += t->margin[r][v];
    for (int s = 0; s < r; s++)
        if (t->moved[s])
            for (int v = 0; v < nv; v++)
                out[v] += t->gram[r][s] * t->step[s][v];
}

/* A step along the row that is visited now, for the lanes in `moved`. */
XMR_INLINE void xmr_move(const int nv, xmr_block *b, int64_t visit, xmr_tile *t,
                         const xmr_v8f *step, uint32_t moved)
{
    const int64_t row = b->order[visit];
    const int r = (int)(visit % XMR_TILE);
    if (b->gram) {
        xmr_add_gram_row(nv, b, row, step, moved);
        return;
    }
    xmr_add_sparse_row(nv, b, row, step, moved);
    if (!b->n_dense)
        return;
    t->moved[r] = moved;
    for (int v = 0; v < nv && moved; v++)
        t->step[r][v] = step[v];
    if (r == t->n - 1)
        xmr_close_tile(nv, b, t);
}

/* --- between W and Gram mode ------------------------------------------------------------ */

/* All products of the node's rows, XMR_LANES rows at a time: these are the weights of so
 * many lanes, and the margins of all rows the products. W must be zeros, as wide as all
 * lanes, and is so again. `order` has room for n_rows. */
XMR_INLINE void xmr_make_gram_body(const xmr_block *block, int32_t *order, float *gram)
{
    xmr_block b = *block;
    xmr_tile tile;
    xmr_v8f margin[XMR_VECTORS];
    b.n_vectors = XMR_VECTORS;
    b.gram = NULL;
    b.live = ~(uint32_t)0;
    b.order = order;
    b.n_visits = b.n_rows;
    for (int64_t i = 0; i < b.n_rows; i++)
        order[i] = (int32_t)i;
    for (int64_t first = 0; first < b.n_rows; first += XMR_LANES) {
        const int64_t left = b.n_rows - first, n = left < XMR_LANES ? left : XMR_LANES;
        for (int fill = 1; fill >= 0; fill--) {
            for (int64_t i = first; i < first + n; i++) {
                float *W = b.W + (i - first);
                const float *x = b.dense
                    + (b.dense_rows ? b.dense_rows[i] : i) * b.n_dense;
                for (int64_t k = b.indptr[i]; k < b.indptr[i + 1]; k++)
                    W[(int64_t)b.indices[k] * XMR_LANES] = fill ? b.values[k] : 0.0f;
                W[(int64_t)b.bias_row * XMR_LANES] = fill ? b.beta : 0.0f;
                float *D = (float *)xmr_dense_weights(&b, (int)(i - first) / 8)
                           + (i - first) % 8;
                for (int32_t j = 0; j < b.n_dense; j++)
                    D[8 * j] = fill ? x[j] : 0.0f;
            }
            for (int64_t i = 0; fill && i < b.n_rows; i++) {
                float products[XMR_LANES];
                xmr_margins(XMR_VECTORS, &b, i, &tile, margin);
                for (int v = 0; v < XMR_VECTORS; v++)
                    xmr_store(products + 8 * v, margin[v]);
                memcpy(gram + i * b.n_rows + first, products, n * sizeof(float));
            }
        }
    }
}

XMR_VERSIONS(void, xmr_make_gram,
             (const xmr_block *block, int32_t *order, float *gram),
             (block, order, gram))

#endif
