"""The binary problems of a level: which rows train each node's children, and how."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._constants import ALL, MINED, OWN
from sklearn_xmr.utils._matrices import checked_csr
from sklearn_xmr.utils._typing import CSR

# By the bits of teacher, matched, known and mined rows.
_USE = np.full(16, ALL, dtype=np.uint8)
_USE[0b0001], _USE[0b1000] = OWN, MINED


@dataclass
class LevelProblem:
    """The binary problems of all children of one level; siblings share their rows.

    Rows of a parent and positives of a child are ascending row numbers, stored
    consecutively with pointers, as in a CSC matrix.
    """

    child_ptr: np.ndarray
    parent_ptr: np.ndarray
    parent_rows: np.ndarray
    parent_use: np.ndarray  # OWN, ALL or MINED; empty: every row trains all children
    positive_ptr: np.ndarray
    positive_rows: np.ndarray
    positive_weight: np.ndarray  # empty: all 1
    first_child: int = 0  # its number where these are some children of a training


def root_rows(n_samples):
    """All rows belong to the root: CSR of ones of shape (n_samples, 1)."""
    return sparse.csr_matrix(np.ones((n_samples, 1), dtype=np.float32))


def level_targets(Y: CSR, tree: LabelTree, induce: bool = True) -> list[CSR]:
    """Label indicator (or relevance) of every level of the tree.

    Parameters
    ----------
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator or relevance.
    tree : LabelTree
        The label tree.
    induce : bool, default=True
        Whether the value of a node is the sum over its labels; otherwise it is 1 on
        the levels above the labels.

    Returns
    -------
    list of csr_matrix of shape (n_samples, n_nodes)
        One matrix for each level, from the root down.

    Raises
    ------
    TypeError
        If ``tree`` is no LabelTree.
    ValueError
        If Y is no valid CSR matrix with a column for each label.

    Examples
    --------
    >>> from scipy import sparse
    >>> from sklearn_xmr import LabelTree
    >>> from sklearn_xmr.linear import level_targets
    >>> Y = sparse.csr_matrix([[1.0, 1.0, 0.0]])
    >>> clusters, labels = level_targets(Y, LabelTree.from_labels([0, 0, 1]))
    >>> clusters.toarray()
    array([[2., 0.]])
    """
    if not isinstance(tree, LabelTree):
        raise TypeError(f"tree must be a LabelTree, got {type(tree).__name__}")
    if not sparse.issparse(Y) or Y.format != "csr" or Y.shape[1] != tree.n_labels:
        raise ValueError(
            f"Y must be a CSR matrix of {tree.n_labels} columns, the labels of the tree"
        )
    Y = checked_csr(Y, "Y")
    targets = []
    for level, n_nodes in enumerate(tree.level_sizes):
        target = sparse.csr_matrix(
            (Y.data, tree.node_of_label(level)[Y.indices], Y.indptr),
            shape=(Y.shape[0], n_nodes),
            copy=True,  # sum_duplicates works in place
        )
        target.sum_duplicates()
        if not induce and level < tree.n_levels - 1:
            target.data[:] = 1
        targets.append(target)
    return targets


def make_level_problem(
    target, teacher, matched, offsets, weighted, known=None, mined=None
):
    """Rows, positives and weights of one level.

    Parameters
    ----------
    target : csr_matrix of shape (n_samples, n_nodes)
        Positives of each node, with their relevance as values.
    teacher : csr_matrix of shape (n_samples, n_parents)
        Positives of each parent.
    matched : csr_matrix of shape (n_samples, n_parents) or None
        Rows that train all children of a parent. A row of ``teacher`` that is not
        among them trains only the children that it is positive for. None means the
        rows of ``teacher``.
    offsets : ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, and the number of children.
    weighted : bool
        Whether the values of ``target`` weight the positives.
    known : csr_matrix of shape (n_samples, n_parents), default=None
        Rows that are known to be negatives: they train all children as well.
    mined : csr_matrix of shape (n_samples, n_parents), default=None
        Rows that were taken for those of a parent: where they are among none of the
        above, negatives of all children, at another cost.

    Returns
    -------
    LevelProblem
        Problem of the level.
    """
    seen, use = teacher.tocsc(), np.empty(0, dtype=np.uint8)
    others = (teacher if matched is None else matched), known, mined
    if any(rows is not None for rows in (matched, known, mined)):
        seen = _pattern(teacher, 1)
        for number, rows in enumerate(others, 1):
            if rows is not None:
                seen = seen + _pattern(rows, 1 << number)
        seen = seen.tocsc()
        use = _USE[seen.data]
    positives = target.tocsc()
    return LevelProblem(
        child_ptr=offsets,
        parent_ptr=seen.indptr.astype(np.int64),
        parent_rows=seen.indices.astype(np.int32),
        parent_use=use,
        positive_ptr=positives.indptr.astype(np.int64),
        positive_rows=positives.indices.astype(np.int32),
        positive_weight=(
            positives.data.astype(np.float32) if weighted else np.empty(0, np.float32)
        ),
    )


@dataclass
class JoinedRows:
    """Which rows train the children of which parents, and how; by parent, then row."""

    parents: np.ndarray
    rows: np.ndarray
    use: np.ndarray  # OWN, ALL or MINED


def joined_rows(teacher, matched=None, known=None, mined=None):
    """Rows of all parents that have any, as :func:`make_level_problem` takes them.

    Without a matrix in between: a handful of rows takes a tenth of the time.

    Parameters
    ----------
    teacher, matched, known, mined : csr_matrix of shape (n_samples, n_parents) or None
        As for :func:`make_level_problem`.

    Returns
    -------
    JoinedRows
    """
    n_rows = teacher.shape[0]
    others = (teacher if matched is None else matched), known, mined
    keys = [_keys(teacher)]
    bits = [np.ones(len(keys[0]), np.uint8)]
    for number, rows in enumerate(others, 1):
        if rows is not None:
            keys.append(_keys(rows))
            bits.append(np.full(len(keys[-1]), 1 << number, dtype=np.uint8))
    keys, bits = np.concatenate(keys), np.concatenate(bits)
    order = np.argsort(keys, kind="stable")
    keys, bits = keys[order], bits[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    parents, rows = np.divmod(keys[first], n_rows)
    return JoinedRows(parents, rows, _USE[np.bitwise_or.reduceat(bits, first)])


def problem_of_rows(use, parents, target, children, offsets):
    """The problem of some children of a level.

    Parameters
    ----------
    use : JoinedRows
        Rows of the parents.
    parents : ndarray of int64
        The parents that have rows, ascending.
    target : csr_matrix of shape (n_samples, n_nodes)
        Positives of each node of the level, with their relevance as values.
    children : ndarray of int64
        Children of the parents, in order; all others have no positives.
    offsets : ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, and the number of children.

    Returns
    -------
    LevelProblem
    """
    n_rows = target.shape[0]
    keys = _keys(target)
    order = np.argsort(keys, kind="stable")
    nodes, rows = np.divmod(keys[order], n_rows)
    return LevelProblem(
        child_ptr=offsets,
        parent_ptr=np.append(np.searchsorted(use.parents, parents), len(use.rows)),
        parent_rows=use.rows.astype(np.int32),
        parent_use=use.use,
        positive_ptr=np.append(np.searchsorted(nodes, children), len(nodes)),
        positive_rows=rows.astype(np.int32),
        positive_weight=target.data[: len(keys)][order].astype(np.float32),
    )


def _keys(matrix):
    """Columns, then rows, of the stored places as one number each."""
    n_rows = matrix.shape[0]
    rows = np.repeat(np.arange(n_rows), np.diff(matrix.indptr))
    return matrix.indices[: len(rows)].astype(np.int64) * n_rows + rows


def ones_at(matrix):
    """Ones at the stored places of a CSR matrix, zeros among them too."""
    return _pattern(matrix, 1).astype(np.float32)


def _pattern(matrix, value):
    data = np.full(len(matrix.indices), value, dtype=np.int8)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
