/* Portable SIMD for row kernels: 8-lane vectors and run-time dispatch.
 *
 * The vectors are GNU vector extensions, which gcc and clang lower to whatever the target
 * has: AVX2, SSE2, NEON. With XMR_NO_VECTORS they are arrays with operators, which C does
 * not have: such a build, of any compiler, is compiled as C++ (see setup.py).
 */
#ifndef XMR_SIMD_H
#define XMR_SIMD_H

#include <stdint.h>
#include <string.h>

#include "_portable.h"

#if !defined(__GNUC__) || defined(_WIN32)
#define XMR_NO_VECTORS 1
#endif

/* XMR_VERSIONS(type, name, (parameters), (arguments)) makes the function `name` of the
 * inline function `name_body`: one version for any x86-64 and one for AVX2 and FMA, of
 * which each call takes what the processor has, so that no -march is needed. Put it on
 * whole row loops: a choice per non-zero costs more than it gains. gcc's target_clones
 * would do the same, but not with clang, nor without glibc's loader.
 * XMR_NO_CLONES leaves one version, to compare. */
#if defined(__x86_64__) && !defined(XMR_NO_VECTORS) && !defined(XMR_NO_CLONES)
#define XMR_HAS_AVX2 \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && \
     __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
#define XMR_VERSIONS(type, name, parameters, arguments) \
    __attribute__((noinline, target("avx2,fma,bmi,bmi2"))) \
    static type name##_avx2 parameters { return name##_body arguments; } \
    __attribute__((noinline)) \
    static type name##_plain parameters { return name##_body arguments; } \
    XMR_UNUSED static type name parameters \
    { \
        return XMR_HAS_AVX2 ? name##_avx2 arguments : name##_plain arguments; \
    }
#else
#define XMR_VERSIONS(type, name, parameters, arguments) \
    XMR_UNUSED static type name parameters { return name##_body arguments; }
#endif

#ifndef XMR_NO_VECTORS

typedef float xmr_v8f __attribute__((vector_size(32)));
typedef int32_t xmr_v8i __attribute__((vector_size(32)));
typedef int64_t xmr_v4l __attribute__((vector_size(32)));
typedef float xmr_v4f __attribute__((vector_size(16)));
typedef int32_t xmr_v4i __attribute__((vector_size(16)));

#else

#ifndef __cplusplus
#error "a build without vector extensions needs a C++ compiler"
#endif

template <class T, int N> struct xmr_vector {
    T lane[N];
    T &operator[](int i) { return lane[i]; }
    T operator[](int i) const { return lane[i]; }
    template <class U, int M> explicit operator xmr_vector<U, M>() const /* same bits */
    {
        static_assert(sizeof(U) * M == sizeof(T) * N, "vectors of one size");
        xmr_vector<U, M> out;
        memcpy(&out, this, sizeof out);
        return out;
    }
};

/* An operator of two vectors, or of a vector and a number, with lanes of type `result`
 * that are `sign` times those of the operator. */
#define XMR_OPERATOR(operation, result, sign) \
    template <class T, int N> \
    inline xmr_vector<result, N> operator operation(xmr_vector<T, N> a, xmr_vector<T, N> b) \
    { \
        xmr_vector<result, N> out; \
        for (int i = 0; i < N; i++) \
            out.lane[i] = sign(a.lane[i] operation b.lane[i]); \
        return out; \
    } \
    template <class T, int N> \
    inline xmr_vector<result, N> operator operation(xmr_vector<T, N> a, T b) \
    { \
        xmr_vector<result, N> out; \
        for (int i = 0; i < N; i++) \
            out.lane[i] = sign(a.lane[i] operation b); \
        return out; \
    } \
    template <class T, int N> \
    inline xmr_vector<result, N> operator operation(T a, xmr_vector<T, N> b) \
    { \
        xmr_vector<result, N> out; \
        for (int i = 0; i < N; i++) \
            out.lane[i] = sign(a operation b.lane[i]); \
        return out; \
    }
XMR_OPERATOR(+, T, +)
XMR_OPERATOR(-, T, +)
XMR_OPERATOR(*, T, +)
XMR_OPERATOR(/, T, +)
XMR_OPERATOR(&, T, +)
XMR_OPERATOR(|, T, +)
XMR_OPERATOR(<<, T, +)
XMR_OPERATOR(<, int32_t, -)
XMR_OPERATOR(>, int32_t, -)
XMR_OPERATOR(<=, int32_t, -)
XMR_OPERATOR(>=, int32_t, -)
XMR_OPERATOR(==, int32_t, -)
#undef XMR_OPERATOR

template <class T, int N> inline xmr_vector<T, N> operator-(xmr_vector<T, N> x)
{
    for (int i = 0; i < N; i++)
        x.lane[i] = -x.lane[i];
    return x;
}

template <class T, int N> inline xmr_vector<T, N> operator~(xmr_vector<T, N> x)
{
    for (int i = 0; i < N; i++)
        x.lane[i] = ~x.lane[i];
    return x;
}

template <class V> inline V &operator+=(V &a, V b) { return a = a + b; }
template <class V> inline V &operator|=(V &a, V b) { return a = a | b; }

typedef xmr_vector<float, 8> xmr_v8f;
typedef xmr_vector<int32_t, 8> xmr_v8i;
typedef xmr_vector<int64_t, 4> xmr_v4l;
typedef xmr_vector<float, 4> xmr_v4f;
typedef xmr_vector<int32_t, 4> xmr_v4i;

#endif

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
    const xmr_v8f all = {x, x, x, x, x, x, x, x};
    return all;
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
