"""Whether probabilities of the best labels are as often right as they say."""

from dataclasses import dataclass

import numpy as np

from sklearn_xmr.metrics._ranking import ranked_hits
from sklearn_xmr.utils.topk import topk_of_csr
from sklearn_xmr.utils.validation import check_k


def ece_at_k(y_true, y_score, k=5, *, n_bins=10):
    """Expected calibration error of the k best labels.

    The labels' probabilities are put into ``n_bins`` bins of equal width; in each, the
    mean probability is compared with the share of right labels. The error is the mean
    of the gaps, weighted by the number of labels.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.
    y_score : sparse matrix or (labels, scores)
        Probabilities, as :func:`precision_at_k` takes scores.
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
        If a score lies outside [0, 1].

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
    return calibration_bins(y_true, y_score, k, n_bins).error


@dataclass
class CalibrationBins:
    """Sums over the predicted labels of each bin of probabilities."""

    scores: np.ndarray
    hits: np.ndarray
    counts: np.ndarray

    @property
    def error(self):
        """Expected calibration error (float)."""
        gaps = np.abs(self.scores - self.hits).sum()
        return float(gaps / max(self.counts.sum(), 1))


def calibration_bins(y_true, y_score, k, n_bins):
    """The k best labels of each row in bins of equal width, see :func:`ece_at_k`."""
    check_k(n_bins)
    hits, scores = hits_and_scores(y_true, y_score, k)
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(
            "y_score must hold probabilities between 0 and 1, found values from "
            f"{scores.min()} to {scores.max()}"
        )
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    sums = (np.bincount(bins, values, n_bins) for values in (scores, hits))
    return CalibrationBins(*sums, np.bincount(bins, minlength=n_bins))


def hits_and_scores(y_true, y_score, k):
    """Whether each of the k best labels of each row is right, and its score.

    Returns
    -------
    hits : ndarray of bool of shape (n_predicted,)
    scores : ndarray of float of shape (n_predicted,)
    """
    if not isinstance(y_score, tuple):
        y_score = topk_of_csr(y_score.tocsr(), k)
    labels, scores = (np.asarray(part) for part in y_score)
    order = np.lexsort((labels, -scores), axis=1)
    scores = np.take_along_axis(scores, order, axis=1)[:, :k]
    labels = np.take_along_axis(labels, order, axis=1)[:, :k]
    hits = ranked_hits(y_true, (labels, scores), labels.shape[1]).hits
    found = labels >= 0
    return hits[found], scores[found]
