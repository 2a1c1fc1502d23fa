"""The best labels from any fitted estimator, also in pipelines and searches."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.pipeline import FeatureUnion, Pipeline

from sklearn_xmr.utils._rankings import rank_topk, scores_at
from sklearn_xmr.utils._sklearn import is_fitted
from sklearn_xmr.utils._typing import Estimator, MatrixLike, TopK
from sklearn_xmr.utils._validation import check_count

_RANKING_METHODS = ("predict_topk", "predict_proba", "decision_function")


def predict_topk(
    estimator: Estimator, X: MatrixLike, k: int = 5, *, skip_empty: bool = False
) -> TopK:
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
    skip_empty : bool, default=False
        Whether an instance that says nothing gets no label: one whose features are all
        zero, such as a text without a known word, or a blank text. Otherwise it gets
        the labels that the intercepts favour.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples, at most k)
        Best first; -1 where fewer labels were retrieved.
    scores : ndarray of float of the same shape
        Scores of these labels; 0 for an instance that was skipped.

    Raises
    ------
    TypeError
        If the estimator has none of these methods.
    ValueError
        If ``k`` is not a positive integer.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
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
    ranker, features = last_step(estimator, X)
    labels, scores = _best(ranker, features, k)
    if skip_empty:
        skipped = empty_rows(inner_step(ranker, features)[1])
        labels[skipped], scores[skipped] = missing_label(labels), 0
    return labels, scores


def partial_fit(
    estimator: Estimator, X: MatrixLike, y: MatrixLike, **parameters: Any
) -> Estimator:
    """Let the classifier at the end of a pipeline or search learn from more instances.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        What comes before the classifier stays as it is: a vectorizer keeps its words.
        Not fitted yet, all of it is fitted.
    X : array-like, sparse matrix or list of str
        New instances in any form that the estimator accepts.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
        Their targets, as the classifier's ``partial_fit`` takes them.
    **parameters : dict
        What else that takes, such as ``negatives`` or ``decay``.

    Returns
    -------
    estimator
        The same object, changed.

    Raises
    ------
    TypeError
        If the classifier has no ``partial_fit``.
    ValueError
        If the data do not fit those seen before. The estimator is left unchanged.

    See Also
    --------
    XRLinearClassifier.partial_fit : How it learns.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier, partial_fit, predict_topk
    >>> from sklearn_xmr.feature_extraction.text import HashingVectorizer
    >>> model = make_pipeline(HashingVectorizer(), XRLinearClassifier())
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> model = model.fit(texts, ["bird", "bird", "fish", "fish"])
    >>> model = partial_fit(model, ["green ray"], ["ray"])
    >>> model.predict(["a ray"]).tolist()
    ['ray']
    """
    last = last_estimator(estimator)
    if not hasattr(last, "partial_fit"):
        raise TypeError(
            f"estimator must have a partial_fit, but {type(last).__name__} has none"
        )
    if not is_fitted(last):
        if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
            features = estimator[:-1].fit_transform(X, y)
            last.partial_fit(features, y, **parameters)
            return estimator
        last.partial_fit(X, y, **parameters)
        return estimator
    last, features = last_step(estimator, X)
    last.partial_fit(features, y, **parameters)
    return estimator


def empty_rows(X):
    """Which instances say nothing.

    Parameters
    ----------
    X : array-like, sparse matrix, HybridFeatures, list of str
        Instances.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        True where all features are zero, or a text is blank.
    """
    if hasattr(X, "sparse") and hasattr(X, "dense"):  # HybridFeatures
        return empty_rows(X.sparse) & empty_rows(X.dense)
    if sparse.issparse(X):
        return sparse.csr_matrix(X != 0).sum(axis=1).A1 == 0
    X = np.asarray(X)
    if X.dtype.kind in "OUS" and X.ndim == 1:
        return np.array([not str(text).strip() for text in X], dtype=bool)
    return ~(X != 0).any(axis=tuple(range(1, X.ndim)))


def missing_label(labels):
    """What stands for no label: -1 among numbers, None among names."""
    return -1 if labels.dtype.kind == "i" else None


def _best(estimator, X, k):
    """The k best labels by the best method that an estimator has, and their scores."""
    if hasattr(estimator, "predict_topk"):
        return estimator.predict_topk(X, k=k)
    for method in _RANKING_METHODS[1:]:
        if hasattr(estimator, method):
            scores = label_columns(estimator, getattr(estimator, method)(X))
            return topk_of_scores(scores, k)
    raise TypeError(
        f"estimator must have predict_topk, predict_proba or decision_function, but "
        f"{type(estimator).__name__} has none"
    )


def label_columns(estimator, scores):
    """Scores with a column for each label, in whatever form scikit-learn gives them.

    Parameters
    ----------
    estimator : estimator
        Whose scores they are.
    scores : {ndarray, sparse matrix} or list of ndarray
        Of ``predict_proba`` or ``decision_function``: a matrix; for two classes maybe
        the second's scores alone; of forests and neighbours a list with an array of a
        column per class for each label, which for a label that training never had is
        one column, of zeros' probability.

    Returns
    -------
    {ndarray, sparse matrix} of shape (n_samples, n_labels)
    """
    if isinstance(scores, list):
        classes = getattr(last_estimator(estimator), "classes_", [None] * len(scores))
        columns = [_of_ones(one, of) for one, of in zip(scores, classes, strict=True)]
        return np.column_stack(columns)
    if scores.ndim == 1:
        return np.column_stack([-scores, scores])
    return scores


def _of_ones(scores, classes):
    """Scores of the class 1 of a label; zeros where training never had it."""
    classes = [0, 1][: scores.shape[1]] if classes is None else list(classes)
    if 1 not in classes:
        return np.zeros(len(scores), dtype=scores.dtype)
    return scores[:, classes.index(1)]


def check_same_labels(estimator, y):
    """ValueError if an indicator y has other labels than a classifier.

    Parameters
    ----------
    estimator : estimator
        The fitted classifier, in pipelines and searches too.
    y : {array-like, sparse matrix}
        Its targets: of an indicator, the number of columns is compared.
    """
    clf = last_estimator(estimator)
    classes = getattr(clf, "classes_", None)
    if classes is None or hasattr(clf, "binarizer_"):  # which takes names
        return
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    if len(shape) == 2 and shape[1] not in (len(classes), _columns_of_classes(clf)):
        raise ValueError(
            f"y has {shape[1]} columns, but the model {len(classes)} labels: make both "
            "indicators with one binarizer, fitted on the training data"
        )


def _columns_of_classes(clf):
    """Columns of targets that are classes: one, if the model was fitted on such."""
    form = getattr(clf, "target_form_", None)
    return None if form is not None and form.is_multilabel else 1


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


def inner_step(estimator, X):
    """Like :func:`last_step`, and on to the ranker behind names, curves or sets."""
    estimator, X = last_step(estimator, X)
    return (
        inner_step(estimator.estimator_, X)
        if wraps_ranker(estimator)
        else (estimator, X)
    )


def inner_estimator(estimator):
    """Like :func:`last_estimator`, on to the ranker behind names, curves or sets."""
    estimator = last_estimator(estimator)
    return (
        inner_estimator(estimator.estimator_) if wraps_ranker(estimator) else estimator
    )


def wraps_ranker(estimator):
    """Whether an estimator ranks as ``estimator_`` inside does."""
    inner = ("binarizer_", "calibrator_", "confidence_threshold_")
    return any(hasattr(estimator, name) for name in inner)


def topk_of_scores(scores, k):
    """The k best labels of each row of sparse or dense scores, and their scores."""
    k = min(k, scores.shape[1])
    labels = rank_topk(scores, k, scores.shape)
    return labels, scores_at(scores, labels)


def topk_predictor(
    estimator: Estimator, k: int = 5, *, skip_empty: bool = False
) -> "TopkFunction":
    """Make a function that ranks single instances, for services.

    From a text it goes to columns and values to the search, without matrices between:
    where the estimator is a classifier with a ``topk_predictor`` of its own, alone or
    behind one vectorizer of :mod:`sklearn_xmr.feature_extraction.text` (or a
    FeatureUnion of such), the function holds the model and the settings of this moment,
    works in buffers that it keeps, and may be called from many threads at once. Any
    other estimator is asked through :func:`predict_topk` at each call.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        The fitted classifier.
    k : int, default=5
        Number of labels.
    skip_empty : bool, default=False
        Whether an instance that says nothing gets no label, as in
        :func:`predict_topk`.

    Returns
    -------
    callable
        From one instance (a text, a CSR row, an array of features; what the estimator
        takes) to ``(labels, scores)``, best first, two arrays of at most k elements.
        Labels are column numbers of y, or the names where the model knows them: the
        classes of a 1-D y, the columns of a table, the names of
        :class:`LabelNamesClassifier`.

    Raises
    ------
    TypeError
        If the estimator does not rank.
    ValueError
        If ``k`` is not a positive integer.

    See Also
    --------
    predict_topk : For many instances.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier, topk_predictor
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> y = ["bird", "bird", "fish", "fish"]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, y)
    >>> best = topk_predictor(model, k=1)
    >>> labels, scores = best("a green bird")
    >>> labels.tolist()
    ['bird']
    """
    check_count(k, "k")
    steps, clf = _steps(estimator)
    if not any(hasattr(clf, method) for method in _RANKING_METHODS):
        raise TypeError(
            "estimator must have predict_topk, predict_proba or decision_function, "
            f"but {type(clf).__name__} has none"
        )
    row, best = _row_function(steps), None
    # A pipeline behind the names sees the features, and skips by itself.
    skips_inside = skip_empty and not steps and hasattr(clf, "binarizer_")
    if hasattr(clf, "topk_predictor"):
        best = clf.topk_predictor(k, **({"skip_empty": True} if skips_inside else {}))
    is_general = best is None or (steps and (row is None or not takes_rows(best)))
    if is_general or (skip_empty and row is None and not skips_inside):
        best, row = _BestOfOne(estimator, k, skip_empty), None
    return TopkFunction(best, row, _classes(clf), skip_empty)


def takes_rows(best):
    """Whether a function of one instance takes a pair of columns and values."""
    return getattr(best, "takes_rows", False)


def _classes(clf):
    """Names of the labels where the classifier knows them; otherwise None."""
    if hasattr(clf, "target_form_"):
        return clf.target_form_.names
    classes = getattr(clf, "classes_", None)
    is_named = hasattr(clf, "binarizer_")  # it answers with names itself
    return classes if isinstance(classes, np.ndarray) and not is_named else None


class TopkFunction:
    """What :func:`topk_predictor` returns: the best labels of one instance.

    Parameters
    ----------
    best : callable
        From features of one instance to numbers of labels and scores.
    row : callable or None
        From an instance to its features.
    classes : ndarray or None
        Names of the labels.
    skip_empty : bool
        Whether an instance without a feature gets no label.
    """

    def __init__(
        self,
        best: Callable[..., TopK],
        row: Callable[..., TopK] | None = None,
        classes: np.ndarray | None = None,
        skip_empty: bool = False,
    ) -> None:
        self.best, self.row, self.classes = best, row, classes
        self.skip_empty = skip_empty
        self.takes_rows = row is None and takes_rows(best)

    def __call__(self, x: Any) -> TopK:
        """Return the best labels of an instance and their scores.

        Parameters
        ----------
        x : str, sparse matrix or 1-D ndarray
            One instance.

        Returns
        -------
        labels : ndarray of shape (n_found,)
            Best first.
        scores : ndarray of float of shape (n_found,)
        """
        x = x if self.row is None else self.row(x)
        labels, scores = self.best(x)
        if self.skip_empty and self.row is not None and not len(x[1]):
            labels, scores = labels[:0], scores[:0]
        return labels if self.classes is None else self.classes[labels], scores


class _BestOfOne:
    """The best labels of one instance by any estimator."""

    def __init__(self, estimator, k, skip_empty):
        self.estimator, self.k, self.skip_empty = estimator, k, skip_empty

    def __call__(self, x):
        one_row = sparse.issparse(x) or (hasattr(x, "ndim") and x.ndim == 2)
        X = x if one_row else [x]
        labels, scores = predict_topk(
            self.estimator, X, self.k, skip_empty=self.skip_empty
        )
        missing = missing_label(labels)
        found = np.array([label != missing for label in labels[0]], dtype=bool)
        return labels[0][found], scores[0][found]


class _UnionRow:
    """Columns and values of several vectorizers side by side, as FeatureUnion's."""

    def __init__(self, rows, weights):
        self.rows, self.weights = rows, weights
        widths = [row.n_features for row in rows]
        self.starts = np.cumsum([0, *widths[:-1]], dtype=np.int32)
        self.n_features = sum(widths)

    def __call__(self, text):
        indices, values = zip(*(row(text) for row in self.rows), strict=True)
        moved = [i + start for i, start in zip(indices, self.starts, strict=True)]
        weighted = [v * w for v, w in zip(values, self.weights, strict=True)]
        return np.concatenate(moved), np.concatenate(weighted)


def _steps(estimator):
    """The transformers in searches and pipelines, and the classifier behind them."""
    if hasattr(estimator, "best_estimator_"):
        return _steps(estimator.best_estimator_)
    if not isinstance(estimator, Pipeline):
        return [], estimator
    *before, last = (step for _, step in estimator.steps)
    before = [step for step in before if step not in (None, "passthrough")]
    more, last = _steps(last)
    return before + more, last


def _row_function(steps):
    """A function of one text for a vectorizer or a union of such; None for others."""
    if len(steps) != 1:
        return None
    if not isinstance(steps[0], FeatureUnion):
        return _row_of(steps[0])
    union = steps[0]
    parts = [part for part in union.transformer_list if part[1] != "drop"]
    rows = [_row_of(part) for _, part in parts]
    if None in rows or not rows:
        return None
    weights = union.transformer_weights or {}
    given = [weights.get(name) for name, _ in parts]
    return _UnionRow(rows, [np.float32(1 if w is None else w) for w in given])


def _row_of(vectorizer):
    return vectorizer.row_function() if hasattr(vectorizer, "row_function") else None
