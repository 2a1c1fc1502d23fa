"""Approximate nearest neighbours of dense vectors: faiss's HNSW graph as an extra."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._storable import storable

N_LINKS = 32  # of each vector in the graph
BUILD_BREADTH = 100  # candidates that an insertion looks at
GRAPH = ("neighbors", "offsets", "levels")  # arrays of faiss's HNSW
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


@storable
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
        faiss, graph = import_faiss(), self._index.hnsw
        return {
            "vectors": self._index.reconstruct_n(0, self.n_rows),
            "entry_point": int(graph.entry_point),
            **{name: faiss.vector_to_array(getattr(graph, name)) for name in GRAPH},
        }

    def __setstate__(self, state):
        faiss = import_faiss()
        vectors = np.ascontiguousarray(state["vectors"], dtype=np.float32)
        self.n_rows = len(vectors)
        self._index = faiss.IndexHNSWFlat(
            vectors.shape[1], N_LINKS, faiss.METRIC_INNER_PRODUCT
        )
        graph = self._index.hnsw
        graph.efConstruction = BUILD_BREADTH
        checked = _checked_graph(state, self.n_rows, graph)
        self._index.storage.add(vectors)
        self._index.ntotal = self.n_rows
        for name, array in checked.items():
            faiss.copy_array_to_vector(array, getattr(graph, name))
        graph.entry_point = state["entry_point"]
        graph.max_level = int(checked["levels"].max(initial=0)) - 1


def _checked_graph(state, n_rows, graph):
    """Arrays of a graph that leads nowhere but to its rows; faiss checks none."""
    links, starts, levels = (np.asarray(state[name]) for name in GRAPH)
    entry, n_levels = state["entry_point"], graph.assign_probas.size()
    if (
        (links.dtype, starts.dtype, levels.dtype) != ("i4", "u8", "i4")
        or (starts.shape, levels.shape) != ((n_rows + 1,), (n_rows,))
        or levels.min(initial=1) < 1
        or levels.max(initial=1) > n_levels
        or type(entry) is not int
        or not -1 <= entry < n_rows
        or (n_rows and (entry < 0 or levels[entry] < levels.max()))
    ):
        raise ValueError("the graph of the index is broken")
    room = np.array([graph.cum_nb_neighbors(i) for i in range(n_levels + 1)])
    ends = np.cumsum(room[levels])
    if (starts[1:] != ends).any() or starts[0] or links.shape != (starts[-1],):
        raise ValueError("the links of the index do not belong to its rows")
    # A link of an upper level must lead to a row that has this level.
    level_of_link = _levels_of_links(levels, room)
    known = links >= 0
    if (
        links.min(initial=-1) < -1
        or links.max(initial=-1) >= n_rows
        or (levels[links[known]] <= level_of_link[known]).any()
    ):
        raise ValueError("links of the index lead to rows that there are not")
    return dict(zip(GRAPH, (links, starts, levels), strict=True))


def _levels_of_links(levels, room):
    """Level of each link: every row has those of level 0 first."""
    of_one = np.repeat(np.arange(len(room) - 1), np.diff(room))
    counts = room[levels]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return of_one[within]


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
        instead = "use algorithm='exact', which takes sparse vectors"
        check_memory("dense vectors", X.shape, ("rows", "features"), instead)
        X = X.toarray()
    return np.ascontiguousarray(X, dtype=np.float32)
