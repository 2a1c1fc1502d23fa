"""Conformal risk control: thresholds of scores for label sets, of arrays alone.

A set holds the retrieved labels whose scores reach a threshold. The loss of an instance
lies between 0 and 1, and changes only where the threshold passes one of its scores: all
such changes in descending order of the scores give the risk at each threshold.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import beta

from sklearn_xmr.utils._hits import hits_of

N_COVERAGES = 20  # shares of answered instances that are tried: steps of 5 %


@dataclass(frozen=True)
class RankedTruth:
    """Held-out instances: what a model retrieves for them, and what is true.

    Parameters
    ----------
    labels : ndarray of int of shape (n_samples, k)
        Retrieved labels, best first; -1 where there are fewer.
    scores : ndarray of float of shape (n_samples, k)
        Their scores.
    hits : ndarray of bool of shape (n_samples, k)
        Which of them are true.
    truth : csr_matrix of shape (n_samples, n_labels)
        Canonical label indicator.
    weights : ndarray of shape (n_samples,) or None
        Positive weights of the instances; None for equal ones.
    """

    labels: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    truth: sparse.csr_matrix
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, labels, scores, truth, weights=None):
        """Find the hits of a ranking."""
        return cls(labels, scores, hits_of(labels, truth), truth, weights)

    def rows(self, rows):
        """Select some of the instances."""
        parts = self.labels, self.scores, self.hits, self.truth, self.weights
        return RankedTruth(*(None if part is None else part[rows] for part in parts))

    def thresholds(self, risk, alpha, bands, n_bands):
        """The threshold of the labels of each band, by the loss of these alone.

        Parameters
        ----------
        risk : {"recall", "false_discovery"}
            What alpha bounds.
        alpha : float
            The wanted level, between 0 and 1.
        bands : ndarray of int of shape (n_labels,)
            Band of each label.
        n_bands : int
            Number of bands.

        Returns
        -------
        list of Threshold
        """
        is_label = self.labels >= 0
        scores = np.where(is_label, self.scores, -np.inf)
        band_of, found = bands[self.labels], []
        for band in range(n_bands):
            members = is_label & (band_of == band)
            if risk == "recall":
                n_true = self.truth @ (bands == band).astype(np.int64)
                given = scores, self.hits & members, n_true, alpha, self.weights
                found.append(threshold_for_recall(*given))
            else:
                given = scores, self.hits, members, alpha, self.weights
                found.append(threshold_for_false_discovery(*given))
        return found


@dataclass(frozen=True)
class Threshold:
    """From which score labels belong to sets, and the risk that this keeps to.

    Parameters
    ----------
    score : float
        The least score of a label in a set; -inf for all retrieved labels, inf for
        none.
    level : float
        Bound of the expected loss: what was asked for, or the least that can be had.
    """

    score: float
    level: float


def threshold_for_recall(scores, hits, n_true, alpha, weights=None):
    """The largest threshold whose expected share of missed labels is at most alpha.

    Instances without a true label do not count. A true label that was not retrieved is
    missed at every threshold.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, k)
        Scores of the retrieved labels.
    hits : ndarray of bool of shape (n_samples, k)
        Which of them are true.
    n_true : ndarray of int of shape (n_samples,)
        Number of true labels, retrieved or not.
    alpha : float
        The wanted level, between 0 and 1.
    weights : ndarray of shape (n_samples,), default=None
        Positive weights of the instances; None for equal ones.

    Returns
    -------
    Threshold
        With a score of -inf where the level is not reached by all retrieved labels.

    References
    ----------
    A. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster. "Conformal Risk Control",
    ICLR 2024.
    """
    counted = n_true > 0
    scores, hits, n_true = scores[counted], hits[counted], n_true[counted]
    weights = np.ones(len(scores)) if weights is None else weights[counted]
    rows, places = np.nonzero(hits)
    found = weights[rows] / n_true[rows]
    ends, totals = _from_the_top(scores[rows, places], found)
    bounds = _bounds(weights.sum(dtype=float) - totals, weights)
    reached = bounds <= alpha
    if reached.any():
        return Threshold(float(ends[reached.argmax()]), alpha)
    return Threshold(-np.inf, float(bounds[-1]) if len(bounds) else 1.0)


def threshold_for_false_discovery(scores, hits, retrieved, alpha, weights=None):
    """The least threshold whose expected share of wrong labels is at most alpha.

    The wrong share of a growing set can rise and fall. Its largest value so far only
    rises, and is at least as large: this is the loss of an instance here, so that the
    guarantee holds for any number of instances.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, k)
        Scores of the retrieved labels, best first; -inf where there are fewer.
    hits : ndarray of bool of shape (n_samples, k)
        Which of them are true.
    retrieved : ndarray of bool of shape (n_samples, k)
        Where there is a label that counts.
    alpha : float
        The wanted level, between 0 and 1.
    weights : ndarray of shape (n_samples,), default=None
        Positive weights of the instances; None for equal ones.

    Returns
    -------
    Threshold
        With a score of inf, for empty sets, where there are too few instances.

    References
    ----------
    A. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster. "Conformal Risk Control",
    ICLR 2024, section 2.3.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    least = float(_bounds(np.zeros(1), weights)[0])
    if least > alpha:
        return Threshold(np.inf, least)
    rises = np.diff(_largest_wrong_share(scores, hits, retrieved), axis=1, prepend=0)
    rows, places = np.nonzero(rises)
    changes = rises[rows, places] * weights[rows]
    ends, totals = _from_the_top(scores[rows, places], changes)
    broken = _bounds(totals, weights) > alpha
    if not broken.any():
        return Threshold(-np.inf, alpha)
    # Labels between this score and the one before it raise no loss: just above.
    return Threshold(float(np.nextafter(float(ends[broken.argmax()]), np.inf)), alpha)


