"""The problems of all levels of a label tree: which instances train which nodes."""

from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._solver._level_problem import (
    joined_rows,
    level_targets,
    make_level_problem,
    ones_at,
    problem_of_rows,
    root_rows,
)
from sklearn_xmr.linear._solver._level_solver import solve_levels, warn_of_training
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._csr_rows import row_range
from sklearn_xmr.utils._ranges import pointers, ranges
from sklearn_xmr.utils._rankings import csr_from_topk

# The search for hard negatives, whatever predictions use: that acts without a refit.
HARD_SEARCH = {"beam_size": 10, "post_processor": "l3_hinge"}

_NO_WEIGHTS = np.empty(0, np.float32)
SEARCHED_ROWS = 16384  # of a block: its ranking takes 2.6 MB, sparse rows 20


def n_independent_levels(tree, settings):
    """The number of levels, from the root, whose negatives need no other level.

    Parameters
    ----------
    tree : LabelTree
        The label tree.
    settings : TreeSettings
        Settings of the training.

    Returns
    -------
    int
    """
    independent = {"tfn": tree.n_levels, "hard": max(1, tree.n_levels - 1)}
    return independent.get(settings.negative_sampling, 1)


def model_above(tree, weights):
    """The upper levels of a tree as a model, whose labels are the nodes of the last.

    Parameters
    ----------
    tree : LabelTree
        The whole tree.
    weights : sequence of ChunkedWeights or PatchedWeights
        Weights of its first levels.

    Returns
    -------
    TreeModel
    """
    level = len(weights)
    n_nodes = int(tree.offsets[level - 1][-1])
    return TreeModel(LabelTree(tree.offsets[:level], np.arange(n_nodes)), weights)


def matched_nodes(model, X, settings):
    """Nodes that a model of the upper levels finds for instances, to train those below.

    Instances are searched for in blocks: the same blocks find the same nodes, to the
    last bit, wherever they are searched for.

    Parameters
    ----------
    model : TreeModel
        See :func:`model_above`.
    X : HybridFeatures of shape (n_samples, n_features)
        Instances.
    settings : TreeSettings
        Settings of the training.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_nodes)
        Ones.
    """
    n_nodes = model.n_labels
    k, search = settings.beam_size or n_nodes, settings.search
    if settings.negative_sampling == "hard":
        k = settings.n_hard_clusters
        search = {**HARD_SEARCH, "beam_size": max(k, HARD_SEARCH["beam_size"])}
    found = []
    for first in range(0, len(X), SEARCHED_ROWS):
        nodes, _ = model.topk(_rows(X, first, first + SEARCHED_ROWS), k, **search)
        ones = np.ones(nodes.shape, dtype=np.float32)
        found.append(csr_from_topk(nodes, ones, n_nodes))
    return sparse.vstack(found, format="csr") if len(found) > 1 else found[0]


def _rows(X, first, last):
    """Some consecutive instances, which share the memory of all."""
    if first == 0 and last >= len(X):
        return X
    part = row_range(X.sparse, first, min(last, len(X)))
    return HybridFeatures.of_blocks(part, X.dense[first:last])


