"""Training of a label tree in tasks that share nothing but a folder.

The folder holds the tree, the settings and, for each level, the instances of every
node; the features lie in a folder beside it. A task reads what it needs, trains the
children of some neighbouring nodes, and writes a *part*: their weights. Parts of all
tasks make the model that :func:`train_tree` makes, bit for bit: each block of labels
has its own random stream, by its number in the whole tree.

Negatives that the levels above have to find come from search tasks, for some instances
each. A task reads the parts of earlier stages only.
"""

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import sparse

from sklearn_xmr.datasets import CSRWriter, open_csr, write_csr
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._checkpoints import description, differences, plain_value
from sklearn_xmr.linear._post_processor import PostProcessor, post_processor_of
from sklearn_xmr.linear._solver._level_problem import (
    make_level_problem,
    ones_at,
    root_rows,
)
from sklearn_xmr.linear._solver._level_solver import (
    SolverSettings,
    solve_part,
    warn_of_training,
    with_row_length,
)
from sklearn_xmr.linear._training import TreeSettings
from sklearn_xmr.linear._training_tasks import LARGE_VALUES, TrainingTask, plan_tasks
from sklearn_xmr.linear._tree_levels import (
    TreeLevels,
    matched_nodes,
    model_above,
    n_independent_levels,
)
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.linear._weights._weight_part import WeightPart, join_parts
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._array_file import ArrayFile, write_array_file
from sklearn_xmr.utils._csr_rows import row_range, take_rows
from sklearn_xmr.utils._folders import Folder
from sklearn_xmr.utils._matrices import check_indices
from sklearn_xmr.utils._ranges import pointers, ranges, row_blocks
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._whole_file import whole_file

TRAINING, DENSE, SPARSE, META = "training.xmr", "dense.xmr", "sparse", "matrix.json"
PLACE = "features.json"  # where they lie, and what they are
VERIFIED_BYTES = 1 << 28  # of features that each process compares with checksums
SETTINGS = ("negative_sampling", "n_hard_clusters", "beam_size")


def _write_place(folder, features):
    """Say where the features of a training lie, and what they are.

    By name if beside it, so that a plan can be moved. Features that have been replaced
    are noticed.
    """
    beside = features.parent.url == folder.parent.url
    place = {"beside": features.name} if beside else {"url": features.url}
    matrix = features / SPARSE if features.exists(DENSE) else features
    place["matrix"] = json.loads(matrix.read(META).read_bytes())
    with folder.writing() as path, whole_file(path / PLACE) as file:
        file.write(json.dumps(place).encode())


def _open_place(folder):
    """The features of a training, mapped and not checked (HybridFeatures)."""
    with named_errors(f"{folder}/{PLACE}", ValueError, "the place of features"):
        place = json.loads(folder.read(PLACE).read_bytes())
        if "beside" in place:
            features = folder.parent / place["beside"]
        else:
            features = Folder(place["url"])
        known = place["matrix"]
    is_hybrid = features.exists(DENSE)
    matrix = features / SPARSE if is_hybrid else features
    if json.loads(matrix.read(META).read_bytes()) != known:
        raise ValueError(
            f"{matrix} holds another matrix than that of the plan in {folder}: make "
            "the plan again"
        )
    X = open_csr(matrix.url, check=False)
    if X.data.nbytes + X.indices.nbytes <= VERIFIED_BYTES:
        X = open_csr(matrix.url, check=False, verify=True)
    dense = _open(features, DENSE, verify=True).array(0) if is_hybrid else None
    return HybridFeatures.of_blocks(X, dense)