def _bounds(losses, weights):
    """The mean loss with one more instance, whose loss is 1 and weight the largest."""
    more = weights.max(initial=0) if len(weights) else 1.0
    return (losses + more) / (weights.sum(dtype=float) + more)


def _from_the_top(scores, changes):
    """Distinct scores, largest first, and the sum of the changes from there up."""
    order = np.argsort(-scores, kind="stable")
    scores, totals = scores[order], np.cumsum(changes[order], dtype=float)
    ends = np.append(scores[1:] < scores[:-1], True)[: len(scores)]
    return scores[ends], totals[ends]


def _largest_wrong_share(scores, hits, retrieved):
    """Largest wrong share of the j best labels or fewer, for each instance and j."""
    size = np.cumsum(retrieved, axis=1)
    share = np.cumsum(retrieved & ~hits, axis=1) / np.maximum(size, 1)
    tied = scores[:, :-1] == scores[:, 1:]  # no set ends between equal scores
    share[:, :-1][tied] = 0
    return np.maximum.accumulate(share, axis=1)


def confidence_threshold(confidences, right, min_precision, delta):
    """Above which confidence enough answers are right, for as many as possible.

    Some shares of the instances, the most confident first, are tried. Of each, the
    number of wrong answers gives an upper bound of their rate; all bounds together hold
    with probability 1 - delta.

    Parameters
    ----------
    confidences : ndarray of shape (n_samples,)
        How sure each answer is.
    right : ndarray of bool of shape (n_samples,)
        Whether it is right.
    min_precision : float
        Wanted share of right answers, between 0 and 1.
    delta : float
        Probability that less is reached.

    Returns
    -------
    float
        Answers of larger confidence are given; inf for none, -inf for all.

    References
    ----------
    Y. Geifman, R. El-Yaniv. "Selective Classification for Deep Neural Networks",
    NeurIPS 2017.
    """
    order = np.argsort(-confidences, kind="stable")
    ranked, n_samples = confidences[order], len(confidences)
    wrong = np.concatenate([[0], np.cumsum(~right[order])])
    shares = np.arange(1, N_COVERAGES + 1) / N_COVERAGES
    # Above the next confidence, so that it does not depend on those that are counted.
    thresholds = np.unique(np.append(ranked, -np.inf)[np.int64(shares * n_samples)])
    n_answered = np.searchsorted(-ranked, -thresholds, side="left")
    rates = _upper_bounds(wrong[n_answered], n_answered, delta / N_COVERAGES)
    allowed = rates <= 1 - min_precision
    return float(thresholds[allowed.argmax()]) if allowed.any() else np.inf


def _upper_bounds(n_wrong, n, delta):
    """Clopper and Pearson's bounds of rates, each exceeded with probability delta."""
    is_open = n_wrong < n  # otherwise the bound is 1
    bounds = beta.ppf(1 - delta, n_wrong + 1, np.maximum(n - n_wrong, 1))
    return np.where(is_open, bounds, 1.0)
