# The search kernels: one query, a block of queries, given labels. Types, and what
# _tree_search.pyx calls.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from sklearn_xmr.linear._constants cimport XMR_CHUNK_WIDTH, XMR_QUERIES
from sklearn_xmr.linear._weights._level_pointers cimport xmr_level
from sklearn_xmr.utils._buffer cimport Buffer

cdef extern from "_chunk_scores.h" nogil:
    ctypedef struct xmr_query:
        const int32_t *indices
        const float *values
        int64_t nnz
        const float *dense

    ctypedef struct xmr_hit:
        pass


cdef extern from "../../utils/_topk_heap.h" nogil:
    # On the last level, nodes are labels.
    ctypedef struct Candidate "xmr_candidate":
        float score
        int32_t node

cdef struct SearchWorkspace:
    # One thread's buffers, reused from block to block and from call to call.
    Buffer hits, beam, heap, n_beam, n_heap, sorted_pairs, first, frontier, dense_row
    float[XMR_CHUNK_WIDTH] scores
    float[XMR_QUERIES][XMR_CHUNK_WIDTH] dense_margins


cdef struct Instances:
    # The queries: CSR and a dense block.
    const int64_t *indptr
    const int32_t *indices
    const float *values
    const float *dense
    int64_t n_dense


cdef struct Search:
    const xmr_level *levels
    int n_levels
    const int64_t *label_order    # node of the last level -> label; or NULL
    int64_t beam_size, k
    int combiner
    float path_weight     # of a level, by that of the level below
    # Label weights, or NULL: see LabelWeights of _tree_search.pyx.
    const float *const *weight_steps    # per level: what a node adds to its log score
    float root_score


cdef void free_workspace(SearchWorkspace *ws) noexcept nogil
cdef xmr_query query_of(const Instances *X, int64_t row) noexcept nogil
cdef int64_t search_best_first(const Search *s, const xmr_query *query,
                               int64_t *n_visited, SearchWorkspace *ws) noexcept nogil
cdef int search_block(const Search *s, const Instances *X, int64_t first_row,
                      int64_t n_rows, SearchWorkspace *ws) noexcept nogil
cdef int score_labels(const Search *s, const int32_t *const *parent_of,
                      const int32_t *nodes, int64_t n, const xmr_query *query,
                      float *scores, int32_t *path, SearchWorkspace *ws) noexcept nogil
