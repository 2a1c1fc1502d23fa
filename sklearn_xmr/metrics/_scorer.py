"""Scorers that ask an estimator for its k best labels only."""

import re

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

from sklearn_xmr.metrics import _calibration, _label_wise, _ranking
from sklearn_xmr.metrics._ranking import rank_topk
from sklearn_xmr.utils.validation import check_k

METRICS = {
    "abandonment": _ranking.abandonment_at_k,
    "coverage": _label_wise.coverage_at_k,
    "ece": _calibration.ece_at_k,
    "f1": _ranking.f1_at_k,
    "hit_rate": _ranking.hit_rate_at_k,
    "macro_f1": _label_wise.macro_f1_at_k,
    "macro_precision": _label_wise.macro_precision_at_k,
    "macro_recall": _label_wise.macro_recall_at_k,
    "mrr": _ranking.mrr_at_k,
    "ndcg": _ranking.ndcg_at_k,
    "precision": _ranking.precision_at_k,
    "psndcg": _ranking.psndcg_at_k,
    "psprecision": _ranking.psprecision_at_k,
    "psrecall": _ranking.psrecall_at_k,
    "recall": _ranking.recall_at_k,
}
LESS_IS_BETTER = ("abandonment", "ece")
OF_ESTIMATOR = Ellipsis  # propensities: those that the fitted estimator knows


def predict_topk(estimator, X, k=5):
    """The k best labels of each instance from any fitted multilabel classifier.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        Its own ``predict_topk`` is used where it, the last step of the pipeline or
        the best estimator of the search has one; otherwise ``predict_proba`` or
        ``decision_function`` with one column per label.
    X : array-like, sparse matrix or list of str
        Whatever the estimator takes.
    k : int, default=5
        Number of labels.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples, at most k)
        Best first; -1 where fewer labels were retrieved.
    scores : ndarray of float of the same shape

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier, predict_topk
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> Y = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, Y)
    >>> labels, scores = predict_topk(model, ["red bird"], k=2)
    >>> sorted(labels[0].tolist())
    [0, 2]
    """
    check_k(k)
    estimator, X = last_step(estimator, X)
    if hasattr(estimator, "predict_topk"):
        return estimator.predict_topk(X, k=k)
    for method in ("predict_proba", "decision_function"):
        if hasattr(estimator, method):
            scores = getattr(estimator, method)(X)
            if isinstance(scores, list):  # one (n, 2) array a label, as of forests
                scores = np.column_stack([column[:, -1] for column in scores])
            return topk_of_scores(scores, k)
    raise TypeError(
        f"estimator must have predict_topk, predict_proba or decision_function, but "
        f"{type(estimator).__name__} has none"
    )


