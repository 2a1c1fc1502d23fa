"""Broader relations as a graph without cycles: closure, heights, who is left out."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def relation(narrower, broader, n_concepts):
    """Make a relation of pairs.

    Parameters
    ----------
    narrower, broader : array-like of int of shape (n_pairs,)
        Numbers of concepts.
    n_concepts : int
        Number of concepts.

    Returns
    -------
    csr_matrix of bool of shape (n_concepts, n_concepts)
        Canonical; True at (narrower, broader).
    """
    pairs = np.asarray(narrower, dtype=np.int64), np.asarray(broader, dtype=np.int64)
    ones = np.ones(len(pairs[0]), dtype=bool)
    out = sparse.csr_matrix((ones, pairs), shape=(n_concepts, n_concepts))
    out.sum_duplicates()
    return out


def find_cycle(broader):
    """A cycle of a relation.

    Parameters
    ----------
    broader : csr_matrix of shape (n_concepts, n_concepts)
        Canonical relation.

    Returns
    -------
    list of int or None
        Concepts, each with the next as a broader one, the first again at the end; None
        where there is no cycle.
    """
    to_itself = np.flatnonzero(broader.diagonal())
    if len(to_itself):
        return [int(to_itself[0])] * 2
    n_parts, part = connected_components(broader, connection="strong")
    if n_parts == broader.shape[0]:
        return None
    together = part == np.argmax(np.bincount(part) > 1)
    walk, place = [int(np.argmax(together))], {}
    while walk[-1] not in place:
        place[walk[-1]] = len(walk) - 1
        above = broader.indices[slice(*broader.indptr[walk[-1] : walk[-1] + 2])]
        walk.append(int(above[together[above]][0]))
    return walk[place[walk[-1]] :]


def closure_of(broader):
    """Each concept with all that are broader than it, directly or not.

    Parameters
    ----------
    broader : csr_matrix of bool of shape (n_concepts, n_concepts)
        Relation without a cycle.

    Returns
    -------
    csr_matrix of float32 of shape (n_concepts, n_concepts)
        Ones; row by row the concept itself and its ancestors.
    """
    n_concepts = broader.shape[0]
    known = sparse.identity(n_concepts, dtype=bool, format="csr") + broader
    while True:  # paths of up to 1, 2, 4, 8 steps
        further = known @ known
        if further.nnz == known.nnz:
            break
        known = further
    closure = sparse.csr_matrix(known, dtype=np.float32)
    closure.sort_indices()
    return closure


def heights_of(broader):
    """Length of the longest path from a narrowest concept up to each.

    Parameters
    ----------
    broader : csr_matrix of bool of shape (n_concepts, n_concepts)
        Relation without a cycle.

    Returns
    -------
    ndarray of int64 of shape (n_concepts,)
        0 for a concept without a narrower one; more than that of each narrower one.
    """
    heights = np.zeros(broader.shape[0], dtype=np.int64)
    reached = np.ones(broader.shape[0], dtype=bool)
    height = 0
    while reached.any():
        heights[reached] = height
        height += 1
        reached = broader.T @ reached
    return heights


def without(broader, gone):
    """The relation of the other concepts, through those that are left out.

    Parameters
    ----------
    broader : csr_matrix of bool of shape (n_concepts, n_concepts)
        Relation without a cycle.
    gone : ndarray of bool of shape (n_concepts,)
        What is left out.

    Returns
    -------
    csr_matrix of bool of shape (n_left, n_left)
        A concept has as broader ones those that its broader ones had, where these are
        left out.
    """
    left = ~gone
    out, through = broader[left][:, left], broader[left][:, gone]
    while through.nnz:
        out = out + through @ broader[gone][:, left]
        through = through @ broader[gone][:, gone]
    return sparse.csr_matrix(out)
