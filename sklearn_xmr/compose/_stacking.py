"""Several rankings made into one by a classifier of (instance, label) pairs."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_xmr.compose._base import BlockwiseRankingMixin, targets_for
from sklearn_xmr.compose._candidates import (
    rows_of_pairs,
    union_of_rankings,
    values_at,
    with_values,
)
from sklearn_xmr.compose._ensemble import XREnsembleClassifier
from sklearn_xmr.compose._neighbors import XRNeighborsClassifier
from sklearn_xmr.compose._pair_features import LabelStatistics
from sklearn_xmr.compose._proposals import propose
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils.callbacks import CallbackMixin
from sklearn_xmr.utils.held_out import VALIDATION_SIZE, held_out_splits
from sklearn_xmr.utils.instances import is_for_models_inside, rows_of
from sklearn_xmr.utils.seeding import seeded
from sklearn_xmr.utils.topk import topk_of_csr
from sklearn_xmr.utils.validation import (
    check_relevance,
    check_weights,
    rows_of_weight,
)

TIE_BREAK = 1e-4  # share of the models' own scores in the final one


class XRStackingClassifier(BlockwiseRankingMixin, CallbackMixin, _BaseComposition):
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
        scikit-learn that takes a dense label indicator. One that has
        ``score_pairs`` also scores what the others propose. None means
        two label trees, ``XREnsembleClassifier(XRLinearClassifier(C=0.5), 2)``, and
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
    cv : int, default=None
        Number of folds, at least 2, each held out once: the final estimator learns from
        all instances, for as many times the time. It pays on few instances. None: one
        split, by ``validation_size``.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks candidates by weight times score.
        "inverse_propensity" favours rare labels as propensity-scored metrics do.
        Takes effect without a refit.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out instances, and seeds models that have no seed of their own.

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
        "cv": [Interval(Integral, 2, None, closed="left"), None],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimators=None,
        final_estimator=None,
        *,
        n_candidates=20,
        validation_size=None,
        cv=None,
        top_k=20,
        decision_threshold=0.5,
        label_weight=None,
        random_state=None,
    ):
        self.estimators = estimators
        self.final_estimator = final_estimator
        self.n_candidates = n_candidates
        self.validation_size = validation_size
        self.cv = cv
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.label_weight = label_weight
        self.random_state = random_state

    def get_params(self, deep=True):
        """Parameters, and those of the models by their names (``trees__n_estimators``).

        Parameters
        ----------
        deep : bool, default=True
            Include the models and their parameters.

        Returns
        -------
        dict
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params):
        """Set parameters, models by their names, or parameters of models.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self
        """
        return self._set_params("estimators", **params)

    # --- fit -----------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, relevance=None):
        """Fit the models and the classifier of their pairs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts
            Instances. Texts, tables with columns other than numbers and
            HybridFeatures go to the models as they are: each may be a Pipeline with
            features of its own.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight, relevance
            As in :meth:`XRLinearClassifier.fit`, for the models whose ``fit`` takes
            them; weights also count in the classifier of pairs.

        Returns
        -------
        self
        """
        tasks, given = self._begin_tasks((self.cv or 1) + 2), (X, y)
        X, Y = self._check_training(X, y)
        weight = check_weights(sample_weight, Y.shape[0])
        relevance = check_relevance(relevance, Y)
        weight, X, Y, relevance = rows_of_weight(weight, X, Y, relevance)
        rng = check_random_state(self.random_state)
        models, final = self._seeded_models(rng)
        parts = []
        for split in held_out_splits(Y.shape[0], self.validation_size, self.cv, rng):
            with tasks.task("models without held-out instances"):
                parts.append(
                    self._held_out_pairs(models, X, Y, weight, relevance, *split)
                )
        features, right, weights = (np.concatenate(p) for p in zip(*parts, strict=True))
        with tasks.task("classifier of pairs"):
            weights = {} if weight is None else {"sample_weight": weights}
            self.final_estimator_ = _fit_final(final, features, right, weights)
        with tasks.task("models"):
            self.estimators_ = _fit_models(models, X, Y, slice(None), weight, relevance)
        self.statistics_ = LabelStatistics(Y)
        tasks.end(*given)
        return self

    def _check_training(self, X, y):
        if not is_for_models_inside(X):
            return super()._check_training(X, y)
        if self.estimators is None:
            raise ValueError(
                "X is no matrix of numbers, which the default estimators need: put a "
                "vectorizer before this classifier, or give estimators that are "
                "pipelines with one"
            )
        return X, self._check_targets(X, y)

    def _check_instances(self, X):
        if is_for_models_inside(X):
            check_is_fitted(self)
            return X
        return super()._check_instances(X)

    def _seeded_models(self, rng):
        """Unfitted models and final estimator, with seeds where none are set."""
        estimators = self.estimators
        if estimators is None:
            estimators = default_estimators()
        models = [seeded(model, rng) for _, model in _checked(estimators)]
        final = self.final_estimator
        if final is None:
            # Regularised: +0.1 at P@1 and P@5 on tate (three seeds) against 0.
            final = HistGradientBoostingClassifier(l2_regularization=10.0)
        final = seeded(final, rng)
        return models, final

    def _held_out_pairs(self, models, X, Y, weight, relevance, taught, held_out):
        """Features of the held-out rows' pairs, which are right, and their weights."""
        first = _fit_models(models, X, Y, taught, weight, relevance)
        self.statistics_ = LabelStatistics(Y[taught])  # of all, at the end of fit
        pairs, features, _ = self._features(
            first, rows_of(X, held_out), self.n_candidates
        )
        weights = np.ones(len(Y.indptr) - 1) if weight is None else weight
        right = values_at(Y[held_out], pairs) > 0
        return features, right, weights[held_out][rows_of_pairs(pairs)]

    # --- predict -------------------------------------------------------------------

    def _rank(self, X, k, weight):
        n_candidates = max(k, self.n_candidates)
        pairs, features, scores = self._features(self.estimators_, X, n_candidates)
        if self.final_estimator_ is not None:
            final = self.final_estimator_.predict_proba(features)[:, 1]
            # Boosting gives equal scores to many pairs: the models' own order them.
            scores = (1 - TIE_BREAK) * final + TIE_BREAK * scores
        if weight is not None:
            scores = scores * weight[pairs.indices]
        return topk_of_csr(with_values(pairs, scores.astype(np.float32)), k)

    def _features(self, models, X, n_candidates):
        """Pairs that any model proposes, features of each, and the mean score."""
        proposals = [propose(model, X, n_candidates) for model in models]
        pairs = union_of_rankings([one.labels for one in proposals], self.n_labels_)
        scores = [one.scores(pairs) for one in proposals]
        features = [
            one.features(values, pairs)
            for one, values in zip(proposals, scores, strict=True)
        ]
        features.append(self.statistics_.features(scores[0], pairs))
        return pairs, np.hstack(features), np.mean(scores, axis=0)


