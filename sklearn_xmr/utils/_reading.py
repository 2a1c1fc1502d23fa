"""Errors of files that other packages read: they name the file, and are as promised."""

import zipfile
from contextlib import contextmanager

LEAST_ROOM, MOST_GROWTH = 1 << 30, 50  # bytes unpacked; times those of the archive


def most_unpacked(path):
    """Bytes that an archive may unpack to, so that none fills the memory or the disk.

    Parameters
    ----------
    path : Path
        The archive.

    Returns
    -------
    int
    """
    return max(LEAST_ROOM, MOST_GROWTH * path.stat().st_size)


def check_unpacked_size(path):
    """ValueError where a ZIP archive, as .npz is one, unpacks to too much.

    Parameters
    ----------
    path : Path
        The archive.

    Raises
    ------
    ValueError
        If its parts are larger than :func:`most_unpacked`.
    """
    with zipfile.ZipFile(path) as packed:
        n_bytes = sum(part.file_size for part in packed.infolist())
    if n_bytes > most_unpacked(path):
        raise ValueError(f"it unpacks to {n_bytes} bytes")


@contextmanager
def named_errors(path, kind, what, advice=""):
    """Within it, whatever reading raises is an error that names the file.

    Readers of ZIP, Parquet and NumPy files raise errors of a dozen classes on damaged
    files, most of which do not say which file it was.

    Parameters
    ----------
    path : path-like
        The file.
    kind : class of exception
        What errors of content become.
    what : str
        What the file should have been, as "a matrix".
    advice : str, default=""
        What to do about it; the end of the message.

    Raises
    ------
    kind
        If the content cannot be read.
    OSError
        If the system cannot read the file, or write beside it.
    """
    try:
        yield
    except (ImportError, MemoryError):
        raise  # of a package that is not installed, of a machine that is too small
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        if isinstance(error, kind) and str(path) in str(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise kind(f"{path} cannot be read as {what} ({reason}){advice}") from error
