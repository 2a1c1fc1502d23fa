"""Training of a label tree: from data, a tree and settings to a TreeModel."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._checkpoints import LevelCheckpoints, description
from sklearn_xmr.linear._post_processor import PostProcessor
from sklearn_xmr.linear._solver._level_problem import (
    make_level_problem,
)
from sklearn_xmr.linear._solver._level_solver import (
    SolverSettings,
    estimate_nbytes,
    solve_levels,
)
from sklearn_xmr.linear._tree_levels import TreeLevels, n_independent_levels
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.utils._callbacks import NO_TASKS

# What trains trees instead, such as the machines of a cluster.
_trainer: ContextVar = ContextVar("trainer", default=None)


@dataclass(frozen=True)
class TreeSettings:
    """Settings for training a label tree, as in :class:`XRLinearClassifier`.

    Parameters
    ----------
    solver : SolverSettings, default=SolverSettings()
        Settings of the node solver.
    negative_sampling : {"tfn", "hard", "man", "tfn+man"}, default="tfn"
        The instances on which the children of a node are trained: "tfn", those with a
        label under the node; "man", those for which beam search reaches the node;
        "tfn+man", both; "hard", "tfn" and, for labels, mined ones.
    n_hard_clusters : int, default=8
        With "hard", the number of clusters for which an instance is mined.
    beam_size : int or None, default=10
        Number of nodes kept per level in this search; None means all.
    post_processor : str or PostProcessor, default="l3_hinge"
        How margins become scores in this search.
    cost_sensitive : {None, "induce", "ranker_only", "propensity"}, default=None
        How relevance weights the positives.
    relevance_norm : {None, "l1", "l2", "max"}, default=None
        Norm to which each instance's relevance is scaled.
    propensities : ndarray of shape (n_labels,), default=None
        Propensities of the labels, for ``cost_sensitive="propensity"``.

    Examples
    --------
    >>> from sklearn_xmr.linear import SolverSettings, TreeSettings
    >>> settings = TreeSettings(SolverSettings(max_iter=20), negative_sampling="man")
    >>> settings.beam_size
    10
    """

    solver: SolverSettings = field(default_factory=SolverSettings)
    negative_sampling: str = "tfn"
    n_hard_clusters: int = 8
    beam_size: int | None = 10
    post_processor: str | PostProcessor = "l3_hinge"
    cost_sensitive: str | None = None
    relevance_norm: str | None = None
    propensities: np.ndarray | None = None

    @property
    def search(self):
        """The search's parameters, by name."""
        return {"beam_size": self.beam_size, "post_processor": self.post_processor}


