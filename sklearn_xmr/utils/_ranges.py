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
