"""Consecutive ranges of numbers, as CSR matrices and trees store them."""

import numpy as np


def ranges(starts, counts):
    """Count up from each start: ``[2, 9], [3, 2]`` gives ``[2, 3, 4, 9, 10]``."""
    starts, counts = np.asarray(starts), np.asarray(counts)
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def ascend(values):
    """Whether no number is smaller than the one before, however large they are.

    Differences would not tell: from the largest integer to the smallest they wrap
    around to 1.
    """
    return bool((values[1:] >= values[:-1]).all())


def pointers(counts):
    """Start of each of consecutive ranges of these sizes, and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def row_blocks(indptr, n_values):
    """Cut the rows of a CSR matrix into blocks of about so many stored values.

    Parameters
    ----------
    indptr : ndarray of int of shape (n_rows + 1,)
        First value of each row, and the number of values.
    n_values : int
        Largest number of values of a block that has more than one row.

    Yields
    ------
    first, last : int
        First row of a block, and the row after its last.
    """
    first, n_rows = 0, len(indptr) - 1
    while first < n_rows:
        end = np.searchsorted(indptr, indptr[first] + n_values, side="right")
        last = int(min(max(end - 1, first + 1), n_rows))
        yield first, last
        first = last
