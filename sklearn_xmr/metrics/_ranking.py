"""Ranking metrics at k for multilabel targets, averaged over the instances.

All share one core: the k best labels of each row, and which of them are true
(``utils/_hits.py``).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from sklearn_xmr.utils._hits import ranked_hits
from sklearn_xmr.utils._rankings import rank_topk
from sklearn_xmr.utils._sklearn import check_sample_weight
from sklearn_xmr.utils._typing import MatrixLike
from sklearn_xmr.utils._validation import check_array, check_count


def precision_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Precision at k: the share of true labels among the k best.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels): of a sparse matrix only the stored
        values are ranked (a label that is not stored was not predicted, whatever the
        sign of the others); of a dense array all. Or the pair that ``predict_topk``
        returns, both of shape (n_samples, m), with label -1 for no prediction.
    k : int, default=5
        Number of labels that count. The sum is always divided by k, also where
        fewer labels are predicted or true.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

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
    Equal scores are ranked by label number, ascending. Rows without a true label
    count as 0.

    Examples
    --------
    >>> from sklearn_xmr.metrics import precision_at_k
    >>> y_true = [[1, 0, 1, 0], [0, 1, 0, 0]]
    >>> y_score = [[0.9, 0.8, 0.7, 0.1], [0.2, 0.9, 0.4, 0.3]]
    >>> precision_at_k(y_true, y_score, k=2)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    return _mean(ranked.hits.sum(axis=1) / k, sample_weight)


def recall_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Recall at k: the share of the true labels that are among the k best.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from sklearn_xmr.metrics import recall_at_k
    >>> recall_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=2)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    recall = ranked.hits.sum(axis=1) / np.maximum(ranked.n_true, 1)
    return _mean(recall, sample_weight)


def f1_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """F1 at k: the harmonic mean of precision and recall at k of each instance.

    ``2 hits / (k + number of true labels)``, the mean over the instances.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from sklearn_xmr.metrics import f1_at_k
    >>> f1_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=2)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    return _mean(2 * ranked.hits.sum(axis=1) / (k + ranked.n_true), sample_weight)


def hit_rate_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Hit rate at k: the share of instances with a true label among the k best.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    See Also
    --------
    abandonment_at_k : One minus this.

    Examples
    --------
    >>> from sklearn_xmr.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[1, 0], [1, 0]], [[0.9, 0.8], [0.2, 0.3]], k=1)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    return _mean(ranked.hits.any(axis=1), sample_weight)


def abandonment_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Abandonment at k: the share of instances without a true label among the k best.

    One minus :func:`hit_rate_at_k`: the smaller, the better. (napkinXC's function of
    this name returns the hit rate.)

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 1.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from sklearn_xmr.metrics import abandonment_at_k
    >>> abandonment_at_k([[1, 0], [1, 0]], [[0.9, 0.8], [0.2, 0.3]], k=1)
    0.5
    """
    return 1 - hit_rate_at_k(y_true, y_score, k, sample_weight=sample_weight)


def mrr_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean reciprocal rank at k: one over the rank of the first true label.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; an instance without a true label among its k best counts as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from sklearn_xmr.metrics import mrr_at_k
    >>> mrr_at_k([[1, 0], [1, 0]], [[0.9, 0.8], [0.2, 0.3]], k=2)
    0.75
    """
    ranked = ranked_hits(y_true, y_score, k)
    first = ranked.hits.argmax(axis=1)
    return _mean(np.where(ranked.hits.any(axis=1), 1 / (first + 1), 0), sample_weight)


def ndcg_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Normalised discounted cumulative gain at k.

    A hit at rank r gains ``1 / log2(r + 1)``; the sum is divided by that of the best
    possible ranking, ``min(k, number of true labels)`` hits in front.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from sklearn_xmr.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=3), 4)
    0.9197
    """
    ranked = ranked_hits(y_true, y_score, k)
    discounts = _discounts(k)
    best = np.append(1.0, np.cumsum(discounts))
    best = best[np.minimum(ranked.n_true, k)]
    return _mean(ranked.hits @ discounts / best, sample_weight)


def psprecision_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    propensities: ArrayLike,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Propensity-scored precision at k: a hit counts the more, the rarer its label.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    propensities : array-like of shape (n_labels,)
        Values in (0, 1], from :func:`propensity_scores` of the training labels.
    normalize : bool, default=True
        Divide by the best value that any prediction can reach, as published tables
        do: the ratio of the two means over all rows, not the mean of ratios.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1] if normalised.

    Raises
    ------
    ValueError
        If an argument is not as described.

    References
    ----------
    H. Jain, Y. Prabhu, M. Varma, KDD 2016.

    Examples
    --------
    >>> from sklearn_xmr.metrics import psprecision_at_k
    >>> y_true = [[1, 0, 1, 0]]
    >>> y_score = [[0.9, 0.8, 0.7, 0.1]]
    >>> p = [0.8, 0.5, 0.2, 0.2]
    >>> psprecision_at_k(y_true, y_score, k=1, propensities=p)
    0.25
    """
    check_count(k, "k")
    weights = np.full(k, 1 / k)
    return _propensity_scored(
        y_true, y_score, weights, propensities, normalize, sample_weight
    )


