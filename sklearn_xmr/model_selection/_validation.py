"""Cross-validation with sparse targets and lists of the best labels.

scikit-learn's functions do the work; what refuses a sparse ``y`` is only their
validation of parameters (scikit-learn 1.9), which is left out here.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from sklearn import model_selection
from sklearn.base import clone
from sklearn.metrics import get_scorer_names
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from sklearn_xmr.metrics import (
    get_topk_scorer,
    get_topk_scorer_names,
    make_topk_scorers,
)
from sklearn_xmr.model_selection._held_out_scores import columns_of, targets_of_folds
from sklearn_xmr.utils._checkpoint_folders import in_own_folder
from sklearn_xmr.utils._held_out import partition
from sklearn_xmr.utils._matrices import check_structure
from sklearn_xmr.utils._response import last_estimator, missing_label, predict_topk
from sklearn_xmr.utils._sklearn import (
    check_method_params,
    num_samples,
    safe_indexing,
    without_validation,
)
from sklearn_xmr.utils._typing import Estimator, MatrixLike, TopK
from sklearn_xmr.utils._validation import check_count


def cross_validate(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    *,
    scoring: Any = "precision_at_1",
    **options: Any,
) -> dict[str, Any]:
    """:func:`sklearn.model_selection.cross_validate` for sparse multilabel targets.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any classifier of many labels.
    X : array-like, sparse matrix or list of str
        What the estimator takes.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
        Label indicator, or one class for each instance.
    scoring : str, callable, list of str or dict, default="precision_at_1"
        Names for :func:`sklearn_xmr.metrics.get_topk_scorer`, several of which cost
        one prediction, names of scikit-learn's scorers, or any scorer; several as a
        list of names or a dict.
    **options
        Other arguments of scikit-learn's function, such as ``cv``, ``n_jobs``,
        ``params`` and ``return_train_score``. For ``cv``,
        :class:`IterativeStratifiedKFold` keeps rare labels in every fold.

    Returns
    -------
    dict of ndarray of shape (n_splits,)
        ``fit_time``, ``score_time``, and ``test_score`` or, for a list of names or a
        dict, ``test_<name>``.

    Raises
    ------
    ValueError
        If there is no scorer of a name.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.model_selection import cross_validate
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> results = cross_validate(
    ...     XRLinearClassifier(), X, Y, scoring=["precision_at_1", "ndcg_at_5"], cv=3)
    >>> sorted(results)
    ['fit_time', 'score_time', 'test_ndcg_at_5', 'test_precision_at_1']
    """
    check_structure(X, "X")
    check_structure(y, "y")
    run = without_validation(model_selection.cross_validate)
    return run(estimator, X, y, scoring=_scorer(scoring), **options)


def learning_curve(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    *,
    scoring: Any = "precision_at_1",
    **options: Any,
) -> tuple[np.ndarray, ...]:
    """:func:`sklearn.model_selection.learning_curve` for sparse multilabel targets.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any classifier of many labels.
    X : array-like, sparse matrix or list of str
        What the estimator takes.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
        Label indicator, or one class for each instance.
    scoring : str or callable, default="precision_at_1"
        A name for :func:`sklearn_xmr.metrics.get_topk_scorer`, one of scikit-learn's,
        or any scorer.
    **options
        Other arguments of scikit-learn's function, such as ``train_sizes``, ``cv``,
        ``n_jobs`` and ``shuffle``.

    Returns
    -------
    train_sizes : ndarray of int of shape (n_sizes,)
        Numbers of training instances.
    train_scores : ndarray of shape (n_sizes, n_splits)
        Scores on the training instances.
    test_scores : ndarray of shape (n_sizes, n_splits)
        Scores on the instances held out.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Draws them.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.model_selection import learning_curve
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> sizes, train, test = learning_curve(
    ...     XRLinearClassifier(), X, Y, train_sizes=[0.2, 1.0], cv=3)
    >>> sizes.tolist(), test.shape
    ([66, 333], (2, 3))
    """
    check_structure(X, "X")
    check_structure(y, "y")
    run = without_validation(model_selection.learning_curve)
    return run(estimator, X, y, scoring=_scorer(scoring), **options)


def validation_curve(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    *,
    param_name: str,
    param_range: Sequence[Any],
    scoring: Any = "precision_at_1",
    **options: Any,
) -> TopK:
    """:func:`sklearn.model_selection.validation_curve` for sparse multilabel targets.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any classifier of many labels.
    X : array-like, sparse matrix or list of str
        What the estimator takes.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
        Label indicator, or one class for each instance.
    param_name : str
        Parameter that varies.
    param_range : sequence
        Its values.
    scoring : str or callable, default="precision_at_1"
        A name for :func:`sklearn_xmr.metrics.get_topk_scorer`, one of scikit-learn's,
        or any scorer.
    **options
        Other arguments of scikit-learn's function, such as ``cv`` and ``n_jobs``.

    Returns
    -------
    train_scores : ndarray of shape (n_values, n_splits)
        Scores on the training instances.
    test_scores : ndarray of shape (n_values, n_splits)
        Scores on the instances held out.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Draws them.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.model_selection import validation_curve
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> train, test = validation_curve(
    ...     XRLinearClassifier(), X, Y, param_name="C", param_range=[0.1, 1.0], cv=3)
    >>> test.shape
    (2, 3)
    """
    check_structure(X, "X")
    check_structure(y, "y")
    run = without_validation(model_selection.validation_curve)
    scorer = _scorer(scoring)
    named = {"param_name": param_name, "param_range": param_range}
    return run(estimator, X, y, scoring=scorer, **named, **options)


def cross_val_predict_topk(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    k: int = 5,
    *,
    cv: Any = None,
    n_jobs: int | None = None,
    params: dict[str, Any] | None = None,
) -> TopK:
    """The k best labels of each instance from a model that was not trained on it.

    What :func:`sklearn.model_selection.cross_val_predict` is for a few classes, with
    memory for k labels an instance.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any classifier of many labels.
    X : array-like, sparse matrix or list of str
        What the estimator takes.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        Label indicator, one class for each instance, or the names of each one's
        labels, as the estimator takes them.
    k : int, default=5
        Number of labels.
    cv : int, splitter or iterable, default=None
        Folds that hold each instance out once; None for five.
        ``GroupKFold().split(X, groups=groups)`` keeps groups together, such as copies
        of a text.
    n_jobs : int, default=None
        Number of folds to fit at a time.
    params : dict, default=None
        Further arguments of ``fit``, such as ``sample_weight``; those with one entry
        for each instance are split.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples, k)
        Best first; -1 where fewer labels were retrieved. Columns of a label indicator,
        or positions in ``np.unique(y)`` of one class for each instance, whichever of
        these a fold lacks. Of an estimator that answers with names, these (an array of
        objects), and None where there are fewer.
    scores : ndarray of float of the same shape
        0 where there is no label.

    Raises
    ------
    ValueError
        If k is no positive integer, or the folds do not hold out each instance once.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.metrics import precision_at_k
    >>> from sklearn_xmr.model_selection import cross_val_predict_topk
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> topk = cross_val_predict_topk(XRLinearClassifier(), X, Y, k=3)
    >>> precision_at_k(Y, topk, k=1) > 0.5
    True
    """
    check_count(k, "k")
    check_structure(X, "X")
    check_structure(y, "y")
    X, y = indexable(X, y)
    Y, names = targets_of_folds(y)
    splits, n_samples = (
        partition(cv, X, y if hasattr(y, "shape") else Y),
        num_samples(X),
    )
    models = [
        in_own_folder(clone(estimator), f"split_{number}")
        for number in range(1, len(splits) + 1)
    ]
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict_topk)(model, (X, y), split, k, params or {}, names)
        for model, split in zip(models, splits, strict=True)
    )
    some = parts[0][0]
    dtype = np.int64 if some.dtype.kind == "i" else object
    labels = np.full((n_samples, k), missing_label(some), dtype=dtype)
    scores = np.zeros((n_samples, k))
    for (_, test), (found, values) in zip(splits, parts, strict=True):
        labels[test, : found.shape[1]] = found
        scores[test, : found.shape[1]] = values
    return labels, scores


def _fit_predict_topk(estimator, data, split, k, params, names):
    (X, y), (train, test) = data, split
    given = check_method_params(X, params, indices=train)
    estimator.fit(safe_indexing(X, train), safe_indexing(y, train), **given)
    labels, scores = predict_topk(estimator, safe_indexing(X, test), k)
    if names is None or labels.dtype.kind != "i":
        return labels, scores
    columns = columns_of(last_estimator(estimator).classes_, names)
    return np.where(labels >= 0, columns[labels], -1), scores


def _scorer(scoring):
    """Scorers for names, ours and scikit-learn's; anything else as it is."""
    if isinstance(scoring, str):
        return _by_name(scoring)
    if isinstance(scoring, (list, tuple, set)):
        scoring = {name: name for name in scoring}
    if not isinstance(scoring, dict):
        return scoring
    scorers = {name: _scorer(one) for name, one in scoring.items()}
    ours = all(hasattr(one, "of_topk") for one in scorers.values())
    return make_topk_scorers(scorers) if ours else scorers


def _by_name(name):
    known = get_scorer_names()
    if name in known:
        return name
    try:
        return get_topk_scorer(name)
    except ValueError:
        close = get_close_matches(name, known, n=3)
        raise ValueError(
            f"scoring must be one of {get_topk_scorer_names()} with a number for k, "
            "such as 'precision_at_1', a name of sklearn.metrics.get_scorer_names() "
            f"{f'like {close} ' if close else ''}or a scorer, got {name!r}"
        ) from None