class StoredTraining:
    """The training of one label tree in a folder.

    Parameters
    ----------
    folder : path-like
        What :meth:`write` has written: a path, or a URL that fsspec knows.

    Attributes
    ----------
    tasks : list of TrainingTask
        All tasks.
    run : dict
        What the weights depend on, by names that users know.

    Raises
    ------
    FileNotFoundError
        If the folder holds no training.
    ValueError
        If a file of it is damaged.

    See Also
    --------
    sklearn_xmr.distributed.plan_fit : Plan the fit of an estimator.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr import HierarchicalLabelClusterer, HybridFeatures
    >>> from sklearn_xmr.base import TrainingData
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.linear import StoredTraining, TreeSettings
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> tree = HierarchicalLabelClusterer(random_state=0).fit(X, Y).tree_
    >>> data = TrainingData(HybridFeatures(X), Y.astype("float32"))
    >>> folder = TemporaryDirectory()
    >>> StoredTraining.write_features(data.X, folder.name + "/features")
    >>> training = StoredTraining.write(
    ...     folder.name + "/tree", folder.name + "/features", data, tree,
    ...     TreeSettings(), n_tasks=4)
    >>> for task in training.tasks:
    ...     training.execute(task)
    >>> model, n_iter = training.model()
    >>> model.n_labels
    50
    >>> folder.cleanup()
    """

    def __init__(self, folder):
        self.folder = Folder(folder)
        file = _open(self.folder, TRAINING)
        header = file.header
        *offsets, order, weight = (file.array(i) for i in range(len(file)))
        self.tree = LabelTree(offsets, order)
        self.settings = _settings_of(header["settings"])
        self.sample_weight = weight if len(weight) else None
        self.tasks = [TrainingTask(**task) for task in header["tasks"]]
        self.run = header["run"]
        self._weighted, self._knows = header["weighted"], header["knows"]
        self.n_independent = n_independent_levels(self.tree, self.settings)
        self._models, self._files = {}, {}

    @staticmethod
    def write_features(X, folder):
        """Write instances as tasks read them, unless they are there.

        Parameters
        ----------
        X : HybridFeatures
            Instances.
        folder : path-like
            Their own folder, for these instances only.
        """
        folder = Folder(folder)
        if folder.exists(DENSE):
            return
        if not (folder / SPARSE).exists(META):
            with (folder / SPARSE).writing() as path:
                write_csr(X.sparse, path)
        with folder.writing() as path:  # last: they are complete
            write_array_file(path / DENSE, {}, [X.dense])

    @classmethod
    def write(cls, folder, features, data, tree, settings, n_tasks):
        """Write a training, cut into tasks; or take up that of the same fit.

        Parameters
        ----------
        folder : path-like
            Where.
        features : path-like
            Where :meth:`write_features` has written ``data.X``, or the folder of a
            matrix.
        data : TrainingData
            Training data with instances as HybridFeatures.
        tree : LabelTree
            The label tree.
        settings : TreeSettings
            Settings of the training.
        n_tasks : int
            About how many tasks of about the same time to make.

        Returns
        -------
        StoredTraining

        Raises
        ------
        ValueError
            If the folder holds the training of another fit.
        """
        folder, features = Folder(folder), Folder(features)
        run = description(data, tree, settings)
        if folder.exists(TRAINING):
            found = cls(folder)
            found.check_same(run)
            _write_place(folder, features)  # they may have moved
            return found
        solver = with_row_length(settings.solver, data.X, data.sample_weight)
        settings = replace(settings, solver=solver)
        levels = TreeLevels(data, tree, settings)
        header = {
            "run": run,
            "settings": _plain_settings(settings),
            "weighted": levels.weighted,
            "knows": levels.known is not None,
            "tasks": [asdict(task) for task in plan_tasks(levels, n_tasks)],
        }
        weight = data.sample_weight
        arrays = [*tree.offsets, tree.label_order]
        arrays.append(np.empty(0, np.float32) if weight is None else weight)
        with folder.writing() as path:
            for number, target in enumerate(levels.targets, 1):
                _Columns.of(target).write(path / f"target-{number}.xmr")
            for number, known in enumerate(levels.known or [], 1):
                _Columns.of(known).write(path / f"known-{number}.xmr")
            _write_place(folder, features)
            write_array_file(path / TRAINING, header, arrays)  # last: it is complete
        return cls(folder)

    def check_same(self, run):
        """Compare with another training.

        Parameters
        ----------
        run : dict
            What its weights depend on, by names that users know.

        Raises
        ------
        ValueError
            If it is another, or of other data.
        """
        if self.run != run:
            raise ValueError(
                f"{self.folder} holds the training of another fit, which differs in "
                f"{differences(self.run, run)}: give a folder of its own, or delete "
                "that one to start from the beginning"
            )

    @cached_property
    def X(self):
        """All instances, mapped; a task checks those that it uses (HybridFeatures)."""
        return _open_place(self.folder)

    # --- one task --------------------------------------------------------------------

    def is_done(self, task):
        """Tell whether a task has been done.

        Parameters
        ----------
        task : TrainingTask
            One of ``tasks``.

        Returns
        -------
        bool
            True where its part is there.
        """
        return (self.folder / "parts").exists(task.name)

    def execute(self, task):
        """Do a task, and write its part.

        Parameters
        ----------
        task : TrainingTask
            One of ``tasks``; those of earlier stages must have been done.

        Raises
        ------
        FileNotFoundError
            If the part of a task before is missing.
        ValueError
            If a file is damaged.
        OSError
            If the part cannot be written.
        """
        do = self._train if task.kind == "train" else self._search
        header, arrays = do(task)
        with (self.folder / "parts").writing() as path:
            header = {"task": asdict(task), **header}
            write_array_file(path / task.name, header, arrays)

    def _search(self, task):
        """The nodes that some instances are like: those of each node."""
        rows = row_range(self.X.sparse, task.first, task.last)
        check_indices(rows, "X")
        X = HybridFeatures.of_blocks(rows, self.X.dense[task.first : task.last])
        found = matched_nodes(self._above(task.level), X, self.settings)
        columns = _Columns.of(found)
        return {}, [columns.ptr, columns.rows + np.int32(task.first)]

    def _train(self, task):
        """Weights of the children of some nodes."""
        problem, rows = self._problem(task)
        weight = self.sample_weight
        if weight is not None and rows is not None:
            weight = weight[rows]
        with _rows_of(self.X, rows, self.folder) as X:
            part, n_iter = solve_part(X, problem, self.settings.solver, weight)
        header, arrays = part.content()
        return header, [*arrays, n_iter]

    def _problem(self, task):
        """The problem of some nodes' children, and the instances that it is about.

        The instances are numbered from 0; None means all.
        """
        level, first, last = task.level, task.first, task.last
        bounds = self.tree.offsets[level][first : last + 1]
        target = self._columns("target", level).take(bounds[0], bounds[-1])
        others = [None, None, None]  # teacher, known, matched
        if level > 0:
            others[0] = self._columns("target", level - 1).take(first, last)
            if self._knows:
                others[1] = self._columns("known", level - 1).take(first, last)
        if level >= self.n_independent:
            others[2] = self._matched(level, first, last)
        rows = None
        if level > 0:
            rows = np.unique(np.concatenate([c.rows for c in others if c is not None]))
        n_rows = self.X.shape[0] if rows is None else len(rows)
        teacher, known, matched = (
            None if columns is None else columns.of_rows(rows, n_rows)
            for columns in others
        )
        problem = self._level_problem(
            target.of_rows(rows, n_rows), teacher, known, matched, bounds - bounds[0]
        )
        return replace(problem, first_child=self._first_child(level, first)), rows

    def _level_problem(self, target, teacher, known, matched, offsets):
        if teacher is None:
            teacher = root_rows(target.shape[0])
        if matched is not None and self.settings.negative_sampling == "tfn+man":
            matched = matched + ones_at(teacher)
        mines = self.settings.negative_sampling == "hard"
        return make_level_problem(
            target,
            teacher,
            None if mines else matched,
            offsets,
            self._weighted,
            known,
            matched if mines else None,
        )

    def _first_child(self, level, parent):
        """Number of a parent's first child among those that are trained together."""
        above = self.tree.level_sizes[:level] if level < self.n_independent else []
        return int(sum(above) + self.tree.offsets[level][parent])

    def _columns(self, kind, level):
        return self._stored_columns(self.folder, f"{kind}-{level + 1}.xmr")

    def _stored_columns(self, folder, name):
        """Columns of a file, which is verified once in a process."""
        if name not in self._files:
            self._files[name] = _Columns.read(folder, name)
        return self._files[name]

    def _matched(self, level, first, last):
        """Instances that searches found for some nodes."""
        parts = [
            self._stored_columns(self.folder / "parts", task.name).take(first, last)
            for task in self.tasks_of("search", level)
        ]
        return _Columns.of_parts(parts)

    # --- the whole -------------------------------------------------------------------

    def tasks_of(self, kind, level):
        """List the tasks of a kind for a level.

        Parameters
        ----------
        kind : {"train", "search"}
            What they do.
        level : int
            Which level they are for.

        Returns
        -------
        list of TrainingTask
            In the order of the nodes or instances that they are about.
        """
        some = [t for t in self.tasks if (t.kind, t.level) == (kind, level)]
        return sorted(some, key=lambda task: task.first)

    def level(self, number):
        """Join the parts of a level.

        Parameters
        ----------
        number : int
            Of the level, from 0 at the root.

        Returns
        -------
        weights : ChunkedWeights
            Weights of the level.
        n_iter : ndarray of int32 of shape (n_blocks,)
            Iterations that each block of labels needed.

        Raises
        ------
        FileNotFoundError
            If a part is missing.
        ValueError
            If one is damaged, or of another training.
        """
        parts, n_iter = [], []
        for task in self.tasks_of("train", number):
            file = _open(self.folder / "parts", task.name, verify=True)
            advice = ": delete it, and have its task done again"
            with named_errors(task.name, ValueError, "a part of this training", advice):
                if file.header["task"] != asdict(task):
                    raise ValueError("it is the part of another task")
                parts.append(WeightPart.of_file(file))
            n_iter.append(file.array(len(file) - 1))
        return join_parts(parts), np.concatenate(n_iter)

    def _above(self, level):
        """The levels above one, as a model; made once for all tasks of a process."""
        if level not in self._models:
            weights = [self.level(number)[0] for number in range(level)]
            self._models[level] = model_above(self.tree, weights)
        return self._models[level]

    def model(self):
        """Join the parts of all levels.

        Returns
        -------
        model : TreeModel
            The trained tree.
        n_iter : int
            Largest number of iterations that a block of labels needed.

        Raises
        ------
        FileNotFoundError
            If a part is missing.
        ValueError
            If one is damaged, or of another training.
        """
        numbers = range(self.tree.n_levels)
        weights, n_iter = zip(*map(self.level, numbers), strict=True)
        n_iter = np.concatenate(n_iter)
        warn_of_training(list(weights), n_iter, self.settings.solver)
        if self.folder.is_local:  # of tasks that were killed
            for left in Path(self.folder.url).glob("rows-*"):
                shutil.rmtree(left, ignore_errors=True)
        return TreeModel(self.tree, weights), int(n_iter.max(initial=0))


