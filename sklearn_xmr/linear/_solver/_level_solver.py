"""Solve the problems of levels: plan blocks, train them, collect the weights."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_xmr.linear._constants import ALL, LANES, SPARE
from sklearn_xmr.linear._solver._level_problem import LevelProblem
from sklearn_xmr.linear._solver._node_solver import NodeSolver
from sklearn_xmr.linear._solver._row_length import typical_row_length
from sklearn_xmr.linear._weights._chunked_weights import (
    ChunkedWeights,
    bucket_shift,
    count_buckets,
    encode_dense,
    plan_chunks,
)
from sklearn_xmr.linear._weights._patched_weights import PatchedWeights
from sklearn_xmr.linear._weights._weight_part import WeightPart
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._ranges import pointers, ranges

# A node with more than this share of all work is trained block by block, so that
# the root's few children, with all rows, can use all threads.
SPLIT_SHARE = 1 / 64


@dataclass(frozen=True)
class SolverSettings:
    """Settings of the node solver.

    Parameters
    ----------
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of the binary problems.
    positive_cost : float, default=1.0
        Cost of a positive instance.
    negative_cost : float, default=1.0
        Cost of a negative instance.
    mined_cost : float, default=0.5
        Factor of ``negative_cost`` for mined instances, which have no label of the
        group: some lack one that they should have.
    bias : float, default=1.0
        Value of the constant feature, whose weight is the intercept; 0 for none.
    tol : float, default=0.5
        Stopping tolerance of dual coordinate descent.
    max_iter : int, default=100
        Maximum number of iterations over a node's instances.
    weight_threshold : float, default=0.0
        Weights that contribute less, at the typical length of a row, are dropped.
    row_length : float or None, default=None
        This length; None means that of the training data, 1 that the threshold is
        that of the weights themselves.
    weight_dtype : {"float32", "float16", "int8"}, default="float32"
        How weights are stored.
    seed : int, default=0
        Seed of the order in which instances are visited.
    mode : {"auto", "rows", "gram"}, default="auto"
        How nodes are solved: "rows" works on weights, "gram" on products of rows, and
        "auto" takes the faster one for each node. The results are the same.

    Examples
    --------
    >>> from sklearn_xmr.linear import SolverSettings
    >>> SolverSettings(loss="logistic", weight_threshold=0.1).max_iter
    100
    """

    loss: str = "squared_hinge"
    positive_cost: float = 1.0
    negative_cost: float = 1.0
    mined_cost: float = 0.5
    bias: float = 1.0
    tol: float = 0.5
    max_iter: int = 100
    weight_threshold: float = 0.0
    row_length: float | None = None
    weight_dtype: str = "float32"
    seed: int = 0
    mode: str = "auto"


def solve_levels(X, problems, settings, sample_weight=None, only=None):
    """Train the given levels together, largest nodes first, or one of them.

    Parameters
    ----------
    X : HybridFeatures
        Instances.
    problems : list of LevelProblem
        Problems of levels that do not depend on each other.
    settings : SolverSettings
        Settings of the node solver.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Factor of the costs of each row.
    only : int, default=None
        Number of the one level to train, with the bits that it has among all.

    Returns
    -------
    weights : list of ChunkedWeights
        Weights of each level, or of the one.
    n_iter : ndarray of int32 of shape (n_blocks,)
        Iterations that each of the trained blocks needed.
    """
    settings = with_row_length(settings, X, sample_weight)
    joint = _concatenate(problems)
    check_memory(
        "the weights of dense features",
        (len(joint.positive_ptr) - 1, X.dense.shape[1]),
        ("nodes", "features"),
        "reduce the dense features, with TruncatedSVD or PCA for instance",
        n_bytes=8,
    )
    plan = _plan_blocks(joint)
    tasks = _plan_tasks(joint, plan)
    if only is not None:  # its nodes keep their numbers, which seed the solver
        tasks = tasks[_are_of_level(tasks[:, 0], problems, plan, only)]
    solver = _solve(X, joint, plan, tasks, settings, sample_weight)
    weights = _collect(solver, plan, problems, settings, X.sparse.shape[1])
    weights = weights if only is None else [weights[only]]
    n_iter = solver.n_iter[solver.n_iter > 0]
    warn_of_training(weights, n_iter, settings)
    return weights, n_iter


def solve_part(X, problem, settings, sample_weight=None):
    """Train some nodes of a level.

    Parameters
    ----------
    X : HybridFeatures
        Instances.
    problem : LevelProblem
        The problem of these nodes.
    settings : SolverSettings
        Settings of the node solver, with a ``row_length``.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Factor of the costs of each row.

    Returns
    -------
    weights : WeightPart
        Weights of the nodes.
    n_iter : ndarray of int32 of shape (n_blocks,)
        Iterations that each block needed.
    """
    plan = _plan_blocks(problem)
    tasks = _plan_tasks(problem, plan)
    solver = _solve(X, problem, plan, tasks, settings, sample_weight)
    part = _part_of(solver, plan, problem, settings, X.sparse.shape[1])
    return part, solver.n_iter[solver.n_iter > 0]


def _part_of(solver, plan, problem, settings, n_features):
    """The weights of all nodes of a problem, not yet packed."""
    n_children, n_chunks = int(problem.child_ptr[-1]), len(plan.chunk_parent)
    names = "chunk_rows", "chunk_entries", "features", "counts", "columns", "values"
    return WeightPart(
        parent_ptr=plan.chunk_ptr,
        child_ptr=plan.chunk_child,
        **dict(zip(names, solver.copy_chunks(0, n_chunks), strict=True)),
        **_node_arrays(solver, slice(0, n_children), settings),
        n_features=n_features,
        value_type=settings.weight_dtype,
    )


def solve_known(X, problem, settings, known, sample_weight=None):
    """Go on training nodes whose weights are known from earlier instances.

    Parameters
    ----------
    X : HybridFeatures
        New instances.
    problem : LevelProblem
        The problem of these nodes.
    settings : SolverSettings
        Settings of the node solver, with a ``row_length``.
    known : KnownWeights
        What is known of the nodes.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Factor of the costs of each row.

    Returns
    -------
    part : WeightPart
        New weights of the changed nodes and of the features that their instances have,
        as float32, where they reach the threshold.
    changed : ndarray of bool of shape (n_nodes,)
        The nodes whose weights have changed.
    reached : list of ndarray of int32, or None
        For each chunk the features that its instances have, ascending; None where no
        weight of the chunk has changed.
    """
    settings = replace(settings, weight_dtype="float32")
    plan = _plan_known_blocks(known)
    # Blocks of a chunk share what is read of it: split for the threads there are, only.
    # In `fit`, this would change the mode in which nodes are solved, and the last bits.
    tasks = _plan_tasks(problem, plan, 1 / (8 * effective_n_threads()))
    # The children of a block share their evidence.
    prior = replace(known, evidence=known.of_blocks(plan.block_children))
    solver = _solve(X, problem, plan, tasks, settings, sample_weight, prior)
    part = _part_of(solver, plan, problem, settings, X.sparse.shape[1])
    some_changed = np.logical_or.reduceat(solver.changed, plan.chunk_child[:-1])
    return (
        part,
        solver.changed.view(bool),
        [
            solver.reached_features(chunk) if has_changed else None
            for chunk, has_changed in enumerate(some_changed)
        ],
    )


@dataclass(frozen=True)
class KnownWeights:
    """Weights of some nodes of a level, and how surely they are known.

    The penalty on a change of a weight is ``1 + evidence * mean square`` of its
    feature, as if so many squared losses had been active: what the Hessian of the
    earlier instances' losses has on its diagonal, with the mean over all instances in
    place of each node's own. ``benchmarks/learning.py`` compares.

    Parameters
    ----------
    weights : ChunkedWeights or PatchedWeights
        Weights of the level.
    parents : ndarray of int64 of shape (n_parents,)
        Parents of the nodes, ascending.
    evidence : ndarray of float32 of shape (n_nodes,)
        Of each of the nodes.
    mean_squares : ndarray of float32 of shape (n_features + n_dense,)
        Mean squares of the features.
    """

    weights: ChunkedWeights | PatchedWeights
    parents: np.ndarray
    evidence: np.ndarray
    mean_squares: np.ndarray

    @cached_property
    def chunks(self):
        """Chunks of the nodes, in their order (ndarray of int64)."""
        counts = np.diff(self.weights.parent_ptr)[self.parents]
        return ranges(self.weights.parent_ptr[self.parents], counts)

    def of_blocks(self, block_children):
        """Geometric mean of the evidence of each block's nodes (ndarray of float32)."""
        there = block_children >= 0
        logs = np.where(there, np.log1p(self.evidence[block_children]), 0)
        means = logs.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        return np.expm1(means).astype(np.float32)


