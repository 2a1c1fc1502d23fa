"""Candidate (instance, label) pairs of several rankings, and their scores."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils.topk import csr_from_topk
from sklearn_xmr.utils.validation import flat_keys


def union_of_rankings(rankings, n_labels):
    """Pairs that occur in any ranking.

    Parameters
    ----------
    rankings : list of ndarray of int of shape (n_samples, k)
        Labels, -1 for none.
    n_labels : int

    Returns
    -------
    csr_matrix of bool of shape (n_samples, n_labels)
        Canonical.
    """
    labels = np.concatenate(rankings, axis=1)
    pairs = csr_from_topk(labels, np.ones(labels.shape, dtype=bool), n_labels)
    pairs.sum_duplicates()
    return pairs


def scores_of_pairs(ranking, pairs):
    """The scores of given pairs in a ranking.

    Parameters
    ----------
    ranking : (labels, scores), both of shape (n_samples, k)
    pairs : csr_matrix of shape (n_samples, n_labels)
        Canonical; holds all pairs of the ranking.

    Returns
    -------
    scores : ndarray of float32 of shape (pairs.nnz,)
        0 for a pair that the ranking does not hold.
    """
    labels, values = ranking
    found = csr_from_topk(labels, values, pairs.shape[1])
    scores = np.zeros(pairs.nnz, dtype=np.float32)
    scores[np.searchsorted(flat_keys(pairs), flat_keys(found))] = found.data
    return scores


def with_values(pairs, values):
    """The pairs as CSR with these values."""
    return sparse.csr_matrix((values, pairs.indices, pairs.indptr), shape=pairs.shape)
