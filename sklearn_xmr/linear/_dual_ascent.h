/* One pass of dual coordinate descent over the rows of a node, for up to 32
 * sibling labels in lockstep.
 *
 * For each label (a lane) the problem is
 *
 *     min  1/2 |w|^2 + 1/2 b^2 + sum_i U_i * loss(y_i (w.x_i + b*beta))
 *
 * with dual variables alpha_i >= 0 and w = sum_i alpha_i y_i x_i (Hsieh et al.,
 * ICML 2008; Yu, Huang & Lin, Machine Learning 2011, for the logistic loss).
 * Siblings share their rows, so a row's indices and values are loaded once and
 * feed all lanes: weights lie as W[feature][lane], and one broadcast value times
 * one vector of weights serves eight labels.
 */
#ifndef XMR_DUAL_ASCENT_H
#define XMR_DUAL_ASCENT_H

#include <math.h>

#include "../utils/_simd.h"

typedef struct {
    /* The node's rows as CSR over its own features 0 .. n_features - 1. */
    const int64_t *indptr;
    const int32_t *indices;
    const float *values;
    const float *sq_norm;     /* |x_i|^2 + beta^2, per row */
    float beta;               /* value of the bias feature */
    int n_vectors;            /* lanes / 8: 1, 2 or 4 */
    int32_t bias_row;         /* row of W that holds the bias: n_features */
    float *W;                 /* (n_features + 1) x lanes */
    float *dual;              /* n_rows x lanes: alpha, or its logit (logistic) */
    const float *cost;        /* n_rows x lanes: U, or NULL for the two below */
    float positive_cost, negative_cost;
    int squared;              /* squared hinge (1) or hinge (0) */
    const uint32_t *positive; /* bit per lane: y_i = +1 */
    uint32_t *active;         /* bit per lane: not shrunk away */
    uint32_t live;            /* bit per lane: not yet converged */
    const int32_t *order;     /* rows to visit, in this order */
    int64_t n_visits;
    /* Per lane: shrinking bounds and the range of projected gradients. */
    float hi[32], lo[32], pmax[32], pmin[32];
} xmr_block;

#define XMR_PREFETCH_DISTANCE 6

XMR_INLINE void xmr_prefetch_row(const xmr_block *b, int64_t visit)
{
    if (visit + 2 * XMR_PREFETCH_DISTANCE < b->n_visits)
        __builtin_prefetch(&b->indptr[b->order[visit + 2 * XMR_PREFETCH_DISTANCE]]);
    if (visit + XMR_PREFETCH_DISTANCE < b->n_visits) {
        const int64_t row = b->order[visit + XMR_PREFETCH_DISTANCE];
        const int64_t at = b->indptr[row];
        __builtin_prefetch(&b->indices[at]);
        __builtin_prefetch(&b->values[at]);
        __builtin_prefetch(&b->dual[row * 8 * b->n_vectors]);
    }
}

/* out[lane] = w_lane . x_row + b_lane * beta. Two accumulators hide the latency
 * of the multiply-add where a block has one or two vectors. */