def last_step(estimator, X):
    """Follow searches and pipelines to the classifier, transforming X on the way."""
    if hasattr(estimator, "best_estimator_"):
        return last_step(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        if len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        return last_step(estimator[-1], X)
    return estimator, X


def last_estimator(estimator):
    """The classifier in searches and pipelines, without transforming anything."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        else:
            return estimator


def topk_of_scores(scores, k):
    """The k best labels of each row of sparse or dense scores, and their scores."""
    k = min(k, scores.shape[1])
    labels = rank_topk(scores, k, scores.shape)
    rows = np.arange(len(labels))[:, None]
    if sparse.issparse(scores):
        values = np.asarray(scores.tocsr()[rows, labels].todense())
    else:
        values = np.asarray(scores)[rows, labels]
    return labels, np.where(labels >= 0, values, 0)


class _TopkScorer:
    """What :func:`make_topk_scorer` returns; picklable, with a telling repr."""

    def __init__(self, metric, k, kwargs, sign=1):
        self.metric = metric
        self.k = k
        self.kwargs = kwargs
        self.sign = sign

    def __call__(self, estimator, X, y_true, sample_weight=None):
        topk = predict_topk(estimator, X, self.k)
        return self.of_topk(estimator, topk, y_true, sample_weight)

    def of_topk(self, estimator, topk, y_true, sample_weight=None):
        """The score of lists that are long enough."""
        kwargs = dict(self.kwargs)
        if sample_weight is not None:
            kwargs["sample_weight"] = sample_weight
        if kwargs.get("propensities") is OF_ESTIMATOR:
            kwargs["propensities"] = _propensities(estimator)
        return self.sign * self.metric(y_true, topk, k=self.k, **kwargs)

    def __repr__(self):
        extra = "".join(f", {name}=..." for name in self.kwargs)
        extra += "" if self.sign > 0 else ", greater_is_better=False"
        return f"make_topk_scorer({self.metric.__name__}, k={self.k}{extra})"


class _TopkScorers:
    """What :func:`make_topk_scorers` returns: a scorer of several values."""

    def __init__(self, scorers):
        self.scorers = scorers

    def __call__(self, estimator, X, y_true):
        topk = predict_topk(estimator, X, max(s.k for s in self.scorers.values()))
        return {
            name: scorer.of_topk(estimator, topk, y_true)
            for name, scorer in self.scorers.items()
        }

    def __repr__(self):
        return f"make_topk_scorers({list(self.scorers)})"


def make_topk_scorer(metric, k=5, *, greater_is_better=True, **kwargs):
    """Turn a metric at k into a scorer for ``GridSearchCV(scoring=...)``.

    The estimator is asked for k labels, through ``predict_topk`` where it (or the
    last step of a pipeline) has it, so that scoring costs no more than it needs.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, (labels, scores), k=k, **kwargs) -> float`` like
        :func:`precision_at_k`.
    k : int, default=5
        Number of labels.
    greater_is_better : bool, default=True
        If False, the scorer returns the negative value, as scikit-learn's do.
    **kwargs
        Handed to the metric, as ``propensities`` for :func:`psprecision_at_k`.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> float``.

    See Also
    --------
    get_topk_scorer : The same by name.
    make_topk_scorers : Several metrics for the price of one prediction.

    Examples
    --------
    >>> from sklearn_xmr.metrics import make_topk_scorer, ndcg_at_k
    >>> make_topk_scorer(ndcg_at_k, k=3)
    make_topk_scorer(ndcg_at_k, k=3)
    """
    if not callable(metric):
        raise TypeError(f"metric must be callable, got {metric!r}")
    check_k(k)
    return _TopkScorer(metric, k, kwargs, 1 if greater_is_better else -1)


def get_topk_scorer(name):
    """A scorer by name, as ``"precision_at_1"``.

    Parameters
    ----------
    name : str
        The name of a metric of this module with its k, as ``"ndcg_at_5"``; see
        :func:`get_topk_scorer_names`. Metrics of which less is better have the prefix
        ``"neg_"``. Propensity-scored ones take the propensities of the fitted
        estimator (its ``propensities_``, those of the data that it was trained on).

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> float``.

    Raises
    ------
    ValueError
        If there is no such metric.

    Examples
    --------
    >>> from sklearn_xmr.metrics import get_topk_scorer
    >>> get_topk_scorer("precision_at_1")
    make_topk_scorer(precision_at_k, k=1)
    >>> get_topk_scorer("neg_ece_at_5")
    make_topk_scorer(ece_at_k, k=5, greater_is_better=False)
    """
    parts = re.fullmatch(r"(.+)_at_([1-9]\d*)", name) if isinstance(name, str) else None
    if parts is None or f"{parts[1]}_at_k" not in get_topk_scorer_names():
        raise ValueError(
            f"name must be one of {get_topk_scorer_names()} with a number for k, such "
            f"as 'precision_at_1', got {name!r}"
        )
    metric = parts[1].removeprefix("neg_")
    kwargs = {"propensities": OF_ESTIMATOR} if metric.startswith("ps") else {}
    sign = -1 if metric in LESS_IS_BETTER else 1
    return _TopkScorer(METRICS[metric], int(parts[2]), kwargs, sign)


def get_topk_scorer_names():
    """Names that :func:`get_topk_scorer` knows, "k" standing for a number.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from sklearn_xmr.metrics import get_topk_scorer_names
    >>> get_topk_scorer_names()[:2]
    ['coverage_at_k', 'f1_at_k']
    """
    signed = (f"neg_{m}" if m in LESS_IS_BETTER else m for m in METRICS)
    return sorted(f"{name}_at_k" for name in signed)


def make_topk_scorers(scorers):
    """Several scorers at k as one that predicts once.

    For ``scoring`` of ``GridSearchCV`` (with ``refit="precision_at_1"``, say) and of
    :func:`sklearn_xmr.model_selection.cross_validate`: the estimator is asked once for
    as many labels as the largest k.

    Parameters
    ----------
    scorers : list of str or dict of str to scorer
        Names for :func:`get_topk_scorer`, or scorers of :func:`make_topk_scorer` by
        any name.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true) -> dict of float``.

    Examples
    --------
    >>> from sklearn_xmr.metrics import make_topk_scorers
    >>> make_topk_scorers(["precision_at_1", "ndcg_at_5"])
    make_topk_scorers(['precision_at_1', 'ndcg_at_5'])
    """
    if not isinstance(scorers, dict):
        scorers = {name: get_topk_scorer(name) for name in scorers}
    wrong = [n for n, scorer in scorers.items() if not isinstance(scorer, _TopkScorer)]
    if wrong or not scorers:
        raise TypeError(
            "scorers must be names such as 'precision_at_1' or a dict of what "
            f"make_topk_scorer returns, got {scorers!r}"
        )
    return _TopkScorers(scorers)


def _propensities(estimator):
    """Propensities that a fitted estimator learned from its training labels."""
    estimator = last_estimator(estimator)
    if not hasattr(estimator, "propensities_"):
        raise TypeError(
            f"{type(estimator).__name__} has no propensities_; use "
            "make_topk_scorer(psprecision_at_k, propensities=...) with those of "
            "the training labels"
        )
    return estimator.propensities_
