# Some rows of a CSR matrix, copied with their features renumbered 0 .. n_features - 1:
# what a node of a label tree works on. The work then costs what the node holds,
# not the width of the whole matrix, and stays in the cache.
from libc.stdint cimport int32_t, int64_t, uint64_t

from sklearn_xmr.utils._buffer cimport Buffer

cdef struct CSR:
    const int64_t *indptr
    const int32_t *indices
    const float *values
    int64_t n_rows
    int32_t n_features

cdef struct CompactRows:
    # Rows as CSR over local features; `features` maps them back, or is NULL where
    # they are the original ones.
    CSR rows
    const int32_t *features

cdef struct CompactWorkspace:
    # One thread's buffers, reused from node to node.
    Buffer indptr, indices, values, features
    int32_t *local_id     # global feature -> local id; valid for the present node
    uint64_t *seen        # bitmap over the global features, zeros between calls
    uint64_t *touched     # bitmap over the words of `seen`

cdef CSR as_csr(const int64_t[::1] indptr, const int32_t[::1] indices,
                const float[::1] values, int32_t n_features) noexcept
cdef int init_compact_workspace(CompactWorkspace *ws, int32_t n_features) noexcept nogil
cdef void free_compact_workspace(CompactWorkspace *ws) noexcept nogil
cdef int32_t number_features(const CSR *X, const int32_t *rows, int64_t n,
                             CompactWorkspace *ws) noexcept nogil
cdef int compact_rows(const CSR *X, const int32_t *rows, int64_t n,
                      CompactWorkspace *ws, CompactRows *out) noexcept nogil