XMR_INLINE void xmr_margins(const int nv, const xmr_block *b, int64_t row, xmr_v8f *out)
{
    const xmr_v8f *W = (const xmr_v8f *)b->W;
    const int64_t end = b->indptr[row + 1];
    int64_t k = b->indptr[row];
    xmr_v8f even[4], odd[4];
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

/* w_lane += step[lane] * x_row, and the bias likewise. */
XMR_INLINE void xmr_add_row(const int nv, xmr_block *b, int64_t row, const xmr_v8f *step)
{
    xmr_v8f *W = (xmr_v8f *)b->W;
    for (int64_t k = b->indptr[row]; k < b->indptr[row + 1]; k++) {
        xmr_v8f *w = W + (int64_t)b->indices[k] * nv;
        const float x = b->values[k];
        for (int v = 0; v < nv; v++)
            w[v] += x * step[v];
    }
    for (int v = 0; v < nv; v++)
        W[(int64_t)b->bias_row * nv + v] += b->beta * step[v];
}

XMR_INLINE xmr_v8f xmr_cost(const int nv, const xmr_block *b, int64_t row, int v,
                            xmr_v8i positive)
{
    if (b->cost)
        return ((const xmr_v8f *)b->cost)[row * nv + v];
    return xmr_select(positive, xmr_splat(b->positive_cost),
                      xmr_splat(b->negative_cost));
}

/* Hinge and squared hinge, with shrinking: a variable at its bound whose gradient
 * points outward by more than the last pass's range leaves the active set. */
XMR_INLINE void xmr_hinge_body(const int nv, xmr_block *b)
{
    const xmr_v8f infinity = xmr_splat(INFINITY), zero = xmr_splat(0.0f);
    const xmr_v8f tiny = xmr_splat(1e-12f);
    xmr_v8f hi[4], lo[4], pmax[4], pmin[4];
    for (int v = 0; v < nv; v++) {
        hi[v] = xmr_load(b->hi + 8 * v);
        lo[v] = xmr_load(b->lo + 8 * v);
        pmax[v] = -infinity;
        pmin[v] = infinity;
    }
    for (int64_t visit = 0; visit < b->n_visits; visit++) {
        xmr_prefetch_row(b, visit);
        const int64_t row = b->order[visit];
        const uint32_t active = b->active[row] & b->live;
        xmr_v8f margin[4], step[4];
        xmr_v8i shrunk[4], moved = {0}, left = {0};
        xmr_margins(nv, b, row, margin);
        for (int v = 0; v < nv; v++) {
            const xmr_v8i positive = xmr_lane_mask(b->positive[row], v);
            const xmr_v8i on = xmr_lane_mask(active, v);
            const xmr_v8f U = xmr_cost(nv, b, row, v, positive);
            const xmr_v8f shift = b->squared ? 0.5f / U : zero;
            const xmr_v8f cap = b->squared ? infinity : U;
            xmr_v8f *dual = (xmr_v8f *)b->dual + row * nv + v;
            const xmr_v8f a = *dual;
            const xmr_v8f g =
                xmr_select(positive, margin[v], -margin[v]) - 1.0f + a * shift;
            const xmr_v8i at_lo = a <= zero, at_hi = a >= cap;
            shrunk[v] = on & ((at_lo & (g > hi[v])) | (at_hi & (g < lo[v])));
            const xmr_v8i use = on & ~shrunk[v];
            const xmr_v8f p = xmr_select(at_lo, xmr_min(g, zero),
                                         xmr_select(at_hi, xmr_max(g, zero), g));
            pmax[v] = xmr_max(pmax[v], xmr_select(use, p, -infinity));
            pmin[v] = xmr_min(pmin[v], xmr_select(use, p, infinity));
            const xmr_v8f target =
                xmr_min(xmr_max(a - g / (b->sq_norm[row] + shift), zero), cap);
            const xmr_v8i move = use & ((p > tiny) | (p < -tiny));
            const xmr_v8f next = xmr_select(move, target, a);
            const xmr_v8f change = next - a;
            *dual = next;
            step[v] = xmr_select(positive, change, -change);
            moved |= move;
            left |= shrunk[v];
        }
        if (xmr_any(moved))
            xmr_add_row(nv, b, row, step);
        if (xmr_any(left))
            for (int v = 0; v < nv; v++)
                b->active[row] &= ~(xmr_mask_bits(shrunk[v]) << (8 * v));
    }
    for (int v = 0; v < nv; v++) {
        xmr_store(b->pmax + 8 * v, pmax[v]);
        xmr_store(b->pmin + 8 * v, pmin[v]);
    }
}

/* Logistic loss. With alpha = U * sigmoid(t), a coordinate's optimum solves
 *     f(t) = q (U sigmoid(t) - alpha_old) + y (w.x) + t = 0,   q = |x|^2 + beta^2,
 * and f' = q U sigmoid(t) sigmoid(-t) + 1 >= 1: one root, inside the bracket that
 * 0 <= U sigmoid <= U gives. Newton steps that leave the bracket are bisected.
 * Storing t instead of alpha keeps both ends of (0, U) exact in float32. */
#define XMR_NEWTON_STEPS 6

XMR_INLINE void xmr_logistic_body(const int nv, xmr_block *b)
{
    const xmr_v8f zero = xmr_splat(0.0f);
    xmr_v8f worst[4];
    for (int v = 0; v < nv; v++)
        worst[v] = zero;
    for (int64_t visit = 0; visit < b->n_visits; visit++) {
        xmr_prefetch_row(b, visit);
        const int64_t row = b->order[visit];
        const uint32_t active = b->active[row] & b->live;
        xmr_v8f margin[4], step[4];
        xmr_margins(nv, b, row, margin);
        for (int v = 0; v < nv; v++) {
            const xmr_v8i positive = xmr_lane_mask(b->positive[row], v);
            const xmr_v8i on = xmr_lane_mask(active, v);
            const xmr_v8f U = xmr_cost(nv, b, row, v, positive);
            const xmr_v8f q = xmr_splat(b->sq_norm[row]);
            xmr_v8f *dual = (xmr_v8f *)b->dual + row * nv + v;
            const xmr_v8f old = U / (1.0f + xmr_exp(-*dual));
            const xmr_v8f ym = xmr_select(positive, margin[v], -margin[v]);
            const xmr_v8f g = ym + *dual;
            worst[v] = xmr_max(worst[v], xmr_select(on, xmr_max(g, -g), zero));
            xmr_v8f low = -ym + q * (old - U), high = -ym + q * old;
            xmr_v8f t = xmr_min(xmr_max(*dual, low), high);
            for (int it = 0; it < XMR_NEWTON_STEPS; it++) {
                const xmr_v8f s = 1.0f / (1.0f + xmr_exp(-t));
                const xmr_v8f f = q * (U * s - old) + ym + t;
                low = xmr_select(f < zero, t, low);
                high = xmr_select(f < zero, high, t);
                const xmr_v8f newton = t - f / (q * U * s * (1.0f - s) + 1.0f);
                const xmr_v8i inside = (newton >= low) & (newton <= high);
                t = xmr_select(inside, newton, 0.5f * (low + high));
            }
            t = xmr_select(on, t, *dual);
            const xmr_v8f change = U / (1.0f + xmr_exp(-t)) - old;
            *dual = t;
            step[v] = xmr_select(on, xmr_select(positive, change, -change), zero);
        }
        xmr_add_row(nv, b, row, step);
    }
    /* The driver stops a lane at pmax - pmin <= tol: give it max |gradient|. */
    for (int v = 0; v < nv; v++) {
        xmr_store(b->pmax + 8 * v, worst[v]);
        xmr_store(b->pmin + 8 * v, zero);
    }
}

/* The width is a constant in each instance, so that lanes stay in registers. */
#define XMR_DEFINE_PASS(body, nv) \
    XMR_CLONES static void body##_##nv(xmr_block *b) { body(nv, b); }
XMR_DEFINE_PASS(xmr_hinge_body, 1)
XMR_DEFINE_PASS(xmr_hinge_body, 2)
XMR_DEFINE_PASS(xmr_hinge_body, 4)
XMR_DEFINE_PASS(xmr_logistic_body, 1)
XMR_DEFINE_PASS(xmr_logistic_body, 2)
XMR_DEFINE_PASS(xmr_logistic_body, 4)

static void xmr_hinge_pass(xmr_block *b)
{
    if (b->n_vectors == 1) xmr_hinge_body_1(b);
    else if (b->n_vectors == 2) xmr_hinge_body_2(b);
    else xmr_hinge_body_4(b);
}

static void xmr_logistic_pass(xmr_block *b)
{
    if (b->n_vectors == 1) xmr_logistic_body_1(b);
    else if (b->n_vectors == 2) xmr_logistic_body_2(b);
    else xmr_logistic_body_4(b);
}

#endif
