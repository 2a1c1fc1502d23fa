/* One pass of dual coordinate descent over the rows of a node, for up to
 * XMR_LANES sibling labels in lockstep.
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

#include "_row_products.h"

/* The cost of a row as a negative, where costs are not given for each row and lane. */
XMR_INLINE float xmr_negative_cost(const xmr_block *b, int64_t row)
{
    return b->use && b->use[row] == XMR_MINED ? b->mined_cost : b->negative_cost;
}

XMR_INLINE xmr_v8f xmr_cost(const int nv, const xmr_block *b, int64_t row, int v,
                            xmr_v8i positive)
{
    if (b->cost)
        return ((const xmr_v8f *)b->cost)[row * nv + v];
    return xmr_select(positive, xmr_splat(b->positive_cost),
                      xmr_splat(xmr_negative_cost(b, row)));
}

/* Hinge and squared hinge. Nine in ten variables have a projected gradient near zero
 * from the second pass on: those are left alone, and the others are reported in
 * `pending`, so that the next passes can visit their rows only. Rows are short: what
 * is done once per row and vector counts as much as the margins, so divisions are
 * made once per row where all costs are equal. */
XMR_INLINE void xmr_hinge_body(const int nv, const int squared, const int weighted,
                               xmr_block *b)
{
    const xmr_v8f infinity = xmr_splat(INFINITY), zero = xmr_splat(0.0f);
    const xmr_v8f idle = xmr_splat(b->idle);
    const xmr_v8f Up = xmr_splat(b->positive_cost);
    const xmr_v8f shift_p = squared ? 0.5f / Up : zero;
    xmr_v8f pmax[XMR_VECTORS], pmin[XMR_VECTORS];
    xmr_tile tile;
    for (int v = 0; v < nv; v++) {
        pmax[v] = -infinity;
        pmin[v] = infinity;
    }
    for (int64_t visit = 0; visit < b->n_visits; visit++) {
        const int64_t row = b->order[visit];
        const uint32_t member = b->member[row] & b->live, positives = b->positive[row];
        const float q = b->sq_norm[row], negative_cost = xmr_negative_cost(b, row);
        const xmr_v8f Un = xmr_splat(negative_cost);
        const xmr_v8f shift_n = xmr_splat(squared ? 0.5f / negative_cost : 0.0f);
        const xmr_v8f inverse_p = xmr_splat(1.0f / (q + shift_p[0]));
        const xmr_v8f inverse_n = xmr_splat(1.0f / (q + shift_n[0]));
        xmr_v8f margin[XMR_VECTORS], step[XMR_VECTORS];
        xmr_v8i bits = {0};
        xmr_margins(nv, b, visit, &tile, margin);
        for (int v = 0; v < nv; v++) {
            const xmr_v8i positive = xmr_lane_mask(positives, v);
            const xmr_v8i on = xmr_lane_mask(member, v);
            xmr_v8f shift = xmr_select(positive, shift_p, shift_n);
            xmr_v8f inverse = xmr_select(positive, inverse_p, inverse_n);
            xmr_v8f cap = xmr_select(positive, Up, Un);
            if (weighted) {
                cap = ((const xmr_v8f *)b->cost)[row * nv + v];
                shift = squared ? 0.5f / cap : zero;
                inverse = 1.0f / (q + shift);
            }
            xmr_v8f *dual = (xmr_v8f *)b->dual + row * nv + v;
            const xmr_v8f a = *dual;
            const xmr_v8f ym = xmr_select(positive, margin[v], -margin[v]);
            const xmr_v8f g = ym - 1.0f + a * shift;
            xmr_v8f p = g, next = xmr_max(a - g * inverse, zero);
            if (!squared) {
                p = xmr_select(a >= cap, xmr_max(g, zero), g);
                next = xmr_min(next, cap);
            }
            p = xmr_select(a <= zero, xmr_min(p, zero), p);
            pmax[v] = xmr_select(on, xmr_max(pmax[v], p), pmax[v]);
            pmin[v] = xmr_select(on, xmr_min(pmin[v], p), pmin[v]);
            const xmr_v8i move = on & ((p > idle) | (p < -idle));
            next = xmr_select(move, next, a);
            *dual = next;
            step[v] = xmr_select(positive, next - a, a - next);
            bits |= xmr_lane_bits(move, v);
        }
        const uint32_t pending = xmr_or(bits);
        b->pending[row] = pending;
        if (pending || b->n_dense)
            xmr_move(nv, b, visit, &tile, step, pending);
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
    xmr_v8f worst[XMR_VECTORS];
    xmr_tile tile;
    for (int v = 0; v < nv; v++)
        worst[v] = zero;
    for (int64_t visit = 0; visit < b->n_visits; visit++) {
        const int64_t row = b->order[visit];
        const uint32_t active = b->member[row] & b->live;
        xmr_v8f margin[XMR_VECTORS], step[XMR_VECTORS];
        xmr_margins(nv, b, visit, &tile, margin);
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
        xmr_move(nv, b, visit, &tile, step, active);
    }
    /* The driver stops a lane at pmax - pmin <= tol: give it max |gradient|. */
    for (int v = 0; v < nv; v++) {
        xmr_store(b->pmax + 8 * v, worst[v]);
        xmr_store(b->pmin + 8 * v, zero);
    }
}

/* W from the dual variables, after Gram mode. W must be zeros; `order` has room for
 * n_rows. */
XMR_INLINE void xmr_weights_body(const int nv, xmr_block *b, int32_t *order)
{
    xmr_tile tile;
    b->gram = NULL;
    b->live = 0; /* no margins are needed */
    b->order = order;
    b->n_visits = b->n_rows;
    for (int64_t i = 0; i < b->n_rows; i++)
        order[i] = (int32_t)i;
    for (int64_t i = 0; i < b->n_rows; i++) {
        xmr_v8f step[XMR_VECTORS], unused[XMR_VECTORS];
        xmr_v8i bits = {0};
        for (int v = 0; v < nv; v++) {
            const xmr_v8i positive = xmr_lane_mask(b->positive[i], v);
            xmr_v8f a = ((const xmr_v8f *)b->dual)[i * nv + v];
            if (b->loss == XMR_LOGISTIC)
                a = xmr_cost(nv, b, i, v, positive) / (1.0f + xmr_exp(-a));
            a = xmr_select(xmr_lane_mask(b->member[i], v), a, xmr_splat(0.0f));
            step[v] = xmr_select(positive, a, -a);
            bits |= xmr_lane_bits(a > 0.0f, v);
        }
        xmr_margins(nv, b, i, &tile, unused);
        xmr_move(nv, b, i, &tile, step, xmr_or(bits));
    }
}

/* Width and loss are constants in each instance, so that lanes stay in registers. */
#define XMR_DEFINE_PASSES(nv) \
    XMR_INLINE void xmr_squared_hinge_##nv##_body(xmr_block *b) \
    { \
        if (b->cost) xmr_hinge_body(nv, 1, 1, b); \
        else xmr_hinge_body(nv, 1, 0, b); \
    } \
    XMR_INLINE void xmr_plain_hinge_##nv##_body(xmr_block *b) \
    { \
        if (b->cost) xmr_hinge_body(nv, 0, 1, b); \
        else xmr_hinge_body(nv, 0, 0, b); \
    } \
    XMR_INLINE void xmr_logistic_##nv##_body(xmr_block *b) \
    { \
        xmr_logistic_body(nv, b); \
    } \
    XMR_INLINE void xmr_weights_##nv##_body(xmr_block *b, int32_t *order) \
    { \
        xmr_weights_body(nv, b, order); \
    } \
    XMR_VERSIONS(void, xmr_squared_hinge_##nv, (xmr_block *b), (b)) \
    XMR_VERSIONS(void, xmr_plain_hinge_##nv, (xmr_block *b), (b)) \
    XMR_VERSIONS(void, xmr_logistic_##nv, (xmr_block *b), (b)) \
    XMR_VERSIONS(void, xmr_weights_##nv, (xmr_block *b, int32_t *order), (b, order))
XMR_DEFINE_PASSES(1)
XMR_DEFINE_PASSES(2)
XMR_DEFINE_PASSES(3)
XMR_DEFINE_PASSES(4)

typedef void xmr_pass(xmr_block *);

static void xmr_run_pass(xmr_block *b)
{
    static xmr_pass *const squared[] = {xmr_squared_hinge_1, xmr_squared_hinge_2,
                                        xmr_squared_hinge_3, xmr_squared_hinge_4};
    static xmr_pass *const plain[] = {xmr_plain_hinge_1, xmr_plain_hinge_2,
                                      xmr_plain_hinge_3, xmr_plain_hinge_4};
    static xmr_pass *const logistic[] = {xmr_logistic_1, xmr_logistic_2,
                                         xmr_logistic_3, xmr_logistic_4};
    xmr_pass *const *passes = b->loss == XMR_SQUARED_HINGE ? squared
                            : b->loss == XMR_HINGE ? plain : logistic;
    passes[b->n_vectors - 1](b);
}

static void xmr_weights_from_dual(xmr_block *b, int32_t *order)
{
    static void (*const widths[])(xmr_block *, int32_t *) = {
        xmr_weights_1, xmr_weights_2, xmr_weights_3, xmr_weights_4};
    widths[b->n_vectors - 1](b, order);
}

/* Bit per lane: this feature's weight, of the rows as they are, is not zero and at least
 * the threshold; the largest weight of each lane so far goes to `largest`. Returns how
 * many are kept. */
XMR_INLINE int64_t xmr_kept_weights_body(const xmr_block *b, float threshold,
                                         uint32_t lanes, uint32_t *kept, float *largest)
{
    const int nv = b->n_vectors;
    const xmr_v8f *W = (const xmr_v8f *)b->W;
    const xmr_v8f least = xmr_splat(threshold > 0 ? threshold : 1e-45f);
    xmr_v8f top[XMR_VECTORS] = {{0}};
    int64_t count = 0;
    for (int64_t f = 0; f < b->bias_row; f++) {
        const xmr_v8f factor = xmr_splat(b->shrink ? b->shrink[f] : 1.0f);
        xmr_v8i bits = {0};
        for (int v = 0; v < nv; v++) {
            if (!(lanes >> 8 * v & 0xff))
                continue;
            const xmr_v8f w = factor * W[f * nv + v], size = xmr_max(w, -w);
            top[v] = xmr_max(top[v], size);
            bits |= xmr_lane_bits(size >= least, v);
        }
        kept[f] = xmr_or(bits) & lanes;
        count += xmr_count_bits(kept[f]);
    }
    for (int v = 0; v < nv; v++)
        xmr_store(largest + 8 * v, top[v]);
    return count;
}

XMR_VERSIONS(int64_t, xmr_kept_weights,
             (const xmr_block *b, float threshold, uint32_t lanes, uint32_t *kept,
              float *largest),
             (b, threshold, lanes, kept, largest))

#endif
