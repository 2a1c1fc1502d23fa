"""Sparse and dense features of the same instances, side by side."""

from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.pipeline import FeatureUnion
from sklearn.utils.validation import check_consistent_length

from sklearn_xmr.utils._matrices import as_csr_float32
from sklearn_xmr.utils._ranges import row_blocks
from sklearn_xmr.utils._sklearn import num_samples
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import MatrixLike
from sklearn_xmr.utils._validation import check_array

BLOCK_VALUES = 1 << 20  # whose squares are made at once


@storable
class HybridFeatures:
    """Instances with a sparse and a dense block of features, kept apart.

    An example is tf-idf together with embeddings. In one sparse matrix, each value of
    an embedding would take twelve bytes and a look-up; in a dense block it takes four
    bytes and is used at the speed of dense matrix products.

    For scikit-learn it behaves as an array of shape (n_samples, n_sparse + n_dense): it
    has a shape, and rows are selected by slice, mask or index array.

    Parameters
    ----------
    sparse : sparse matrix of shape (n_samples, n_sparse) or None
        The sparse features; None for none.
    dense : array-like of shape (n_samples, n_dense) or None, default=None
        The dense features; None for none.

    Attributes
    ----------
    sparse : csr_matrix of float32 of shape (n_samples, n_sparse)
        The sparse features, with sorted int32 indices.
    dense : ndarray of float32 of shape (n_samples, n_dense)
        The dense features, C-contiguous.
    shape : tuple of int
        Number of samples and of all features.

    Raises
    ------
    ValueError
        If both blocks are None, a block is not two-dimensional or holds NaN or
        infinity, or the numbers of rows differ.

    See Also
    --------
    HybridUnion : Make HybridFeatures from several transformers.

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

    def __init__(
        self, sparse: MatrixLike | None, dense: MatrixLike | None = None
    ) -> None:
        if sparse is None and dense is None:
            raise ValueError("sparse or dense must be given, got None for both")
        if dense is None:
            dense = np.empty((num_samples(sparse), 0), dtype=np.float32)
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

    @classmethod
    def of_blocks(
        cls, sparse: MatrixLike | None, dense: MatrixLike | None = None
    ) -> "HybridFeatures":
        """Make HybridFeatures from valid blocks, which are neither checked nor copied.

        Parameters
        ----------
        sparse : csr_matrix of float32 of shape (n_samples, n_sparse)
            The sparse features, with sorted int32 indices.
        dense : ndarray of float32 of shape (n_samples, n_dense), default=None
            The dense features, C-contiguous; None for none.

        Returns
        -------
        HybridFeatures
            Instances that share the memory of the blocks.
        """
        out = object.__new__(cls)
        out.sparse = sparse
        if dense is None:
            dense = np.empty((sparse.shape[0], 0), dtype=np.float32)
        out.dense = dense
        return out

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples and of all features (tuple of int)."""
        return self.dense.shape[0], self.sparse.shape[1] + self.dense.shape[1]

    def __len__(self) -> int:
        return self.dense.shape[0]

    def __getitem__(self, key: Any) -> "HybridFeatures":
        """Some rows as HybridFeatures; ``X[rows, ...]`` means ``X[rows]``."""
        if isinstance(key, tuple):
            if len(key) != 2 or key[1] not in (Ellipsis, slice(None)):
                raise TypeError("HybridFeatures can be indexed by rows only")
            key = key[0]
        if isinstance(key, Integral):
            if not -len(self) <= key < len(self):
                raise IndexError(
                    f"row {key} is out of bounds for HybridFeatures of {len(self)} rows"
                )
            key = slice(key, key + 1 if key != -1 else None)
        return HybridFeatures.of_blocks(self.sparse[key], self.dense[key])

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "HybridFeatures cannot be converted to an array: this estimator needs one "
            "matrix of features; pass the attribute sparse or dense"
        )

    def __repr__(self):
        return (
            f"HybridFeatures({len(self)} rows, {self.sparse.shape[1]} sparse and "
            f"{self.dense.shape[1]} dense features)"
        )

    def squared_norms(self) -> np.ndarray:
        """Return the squared Euclidean norm of each row.

        Returns
        -------
        ndarray of float32 of shape (n_samples,)
            Sums of the squares of all features.
        """
        sums = np.einsum("ij,ij->i", self.dense, self.dense)
        values, indptr = self.sparse.data, self.sparse.indptr
        for first, last in row_blocks(indptr, BLOCK_VALUES):  # X may be larger than RAM
            start, end = indptr[[first, last]]
            filled = first + np.flatnonzero(np.diff(indptr[first : last + 1]))
            if len(filled):
                squares = np.square(values[start:end])
                sums[filled] += np.add.reduceat(squares, indptr[filled] - start)
        return sums


def _no_features(n_rows):
    return sparse.csr_matrix((n_rows, 0), dtype=np.float32)


@storable
class HybridUnion(FeatureUnion):
    """Concatenate the results of transformers, with sparse and dense ones kept apart.

    A :class:`~sklearn.pipeline.FeatureUnion` whose ``transform`` returns
    :class:`HybridFeatures`: the sparse results concatenated, and the dense ones.

    Parameters
    ----------
    transformer_list : list of (str, transformer) tuples
        Names and transformers to apply to the data. "drop" in place of a transformer
        leaves it out, and "passthrough" keeps the features unchanged.
    n_jobs : int, default=None
        Number of jobs to run in parallel; None means 1, and -1 all processors.
    transformer_weights : dict, default=None
        Factors of the features of transformers, by their names.
    verbose : bool, default=False
        Whether to print the time that fitting each transformer takes.
    verbose_feature_names_out : bool, default=True
        Whether ``get_feature_names_out`` prefixes each feature with the name of its
        transformer; otherwise names of features must be unique.

    See Also
    --------
    HybridFeatures : Instances with a sparse and a dense block of features.

    Examples
    --------
    >>> from sklearn.decomposition import TruncatedSVD
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
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
