"""What a model learns from: instances, targets and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._sklearn import safe_indexing
from sklearn_xmr.utils._validation import (
    check_negatives,
    check_relevance,
    check_weights,
)


@dataclass(frozen=True)
class TrainingData:
    """The data of a fit: instances, targets, and what is known about them.

    Parameters
    ----------
    X : HybridFeatures, csr_matrix or list of str
        Checked instances, in the form that the model uses.
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical label indicator.
    sample_weight : ndarray of float32 of shape (n_samples,) or None
        Positive weights of the instances.
    relevance : csr_matrix of float32 of shape (n_samples, n_labels) or None
        Cost of missing each positive label, with the pattern of Y.
    negatives : csr_matrix of float32 of shape (n_samples, n_labels) or None
        Ones at pairs known to be wrong.
    """

    X: object
    Y: sparse.csr_matrix
    sample_weight: np.ndarray | None = None
    relevance: sparse.csr_matrix | None = None
    negatives: sparse.csr_matrix | None = None

    @classmethod
    def checked(cls, X, Y, sample_weight=None, relevance=None, negatives=None):
        """Check the arguments besides X and Y, and drop rows of weight zero.

        Parameters
        ----------
        X : HybridFeatures, csr_matrix or list of str
            Instances that have been checked.
        Y : csr_matrix of float32 of shape (n_samples, n_labels)
            Canonical label indicator.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the instances.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of Y.
        negatives : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Non-zeros are pairs known to be wrong.

        Returns
        -------
        TrainingData
            Checked data of the instances of positive weight.

        Raises
        ------
        ValueError
            If an argument does not fit Y, or no instance with a label has a positive
            weight.
        """
        data = cls(
            X,
            Y,
            check_weights(sample_weight, Y.shape[0]),
            check_relevance(relevance, Y),
            check_negatives(negatives, Y),
        )
        if data.sample_weight is None or data.sample_weight.all():
            return data
        kept = np.flatnonzero(data.sample_weight)
        if Y[kept].nnz == 0:
            raise ValueError(
                "sample_weight must be positive for some instance with a label, but "
                f"none of the {len(kept)} instances of positive weight has a label"
            )
        return data.rows(kept)

    @property
    def n_samples(self):
        """Number of instances (int)."""
        return self.Y.shape[0]

    def rows(self, rows):
        """Select some of the instances, with all that is known about them.

        Parameters
        ----------
        rows : ndarray of int or slice
            Rows to select.

        Returns
        -------
        TrainingData
            Data of these rows.
        """
        others = (self.Y, self.sample_weight, self.relevance, self.negatives)
        parts = (None if part is None else part[rows] for part in others)
        return TrainingData(rows_of(self.X, rows), *parts)

    def fit_parameters(self, names=("sample_weight", "relevance", "negatives")):
        """Return the optional arguments that were given, for the ``fit`` of a model.

        Parameters
        ----------
        names : sequence of str, \
                default=("sample_weight", "relevance", "negatives")
            Names of the arguments that the model supports.

        Returns
        -------
        dict of str to array
            Those that are not None, by name.
        """
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


def is_raw(X):
    """Whether X is not one matrix of numbers, so that inner models make features.

    Texts (list, array or Series of str), tables with a column that is not numeric, and
    HybridFeatures are raw.
    """
    if sparse.issparse(X):
        return False
    if isinstance(X, HybridFeatures):
        return True
    if hasattr(X, "iloc") and hasattr(X, "dtypes"):  # pandas
        dtypes = X.dtypes if X.ndim == 2 else [X.dtype]
        return not all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes)
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "OUS"
    if isinstance(X, Mapping):
        return False
    return hasattr(X, "__len__") and len(X) > 0 and isinstance(X[0], str)


def rows_of(X, rows):
    """Some rows of X, raw or not, selected by index array or slice."""
    if isinstance(X, (HybridFeatures, np.ndarray)) or sparse.issparse(X):
        return X[rows]
    return safe_indexing(X, rows)
