"""Faults at any place: exceptions inside the package, limits of the system."""

import multiprocessing
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

import sklearn_xmr

PACKAGE = str(Path(sklearn_xmr.__file__).parent)


class Fault(Exception):
    """Raised at the chosen place; no code of the package catches it."""


@contextmanager
def fault_at_call(number):
    """Raise :class:`Fault` when the n-th Python function of the package is entered.

    Parameters
    ----------
    number : int or None
        None counts only.

    Yields
    ------
    list of int
        One number: calls so far.
    """
    calls = [0]

    def enter(frame, event, arg):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[0] += 1
            if calls[0] == number:
                raise Fault(
                    f"at {frame.f_code.co_qualname}"
                    if sys.version_info >= (3, 11)
                    else "here"
                )

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield calls
    finally:
        sys.settrace(before)


# --- the system ----------------------------------------------------------------------

of_unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and limits")


def forked(function):
    """What a function returns, or the exception that it raises, in a forked child.

    Parameters
    ----------
    function : callable
        Without arguments; it may kill its process.

    Returns
    -------
    object
        What it returned or raised; minus the number of the signal that killed it.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def run():
        try:
            found = function()
        except Exception as error:  # noqa: BLE001  the parent looks at it
            found = error
        theirs.send(found)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        child.join()
        found = child.exitcode
    child.join()
    return found


@contextmanager
def full_disk(n_bytes):
    """No file grows beyond so many bytes: as on a full disk, but for the number."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only_folder():
    """A folder into which nobody may write, root neither."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