class _Columns:
    """The rows of each column of a matrix, ascending, with values where they count."""

    def __init__(self, ptr, rows, values=None):
        self.ptr, self.rows, self.values = ptr, rows, values

    @classmethod
    def of(cls, matrix):
        """Of a sparse matrix."""
        matrix = matrix.tocsc()
        rows = matrix.indices.astype(np.int32, copy=False)
        return cls(matrix.indptr.astype(np.int64), rows, matrix.data)

    @classmethod
    def of_parts(cls, parts):
        """Of the columns of consecutive rows."""
        counts = np.array([np.diff(part.ptr) for part in parts])
        ptr = pointers(counts.sum(axis=0))
        rows = np.empty(ptr[-1], dtype=np.int32)
        starts = ptr[:-1].copy()
        for part, size in zip(parts, counts, strict=True):
            rows[ranges(starts, size)] = part.rows
            starts += size
        return cls(ptr, rows)

    @classmethod
    def read(cls, folder, name):
        """Of a file, mapped."""
        file = _open(folder, name, verify=True)
        return cls(*map(file.array, range(len(file))))

    def write(self, path):
        write_array_file(path, {}, [self.ptr, self.rows, self.values])

    def take(self, first, last):
        """Some consecutive columns."""
        ptr = self.ptr[first : last + 1]
        part = slice(ptr[0], ptr[-1])
        values = None if self.values is None else self.values[part]
        return _Columns(ptr - ptr[0], self.rows[part], values)

    def of_rows(self, rows, n_rows):
        """As a CSR matrix of some rows (ascending; None for all), which hold all."""
        places = self.rows if rows is None else np.searchsorted(rows, self.rows)
        values = self.values
        if values is None:
            values = np.ones(len(places), dtype=np.float32)
        shape = n_rows, len(self.ptr) - 1
        return sparse.csc_matrix((values, places, self.ptr), shape=shape).tocsr()


