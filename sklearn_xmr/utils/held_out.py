"""Instances held out of training, to learn what comes after the models."""

from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import KFold
from sklearn.utils._param_validation import Interval

FEWEST, MOST = 1000, 10_000

# Constraint of the parameter of that name.
VALIDATION_SIZE = [
    Interval(Integral, 1, None, closed="left"),
    Interval(Real, 0, 1, closed="neither"),
    None,
]


def held_out_split(n_samples, size, rng, name="validation_size"):
    """Rows to train on, and rows held out.

    Parameters
    ----------
    n_samples : int
    size : int, float or None
        Number or share held out. None: a tenth, but at least 1,000 and at most 10,000,
        and never more than a third.
    rng : RandomState
    name : str
        What errors call the size.

    Returns
    -------
    rest, held_out : ndarray of int
        Ascending.
    """
    if size is None:
        size = int(min(np.clip(n_samples // 10, FEWEST, MOST), n_samples // 3))
    n_held_out = held_out_size(n_samples, size, name)
    order = rng.permutation(n_samples)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def held_out_size(n_samples, size, name):
    """Number of rows held out; ValueError unless some stay on both sides."""
    n_held_out = round(size * n_samples) if 0 < size < 1 else size
    if not (isinstance(n_held_out, Integral) and 1 <= n_held_out < n_samples):
        raise ValueError(
            f"{name} must leave instances on both sides, got {size!r} for "
            f"{n_samples} samples"
        )
    return n_held_out


def held_out_splits(n_samples, size, n_folds, rng):
    """Splits as of :func:`held_out_split`: one, or each fold held out once.

    Parameters
    ----------
    n_samples : int
    size : int, float or None
        For one split.
    n_folds : int or None
        None for one split.
    rng : RandomState

    Returns
    -------
    list of (rest, held_out)
    """
    if n_folds is None:
        return [held_out_split(n_samples, size, rng)]
    if n_folds > n_samples:
        raise ValueError(
            f"cv must be at most the number of samples, {n_samples}, got {n_folds}"
        )
    folds = KFold(n_folds, shuffle=True, random_state=rng)
    return list(folds.split(np.empty(n_samples)))
