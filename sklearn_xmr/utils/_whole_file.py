"""Files that are written whole or not at all."""

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path

_PIECE = 1 << 20  # bytes that are written at once


@contextmanager
def whole_file(path):
    """Open a file for writing that takes its name when it is complete.

    It is written beside its place, flushed to the disk and renamed: whenever the
    process ends or the power fails, the name leads to the old file or to the new one,
    whole. Who has the old file open or mapped goes on reading it.

    Parameters
    ----------
    path : path-like
        Where the file shall be. A symbolic link stays, and its target is replaced.

    Yields
    ------
    file object
        Binary, for writing, and for mapping after :func:`reserve`.

    Raises
    ------
    OSError
        If it cannot be written; the error names the path, what was there stays.
    """
    path = Path(os.path.realpath(path))
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(unfinished, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        _flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def reserve(file, n_bytes):
    """Take room on the disk behind what has been written, for a mapping of the file.

    A disk that is full when mapped pages are written ends the process (SIGBUS): it has
    to be found out before.

    Parameters
    ----------
    file : file object
        Binary, for writing.
    n_bytes : int
        How much room.

    Raises
    ------
    OSError
        If there is not so much.
    """
    file.flush()
    if hasattr(os, "posix_fallocate") and n_bytes:
        os.posix_fallocate(file.fileno(), file.tell(), n_bytes)
        return
    for first in range(0, n_bytes, _PIECE):
        file.write(bytes(min(_PIECE, n_bytes - first)))
    file.flush()


def _flush_folder(folder):
    """Flush a folder's names to the disk, where the system can."""
    with suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
