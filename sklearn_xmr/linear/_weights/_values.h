/* The types in which weights are stored: float32, float16 and int8. */
#ifndef XMR_VALUES_H
#define XMR_VALUES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../../utils/_simd.h"
#include "../_constants.h"

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
        ((int8_t *)values)[at] = (int8_t)lrintf(w * inverse_scale); /* not a call, as rintf */
}

XMR_INLINE float xmr_value(const void *values, int kind, int64_t at)
{
    if (kind == XMR_FLOAT32) {
        float w; /* values of a chunk have any address */
        memcpy(&w, (const char *)values + 4 * at, 4);
        return w;
    }
    if (kind == XMR_FLOAT16) {
        uint16_t h;
        memcpy(&h, (const char *)values + 2 * at, 2);
        return xmr_from_half(h);
    }
    return (float)((const int8_t *)values)[at];
}

XMR_INLINE int64_t xmr_item(int kind)
{
    return kind == XMR_FLOAT32 ? 4 : kind == XMR_FLOAT16 ? 2 : 1;
}

#endif
