/* Portable SIMD for row kernels: 8-lane vectors and run-time dispatch.
 *
 * The vectors are GNU vector extensions, so the compiler lowers them to whatever
 * the target has. XMR_CLONES compiles a function for baseline x86-64 and for
 * x86-64-v3 (AVX2 + FMA) and lets the loader choose: no -march is needed. Put it
 * on whole row loops: a dispatched call per non-zero costs more than it gains.
 */
#ifndef XMR_SIMD_H
#define XMR_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
    defined(__GNUC__) && __GNUC__ >= 12 && !defined(XMR_NO_CLONES)
#define XMR_CLONES __attribute__((unused, target_clones("default", "arch=x86-64-v3")))
#else
#define XMR_CLONES __attribute__((unused))
#endif

#define XMR_INLINE static inline __attribute__((always_inline))

typedef float xmr_v8f __attribute__((vector_size(32)));
typedef int32_t xmr_v8i __attribute__((vector_size(32)));
typedef int64_t xmr_v4l __attribute__((vector_size(32)));

/* All-ones lanes where the bit of that lane is set; v is the vector's number. */
XMR_INLINE xmr_v8i xmr_lane_mask(uint32_t bits, int v)
{
    const xmr_v8i lane = {1, 2, 4, 8, 16, 32, 64, 128};
    const int32_t byte = (int32_t)((bits >> (8 * v)) & 0xff);
    const xmr_v8i all = {byte, byte, byte, byte, byte, byte, byte, byte};
    return (all & lane) == lane;
}

/* Towards the inverse: in lane l bit 8 v + l where the mask is set. Over all vectors of
 * a block these are or-ed together first, and across the lanes once, by xmr_or. */
XMR_INLINE xmr_v8i xmr_lane_bits(xmr_v8i mask, int v)
{
    const xmr_v8i lane = {1, 2, 4, 8, 16, 32, 64, 128};
    return mask & (lane << (8 * v));
}

XMR_INLINE uint32_t xmr_or(xmr_v8i x)
{
    const xmr_v4l pairs = (xmr_v4l)x;
    const uint64_t all = (uint64_t)((pairs[0] | pairs[1]) | (pairs[2] | pairs[3]));
    return (uint32_t)(all | (all >> 32));
}

XMR_INLINE xmr_v8f xmr_select(xmr_v8i mask, xmr_v8f yes, xmr_v8f no)
{
    return (xmr_v8f)((mask & (xmr_v8i)yes) | (~mask & (xmr_v8i)no));
}

XMR_INLINE xmr_v8f xmr_min(xmr_v8f a, xmr_v8f b) { return xmr_select(a < b, a, b); }
XMR_INLINE xmr_v8f xmr_max(xmr_v8f a, xmr_v8f b) { return xmr_select(a > b, a, b); }

XMR_INLINE xmr_v8f xmr_splat(float x)
{
    return (xmr_v8f){x, x, x, x, x, x, x, x};
}

XMR_INLINE xmr_v8f xmr_load(const float *from) /* at any alignment */
{
    xmr_v8f x;
    memcpy(&x, from, sizeof x);
    return x;
}

XMR_INLINE void xmr_store(float *to, xmr_v8f x) { memcpy(to, &x, sizeof x); }

XMR_INLINE float xmr_sum(xmr_v8f x)
{
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* exp(x) for |x| < 87, relative error below 3e-7 (range reduction by ln 2 and a
 * degree-6 Taylor polynomial on [-ln2/2, ln2/2]). */
XMR_INLINE xmr_v8f xmr_exp(xmr_v8f x)
{
    x = xmr_min(xmr_max(x, xmr_splat(-87.0f)), xmr_splat(87.0f));
    const xmr_v8f shifted = x * 1.44269504f + 12582912.0f; /* round to nearest */
    const xmr_v8f n = shifted - 12582912.0f;
    const xmr_v8f r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    xmr_v8f p = r * (1.0f / 720) + (1.0f / 120);
    p = p * r + (1.0f / 24);
    p = p * r + (1.0f / 6);
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const xmr_v8i exponent = ((xmr_v8i)shifted - 0x4B400000 + 127) << 23;
    return p * (xmr_v8f)exponent;
}

#endif
