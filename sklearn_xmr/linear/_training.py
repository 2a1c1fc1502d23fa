"""Cut the training of a label tree into node problems, and collect their weights."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._chunked_weights import (
    SPARE,
    VALUE_TYPES,
    ChunkedWeights,
    bucket_shift,
    count_buckets,
    encode_dense,
    plan_chunks,
)
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
    weight_dtype: str
    seed: int
    mode: str = "auto"  # how nodes are solved: "rows", "gram", or the faster of both


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


def solve_levels(X, problems, settings, sample_weight=None):
    """Train the given levels together, largest nodes first.

    Parameters
    ----------
    X : HybridFeatures
        Canonical CSR of float32 with int32 indices, and a dense block.
    problems : list of LevelProblem
        Independent of each other.
    settings : SolverSettings
    sample_weight : ndarray of float32 of shape (n_samples,), optional
        Multiplies the costs of each row.

    Returns
    -------
    weights : list of ChunkedWeights
    n_iter : int
        Passes of the block that needed most.
    """
    joint = _concatenate(problems)
    plan = _plan_blocks(joint)
    solver = _solve(X, joint, plan, _plan_tasks(joint, plan), settings, sample_weight)
    weights = _collect(solver, plan, problems, settings, X.sparse.shape[1])
    return weights, int(solver.n_iter.max(initial=0))


def estimate_nbytes(X, problems, settings, share):
    """Bytes of the weights of all levels, from training a random share of each.

    Parameters
    ----------
    X, problems, settings
        As in :func:`solve_levels`.
    share : float in (0, 1]

    Returns
    -------
    int
    """
    total = 0
    rng = np.random.RandomState(settings.seed % 2**32)
    for problem in problems:
        plan = _plan_blocks(problem)
        tasks = _plan_tasks(problem, plan)
        chosen = rng.permutation(len(tasks))[: int(np.ceil(share * len(tasks)))]
        solver = _solve(X, problem, plan, tasks[np.sort(chosen)], settings)
        trained = sum(
            np.count_nonzero(plan.block_children[first:last] >= 0)
            for _, first, last in tasks[chosen]
        )
        factor = np.count_nonzero(plan.block_children >= 0) / max(trained, 1)
        (level,) = _collect(solver, plan, [problem], settings, X.sparse.shape[1])
        grows = level.packed.nbytes
        total += level.nbytes - grows + factor * grows
    return int(total)


def _solve(X, problem, plan, tasks, settings, sample_weight=None):
    """A solver that has run the tasks."""
    if sample_weight is None:
        sample_weight = np.empty(0, dtype=np.float32)
    solver = NodeSolver()
    solver.solve(
        X.sparse.indptr.astype(np.int64, copy=False),
        X.sparse.indices,
        X.sparse.data,
        X.sparse.shape[1],
        X.dense,
        X.squared_norms() + np.float32(settings.bias**2),
        sample_weight,
        settings.bias,
        problem.parent_ptr,
        problem.parent_rows,
        problem.parent_shared,
        problem.positive_ptr,
        problem.positive_rows,
        problem.positive_weight,
        plan.chunk_parent,
        plan.chunk_child[:-1],
        plan.block_ptr,
        plan.block_children,
        tasks,
        settings.loss,
        settings.positive_cost,
        settings.negative_cost,
        settings.tol,
        settings.max_iter,
        settings.weight_threshold,
        VALUE_TYPES.index(settings.weight_dtype),
        settings.mode,
        settings.seed,
        effective_n_threads(),
    )
    return solver


def _concatenate(problems):
    """Several levels as one; their parents and children numbered on."""
    if len(problems) == 1:
        return problems[0]
    columns = {name: [] for name in LevelProblem.__annotations__}
    some_shared = any(len(problem.parent_shared) for problem in problems)
    for problem in problems:
        for name, parts in columns.items():
            parts.append(getattr(problem, name))
        if some_shared and not len(problem.parent_shared):
            all_shared = np.ones(len(problem.parent_rows), dtype=np.uint8)
            columns["parent_shared"][-1] = all_shared
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


@dataclass
class BlockPlan:
    """How the children are cut into chunks, and each chunk's into blocks."""

    chunk_ptr: np.ndarray  # parent -> chunks
    chunk_parent: np.ndarray
    chunk_child: np.ndarray  # chunk -> first child; the number of children at the end
    block_ptr: np.ndarray  # chunk -> blocks
    block_children: np.ndarray  # (n_blocks, 32), -1 for none


def _plan_blocks(problem):
    """Chunks of children, and blocks of up to 32 of them that have positives."""
    chunk_ptr, chunk_parent, chunk_child = plan_chunks(problem.child_ptr)
    trainable = np.flatnonzero(np.diff(problem.positive_ptr))
    chunk_of = np.searchsorted(chunk_child, trainable, side="right") - 1
    place = np.arange(len(trainable)) - np.searchsorted(chunk_of, chunk_of)
    n_blocks = -(-np.bincount(chunk_of, minlength=len(chunk_parent)) // MAX_LANES)
    block_ptr = np.concatenate([[0], np.cumsum(n_blocks)]).astype(np.int64)
    children = np.full((block_ptr[-1], MAX_LANES), -1, dtype=np.int32)
    children[block_ptr[chunk_of] + place // MAX_LANES, place % MAX_LANES] = trainable
    return BlockPlan(chunk_ptr, chunk_parent, chunk_child, block_ptr, children)


def _plan_tasks(problem, plan):
    """(chunk, first block, last block), largest first; big chunks block by block."""
    n_rows = np.diff(problem.parent_ptr)[plan.chunk_parent]
    n_blocks = np.diff(plan.block_ptr)
    work = n_rows * n_blocks
    split = work > SPLIT_SHARE * work.sum()
    repeats = np.where(split, n_blocks, n_blocks > 0)
    chunk = np.repeat(np.arange(len(work)), repeats)
    within = np.arange(len(chunk)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    first = plan.block_ptr[chunk] + within
    last = np.where(split[chunk], first + 1, plan.block_ptr[chunk + 1])
    size = (last - first) * n_rows[chunk]
    order = np.argsort(-size, kind="stable")
    return np.column_stack([chunk, first, last])[order].astype(np.int64)


def _collect(solver, plan, problems, settings, n_features):
    """The weights of each level, taken from the solver."""
    weights, parent, child = [], 0, 0
    for problem in problems:
        last_parent = parent + len(problem.child_ptr) - 1
        last_child = child + int(problem.child_ptr[-1])
        first, last = plan.chunk_ptr[parent], plan.chunk_ptr[last_parent]
        n_rows = solver.count_rows(first, last)
        shift = bucket_shift(n_features, last - first, n_rows)
        chunk_ptr, buckets, packed = solver.take_chunks(
            first,
            last,
            plan.chunk_child,
            shift,
            count_buckets(n_features, shift),
            SPARE,
        )
        dense, dense_scale = encode_dense(
            solver.dense[child:last_child], settings.weight_dtype
        )
        weights.append(
            ChunkedWeights(
                parent_ptr=plan.chunk_ptr[parent : last_parent + 1] - first,
                child_ptr=plan.chunk_child[first : last + 1] - child,
                chunk_ptr=chunk_ptr,
                buckets=buckets,
                packed=packed,
                scale=solver.scale[child:last_child].copy(),
                intercept=solver.intercept[child:last_child].copy(),
                dense=dense,
                dense_scale=dense_scale,
                shift=shift,
                n_features=n_features,
                value_type=settings.weight_dtype,
            )
        )
        parent, child = last_parent, last_child
    return weights
