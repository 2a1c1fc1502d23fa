"""The best labels from any fitted estimator, also in pipelines and searches."""

import numpy as np
from sklearn.pipeline import Pipeline

from sklearn_xmr.utils._rankings import rank_topk, scores_at
from sklearn_xmr.utils._validation import check_count


def predict_topk(estimator, X, k=5):
    """Predict the k best labels of each instance with any multilabel classifier.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        The fitted classifier. Its ``predict_topk`` is used if it, the last step of the
        pipeline or the best estimator of the search has one; otherwise
        ``predict_proba`` or ``decision_function``, with one column per label.
    X : array-like, sparse matrix or list of str
        Instances in any form that the estimator accepts.
    k : int, default=5
        Number of labels.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples, at most k)
        Best first; -1 where fewer labels were retrieved.
    scores : ndarray of float of the same shape
        Scores of these labels.

    Raises
    ------
    TypeError
        If the estimator has none of these methods.
    ValueError
        If ``k`` is not a positive integer.

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
    check_count(k, "k")
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
    return labels, scores_at(scores, labels)