def _are_of_level(chunks, problems, plan, level):
    """Whether each chunk is one of a level (ndarray of bool)."""
    first_parent = pointers([len(problem.child_ptr) - 1 for problem in problems])
    first, last = plan.chunk_ptr[first_parent[level : level + 2]]
    return (chunks >= first) & (chunks < last)


def with_row_length(settings, X, sample_weight=None):
    """The settings with the typical length of the rows, that of X unless they have one.

    Parameters
    ----------
    settings : SolverSettings
        Settings of the node solver.
    X : HybridFeatures
        Instances.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Weights of the instances.

    Returns
    -------
    SolverSettings
    """
    if settings.row_length is not None:
        return settings
    return replace(settings, row_length=typical_row_length(X, sample_weight))


def warn_of_training(weights, n_iter, settings):
    """Warn of what is wrong with trained levels.

    Parameters
    ----------
    weights : list of ChunkedWeights
        Weights of levels.
    n_iter : ndarray of int of shape (n_blocks,)
        Iterations that each of their blocks needed.
    settings : SolverSettings
        Settings of the node solver.
    """
    _warn_of_early_stops(n_iter, settings)
    warn_of_lost_weights(weights, settings.weight_threshold)


def _warn_of_early_stops(n_iter, settings):
    """ConvergenceWarning if some blocks took as many iterations as there may be."""
    n_stopped = int((n_iter >= settings.max_iter).sum())
    if n_stopped:
        warnings.warn(
            f"the solver stopped at max_iter={settings.max_iter} before tol="
            f"{settings.tol} was reached, in {n_stopped} of {len(n_iter)} blocks of "
            "labels: scale the features (StandardScaler, MaxAbsScaler, Normalizer), or "
            "increase max_iter or tol",
            ConvergenceWarning,
            stacklevel=2,
        )


