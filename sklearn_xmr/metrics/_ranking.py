"""Ranking metrics at k for multilabel targets, as the field defines them.

All share one core: the k best labels of each row (:func:`rank_topk`) and which of
them are true (:class:`RankedHits`).
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight

from sklearn_xmr.utils.validation import check_k, check_label_indicator, flat_keys

# Dense scores are searched in blocks of about this many values.
BLOCK_VALUES = 1 << 22


def precision_at_k(y_true, y_score, k=5, *, sample_weight=None):
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


def recall_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """Recall at k: the share of the true labels that are among the k best.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Examples
    --------
    >>> from sklearn_xmr.metrics import recall_at_k
    >>> recall_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=2)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    recall = ranked.hits.sum(axis=1) / np.maximum(ranked.n_true, 1)
    return _mean(recall, sample_weight)


def f1_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """F1 at k: the harmonic mean of precision and recall at k of each instance.

    ``2 hits / (k + number of true labels)``, the mean over the instances.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Examples
    --------
    >>> from sklearn_xmr.metrics import f1_at_k
    >>> f1_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=2)
    0.5
    """
    ranked = ranked_hits(y_true, y_score, k)
    return _mean(2 * ranked.hits.sum(axis=1) / (k + ranked.n_true), sample_weight)


def hit_rate_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """Hit rate at k: the share of instances with a true label among the k best.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

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


def abandonment_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """Abandonment at k: the share of instances without a true label among the k best.

    One minus :func:`hit_rate_at_k`: the smaller, the better. (napkinXC's function of
    this name returns the hit rate.)

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 1.

    Examples
    --------
    >>> from sklearn_xmr.metrics import abandonment_at_k
    >>> abandonment_at_k([[1, 0], [1, 0]], [[0.9, 0.8], [0.2, 0.3]], k=1)
    0.5
    """
    return 1 - hit_rate_at_k(y_true, y_score, k, sample_weight=sample_weight)


def mrr_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """Mean reciprocal rank at k: one over the rank of the first true label.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; an instance without a true label among its k best counts as 0.

    Examples
    --------
    >>> from sklearn_xmr.metrics import mrr_at_k
    >>> mrr_at_k([[1, 0], [1, 0]], [[0.9, 0.8], [0.2, 0.3]], k=2)
    0.75
    """
    ranked = ranked_hits(y_true, y_score, k)
    first = ranked.hits.argmax(axis=1)
    return _mean(np.where(ranked.hits.any(axis=1), 1 / (first + 1), 0), sample_weight)


def ndcg_at_k(y_true, y_score, k=5, *, sample_weight=None):
    """Normalised discounted cumulative gain at k.

    A hit at rank r gains ``1 / log2(r + 1)``; the sum is divided by that of the best
    possible ranking, ``min(k, number of true labels)`` hits in front.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.

    Returns
    -------
    float
        In [0, 1]; rows without a true label count as 0.

    Examples
    --------
    >>> from sklearn_xmr.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[1, 0, 1, 0]], [[0.9, 0.8, 0.7, 0.1]], k=3), 4)
    0.9197
    """
    ranked = ranked_hits(y_true, y_score, k)
    discounts = _discounts(k)
    best = np.concatenate([[1.0], np.cumsum(discounts)])
    best = best[np.minimum(ranked.n_true, k)]
    return _mean(ranked.hits @ discounts / best, sample_weight)


def propensity_scores(Y_train, A=0.55, B=1.5):
    """Propensity of each label: how likely a relevant label was observed.

    ``p = 1 / (1 + C (n + B)**-A)`` with n the label's number of training instances
    and ``C = (log N - 1) (B + 1)**A`` for N training instances.

    Parameters
    ----------
    Y_train : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of the *training* data.
    A, B : float, default=0.55 and 1.5
        0.5 and 0.4 are used for Wikipedia sets, 0.6 and 2.6 for Amazon sets.

    Returns
    -------
    ndarray of float64 of shape (n_labels,)
        In (0, 1].

    References
    ----------
    H. Jain, Y. Prabhu, M. Varma. "Extreme multi-label loss functions for
    recommendation, tagging, ranking and other missing label applications", KDD 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr.metrics import propensity_scores
    >>> propensity_scores(np.eye(20)).round(3)[:2]
    array([0.334, 0.334])
    """
    Y = check_label_indicator(Y_train, "Y_train")
    for name, value in {"A": A, "B": B}.items():
        if not isinstance(value, Real) or not value > 0:
            raise ValueError(f"{name} must be a positive number, got {value!r}")
    return propensities_of(Y, A, B)


def propensities_of(Y, A=0.55, B=1.5):
    """:func:`propensity_scores` of a canonical CSR indicator, which is not checked."""
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    # Below N = e the formula would leave (0, 1]; nothing is known then.
    C = max(np.log(Y.shape[0]) - 1, 0) * (B + 1) ** A
    return 1 / (1 + C * (counts + B) ** -A)


def psprecision_at_k(
    y_true, y_score, k=5, *, propensities, normalize=True, sample_weight=None
):
    """Propensity-scored precision at k: a hit counts the more, the rarer its label.

    Parameters
    ----------
    y_true, y_score, k, sample_weight
        As in :func:`precision_at_k`.
    propensities : array-like of shape (n_labels,)
        From :func:`propensity_scores` of the training labels.
    normalize : bool, default=True
        Divide by the best value that any prediction can reach, as published tables
        do: the ratio of the two means over all rows, not the mean of ratios.

    Returns
    -------
    float
        In [0, 1] if normalised.

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
    check_k(k)
    weights = np.full(k, 1 / k)
    return _propensity_scored(
        y_true, y_score, weights, propensities, normalize, sample_weight
    )


