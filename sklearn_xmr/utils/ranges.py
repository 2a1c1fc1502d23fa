"""Runs of numbers one after another, as CSR matrices and trees keep them."""

import numpy as np


def ranges(starts, counts):
    """Counting up from each start: ``[2, 9], [3, 2]`` gives ``[2, 3, 4, 9, 10]``."""
    starts, counts = np.asarray(starts), np.asarray(counts)
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def pointers(counts):
    """Where each of consecutive runs starts, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
