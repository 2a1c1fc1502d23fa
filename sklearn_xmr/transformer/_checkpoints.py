"""State of a training run on disk, so that a killed run resumes where it was.

It is read without running code: tensors, numbers, strings and what holds them.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.transformer._torch import load_tensors, save_tensors
from sklearn_xmr.utils._matrices import checked_csr

FILE = "training.pt"


class Checkpoints:
    """The latest state of one run in a folder; does nothing without a folder.

    Parameters
    ----------
    folder : path-like or None
        Where the state is kept.
    fingerprint : str
        Hash of data and parameters: a state of another run is refused.
    is_writer : bool
        Whether this process writes; all processes read.
    """

    def __init__(self, folder, fingerprint, is_writer=True):
        self.path = None if folder is None else Path(folder) / FILE
        self.fingerprint, self.is_writer = fingerprint, is_writer

    def load(self):
        """The state (dict), or None where there is none.

        Raises
        ------
        ValueError
            If the folder holds another run's state, or a damaged one.
        """
        if self.path is None or not self.path.exists():
            return None
        with self.reading():
            state = load_tensors(self.path)
            is_own = state["fingerprint"] == self.fingerprint
            if is_own:
                state["tree"] = _tree_of(state["tree"])
                state["matched"] = _matrix_of(state["matched"])
        if not is_own:
            raise ValueError(
                f"checkpoint_dir={str(self.path.parent)!r} holds the state of another "
                "run (other texts, labels or parameters): give a folder of its own, or "
                f"delete {FILE} there"
            )
        return state

    @contextmanager
    def reading(self):
        """Raise a ValueError that names the folder for what a damaged state does."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # damaged pickles raise errors of any class
            raise ValueError(
                f"checkpoint_dir={str(self.path.parent)!r} holds a {FILE} that cannot "
                "be read: delete it to start from the beginning "
                f"({type(error).__name__}: {error})"
            ) from error

    def save(self, *, tree, matched, **state):
        """Replace the state in one go: a kill leaves the one before.

        Parameters
        ----------
        tree : LabelTree
            The tree whose levels are trained.
        matched : csr_matrix or None
            Nodes of each instance on the level above.
        **state
            Tensors, numbers, strings, and lists, tuples and dicts of these.
        """
        if self.path is None or not self.is_writer:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state["tree"] = _tensors([*tree.offsets, tree.label_order])
        state["matched"] = _parts_of(matched)
        save_tensors({"fingerprint": self.fingerprint, **state}, self.path)


def _tensors(arrays):
    return [torch.from_numpy(np.array(array)) for array in arrays]


def _tree_of(tensors):
    *offsets, order = (tensor.numpy() for tensor in tensors)
    return LabelTree(offsets, order)


def _parts_of(matrix):
    if matrix is None:
        return None
    arrays = matrix.data, matrix.indices, matrix.indptr
    return [*_tensors(arrays), list(matrix.shape)]


def _matrix_of(parts):
    if parts is None:
        return None
    *tensors, shape = parts
    arrays = tuple(tensor.numpy() for tensor in tensors)
    return checked_csr(sparse.csr_matrix(arrays, shape=tuple(shape)), "matched")


def whole_number(value, most):
    """An int from 0 to ``most`` of a state that was read; otherwise a ValueError."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r}, not a whole number from 0 to {most}")
    return value
