"""Files that are written whole or not at all."""

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path


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
        Binary, for writing.

    Raises
    ------
    OSError
        If it cannot be written; the error names the path, what was there stays.
    """
    path = Path(os.path.realpath(path))
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        _flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def _flush_folder(folder):
    """Flush a folder's names to the disk, where the system can."""
    with suppress(OSError):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
