"""Embeddings and fine-tuned weights kept by content: a search encodes a text once.

Keys are hashes of everything that a result depends on. Without a folder the latest
results stay in memory, up to a gigabyte in all; with a folder they are files that any
process uses, and embeddings are memory-mapped.
"""

from collections import OrderedDict
from math import prod
from pathlib import Path
from threading import Lock

import numpy as np

from sklearn_xmr.transformer._tokens import TokenizedTexts
from sklearn_xmr.transformer._torch import import_torch, load_tensors, save_tensors
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._whole_file import reserve, whole_file

MOST_BYTES = 2**30

_kept: OrderedDict = OrderedDict()
_lock = Lock()


def cached_array(folder, key, shape, fill):
    """A float32 array that ``fill(out)`` makes, or the one made before.

    Parameters
    ----------
    folder : path-like or None
        Where files are kept; None for memory.
    key : str
        Hash of what the array depends on.
    shape : tuple of int
        Of the array.
    fill : callable
        Writes all of its argument.

    Returns
    -------
    ndarray
        Read-only; memory-mapped from the folder if there is one.
    """
    if folder is None:

        def make():
            instead = "give a cache_dir, where they are mapped from the disk"
            check_memory("the embeddings", shape, ("texts", "dimensions"), instead)
            out = np.zeros(shape, dtype=np.float32)
            fill(out)
            out.setflags(write=False)
            return out

        return _remember(key, make, lambda array: array.nbytes)
    path = Path(folder) / f"{key}.npy"
    kept = _read(path, lambda: np.load(path, mmap_mode="r"))
    if kept is not None and kept.shape == shape and kept.dtype == np.float32:
        return kept
    Path(folder).mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        out = _mapped(file, shape)
        fill(out)
        out.flush()
        del out
    return np.load(path, mmap_mode="r")


def _mapped(file, shape):
    """A float32 array to fill in a file, as np.save would write it."""
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    start = file.tell()
    reserve(file, 4 * prod(shape))
    return np.memmap(file, np.float32, "r+", start, shape)


def cached_tokens(folder, key, make, n_texts):
    """Tokens that ``make(path)`` returns, or those made before.

    Parameters
    ----------
    folder : path-like or None
        Where files are kept; None for memory.
    key : str
        Hash of what the tokens depend on.
    make : callable
        Takes a path to write token numbers to, or None.
    n_texts : int
        Number of texts.

    Returns
    -------
    TokenizedTexts
        Memory-mapped from the folder if there is one.
    """
    if folder is None:
        return _remember(key, lambda: make(None), lambda t: t.ids.nbytes)
    ids, offsets = (Path(folder) / f"{key}.{name}" for name in ("ids", "offsets.npy"))
    kept = _read(offsets, lambda: TokenizedTexts.load(ids, np.load(offsets)))
    if kept is not None and kept.is_whole(n_texts):
        return kept
    Path(folder).mkdir(parents=True, exist_ok=True)
    tokens = make(ids)
    with whole_file(offsets) as file:
        np.save(file, tokens.offsets)
    return TokenizedTexts.load(ids, tokens.offsets)


def cached_training(folder, key, make):
    """What a training that ``make()`` runs gives, or the same training gave before.

    Parameters
    ----------
    folder : path-like or None
        Where files are kept; None for memory.
    key : str
        Hash of what the training depends on.
    make : callable
        Returns weights (dict of tensor) and history (list of dict).

    Returns
    -------
    weights : dict of tensor
        On the CPU.
    history : list of dict
        Losses and metrics.
    """
    if folder is None:
        return _remember(
            key, make, lambda made: sum(t.nbytes for t in made[0].values())
        )
    path = Path(folder) / f"{key}.pt"
    kept = _read(path, lambda: load_tensors(path))
    if _is_training(kept):
        return kept
    made = make()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_tensors(made, path)
    return load_tensors(path)


def _read(path, load):
    """What a file holds; None where there is none, or one that cannot be read.

    A full disk or a cut copy leaves such files: they are made again.
    """
    if not path.exists():
        return None
    try:
        return load()
    except Exception:  # noqa: BLE001 - damaged files raise errors of any class
        return None


def _is_training(kept):
    """Whether this is what `cached_training` keeps."""
    torch, _ = import_torch()
    return (
        isinstance(kept, tuple)
        and len(kept) == 2
        and isinstance(kept[0], dict)
        and isinstance(kept[1], list)
        and all(isinstance(weight, torch.Tensor) for weight in kept[0].values())
    )


def clear_cache():
    """Forget what is kept in memory."""
    with _lock:
        _kept.clear()


def _remember(key, make, size):
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key][0]
    made = make()
    with _lock:
        _kept[key] = made, size(made)
        while sum(n for _, n in _kept.values()) > MOST_BYTES and len(_kept) > 1:
            _kept.popitem(last=False)
    return made
