"""What all label clusterers share: label vectors in, a tree and leaf clusters out."""

import numpy as np
from scipy import sparse
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_xmr.indexing._representation import (
    check_label_features,
    label_representation,
    pifa,
)
from sklearn_xmr.utils.documentation import DocLinkMixin
from sklearn_xmr.utils.validation import (
    as_csr_float32,
    check_indices,
    check_label_indicator,
    check_X_Y,
)


class LabelClustererMixin(
    DocLinkMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin
):
    """``fit`` and ``transform`` of a label clusterer.

    A subclass has ``representation``, ``label_features`` and ``random_state``, and
    implements ``_grow(vectors)``: the LabelTree of unit label vectors (CSR).
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Group the labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; without a label indicator, one row per label: its vector.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels), default=None
            Label indicator of the instances. A 1-D y is ignored, as scikit-learn's
            clusterers do.

        Returns
        -------
        self
        """
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32)
        if sparse.issparse(X):
            check_indices(X, "X")
        vectors = self._label_vectors(X, y)
        self.tree_ = self._grow(vectors)
        self.labels_ = self.tree_.cluster_of_label
        self.n_clusters_ = self.tree_.n_clusters
        if not self._fitted_with_labels:
            self.cluster_centers_ = normalize(_membership(self.labels_).T @ vectors)
        return self

    def transform(self, X):
        """Map label indicators, or label vectors, to leaf clusters.

        Parameters
        ----------
        X : {array-like, sparse matrix}
            After ``fit(X, Y)``: a label indicator of shape (n_samples, n_labels).
            After ``fit(X)``: label vectors of shape (n_samples, n_features).

        Returns
        -------
        {ndarray, csr_matrix} of float32 of shape (n_samples, n_clusters)
            After ``fit(X, Y)``: the number of each row's labels in each cluster,
            sparse for sparse input. After ``fit(X)``: the cosine of each row with
            each cluster centre.
        """
        check_is_fitted(self)
        if not self._fitted_with_labels:
            X = validate_data(
                self, X, accept_sparse="csr", dtype=np.float32, reset=False
            )
            cosines = normalize(X) @ self.cluster_centers_.T
            return cosines.toarray() if sparse.issparse(cosines) else cosines
        counts = check_label_indicator(X, "X")
        if counts.shape[1] != len(self.labels_):
            raise ValueError(
                f"X must have a column per label, {len(self.labels_)}, as Y had in "
                f"fit, got {counts.shape[1]}"
            )
        counts = counts @ _membership(self.labels_)
        return counts if sparse.issparse(X) else counts.toarray()

    def fit_transform(self, X, y=None):
        """Fit, then transform y (or X, where y is no label indicator).

        Parameters
        ----------
        X, y
            As in :meth:`fit`.

        Returns
        -------
        {ndarray, csr_matrix} of float32 of shape (n_samples, n_clusters)
        """
        self.fit(X, y)
        return self.transform(y if self._fitted_with_labels else X)

    def _label_vectors(self, X, y):
        """Unit label vectors as CSR float32."""
        if not sparse.issparse(y):
            y = None if y is None else np.asarray(y)
        self._fitted_with_labels = y is not None and y.ndim == 2
        if not self._fitted_with_labels:
            return normalize(as_csr_float32(X))
        X, Y = check_X_Y(X, y)
        method = self.representation
        if isinstance(method, str) and method == "pifa" and sparse.issparse(X):
            return pifa(X, Y, getattr(self, "max_features", None))
        if isinstance(method, str):
            return as_csr_float32(
                label_representation(
                    X,
                    Y,
                    method,
                    label_features=self.label_features,
                    random_state=check_random_state(self.random_state),
                )
            )
        vectors = method(X, Y) if callable(method) else method
        vectors = check_label_features(vectors, Y.shape[1], "representation")
        return normalize(as_csr_float32(vectors))

    @property
    def _n_features_out(self):
        return self.n_clusters_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _membership(clusters):
    """Label x cluster indicator, CSR float32."""
    return sparse.csr_matrix(
        (
            np.ones(len(clusters), dtype=np.float32),
            clusters,
            np.arange(len(clusters) + 1),
        ),
        shape=(len(clusters), clusters.max() + 1),
    )
