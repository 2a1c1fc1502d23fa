"""Probabilities of labels made consistent: a broader label is at least as probable."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._ranges import ranges

STEP = 2.0**-22  # relative; float32 tells numbers apart that differ by it
SMALLEST = 1e-30


def largest_below(scores, closure):
    """For each label the largest score of it and of its narrower ones.

    Parameters
    ----------
    scores : csr_matrix of shape (n_samples, n_labels)
        Positive scores of some labels.
    closure : csr_matrix of shape (n_labels, n_labels)
        Non-zero where the column is the label of the row, or broader than it.

    Returns
    -------
    csr_matrix of float64 of shape (n_samples, n_labels)
        Canonical; stores the labels of the scores and all that are broader.
    """
    counts = np.diff(closure.indptr)[scores.indices]
    above = closure.indices[ranges(closure.indptr[scores.indices], counts)]
    rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    rows, values = np.repeat(rows, counts), np.repeat(scores.data, counts)
    keys = rows * np.int64(scores.shape[1]) + above
    order = np.lexsort((values, keys))
    last = np.append(keys[order][1:] != keys[order][:-1], True)[: len(order)]
    best = order[last]
    places = rows[best], above[best]
    values = values[best].astype(np.float64)
    return sparse.csr_matrix((values, places), shape=scores.shape)


def any_below(scores, closure):
    """For each label the probability that it or a narrower one is right.

    ``1 - prod(1 - p)``: as if labels were right independently of each other.

    Parameters
    ----------
    scores : csr_matrix of shape (n_samples, n_labels)
        Probabilities below 1 of some labels.
    closure : csr_matrix of float32 of shape (n_labels, n_labels)
        Ones where the column is the label of the row, or broader than it.

    Returns
    -------
    csr_matrix of float64 of shape (n_samples, n_labels)
        Canonical; stores the labels of the scores and all that are broader.
    """
    out = sparse.csr_matrix(scores, dtype=np.float64, copy=True)
    out.data = np.log1p(-out.data)
    out = out @ closure
    out.data = -np.expm1(out.data)
    out.sort_indices()
    return out


def strictly_above(scores, heights):
    """Scores of broader labels larger than those of narrower ones, where equal.

    So that each ranking of them, cut anywhere, has the ancestors of its labels.

    Parameters
    ----------
    scores : csr_matrix of shape (n_samples, n_labels)
        Scores in (0, 1], of a broader label at least those of narrower ones.
    heights : ndarray of int of shape (n_labels,)
        Larger for a broader label than for each narrower one.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        Scores in (0, 1); the relative change is at most 2.4e-7 for each step from the
        narrowest label up.
    """
    largest = 1 / (1 + STEP * (heights.max(initial=0) + 1))
    values = np.clip(scores.data, SMALLEST, largest)
    values = (values * (1 + STEP * heights[scores.indices])).astype(np.float32)
    return sparse.csr_matrix((values, scores.indices, scores.indptr), scores.shape)
