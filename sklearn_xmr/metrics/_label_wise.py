"""Metrics that count by label: coverage, macro averages, frequent and rare labels.

None takes ``sample_weight``: what is averaged are labels, not instances.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from sklearn_xmr.metrics._propensity import propensity_scores
from sklearn_xmr.metrics._ranking import best_gains
from sklearn_xmr.utils._hits import ranked_hits
from sklearn_xmr.utils._indicator import frequency_groups
from sklearn_xmr.utils._typing import MatrixLike
from sklearn_xmr.utils._validation import check_label_indicator


def coverage_at_k(y_true: MatrixLike, y_score: MatrixLike, k: int = 5) -> float:
    """Coverage at k: the share of labels that are right for some instance.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.

    Returns
    -------
    float
        In [0, 1]: of the labels with a true instance, the share that is among the k
        best of one of them. 0 where no label has one.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    There is no ``sample_weight``: the average is over labels, not over instances.

    References
    ----------
    E. Schultheis, M. Wydmuch, W. Kotłowski, R. Babbar, K. Dembczyński. "Generalized
    test utilities for long-tail performance in extreme multi-label classification",
    NeurIPS 2023.

    Examples
    --------
    >>> from sklearn_xmr.metrics import coverage_at_k
    >>> coverage_at_k([[1, 0], [0, 1]], [[0.9, 0.8], [0.5, 0.3]], k=1)
    0.5
    """
    counts = label_counts(ranked_hits(y_true, y_score, k))
    true = counts["true"] > 0
    return float(np.mean(counts["hits"][true] > 0)) if true.any() else 0.0


def macro_f1_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    average_over: Literal["seen", "all"] = "seen",
) -> float:
    """Macro F1 at k: the F1 of each label, the mean over the labels.

    The k best labels of each instance are its prediction. ``2 hits / (true +
    predicted)`` for each label.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    average_over : {"seen", "all"}, default="seen"
        "seen": the labels with a true instance, or that are predicted for one.
        "all": all columns of y_true, as scikit-learn's macro averages with
        ``zero_division=0``.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    There is no ``sample_weight``: the average is over labels, not over instances.

    Examples
    --------
    >>> from sklearn_xmr.metrics import macro_f1_at_k
    >>> y_true, y_score = [[1, 0, 0], [0, 1, 0]], [[0.9, 0, 0], [0.5, 0.3, 0]]
    >>> round(macro_f1_at_k(y_true, y_score, k=1), 3)
    0.333
    >>> round(macro_f1_at_k(y_true, y_score, k=1, average_over="all"), 3)
    0.222
    """
    return _macro("f1", y_true, y_score, k, average_over)


def macro_precision_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    average_over: Literal["seen", "all"] = "seen",
) -> float:
    """Macro precision at k: of the instances given a label, the share that has it.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    average_over : {"seen", "all"}, default="seen"
        "seen": the labels with a true instance, or that are predicted for one.
        "all": all columns of y_true, as scikit-learn's macro averages with
        ``zero_division=0``.

    Returns
    -------
    float
        In [0, 1]; a label that is not predicted counts as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    There is no ``sample_weight``: the average is over labels, not over instances.

    Examples
    --------
    >>> from sklearn_xmr.metrics import macro_precision_at_k
    >>> macro_precision_at_k([[1, 0], [0, 1]], [[0.9, 0.8], [0.5, 0.3]], k=1)
    0.25
    """
    return _macro("precision", y_true, y_score, k, average_over)


def macro_recall_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    average_over: Literal["seen", "all"] = "seen",
) -> float:
    """Macro recall at k: of the instances that have a label, the share given it.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    average_over : {"seen", "all"}, default="seen"
        "seen": the labels with a true instance, or that are predicted for one.
        "all": all columns of y_true, as scikit-learn's macro averages with
        ``zero_division=0``.

    Returns
    -------
    float
        In [0, 1]; a label without a true instance counts as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    There is no ``sample_weight``: the average is over labels, not over instances.

    Examples
    --------
    >>> from sklearn_xmr.metrics import macro_recall_at_k
    >>> macro_recall_at_k([[1, 0], [0, 1]], [[0.9, 0.8], [0.5, 0.3]], k=1)
    0.5
    """
    return _macro("recall", y_true, y_score, k, average_over)


def frequency_breakdown(
    y_true: MatrixLike,
    y_score: MatrixLike,
    Y_train: MatrixLike,
    k: int = 5,
    *,
    bounds: Sequence[int] = (10, 100),
) -> dict[str, np.ndarray]:
    """Split metrics at k by the frequency of labels.

    Labels are grouped by their number of *training* instances.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    Y_train : {array-like, sparse matrix} of shape (n_train, n_labels)
        Label indicator of the training data, whose positives are counted.
    k : int, default=5
        Number of labels that count.
    bounds : sequence of int, default=(10, 100)
        Numbers of training instances between the groups, ascending. A group has the
        labels with fewer than its bound, and at least the bound before; the last,
        those with at least the last bound. By default: the tail (below 10), the torso,
        the head (100 and more).

    Returns
    -------
    dict of ndarray
        With an entry for each group, rarest first:

        - ``"lower"``: least number of training instances;
        - ``"n_labels"``: labels in the group;
        - ``"n_true"``: true (instance, label) pairs of the group;
        - ``"precision"``: what the group adds to precision at k; the sum over the
          groups is :func:`precision_at_k`;
        - ``"psprecision"``: the same of :func:`psprecision_at_k`;
        - ``"recall"``: share of its true pairs among the k best;
        - ``"macro_f1"``, ``"coverage"``: :func:`macro_f1_at_k` and
          :func:`coverage_at_k` of its labels alone.

        A group without labels or true pairs has zeros.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Notes
    -----
    There is no ``sample_weight``: the counts are over labels, not over instances.

    Examples
    --------
    >>> from sklearn_xmr.metrics import frequency_breakdown
    >>> Y_train = [[1, 0], [1, 0], [1, 1]]
    >>> parts = frequency_breakdown(
    ...     [[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], Y_train, k=1, bounds=[2])
    >>> parts["recall"]
    array([0., 1.])
    >>> parts["precision"]
    array([0. , 0.5])
    """
    ranked = ranked_hits(y_true, y_score, k)
    counts = label_counts(ranked)
    Y_train = _checked_training_labels(Y_train, ranked.truth.shape[1])
    counts_in_training = np.bincount(Y_train.indices, minlength=Y_train.shape[1])
    groups = frequency_groups(counts_in_training, bounds)
    n_groups = len(bounds) + 1
    size = np.bincount(groups, minlength=n_groups)
    total = {
        name: np.bincount(groups, values, n_groups) for name, values in counts.items()
    }
    seen = (counts["true"] > 0) | (counts["predicted"] > 0)
    f1 = _ratio(2 * counts["hits"], counts["true"] + counts["predicted"])
    found, true = counts["hits"] > 0, counts["true"] > 0
    return {
        "lower": np.array([0, *bounds]),
        "n_labels": size,
        "n_true": total["true"].astype(int),
        "precision": total["hits"] / (k * ranked.truth.shape[0]),
        "psprecision": _psp_of_groups(
            ranked, k, counts["hits"], Y_train, groups, n_groups
        ),
        "recall": _ratio(total["hits"], total["true"]),
        "macro_f1": _ratio(
            np.bincount(groups, f1, n_groups), np.bincount(groups, seen, n_groups)
        ),
        "coverage": _ratio(
            np.bincount(groups, found, n_groups), np.bincount(groups, true, n_groups)
        ),
    }


def label_counts(ranked):
    """Of each label: true instances, predictions among the k best, and hits.

    Parameters
    ----------
    ranked : RankedHits
        The k best labels of each instance.

    Returns
    -------
    dict of ndarray of int64 of shape (n_labels,)
        With the keys "true", "predicted" and "hits".
    """
    n_labels = ranked.truth.shape[1]
    lists = {
        "true": ranked.truth.indices,
        "predicted": ranked.labels[ranked.labels >= 0],
        "hits": ranked.labels[ranked.hits],
    }
    return {
        name: np.bincount(labels, minlength=n_labels) for name, labels in lists.items()
    }


def _macro(kind, y_true, y_score, k, average_over):
    if average_over not in ("seen", "all"):
        raise ValueError(f"average_over must be 'seen' or 'all', got {average_over!r}")
    counts = label_counts(ranked_hits(y_true, y_score, k))
    parts = {
        "f1": (2 * counts["hits"], counts["true"] + counts["predicted"]),
        "precision": (counts["hits"], counts["predicted"]),
        "recall": (counts["hits"], counts["true"]),
    }
    values = _ratio(*parts[kind])
    if average_over == "seen":
        values = values[(counts["true"] > 0) | (counts["predicted"] > 0)]
    return float(values.mean()) if len(values) else 0.0


def _ratio(above, below):
    """above / below, 0 where below is."""
    return np.where(below > 0, above / np.maximum(below, 1), 0.0)


def _psp_of_groups(ranked, k, hits, Y_train, groups, n_groups):
    """What each group adds to propensity-scored precision at k."""
    gains = 1 / propensity_scores(Y_train)
    gained = np.bincount(groups, hits * gains, n_groups)
    best = best_gains(ranked.truth, gains, k).sum()
    return gained / best if best > 0 else gained


def _checked_training_labels(Y_train, n_labels):
    Y_train = check_label_indicator(Y_train, "Y_train")
    if Y_train.shape[1] != n_labels:
        raise ValueError(
            f"Y_train must have the {n_labels} labels of y_true, got {Y_train.shape[1]}"
        )
    return Y_train
