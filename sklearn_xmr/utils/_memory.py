"""How much memory may still be taken, and early errors where results need more.

Linux grants memory that it does not have, and ends the process when it is written to.
Large dense results are therefore compared with what is free before any work.
"""

import os
from contextlib import suppress
from itertools import pairwise
from math import prod
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

FEW_BYTES = 1 << 26  # not worth a look: it takes 0.1 ms


def check_memory(what, shape, axes, instead, n_bytes=4):
    """Raise an error where a result would not fit into memory.

    Parameters
    ----------
    what : str
        The result, for the error.
    shape : tuple of int
        Its shape.
    axes : tuple of str
        What each axis counts, in the plural.
    instead : str
        What to do, for the error.
    n_bytes : int, default=4
        Bytes of each entry, copies on the way counted.

    Raises
    ------
    MemoryError
        If fewer bytes are free.
    """
    needed = n_bytes * prod(shape)
    if needed < FEW_BYTES:
        return
    free = available_bytes()
    if free is None or needed <= free:
        return
    size = " x ".join(f"{n:,} {name}" for n, name in zip(shape, axes, strict=True))
    raise MemoryError(
        f"{what} would need about {_readable(needed)} ({size}, {n_bytes} bytes each), "
        f"but {_readable(free)} of memory are free: {instead}"
    )


def check_ranking_memory(n_rows, k, n_bytes):
    """MemoryError where the k best labels of each row would not fit into memory.

    Parameters
    ----------
    n_rows, k : int
        Size of the ranking.
    n_bytes : int
        Bytes of a label and its score, copies on the way counted.
    """
    instead = "ask for a smaller k, or rank fewer instances at a time"
    check_memory("the ranking", (n_rows, k), ("instances", "labels"), instead, n_bytes)


def number_of_rows(X):
    """Rows of what may be instances (int), before they are checked; 0 if unknown."""
    X = X[0] if isinstance(X, tuple) and X else X
    shape = getattr(X, "shape", None)
    if shape:
        return shape[0]
    return len(X) if hasattr(X, "__len__") and shape is None else 0


def available_bytes(root="/"):
    """How much memory this process may still take.

    Parameters
    ----------
    root : path-like, default="/"
        Where the system's files are, for tests.

    Returns
    -------
    int or None
        The least of what the machine has, and the limits of the process and of its
        containers leave; None where the system does not say.
    """
    root = Path(root)
    found = [_of_address_space(root), _of_machine(root), *_of_groups(root)]
    known = [max(free, 0) for free in found if free is not None]
    return min(known, default=None)


def _of_address_space(root):
    if resource is None or not hasattr(resource, "RLIMIT_AS"):
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    words = _words(root / "proc/self/statm")
    mapped = int(words[0]) * os.sysconf("SC_PAGE_SIZE") if words else 0
    return limit - mapped


def _of_machine(root):
    """Free memory, what files in memory can make free, and free swap."""
    words = _words(root / "proc/meminfo")
    sizes = dict(pairwise(words))
    if "MemAvailable:" not in sizes:
        return None
    return 1024 * (int(sizes["MemAvailable:"]) + int(sizes.get("SwapFree:", 0)))


def _of_groups(root):
    """What each control group of the process, and those around it, leave."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, kinds, name = line.split(":", 2)
        if number == "0":
            top, files = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            top = root / "sys/fs/cgroup/memory"
            files = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = top / name.strip("/")
        around = [folder for folder in group.parents if folder.is_relative_to(top)]
        yield from (_of_group(folder, *files) for folder in (group, *around))


def _of_group(folder, limit, usage):
    limit, usage = _words(folder / limit), _words(folder / usage)
    if not limit or not usage or limit[0] == "max":
        return None
    words = _words(folder / "memory.stat")
    stat = dict(pairwise(words))
    of_files = ("inactive_file", "active_file")  # given up when memory is short
    return int(limit[0]) - int(usage[0]) + sum(int(stat.get(n, 0)) for n in of_files)


def _words(path):
    return _text(path).split()


def _text(path):
    """What a file of the system says; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        return path.read_text()
    return ""


def _readable(n_bytes):
    *smaller, largest = ("bytes", "kB", "MB", "GB", "TB")
    for unit in smaller:
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.0f} {largest}"
