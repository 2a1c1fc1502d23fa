"""The k best labels of each instance against the true ones."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._matrices import flat_keys
from sklearn_xmr.utils._rankings import rank_topk, scores_at
from sklearn_xmr.utils._validation import check_count, check_label_indicator


@dataclass
class RankedHits:
    """The k best labels of each row, and which of them are true.

    Parameters
    ----------
    truth : csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical indicator of the true labels.
    labels : ndarray of int64 of shape (n_samples, k)
        Best first; -1 where there are fewer.
    hits : ndarray of bool of shape (n_samples, k)
        Whether each of the labels is true.
    """

    truth: sparse.csr_matrix
    labels: np.ndarray
    hits: np.ndarray

    @property
    def n_true(self):
        """Number of true labels of each row (ndarray of int)."""
        return np.diff(self.truth.indptr)


def ranked_hits(y_true, y_score, k):
    """Rank the labels of each row, and find which of the k best are true.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        True label indicator.
    y_score : {array-like, sparse matrix} of shape (n_samples, n_labels), or pair
        Scores, or a pair (labels, scores), as of :func:`predict_topk`.
    k : int
        Number of labels.

    Returns
    -------
    RankedHits
        The ranking and which of its labels are true.

    Raises
    ------
    ValueError
        If an argument does not have such a form, or shapes differ.
    """
    check_count(k, "k")
    truth = check_label_indicator(y_true, "y_true")
    labels = rank_topk(y_score, k, truth.shape)
    return RankedHits(truth, labels, hits_of(labels, truth))


def hits_of(labels, truth):
    """Find which labels of a top-k list are true.

    Parameters
    ----------
    labels : ndarray of int of shape (n_samples, k)
        Labels of each row; -1 for none.
    truth : csr_matrix of shape (n_samples, n_labels)
        Canonical indicator of the true labels.

    Returns
    -------
    ndarray of bool of shape (n_samples, k)
    """
    keys = np.arange(len(labels), dtype=np.int64)[:, None] * truth.shape[1] + labels
    hits = _member(keys.ravel(), flat_keys(truth)).reshape(labels.shape)
    return hits & (labels >= 0)


def _member(keys, ascending):
    """Whether each key is in an ascending array."""
    if len(ascending) == 0:
        return np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(ascending, keys)
    return ascending.take(places, mode="clip") == keys


def hits_and_scores(y_true, y_score, k):
    """Find whether each of the k best labels of each row is true, and its score.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        True label indicator.
    y_score : {array-like, sparse matrix} of shape (n_samples, n_labels), or pair
        Scores, or a pair (labels, scores), as of :func:`predict_topk`.
    k : int
        Number of labels.

    Returns
    -------
    hits : ndarray of bool of shape (n_predicted,)
        Whether each retrieved label is true, row by row, best first.
    scores : ndarray of float of shape (n_predicted,)
        Scores of the same labels.

    Raises
    ------
    ValueError
        If an argument does not have such a form, or shapes differ.
    """
    ranked = ranked_hits(y_true, y_score, k)
    found = ranked.labels >= 0
    if isinstance(y_score, tuple):
        scores = _best_of_pair(y_score, found.sum(axis=1))
    else:
        scores = scores_at(y_score, ranked.labels)[found]
    return ranked.hits[found], scores


def _best_of_pair(y_score, counts):
    """The largest scores of each row of a pair (labels, scores), row by row."""
    labels, scores = (np.asarray(part) for part in y_score)
    ranked = -np.sort(np.where(labels >= 0, -scores, np.inf), axis=1)
    return ranked[np.arange(ranked.shape[1]) < counts[:, None]]
