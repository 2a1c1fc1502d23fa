/* What compilers have under names of their own; there is plain C for those without.
 *
 * gcc and clang have all of it. Others (MSVC) are never asked for more than C11, whose
 * headers they have, or C++14.
 */
#ifndef XMR_PORTABLE_H
#define XMR_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __GNUC__ /* clang says so too */

#define XMR_INLINE static inline __attribute__((always_inline))
#define XMR_UNUSED __attribute__((unused))
#define XMR_RESTRICT __restrict
#define xmr_prefetch(address) __builtin_prefetch(address)
#define xmr_lowest_bit(x) __builtin_ctz(x)
#define xmr_lowest_bit_64(x) ((int32_t)__builtin_ctzll(x))
#define xmr_count_bits(x) __builtin_popcount(x)

#else

#ifdef _MSC_VER
#define XMR_INLINE static __forceinline
#define XMR_RESTRICT __restrict
#else
#define XMR_INLINE static inline
#define XMR_RESTRICT
#endif
#define XMR_UNUSED
#define xmr_prefetch(address) ((void)(address))

XMR_INLINE int xmr_count_bits(uint32_t x)
{
    int n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}

/* Of a number that is not zero. The bits below the lowest one are counted. */
XMR_INLINE int xmr_lowest_bit(uint32_t x) { return xmr_count_bits((x & (0 - x)) - 1); }

XMR_INLINE int32_t xmr_lowest_bit_64(uint64_t x)
{
    const uint32_t low = (uint32_t)x;
    return low ? xmr_lowest_bit(low) : 32 + xmr_lowest_bit((uint32_t)(x >> 32));
}

#endif

/* Memory that free() frees, aligned to 64 bytes for vectors; or NULL. On Windows, where
 * free() takes none of aligned_malloc, kernels have no vectors and need no alignment. */
XMR_INLINE void *xmr_aligned(size_t size)
{
#ifdef _WIN32
    return malloc(size);
#else
    void *data;
    return posix_memalign(&data, 64, size) ? NULL : data;
#endif
}

#endif
