"""What is trained at each level of a label tree: positives, shortlists, first heads."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.linear import SolverSettings, train_level
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._seeding import draw_seed

ROWS_AT_ONCE = 2048  # whose scores of all nodes are held together


def label_costs(target):
    """A level's positives with costs: labels under the node, by the row's mean."""
    costs = normalize(target, norm="l1")
    costs.data *= np.repeat(np.diff(target.indptr), np.diff(target.indptr))
    return costs


def ones_at(target):
    """A level's positives, each with a cost of 1."""
    ones = target.copy()
    ones.data[:] = 1
    return ones


def make_shortlists(tree, level, positives, matched):
    """Pairs of a level: children of each instance's parent nodes, and its positives.

    Parameters
    ----------
    tree : LabelTree
        The tree.
    level : int
        Of the children.
    positives : csr_matrix of shape (n_samples, n_nodes)
        Values are costs.
    matched : csr_matrix of shape (n_samples, n_parents) or None
        Parent nodes of each instance; None means the root.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_nodes)
        Costs of positives; -1 for negatives.
    """
    offsets = tree.offsets[level]
    parents = _all_rows(positives.shape[0]) if matched is None else matched
    sizes = np.diff(offsets)
    children = sparse.csr_matrix(
        (np.ones(offsets[-1], dtype=np.float32), np.arange(offsets[-1]), offsets),
        shape=(len(sizes), offsets[-1]),
    )
    pairs = sparse.csr_matrix(parents, dtype=np.float32) @ children
    pairs.data[:] = -1
    pairs = pairs - pairs.multiply(ones_at(positives))
    pairs = sparse.csr_matrix(pairs + positives, dtype=np.float32)
    pairs.eliminate_zeros()
    pairs.sort_indices()
    return pairs


def first_head(embedded, tree, level, targets, rng, sample_weight=None):
    """Linear models of a level on the current embeddings, trained by the node solver.

    Parameters
    ----------
    embedded : ndarray of float32 of shape (n_samples, n_dense)
        Unit embeddings.
    tree : LabelTree
        The tree.
    level : int
        Whose nodes are trained.
    targets : list of csr_matrix of shape (n_samples, n_nodes)
        Positives of every level.
    rng : RandomState
        Draws the solver's seed.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Weights of the instances.

    Returns
    -------
    weight : ndarray of float32 of shape (n_nodes, n_dense)
        Weights.
    bias : ndarray of float32 of shape (n_nodes,)
        Biases.
    """
    weights = train_level(
        HybridFeatures(None, embedded),
        targets[level],
        targets[level - 1] if level else _all_rows(len(embedded)),
        tree.offsets[level],
        SolverSettings(tol=0.1, max_iter=50, seed=draw_seed(rng)),
        weight=sample_weight,
    )
    return weights.dense_weights(), weights.intercept.copy()


def _all_rows(n_samples):
    """The root as parent of all instances: CSR of ones of shape (n_samples, 1)."""
    return sparse.csr_matrix(np.ones((n_samples, 1), dtype=np.float32))


def matched_nodes(head, embedded, allowed, beam_size):
    """The best nodes of each instance among those allowed.

    Parameters
    ----------
    head : ShortlistHead
        Scores the nodes.
    embedded : ndarray of float32 of shape (n_samples, n_dense)
        Unit embeddings.
    allowed : csr_matrix of shape (n_samples, n_nodes) or None
        Stored pairs; None allows all.
    beam_size : int or None
        Number of nodes; None for all that are allowed.

    Returns
    -------
    csr_matrix of shape (n_samples, n_nodes)
        Ones.
    """
    parts = []
    for first in range(0, len(embedded), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        scores = head.scores(embedded[rows])
        if allowed is not None:
            mask = np.ones(scores.shape, dtype=bool)
            mask[allowed[rows].nonzero()] = False
            scores[mask] = -np.inf
        n_nodes = scores.shape[1]
        most = n_nodes if beam_size is None else min(beam_size, n_nodes)
        best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
        values = np.take_along_axis(scores, best, axis=1)
        parts.append(np.where(np.isfinite(values), best, -1))
    best = np.concatenate(parts)
    ones = np.ones(best.shape, dtype=np.float32)
    return csr_from_topk(best, ones, len(head.weight))
