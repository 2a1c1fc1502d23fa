"""Scorers that ask an estimator for its k best labels only."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

from sklearn_xmr.metrics._ranking import rank_topk
from sklearn_xmr.utils.validation import check_k


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
            return _topk_of_scores(getattr(estimator, method)(X), k)
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


def _topk_of_scores(scores, k):
    if isinstance(scores, list):  # one (n, 2) array per label, as forests return
        scores = np.column_stack([column[:, -1] for column in scores])
    labels = rank_topk(scores, min(k, scores.shape[1]), scores.shape)
    rows = np.arange(len(labels))[:, None]
    if sparse.issparse(scores):
        values = np.asarray(scores.tocsr()[rows, labels].todense())
    else:
        values = np.asarray(scores)[rows, labels]
    return labels, np.where(labels >= 0, values, 0)


class _TopkScorer:
    """What :func:`make_topk_scorer` returns; picklable, with a telling repr."""

    def __init__(self, metric, k, kwargs):
        self.metric = metric
        self.k = k
        self.kwargs = kwargs

    def __call__(self, estimator, X, y_true, sample_weight=None):
        kwargs = dict(self.kwargs)
        if sample_weight is not None:
            kwargs["sample_weight"] = sample_weight
        topk = predict_topk(estimator, X, self.k)
        return self.metric(y_true, topk, k=self.k, **kwargs)

    def __repr__(self):
        extra = "".join(f", {name}=..." for name in self.kwargs)
        return f"make_topk_scorer({self.metric.__name__}, k={self.k}{extra})"


def make_topk_scorer(metric, k=5, **kwargs):
    """Turn a metric at k into a scorer for ``GridSearchCV(scoring=...)``.

    The estimator is asked for k labels, through ``predict_topk`` where it (or the
    last step of a pipeline) has it, so that scoring costs no more than it needs.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, (labels, scores), k=k, **kwargs) -> float``, greater is
        better, like :func:`precision_at_k`.
    k : int, default=5
        Number of labels.
    **kwargs
        Handed to the metric, as ``propensities`` for :func:`psprecision_at_k`.

    Returns
    -------
    callable
        ``scorer(estimator, X, y_true, sample_weight=None) -> float``.

    Examples
    --------
    >>> from sklearn_xmr.metrics import make_topk_scorer, ndcg_at_k
    >>> make_topk_scorer(ndcg_at_k, k=3)
    make_topk_scorer(ndcg_at_k, k=3)
    """
    if not callable(metric):
        raise TypeError(f"metric must be callable, got {metric!r}")
    check_k(k)
    return _TopkScorer(metric, k, kwargs)