def psndcg_at_k(
    y_true, y_score, k=5, *, propensities, normalize=True, sample_weight=None
):
    """Propensity-scored nDCG at k.

    Gains ``1 / p / log2(rank + 1)``, divided by ``sum over r <= k of 1 / log2(r + 1)``
    (always k terms, as the Extreme Classification Repository defines it; napkinXC sums
    fewer where an instance has fewer true labels).

    Parameters
    ----------
    y_true, y_score, k, propensities, normalize, sample_weight
        As in :func:`psprecision_at_k`.

    Returns
    -------
    float
        In [0, 1] if normalised.

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
    check_k(k)
    weights = _discounts(k) / _discounts(k).sum()
    return _propensity_scored(
        y_true, y_score, weights, propensities, normalize, sample_weight
    )


def psrecall_at_k(
    y_true, y_score, k=5, *, propensities, normalize=True, sample_weight=None
):
    """Propensity-scored recall at k.

    The gains ``1 / p`` of the hits, divided by the instance's number of true labels.

    Parameters
    ----------
    y_true, y_score, k, propensities, normalize, sample_weight
        As in :func:`psprecision_at_k`.

    Returns
    -------
    float
        In [0, 1] if normalised.

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
    check_k(k)
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


@dataclass
class RankedHits:
    """The k best labels of each row, against the truth."""

    truth: sparse.csr_matrix
    labels: np.ndarray  # (n_samples, k), -1: none
    hits: np.ndarray  # (n_samples, k) of bool

    @property
    def n_true(self):
        """Number of true labels of each row."""
        return np.diff(self.truth.indptr)


def ranked_hits(y_true, y_score, k):
    check_k(k)
    truth = check_label_indicator(y_true, "y_true")
    labels = rank_topk(y_score, k, truth.shape)
    keys = np.arange(len(labels), dtype=np.int64)[:, None] * truth.shape[1] + labels
    hits = _member(keys.ravel(), flat_keys(truth)).reshape(labels.shape)
    return RankedHits(truth, labels, hits & (labels >= 0))


def _member(keys, ascending):
    """Whether each key is in an ascending array."""
    if len(ascending) == 0:
        return np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(ascending, keys)
    return ascending.take(places, mode="clip") == keys