def _open(folder, name, verify=False):
    """A file of arrays in a folder, and whether it is whole."""
    path = folder.read(name)
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}/{name} is missing: the task that writes it has not been done"
        )
    with named_errors(f"{folder}/{name}", ValueError, "a file of a training"):
        file = ArrayFile(path)
        if verify:
            file.verify()
    return file


@contextmanager
def _rows_of(X, rows, folder):
    """Some instances: in memory where they are few, on the disk otherwise."""
    if rows is None or len(rows) == X.shape[0]:
        check_indices(X.sparse, "X")
        yield X
        return
    dense, matrix = X.dense[rows], X.sparse
    counts = np.diff(matrix.indptr)[rows] if len(rows) else np.zeros(1, dtype=int)
    if counts.sum() <= LARGE_VALUES:
        taken = take_rows(matrix, rows)
        check_indices(taken, "X")
        yield HybridFeatures.of_blocks(taken, dense)
        return
    beside = folder.url if folder.is_local else None
    with TemporaryDirectory(
        prefix="rows-", dir=beside, ignore_cleanup_errors=True
    ) as scratch:
        with CSRWriter(Path(scratch)) as writer:
            for first, last in row_blocks(pointers(counts), LARGE_VALUES // 16):
                writer.append(take_rows(matrix, rows[first:last]))
        yield HybridFeatures.of_blocks(open_csr(scratch), dense)


def _plain_settings(settings):
    """Settings as JSON holds them."""
    rule = post_processor_of(settings.post_processor)
    plain = {name: plain_value(getattr(settings, name)) for name in SETTINGS}
    solver = asdict(settings.solver).items()
    return {
        **plain,
        "post_processor": rule.name,
        "path_weight": rule.path_weight,
        "solver": {name: plain_value(value) for name, value in solver},
    }


def _settings_of(plain):
    """Settings from what JSON held."""
    solver = {
        name: float(value) if value in ("inf", "-inf", "nan") else value
        for name, value in plain["solver"].items()
    }
    rule = PostProcessor(plain["post_processor"], plain["path_weight"])
    more = {name: plain[name] for name in SETTINGS}
    return TreeSettings(SolverSettings(**solver), post_processor=rule, **more)
