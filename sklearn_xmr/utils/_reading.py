"""Errors of files that other packages read: they name the file, and are as promised."""

from contextlib import contextmanager


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
    except ImportError:
        raise  # of a package that is not installed
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        if isinstance(error, kind) and str(path) in str(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise kind(f"{path} cannot be read as {what} ({reason}){advice}") from error
