"""One process, or several that share the work of each step through accelerate."""

import os

import numpy as np
import torch


def launched_processes(device):
    """The processes that this one belongs to, by the environment of its launcher.

    Parameters
    ----------
    device : torch.device
        Where to compute.

    Returns
    -------
    OneProcess
        Or :class:`ManyProcesses` where WORLD_SIZE, which ``accelerate launch`` and
        torchrun set, is above 1.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return ManyProcesses(device)
    return OneProcess(device)


class OneProcess:
    """Everything is done here.

    Parameters
    ----------
    device : torch.device
        Where to compute.

    Attributes
    ----------
    rank, size : int
        Number of this process, and number of all.
    device : torch.device
        Where this process computes.
    """

    rank, size = 0, 1

    def __init__(self, device):
        self.device = device

    def share(self, rows):
        """The rows that this process works on (ndarray)."""
        return rows[self.rank :: self.size]

    def sum(self, tensors):
        """Sum tensors over all processes, in place."""

    def collect(self, array):
        """Add up an array whose rows each process has filled in part (ndarray)."""
        return array


class ManyProcesses(OneProcess):
    """Processes that were launched together; all hold the same data and model.

    Parameters
    ----------
    device : torch.device
        Its type; each process gets its own of that type.
    """

    def __init__(self, device):
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ImportError(
                "several processes (WORLD_SIZE is above 1) need the package "
                "accelerate: pip install 'sklearn-xmr[transformer]'"
            ) from error
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        self.rank = self._accelerator.process_index
        self.size = self._accelerator.num_processes
        super().__init__(self._accelerator.device)

    def sum(self, tensors):
        """Sum tensors over all processes, in place."""
        for tensor in tensors:
            tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))

    def collect(self, array):
        """Add up an array whose rows each process has filled in part (ndarray)."""
        total = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        return self._accelerator.reduce(total, reduction="sum").cpu().numpy()
