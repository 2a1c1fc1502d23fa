"""What all label clusterers share: label vectors in, a tree and leaf clusters out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state

from sklearn_xmr.indexing._representation import (
    METHODS,
    check_label_features,
    label_representation,
    pifa,
)
from sklearn_xmr.utils._doc_links import DocLinkMixin
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._matrices import (
    align_sparse_type,
    as_csr_float32,
    check_indices,
    checked_csr,
)
from sklearn_xmr.utils._saved_version import SavedVersionMixin
from sklearn_xmr.utils._sklearn import StrOptions, fit_context
from sklearn_xmr.utils._typing import MatrixLike, RandomState, Self
from sklearn_xmr.utils._unit_rows import unit_rows
from sklearn_xmr.utils._validation import (
    check_label_indicator,
    check_X_Y,
    for_set_output,
    validate_data,
)


class LabelClustererMixin(
    SavedVersionMixin,
    DocLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
):
    """Base of label clusterers: a subclass says how label vectors become a tree.

    A subclass of this and of :class:`sklearn.base.BaseEstimator` implements
    ``_grow(vectors)``, which takes one row for each label, csr_matrix of float32 of
    shape (n_labels, n_features) with rows of unit length (or zero, where nothing is
    known of the label), and returns a :class:`LabelTree`.

    It may have the parameters ``representation``, ``label_features`` and
    ``random_state``, with the meaning that they have in
    :class:`HierarchicalLabelClusterer`; without them, labels are represented by PIFA.
    Whatever takes a ``clusterer`` or ``indexer`` takes such a class.

    Attributes
    ----------
    tree_ : LabelTree
        The tree.
    labels_ : ndarray of int64 of shape (n_labels,)
        Leaf cluster of each label, numbered in tree order.
    n_clusters_ : int
        Number of leaf clusters.
    cluster_centers_ : csr_matrix of shape (n_clusters, n_features)
        Unit-length sums of the label vectors of each leaf cluster; after ``fit(X)``
        only.

    See Also
    --------
    HierarchicalLabelClusterer : Balanced k-means.
    RecursiveLabelClusterer : Any clusterer, level by level.

    Examples
    --------
    Labels under the feature that is largest in their vector:

    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_xmr import LabelTree, XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.indexing import LabelClustererMixin
    >>> class ByLargestFeature(LabelClustererMixin, BaseEstimator):
    ...     def _grow(self, vectors):
    ...         largest = np.asarray(vectors.argmax(axis=1)).ravel()
    ...         return LabelTree.from_labels(largest)
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> ByLargestFeature().fit(X, Y).tree_.n_labels
    50
    >>> clf = XRLinearClassifier(ByLargestFeature(), random_state=0).fit(X, Y)
    >>> clf.score(X, Y) > 0.5
    True
    """

    # For subclasses without these parameters.
    representation: str | MatrixLike | Callable[..., Any] = "pifa"
    label_features: MatrixLike | None = None
    random_state: RandomState = None

    _n_pifa_entries = None  # of each vector, the largest ones; None for all
    _acting_parameters = ()
    _parameter_constraints: dict = {
        "representation": [
            StrOptions(set(METHODS)),
            "array-like",
            "sparse matrix",
            callable,
        ],
        "label_features": ["array-like", "sparse matrix", None],
        "random_state": ["random_state"],
    }

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: MatrixLike, y: MatrixLike | None = None) -> Self:
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
            Fitted.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, shapes disagree,
            or ``representation`` or ``label_features`` is set where X holds the
            labels' vectors.
        """
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32)
        if sparse.issparse(X):
            check_indices(X, "X")
        vectors = self._label_vectors(X, y)
        self.tree_ = self._grow(vectors)
        self.labels_ = self.tree_.cluster_of_label
        self.n_clusters_ = self.tree_.n_clusters
        if not self._fitted_with_labels:
            centers = unit_rows(_membership(self.labels_).T @ vectors)
            self.cluster_centers_ = align_sparse_type(centers)
        return self

    def fit_predict(self, X: MatrixLike, y: MatrixLike | None = None) -> np.ndarray:
        """Group the labels, and return the leaf cluster of each.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; without a label indicator, one row per label: its vector.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels), default=None
            Label indicator of the instances. A 1-D y is ignored, as scikit-learn's
            clusterers do.

        Returns
        -------
        ndarray of int64 of shape (n_labels,)
            Leaf cluster of each label, numbered in tree order.
        """
        return self.fit(X, y).labels_

    @on_snapshot
    def transform(self, X: MatrixLike) -> Any:
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

        Raises
        ------
        ValueError
            If X is not of the form and width seen in ``fit``.
        """
        if not self._fitted_with_labels:
            return self._cosines(X)
        counts = check_label_indicator(X, "X")
        if counts.shape[1] != len(self.labels_):
            raise ValueError(
                f"X must have a column per label, {len(self.labels_)}, as Y had in "
                f"fit, got {counts.shape[1]}"
            )
        counts = counts @ _membership(self.labels_)
        return for_set_output(self, counts) if sparse.issparse(X) else counts.toarray()

    def fit_transform(self, X: MatrixLike, y: MatrixLike | None = None) -> Any:
        """Fit, then transform y (or X, where y is no label indicator).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; without a label indicator, one row per label: its vector.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels), default=None
            Label indicator of the instances. A 1-D y is ignored, as scikit-learn's
            clusterers do.

        Returns
        -------
        {ndarray, csr_matrix} of float32 of shape (n_samples, n_clusters)
            As ``transform`` gives it.
        """
        self.fit(X, y)
        return self.transform(y if self._fitted_with_labels else X)

    def _grow(self, vectors):
        """The LabelTree of unit label vectors (csr_matrix of float32)."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement _grow(vectors), which returns a "
            "LabelTree"
        )

    def _label_vectors(self, X, y):
        """Unit label vectors as CSR float32."""
        if not sparse.issparse(y):
            y = None if y is None else np.asarray(y)
        self._fitted_with_labels = y is not None and y.ndim == 2
        if not self._fitted_with_labels:
            self._check_no_representation()
            return unit_rows(as_csr_float32(X))
        X, Y = check_X_Y(X, y)
        method = self.representation
        if isinstance(method, str):
            return self._known_representation(X, Y)
        vectors = method(X, Y) if callable(method) else method
        vectors = check_label_features(vectors, Y.shape[1], "representation")
        return unit_rows(as_csr_float32(vectors))

    def _known_representation(self, X, Y):
        """Label vectors by a method of :func:`label_representation`."""
        if self.representation == "pifa" and sparse.issparse(X):
            return pifa(X, Y, self._n_pifa_entries)
        vectors = label_representation(
            X,
            Y,
            self.representation,
            label_features=self.label_features,
            random_state=check_random_state(self.random_state),
        )
        return as_csr_float32(vectors)

    def _check_no_representation(self):
        """ValueError where settings would have no effect: the rows of X are vectors."""
        method = self.representation
        is_default = {
            "representation": isinstance(method, str) and method == "pifa",
            "label_features": self.label_features is None,
        }
        for name in (name for name, unset in is_default.items() if not unset):
            raise ValueError(
                f"{name} acts where fit gets instances X and their label indicator y; "
                "without a label indicator, the rows of X are the labels' vectors: "
                f"leave {name} at its default, or give y"
            )

    def _cosines(self, X):
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        vectors = checked_csr(X, "X") if sparse.issparse(X) else X
        cosines = unit_rows(vectors) @ self.cluster_centers_.T
        return cosines.toarray() if sparse.issparse(cosines) else cosines

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
