"""Several rankings made into one by a classifier of (instance, label) pairs."""

import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from sklearn_xmr.base import BlockwiseRankingMixin, RawInstancesMixin
from sklearn_xmr.compose._averaging import XREnsembleClassifier
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    further_metadata,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.compose._pair_features import LabelStatistics
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.compose._proposals import propose
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.neighbors import XRNeighborsClassifier
from sklearn_xmr.utils._callbacks import CallbackMixin
from sklearn_xmr.utils._checkpoint_folders import check_repeatable, in_own_folder
from sklearn_xmr.utils._fitted_state import fit_in_one_step
from sklearn_xmr.utils._held_out import VALIDATION_SIZE, splits_for
from sklearn_xmr.utils._rankings import (
    rows_of_pairs,
    topk_of_csr,
    union_of_rankings,
    values_at,
    with_values,
)
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import (
    BaseComposition,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    raise_for_params,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, RandomState, Self

TIE_BREAK = 1e-4  # share of the models' own scores in the final one


@storable
class XRStackingClassifier(
    RawInstancesMixin, BlockwiseRankingMixin, CallbackMixin, BaseComposition
):
    """Label trees and nearest neighbours, ranked anew by gradient boosting.

    The most precise recipe without a transformer. Each model proposes labels. For
    each pair of an instance and a proposed label, a small classifier sees how every
    model scores it, absolutely and among the instance's other candidates, how
    frequent the label is, and how well it goes with the instance's best labels. It
    learns from instances that the models were not trained on, so that its
    probabilities are close to observed frequencies.

    Parameters
    ----------
    estimators : list of (str, estimator), default=None
        Models of many labels: those of this package, or any classifier of
        scikit-learn that takes a dense label indicator. Trees and neighbours also
        score what the others propose. None means two label trees,
        ``XREnsembleClassifier(XRLinearClassifier(C=0.5), 2)``, and
        ``XRNeighborsClassifier(power=4.0)``.
    final_estimator : classifier, default=None
        Binary classifier of pairs with ``predict_proba``; None means
        :class:`sklearn.ensemble.HistGradientBoostingClassifier` with
        ``l2_regularization=10``.
    n_candidates : int, default=20
        Labels that each model proposes, at least as many as are asked for.
    validation_size : int or float, default=None
        Instances (number, or share) on which the final estimator learns. None: a
        tenth, but at least 1,000 and at most 10,000, and never more than a third.
    cv : int, splitter or iterable of (train, test), default=None
        Number of folds, at least 2, or splits of all rows, each held out once: the
        final estimator learns from all instances, for as many times the time. It pays
        on few instances. Folds of groups are given as their splits,
        ``list(GroupKFold(5).split(X, y, groups))``. None: one split, by
        ``validation_size``.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks candidates by weight times score.
        "inverse_propensity" favours rare labels as propensity-scored metrics do.
        Takes effect without a refit.
    n_jobs : int, default=None
        Number of splits to fit at a time, as joblib counts: None means one, unless
        ``joblib.parallel_config`` says otherwise; -1 means all cores. Each has its
        share of the cores, so that it pays on machines with many.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out instances, and seeds models that have no seed of their own.
    verbose : int, default=0
        1 prints a line for each part of the training.

    Attributes
    ----------
    estimators_ : list of estimators
        The models, fitted on all instances.
    final_estimator_ : classifier or None
        The classifier of pairs; None where the held-out pairs were all right or all
        wrong, and models' mean scores rank alone.
    statistics_ : LabelStatistics
        Frequencies of labels and of pairs of them.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    XREnsembleClassifier : The trees alone.
    sklearn.ensemble.StackingClassifier : For few classes.

    Notes
    -----
    The models are fitted twice (with ``cv``, once more than there are folds): without
    the held-out instances, to teach the final estimator, and on all of them.

    ``n_candidates``, ``top_k``, ``label_weight``, ``decision_threshold`` and
    ``min_labels`` take effect without a refit. With metadata routing enabled, models
    have to request what ``fit`` is given.

    References
    ----------
    D. Wolpert. "Stacked generalization", Neural Networks 5, 1992.

    Examples
    --------
    >>> from sklearn_xmr import XRStackingClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=1000, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRStackingClassifier(random_state=0).fit(X[:900], Y[:900])
    >>> labels, scores = clf.predict_topk(X[900:], k=3)
    >>> labels.shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "estimators": [list, None],
        "final_estimator": [HasMethods(["fit", "predict_proba"]), None],
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "validation_size": VALIDATION_SIZE,
        "cv": ["cv_object"],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _acting_parameters = (
        "n_candidates",
        "top_k",
        "decision_threshold",
        "min_labels",
        "label_weight",
    )

    def __init__(
        self,
        estimators: list[tuple[str, Estimator]] | None = None,
        final_estimator: Estimator | None = None,
        *,
        n_candidates: int = 20,
        validation_size: float | None = None,
        cv: int | Estimator | None = None,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        label_weight: ArrayLike | Literal["inverse_propensity"] | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.estimators = estimators
        self.final_estimator = final_estimator
        self.n_candidates = n_candidates
        self.validation_size = validation_size
        self.cv = cv
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.label_weight = label_weight
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give parameters, and those of the models by name (``trees__n_estimators``).

        Parameters
        ----------
        deep : bool, default=True
            Include the models and their parameters.

        Returns
        -------
        dict
            Values by name.
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, models by their names, or parameters of models.

        Parameters
        ----------
        **params : dict
            Their values by name.

        Returns
        -------
        self : XRStackingClassifier
            The estimator, with the new parameters.
        """
        return self._set_params("estimators", **params)

    # --- fit -----------------------------------------------------------------------

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
        """Fit the models and the classifier of their pairs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts
            Instances. Texts, tables with columns other than numbers and
            HybridFeatures go to the models as they are: each may be a Pipeline with
            features of its own.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the instances, for the models whose ``fit`` takes
            them, and for the classifier of pairs if its does. An instance of weight 0
            is left out.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label, for the models whose ``fit`` takes it:
            non-negative, zero outside the positives of y.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, for the models whose ``fit`` takes them: its
            non-zeros.
        **fit_params : dict
            Further metadata that the models request, where scikit-learn's metadata
            routing is enabled.

        Returns
        -------
        self : XRStackingClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If y holds values other than 0 and 1, or shapes disagree; if something is
            given that no model takes; or if a parameter does not suit the data.
        """
        raise_for_params(fit_params, self, "fit")
        check_repeatable(self)
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        rng = check_random_state(self.random_state)
        models, final = self._seeded_models(rng)
        more = further_metadata(X, fit_params, sample_weight)
        models = self._route(models, data, more)
        splits = splits_for(
            data, self.validation_size, self.cv, rng, X, y, sample_weight
        )
        tasks = self._begin_tasks(len(splits) + 2)
        side_by_side = effective_n_jobs(self.n_jobs) > 1
        if side_by_side:
            pairs, fitted = self._fit_side_by_side(models, data, splits, tasks)
        else:
            pairs = self._held_out_pairs(models, data, splits, tasks)
        with tasks.task("classifier of pairs"):
            self.final_estimator_ = _fit_final(final, pairs)
        log_line(self, f"classifier of pairs: fitted on {pairs!r}")
        if not side_by_side:
            with tasks.task("models"):
                fitted = _fit_models(models, data, "all")
        log_line(self, f"models: {len(models)} fitted on {data.n_samples} instances")
        self.estimators_ = fitted
        self.statistics_ = LabelStatistics(data.Y)
        tasks.end(X, y)
        return self

    def _has_default_model(self):
        return self.estimators is None

    def _named_models(self):
        """Unfitted models by name."""
        if self.estimators is None:
            return dict(default_estimators())
        _check_pairs(self.estimators)
        self._validate_names([name for name, _ in self.estimators])
        return dict(self.estimators)

    def _seeded_models(self, rng):
        """Unfitted models and final estimator, with seeds where none are set."""
        models = {
            name: seeded(model, rng) for name, model in self._named_models().items()
        }
        final = self.final_estimator
        if final is None:
            # Regularised: +0.1 at P@1 and P@5 on tate (three seeds) against 0.
            final = HistGradientBoostingClassifier(l2_regularization=10.0)
        return models, seeded(final, rng)

    def _route(self, models, data, more):
        """Unfitted models with what else their ``fit`` is given."""
        routed = route_fit(self, models, data, more, used=("sample_weight",))
        return [(model, routed[name]) for name, model in models.items()]

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to which model.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, self._named_models())

    def _fit_side_by_side(self, models, data, splits, tasks):
        """Pairs of held-out instances, and the models fitted on all, at a time."""
        fits = [
            delayed(self._pairs)(models, data, number, *split)
            for number, split in enumerate(splits, 1)
        ]
        fits.append(delayed(_fit_models)(models, data, "all"))
        with tasks.task("models, with and without held-out instances"):
            *parts, fitted = Parallel(n_jobs=self.n_jobs)(fits)
        return LabelledPairs.concatenate(parts), fitted

    def _held_out_pairs(self, models, data, splits, tasks):
        """Pairs of held-out instances and the labels that are proposed for them."""
        parts = []
        for number, (rest, held_out) in enumerate(splits, 1):
            with tasks.task("models without held-out instances"):
                parts.append(self._pairs(models, data, number, rest, held_out))
            log_line(
                self,
                f"split {number} of {len(splits)}: {len(models)} models fitted on "
                f"{len(rest)} instances, {parts[-1]!r} of {len(held_out)} held out",
            )
        return LabelledPairs.concatenate(parts)

    def _pairs(self, models, data, number, rest, held_out):
        fitted = _fit_models(models, data, f"split_{number}", rest)
        statistics = LabelStatistics(data.Y[rest])
        held = data.rows(held_out)
        pairs, features, _ = _features(fitted, statistics, held.X, self.n_candidates)
        weights = held.sample_weight
        if weights is not None:
            weights = weights[rows_of_pairs(pairs)]
        return LabelledPairs(features, values_at(held.Y, pairs) > 0, weights)

    # --- predict -------------------------------------------------------------------

    def _rank(self, X, k, weights=None):
        pairs, scores = self._score_proposals(X, max(k, self.n_candidates))
        if weights is not None:
            scores = scores * weights[pairs.indices]
        return topk_of_csr(with_values(pairs, scores.astype(np.float32)), k)

    def _score_pairs(self, X, pairs):
        """Probabilities of pairs beside those that the models propose."""
        scored = with_values(*self._score_proposals(X, self.n_candidates, pairs))
        return values_at(scored, pairs)

    def _score_proposals(self, X, n_candidates, more=None):
        """Proposed pairs, and more, with their probabilities."""
        pairs, features, scores = _features(
            self.estimators_, self.statistics_, X, n_candidates, more
        )
        if self.final_estimator_ is not None and pairs.nnz:
            final = self.final_estimator_.predict_proba(features)[:, 1]
            # Boosting gives equal scores to many pairs: the models' own order them.
            scores = (1 - TIE_BREAK) * final + TIE_BREAK * scores
        return pairs, scores


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs on which the final estimator learns.

    Parameters
    ----------
    features : ndarray of float32 of shape (n_pairs, n_pair_features)
        What is known of each pair.
    right : ndarray of bool of shape (n_pairs,)
        Whether the instance has the label.
    weights : ndarray of float32 of shape (n_pairs,) or None
        Those of the instances.
    """

    features: np.ndarray
    right: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def concatenate(cls, parts):
        """All pairs of some (list of LabelledPairs)."""
        columns = zip(*((p.features, p.right, p.weights) for p in parts), strict=True)
        return cls(*(None if c[0] is None else np.concatenate(c) for c in columns))

    def __repr__(self):
        return f"{len(self.right)} pairs, {self.right.sum()} of them right"


def default_estimators():
    """The recipe: two label trees and the neighbours.

    C=0.5 instead of 1 trains a quarter faster at the same precision of the whole, on
    tate, tibkat and yso (benchmarks/RESULTS.md).

    Returns
    -------
    list of (str, estimator)
    """
    trees = XREnsembleClassifier(asking(XRLinearClassifier(C=0.5)), n_estimators=2)
    neighbors = XRNeighborsClassifier(power=4.0)
    return [("trees", asking(trees)), ("neighbors", asking(neighbors))]


def _features(models, statistics, X, n_candidates, more=None):
    """Pairs that any model proposes, and more; features and mean score of each."""
    n_labels = len(statistics.log_frequency)
    proposals = [propose(model, X, min(n_candidates, n_labels)) for model in models]
    pairs = union_of_rankings([one.labels for one in proposals], n_labels)
    if more is not None:
        pairs = pairs + more
    scores = [one.scores(pairs) for one in proposals]
    features = [
        one.features(values, pairs)
        for one, values in zip(proposals, scores, strict=True)
    ]
    features.append(statistics.features(scores[0], pairs))
    return pairs, np.hstack(features), np.mean(scores, axis=0)


def _fit_models(models, data, name, rows=None):
    """Clones of the models, fitted on some rows, which have a name."""
    fitted = []
    for number, (model, parameters) in enumerate(models, 1):
        one = in_own_folder(clone(model), os.path.join(f"model_{number}", name))
        fitted.append(fit_model(one, data, parameters, rows))
    return fitted


def _check_pairs(estimators):
    """ValueError unless a list of named estimators, at least one."""
    for pair in estimators:
        if not (isinstance(pair, tuple) and len(pair) == 2 and hasattr(pair[1], "fit")):
            raise ValueError(
                f"estimators must be a list of (name, estimator), found {pair!r}"
            )
    if not estimators:
        raise ValueError("estimators must name at least one model, got an empty list")


def _fit_final(final, pairs):
    """The fitted classifier of pairs, or None where there is nothing to tell apart."""
    if pairs.right.all() or not pairs.right.any():
        return None
    weights = {}
    if pairs.weights is not None and has_fit_parameter(final, "sample_weight"):
        weights = {"sample_weight": pairs.weights}
    return final.fit(pairs.features, pairs.right, **weights)
