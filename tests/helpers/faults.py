"""Faults at any place: an exception on the n-th call inside the package."""

import sys
from contextlib import contextmanager
from pathlib import Path

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
