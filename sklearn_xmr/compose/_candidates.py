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


def rows_of_pairs(pairs):
    """Row of each pair."""
    return np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))


def values_at(matrix, pairs):
    """Values of a CSR matrix at given pairs.

    Parameters
    ----------
    matrix, pairs : csr_matrix of shape (n_samples, n_labels)
        Canonical.

    Returns
    -------
    ndarray of float32 of shape (pairs.nnz,)
        0 where the matrix stores none.
    """
    stored, wanted = flat_keys(matrix), flat_keys(pairs)
    values = np.zeros(len(wanted), dtype=np.float32)
    if len(stored):
        places = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
        same = stored[places] == wanted
        values[same] = matrix.data[places[same]]
    return values


def with_values(pairs, values):
    """The pairs as CSR with these values."""
    return sparse.csr_matrix((values, pairs.indices, pairs.indptr), shape=pairs.shape)
