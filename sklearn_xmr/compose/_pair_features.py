"""Numbers by which right (instance, label) pairs differ from wrong ones.

Pairs come as a canonical CSR matrix of shape (n_samples, n_labels); features are arrays
with a row per stored pair, in its order.
"""

import numpy as np

from sklearn_xmr.utils._matrices import check_loaded_matrices
from sklearn_xmr.utils._rankings import (
    csr_from_topk,
    rows_of_pairs,
    topk_of_csr,
    values_at,
    with_values,
)
from sklearn_xmr.utils._storable import storable

SMALLEST_SCORE = 1e-6  # what a score of 0 counts as before its logarithm
CONTEXT_LABELS = 10  # best labels of an instance that support others
COMPANIONS = 100  # labels that each label supports
PRIOR_COUNT = 3  # instances that a label must exceed to be believed


def score_features(scores, pairs):
    """A model's score of each pair, absolutely and among the pairs of its row.

    Parameters
    ----------
    scores : ndarray of float32 of shape (pairs.nnz,)
        Non-negative.
    pairs : csr_matrix of shape (n_samples, n_labels)
        Canonical.

    Returns
    -------
    ndarray of float32 of shape (pairs.nnz, 4)
        Logarithm of the score, share of the row's largest and of the row's sum, rank.
    """
    rows = rows_of_pairs(pairs)
    largest = np.zeros(pairs.shape[0], dtype=np.float32)
    filled = np.flatnonzero(np.diff(pairs.indptr))
    if len(filled):
        largest[filled] = np.maximum.reduceat(scores, pairs.indptr[filled])
    total = np.bincount(rows, scores, pairs.shape[0])
    order = np.lexsort((-scores, rows))
    rank = np.empty(len(scores), dtype=np.float32)
    rank[order] = np.arange(len(scores)) - pairs.indptr[rows]
    tiny = np.finfo(np.float32).tiny
    features = [
        np.log(scores + SMALLEST_SCORE),
        scores / np.maximum(largest[rows], tiny),
        scores / np.maximum(total[rows], tiny),
        rank,
    ]
    return np.column_stack(features).astype(np.float32)


@storable
class LabelStatistics:
    """How often labels occur, and which occur together, in training.

    Parameters
    ----------
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator.

    Attributes
    ----------
    log_frequency : ndarray of float32 of shape (n_labels,)
        Logarithm of one more than the number of each label's instances.
    companions : csr_matrix of float32 of shape (n_labels, n_labels)
        Row l: the 100 labels that occur most often with l, with the share of
        l's instances that have them, shrunk for labels of few instances.
    """

    def __init__(self, Y):
        counts = np.asarray(Y.sum(axis=0), dtype=np.float32).ravel()
        self.log_frequency = np.log1p(counts)
        self.companions = _companions(Y, counts)

    def __setstate__(self, state):
        vars(self).update(state)
        check_loaded_matrices(vars(self))

    def features(self, scores, pairs):
        """Frequency of each pair's label, and support from the row's best labels.

        Support is ``sum over l' of score(l') P(label | l')`` over the ten best labels
        l' of the row other than the label itself.

        Parameters
        ----------
        scores : ndarray of float32 of shape (pairs.nnz,)
            Of the pairs, by any model.
        pairs : csr_matrix of shape (n_samples, n_labels)
            Canonical.

        Returns
        -------
        ndarray of float32 of shape (pairs.nnz, 5)
        """
        best, values = topk_of_csr(with_values(pairs, scores), CONTEXT_LABELS)
        support = self._support(best, values, pairs)
        return np.column_stack(
            [self.log_frequency[pairs.indices], score_features(support, pairs)]
        )

    def _support(self, best, values, pairs):
        sums = csr_from_topk(best, values, pairs.shape[1]) @ self.companions
        sums.sort_indices()
        return values_at(sums, pairs)


def _companions(Y, counts):
    together = (Y.T @ Y).tocsr()
    together.setdiag(0)
    together.eliminate_zeros()
    together.sort_indices()
    labels, values = topk_of_csr(together.astype(np.float32), COMPANIONS)
    return csr_from_topk(labels, values / (counts[:, None] + PRIOR_COUNT), Y.shape[1])
