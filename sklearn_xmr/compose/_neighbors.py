"""Labels of the nearest training instances: exact sparse cosine neighbours."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.preprocessing import normalize
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_xmr.compose._ann_index import HNSWIndex
from sklearn_xmr.compose._base import BlockwiseRankingMixin
from sklearn_xmr.compose._inverted_index import SEGMENT_ROWS, nearest_rows
from sklearn_xmr.compose._votes import count_votes, with_every_class
from sklearn_xmr.indexing import label_representation
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils.topk import csr_from_topk, topk_of_csr
from sklearn_xmr.utils.validation import as_csr_float32, check_k


class XRNeighborsClassifier(BlockwiseRankingMixin, BaseEstimator):
    """Rank labels by the votes of the most similar training instances.

    The ``n_neighbors`` training instances of highest cosine are found exactly, through
    an inverted index: each feature of an instance adds to the training instances that
    have it, and no others are touched. A label's score is its share of the
    neighbours' votes, weighted by cosine. Dense vectors can be searched approximately
    in a graph, and labels can be searched themselves instead of instances.

    Neighbours know rare labels and exact repetitions that a linear model smooths
    away; the two together rank better than either, see
    :class:`XRStackingClassifier`.

    Parameters
    ----------
    n_neighbors : int, default=50
        Training instances that vote.
    power : float, default=2.0
        A neighbour of cosine s has ``s ** power`` votes.
    neighbors : {"instances", "labels"}, default="instances"
        What is searched: training instances, which vote for their labels; or labels, by
        their PIFA vector (see :func:`label_representation`), scored by cosine.
    algorithm : {"exact", "hnsw"}, default="exact"
        "exact" is made for sparse vectors. "hnsw" is for dense ones, such as
        embeddings: approximate search in a graph, by the package faiss (``pip install
        'sklearn-xmr[ann]'``).
    search_breadth : int, default=128
        Candidates that "hnsw" keeps in a search, at least as many as are asked for:
        more find more of the true neighbours and take longer.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.

    Attributes
    ----------
    index_ : InvertedIndex or HNSWIndex
        The training instances, or labels.
    targets_ : csr_matrix of shape (n_samples, n_labels)
        Their labels.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    sklearn.neighbors.KNeighborsClassifier : For few features and labels.

    Notes
    -----
    Exact search takes time in proportion to the training instances that share a
    feature with the query. Only training instances of positive cosine vote. The graph
    of "hnsw" depends on the order in which threads insert vectors: for the same model
    again, fit with one thread (``threadpoolctl.threadpool_limits(1)``).

    Examples
    --------
    >>> from sklearn_xmr import XRNeighborsClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRNeighborsClassifier(n_neighbors=10).fit(X[:400], Y[:400])
    >>> labels, scores = clf.predict_topk(X[400:], k=3)
    >>> labels.shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "power": [Interval(Real, 0, None, closed="left")],
        "neighbors": [StrOptions({"instances", "labels"})],
        "algorithm": [StrOptions({"exact", "hnsw"})],
        "search_breadth": [Interval(Integral, 1, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        n_neighbors=50,
        *,
        power=2.0,
        neighbors="instances",
        algorithm="exact",
        search_breadth=128,
        top_k=20,
        decision_threshold=0.5,
    ):
        self.n_neighbors = n_neighbors
        self.power = power
        self.neighbors = neighbors
        self.algorithm = algorithm
        self.search_breadth = search_breadth
        self.top_k = top_k
        self.decision_threshold = decision_threshold

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Index the training instances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; rows are scaled to unit length inside.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.

        Returns
        -------
        self
        """
        X, self.targets_ = self._check_training(X, y)
        vectors = normalize(X)
        if self.neighbors == "labels":
            vectors = label_representation(vectors, self.targets_, "pifa")
        if self.algorithm == "exact":
            self.index_ = InvertedIndex(as_csr_float32(vectors))
        else:
            self.index_ = HNSWIndex(vectors, self.search_breadth)
        return self

    def kneighbors(self, X, n_neighbors=None):
        """The most similar training instances, or labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        n_neighbors : int, default=None
            How many; the parameter of the estimator by default.

        Returns
        -------
        cosines : ndarray of float32 of shape (n_samples, n_neighbors)
            Best first; 0 for none.
        neighbors : ndarray of int32 of shape (n_samples, n_neighbors)
            Rows of the training data (labels, with ``neighbors="labels"``), -1 where
            fewer have a positive cosine. Equal cosines: the smaller row first.
        """
        X = self._check_instances(X)
        k = check_k(self.n_neighbors if n_neighbors is None else n_neighbors)
        return self._nearest(X, k)

    def _rank(self, X, k, weight):
        if self.neighbors == "labels":
            return self._nearest_labels(X, k)
        cosines, neighbors = self._nearest(X, self.n_neighbors)
        return topk_of_csr(self._votes(cosines, neighbors), k)

    def _nearest_labels(self, X, k):
        cosines, labels = self._nearest(X, k)
        if self._multilabel:
            return labels, cosines
        found = csr_from_topk(labels, cosines, self.n_labels_)
        return topk_of_csr(with_every_class(found, self.targets_), k)

    def _nearest(self, X, n_neighbors):
        return self.index_.search(normalize(X), n_neighbors)

    def _votes(self, cosines, neighbors):
        """Share of the votes of each label: CSR (n_samples, n_labels)."""
        found = neighbors >= 0
        weights = np.where(found, cosines, 0) ** np.float32(self.power) * found
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
        indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
        shape = (len(neighbors), self.targets_.shape[0])
        voters = sparse.csr_matrix((weights[found], neighbors[found], indptr), shape)
        return count_votes(voters, self.targets_, not self._multilabel)


def nearest_with_label(cosines, neighbors, Y):
    """Cosine of the nearest neighbour that has a label.

    Parameters
    ----------
    cosines, neighbors : ndarray of shape (n_samples, k)
        Best first, -1 for none, as ``kneighbors`` gives them.
    Y : csr_matrix of shape (n_training_samples, n_labels)

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical.
    """
    found = neighbors >= 0
    labels = Y[neighbors[found]]
    n_each = np.diff(labels.indptr)
    rows = np.repeat(np.repeat(np.arange(len(neighbors)), found.sum(axis=1)), n_each)
    keys = rows * np.int64(Y.shape[1]) + labels.indices
    # The first occurrence is that of the nearest neighbour.
    keys, first = np.unique(keys, return_index=True)
    rows, columns = np.divmod(keys, Y.shape[1])
    shape = (len(neighbors), Y.shape[1])
    values = np.repeat(cosines[found], n_each)[first]
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


class InvertedIndex:
    """Rows of a CSR matrix by column, for the largest inner products.

    Parameters
    ----------
    X : csr_matrix of float32 of shape (n_rows, n_features)
    """

    def __init__(self, X):
        self.n_rows = X.shape[0]
        segments = [
            X[first : first + SEGMENT_ROWS].tocsc()
            for first in range(0, self.n_rows, SEGMENT_ROWS)
        ]
        ends = np.cumsum([0] + [segment.nnz for segment in segments])
        self._starts = np.array(
            [
                segment.indptr.astype(np.int64) + end
                for segment, end in zip(segments, ends, strict=False)
            ]
        )
        # A spare element: the kernel takes the address of an empty end.
        rows = [segment.indices.astype(np.uint16) for segment in segments]
        values = [segment.data for segment in segments]
        self._rows = np.concatenate([*rows, np.zeros(1, np.uint16)])
        self._values = np.concatenate([*values, np.zeros(1, np.float32)])

    def search(self, queries, k):
        """Inner products and rows of the k best of each query, see ``nearest_rows``."""
        k = min(k, self.n_rows)
        neighbors, products = nearest_rows(
            self._starts,
            self._rows,
            self._values,
            self.n_rows,
            queries.indptr.astype(np.int64),
            queries.indices,
            queries.data,
            k,
            effective_n_threads(),
        )
        return products, neighbors
