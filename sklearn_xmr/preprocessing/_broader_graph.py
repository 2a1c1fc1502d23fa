"""Broader relations as a graph without cycles: closure, heights, who is left out."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from sklearn_xmr.utils._ranges import pointers, ranges


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
    rows = _Rows(broader.shape[0])
    depths = heights_of(broader.T.tocsr())
    order = np.argsort(depths, kind="stable")
    # From the broadest down: each concept's row is made once, of those just above it.
    for concepts in np.split(order, np.flatnonzero(np.diff(depths[order])) + 1):
        above = broader[concepts]
        found, counts = rows.of(above.indices)
        place = np.arange(len(concepts), dtype=np.int32)
        narrow = np.repeat(np.repeat(place, np.diff(above.indptr)), counts)
        rows.add(concepts, np.append(narrow, place), np.append(found, concepts))
    return rows.to_csr()


class _Rows:
    """Rows of a square matrix of ones that are made in any order."""

    def __init__(self, n_rows):
        self.n_rows = n_rows
        self.starts, self.counts = np.zeros((2, n_rows), dtype=np.int64)
        self.columns, self.end = np.empty(4 * n_rows, dtype=np.int32), 0

    def of(self, rows):
        """Columns of some rows, one after the other, and how many each has."""
        counts = self.counts[rows]
        return self.columns[ranges(self.starts[rows], counts)], counts

    def add(self, rows, places, columns):
        """Make rows: those at some places have these columns, maybe several times."""
        ones = np.ones(len(places), dtype=bool)
        made = sparse.csr_matrix(
            (ones, (places, columns)), shape=(len(rows), self.n_rows)
        )
        made.sum_duplicates()
        start, self.end = self.end, self.end + made.nnz
        while self.end > len(self.columns):
            self.columns = np.append(self.columns, np.empty_like(self.columns))
        self.columns[start : self.end] = made.indices
        self.starts[rows] = start + made.indptr[:-1]
        self.counts[rows] = np.diff(made.indptr)

    def to_csr(self):
        """All rows (csr_matrix of float32)."""
        columns, counts = self.of(np.arange(self.n_rows))
        ones = np.ones(len(columns), dtype=np.float32)
        shape = self.n_rows, self.n_rows
        return sparse.csr_matrix((ones, columns, pointers(counts)), shape=shape)


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
