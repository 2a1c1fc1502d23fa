"""Whether probabilities of the best labels are as often right as they say."""

import numpy as np

from sklearn_xmr.utils._hits import hits_and_scores
from sklearn_xmr.utils._typing import MatrixLike
from sklearn_xmr.utils._validation import check_count


def ece_at_k(
    y_true: MatrixLike, y_score: MatrixLike, k: int = 5, *, n_bins: int = 10
) -> float:
    """Expected calibration error of the k best labels.

    The labels' probabilities are put into ``n_bins`` bins of equal width; in each, the
    mean probability is compared with the share of right labels. The error is the mean
    of the gaps, weighted by the number of labels.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Probabilities of shape (n_samples, n_labels), or the pair that
        ``predict_topk`` returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels of each instance that count; labels that are not stored, or
        -1, do not.
    n_bins : int, default=10
        Number of bins.

    Returns
    -------
    float
        In [0, 1]; 0 is the best. 0 where nothing is predicted.

    Raises
    ------
    ValueError
        If an argument is not as described, or a score lies outside [0, 1].

    See Also
    --------
    calibration_curve_at_k : What is compared, bin by bin.

    Notes
    -----
    There is no ``sample_weight``: the average is over predicted labels, not over
    instances.

    References
    ----------
    M. Pakdaman Naeini, G. Cooper, M. Hauskrecht. "Obtaining well calibrated
    probabilities using Bayesian binning", AAAI 2015.

    Examples
    --------
    >>> from sklearn_xmr.metrics import ece_at_k
    >>> y_true = [[1, 0], [1, 0], [0, 1], [1, 0]]
    >>> labels = [[0], [0], [0], [0]]
    >>> round(ece_at_k(y_true, (labels, [[0.9], [0.9], [0.9], [0.9]]), k=1), 2)
    0.15
    """
    hits, scores, counts = _bins(y_true, y_score, k, n_bins)
    return float(np.abs(scores - hits).sum() / max(counts.sum(), 1))


def calibration_curve_at_k(
    y_true: MatrixLike, y_score: MatrixLike, k: int = 5, *, n_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often the k best labels are right, by their probability.

    What :func:`sklearn.calibration.calibration_curve` is for two classes: bins of
    equal width that hold no label are left out.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix, array-like or (labels, scores)
        Probabilities of shape (n_samples, n_labels), or the pair that
        ``predict_topk`` returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels of each instance that count; labels that are not stored, or
        -1, do not.
    n_bins : int, default=10
        Number of bins.

    Returns
    -------
    prob_true : ndarray of float of shape (at most n_bins,)
        Share of right labels in each bin.
    prob_pred : ndarray of float of the same shape
        Mean probability in each bin.
    counts : ndarray of int of the same shape
        Number of labels in each bin.

    Raises
    ------
    ValueError
        If an argument is not as described, or a score lies outside [0, 1].

    See Also
    --------
    ece_at_k : The mean gap between the two.
    sklearn_xmr.inspection.CalibrationAtKDisplay : Draws the curve.

    Examples
    --------
    >>> from sklearn_xmr.metrics import calibration_curve_at_k
    >>> y_true = [[1, 0], [1, 0], [0, 1], [1, 0]]
    >>> labels = [[0], [0], [0], [0]]
    >>> scores = [[0.75], [0.75], [0.75], [0.25]]
    >>> calibration_curve_at_k(y_true, (labels, scores), k=1, n_bins=2)
    (array([1.        , 0.66666667]), array([0.25, 0.75]), array([1, 3]))
    """
    hits, scores, counts = _bins(y_true, y_score, k, n_bins)
    filled = counts > 0
    counts = counts[filled]
    return hits[filled] / counts, scores[filled] / counts, counts


def _bins(y_true, y_score, k, n_bins):
    """Hits, sum of scores and number of the predicted labels of each bin."""
    check_count(n_bins, "n_bins")
    hits, scores = hits_and_scores(y_true, y_score, k)
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(
            "y_score must hold probabilities between 0 and 1, found values from "
            f"{scores.min()} to {scores.max()}"
        )
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    sums = [np.bincount(bins, values, n_bins) for values in (hits, scores)]
    return *sums, np.bincount(bins, minlength=n_bins)
