"""One call for a fit over many workers."""

from typing import Any

from joblib import parallel_config
from sklearn.base import clone

from sklearn_xmr.distributed._drivers import driver_of
from sklearn_xmr.distributed._plan import (
    N_TASKS,
    FitPlan,
    PlannedTree,
    completed,
    only_fits_trees,
    opened_data,
    planned_estimator,
    planner_of,
    run_fit_task,
)
from sklearn_xmr.linear import trained_by
from sklearn_xmr.utils._typing import Estimator, MatrixLike, PathOrStr


def fit_distributed(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    *,
    directory: PathOrStr,
    client: Any = None,
    n_tasks: int = N_TASKS,
    verbose: int = 0,
    **fit_params: Any,
) -> Any:
    """Fit an estimator with the label trees trained by many workers.

    The training of each label tree is cut into tasks over its sub-trees, which workers
    do: of a Dask, Ray or Spark cluster, of an executor, or of joblib. Nothing large
    travels through them; the tasks share a folder. The result is equal to that of
    ``fit`` in one process, bit for bit.

    A fit that was ended goes on where it was when it is called again with the same
    folder, data and parameters (``random_state`` must be an int).

    Parameters
    ----------
    estimator : estimator
        Any estimator whose label trees :class:`XRLinearClassifier` trains: itself,
        ensembles, stacks, calibrated ones, searches, pipelines. A clone is fitted:
        ``warm_start=True`` has nothing to begin with.
    X : array-like, sparse matrix, HybridFeatures, list of str, or path
        What its ``fit`` takes; or the folder of a matrix of
        :class:`~sklearn_xmr.datasets.CSRWriter`, which is mapped and not copied, so
        that it may be larger than the memory.
    y : array-like, sparse matrix, or path
        Targets, or the folder of such a matrix.
    directory : path-like or str
        A folder that all workers can read and write: a path or a URL that fsspec knows.
        It holds the plan, the features and the parts, and can be deleted afterwards.
    client : dask.distributed.Client, ray, SparkSession, Executor or None
        Who does the tasks: a client of Dask; the module ``ray`` after ``ray.init``; a
        SparkSession; an executor of ``concurrent.futures``; None for joblib with the
        backend of ``joblib.parallel_config``, one process by default.
    n_tasks : int, default=64
        About how many tasks to make for each tree.
    verbose : int, default=0
        1 prints a line for each stage, 2 for each task.
    **fit_params : dict
        Further arguments of ``fit``.

    Returns
    -------
    estimator
        A fitted clone.

    Raises
    ------
    RuntimeError
        If a task fails for good: it says which, and why. What has been done stays in
        the folder.
    ValueError
        If the folder holds another fit, or ``fit`` raises it.
    TypeError
        If ``client`` is nothing that can do tasks.

    See Also
    --------
    plan_fit, run_fit_task, assemble_fit : Its three steps, for batch schedulers.

    Notes
    -----
    Trees of one estimator are trained side by side where it only fits them; where it
    asks them meanwhile, as a stack does, one after another. Each task uses as many
    threads as OpenMP may use where it runs; Dask and Ray set one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.distributed import fit_distributed
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> with TemporaryDirectory() as folder:
    ...     clf = fit_distributed(
    ...         XRLinearClassifier(random_state=0), X, Y, directory=folder)
    >>> clf.predict_topk(X, k=3)[0].shape
    (500, 3)
    """
    crew = _Crew(driver_of(client), verbose)
    fit = _fit_planned if only_fits_trees(estimator) else _fit_tree_by_tree
    return fit(estimator, X, y, directory, n_tasks, crew, **fit_params)


def _fit_planned(estimator, X, y, directory, n_tasks, crew, **fit_params):
    """Fit an estimator with all its trees side by side."""
    planned, plan = planned_estimator(
        estimator, X, y, directory, n_tasks=n_tasks, **fit_params
    )
    crew.work_off(plan)
    return completed(planned, plan)


def _fit_tree_by_tree(estimator, X, y, directory, n_tasks, crew, **fit_params):
    """Fit an estimator that asks each tree before it trains the next."""
    planner = planner_of(directory, n_tasks)
    X, y = opened_data(planner, X, y)

    def train(data, tree, settings):
        planner.write(data, tree, settings)
        planner.finish()
        plan = FitPlan(directory)
        crew.work_off(plan)
        return PlannedTree(len(planner.trainings) - 1, tree).trained(plan)

    try:
        with trained_by(train), parallel_config("sequential"):
            fitted = clone(estimator).fit(X, y, **fit_params)
    finally:
        crew.raise_what_failed()  # where a search would take another model instead
    if not planner.trainings:
        raise ValueError(
            f"estimator must train label trees, but {type(estimator).__name__} has "
            "trained none: use its fit"
        )
    return fitted


class _Crew:
    """Works plans off, and says how far it is."""

    def __init__(self, driver, verbose):
        self.driver, self.verbose, self.failure = driver, verbose, None

    def work_off(self, plan):
        """Have all tasks done that have not been, stage by stage."""
        self.raise_what_failed()
        for number, stage in enumerate(plan.stages, 1):
            tasks = [task for task in stage if not plan.is_done(task)]
            self._say(1, f"stage {number}: {len(tasks)} of {len(stage)} tasks to do")
            calls = [(plan.directory, task.number) for task in tasks]
            try:
                for done in self.driver(_run_or_say, calls):
                    self._take(done, plan)
            except Exception as error:  # noqa: BLE001, of any engine
                self._fail(error, plan, stage)

    def raise_what_failed(self):
        """RuntimeError if a task has failed before."""
        if self.failure is not None:
            raise self.failure

    def _take(self, done, plan):
        task = plan.tasks[done["number"]]
        if "error" in done:
            raise _TaskFailed(f"{task} failed: {done['error']}")
        self._say(2, f"{task}: {done['seconds']:.1f} s")

    def _fail(self, error, plan, stage):
        """RuntimeError that says which task failed, or which are left, and why."""
        if isinstance(error, _TaskFailed):
            what = str(error)
        else:  # workers have died, or the engine has
            left = [str(task) for task in stage if not plan.is_done(task)]
            what = f"{type(error).__name__}: {error}; not done: {', '.join(left[:3])}"
            what += f" and {len(left) - 3} more" if len(left) > 3 else ""
        self.failure = RuntimeError(
            f"{what}; what has been done stays in {plan.directory}, and the same call "
            "goes on from there"
        )
        raise self.failure from error

    def _say(self, level, line):
        if self.verbose >= level:
            print(f"[fit_distributed] {line}", flush=True)


class _TaskFailed(Exception):
    """A task has raised an error, which its message tells."""


def _run_or_say(directory, number):
    """Do a task; an error of it is a result, for engines wrap errors in many ways."""
    try:
        return run_fit_task(directory, number)
    except Exception as error:  # noqa: BLE001
        return {"number": number, "error": f"{type(error).__name__}: {error}"}
