"""Trained levels on disk, so that a fit that was killed goes on where it was.

A folder holds ``run.xmr``, which says what the levels depend on, and a file for each
trained level, which says so too. All are files of arrays with checksums, as model files
are (doc/guide/model_files.md), each written whole or not at all.
"""

from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path

import numpy as np

from sklearn_xmr import _version
from sklearn_xmr.linear._post_processor import post_processor_of
from sklearn_xmr.linear._tree_model import FORMAT
from sklearn_xmr.linear._weights._chunked_weights import ChunkedWeights
from sklearn_xmr.utils._array_file import ArrayFile, write_array_file
from sklearn_xmr.utils._content_key import content_key

RUN = "run.xmr"
# How a training's settings are called where users set them.
NAMES = {
    "positive_cost": "C * positive_cost",
    "negative_cost": "C * negative_cost",
}
SCALARS = ("shift", "n_features", "value_type")  # of the weights of a level


def description(data, tree, settings):
    """What the weights of a training depend on, by names that users know.

    Parameters
    ----------
    data : TrainingData
        Training data with instances as HybridFeatures.
    tree : LabelTree
        The label tree.
    settings : TreeSettings
        Settings of the training.

    Returns
    -------
    dict of str to int, float, str or None
        Settings, and hashes of data.
    """
    solver = asdict(settings.solver)
    del solver["mode"]  # changes no weight
    seed = solver.pop("seed")
    run = {NAMES.get(name, name): value for name, value in solver.items()}
    run["random_state"] = content_key(str(seed))
    for name in ("negative_sampling", "cost_sensitive", "relevance_norm"):
        run[name] = getattr(settings, name)
    if settings.negative_sampling == "hard":
        run["n_hard_clusters"] = settings.n_hard_clusters
    elif settings.negative_sampling != "tfn":
        rule = post_processor_of(settings.post_processor)
        run["post_processor"], run["path_weight"] = rule.name, rule.path_weight
        run["beam_size"] = settings.beam_size
    if settings.cost_sensitive == "propensity":
        run["propensities"] = content_key(settings.propensities)
    run["X"] = content_key(data.X.sparse, data.X.dense)
    run["y"] = content_key(data.Y)
    for name in ("sample_weight", "relevance", "negatives"):
        part = getattr(data, name)
        run[name] = None if part is None else content_key(part)
    run["label tree"] = content_key([*tree.offsets], tree.label_order)
    run["version of sklearn_xmr"] = _version.__version__
    run["format of the weights"] = FORMAT
    return {name: plain_value(value) for name, value in run.items()}


def plain_value(value):
    """A setting as JSON holds it: infinity as its name.

    Parameters
    ----------
    value : int, float, str or None
        Of Python or NumPy.

    Returns
    -------
    int, float, str or None
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not isfinite(value):
        return repr(value)
    return value


class LevelCheckpoints:
    """The trained levels of one training, in a folder.

    Parameters
    ----------
    folder : path-like
        It is made where it is missing.
    run : dict
        What the levels depend on, see :func:`description`.

    Raises
    ------
    ValueError
        If the folder holds another training's levels, or a damaged file.
    OSError
        If nothing can be written into the folder: before any work is done.
    """

    def __init__(self, folder, run):
        self.folder, self.run = Path(folder), run
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._open(RUN) is None:
            self._write(RUN, {}, [])

    def load(self, level):
        """Load a level, if it has been trained.

        Parameters
        ----------
        level : int
            Its number, from 0 at the root.

        Returns
        -------
        weights : ChunkedWeights
            Weights of the level.
        n_iter : ndarray of int32 of shape (n_blocks,)
            Iterations of its blocks; instead of both, None for an unknown level.

        Raises
        ------
        ValueError
            If the file is of another training, or damaged.
        """
        name = _file_of(level)
        file = self._open(name)
        if file is None:
            return None
        try:
            return _unpacked(file)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(name, error) from error

    def save(self, level, weights, n_iter):
        """Keep a trained level.

        Parameters
        ----------
        level : int
            Its number.
        weights : ChunkedWeights
            Weights of the level.
        n_iter : ndarray of int32 of shape (n_blocks,)
            Iterations of its blocks.

        Raises
        ------
        OSError
            If it cannot be written; the levels before it stay.
        """
        self._write(_file_of(level), *_packed(weights, n_iter))

    def _write(self, name, header, arrays):
        header = {"package": "sklearn_xmr", "run": self.run, **header}
        write_array_file(self.folder / name, header, arrays)

    def _open(self, name):
        """A checked file of this training, or None where there is none."""
        path = self.folder / name
        if not path.exists():
            return None
        try:
            file = ArrayFile(path)
            file.verify()
            kept = dict(file.header["run"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(name, error) from error
        if kept != self.run:
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} holds the levels of another fit "
                f"({name}), which differs in {differences(kept, self.run)}: give a "
                "folder of its own, or delete that one to start from the beginning"
            )
        return file

    def _unreadable(self, name, error):
        return ValueError(
            f"checkpoint_dir={str(self.folder)!r} holds a {name} that cannot be read: "
            f"delete this file, and what it held is made again ({error})"
        )


def _file_of(level):
    return f"level_{level + 1}.xmr"


def _packed(weights, n_iter):
    """Header and arrays of a level's file."""
    arrays = {**weights.arrays(), "n_iter": n_iter}
    header = {name: getattr(weights, name) for name in SCALARS}
    header["names"] = list(arrays)
    return header, list(arrays.values())


def _unpacked(file):
    """Weights and iterations of a level's file, in memory."""
    names = file.header["names"]
    arrays = {name: file.array(i).copy() for i, name in enumerate(names)}
    n_iter = arrays.pop("n_iter")
    if arrays.keys() | set(SCALARS) != {f.name for f in fields(ChunkedWeights)}:
        raise ValueError("it holds no weights of a level")
    scalars = {name: file.header[name] for name in SCALARS}
    return ChunkedWeights(**arrays, **scalars), n_iter


def differences(kept, run):
    """Names of what differs between two descriptions, with short values (str)."""
    names = [n for n in {**kept, **run} if kept.get(n) != run.get(n)]
    return ", ".join(_difference(n, kept.get(n), run.get(n)) for n in names)


def _difference(name, there, here):
    is_hash = any(isinstance(v, str) and len(v) == 32 for v in (there, here))
    return name if is_hash else f"{name} ({there!r} there, {here!r} here)"
