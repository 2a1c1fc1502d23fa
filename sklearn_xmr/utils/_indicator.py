"""Label indicators in the form that all loaders return."""

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
