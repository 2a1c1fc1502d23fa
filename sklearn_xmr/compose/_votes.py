"""Votes of training instances for their labels."""

import numpy as np
from scipy import sparse

PRIOR_VOTE = np.float32(1e-6)  # far less than an instance has


def count_votes(voters, targets, every_class=False):
    """Sum of the votes that each label gets.

    Parameters
    ----------
    voters : csr_matrix of float32 of shape (n_samples, n_training_samples)
        Weight of each training instance's vote.
    targets : csr_matrix of shape (n_training_samples, n_labels)
        The labels that training instances vote for.
    every_class : bool, default=False
        As :func:`with_every_class`: for a 1-D y.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        With sorted indices.
    """
    votes = voters @ targets
    votes.sort_indices()
    return with_every_class(votes, targets) if every_class else votes


def with_every_class(votes, targets):
    """Add a tiny vote by frequency: instances of a 1-D y must get some class."""
    prior = np.asarray(targets.mean(axis=0)).ravel()
    return sparse.csr_matrix(votes.toarray() + PRIOR_VOTE * prior)
