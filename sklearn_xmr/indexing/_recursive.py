"""A label tree by any clusterer, applied again to each of its clusters."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from sklearn_xmr.indexing._base import LabelClustererMixin
from sklearn_xmr.indexing._label_tree import LabelTree
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import HasMethods, Interval
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, RandomState


@storable
class RecursiveLabelClusterer(LabelClustererMixin, BaseEstimator):
    """Label tree by any clusterer of scikit-learn, level by level.

    The labels of a node are split by a clone of ``clusterer``, and each cluster again,
    until it holds at most ``max_leaf_size`` labels or the tree is ``max_depth`` levels
    deep. Clusters are as large as the data make them: k-means with many clusters and a
    depth of two or three gives the wide, shallow and unbalanced trees of Bonsai.

    Parameters
    ----------
    clusterer : clusterer, default=None
        With ``fit_predict``; a pipeline that ends with one may reduce the vectors
        first. Where it has ``n_clusters``, that is lowered for nodes of fewer labels.
        None means ``KMeans(16, n_init=1)``.
    representation : str, callable, array-like or sparse matrix, default="pifa"
        Label vectors for ``fit(X, Y)``: a method of :func:`label_representation`; a
        function of X and Y that returns a row for each label; or these rows.
    label_features : {array-like, sparse matrix} of shape (n_labels, any), default=None
        Features of the labels, for the methods of :func:`label_representation` that
        take them.
    max_leaf_size : int, default=100
        Larger clusters are split again.
    max_depth : int, default=3
        Maximum number of levels of clusters.
    random_state : int, RandomState instance or None, default=None
        Seeds a clusterer that has no seed of its own.

    Attributes
    ----------
    tree_ : LabelTree
        The tree; branches that end early are extended by nodes of one child.
    labels_ : ndarray of int64 of shape (n_labels,)
        Leaf cluster of each label, numbered in tree order.
    n_clusters_ : int
        Number of leaf clusters.
    cluster_centers_ : csr_matrix of shape (n_clusters, n_features)
        Unit-length sums of the label vectors of each leaf cluster; after ``fit(X)``
        only.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    HierarchicalLabelClusterer : Balanced k-means, many times faster.

    Notes
    -----
    Labels without a positive instance have no vector: they are distributed over the
    leaves.

    References
    ----------
    S. Khandagale, H. Xiao, R. Babbar. "Bonsai: Diverse and shallow trees for extreme
    multi-label classification", Machine Learning 2020 (arXiv 1904.08249).

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn_xmr import RecursiveLabelClusterer, XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> wide = RecursiveLabelClusterer(KMeans(8), max_leaf_size=10, random_state=0)
    >>> XRLinearClassifier(wide, random_state=0).fit(X, Y).score(X, Y) > 0.5
    True
    """

    _parameter_constraints: dict = {
        **LabelClustererMixin._parameter_constraints,
        "clusterer": [HasMethods("fit_predict"), None],
        "max_leaf_size": [Interval(Integral, 1, None, closed="left")],
        "max_depth": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        clusterer: Estimator | None = None,
        *,
        representation: str | MatrixLike | Callable[..., Any] = "pifa",
        label_features: MatrixLike | None = None,
        max_leaf_size: int = 100,
        max_depth: int = 3,
        random_state: RandomState = None,
    ) -> None:
        self.clusterer = clusterer
        self.representation = representation
        self.label_features = label_features
        self.max_leaf_size = max_leaf_size
        self.max_depth = max_depth
        self.random_state = random_state

    def _grow(self, vectors):
        """Cluster the non-zero vectors, distribute the others over the leaves."""
        clusterer = KMeans(16, n_init=1) if self.clusterer is None else self.clusterer
        counts = np.diff(vectors.indptr)
        with_vector = np.flatnonzero(counts)
        paths = np.zeros((self.max_depth, vectors.shape[0]), dtype=np.int64)
        rng = check_random_state(self.random_state)
        nodes = [with_vector]
        for level in range(self.max_depth):
            nodes = [
                part
                for rows in nodes
                if len(rows) > self.max_leaf_size
                for part in _split(clusterer, vectors, rows, paths[level], rng)
            ]
        _distribute(paths, with_vector, np.flatnonzero(counts == 0))
        used = np.flatnonzero(paths.max(axis=1))  # no level of single-child nodes alone
        return LabelTree._from_paths(paths[: used.max(initial=-1) + 1])


def _split(clusterer, vectors, rows, numbers, rng):
    """Cluster some labels: writes the clusters' numbers, returns their labels."""
    clusterer = seeded(clusterer, rng)
    for name, value in clusterer.get_params(deep=True).items():
        if name.rpartition("__")[2] == "n_clusters" and isinstance(value, Integral):
            clusterer.set_params(**{name: min(value, len(rows))})
    found = clusterer.fit_predict(vectors[rows])
    found = np.unique(found, return_inverse=True)[1]
    numbers[rows] = found
    n_found = found.max() + 1
    return [rows[found == i] for i in range(n_found)] if n_found > 1 else []


def _distribute(paths, with_vector, others):
    """Give each of the other labels the path of a leaf, in turn."""
    if len(with_vector) and len(others):
        _, first = np.unique(paths[:, with_vector], axis=1, return_index=True)
        leaves = with_vector[first]
        paths[:, others] = paths[:, leaves[np.arange(len(others)) % len(leaves)]]
