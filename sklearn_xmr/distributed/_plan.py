"""A fit as tasks that share nothing but a folder: the plan, one task, the assembly."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, groupby
from typing import Any

from joblib import parallel_config
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from sklearn_xmr.compose import LabelNamesClassifier, XREnsembleClassifier
from sklearn_xmr.datasets import open_csr
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear import (
    StoredTraining,
    TrainingTask,
    TreeModel,
    XRLinearClassifier,
    trained_by,
)
from sklearn_xmr.persistence import load_model, save_model
from sklearn_xmr.utils._array_file import ArrayFile, write_array_file
from sklearn_xmr.utils._content_key import content_key
from sklearn_xmr.utils._folders import Folder
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, PathOrStr
from sklearn_xmr.utils._validation import check_count

PLAN, ESTIMATOR = "plan.xmr", "estimator.xmr"
N_TASKS = 64  # for each tree: several for each worker, so that a lost one costs little


@dataclass(frozen=True)
class FitTask:
    """One task of a plan.

    Parameters
    ----------
    number : int
        By which :func:`run_fit_task` knows it.
    tree : int
        Number of its label tree, from 0.
    training : TrainingTask
        What it does: kind, stage, level, nodes, expected time and memory.

    Examples
    --------
    See :class:`FitPlan`.
    """

    number: int
    tree: int
    training: TrainingTask

    def __str__(self) -> str:
        return f"task {self.number} (tree {self.tree + 1}, {self.training})"


class FitPlan:
    """A fit that has been planned, in a folder.

    Parameters
    ----------
    directory : path-like or str
        What :func:`plan_fit` has written.

    Attributes
    ----------
    directory : str
        Where it is.
    tasks : list of FitTask
        All tasks, by their numbers.

    Raises
    ------
    FileNotFoundError
        If there is no plan.
    ValueError
        If a file of it is damaged.

    See Also
    --------
    plan_fit : Make a plan.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.distributed import assemble_fit, plan_fit, run_fit_task
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> folder = TemporaryDirectory()
    >>> plan = plan_fit(XRLinearClassifier(random_state=0), X, Y, folder.name)
    >>> for stage in plan.stages:
    ...     for task in stage:
    ...         _ = run_fit_task(folder.name, task.number)
    >>> clf = assemble_fit(folder.name)
    >>> clf.predict_topk(X, k=3)[0].shape
    (500, 3)
    >>> folder.cleanup()
    """

    def __init__(self, directory: PathOrStr) -> None:
        self._folder = Folder(directory)
        self.directory = self._folder.url
        if not self._folder.exists(PLAN):
            raise FileNotFoundError(f"{self.directory} holds no plan: make one first")
        with named_errors(f"{self.directory}/{PLAN}", ValueError, "a plan"):
            names = ArrayFile(self._folder.read(PLAN)).header["trees"]
        self._trees = [StoredTraining(self._folder / name) for name in names]
        numbers = count()
        self.tasks = [
            FitTask(next(numbers), tree, task)
            for tree, training in enumerate(self._trees)
            for task in training.tasks
        ]

    @property
    def stages(self) -> list[list[FitTask]]:
        """Tasks by stage, of all trees, the longest first (list of list of FitTask).

        The tasks of a stage need nothing of each other, but all of the stages before.
        """
        order = sorted(
            self.tasks, key=lambda t: (t.training.stage, -t.training.seconds)
        )
        return [list(some) for _, some in groupby(order, lambda t: t.training.stage)]

    def is_done(self, task: FitTask) -> bool:
        """Whether a task has been done.

        Parameters
        ----------
        task : FitTask
            One of ``tasks``.

        Returns
        -------
        bool
        """
        return self._trees[task.tree].is_done(task.training)

    def run(self, task: FitTask) -> None:
        """Do a task.

        Parameters
        ----------
        task : FitTask
            One of ``tasks``; those of the stages before must have been done.
        """
        self._trees[task.tree].execute(task.training)

    def model(self, tree: int) -> tuple[TreeModel, int]:
        """Put the parts of a tree's tasks together.

        Parameters
        ----------
        tree : int
            Number of the tree, from 0.

        Returns
        -------
        model : TreeModel
            The trained tree.
        n_iter : int
            Largest number of iterations that a node needed.
        """
        return self._trees[tree].model()


def plan_fit(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    directory: PathOrStr,
    *,
    n_tasks: int = N_TASKS,
    **fit_params: Any,
) -> FitPlan:
    """Begin the fit of an estimator, and cut the training of its trees into tasks.

    All that comes before the training is done here, once: texts are vectorized, labels
    grouped into trees. Features, targets and tasks are written into the folder.

    A folder that holds the plan of the same fit is taken as it is, with what has been
    done of it.

    Parameters
    ----------
    estimator : estimator
        An :class:`XRLinearClassifier`, or what only fits some of these and asks none
        of them meanwhile: :class:`XREnsembleClassifier`, pipelines and
        :class:`LabelNamesClassifier` of such. A clone is fitted.
    X : array-like, sparse matrix, HybridFeatures, list of str, or path
        What its ``fit`` takes; or the folder of a matrix of
        :class:`~sklearn_xmr.datasets.CSRWriter`, which is mapped and not copied.
    y : array-like, sparse matrix, or path
        Targets, or the folder of such a matrix.
    directory : path-like or str
        A folder that all tasks can read and write: a path or a URL that fsspec knows.
    n_tasks : int, default=64
        About how many tasks to make for each tree, of about the same time each. The
        children of a node are trained by one task: there may be longer ones.
    **fit_params : dict
        Further arguments of ``fit``.

    Returns
    -------
    FitPlan

    Raises
    ------
    ValueError
        If the folder holds the plan of another fit, the estimator is another
        (:func:`fit_distributed` can fit it), or ``fit`` raises it.
    TypeError
        If the estimator cannot be saved.
    OSError
        If the folder cannot be written.

    See Also
    --------
    run_fit_task : Do one of the tasks.
    assemble_fit : Make the fitted estimator of what tasks have done.
    fit_distributed : All of it in one call.

    Examples
    --------
    See :class:`FitPlan`.
    """
    if not only_fits_trees(estimator):
        raise ValueError(
            "estimator must be an XRLinearClassifier, an XREnsembleClassifier, or a "
            f"pipeline or LabelNamesClassifier of one, got {type(estimator).__name__}; "
            "fit_distributed fits others too"
        )
    given = {"n_tasks": n_tasks, **fit_params}
    return planned_estimator(estimator, X, y, directory, **given)[1]


def run_fit_task(directory: PathOrStr, number: int) -> dict[str, Any]:
    """Do one task of a plan, unless it has been done.

    The task reads files of the folder and writes one, with checksums, whole or not at
    all: it may be run anywhere, again, and by two at once.

    Parameters
    ----------
    directory : path-like or str
        Folder of the plan.
    number : int
        Number of the task.

    Returns
    -------
    dict
        ``number``, ``was_done`` (bool), ``seconds``, and the ``host`` and ``process``
        that did it.

    Raises
    ------
    ValueError
        If there is no such task, or a file is damaged.
    FileNotFoundError
        If a task of a stage before has not been done.
    OSError
        If the result cannot be written.

    Examples
    --------
    See :class:`FitPlan`.
    """
    plan = opened_plan(directory)
    if not 0 <= number < len(plan.tasks):
        raise ValueError(
            f"number must be 0 to {len(plan.tasks) - 1}, the tasks of the plan in "
            f"{plan.directory}, got {number}"
        )
    task, begin = plan.tasks[number], time.perf_counter()
    was_done = plan.is_done(task)
    if not was_done:
        plan.run(task)
    return {
        "number": number,
        "was_done": was_done,
        "seconds": time.perf_counter() - begin,
        "host": os.uname().nodename if hasattr(os, "uname") else "",
        "process": os.getpid(),
    }


def assemble_fit(directory: PathOrStr, *, trusted: Sequence[str | type] = ()) -> Any:
    """Make the fitted estimator of a plan whose tasks have all been done.

    Parameters
    ----------
    directory : path-like or str
        Folder of the plan.
    trusted : collection of str, default=()
        Types of other packages that the estimator needs, as :func:`load_model` takes
        them.

    Returns
    -------
    estimator
        Equal to what ``fit`` in one process makes, bit for bit.

    Raises
    ------
    FileNotFoundError
        If a task has not been done.
    ValueError
        If a part is damaged, or the estimator needs types that are not trusted.

    Examples
    --------
    See :class:`FitPlan`.
    """
    plan, folder = FitPlan(directory), Folder(directory)
    planned = load_model(folder.read(ESTIMATOR), trusted=trusted)
    return completed(planned, plan)


def opened_plan(directory):
    """The plan in a folder, opened once for all tasks that a process does of it."""
    folder = Folder(directory)
    if not folder.exists(PLAN):
        return FitPlan(directory)  # which says that there is none
    return _opened(folder.url, folder.version(PLAN))


@lru_cache(maxsize=2)
def _opened(directory, version):
    return FitPlan(directory)


# --- estimators whose trees are planned ----------------------------------------------


@storable
class PlannedTree:
    """What stands for a label tree that has been planned, and is not yet trained.

    Parameters
    ----------
    number : int
        Of the tree in the plan.
    tree : LabelTree
        The tree itself, which other parts of the estimator may hold too.
    """

    def __init__(self, number, tree):
        self.number, self.tree = number, tree

    def __setstate__(self, state):
        types = {name: type(value) for name, value in state.items()}
        if types != {"number": int, "tree": LabelTree}:
            raise ValueError(f"a planned tree has no such state: {types}")
        vars(self).update(state)

    def __repr__(self):
        return f"PlannedTree({self.number})"

    def trained(self, plan):
        """Its model (TreeModel) and the number of iterations."""
        model, n_iter = plan.model(self.number)
        return TreeModel(self.tree, model.weights), n_iter

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise TreeIsNeeded(
            "this label tree is planned, and not yet trained: assemble_fit makes the "
            "fitted estimator when all tasks of its plan have been done"
        )


class TreeIsNeeded(NotFittedError):
    """A label tree that is only planned is asked."""


class _Planner:
    """Writes trainings of label trees into a folder, and trains nothing."""

    def __init__(self, folder, n_tasks):
        self.folder, self.n_tasks = folder, n_tasks
        self.trainings, self._stored = [], []

    def knows(self, matrix, folder):
        """Have a matrix of a folder read from there."""
        self._stored.append((matrix, Folder(folder)))

    def __call__(self, data, tree, settings):
        training = self.write(data, tree, settings)
        planned = PlannedTree(len(self.trainings) - 1, tree)
        return planned, training.settings.solver.max_iter

    def write(self, data, tree, settings):
        """Write a training (StoredTraining), or take up that of the same fit."""
        name = f"tree-{len(self.trainings) + 1}"
        training = StoredTraining.write(
            self.folder / name,
            self._features_of(data),
            data,
            tree,
            settings,
            self.n_tasks,
        )
        self.trainings.append(name)
        return training

    def _features_of(self, data):
        """Where the features lie, which are written unless they are there."""
        matrix = data.X.sparse
        if not data.X.dense.shape[1]:
            for known, folder in self._stored:
                if _share_memory(known, matrix):
                    return folder
        key = content_key(matrix, data.X.dense)
        folder = self.folder / f"features-{key}"
        StoredTraining.write_features(data.X, folder)
        self._stored.append((matrix, folder))
        return folder

    def finish(self):
        """Write which trainings there are."""
        with self.folder.writing() as path:
            header = {"package": "sklearn_xmr", "trees": self.trainings}
            write_array_file(path / PLAN, header, [])


def _share_memory(one, other):
    """Whether two CSR matrices are the same arrays."""
    return one.shape == other.shape and all(
        a.__array_interface__["data"] == b.__array_interface__["data"]
        for a, b in ((one.indices, other.indices), (one.data, other.data))
    )


def planned_estimator(estimator, X, y, directory, n_tasks=N_TASKS, **fit_params):
    """A clone of an estimator with planned trees, and the plan.

    Raises
    ------
    ValueError
        If the estimator asks its trees while it is fitted.
    TypeError
        If it cannot be saved.
    """
    planner = planner_of(directory, n_tasks)
    X, y = opened_data(planner, X, y)
    planned = clone(estimator)
    try:
        with trained_by(planner), parallel_config("sequential"):
            planned.fit(X, y, **fit_params)
    except TreeIsNeeded as error:
        raise ValueError(
            f"estimator must not ask its label trees while it is fitted, as "
            f"{type(estimator).__name__} does: its fit cannot be planned, but "
            "fit_distributed can fit it"
        ) from error
    with Folder(directory).writing() as path:
        save_model(planned, path / ESTIMATOR)
    planner.finish()  # last: the plan is complete
    return planned, FitPlan(directory)


def only_fits_trees(estimator):
    """Whether an estimator fits label trees, and asks none of them meanwhile (bool)."""
    if isinstance(estimator, Pipeline):
        *before, (_, last) = estimator.steps
        return not any(_holds_trees(step) for _, step in before) and only_fits_trees(
            last
        )
    if isinstance(estimator, LabelNamesClassifier):
        return only_fits_trees(estimator.estimator)
    return type(estimator) in (XRLinearClassifier, XREnsembleClassifier)


def _holds_trees(step):
    """Whether a transformer is or holds an estimator that trains label trees."""
    inside = step.get_params(deep=True).values() if hasattr(step, "get_params") else ()
    return any(
        isinstance(part, (XRLinearClassifier, XREnsembleClassifier))
        for part in (step, *inside)
    )


def planner_of(directory, n_tasks):
    """What writes trainings into a folder (_Planner)."""
    return _Planner(Folder(directory), check_count(n_tasks, "n_tasks"))


def opened_data(planner, X, y):
    """X and y, mapped where folders of matrices are given."""
    if isinstance(X, (str, os.PathLike)):
        folder, X = X, open_csr(X)
        planner.knows(X, folder)
    return X, open_csr(y) if isinstance(y, (str, os.PathLike)) else y


def completed(planned, plan):
    """A planned estimator with the trees that tasks have trained."""
    for clf in _classifiers(planned):
        if isinstance(clf.model_, PlannedTree):
            clf.model_, clf.n_iter_ = clf.model_.trained(plan)
    return planned


def _classifiers(part):
    """The XRLinearClassifiers in a fitted estimator, at any depth."""
    if isinstance(part, XRLinearClassifier) and hasattr(part, "model_"):
        yield part
    elif isinstance(part, BaseEstimator):
        for inner in vars(part).values():
            yield from _classifiers(inner)
    elif isinstance(part, (list, tuple)):
        for inner in part:
            yield from _classifiers(inner)
    elif isinstance(part, dict):
        yield from _classifiers(list(part.values()))
