"""Split off instances on which to train what uses the predictions of models."""

from numbers import Integral, Real

import numpy as np
from sklearn.model_selection import KFold, check_cv

from sklearn_xmr.utils._sklearn import Interval, num_samples

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


def splits_for(data, size, cv, rng, X, y, sample_weight):
    """Split the instances of a fit once, into folds, or as a user's ``cv`` says.

    Parameters
    ----------
    data : TrainingData
        The instances of positive weight, which int and None split.
    size : int, float or None
        Number or share of instances to hold out in a single split.
    cv : int, splitter, iterable or None
        Number of folds; what splits all given instances; or None for a single split.
    rng : RandomState
        Random state of a single split or of folds.
    X, y, sample_weight : array-like
        All instances, as ``fit`` got them.

    Returns
    -------
    list of (rest, held_out)
        Rows of ``data`` to train on and rows held out, for each split.

    Raises
    ------
    ValueError
        If ``cv`` or ``size`` does not suit the instances.
    """
    if cv is None or isinstance(cv, Integral):
        return held_out_splits(data.n_samples, size, cv, rng)
    splits = partition(cv, X, y)
    if data.n_samples == num_samples(X):
        return splits
    return _among(splits, np.asarray(sample_weight, dtype=np.float32) > 0)


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
            f"cv must be at most the number of samples, got {n_folds} folds for "
            f"n_samples={n_samples}"
        )
    folds = KFold(n_folds, shuffle=True, random_state=rng)
    return list(folds.split(np.empty(n_samples)))


def partition(cv, X, y):
    """Split all rows so that each is held out once.

    Parameters
    ----------
    cv : int, splitter, iterable of (train, test) or None
        As scikit-learn's cross-validation takes it.
    X : array-like, sparse matrix or list of str
        Instances.
    y : {array-like, sparse matrix}
        Their targets.

    Returns
    -------
    list of (rest, held_out)
        Rows to train on and rows held out, for each split.

    Raises
    ------
    ValueError
        If ``cv`` cannot split the rows, trains on rows that it holds out, or holds a
        row out never or twice.
    """
    n_samples = num_samples(X)
    try:
        splits = list(check_cv(cv).split(X, y))
        splits = [_checked_split(*split, n_samples) for split in splits]
    except (TypeError, ValueError) as error:
        why = f"cv does not split the {n_samples} samples: {error}"
        if "groups" in str(error):
            why += " Give its splits instead: cv.split(X, groups=groups)"
        raise ValueError(why) from error
    held_out = np.concatenate([np.empty(0, dtype=int)] + [test for _, test in splits])
    times = np.bincount(held_out, minlength=n_samples)
    if (times != 1).any():
        raise ValueError(
            f"cv must hold out each of the {n_samples} samples exactly once, but "
            f"{_told(times == 0)} never held out and {_told(times > 1)} more than once"
        )
    return splits


def _told(rows):
    """How many rows there are, and the first."""
    such = f" (such as row {rows.argmax()})" if rows.any() else ""
    return f"{rows.sum()}{such} are"


def _checked_split(train, test, n_samples):
    """The rows of a split, of which none is on both sides."""
    train, test = (_numbers(rows, n_samples) for rows in (train, test))
    if not len(train) or not len(test):
        raise ValueError(
            f"a split has {len(train)} rows to train on and {len(test)} held out"
        )
    both = np.intersect1d(train, test)
    if len(both):
        raise ValueError(f"a split trains on rows that it holds out, such as {both[0]}")
    return train, test


def _numbers(rows, n_samples):
    """Numbers of rows, given as such or as a mask."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_samples,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise ValueError(
            f"rows must be numbers or a mask of shape ({n_samples},), got an array of "
            f"{rows.dtype} of shape {rows.shape}"
        )
    if rows.size and not 0 <= rows.min() <= rows.max() < n_samples:
        raise ValueError(
            f"rows must lie in 0 to {n_samples - 1}, found {rows.min()} to {rows.max()}"
        )
    return rows.astype(int, copy=False)


def _among(splits, kept):
    """The splits of the rows that are kept (a mask), numbered among these."""
    number = np.cumsum(kept) - 1
    left = [tuple(number[part[kept[part]]] for part in split) for split in splits]
    left = [split for split in left if len(split[1])]
    if not all(len(train) for train, _ in left):
        raise ValueError("cv leaves no instance of positive weight to train on")
    return left