def warn_of_lost_weights(weights, threshold):
    """Warn where no weight of a level has reached the threshold.

    Parameters
    ----------
    weights : list of ChunkedWeights
        Weights of levels.
    threshold : float
        For the message.
    """
    for level in weights:
        n_dense = level.dense.shape[1]
        if threshold and level.n_nodes > 1 and not n_dense and level.is_empty:
            warnings.warn(
                f"no weight of the {level.n_nodes} nodes of a level contributes the "
                f"threshold of {threshold:g}: they are ranked by their frequency "
                "alone; lower weight_threshold, or increase C or the features' scale",
                UserWarning,
                stacklevel=2,
            )


def estimate_nbytes(X, problems, settings, share):
    """Estimate the bytes of the weights of all levels from a random share of each.

    Parameters
    ----------
    X : HybridFeatures
        Instances.
    problems : list of LevelProblem
        Problems of levels that do not depend on each other.
    settings : SolverSettings
        Settings of the node solver.
    share : float in (0, 1]
        Share of the blocks of each level to train.

    Returns
    -------
    int
        Size in bytes.
    """
    total = 0
    settings = with_row_length(settings, X)
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


def _solve(X, problem, plan, tasks, settings, sample_weight=None, prior=None):
    """The solver, after running the tasks."""
    solver = NodeSolver()
    n_threads = effective_n_threads()
    solver.solve(X, problem, plan, tasks, settings, sample_weight, n_threads, prior)
    return solver


