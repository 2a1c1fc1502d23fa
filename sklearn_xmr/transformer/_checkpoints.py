"""State of a training run on disk, so that a killed run resumes where it was."""

from pathlib import Path

import torch

from sklearn_xmr.utils._whole_file import whole_file

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
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=False)
            fingerprint = state["fingerprint"]
        except Exception as error:  # damaged pickles raise errors of any class
            raise ValueError(
                f"checkpoint_dir={str(self.path.parent)!r} holds a {FILE} that cannot "
                f"be read: delete it to start from the beginning ({error})"
            ) from error
        if fingerprint != self.fingerprint:
            raise ValueError(
                f"checkpoint_dir={str(self.path.parent)!r} holds the state of another "
                "run (other texts, labels or parameters): give a folder of its own, or "
                f"delete {FILE} there"
            )
        return state

    def save(self, **state):
        """Replace the state in one go: a kill leaves the one before."""
        if self.path is None or not self.is_writer:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as file:
            torch.save({"fingerprint": self.fingerprint, **state}, file)
