"""Label indicators in the form that all loaders return; labels by frequency."""

import numpy as np
from scipy import sparse


def label_indicator(labels, indptr, shape):
    """Make a label indicator from lists of labels.

    Values are int64, as in scikit-learn's own multilabel data: sums and products of
    indicators do not overflow.

    Parameters
    ----------
    labels : ndarray of int
        Labels of the first sample, then those of the second, and so on.
    indptr : ndarray of int of shape (n_samples + 1,)
        Where the labels of each sample begin; the last entry is their number.
    shape : (n_samples, n_labels)
        Shape of the indicator.

    Returns
    -------
    csr_matrix of int64 of shape (n_samples, n_labels)
        Canonical matrix of ones, even if a sample has a label twice.
    """
    ones = np.ones(len(labels), dtype=np.int64)
    Y = sparse.csr_matrix((ones, labels, indptr), shape=shape)
    Y.sum_duplicates()
    Y.data[:] = 1
    return Y


def one_hot(codes, n_classes):
    """Make the indicator of one class for each sample.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Numbers of the classes.
    n_classes : int

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_classes)
    """
    n = len(codes)
    ones = np.ones(n, dtype=np.float32)
    return sparse.csr_matrix((ones, codes, np.arange(n + 1)), shape=(n, n_classes))


def one_hot_of_known(y, known):
    """Make the indicator of one class for each sample, of which some are new.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Classes.
    known : ndarray of shape (n_known,)
        Those of the first columns, in any order.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The known ones, and the others behind them.
    Y : csr_matrix of float32 of shape (n_samples, n_classes)
    """
    classes = np.concatenate([known, np.setdiff1d(y, known)])
    order = np.argsort(classes)
    codes = order[np.searchsorted(classes, y, sorter=order)]
    return classes, one_hot(codes, len(classes))


def frequency_groups(counts, bounds, name="bounds"):
    """Group labels by how frequent they are.

    Parameters
    ----------
    counts : ndarray of shape (n_labels,)
        Number of training instances of each label.
    bounds : sequence of int
        Numbers of training instances between the groups, ascending.
    name : str, default="bounds"
        Name of the bounds in errors.

    Returns
    -------
    ndarray of int of shape (n_labels,)
        Group of each label, 0 for counts below the first bound.

    Raises
    ------
    ValueError
        If ``bounds`` is not a list of positive numbers in ascending order.
    """
    edges = np.asarray(bounds)
    is_list = edges.ndim == 1 and len(edges) > 0 and edges.dtype.kind in "iuf"
    if not is_list or edges[0] <= 0 or (np.diff(edges) <= 0).any():
        raise ValueError(
            f"{name} must be a list of positive numbers in ascending order, got "
            f"{bounds!r}"
        )
    return np.searchsorted(edges, counts, side="right")