def train_tree(
    data,
    tree,
    settings,
    tasks=NO_TASKS,
    log=lambda message: None,
    checkpoint_dir=None,
):
    """Train all nodes of a label tree.

    Levels with teacher-forced negatives are trained together; those with matcher-aware
    ones, level by level, since a level's negatives come from the levels above. With
    ``checkpoint_dir``, always level by level, to the same weights.

    Parameters
    ----------
    data : TrainingData
        Training data with instances as HybridFeatures.
    tree : LabelTree
        The label tree.
    settings : TreeSettings
        Settings of the training.
    tasks : FitTasks, default=NO_TASKS
        Tasks of callbacks, notified of each level that is trained separately.
    log : callable, default=lambda message: None
        Function that is called with a line of text for each level.
    checkpoint_dir : path-like, default=None
        Folder that keeps each trained level, and from which the same training goes on.

    Returns
    -------
    model : TreeModel
        The trained tree.
    n_iter : int
        Largest number of iterations that a node needed.

    Raises
    ------
    ValueError
        If the folder holds another training, or a damaged file.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> from sklearn_xmr import HierarchicalLabelClusterer, HybridFeatures
    >>> from sklearn_xmr.base import TrainingData
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.linear import TreeSettings, train_tree
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> tree = HierarchicalLabelClusterer(random_state=0).fit(X, Y).tree_
    >>> data = TrainingData(HybridFeatures(X), Y.astype("float32"))
    >>> model, n_iter = train_tree(data, tree, TreeSettings())
    >>> model.n_labels
    50
    """
    trainer = _trainer.get()
    if trainer is not None:
        if checkpoint_dir is not None:
            raise ValueError(
                "checkpoint_dir must be None where others train, who keep what has "
                f"been trained themselves; got {checkpoint_dir}"
            )
        return trainer(data, tree, settings)
    checkpoints = None
    if checkpoint_dir is not None:
        run = description(data, tree, settings)
        checkpoints = LevelCheckpoints(checkpoint_dir, run)
    levels = TreeLevels(data, tree, settings)
    weights, n_iter = [], [0]
    if _n_at_once(tree, settings, checkpoint_dir):
        weights, taken = levels.solve(levels.problems())
        n_iter.extend(taken)
    for number in range(len(weights), tree.n_levels):
        with tasks.task(f"level {number + 1}"):
            level, taken = levels.kept_or_solved(number, weights, checkpoints)
        weights.append(level)
        n_iter.extend(taken)
    for number, level in enumerate(weights):
        log(f"level {number + 1} of {tree.n_levels}: {level!r}")
    return TreeModel(tree, weights), int(max(n_iter))


@contextmanager
def trained_by(trainer):
    """Within it, label trees of this thread are trained by a function of yours.

    Parameters
    ----------
    trainer : callable
        Is given what :func:`train_tree` is given: ``trainer(data, tree, settings)``,
        and returns what it returns, a model and the number of iterations.

    Yields
    ------
    None

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.linear import train_tree, trained_by
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> def training_that_says_so(data, tree, settings):
    ...     print(f"{tree.n_labels} labels")
    ...     with trained_by(None):
    ...         return train_tree(data, tree, settings)
    >>> with trained_by(training_that_says_so):
    ...     clf = XRLinearClassifier(random_state=0).fit(X, Y)
    50 labels
    """
    token = _trainer.set(trainer)
    try:
        yield
    finally:
        _trainer.reset(token)


def count_separate_levels(tree, settings, checkpoint_dir=None):
    """The number of levels that :func:`train_tree` trains each by itself.

    Parameters
    ----------
    tree : LabelTree
        The label tree.
    settings : TreeSettings
        Settings of the training.
    checkpoint_dir : path-like, default=None
        As in ``train_tree``.

    Returns
    -------
    int
    """
    return tree.n_levels - _n_at_once(tree, settings, checkpoint_dir)


def _n_at_once(tree, settings, checkpoint_dir):
    """The number of levels, from the root, that are trained together."""
    if checkpoint_dir is not None or settings.negative_sampling in ("man", "tfn+man"):
        return 0
    return n_independent_levels(tree, settings)


def train_level(X, target, teacher, offsets, settings, matched=None, weight=None):
    """Train the nodes of a single level.

    Parameters
    ----------
    X : HybridFeatures of shape (n_samples, n_features)
        Instances.
    target : csr_matrix of shape (n_samples, n_nodes)
        Positives of each node.
    teacher : csr_matrix of shape (n_samples, n_parents)
        Instances with a positive child under each parent.
    offsets : ndarray of int64 of shape (n_parents + 1,)
        First child of each parent, and the number of children.
    settings : SolverSettings
        Settings of the node solver.
    matched : csr_matrix of shape (n_samples, n_parents), default=None
        Instances that are negatives for the children of each parent; None means
        those of ``teacher``.
    weight : ndarray of float32 of shape (n_samples,), default=None
        Weights of instances.

    Returns
    -------
    ChunkedWeights
        Weights of the nodes.

    Examples
    --------
    All labels under a single parent, for which every instance is used:

    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_xmr import HybridFeatures
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.linear import SolverSettings, train_level
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> everyone = sparse.csr_matrix(np.ones((500, 1)))
    >>> weights = train_level(
    ...     HybridFeatures(X), Y, everyone, np.array([0, 50]), SolverSettings())
    >>> weights.n_nodes
    50
    """
    problem = make_level_problem(target, teacher, matched, offsets, False)
    (weights,), _ = solve_levels(X, [problem], settings, weight)
    return weights


