"""Node-local copies of CSR rows; C level only, see ``_compact_rows.pxd``."""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from sklearn_xmr.utils._buffer cimport reserve

cdef extern from "_portable.h" nogil:
    int32_t xmr_lowest_bit_64(uint64_t x)


cdef CSR as_csr(const int64_t[::1] indptr, const int32_t[::1] indices,
                const float[::1] values, int32_t n_features) noexcept:
    """The arrays of a matrix, which the caller keeps alive, as a struct."""
    cdef CSR X
    X.indptr, X.n_rows = &indptr[0], indptr.shape[0] - 1
    X.indices = &indices[0] if indices.shape[0] else NULL
    X.values = &values[0] if values.shape[0] else NULL
    X.n_features = n_features
    return X


cdef int init_compact_workspace(CompactWorkspace *ws, int32_t n_features) noexcept nogil:
    """Empty buffers; -1 without memory."""
    memset(ws, 0, sizeof(CompactWorkspace))
    ws.local_id = <int32_t *>malloc((n_features + 1) * sizeof(int32_t))
    ws.seen = <uint64_t *>calloc(n_features // 64 + 1, sizeof(uint64_t))
    ws.touched = <uint64_t *>calloc(n_features // 4096 + 1, sizeof(uint64_t))
    return 0 if ws.local_id and ws.seen and ws.touched else -1


cdef void free_compact_workspace(CompactWorkspace *ws) noexcept nogil:
    free(ws.indptr.data)
    free(ws.indices.data)
    free(ws.values.data)
    free(ws.features.data)
    free(ws.local_id)
    free(ws.seen)
    free(ws.touched)


cdef int32_t number_features(const CSR *X, const int32_t *rows, int64_t n,
                             CompactWorkspace *ws) noexcept nogil:
    """Give the features of these rows local ids in ascending order; their number.

    ws.features maps local to global, ws.local_id global to local. A bitmap of two
    levels: cheaper than sorting, and rows of few features cost little however wide
    the matrix is. -1 without memory.
    """
    cdef int64_t i, k
    cdef int32_t group, word, feature, n_local = 0
    cdef int32_t n_groups = X.n_features // 4096 + 1
    cdef uint64_t bit, bits, words
    cdef int32_t *features
    for i in range(n):
        for k in range(X.indptr[rows[i]], X.indptr[rows[i] + 1]):
            feature = X.indices[k]
            word = feature >> 6
            bit = (<uint64_t>1) << (feature & 63)
            n_local += (ws.seen[word] & bit) == 0
            ws.seen[word] |= bit
            ws.touched[word >> 6] |= (<uint64_t>1) << (word & 63)
    features = <int32_t *>reserve(&ws.features, n_local * sizeof(int32_t))
    n_local = 0
    for group in range(n_groups):
        words = ws.touched[group]
        ws.touched[group] = 0
        while words:
            word = (group << 6) + xmr_lowest_bit_64(words)
            words &= words - 1
            bits = ws.seen[word]
            ws.seen[word] = 0
            while bits and features:
                feature = (word << 6) + xmr_lowest_bit_64(bits)
                features[n_local] = feature
                ws.local_id[feature] = n_local
                n_local += 1
                bits &= bits - 1
    return n_local if features else -1


cdef int compact_rows(const CSR *X, const int32_t *rows, int64_t n,
                      CompactWorkspace *ws, CompactRows *out) noexcept nogil:
    """Copy `rows` (distinct, ascending) of X; X itself where they are all its rows.

    Where X has more columns than values, its rows are copied too: what is made for each
    feature would take more memory than they do.
    """
    cdef int64_t i, k, at = 0, nnz = 0
    cdef int32_t n_local
    cdef int64_t *indptr
    cdef int32_t *indices
    cdef float *values
    if n == X.n_rows and X.n_features <= X.indptr[n]:
        out.rows = X[0]
        out.features = NULL
        return 0
    n_local = number_features(X, rows, n, ws)
    for i in range(n):
        nnz += X.indptr[rows[i] + 1] - X.indptr[rows[i]]
    indptr = <int64_t *>reserve(&ws.indptr, (n + 1) * sizeof(int64_t))
    indices = <int32_t *>reserve(&ws.indices, nnz * sizeof(int32_t))
    values = <float *>reserve(&ws.values, nnz * sizeof(float))
    if n_local < 0 or not (indptr and indices and values):
        return -1
    for i in range(n):
        indptr[i] = at
        for k in range(X.indptr[rows[i]], X.indptr[rows[i] + 1]):
            indices[at] = ws.local_id[X.indices[k]]
            values[at] = X.values[k]
            at += 1
    indptr[n] = at
    out.rows.indptr, out.rows.indices, out.rows.values = indptr, indices, values
    out.rows.n_rows, out.rows.n_features = n, n_local
    out.features = <int32_t *>ws.features.data
    return 0
