"""Approximate nearest neighbours of dense vectors: faiss's HNSW graph as an extra."""

import numpy as np
from scipy import sparse

N_LINKS = 32  # of each vector in the graph
BUILD_BREADTH = 100  # candidates that an insertion looks at
MOST_FEATURES = 4096  # of a sparse matrix that is made dense


def import_faiss():
    """The faiss package.

    Raises
    ------
    ImportError
        With the command that installs it, if it is missing.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "algorithm='hnsw' needs the package faiss: pip install 'sklearn-xmr[ann]'"
        ) from error
    return faiss


class HNSWIndex:
    """Rows of a matrix in a graph that leads to the largest inner products.

    Parameters
    ----------
    X : {csr_matrix, ndarray} of float32 of shape (n_rows, n_features)
        Unit rows; sparse ones of at most 4,096 features.

    Attributes
    ----------
    n_rows : int
        Number of rows.

    References
    ----------
    Y. Malkov, D. Yashunin. "Efficient and robust approximate nearest neighbor search
    using hierarchical navigable small world graphs", TPAMI 2020 (arXiv 1603.09320).
    """

    def __init__(self, X):
        faiss = import_faiss()
        X = as_dense(X)
        self.n_rows = len(X)
        self._index = faiss.IndexHNSWFlat(
            X.shape[1], N_LINKS, faiss.METRIC_INNER_PRODUCT
        )
        self._index.hnsw.efConstruction = BUILD_BREADTH
        self._index.add(X)

    def search(self, queries, k, breadth=128):
        """About the rows of largest positive inner product with each query.

        Parameters
        ----------
        queries : {csr_matrix, ndarray} of float32 of shape (n_queries, n_features)
            Unit rows.
        k : int
            Number of rows; never more than there are.
        breadth : int, default=128
            Candidates that the search keeps, at least k: more find more of the true
            neighbours.

        Returns
        -------
        products : ndarray of float32 of shape (n_queries, min(k, n_rows))
            Best first; 0 for none.
        rows : ndarray of int32 of the same shape
            -1 for none.
        """
        k = min(k, self.n_rows)
        breadth = max(min(breadth, self.n_rows), k)
        # Not set on the index, which other threads may be searching.
        parameters = import_faiss().SearchParametersHNSW(efSearch=breadth)
        products, rows = self._index.search(as_dense(queries), k, params=parameters)
        # As the exact index does: only what has something in common is a neighbour.
        rows[products <= 0] = -1
        return np.maximum(products, 0), rows.astype(np.int32)

    def __getstate__(self):
        state = self.__dict__.copy()
        state["_index"] = import_faiss().serialize_index(self._index)
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._index = import_faiss().deserialize_index(state["_index"])


def as_dense(X):
    """Contiguous float32 rows.

    Parameters
    ----------
    X : {csr_matrix, ndarray} of shape (n_rows, n_features)
        Sparse ones of at most 4,096 features.

    Returns
    -------
    ndarray of float32 of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If X is sparse and has more features.
    """
    if sparse.issparse(X):
        if X.shape[1] > MOST_FEATURES:
            raise ValueError(
                f"algorithm='hnsw' is for dense vectors, but X is sparse with "
                f"{X.shape[1]} features: reduce it, with TruncatedSVD for instance, or "
                "use algorithm='exact'"
            )
        X = X.toarray()
    return np.ascontiguousarray(X, dtype=np.float32)
