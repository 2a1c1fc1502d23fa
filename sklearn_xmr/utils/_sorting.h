/* Sort 64-bit pairs, a key below 2**31 in the low half and anything in the high half,
 * by key; equal keys keep their order. */
#ifndef XMR_SORTING_H
#define XMR_SORTING_H

#include <stdint.h>
#include <string.h>

static inline uint32_t xmr_key(uint64_t pair)
{
    return (uint32_t)pair;
}

static inline void xmr_insertion_sort(uint64_t *pairs, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        uint64_t pair = pairs[i];
        int64_t j = i;
        for (; j && xmr_key(pairs[j - 1]) > xmr_key(pair); j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = pair;
    }
}

/* One pass of a radix sort, by the byte at `shift`. */
static inline void xmr_radix_pass(const uint64_t *from, uint64_t *to, int64_t n,
                                  int shift)
{
    int64_t starts[257] = {0};
    for (int64_t i = 0; i < n; i++)
        starts[(from[i] >> shift & 0xff) + 1]++;
    for (int b = 0; b < 256; b++)
        starts[b + 1] += starts[b];
    for (int64_t i = 0; i < n; i++)
        to[starts[from[i] >> shift & 0xff]++] = from[i];
}

/* `spare` holds n pairs too. Rows of up to 40 pairs are sorted by insertion. */
static inline void xmr_sort_pairs(uint64_t *pairs, uint64_t *spare, int64_t n)
{
    uint32_t most = 0;
    if (n <= 40) {
        xmr_insertion_sort(pairs, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        most |= xmr_key(pairs[i]);
    uint64_t *from = pairs, *to = spare;
    for (int shift = 0; shift < 32 && most >> shift; shift += 8) {
        xmr_radix_pass(from, to, n, shift);
        uint64_t *last = from;
        from = to;
        to = last;
    }
    if (from != pairs)
        memcpy(pairs, from, n * sizeof *pairs);
}

#endif
