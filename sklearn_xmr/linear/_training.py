"""Cut the training of a label tree into node problems, and collect their weights."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._chunked_weights import ChunkedWeights
from sklearn_xmr.linear._node_solver import NodeSolver
from sklearn_xmr.utils._openmp_helpers import effective_n_threads

MAX_LANES = 32  # children solved in lockstep, as in _node_solver.pyx

# A node with more than this share of all work is trained block by block, so that
# the root's few children, with all rows, can occupy all threads.
SPLIT_SHARE = 1 / 64


@dataclass
class SolverSettings:
    """What the node solver needs to know; see :class:`XRLinearClassifier`."""

    loss: str
    positive_cost: float
    negative_cost: float
    bias: float
    tol: float
    max_iter: int
    weight_threshold: float
    seed: int


@dataclass
class LevelProblem:
    """The binary problems of all children of one level, on node-shared rows.

    Rows of a parent and positives of a child are ascending row numbers, stored one
    after another with pointers, as in a CSC matrix.
    """

    child_ptr: np.ndarray
    parent_ptr: np.ndarray
    parent_rows: np.ndarray
    parent_shared: np.ndarray  # empty: every row counts for all children
    positive_ptr: np.ndarray
    positive_rows: np.ndarray
    positive_weight: np.ndarray  # empty: all 1


def level_targets(Y, tree, induce=True):
    """Label indicator (or relevance) of every level of the tree.

    Parameters
    ----------
    Y : csr_matrix of shape (n_samples, n_labels)
        Values are summed over the labels of a node.
    tree : LabelTree
    induce : bool
        Sum the values; otherwise the levels above the labels get ones.

    Returns
    -------
    list of csr_matrix of shape (n_samples, n_nodes)
    """
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


def root_rows(n_samples):
    """All rows belong to the root."""
    return sparse.csr_matrix(np.ones((n_samples, 1), dtype=np.float32))


def make_level_problem(target, teacher, matched, offsets, weighted):
    """Rows, positives and weights of one level.

    Parameters
    ----------
    target : csr_matrix of shape (n_samples, n_nodes)
        Positives of the level, with their relevance as values.
    teacher : csr_matrix of shape (n_samples, n_parents)
        Positives of the parents.
    matched : csr_matrix of shape (n_samples, n_parents) or None
        Rows whose negatives count for all children of a parent. A teacher row that
        is not among them counts for its own positives only. None: the teacher's.
    offsets : ndarray
        Children of each parent.
    weighted : bool
        Whether the values of `target` weigh the positives.
    """
    seen = teacher.tocsc()
    shared = np.empty(0, dtype=np.uint8)
    if matched is not None:
        # 1: teacher only, 2: matched only, 3: both.
        seen = (_pattern(teacher, 1) + _pattern(matched, 2)).tocsc()
        shared = (seen.data >= 2).astype(np.uint8)
    positives = target.tocsc()
    return LevelProblem(
        child_ptr=offsets,
        parent_ptr=seen.indptr.astype(np.int64),
        parent_rows=seen.indices.astype(np.int32),
        parent_shared=shared,
        positive_ptr=positives.indptr.astype(np.int64),
        positive_rows=positives.indices.astype(np.int32),
        positive_weight=(
            positives.data.astype(np.float32) if weighted else np.empty(0, np.float32)
        ),
    )


def _pattern(matrix, value):
    data = np.full(len(matrix.indices), value, dtype=np.int8)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def solve_levels(X, problems, settings):
    """Train the given levels together, largest nodes first.

    Parameters
    ----------
    X : csr_matrix of float32
        Canonical, int32 indices.
    problems : list of LevelProblem
        Independent of each other.
    settings : SolverSettings

    Returns
    -------
    weights : list of ChunkedWeights
    n_iter : int
        Passes of the block that needed most.
    """
    joint = _concatenate(problems)
    block_ptr, block_children = _plan_blocks(joint)
    solver = NodeSolver()
    indptr = X.indptr.astype(np.int64)
    solver.solve(
        indptr,
        X.indices,
        X.data,
        _squared_norms(X, indptr) + np.float32(settings.bias**2),
        X.shape[1],
        settings.bias,
        joint.parent_ptr,
        joint.parent_rows,
        joint.parent_shared,
        joint.child_ptr,
        joint.positive_ptr,
        joint.positive_rows,
        joint.positive_weight,
        block_ptr,
        block_children,
        _plan_tasks(joint, block_ptr),
        settings.loss,
        settings.positive_cost,
        settings.negative_cost,
        settings.tol,
        settings.max_iter,
        settings.weight_threshold,
        settings.seed,
        effective_n_threads(),
    )
    weights = _collect(solver, problems, X.shape[1])
    return weights, int(solver.n_iter.max(initial=0))


def _squared_norms(X, indptr):
    sums = np.zeros(X.shape[0], dtype=np.float32)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        sums[filled] = np.add.reduceat(X.data * X.data, indptr[filled])
    return sums


def _concatenate(problems):
    """Several levels as one; their parents and children numbered on."""
    if len(problems) == 1:
        return problems[0]
    columns = {name: [] for name in LevelProblem.__annotations__}
    for problem in problems:
        for name, parts in columns.items():
            parts.append(getattr(problem, name))
    return LevelProblem(
        **{
            name: _join_pointers(parts)
            if name.endswith("_ptr")
            else np.concatenate(parts)
            for name, parts in columns.items()
        }
    )


def _join_pointers(parts):
    ends = np.cumsum([0] + [part[-1] for part in parts[:-1]])
    moved = [part[1:] + end for part, end in zip(parts, ends, strict=True)]
    return np.concatenate([[0], *moved]).astype(np.int64)


def _plan_blocks(problem):
    """Blocks of up to 32 children that have positives, per parent.

    A remainder of 17 to 24 children makes a block of 16 and one of 8: the kernel
    has no width between 16 and 32.
    """
    trainable = np.diff(problem.positive_ptr) > 0
    counts, blocks = [], []
    for first, last in pairwise(problem.child_ptr):
        children = first + np.flatnonzero(trainable[first:last])
        before = len(blocks)
        at = 0
        while at < len(children):
            left = len(children) - at
            width = 16 if 16 < left <= 24 else min(left, MAX_LANES)
            block = np.full(MAX_LANES, -1, dtype=np.int32)
            block[:width] = children[at : at + width]
            blocks.append(block)
            at += width
        counts.append(len(blocks) - before)
    block_ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    children = np.array(blocks, dtype=np.int32).reshape(len(blocks), MAX_LANES)
    return block_ptr, children


def _plan_tasks(problem, block_ptr):
    """(parent, first block, last block), largest first; big nodes block by block."""
    n_blocks = np.diff(block_ptr)
    work = np.diff(problem.parent_ptr) * n_blocks
    split = work > SPLIT_SHARE * work.sum()
    repeats = np.where(split, n_blocks, n_blocks > 0)
    parent = np.repeat(np.arange(len(work)), repeats)
    within = np.arange(len(parent)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    first = block_ptr[parent] + within
    last = np.where(split[parent], first + 1, block_ptr[parent + 1])
    size = (last - first) * np.diff(problem.parent_ptr)[parent]
    order = np.argsort(-size, kind="stable")
    return np.column_stack([parent, first, last])[order].astype(np.int64)


def _collect(solver, problems, n_features):
    """Merge the solved blocks into chunks, level by level."""
    rows, entries = solver.chunk_sizes()
    if entries.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"a node's children keep {entries.max()} weights together, more than a "
            "chunk can hold; raise weight_threshold or use a tree with fewer children "
            "per node"
        )
    slot = np.zeros(n_features, dtype=np.int32)
    weights, parent, child = [], 0, 0
    for problem in problems:
        n_parents = len(problem.child_ptr) - 1
        n_nodes = int(problem.child_ptr[-1])
        weights.append(
            _merge_level(
                solver,
                parent,
                rows[parent : parent + n_parents],
                entries[parent : parent + n_parents],
                problem.child_ptr,
                solver.intercept[child : child + n_nodes].copy(),
                slot,
            )
        )
        parent, child = parent + n_parents, child + n_nodes
    return weights


def _merge_level(solver, parent, rows, entries, child_ptr, intercept, slot):
    chunk_ptr = np.concatenate([[0], np.cumsum(rows)])
    entry_ptr = np.concatenate([[0], np.cumsum(entries)])
    widest = int(np.diff(child_ptr).max())
    column_type = np.uint8 if widest <= 256 else np.uint16
    column_type = column_type if widest <= 65536 else np.int32
    features = np.empty(chunk_ptr[-1], dtype=np.int32)
    row_ptr = np.empty(chunk_ptr[-1] + len(rows), dtype=np.uint32)
    columns = np.empty(entry_ptr[-1], dtype=column_type)
    values = np.empty(entry_ptr[-1], dtype=np.float32)
    for p in range(len(rows)):
        solver.fill_chunk(
            parent + p,
            features[chunk_ptr[p] : chunk_ptr[p + 1]],
            row_ptr[chunk_ptr[p] + p : chunk_ptr[p + 1] + p + 1],
            columns[entry_ptr[p] : entry_ptr[p + 1]],
            values[entry_ptr[p] : entry_ptr[p + 1]],
            slot,
        )
    return ChunkedWeights(
        np.asarray(child_ptr, dtype=np.int64),
        chunk_ptr,
        entry_ptr,
        features,
        row_ptr,
        columns,
        values,
        intercept,
        len(slot),
    )
