"""Labels of the nearest training instances: exact sparse cosine neighbours."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_xmr.neighbors._index import ALGORITHMS, make_index
from sklearn_xmr.neighbors._votes import (
    VotingMixin,
    count_votes,
    label_shares,
    nearest_with_label,
    stacked,
)
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._sklearn import Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import MatrixLike, Self, TopK
from sklearn_xmr.utils._unit_rows import unit_rows
from sklearn_xmr.utils._validation import check_count


@storable
class XRNeighborsClassifier(VotingMixin, BaseEstimator):
    """Rank labels by the votes of the most similar training instances.

    The ``n_neighbors`` training instances of highest cosine are found exactly, through
    an inverted index: each feature of an instance adds to the training instances that
    have it, and no others are touched. A label's score is its share of the
    neighbours' votes, weighted by cosine. Dense vectors can be searched approximately
    in a graph.

    Neighbours know rare labels and exact repetitions that a linear model smooths
    away; the two together rank better than either, see
    :class:`XRStackingClassifier`.

    Parameters
    ----------
    n_neighbors : int, default=50
        Training instances that vote.
    power : float, default=2.0
        A neighbour of cosine s has ``s ** power`` votes.
    algorithm : {"exact", "hnsw"}, default="exact"
        "exact" is made for sparse vectors. "hnsw" is for dense ones, such as
        embeddings: approximate search in a graph, by the package faiss (``pip install
        'sklearn-xmr[ann]'``).
    search_breadth : int, default=128
        Candidates that "hnsw" keeps in a search, at least ``n_neighbors``: more find
        more of the true neighbours and take longer.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.

    Attributes
    ----------
    index_ : InvertedIndex or HNSWIndex
        The training instances.
    instances_ : ndarray of int of shape (n_indexed,)
        Rows of the training data that are in the index: those of positive weight.
    targets_ : csr_matrix of shape (n_indexed, n_labels)
        Their labels.
    sample_weight_ : ndarray of float32 of shape (n_indexed,) or None
        Their weights.
    class_prior_ : ndarray of float32 of shape (n_labels,)
        Share of the training instances that have each label.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    XRLabelVectorsClassifier : Searches labels instead of instances.
    sklearn.neighbors.KNeighborsClassifier : For few features and labels.

    Notes
    -----
    Exact search takes time in proportion to the training instances that share a
    feature with the query. Only training instances of positive cosine vote. The graph
    of "hnsw" depends on the order in which threads insert vectors: for the same model
    again, fit with one thread (``threadpoolctl.threadpool_limits(1)``).
    ``n_neighbors``, ``power``, ``search_breadth``, ``top_k`` and
    ``decision_threshold`` take effect without a refit.

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
        "algorithm": [StrOptions(set(ALGORITHMS))],
        "search_breadth": [Interval(Integral, 1, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
    }

    _acting_parameters = (
        "n_neighbors",
        "power",
        "search_breadth",
        "top_k",
        "decision_threshold",
        "min_labels",
    )

    def __init__(
        self,
        n_neighbors: int = 50,
        *,
        power: float = 2.0,
        algorithm: Literal["exact", "hnsw"] = "exact",
        search_breadth: int = 128,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.power = power
        self.algorithm = algorithm
        self.search_breadth = search_breadth
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Index the training instances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; rows are scaled to unit length inside.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, which multiply the votes of each instance. An
            instance of weight 0 is left out: it is nobody's neighbour.

        Returns
        -------
        self : XRNeighborsClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; or if X is sparse with many features and ``algorithm`` "hnsw".
        """
        data = self._check_training(X, y, sample_weight)
        self.instances_ = np.arange(data.n_samples)
        if sample_weight is not None:
            self.instances_ = np.flatnonzero(np.asarray(sample_weight, np.float32))
        self.targets_, self.sample_weight_ = data.Y, data.sample_weight
        self.class_prior_ = label_shares(data.Y, data.sample_weight)
        self.index_ = make_index(unit_rows(data.X), self.algorithm)
        return self

    @on_snapshot
    def kneighbors(self, X: MatrixLike, n_neighbors: int | None = None) -> TopK:
        """The most similar training instances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        n_neighbors : int, default=None
            How many; the parameter of the estimator by default.

        Returns
        -------
        cosines : ndarray of float32 of shape (n_samples, n_neighbors)
            Best first; 0 for none. Never more than there are training instances.
        neighbors : ndarray of int of shape (n_samples, n_neighbors)
            Rows of the training data, -1 where fewer have a positive cosine. Equal
            cosines: the smaller row first.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit, or ``n_neighbors`` is no positive
            integer.
        """
        if n_neighbors is None:
            n_neighbors = self.n_neighbors
        n_neighbors = check_count(n_neighbors, "n_neighbors")
        cosines, found = self._nearest(self._check_instances(X), n_neighbors)
        return cosines, np.where(found >= 0, self.instances_[found], -1)

    @on_snapshot
    def votes(self, X: MatrixLike, *, n_nearest: int | None = None) -> Any:
        """Share of the neighbours' votes that each label gets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        n_nearest : int, default=None
            Also return how near the nearest of the neighbours are, so many of them.

        Returns
        -------
        votes : csr_matrix of float32 of shape (n_samples, n_labels)
            With sorted indices; labels without a vote are not stored.
        cosines : ndarray of float32 of shape (n_samples, n_nearest)
            Of the nearest neighbours, best first; 0 for none. Only with ``n_nearest``.
        of_labels : csr_matrix of float32 of shape (n_samples, n_labels)
            Cosine of the nearest of these that has the label. Only with ``n_nearest``.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit, or ``n_nearest`` is no positive
            integer.
        """
        X = self._check_instances(X)
        found = [
            self._nearest(X[block], self.n_neighbors)
            for block in self._blocks(X.shape[0])
        ]
        votes = stacked([self._count(*part) for part in found])
        if n_nearest is None:
            return votes
        n = check_count(n_nearest, "n_nearest")
        cosines, neighbors = (
            np.concatenate(part)[:, :n] for part in zip(*found, strict=True)
        )
        return votes, cosines, nearest_with_label(cosines, neighbors, self.targets_)

    def _votes(self, X):
        return self._count(*self._nearest(X, self.n_neighbors))

    def _nearest(self, X, n_neighbors):
        """Cosines and positions in the index of the nearest instances."""
        return self.index_.search(unit_rows(X), n_neighbors, self.search_breadth)

    def _count(self, cosines, neighbors):
        """Share of the votes of each label: CSR (n_samples, n_labels)."""
        found = neighbors >= 0
        votes = np.where(found, cosines, 0) ** np.float32(self.power) * found
        if self.sample_weight_ is not None:
            votes *= self.sample_weight_[neighbors]
        votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-30)
        indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
        shape = (len(neighbors), self.targets_.shape[0])
        voters = sparse.csr_matrix((votes[found], neighbors[found], indptr), shape)
        return count_votes(voters, self.targets_, self._prior())