def train_new_labels(model, data, settings, clusters=None):
    """Train the labels that the last columns of the targets add to a model.

    Parameters
    ----------
    model : TreeModel
        Model of the first ``n_labels`` columns of ``data.Y``.
    data : TrainingData
        Instances of new labels, and of old ones, which are the negatives.
    settings : TreeSettings
        Settings with which the model was trained.
    clusters : array-like of int of shape (n_new,), default=None
        Cluster that each new label joins; None means those of
        :func:`matching_clusters`.

    Returns
    -------
    TreeModel
        Model with the new labels.
    """
    n_old, level = model.n_labels, model.tree.n_levels - 1
    if clusters is None:
        clusters = matching_clusters(model, data.X, data.Y[:, n_old:], settings)
    tree = model.tree.with_labels(clusters)
    levels = TreeLevels(data, tree, settings)
    trained = levels.solve_children(model, level, np.unique(clusters), n_old)
    return model.with_labels(clusters, trained)


def train_branch(model, data, settings, level, node):
    """Train all nodes under a node again.

    Parameters
    ----------
    model : TreeModel
        The fitted model.
    data : TrainingData
        Training data with the labels of the model.
    settings : TreeSettings
        Settings with which the model was trained.
    level, node : int
        Level and number of the node; level 0 holds the children of the root.

    Returns
    -------
    TreeModel
        Model with new weights under the node.
    """
    levels, bounds = TreeLevels(data, model.tree, settings), np.array([node, node + 1])
    for below in range(level + 1, model.tree.n_levels):
        parents = np.arange(*bounds)
        trained = levels.solve_children(model, below, parents)
        model = model.with_children(below, parents, trained)
        bounds = model.tree.offsets[below][bounds]
    return model


def matching_clusters(model, X, Y, settings):
    """Find the cluster to which a model assigns the instances of each new label.

    Parameters
    ----------
    model : TreeModel
        The fitted model.
    X : HybridFeatures
        Instances.
    Y : csr_matrix of shape (n_samples, n_new)
        Indicator of the new labels.
    settings : TreeSettings
        Settings with the ``beam_size`` and ``post_processor`` to use.

    Returns
    -------
    ndarray of int of shape (n_new,)
        The cluster with the highest matching score, summed over the label's instances;
        the smallest cluster for a label without instances.
    """
    smallest = np.diff(model.tree.offsets[-1]).argmin()
    clusters = np.full(Y.shape[1], smallest)
    rows = np.flatnonzero(np.diff(Y.indptr))  # other instances have no new label
    if len(rows) == 0:
        return clusters
    matching = model.matching(X[rows], **settings.search)
    votes = sparse.csr_matrix(Y[rows].T @ matching)
    voted = np.flatnonzero(np.diff(votes.indptr))
    clusters[voted] = np.asarray(votes[voted].argmax(axis=1)).ravel()
    return clusters


def estimate_model_nbytes(data, tree, settings, share):
    """Estimate the size of a model from a random share of its nodes.

    Parameters
    ----------
    data : TrainingData
        Training data with instances as HybridFeatures.
    tree : LabelTree
        The label tree.
    settings : TreeSettings
        Settings of the training; negatives are teacher-forced here.
    share : float in (0, 1]
        Share of the nodes to train.

    Returns
    -------
    int
        Size in bytes.
    """
    settings = replace(settings, negative_sampling="tfn")
    problems = TreeLevels(data, tree, settings).problems()
    size = estimate_nbytes(data.X, problems, settings.solver, share)
    return size + tree.label_order.nbytes
