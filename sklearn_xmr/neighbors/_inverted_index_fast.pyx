"""Exact nearest rows of a sparse matrix by inner product.

The inner products of a query q with all rows are a sum over its features,
``s += q[f] * column(f)``: each column (posting list) adds to the rows that have the
feature, and no others are touched. Rows are cut into segments of 65,536, so that a
segment's sums (256 KiB) stay in L2 while columns stream through, and a row number
takes two bytes.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_xmr.utils._openmp_helpers cimport team
from sklearn_xmr.utils._work cimport Signals, Work, should_stop

cdef extern from "../utils/_topk_heap.h" nogil:
    ctypedef struct xmr_candidate:
        float score
        int32_t node
    void xmr_offer(xmr_candidate *heap, int64_t *n, int64_t capacity,
                   xmr_candidate candidate)
    void xmr_sort_best_first(xmr_candidate *heap, int64_t n)

cdef extern from *:
    """
    enum { XMR_SEGMENT_ROWS = 65536, XMR_SCAN = 16 };

    static inline void xmr_add_postings(float *sums, const uint16_t *rows,
                                        const float *values, int64_t n, float scale)
    {
        for (int64_t i = 0; i < n; i++)
            sums[rows[i]] += scale * values[i];
    }

    /* Offer what beats the worst kept: 16 sums at a time are compared at once. */
    static void xmr_offer_sums(const float *sums, int64_t n, int64_t first,
                               xmr_candidate *heap, int64_t *n_kept, int64_t k)
    {
        for (int64_t at = 0; at < n; at += XMR_SCAN) {
            const float floor = *n_kept == k ? heap[0].score : 0.0f;
            int any = 0;
            for (int i = 0; i < XMR_SCAN; i++)
                any |= sums[at + i] > floor;
            if (!any)
                continue;
            for (int i = 0; i < XMR_SCAN; i++)
                if (sums[at + i] > floor) {
                    const xmr_candidate found = {sums[at + i],
                                                 (int32_t)(first + at + i)};
                    xmr_offer(heap, n_kept, k, found);
                }
        }
    }
    """
    enum: XMR_SEGMENT_ROWS
    void xmr_add_postings(float *sums, const uint16_t *rows, const float *values,
                          int64_t n, float scale) nogil
    void xmr_offer_sums(const float *sums, int64_t n, int64_t first,
                        xmr_candidate *heap, int64_t *n_kept, int64_t k) nogil

SEGMENT_ROWS = XMR_SEGMENT_ROWS


cdef void search_query(const int64_t[:, ::1] starts, const uint16_t[::1] rows,
                       const float[::1] values, int64_t n_rows,
                       const int32_t *features, const float *weights, int64_t n_features,
                       float *sums, xmr_candidate *heap, int64_t *n_kept,
                       int64_t k) noexcept nogil:
    """The k best rows of positive inner product with one query, best first."""
    cdef int64_t segment, i, begin, size
    n_kept[0] = 0
    for segment in range(starts.shape[0]):
        for i in range(n_features):
            begin = starts[segment, features[i]]
            xmr_add_postings(sums, &rows[begin], &values[begin],
                             starts[segment, features[i] + 1] - begin, weights[i])
        size = min(n_rows - segment * XMR_SEGMENT_ROWS, <int64_t>XMR_SEGMENT_ROWS)
        xmr_offer_sums(sums, size, segment * XMR_SEGMENT_ROWS, heap, n_kept, k)
        memset(sums, 0, size * sizeof(float))
    xmr_sort_best_first(heap, n_kept[0])


def nearest_rows(const int64_t[:, ::1] starts, const uint16_t[::1] rows,
                 const float[::1] values, int64_t n_rows,
                 const int64_t[::1] indptr, const int32_t[::1] indices,
                 const float[::1] data, int64_t k, int n_threads):
    """The k rows with the largest positive inner product with each query.

    Parameters
    ----------
    starts : ndarray of int64 of shape (n_segments, n_features + 1)
        Where the postings of each feature begin, in each segment of rows.
    rows : ndarray of uint16 of shape (nnz + 1,)
        Rows within their segment, and a spare element.
    values : ndarray of float32 of shape (nnz + 1,)
        Values of the postings, and a spare element.
    n_rows : int
    indptr : ndarray of int64 of shape (n_queries + 1,)
        With `indices` and `data`, the queries as CSR.
    indices : ndarray of int32 of shape (nnz_queries,)
    data : ndarray of float32 of shape (nnz_queries,)
    k, n_threads : int

    Returns
    -------
    neighbors : ndarray of int32 of shape (n_queries, k)
        Best first, -1 for none; equal products: the smaller row first.
    products : ndarray of float32 of shape (n_queries, k)
        0 for none.

    Raises
    ------
    MemoryError
        If there is no memory for the sums of a segment and the rows kept, per thread.
    """
    cdef int64_t n_queries = indptr.shape[0] - 1, query, place
    neighbors = np.full((n_queries, k), -1, dtype=np.int32)
    products = np.zeros((n_queries, k), dtype=np.float32)
    cdef int32_t[:, ::1] out_rows = neighbors
    cdef float[:, ::1] out_values = products
    cdef const int32_t *features = &indices[0] if indices.shape[0] else NULL
    cdef const float *weights = &data[0] if data.shape[0] else NULL
    cdef float *sums = <float *>calloc(n_threads * XMR_SEGMENT_ROWS, sizeof(float))
    cdef xmr_candidate *heaps = <xmr_candidate *>malloc(
        n_threads * k * sizeof(xmr_candidate))
    cdef int64_t *n_kept = <int64_t *>calloc(n_threads * 8, sizeof(int64_t))
    cdef xmr_candidate *heap
    cdef int t
    cdef Signals signals = Signals()
    cdef Work work = signals.begin(n_queries)
    if sums == NULL or heaps == NULL or n_kept == NULL:
        free(sums)
        free(heaps)
        free(n_kept)
        raise MemoryError(f"no memory for the {k} nearest rows of each query")
    for query in prange(n_queries, nogil=True, num_threads=team(n_threads),
                        schedule="dynamic", chunksize=16):
        t = threadid()
        if should_stop(&work, t):
            continue
        heap = heaps + t * k
        search_query(starts, rows, values, n_rows, features + indptr[query],
                     weights + indptr[query], indptr[query + 1] - indptr[query],
                     sums + t * XMR_SEGMENT_ROWS, heap, &n_kept[8 * t], k)
        for place in range(n_kept[8 * t]):
            out_rows[query, place] = heap[place].node
            out_values[query, place] = heap[place].score
    free(sums)
    free(heaps)
    free(n_kept)
    signals.end()
    return neighbors, products
