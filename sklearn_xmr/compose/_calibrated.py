"""Scores of any ranking classifier as calibrated probabilities."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from sklearn_xmr.base import BlockwiseRankingMixin, RawInstancesMixin
from sklearn_xmr.compose._curves import (
    IsotonicCurve,
    SigmoidCurve,
    TemperatureScaling,
    curve_of,
)
from sklearn_xmr.compose._fitting import (
    adds_labels,
    asking,
    fit_model,
    further_metadata,
    own_copy,
    probabilities_at,
    retrieved_matrix,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.compose._frozen import FrozenModelMixin
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._checkpoint_folders import in_own_folder
from sklearn_xmr.utils._fitted_state import change_in_one_step, fit_in_one_step
from sklearn_xmr.utils._held_out import VALIDATION_SIZE, held_out_split
from sklearn_xmr.utils._rankings import (
    csr_from_topk,
    rows_of_pairs,
    topk_of_csr,
    values_at,
)
from sklearn_xmr.utils._response import last_estimator, last_step
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    raise_for_params,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, RandomState, Self

SMALLEST, LARGEST = 1e-6, 1 - 1e-6
CURVES = {
    "isotonic": IsotonicCurve,
    "sigmoid": SigmoidCurve,
    "temperature": TemperatureScaling,
}


@storable
class XRCalibratedClassifier(
    FrozenModelMixin, RawInstancesMixin, BlockwiseRankingMixin, BaseEstimator
):
    """Calibrate the scores of a ranking classifier, and choose its threshold.

    The model is fitted without some held-out instances. On these, one curve is learnt
    that maps the scores of the ``top_k`` best labels to how often they are right. Then
    the model is fitted on all. The ranking stays the model's.

    Parameters
    ----------
    estimator : estimator, default=None
        With ``predict_proba`` that gives a matrix with a column for each label, best
        a sparse one of the best labels; None means :class:`XRLinearClassifier`. A
        fitted model in a :class:`sklearn.frozen.FrozenEstimator` is left as it is:
        ``fit`` then takes instances that it has not seen, and learns from all of them.
    method : {"isotonic", "sigmoid", "temperature"}, default="isotonic"
        Any non-decreasing curve; Platt's, logistic in the logarithm of the score; or
        the log-odds of the score by one factor, as
        :class:`sklearn.calibration.CalibratedClassifierCV` scales them.
    validation_size : int or float, default=None
        Instances (number, or share) on which the curve is learnt. None: a tenth, but
        at least 1,000 and at most 10,000, and never more than a third; of a frozen
        model, all, and nothing else may be given.
    decision_threshold : float or "f1", default=0.5
        ``predict`` returns the labels whose probability exceeds it. "f1" chooses the
        threshold with the best micro-averaged F1 on the held-out instances.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out instances, and seeds a model that has no seed of its own.
    verbose : int, default=0
        1 prints a line for each part of the training.

    Attributes
    ----------
    estimator_ : estimator
        The model, fitted on all instances; a copy of a frozen one, which takes labels
        as columns.
    calibrator_ : object with a ``predict``, or None
        The curve, from scores to probabilities; None where held-out labels were all
        right or all wrong.
    threshold_ : float
        What ``predict`` compares with, for "f1"; otherwise the parameter counts.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y; of a frozen model, of that which it was fitted on.
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
    sklearn_xmr.metrics.ece_at_k : The calibration error.
    sklearn.calibration.CalibratedClassifierCV : For few classes.

    Notes
    -----
    ``top_k``, ``decision_threshold`` and ``min_labels`` take effect without a refit;
    more labels than the model's own ``predict_proba`` retrieves cannot be had. With
    metadata routing enabled, ``estimator`` has to request what ``fit`` is given.

    A frozen model is used as it is at ``fit``: if it goes on learning, probabilities
    stay those of before until the next ``fit``, which is quick. Labels of y that it
    does not know, behind its columns or other classes of a 1-D y, are right labels
    that it misses: they count for the F1 of the threshold, and not for the curve.

    References
    ----------
    B. Zadrozny, C. Elkan. "Transforming classifier scores into accurate multiclass
    probability estimates", KDD 2002. J. Platt. "Probabilistic outputs for support
    vector machines", 1999. C. Guo et al. "On Calibration of Modern Neural Networks",
    ICML 2017.

    Examples
    --------
    >>> from sklearn_xmr import XRCalibratedClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.metrics import ece_at_k
    >>> X, Y = make_xmr_classification(
    ...     n_samples=2000, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRCalibratedClassifier(random_state=0).fit(X[:1800], Y[:1800])
    >>> ece = ece_at_k(Y[1800:], clf.predict_proba(X[1800:]))
    >>> ece < ece_at_k(Y[1800:], clf.estimator_.predict_proba(X[1800:]))
    True

    The curve of a model that is fitted already, of instances that are new to it:

    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn_xmr import XRLinearClassifier
    >>> model = XRLinearClassifier(random_state=0).fit(X[:1000], Y[:1000])
    >>> clf = XRCalibratedClassifier(FrozenEstimator(model)).fit(X[1000:], Y[1000:])
    >>> clf.predict(X[:2]).shape
    (2, 50)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "method": [StrOptions({"isotonic", "sigmoid", "temperature"})],
        "validation_size": VALIDATION_SIZE,
        "decision_threshold": [Interval(Real, 0, 1, closed="both"), StrOptions({"f1"})],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Estimator | None = None,
        *,
        method: Literal["isotonic", "sigmoid", "temperature"] = "isotonic",
        validation_size: float | None = None,
        decision_threshold: float | Literal["f1"] = 0.5,
        min_labels: int = 0,
        top_k: int = 20,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.validation_size = validation_size
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.top_k = top_k
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
        **fit_params: Any,
    ) -> Self:
        """Fit the model, unless it is frozen, and its calibration.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances. Texts and tables go unread to a model that takes them, such as a
            pipeline with a vectorizer.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a model whose ``fit`` takes them and
            for its calibration. An instance of weight 0 is left out.
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
        self : XRCalibratedClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; if something is given that the model does not take; or if y
            lacks columns of a frozen model, or all of its labels.
        NotFittedError
            If a frozen model is not fitted.
        """
        raise_for_params(fit_params, self, "fit")
        self._check_model()
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        more = further_metadata(X, fit_params, sample_weight)
        if self._is_frozen():
            self._check_unused(data, more)
            self._learn_curve(self.estimator_, data)
        else:
            self._fit_twice(data, more)
        return self

    @available_if(adds_labels)
    @change_in_one_step
    def add_labels(self, X: MatrixLike, y: MatrixLike, **parameters: Any) -> Self:
        """Add new labels to the model; the curve stays, as it maps scores of any label.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features), list of str or table
            Instances of new and of old labels.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels + n_new) or \
                (n_samples,)
            As :meth:`XRLinearClassifier.add_labels` takes it.
        **parameters : dict
            What else the model's ``add_labels`` takes, such as ``sample_weight``.

        Returns
        -------
        self : XRCalibratedClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If y has no new label, or the model refuses the data. The estimator is
            left unchanged.

        Examples
        --------
        >>> from sklearn_xmr import XRCalibratedClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRCalibratedClassifier(random_state=0).fit(X, Y[:, :45])
        >>> clf.add_labels(X, Y).n_labels_
        50
        """
        form, Y = self.target_form_.extended(y, y)
        self.estimator_ = own_copy(self.estimator_)
        ranker, features = last_step(self.estimator_, self._check_instances(X))
        ranker.add_labels(features, Y, **parameters)
        self.target_form_ = form

    @available_if(adds_labels)
    @change_in_one_step
    def remove_labels(self, labels: ArrayLike) -> Self:
        """Remove labels from the model; the others are ranked as before.

        Parameters
        ----------
        labels : array-like of shape (n_removed,)
            Members of ``classes_``, or a boolean mask of shape (n_labels,). The other
            labels are renumbered, as the columns of y without them.

        Returns
        -------
        self : XRCalibratedClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If a label is not known, or none would be left. The estimator is left
            unchanged.

        Examples
        --------
        >>> from sklearn_xmr import XRCalibratedClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRCalibratedClassifier(random_state=0).fit(X, Y)
        >>> clf.remove_labels([0, 7]).n_labels_
        48
        """
        gone = self.target_form_.positions(labels)
        self.estimator_ = own_copy(self.estimator_)
        last_estimator(self.estimator_).remove_labels(gone)
        self.target_form_ = self.target_form_.without(gone)

    def _has_default_model(self):
        return self.estimator is None

    def _model(self):
        if self.estimator is None:
            return asking(XRLinearClassifier())
        return self.estimator

    def _fit_twice(self, data, more):
        """Learn the curve of a model of some instances, and fit it on all."""
        rng = check_random_state(self.random_state)
        base = seeded(self._model(), rng)
        parameters = self._route(base, data, more)
        rest, held_out = held_out_split(data.n_samples, self.validation_size, rng)
        probe = in_own_folder(clone(base), "probe")
        fit_model(probe, data, parameters, rest)
        log_line(self, f"model without held-out instances: fitted on {len(rest)}")
        self._learn_curve(probe, data.rows(held_out))
        self.estimator_ = fit_model(in_own_folder(base, "all"), data, parameters)
        log_line(self, f"model: fitted on {data.n_samples} instances")

    def _route(self, model, data, more):
        """What else the model's ``fit`` is given."""
        models = {"estimator": model}
        routed = route_fit(self, models, data, more, used=("sample_weight",))
        return routed["estimator"]

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the model.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, {"estimator": self._model()})

    def _learn_curve(self, model, data):
        """Set the calibrator and the threshold, from instances unknown to a model."""
        retrieved = retrieved_matrix(model, data.X)
        best = topk_of_csr(retrieved, self._n_probabilities())
        pairs = csr_from_topk(*best, self.n_labels_)
        known = data.Y[:, : self.n_labels_]
        hits, weights = values_at(known, pairs) > 0, data.sample_weight
        if weights is not None:
            weights = weights[rows_of_pairs(pairs)]
        self.calibrator_ = _fit_curve(self.method, pairs.data, hits, weights)
        proba = self._calibrate(pairs.data)
        self.threshold_ = _best_f1_threshold(proba, hits, data.Y.nnz)
        log_line(self, f"curve: {self.calibrator_!r} of {data.n_samples} instances")

    def _rank(self, X, k):
        labels, scores = topk_of_csr(retrieved_matrix(self.estimator_, X), k)
        found = labels >= 0
        proba = np.zeros(labels.shape, dtype=np.float32)
        if found.any():
            proba[found] = self._calibrate(scores[found])
        return labels, proba

    def _score_pairs(self, X, pairs):
        if pairs.nnz == 0:
            return np.empty(0, dtype=np.float32)
        return self._calibrate(probabilities_at(self.estimator_, X, pairs))

    def _calibrate(self, scores):
        """Probabilities strictly between 0 and 1, in the order of the scores."""
        proba = scores
        if self.calibrator_ is not None:
            proba = curve_of(self.calibrator_).predict(scores)
        return np.clip(proba, SMALLEST, LARGEST).astype(np.float32)

    def _threshold(self):
        if self.decision_threshold == "f1":
            return self.threshold_
        return self.decision_threshold


def _fit_curve(method, scores, hits, weights):
    """The calibrator, or None where nothing can be learnt."""
    if len(hits) == 0 or hits.all() or not hits.any():
        return None
    return CURVES[method].fit(scores, hits, weights)


def _best_f1_threshold(probabilities, hits, n_right):
    """Threshold above which labels give the best micro-averaged F1."""
    order = np.argsort(-probabilities, kind="stable")
    probabilities, hits = probabilities[order], hits[order]
    n_taken = np.arange(1, len(hits) + 1)
    f1 = 2 * np.cumsum(hits) / (n_taken + n_right)
    # A threshold can only fall between different probabilities.
    ends = np.append(probabilities[1:] < probabilities[:-1], True)
    if len(f1) == 0:
        return 0.5
    best = np.argmax(np.where(ends, f1, -1))
    following = probabilities[best + 1] if best + 1 < len(hits) else 0.0
    return float((probabilities[best] + following) / 2)
