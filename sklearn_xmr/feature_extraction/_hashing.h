/* Hashes of byte strings, the same on every machine.
 *
 * Strings are read eight bytes at a time: XMR_PADDING bytes behind the end must be
 * readable. */
#ifndef XMR_HASHING_H
#define XMR_HASHING_H

#include <stdint.h>
#include <string.h>

#include "../utils/_portable.h"

enum { XMR_PADDING = 8 };

/* Eight bytes as a little-endian number. */
static inline uint64_t xmr_load64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value); /* who knows the order has this as well */
#endif
    return value;
}

/* The first n < 8 bytes, the others zero. */
static inline uint64_t xmr_load_few(const uint8_t *p, int64_t n)
{
    return n ? xmr_load64(p) & (~0ull >> (64 - 8 * n)) : 0;
}

/* The halves of a 128-bit product, added without carry. */
static inline uint64_t xmr_mix(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t cross = (a0 * b0 >> 32) + a1 * b0;
    const uint64_t high = a1 * b1 + (cross >> 32) + ((a0 * b1 + (uint32_t)cross) >> 32);
    return a * b ^ high;
#endif
}

/* 32 bits for the tables of terms: multiply and fold, eight bytes at a time. The
 * constants are the fractional digits of pi. */
static inline uint32_t xmr_hash(const uint8_t *p, int64_t n)
{
    uint64_t h = 0x243f6a8885a308d3ull ^ (uint64_t)n;
    for (; n >= 8; p += 8, n -= 8)
        h = xmr_mix(h ^ xmr_load64(p), 0x13198a2e03707345ull);
    h = xmr_mix(h ^ xmr_load_few(p, n), 0xa4093822299f31d1ull);
    h = xmr_mix(h ^ 0x082efa98ec4e6c89ull, 0x452821e638d01377ull);
    return (uint32_t)h;
}

static inline int xmr_equal(const uint8_t *a, const uint8_t *b, int64_t n)
{
    for (; n >= 8; a += 8, b += 8, n -= 8)
        if (xmr_load64(a) != xmr_load64(b))
            return 0;
    return xmr_load_few(a, n) == xmr_load_few(b, n);
}

static inline uint32_t xmr_rotate(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

/* MurmurHash3 (x86, 32 bits, seed 0; Austin Appleby, 2011), which scikit-learn's
 * FeatureHasher uses; as a signed number. */
static inline int32_t xmr_murmur3(const uint8_t *p, int64_t n)
{
    uint32_t h = 0, k, length = (uint32_t)n;
    for (; n > 0; p += 4, n -= 4) {
        k = (uint32_t)(n >= 4 ? xmr_load64(p) : xmr_load_few(p, n));
        k = xmr_rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
        h ^= k;
        if (n >= 4)
            h = xmr_rotate(h, 13) * 5 + 0xe6546b64u;
    }
    h ^= length;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return (int32_t)(h ^ h >> 16);
}

#endif
