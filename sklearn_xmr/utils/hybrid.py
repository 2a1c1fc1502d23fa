"""Sparse and dense features of the same instances, side by side."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.pipeline import FeatureUnion
from sklearn.utils.validation import check_array, check_consistent_length

from sklearn_xmr.utils.validation import as_csr_float32


class HybridFeatures:
    """Instances with a sparse and a dense block of features, never merged.

    tf-idf beside embeddings, for example: turned into one sparse matrix, each value of
    an embedding would take twelve bytes and a look-up; as a block of its own it takes
    four and runs at the speed of dense matrix products.

    Behaves as an array of shape (n_samples, n_sparse + n_dense) towards scikit-learn:
    it has a shape, and rows are taken by slice, mask or index array.

    Parameters
    ----------
    sparse : sparse matrix of shape (n_samples, n_sparse) or None
        None for no sparse features.
    dense : array-like of shape (n_samples, n_dense)

    Attributes
    ----------
    sparse : csr_matrix of float32
    dense : ndarray of float32 of shape (n_samples, n_dense)
    shape : tuple of int

    Raises
    ------
    ValueError
        If a block is not two-dimensional, holds NaN or infinity, or the numbers of
        rows differ.

    See Also
    --------
    HybridUnion : Makes them from transformers.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_xmr import HybridFeatures
    >>> X = HybridFeatures(sparse.eye(3, format="csr"), np.ones((3, 2)))
    >>> X.shape, X[1:].shape
    ((3, 5), (2, 5))
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, sparse, dense):
        dense = check_array(
            dense,
            dtype=np.float32,
            order="C",
            ensure_min_features=0,
            input_name="dense",
        )
        if sparse is None:
            sparse = _no_features(len(dense))
        sparse = check_array(
            sparse,
            accept_sparse="csr",
            dtype=np.float32,
            ensure_min_features=0,
            input_name="sparse",
        )
        check_consistent_length(sparse, dense)
        self.sparse = as_csr_float32(sparse)
        self.dense = dense

    @property
    def shape(self):
        """(n_samples, n_sparse + n_dense)."""
        return self.dense.shape[0], self.sparse.shape[1] + self.dense.shape[1]

    def __len__(self):
        return self.dense.shape[0]

    def __getitem__(self, key):
        """Rows, as HybridFeatures; ``X[rows, ...]`` is understood as ``X[rows]``."""
        if isinstance(key, tuple):
            if len(key) != 2 or key[1] not in (Ellipsis, slice(None)):
                raise TypeError("HybridFeatures can be indexed by rows only")
            key = key[0]
        if isinstance(key, Integral):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} of {len(self)}")
            key = slice(key, key + 1 if key != -1 else None)
        return _trusted(self.sparse[key], self.dense[key])

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "HybridFeatures keep their blocks apart and are no array: this estimator "
            "takes plain features; use the attributes sparse and dense"
        )

    def __repr__(self):
        return (
            f"HybridFeatures({len(self)} rows, {self.sparse.shape[1]} sparse and "
            f"{self.dense.shape[1]} dense features)"
        )

    def squared_norms(self):
        """Squared length of each row (ndarray of float32 of shape (n_samples,))."""
        sums = np.einsum("ij,ij->i", self.dense, self.dense)
        filled = np.flatnonzero(np.diff(self.sparse.indptr))
        if len(filled):
            squares = self.sparse.data * self.sparse.data
            sums[filled] += np.add.reduceat(squares, self.sparse.indptr[filled])
        return sums


def _no_features(n_rows):
    return sparse.csr_matrix((n_rows, 0), dtype=np.float32)


def _trusted(sparse_block, dense):
    """HybridFeatures of blocks that are known to be sound, without copies."""
    out = object.__new__(HybridFeatures)
    out.sparse, out.dense = sparse_block, dense
    return out


def as_hybrid(X):
    """A checked CSR as HybridFeatures without dense features; those as they are."""
    if isinstance(X, HybridFeatures):
        return X
    return _trusted(X, np.empty((X.shape[0], 0), dtype=np.float32))


def check_hybrid(X, n_features, n_dense):
    """X, HybridFeatures or a pair of blocks, as HybridFeatures of these widths."""
    if isinstance(X, tuple) and len(X) == 2:
        X = HybridFeatures(*X)
    if n_dense == 0:
        raise TypeError(
            "X must be one matrix, as in fit, got sparse and dense features in blocks"
        )
    if not isinstance(X, HybridFeatures):
        raise TypeError(
            "X must be HybridFeatures or a pair (sparse, dense), as it was in fit, got "
            f"{type(X).__name__}"
        )
    if X.shape[1] != n_features or X.dense.shape[1] != n_dense:
        raise ValueError(
            f"X must have {n_features - n_dense} sparse and {n_dense} dense features, "
            f"as in fit, got {X.sparse.shape[1]} and {X.dense.shape[1]}"
        )
    return X


class HybridUnion(FeatureUnion):
    """FeatureUnion that keeps sparse and dense results apart.

    Parameters
    ----------
    transformer_list, n_jobs, transformer_weights, verbose, verbose_feature_names_out
        As in :class:`sklearn.pipeline.FeatureUnion`.

    Returns
    -------
    HybridFeatures
        From ``transform``: the sparse results side by side, and the dense ones.

    Examples
    --------
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import HybridUnion
    >>> texts = ["red roses", "blue roses", "red ink"]
    >>> union = HybridUnion([
    ...     ("words", TfidfVectorizer()),
    ...     ("topics", make_pipeline(TfidfVectorizer(), TruncatedSVD(2))),
    ... ])
    >>> union.fit_transform(texts)
    HybridFeatures(3 rows, 4 sparse and 2 dense features)
    """

    def _hstack(self, Xs):
        parts = [X for X in Xs if sparse.issparse(X)]
        dense = [np.asarray(X) for X in Xs if not sparse.issparse(X)]
        n_rows = Xs[0].shape[0]
        return HybridFeatures(
            sparse.hstack(parts, format="csr") if parts else None,
            np.hstack(dense) if dense else np.empty((n_rows, 0), dtype=np.float32),
        )
