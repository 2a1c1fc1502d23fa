"""Scores of any ranking classifier as calibrated probabilities."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sklearn_xmr.compose._base import BlockwiseRankingMixin, fit_weighted
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics._calibration import hits_and_scores
from sklearn_xmr.utils.held_out import VALIDATION_SIZE, held_out_split
from sklearn_xmr.utils.seeding import seeded
from sklearn_xmr.utils.topk import topk_of_csr
from sklearn_xmr.utils.validation import check_weights, rows_of_weight

SMALLEST, LARGEST = 1e-6, 1 - 1e-6
TIE_BREAK = 1e-4  # share of the model's own score


class XRCalibratedClassifier(BlockwiseRankingMixin, BaseEstimator):
    """Calibrate the scores of a ranking classifier, and choose its threshold.

    The model is fitted without some held-out instances. On these, one curve is learnt
    that maps the scores of the ``top_k`` best labels to how often they are right. Then
    the model is fitted on all. The ranking stays the model's.

    Parameters
    ----------
    estimator : estimator, default=None
        With ``predict_proba`` that gives a sparse matrix of the best labels; None
        means :class:`XRLinearClassifier`.
    method : {"isotonic", "sigmoid"}, default="isotonic"
        Any non-decreasing curve, or Platt's: logistic in the logarithm of the score.
    validation_size : int or float, default=None
        Instances (number, or share) on which the curve is learnt. None: a tenth, but
        at least 1,000 and at most 10,000, and never more than a third.
    decision_threshold : float or "f1", default=0.5
        ``predict`` returns the labels whose probability exceeds it. "f1" chooses the
        threshold with the best micro-averaged F1 on the held-out instances.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out instances, and seeds a model that has no seed of its own.

    Attributes
    ----------
    estimator_ : estimator
        The model, fitted on all instances.
    calibrator_ : IsotonicRegression, LogisticRegression or None
        The curve; None where held-out labels were all right or all wrong.
    threshold_ : float
        What ``predict`` compares with, for "f1"; otherwise the parameter counts.
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
    sklearn_xmr.metrics.ece_at_k : The calibration error.
    sklearn.calibration.CalibratedClassifierCV : For few classes.

    References
    ----------
    B. Zadrozny, C. Elkan. "Transforming classifier scores into accurate multiclass
    probability estimates", KDD 2002. J. Platt. "Probabilistic outputs for support
    vector machines", 1999.

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
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "method": [StrOptions({"isotonic", "sigmoid"})],
        "validation_size": VALIDATION_SIZE,
        "decision_threshold": [Interval(Real, 0, 1, closed="both"), StrOptions({"f1"})],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        method="isotonic",
        validation_size=None,
        decision_threshold=0.5,
        top_k=20,
        random_state=None,
    ):
        self.estimator = estimator
        self.method = method
        self.validation_size = validation_size
        self.decision_threshold = decision_threshold
        self.top_k = top_k
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Fit the model and its calibration.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a model whose ``fit`` takes them and
            for its calibration. An instance of weight 0 takes no part at all.

        Returns
        -------
        self
        """
        X, Y = self._check_training(X, y)
        weight = check_weights(sample_weight, Y.shape[0])
        weight, X, Y = rows_of_weight(weight, X, Y)
        rng = check_random_state(self.random_state)
        base = XRLinearClassifier() if self.estimator is None else self.estimator
        base = seeded(base, rng)
        rest, held_out = held_out_split(X.shape[0], self.validation_size, rng)
        taught = None if weight is None else weight[rest]
        first = fit_weighted(clone(base), X[rest], Y[rest], taught)
        topk = self._base_topk(first, X[held_out], self._default_k())
        hits, scores = hits_and_scores(Y[held_out], topk, topk[0].shape[1])
        weights = None
        if weight is not None:
            weights = np.repeat(weight[held_out], (topk[0] >= 0).sum(axis=1))
        self.calibrator_ = _fit_curve(self.method, scores, hits, weights)
        n_right = Y[held_out].nnz
        self.threshold_ = _best_f1_threshold(self._calibrate(scores), hits, n_right)
        self.estimator_ = fit_weighted(base, X, Y, weight)
        return self

    def _rank(self, X, k, weight):
        labels, scores = self._base_topk(self.estimator_, X, k)
        found = labels >= 0
        proba = np.zeros(labels.shape, dtype=np.float32)
        if found.any():
            proba[found] = self._calibrate(scores[found])
        return labels, proba

    def _base_topk(self, model, X, k):
        return topk_of_csr(model.predict_proba(X).tocsr(), k)

    def _calibrate(self, scores):
        """Probabilities strictly between 0 and 1, in the order of the scores."""
        if self.calibrator_ is None:
            proba = scores
        elif isinstance(self.calibrator_, IsotonicRegression):
            # Steps of the curve would make labels equal that the model ranks.
            steps = self.calibrator_.predict(scores)
            proba = (1 - TIE_BREAK) * steps + TIE_BREAK * scores
        else:
            proba = self.calibrator_.predict_proba(_log(scores)[:, None])[:, 1]
        return np.clip(proba, SMALLEST, LARGEST)

    def _threshold(self):
        if self.decision_threshold == "f1":
            return self.threshold_
        return self.decision_threshold


def _log(scores):
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))


def _fit_curve(method, scores, hits, weights):
    """The calibrator, or None where nothing can be learnt."""
    if len(hits) == 0 or hits.all() or not hits.any():
        return None
    if method == "isotonic":
        return IsotonicRegression(out_of_bounds="clip").fit(scores, hits, weights)
    return LogisticRegression(C=1e6).fit(_log(scores)[:, None], hits, weights)


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