def psndcg_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    propensities: ArrayLike,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Propensity-scored nDCG at k.

    Gains ``1 / p / log2(rank + 1)``, divided by ``sum over r <= k of 1 / log2(r + 1)``
    (always k terms, as the Extreme Classification Repository defines it; napkinXC sums
    fewer where an instance has fewer true labels).

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    propensities : array-like of shape (n_labels,)
        Values in (0, 1], from :func:`propensity_scores` of the training labels.
    normalize : bool, default=True
        Divide by the best value that any prediction can reach, as published tables
        do: the ratio of the two means over all rows, not the mean of ratios.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1] if normalised.

    Raises
    ------
    ValueError
        If an argument is not as described.

    References
    ----------
    H. Jain, Y. Prabhu, M. Varma, KDD 2016.

    Examples
    --------
    >>> from sklearn_xmr.metrics import psndcg_at_k
    >>> y_true = [[1, 0, 1, 0]]
    >>> y_score = [[0.1, 0.8, 0.9, 0.1]]
    >>> p = [0.5, 0.5, 0.25, 0.2]
    >>> round(psndcg_at_k(y_true, y_score, k=2, propensities=p), 4)
    0.7602
    """
    check_count(k, "k")
    weights = _discounts(k) / _discounts(k).sum()
    return _propensity_scored(
        y_true, y_score, weights, propensities, normalize, sample_weight
    )


def psrecall_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    propensities: ArrayLike,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Propensity-scored recall at k.

    The gains ``1 / p`` of the hits, divided by the instance's number of true labels.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count.
    propensities : array-like of shape (n_labels,)
        Values in (0, 1], from :func:`propensity_scores` of the training labels.
    normalize : bool, default=True
        Divide by the best value that any prediction can reach, as published tables
        do: the ratio of the two means over all rows, not the mean of ratios.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In [0, 1] if normalised.

    Raises
    ------
    ValueError
        If an argument is not as described.

    References
    ----------
    H. Jain, Y. Prabhu, M. Varma, KDD 2016.

    Examples
    --------
    >>> from sklearn_xmr.metrics import psrecall_at_k
    >>> y_true = [[1, 0, 1, 0]]
    >>> y_score = [[0.9, 0.8, 0.7, 0.1]]
    >>> p = [0.8, 0.5, 0.2, 0.2]
    >>> psrecall_at_k(y_true, y_score, k=1, propensities=p)
    0.25
    """
    check_count(k, "k")
    return _propensity_scored(
        y_true,
        y_score,
        np.ones(k),
        propensities,
        normalize,
        sample_weight,
        per_true_label=True,
    )


# --- the shared core ----------------------------------------------------------------


def _discounts(k):
    return 1 / np.log2(np.arange(2, k + 2))


def _mean(values, sample_weight):
    if sample_weight is None:
        return float(np.mean(values))
    weight = check_sample_weight(sample_weight, values)
    if not np.isfinite(weight).all():
        raise ValueError(f"sample_weight must be finite, got {sample_weight!r}")
    return float(np.average(values, weights=weight))


def _propensity_scored(
    y_true,
    y_score,
    rank_weights,
    propensities,
    normalize,
    sample_weight,
    per_true_label=False,
):
    """Mean of sum_r rank_weights[r] * hit_r / p_r, over that of the best ranking."""
    k = len(rank_weights)
    ranked = ranked_hits(y_true, y_score, k)
    gains = 1 / _check_propensities(propensities, ranked.truth.shape[1])
    divisor = np.maximum(ranked.n_true, 1) if per_true_label else 1
    value = (ranked.hits * gains[ranked.labels]) @ rank_weights / divisor
    value = _mean(value, sample_weight)
    if not normalize:
        return value
    best = best_gains(ranked.truth, gains, k) @ rank_weights / divisor
    best = _mean(best, sample_weight)
    return value / best if best > 0 else 0.0


def best_gains(truth, gains, k):
    """Gains of the k true labels of each row that gain most: (n_samples, k)."""
    ideal = sparse.csr_matrix(
        (gains[truth.indices], truth.indices, truth.indptr), shape=truth.shape
    )
    labels = rank_topk(ideal, k, truth.shape)
    return np.where(labels >= 0, gains[labels], 0)


def _check_propensities(propensities, n_labels):
    p = check_array(
        propensities, ensure_2d=False, dtype=np.float64, input_name="propensities"
    )
    if p.shape != (n_labels,):
        raise ValueError(
            f"propensities must have one value per label, ({n_labels},), got {p.shape}"
        )
    if p.min() <= 0 or p.max() > 1:
        raise ValueError(
            f"propensities must lie in (0, 1], found {p.min()} to {p.max()}; give "
            "propensities, not their inverses"
        )
    return p