def default_estimators():
    """The recipe: two label trees and the neighbours.

    C=0.5 instead of 1 trains a quarter faster at the same precision of the whole, on
    tate, tibkat and yso (benchmarks/RESULTS.md).
    """
    trees = XREnsembleClassifier(XRLinearClassifier(C=0.5), n_estimators=2)
    return [("trees", trees), ("neighbors", XRNeighborsClassifier(power=4.0))]


def _fit_models(models, X, Y, rows, weight, relevance):
    """Clones of the models, fitted on some rows."""
    given = {"sample_weight": weight, "relevance": relevance}
    given = {name: value for name, value in given.items() if value is not None}
    return [
        clone(model).fit(
            rows_of(X, rows),
            targets_for(model, Y[rows]),
            **{
                name: value[rows]
                for name, value in given.items()
                if has_fit_parameter(model, name)
            },
        )
        for model in models
    ]


def _checked(estimators):
    """ValueError unless a list of named estimators, at least one."""
    for pair in estimators:
        if not (isinstance(pair, tuple) and len(pair) == 2 and hasattr(pair[1], "fit")):
            raise ValueError(
                f"estimators must be a list of (name, estimator), found {pair!r}"
            )
    if not estimators:
        raise ValueError("estimators must name at least one model, got an empty list")
    return estimators


def _fit_final(final, features, right, weight):
    """The fitted classifier of pairs, or None where there is nothing to tell apart."""
    if right.all() or not right.any():
        return None
    return final.fit(features, right, **weight)
