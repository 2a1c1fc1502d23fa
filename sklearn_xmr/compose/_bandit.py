"""A contextual bandit: show labels, learn from the rewards of those that were shown."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state

from sklearn_xmr.base import (
    BlockwiseRankingMixin,
    RankingClassifierMixin,
    RawInstancesMixin,
    retrieved_probabilities,
    rows_of,
)
from sklearn_xmr.compose._exploration import (
    UniformDraws,
    draw,
    inclusion_probabilities,
)
from sklearn_xmr.compose._feedback import Feedback
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    further_metadata,
    own_copy,
    probabilities_at,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._fitted_state import (
    change_in_one_step,
    fit_in_one_step,
    on_snapshot,
)
from sklearn_xmr.utils._matrices import align_sparse_type, ready_csr
from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._response import (
    label_columns,
    last_step,
    partial_fit,
    topk_of_scores,
)
from sklearn_xmr.utils._seeding import draw_seed, seeded
from sklearn_xmr.utils._sklearn import (
    HasMethods,
    Interval,
    fit_context,
    num_samples,
    raise_for_params,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR, Estimator, MatrixLike, RandomState, Self
from sklearn_xmr.utils._validation import check_count


@storable
class XRBanditClassifier(RawInstancesMixin, BlockwiseRankingMixin, BaseEstimator):
    """Show labels, some of them to explore, and learn from the rewards of these.

    Of most services nobody says what all right labels were: what is known is whether
    the labels that were shown were taken. Whoever shows the best ones only never learns
    that others are better. Of the k labels that :meth:`recommend` shows, the best ones
    are the model's best; ``n_explored`` are drawn from those that the search in the
    label tree finds next, the more often the closer their probabilities are to the best
    of them (inverse gap weighting). :meth:`learn_rewards` trains the model on what
    came of it.

    Parameters
    ----------
    estimator : estimator, default=None
        With ``predict_proba`` of the best labels, and ``partial_fit``; also a pipeline
        from texts. None means :class:`XRLinearClassifier` with ``negative_cost=0.5``:
        labels that were not shown are taken for wrong, and some are not.
    n_explored : int, default=1
        Labels, of those that :meth:`recommend` shows, that are drawn.
    n_alternatives : int, default=2
        Labels behind the k best that can be drawn: labels far behind are rarely right,
        and each of many is shown too rarely to teach much.
    gamma : float, default=30.0
        A factor of how much a gap in probability counts. It grows with experience, see
        Notes: less and less is tried that is probably wrong.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn, and a model that has no seed of its own.

    Attributes
    ----------
    estimator_ : estimator
        The model, which learns.
    n_rounds_ : int
        Instances from which the model has learnt: those of ``fit`` and of
        :meth:`learn_rewards`.
    draws_ : UniformDraws
        Where the draws stand: one number for each instance of :meth:`recommend`.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed in ``fit``, by its frequency; not how
        likely a label is shown.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    sklearn_xmr.metrics.policy_value : What another policy would have been worth.
    XRLinearClassifier.partial_fit : Learns where all right labels are known.

    Notes
    -----
    Of the A labels that are retrieved and not surely shown, each but the best is shown
    with probability ``1 / (A + g * gap)``, and the best with what is left; g is
    ``gamma`` times the square root of A times ``n_rounds_``, as the regret bound asks.
    For ``n_explored`` r above 1, each but the r best is shown with probability
    ``r / (A + g * gap)``, with the gap to the r-th best; systematic sampling draws r
    labels with exactly these probabilities, whereas the paper draws one after the
    other.

    In 20,000 simulated rounds (``benchmarks/RESULTS.md``), exploring did not bring more
    reward than ``n_explored=0``; it makes logs from which policies can be valued.

    The same seed draws the same, whether instances come one by one or in batches; each
    call goes on where the last one ended, as do copies and model files. Settings take
    effect without a refit.

    References
    ----------
    R. Sen, A. Rakhlin, L. Ying, R. Kidambi, D. Foster, D. Hill, I. Dhillon. "Top-k
    eXtreme Contextual Bandits with Arm Hierarchy", ICML 2021, arXiv 2102.07800.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr import XRBanditClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=2000, n_features=300, n_labels=50, random_state=0)
    >>> bandit = XRBanditClassifier(random_state=0).fit(X[:100], Y[:100])
    >>> for first in range(100, 2000, 100):
    ...     rows = slice(first, first + 100)
    ...     labels, propensities = bandit.recommend(X[rows], k=5)
    ...     rewards = Y[rows][np.arange(100)[:, None], labels].toarray()
    ...     bandit = bandit.learn_rewards(X[rows], labels, rewards, propensities)
    >>> bandit.n_rounds_
    2000
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "n_explored": [Interval(Integral, 0, None, closed="left")],
        "n_alternatives": [Interval(Integral, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    _acting_parameters = (
        "top_k",
        "decision_threshold",
        "min_labels",
        "n_explored",
        "n_alternatives",
        "gamma",
    )

    def __init__(
        self,
        estimator: Estimator | None = None,
        *,
        n_explored: int = 1,
        n_alternatives: int = 2,
        gamma: float = 30.0,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        top_k: int = 20,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_explored = n_explored
        self.n_alternatives = n_alternatives
        self.gamma = gamma
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.top_k = top_k
        self.random_state = random_state

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the model on instances whose labels are known: some hundred are a start.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances. Texts and tables go unread to a model that takes them, such as a
            pipeline with a vectorizer.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance. Labels without an
            instance can be columns: they are shown where the search retrieves them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a model whose ``fit`` takes them. An
            instance of weight 0 is left out.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label, for a model whose ``fit`` takes it:
            non-negative, zero outside the positives of y.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, for a model whose ``fit`` takes them: its
            non-zeros.
        **fit_params : dict
            Further metadata that the model requests, where scikit-learn's metadata
            routing is enabled.

        Returns
        -------
        self : XRBanditClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; or if something is given that the model does not take.
        """
        raise_for_params(fit_params, self, "fit")
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        rng = check_random_state(self.random_state)
        base = seeded(self._model(), rng)
        more = further_metadata(X, fit_params, sample_weight)
        routed = route_fit(self, {"estimator": base}, data, more)
        self.estimator_ = fit_model(base, data, routed["estimator"])
        self.draws_ = UniformDraws(draw_seed(rng))
        self.n_rounds_ = data.n_samples
        return self

    @on_snapshot
    def recommend(self, X: MatrixLike, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Choose the labels to show: the best ones, and ``n_explored`` that are drawn.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.
        k : int, default=5
            Number of labels; at most ``n_labels_`` are returned.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``), the more probable first; -1
            where fewer were retrieved.
        propensities : ndarray of float64 of shape (n_samples, k)
            Probability with which each label was to be shown, for
            :func:`sklearn_xmr.metrics.policy_value`; 1 where the label is -1.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit, or ``k`` is not a positive integer,
            or less than ``n_explored``.
        """
        labels, probabilities = self._explorable(X, k)
        drawn = draw(probabilities, self.draws_.next(len(labels)))
        n_shown = min(k, labels.shape[1])
        first = np.argsort(~drawn, axis=1, kind="stable")[:, :n_shown]
        places = np.arange(len(labels))[:, None], first
        is_shown = drawn[places]
        propensities = np.where(is_shown, probabilities[places], 1.0)
        return np.where(is_shown, labels[places], -1), propensities

    @on_snapshot
    def show_probabilities(self, X: MatrixLike, k: int = 5) -> CSR:
        """Probability of each label to be shown by :meth:`recommend`; draws nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.
        k : int, default=5
            Number of labels that would be shown.

        Returns
        -------
        csr_matrix of float64 of shape (n_samples, n_labels)
            Labels that are not stored are never shown; rows sum to k where as many
            labels are retrieved.

        Raises
        ------
        ValueError
            As :meth:`recommend`.
        """
        labels, probabilities = self._explorable(X, k)
        labels = np.where(probabilities > 0, labels, -1)
        return align_sparse_type(csr_from_topk(labels, probabilities, self.n_labels_))

    @change_in_one_step
    def learn_rewards(
        self,
        X: MatrixLike,
        labels: ArrayLike,
        rewards: ArrayLike,
        propensities: ArrayLike | None = None,
    ) -> Self:
        """Learn from the rewards of labels that were shown.

        Instances of which a label was right are given to the ``partial_fit`` of the
        model, with the other shown ones as ``negatives``. Those of which no label was
        right teach nothing: a tree would learn that no label suits them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.
        labels : array-like of int of shape (n_samples, k)
            Labels that were shown, as :meth:`recommend` returned them, or any others;
            -1 for none.
        rewards : array-like of shape (n_samples, k)
            1 for a label that was right (taken, clicked), 0 for one that was not;
            ignored where the label is -1.
        propensities : array-like of shape (n_samples, k), default=None
            Probability with which each was shown, as :meth:`recommend` returned it. A
            right label of probability p weighs 1 / p, at most 3: it stands for those
            that were right and not shown, and are taken for wrong. For a model whose
            ``partial_fit`` takes ``relevance``.

        Returns
        -------
        self : XRBanditClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If shapes disagree, a label is not known or twice in a row, a reward is not
            0 or 1, or a propensity not above 0 and at most 1. The estimator is left
            unchanged.
        TypeError
            If the model has no ``partial_fit``.
        """
        X = self._check_instances(X)
        feedback = Feedback.checked(labels, rewards, propensities, self.n_labels_)
        check_consistent_length(X, feedback.labels)
        self.estimator_ = own_copy(self.estimator_)
        rows = np.flatnonzero(feedback.is_right.any(axis=1))
        if len(rows):
            right, known = feedback.rows(rows).targets(self.n_labels_)
            partial_fit(self.estimator_, rows_of(X, rows), right, **known)
        self.n_rounds_ += num_samples(X)

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the model.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, {"estimator": self._model()})

    def _has_default_model(self):
        return self.estimator is None

    def _model(self):
        if self.estimator is None:
            # Tate's subjects, 20,000 rounds of the greedy policy: 1.668 labels a round
            # with a cost of 1, 1.680 with 0.5, 1.668 with 0.25.
            return asking(XRLinearClassifier(negative_cost=0.5))
        return self.estimator

    def _check_instances(self, X):
        if hasattr(self, "n_features_in_") and not hasattr(self, "feature_names_in_"):
            ready = ready_csr(X, self.n_features_in_)
            if ready is not None:  # one row: 15 microseconds, not 300
                return ready
        return super()._check_instances(X)

    def _explorable(self, X, k):
        """What can be shown, best first, and how probably each is."""
        check_count(k, "k")
        if self.n_explored > k:
            raise ValueError(
                f"k must be at least n_explored, {self.n_explored}, got {k}: set "
                "n_explored to the number of labels that may be drawn"
            )
        labels, scores = self._rank_blocks(X, k + self.n_alternatives)
        n_greedy = k - self.n_explored
        n_others = max(1, labels.shape[1] - n_greedy)
        gamma = self.gamma * np.sqrt(n_others * self.n_rounds_)
        return labels, inclusion_probabilities(
            scores, labels >= 0, n_greedy, self.n_explored, gamma
        )

    def _rank(self, X, k):
        """The most probable labels and their probabilities, by the model."""
        clf, features = last_step(self.estimator_, X)
        if isinstance(clf, RankingClassifierMixin):
            return retrieved_probabilities(clf, features, k)
        return topk_of_scores(label_columns(clf, clf.predict_proba(features)), k)

    def _score_pairs(self, X, pairs):
        if pairs.nnz == 0:
            return np.empty(0, dtype=np.float32)
        return probabilities_at(self.estimator_, X, pairs)
