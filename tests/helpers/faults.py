"""Faults at any place: exceptions inside the package, limits of the system."""

import ctypes
import multiprocessing
import os
import sys
import tempfile
from contextlib import contextmanager
from inspect import CO_GENERATOR
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
        code = frame.f_code
        # Generators are entered once more when they are thrown away: nobody hears that.
        is_plain = not code.co_flags & CO_GENERATOR
        if event == "call" and is_plain and code.co_filename.startswith(PACKAGE):
            calls[0] += 1
            if calls[0] == number:
                raise Fault(
                    f"at {code.co_qualname}" if sys.version_info >= (3, 11) else "here"
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        _heed_modes(True)
        try:
            yield folder
        finally:
            _heed_modes(False)
            folder.chmod(0o755)


def _heed_modes(heed):
    """Whether this thread of root heeds modes of files: it may drop CAP_DAC_OVERRIDE.

    It stays root, for another user might not be able to read the package.
    """
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of capabilities, itself
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low, then high
    override = 1 << 1
    if libc.capget(header, sets) or not sets[1] & override:
        pytest.skip("root without the capability to read or write all files")
    sets[0] = sets[0] & ~override if heed else sets[0] | override
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