def rank_topk(y_score, k, shape):
    """The k best labels of each row, best first, ties by ascending label.

    Parameters
    ----------
    y_score : sparse matrix, array-like or (labels, scores)
        See :func:`precision_at_k`.
    k : int
    shape : (n_samples, n_labels)
        What the truth has.

    Returns
    -------
    ndarray of int64 of shape (n_samples, k)
        -1 where there are fewer.
    """
    if isinstance(y_score, tuple):
        rows, labels, scores = _from_pair(y_score, shape)
    elif sparse.issparse(y_score):
        rows, labels, scores = _from_sparse(y_score, shape)
    else:
        rows, labels, scores = _from_dense(y_score, k, shape)
    order = np.lexsort((labels, -scores, rows))
    rows, labels = rows[order], labels[order]
    starts = np.searchsorted(rows, np.arange(shape[0]))
    rank = np.arange(len(rows)) - starts[rows]
    best = rank < k
    top = np.full((shape[0], k), -1, dtype=np.int64)
    top[rows[best], rank[best]] = labels[best]
    return top


def _from_pair(pair, shape):
    if len(pair) != 2:
        raise ValueError(
            f"y_score must be scores or a pair (labels, scores), got {len(pair)} items"
        )
    labels = check_array(pair[0], dtype=None, input_name="y_score[0] (labels)")
    scores = check_array(
        pair[1],
        dtype="numeric",
        ensure_all_finite=False,
        input_name="y_score[1] (scores)",
    )
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"y_score[0] must hold label numbers (integers), got dtype {labels.dtype}"
        )
    if labels.shape != scores.shape or len(labels) != shape[0]:
        raise ValueError(
            f"y_score's labels and scores must have the same shape and {shape[0]} "
            f"rows, as y_true, got {labels.shape} and {scores.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError("y_score[1] (scores) must not hold NaN")
    rows, places = np.nonzero(labels >= 0)
    labels, scores = labels[rows, places].astype(np.int64), scores[rows, places]
    if len(labels) and labels.max() >= shape[1]:
        raise ValueError(
            f"y_score's labels must be below {shape[1]}, the number of columns of "
            f"y_true, found {labels.max()}"
        )
    keys = np.sort(rows * np.int64(shape[1]) + labels)
    if (keys[1:] == keys[:-1]).any():
        raise ValueError("y_score names a label twice in a row")
    return rows, labels, scores


def _from_sparse(y_score, shape):
    _check_shape(y_score, shape)
    scores = check_array(y_score, accept_sparse="csr", input_name="y_score")
    if not scores.has_canonical_format:
        scores = scores.copy()
        scores.sum_duplicates()
    rows = np.repeat(np.arange(shape[0]), np.diff(scores.indptr))
    return rows, scores.indices.astype(np.int64), scores.data


def _from_dense(y_score, k, shape):
    """Only labels that reach the k-th score of their row can be among its best."""
    scores = check_array(y_score, dtype="numeric", input_name="y_score")
    _check_shape(scores, shape)
    if k >= shape[1]:
        rows, labels = np.divmod(np.arange(scores.size), shape[1])
        return rows, labels, scores.ravel()
    step = max(1, BLOCK_VALUES // shape[1])
    found = []
    for start in range(0, shape[0], step):
        block = scores[start : start + step]
        bar = np.partition(block, shape[1] - k, axis=1)[:, shape[1] - k]
        rows, labels = np.nonzero(block >= bar[:, None])
        found.append((rows + start, labels, block[rows, labels]))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _check_shape(y_score, shape):
    if y_score.shape != shape:
        raise ValueError(
            f"y_score must have the shape of y_true, {shape}, got {y_score.shape}"
        )


def _discounts(k):
    return 1 / np.log2(np.arange(2, k + 2))


def _mean(values, sample_weight):
    if sample_weight is None:
        return float(np.mean(values))
    weight = _check_sample_weight(sample_weight, values)
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