class TreeLevels:
    """The problems of all levels of a tree, and their solution."""

    def __init__(self, data, tree, settings):
        self.data, self.tree, self.settings = data, tree, settings
        self.n_independent = n_independent_levels(tree, settings)
        self.mines = settings.negative_sampling == "hard"
        self.targets, self.weighted = _costs(data, tree, settings)
        self.known = None
        if data.negatives is not None:
            self.known = level_targets(data.negatives, tree)

    def teacher(self, level):
        """Instances with a label under each parent of a level."""
        if level == 0:
            return root_rows(self.data.n_samples)
        return self.targets[level - 1]

    def problem(self, level, matched=None):
        """The problem of a level; without matched rows, on those of its teacher."""
        return make_level_problem(
            self.targets[level],
            self.teacher(level),
            None if self.mines else matched,
            self.tree.offsets[level],
            self.weighted,
            self.known[level - 1] if level and self.known else None,
            matched if self.mines else None,
        )

    def matched(self, weights):
        """Instances that the levels trained so far assign to each of their nodes."""
        return self.found_by(model_above(self.tree, weights))

    def found_by(self, model):
        """Instances that a model of the levels above assigns to each of its labels."""
        matched = matched_nodes(model, self.data.X, self.settings)
        if self.settings.negative_sampling == "tfn+man":
            return matched + ones_at(self.teacher(model.tree.n_levels))
        return matched

    def problems(self):
        """The problems of the levels of which none depends on another."""
        return [self.problem(number) for number in range(self.n_independent)]

    def solve(self, problems, only=None):
        """Weights of independent levels, or of one, and iterations of their blocks."""
        data, solver = self.data, self.settings.solver
        return solve_levels(data.X, problems, solver, data.sample_weight, only)

    def kept_or_solved(self, number, above, checkpoints):
        """Weights of a level and iterations of its blocks, known or trained now."""
        kept = None if checkpoints is None else checkpoints.load(number)
        if kept is not None:
            warn_of_training(kept[:1], kept[1], self.settings.solver)
            return kept
        if number < self.n_independent:
            (level,), n_iter = self.solve(self.problems(), number)
        else:
            (level,), n_iter = self.solve([self.problem(number, self.matched(above))])
        if checkpoints is not None:
            checkpoints.save(number, level, n_iter)
        return level, n_iter

    def solve_children(self, model, level, parents, first_label=0):
        """Weights of some parents' children, in the value type of the model's level.

        On the level of the labels, only labels from ``first_label`` on are trained.
        """
        matched, mined, teacher = None, None, self.teacher(level)
        if level >= self.n_independent:
            matched = self.matched(model.weights[:level])[:, parents]
        if self.mines:
            matched, mined = None, matched
        children, offsets = self._children(level, parents, first_label)
        problem = make_level_problem(
            self.targets[level][:, children],
            teacher[:, parents],
            matched,
            offsets,
            self.weighted,
            mined=mined,
        )
        dtype = model.weights[level].value_type
        solver = replace(self.settings.solver, weight_dtype=dtype)
        data = self.data
        (trained,), _ = solve_levels(data.X, [problem], solver, data.sample_weight)
        return trained

    def reached(self, level, matched=None):
        """The problem of the children of all parents that some instance trains.

        Parameters
        ----------
        level : int
        matched : csr_matrix of shape (n_samples, n_parents), default=None
            What a model finds for the instances, where negatives come from a search.

        Returns
        -------
        parents : ndarray of int64
            Nodes of the level above, ascending.
        children : ndarray of int64
            Their children, parent by parent.
        problem : LevelProblem
        """
        known = self.known[level - 1] if level and self.known else None
        mined = matched if self.mines else None
        matched = None if self.mines else matched
        use = joined_rows(self.teacher(level), matched, known, mined)
        parents = np.unique(use.parents)
        children, offsets = self._children(level, parents, 0)
        problem = problem_of_rows(use, parents, self.targets[level], children, offsets)
        if self.weighted:
            return parents, children, problem
        return parents, children, replace(problem, positive_weight=_NO_WEIGHTS)

    def _children(self, level, parents, first_label):
        """Children of the parents to train, and the offsets of each parent's."""
        bounds = self.tree.offsets[level]
        sizes = np.diff(bounds)[parents]
        nodes = ranges(bounds[parents], sizes)
        if not first_label:
            return nodes, pointers(sizes)
        wanted = self.tree.label_order[nodes] >= first_label
        parent = np.repeat(np.arange(len(parents)), sizes)[wanted]
        return nodes[wanted], pointers(np.bincount(parent, minlength=len(parents)))


def _costs(data, tree, settings):
    """Positives of each level with their costs, and whether the costs are used."""
    mode, relevance = settings.cost_sensitive, data.relevance
    if mode == "propensity":
        values = data.Y if relevance is None else relevance
        relevance, mode = values.copy(), "ranker_only"  # zeros stay positives
        relevance.data = relevance.data / settings.propensities[relevance.indices]
    if mode is None and relevance is not None:
        mode = "induce"
    if mode is None:
        return level_targets(data.Y, tree), False
    values = data.Y if relevance is None else relevance
    targets = level_targets(values, tree, induce=mode == "induce")
    first = 0 if mode == "induce" else len(targets) - 1
    if settings.relevance_norm is not None:
        for target in targets[first:]:
            normalize(target, norm=settings.relevance_norm, copy=False)
    return targets, True