def _concatenate(problems):
    """Several levels as one, with parents and children numbered consecutively."""
    if len(problems) == 1:
        return problems[0]
    columns = {name: [] for name in vars(problems[0]) if name != "first_child"}
    some_differ = any(len(problem.parent_use) for problem in problems)
    for problem in problems:
        for name, parts in columns.items():
            parts.append(getattr(problem, name))
        if some_differ and not len(problem.parent_use):
            same = np.full(len(problem.parent_rows), ALL, dtype=np.uint8)
            columns["parent_use"][-1] = same
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


def _plan_known_blocks(known):
    """The chunks that there are, and blocks of all children, of like evidence."""
    n_chunks = np.diff(known.weights.parent_ptr)[known.parents]
    parents = np.arange(len(n_chunks))
    children = np.diff(known.weights.child_ptr)[known.chunks]
    chunks = pointers(n_chunks), np.repeat(parents, n_chunks), pointers(children)
    chunk_of = np.repeat(np.arange(len(children)), children)
    return _in_blocks(*chunks, np.lexsort((known.evidence, chunk_of)))


def _plan_blocks(problem):
    """Chunks of children, and blocks of up to 32 of them that have positives."""
    trainable = np.flatnonzero(np.diff(problem.positive_ptr))
    return _in_blocks(*plan_chunks(problem.child_ptr), trainable)


def _in_blocks(chunk_ptr, chunk_parent, chunk_child, trainable):
    """A plan of the children to train, chunk by chunk."""
    chunk_of = np.searchsorted(chunk_child, trainable, side="right") - 1
    place = np.arange(len(trainable)) - np.searchsorted(chunk_of, chunk_of)
    n_blocks = -(-np.bincount(chunk_of, minlength=len(chunk_parent)) // LANES)
    block_ptr = pointers(n_blocks)
    children = np.full((block_ptr[-1], LANES), -1, dtype=np.int32)
    children[block_ptr[chunk_of] + place // LANES, place % LANES] = trainable
    return BlockPlan(chunk_ptr, chunk_parent, chunk_child, block_ptr, children)


def _plan_tasks(problem, plan, most=SPLIT_SHARE):
    """(chunk, first block, last block), largest first; big chunks block by block."""
    n_rows = np.diff(problem.parent_ptr)[plan.chunk_parent]
    n_blocks = np.diff(plan.block_ptr)
    work = n_rows * n_blocks
    split = work > most * work.sum()
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
        weights.append(
            ChunkedWeights(
                parent_ptr=plan.chunk_ptr[parent : last_parent + 1] - first,
                child_ptr=plan.chunk_child[first : last + 1] - child,
                chunk_ptr=chunk_ptr,
                buckets=buckets,
                packed=packed,
                **_node_arrays(solver, slice(child, last_child), settings),
                shift=shift,
                n_features=n_features,
                value_type=settings.weight_dtype,
            )
        )
        parent, child = last_parent, last_child
    return weights


def _node_arrays(solver, nodes, settings):
    """What some nodes have beside their sparse weights, by name."""
    dense, dense_scale = encode_dense(solver.dense[nodes], settings.weight_dtype)
    return {
        "scale": solver.scale[nodes].copy(),
        "intercept": solver.intercept[nodes].copy(),
        "dense": dense,
        "dense_scale": dense_scale,
    }
