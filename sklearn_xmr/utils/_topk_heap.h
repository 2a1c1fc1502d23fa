/* The best of many candidates: a heap of bounded size with the worst on top. */
#ifndef XMR_TOPK_HEAP_H
#define XMR_TOPK_HEAP_H

#include <stdint.h>

typedef struct {
    float score;
    int32_t node; /* of equal scores, the smaller node is the better */
} xmr_candidate;

static inline int xmr_worse(xmr_candidate a, xmr_candidate b)
{
    return a.score < b.score || (a.score == b.score && a.node > b.node);
}

static inline void xmr_sift_down(xmr_candidate *heap, int64_t n, int64_t at)
{
    const xmr_candidate moved = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && xmr_worse(heap[child + 1], heap[child]))
            child++;
        if (!xmr_worse(heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Keep the `capacity` best candidates seen. */
static inline void xmr_offer(xmr_candidate *heap, int64_t *n, int64_t capacity,
                             xmr_candidate candidate)
{
    if (*n == capacity) {
        if (xmr_worse(heap[0], candidate)) {
            heap[0] = candidate;
            xmr_sift_down(heap, capacity, 0);
        }
        return;
    }
    int64_t at = (*n)++;
    while (at > 0 && xmr_worse(candidate, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = candidate;
}

/* Take the worst off the heap. */
static inline void xmr_pop(xmr_candidate *heap, int64_t *n)
{
    heap[0] = heap[--*n];
    if (*n)
        xmr_sift_down(heap, *n, 0);
}

/* Heap sort: the worst goes to the end, again and again. */
static inline void xmr_sort_best_first(xmr_candidate *heap, int64_t n)
{
    while (n > 1) {
        const xmr_candidate worst = heap[0];
        heap[0] = heap[--n];
        heap[n] = worst;
        xmr_sift_down(heap, n, 0);
    }
}

#endif
