"""The index in which vectors are searched, by the name of its algorithm."""

from sklearn_xmr.neighbors._hnsw_index import HNSWIndex
from sklearn_xmr.neighbors._inverted_index import InvertedIndex
from sklearn_xmr.utils._matrices import as_csr_float32

ALGORITHMS = ("exact", "hnsw")


def make_index(vectors, algorithm):
    """An index of the rows of a matrix.

    Parameters
    ----------
    vectors : {csr_matrix, ndarray} of float32 of shape (n_rows, n_features)
        Unit rows.
    algorithm : {"exact", "hnsw"}
        How they are searched.

    Returns
    -------
    InvertedIndex or HNSWIndex
        With ``search(queries, k, breadth)``.

    Raises
    ------
    ImportError
        If "hnsw" is asked and faiss is missing.
    ValueError
        If "hnsw" is asked of sparse vectors of many features.
    """
    if algorithm == "exact":
        return InvertedIndex(as_csr_float32(vectors))
    return HNSWIndex(vectors)
