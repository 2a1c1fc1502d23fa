"""What is trained at each level of a label tree: positives, shortlists, first heads."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.linear._prediction import root_rows
from sklearn_xmr.linear._training import (
    SolverSettings,
    make_level_problem,
    solve_levels,
)
from sklearn_xmr.utils.hybrid import HybridFeatures
from sklearn_xmr.utils.seeding import draw_seed
from sklearn_xmr.utils.topk import csr_from_topk

ROWS_AT_ONCE = 2048  # whose scores of all nodes are held together


def costs_of(target):
    """A level's positives with costs: labels under the node, by the row's mean."""
    costs = normalize(target, norm="l1")
    costs.data *= np.repeat(np.diff(target.indptr), np.diff(target.indptr))
    return costs


def shortlists(tree, level, positives, matched):
    """Pairs of a level: children of each instance's parent nodes, and its positives.

    Parameters
    ----------
    tree : LabelTree
    level : int
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
    parents = root_rows(positives.shape[0]) if matched is None else matched
    sizes = np.diff(offsets)
    children = sparse.csr_matrix(
        (np.ones(offsets[-1], dtype=np.float32), np.arange(offsets[-1]), offsets),
        shape=(len(sizes), offsets[-1]),
    )
    pairs = sparse.csr_matrix(parents, dtype=np.float32) @ children
    pairs.data[:] = -1
    covered = positives.copy()
    covered.data[:] = 1
    pairs = pairs - pairs.multiply(covered)
    pairs = sparse.csr_matrix(pairs + positives, dtype=np.float32)
    pairs.eliminate_zeros()
    pairs.sort_indices()
    return pairs


def first_head(embedded, tree, level, targets, rng):
    """Linear models of a level on the current embeddings, trained by the block solver.

    Returns
    -------
    weight : ndarray of float32 of shape (n_nodes, n_dense)
    bias : ndarray of float32 of shape (n_nodes,)
    """
    settings = SolverSettings(
        loss="squared_hinge",
        positive_cost=1.0,
        negative_cost=1.0,
        bias=1.0,
        tol=0.1,
        max_iter=50,
        weight_threshold=0.0,
        weight_dtype="float32",
        seed=draw_seed(rng),
    )
    teacher = targets[level - 1] if level else root_rows(embedded.shape[0])
    problem = make_level_problem(
        targets[level], teacher, None, tree.offsets[level], False
    )
    X = HybridFeatures(None, embedded)
    (weights,), _ = solve_levels(X, [problem], settings)
    return weights.dense_weights(), weights.intercept.copy()


def matched_nodes(head, embedded, allowed, k):
    """The k best nodes of each instance among those allowed.

    Parameters
    ----------
    head : ShortlistHead
    embedded : ndarray of float32 of shape (n_samples, n_dense)
    allowed : csr_matrix of shape (n_samples, n_nodes) or None
        Stored pairs; None allows all.
    k : int

    Returns
    -------
    csr_matrix of shape (n_samples, n_nodes)
    """
    parts = []
    for first in range(0, len(embedded), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        scores = head.scores(embedded[rows])
        if allowed is not None:
            mask = np.ones(scores.shape, dtype=bool)
            mask[allowed[rows].nonzero()] = False
            scores[mask] = -np.inf
        most = min(k, scores.shape[1])
        best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
        values = np.take_along_axis(scores, best, axis=1)
        parts.append(np.where(np.isfinite(values), best, -1))
    best = np.concatenate(parts)
    ones = np.ones(best.shape, dtype=np.float32)
    return csr_from_topk(best, ones, len(head.weight))
