"""Split off instances on which to train what uses the predictions of models."""

from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import KFold

from sklearn_xmr.utils._sklearn import Interval

FEWEST, MOST = 1000, 10_000

# Constraint of the parameter of that name.
VALIDATION_SIZE = [
    Interval(Integral, 1, None, closed="left"),
    Interval(Real, 0, 1, closed="neither"),
    None,
]


def held_out_split(n_samples, size, rng, name="validation_size"):
    """Split rows into rows to train on and rows held out.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    size : int, float or None
        Number or share of rows to hold out. None means a tenth, but at least 1,000 and
        at most 10,000, and never more than a third.
    rng : RandomState
        Random state of the split.
    name : str, default="validation_size"
        Name of the size in errors.

    Returns
    -------
    rest, held_out : ndarray of int
        Rows to train on and rows held out, ascending.

    Raises
    ------
    ValueError
        If one of them would be empty.
    """
    if size is None:
        size = int(min(np.clip(n_samples // 10, FEWEST, MOST), n_samples // 3))
    n_held_out = held_out_size(n_samples, size, name)
    order = rng.permutation(n_samples)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def held_out_size(n_samples, size, name):
    """Number of rows held out; ValueError if that is none or all of them."""
    n_held_out = round(size * n_samples) if 0 < size < 1 else size
    if not (isinstance(n_held_out, Integral) and 1 <= n_held_out < n_samples):
        raise ValueError(
            f"{name} must leave instances on both sides, got {size!r} for "
            f"{n_samples} samples"
        )
    return n_held_out


def held_out_splits(n_samples, size, n_folds, rng):
    """Split rows once, or into folds of which each is held out once.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    size : int, float or None
        Number or share of rows to hold out in a single split.
    n_folds : int or None
        Number of folds; None for a single split.
    rng : RandomState
        Random state of the splits.

    Returns
    -------
    list of (rest, held_out)
        Rows to train on and rows held out, for each split.

    Raises
    ------
    ValueError
        If there are more folds than rows, or a side of the split would be empty.
    """
    if n_folds is None:
        return [held_out_split(n_samples, size, rng)]
    if n_folds > n_samples:
        raise ValueError(
            f"cv must be at most the number of samples, {n_samples}, got {n_folds}"
        )
    folds = KFold(n_folds, shuffle=True, random_state=rng)
    return list(folds.split(np.empty(n_samples)))
