"""Several label trees, whose scores are averaged."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.compose._base import BlockwiseRankingMixin
from sklearn_xmr.compose._candidates import union_of_rankings, with_values
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils.callbacks import CallbackMixin
from sklearn_xmr.utils.seeding import draw_seed
from sklearn_xmr.utils.topk import topk_of_csr
from sklearn_xmr.utils.validation import align_sparse_type


class XREnsembleClassifier(BlockwiseRankingMixin, CallbackMixin, BaseEstimator):
    """Average of XR-Linear models on different label trees.

    One tree puts some labels among siblings that hide them; another tree groups them
    otherwise. Each tree proposes labels, all trees score the union of the proposals
    exactly, and the mean probability ranks them.

    Parameters
    ----------
    estimator : XRLinearClassifier, default=None
        The model of each tree; None means one with default parameters. Its
        ``random_state`` is replaced by one from the ensemble's.
    n_estimators : int, default=3
        Number of trees.
    n_candidates : int, default=20
        Labels that each tree proposes, at least as many as are asked for.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks proposed labels by weight times score.
        "inverse_propensity" favours rare labels as propensity-scored metrics do.
        Takes effect without a refit.
    random_state : int, RandomState instance or None, default=None
        Seeds the trees.

    Attributes
    ----------
    estimators_ : list of XRLinearClassifier
        The fitted models.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency.
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

    References
    ----------
    Y. Prabhu et al. "Parabel: Partitioned label trees for extreme classification",
    WWW 2018.

    Examples
    --------
    >>> from sklearn_xmr import XREnsembleClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XREnsembleClassifier(n_estimators=2, random_state=0).fit(X[:400], Y[:400])
    >>> labels, scores = clf.predict_topk(X[400:], k=3)
    >>> labels.shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "estimator": [XRLinearClassifier, None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        n_estimators=3,
        *,
        n_candidates=20,
        top_k=20,
        decision_threshold=0.5,
        label_weight=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_candidates = n_candidates
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.label_weight = label_weight
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, relevance=None):
        """Fit each tree.

        Parameters
        ----------
        X, y, sample_weight, relevance
            As in :meth:`XRLinearClassifier.fit`.

        Returns
        -------
        self
        """
        tasks = self._begin_tasks(self.n_estimators)
        rng = check_random_state(self.random_state)
        base = XRLinearClassifier() if self.estimator is None else self.estimator
        self.estimators_ = []
        for number in range(self.n_estimators):
            seed = draw_seed(rng)
            model = clone(base).set_params(random_state=seed)
            with tasks.of_model(f"tree {number + 1}", model):
                model.fit(X, y, sample_weight=sample_weight, relevance=relevance)
            self.estimators_.append(model)
        self._take_form(self.estimators_[0])
        tasks.end(X, y)
        return self

    def score_pairs(self, X, pairs):
        """Mean probability of given (instance, label) pairs.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances.
        pairs : array-like of int or sparse matrix
            As ``candidates`` in :meth:`XRLinearClassifier.predict_topk`.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            With sorted indices; zeros are stored.
        """
        check_is_fitted(self)
        scores = [model._pair_log_scores(X, pairs) for model in self.estimators_]
        values = [
            model._probabilities(one.data)
            for model, one in zip(self.estimators_, scores, strict=True)
        ]
        return align_sparse_type(with_values(scores[0], np.mean(values, axis=0)))

    def _check_instances(self, X):
        check_is_fitted(self)
        return self.estimators_[0]._check_predict_data(X)

    def _rank(self, X, k, weight):
        n_candidates = max(k, self.n_candidates)
        rankings = [
            self._proposals(model, X, n_candidates, weight)
            for model in self.estimators_
        ]
        scores = self.score_pairs(X, union_of_rankings(rankings, self.n_labels_))
        if weight is not None:
            scores.data = scores.data * weight[scores.indices]
        return topk_of_csr(scores, k)

    def _proposals(self, model, X, k, weight):
        """The k best labels of a tree; its search takes the weights into account."""
        if weight is None or model.post_processor == "noop":
            return model._predict_log(X, k)[0]
        weights = model._tree_search.label_weights(self.label_weight, weight)
        return model._predict_log(X, k, weights)[0]
