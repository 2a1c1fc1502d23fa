"""Votes of training instances for their labels."""

import numpy as np
from scipy import sparse

from sklearn_xmr.base import BlockwiseRankingMixin
from sklearn_xmr.utils._fitted_state import on_snapshot
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._rankings import topk_of_csr, values_at
from sklearn_xmr.utils._typing import CSR, MatrixLike

PRIOR_VOTE = np.float32(1e-6)  # far less than an instance has


class VotingMixin(BlockwiseRankingMixin):
    """Rank labels by votes.

    A subclass implements ``_votes(X)``: the votes that each label gets, as canonical
    CSR of shape (n_samples, n_labels).
    """

    @on_snapshot
    def votes(self, X: MatrixLike) -> CSR:
        """Share of the votes that each label gets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            With sorted indices; labels without a vote are not stored.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit.
        """
        X = self._check_instances(X)
        return stacked([self._votes(X[block]) for block in self._blocks(X.shape[0])])

    def __setstate__(self, state):
        super().__setstate__(state)
        targets = vars(self).get("targets_")
        # Else a product would make room for as many labels as a file says.
        if targets is not None and targets.shape[1] != len(self.target_form_.classes):
            raise ValueError(
                "targets_ must have a column for each of the "
                f"{len(self.target_form_.classes)} labels, got shape {targets.shape}"
            )

    def _rank(self, X, k):
        return topk_of_csr(self._votes(X), k)

    def _score_pairs(self, X, pairs):
        return values_at(self._votes(X), pairs)

    def _prior(self):
        """What instances of a 1-D y get beside votes, for they must get some class."""
        return None if self.target_form_.is_multilabel else self.class_prior_


def count_votes(voters, targets, prior=None):
    """Sum of the votes that each label gets.

    Parameters
    ----------
    voters : csr_matrix of float32 of shape (n_samples, n_training_samples)
        Weight of each training instance's vote.
    targets : csr_matrix of shape (n_training_samples, n_labels)
        The labels that training instances vote for.
    prior : ndarray of shape (n_labels,), default=None
        See :func:`with_every_label`; None adds nothing.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        With sorted indices.
    """
    votes = voters @ targets
    votes.sort_indices()
    return votes if prior is None else with_every_label(votes, prior)


def with_every_label(votes, prior):
    """Add a tiny vote by frequency, so that every label has one.

    Parameters
    ----------
    votes : csr_matrix of float32 of shape (n_samples, n_labels)
        Votes.
    prior : ndarray of shape (n_labels,)
        Share of the training instances that have each label.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
    """
    check_memory(
        "a vote for each class",
        votes.shape,
        ("instances", "classes"),
        "give y as a sparse label indicator, of which only the best labels are ranked",
        n_bytes=32,
    )
    return sparse.csr_matrix(votes.toarray() + PRIOR_VOTE * prior)


def label_shares(Y, sample_weight=None):
    """Share of the training instances that have each label.

    Parameters
    ----------
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Label indicator.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Weights of the instances.

    Returns
    -------
    ndarray of float32 of shape (n_labels,)
    """
    if sample_weight is None:
        return np.asarray(Y.mean(axis=0), dtype=np.float32).ravel()
    return (Y.T @ sample_weight) / sample_weight.sum()


def nearest_with_label(cosines, neighbors, Y):
    """Cosine of the nearest neighbour that has a label.

    Parameters
    ----------
    cosines, neighbors : ndarray of shape (n_samples, k)
        Best first, -1 for none.
    Y : csr_matrix of shape (n_training_samples, n_labels)
        Labels of the neighbours.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical.
    """
    found = neighbors >= 0
    labels = Y[neighbors[found]]
    n_each = np.diff(labels.indptr)
    rows = np.repeat(np.repeat(np.arange(len(neighbors)), found.sum(axis=1)), n_each)
    keys = rows * np.int64(Y.shape[1]) + labels.indices
    # The first occurrence is that of the nearest neighbour.
    keys, first = np.unique(keys, return_index=True)
    rows, columns = np.divmod(keys, Y.shape[1])
    shape = (len(neighbors), Y.shape[1])
    values = np.repeat(cosines[found], n_each)[first]
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def stacked(parts):
    """CSR matrices one below the other, as float32; one alone is not copied."""
    whole = parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")
    return whole.astype(np.float32, copy=False)
