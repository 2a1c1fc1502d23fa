"""How the training of a label tree is cut into tasks of about the same time."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sklearn_xmr.linear._constants import LANES
from sklearn_xmr.linear._tree_levels import SEARCHED_ROWS

# Seconds of one core for a row and a block of labels, and more per feature of the row:
# a fit to tasks of tate-subjects and tibkat-gnd (benchmarks/engines.py).
SECONDS, SECONDS_FEATURE = 1.5e-6, 0.06e-6
SEARCH_SECONDS = 20e-6  # for an instance, to find the nodes that it resembles
SEARCH_BYTES = 200  # of its ranking
LARGE_VALUES = 1 << 21  # of features: more are read from the disk, not from memory
ROW_BYTES = 4 * LANES + 32  # of a row in the solver, beside its features


@dataclass(frozen=True)
class TrainingTask:
    """Some nodes of a level whose children one task trains, or instances to search for.

    Parameters
    ----------
    kind : {"train", "search"}
        Whether children are trained, or instances searched for in the levels above.
    stage : int
        A task needs the tasks of all stages below its own.
    level : int
        Level of the children, 0 for those of the root; of a search, the level that its
        results are for.
    first, last : int
        The parents or, of a search, the instances: first, and the one after the last.
    n_rows : int
        Number of instances, expected where a search has to find some.
    n_labels : int
        Number of children; 0 of a search.
    seconds : float
        Expected time on one core.
    nbytes : int
        Expected memory, in bytes, beside that of mapped files.

    Examples
    --------
    See :class:`StoredTraining`.
    """

    kind: str
    stage: int
    level: int
    first: int
    last: int
    n_rows: int
    n_labels: int
    seconds: float
    nbytes: int

    @property
    def name(self):
        """Name of the file that the task writes (str)."""
        return f"{self.kind}-{self.level + 1}-{self.first}-{self.last}.xmr"

    def __str__(self):
        what = "nodes" if self.kind == "train" else "instances"
        return f"{self.kind} level {self.level + 1}, {what} {self.first} to {self.last}"


def plan_tasks(levels, n_tasks):
    """Cut a training into tasks.

    Parameters
    ----------
    levels : TreeLevels
        The problems of all levels.
    n_tasks : int
        About how many tasks to make, of about the same time. The children of a node
        are trained by one task: there may be larger ones.

    Returns
    -------
    list of TrainingTask
        Stage by stage, the longest first.
    """
    row_values = max(levels.data.X.sparse.nnz / max(levels.data.n_samples, 1), 1)
    row_values += levels.data.X.dense.shape[1] / 8
    costs = [_LevelCosts(levels, number, row_values) for number in _numbers(levels)]
    share = sum(level.seconds.sum() for level in costs) / n_tasks
    tasks, stage = [], 0
    for number, level in enumerate(costs):
        if number >= levels.n_independent:
            tasks += _search_tasks(levels, number, stage + 1, n_tasks)
            stage += 2
        tasks += level.tasks(stage, share)
    return sorted(tasks, key=lambda task: (task.stage, -task.seconds))


def _numbers(levels):
    return range(levels.tree.n_levels)


def _search_tasks(levels, number, stage, n_tasks):
    """Search for the instances that are negatives on a level."""
    n_samples = levels.data.n_samples
    n_blocks = -(-n_samples // SEARCHED_ROWS)
    n_parts = min(n_tasks, n_blocks)
    bounds = np.linspace(0, n_blocks, n_parts + 1).astype(int) * SEARCHED_ROWS
    bounds = np.minimum(bounds, n_samples).tolist()
    return [_search_task(stage, number, *ends) for ends in pairwise(bounds)]


def _search_task(stage, number, first, last):
    n_rows = last - first
    seconds, nbytes = n_rows * SEARCH_SECONDS, n_rows * SEARCH_BYTES
    return TrainingTask(
        "search", stage, number, first, last, n_rows, 0, seconds, nbytes
    )


class _LevelCosts:
    """What training the children of each node of a level costs."""

    def __init__(self, levels, number, row_values):
        self.number, self.bounds = number, levels.tree.offsets[number]
        n_parents = len(self.bounds) - 1
        self.n_rows = np.full(n_parents, levels.data.n_samples)
        if number > 0:
            teacher = levels.targets[number - 1].indices
            self.n_rows = np.bincount(teacher, minlength=n_parents)
        if number >= levels.n_independent:
            found = levels.data.n_samples * _n_matched(levels.settings) / n_parents
            self.n_rows = np.maximum(self.n_rows, found.astype(int))
        trained = np.bincount(levels.targets[number].indices, minlength=self.bounds[-1])
        n_trained = np.add.reduceat(trained > 0, self.bounds[:-1], dtype=np.int64)
        # The solver copies the rows of a node, unless they are all that it is given.
        self.is_large = self.n_rows * row_values > LARGE_VALUES
        passes = self.n_rows * -(-n_trained // LANES)
        self.seconds = passes * (SECONDS + SECONDS_FEATURE * row_values)
        self.nbytes = self.n_rows * int(8 * row_values + ROW_BYTES)

    def tasks(self, stage, share):
        """Neighbouring nodes together, of about this share of the time; large alone."""
        before = np.cumsum(self.seconds) - self.seconds
        group = (before // share).astype(int) if share else np.zeros(len(before), int)
        begins = np.diff(group, prepend=-1) != 0
        begins |= self.is_large
        begins[1:] |= self.is_large[:-1]
        starts = np.append(np.flatnonzero(begins), len(group))
        return [
            self._task(stage, int(first), int(last)) for first, last in pairwise(starts)
        ]

    def _task(self, stage, first, last):
        nodes = slice(first, last)
        return TrainingTask(
            "train",
            stage,
            self.number,
            first,
            last,
            int(self.n_rows[nodes].sum()),
            int(self.bounds[last] - self.bounds[first]),
            float(self.seconds[nodes].sum()),
            int(self.nbytes[nodes].sum()),
        )


def _n_matched(settings):
    """Nodes that a search finds for an instance."""
    if settings.negative_sampling == "hard":
        return np.float64(settings.n_hard_clusters)
    return np.float64(settings.beam_size or 10)
