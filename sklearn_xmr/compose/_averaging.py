"""Several label trees, whose scores are averaged."""

from numbers import Integral, Real
from typing import Literal

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from sklearn_xmr.base import BlockwiseRankingMixin, HybridRankingMixin
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    refuse_settings,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._callbacks import CallbackMixin
from sklearn_xmr.utils._checkpoint_folders import check_repeatable, in_own_folder
from sklearn_xmr.utils._fitted_state import fit_in_one_step
from sklearn_xmr.utils._rankings import topk_of_csr, union_of_rankings, with_values
from sklearn_xmr.utils._seeding import draw_seed
from sklearn_xmr.utils._sklearn import Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import MatrixLike, RandomState, Self


@storable
class XREnsembleClassifier(
    HybridRankingMixin, BlockwiseRankingMixin, CallbackMixin, BaseEstimator
):
    """Average of XR-Linear models on different label trees.

    One tree puts some labels among siblings that hide them; another tree groups them
    otherwise. Each tree proposes labels, all trees score the union of the proposals
    exactly, and the mean probability ranks them.

    Parameters
    ----------
    estimator : XRLinearClassifier, default=None
        The model of each tree; None means one with default parameters. Its
        ``random_state`` is replaced by one from the ensemble's, and a
        ``checkpoint_dir`` by a folder inside for each tree.
    n_estimators : int, default=3
        Number of trees.
    n_candidates : int, default=20
        Labels that each tree proposes, at least as many as are asked for.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks proposed labels by weight times score.
        "inverse_propensity" favours rare labels as propensity-scored metrics do.
        Takes effect without a refit.
    n_jobs : int, default=None
        Number of trees to fit at a time, as joblib counts: None means one, unless
        ``joblib.parallel_config`` says otherwise; -1 means all cores. Each has its
        share of the cores, so that it pays on machines with many.
    random_state : int, RandomState instance or None, default=None
        Seeds the trees.
    verbose : int, default=0
        1 prints a line for each tree.

    Attributes
    ----------
    estimators_ : list of XRLinearClassifier
        The fitted models.
    target_form_ : TargetForm
        The form of y.
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
    n_dense_features_ : int
        How many of them were a dense block: 0 unless X was HybridFeatures.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    XRStackingClassifier : Learns how far to trust each model.

    Notes
    -----
    ``n_candidates``, ``top_k``, ``label_weight``, ``decision_threshold`` and
    ``min_labels`` take effect without a refit, as ``beam_size`` and
    ``post_processor`` of the fitted models do. With metadata routing enabled,
    ``estimator`` has to request what ``fit`` is given.

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
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    scores_each_pair = True
    _acting_parameters = (
        "n_candidates",
        "top_k",
        "decision_threshold",
        "min_labels",
        "label_weight",
    )

    def __init__(
        self,
        estimator: XRLinearClassifier | None = None,
        n_estimators: int = 3,
        *,
        n_candidates: int = 20,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        label_weight: ArrayLike | Literal["inverse_propensity"] | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_candidates = n_candidates
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.label_weight = label_weight
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
    ) -> Self:
        """Fit each tree.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the instances, in each tree. An instance of weight
            0 is left out.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong: its non-zeros.

        Returns
        -------
        self : XREnsembleClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree.
        """
        tasks, given = self._begin_tasks(self.n_estimators), (X, y)
        check_repeatable(self)
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        rng = check_random_state(self.random_state)
        base = self._model()
        refuse_settings(base, ("label_weight",), "estimator")
        parameters = route_fit(self, {"estimator": base}, data)["estimator"]
        trees = [self._tree(base, number, rng) for number in range(self.n_estimators)]
        if effective_n_jobs(self.n_jobs) > 1:
            fits = (delayed(fit_model)(tree, data, parameters) for tree in trees)
            trees = Parallel(n_jobs=self.n_jobs)(fits)
            log_line(self, f"{len(trees)} trees, several at a time")
        else:
            self._fit_in_turn(trees, data, parameters, tasks)
        self.estimators_ = trees
        tasks.end(*given)
        return self

    def _tree(self, base, number, rng):
        tree = in_own_folder(clone(base), f"tree_{number + 1}")
        return tree.set_params(random_state=draw_seed(rng))

    def _fit_in_turn(self, trees, data, parameters, tasks):
        """Fit trees one after another, and say how far it is."""
        for number, tree in enumerate(trees, 1):
            with tasks.of_model(f"tree {number}", tree):
                fit_model(tree, data, parameters)
            log_line(self, f"tree {number} of {len(trees)}: {tree.model_!r}")

    def _model(self):
        if self.estimator is None:
            return asking(XRLinearClassifier())
        return self.estimator

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the models.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, {"estimator": self._model()})

    def _rank(self, X, k, weights=None):
        n_candidates = min(max(k, self.n_candidates), self.n_labels_)
        rankings = [
            _proposals(model, X, n_candidates, weights) for model in self.estimators_
        ]
        pairs = union_of_rankings(rankings, self.n_labels_)
        scores = self._score_pairs(X, pairs)
        if weights is not None:
            scores = scores * weights[pairs.indices]
        return topk_of_csr(with_values(pairs, scores), k)

    def _score_pairs(self, X, pairs):
        """Mean probability of each pair."""
        scores = [_probabilities(model, X, pairs) for model in self.estimators_]
        return np.mean(scores, axis=0)


def _proposals(model, X, k, weights):
    """The k best labels of a tree; its search takes label weights into account."""
    if model.scoring_rule.is_margin:
        weights = None
    labels, _ = model.model_.topk(
        X,
        k,
        beam_size=model.effective_beam_size,
        post_processor=model.scoring_rule,
        label_weight=weights,
    )
    return labels


def _probabilities(model, X, pairs):
    rule = model.scoring_rule
    scores = model.model_.score_pairs(X, pairs, post_processor=rule)
    return rule.probabilities(scores.data)
