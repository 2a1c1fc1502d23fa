"""How long the rows of X typically are: the unit of what a weight contributes."""

import numpy as np

from sklearn_xmr.preprocessing import HybridFeatures

# Rows that were scaled to unit length differ from it by rounding.
ROUNDING = 1e-3
SMALLEST = np.finfo(np.float32).tiny


def typical_row_length(X, sample_weight=None):
    """Median length of the rows of sparse features that are not empty.

    A weight contributes to a margin what it is times a feature's value. Where all
    features are c times as large, as pixels of 0 to 255 are beside those of 0 to 1,
    weights are c times smaller for the same margins; times this length they are the
    same.

    Parameters
    ----------
    X : HybridFeatures of shape (n_samples, n_features)
        Instances.
    sample_weight : ndarray of float32 of shape (n_samples,), default=None
        Weights of the instances: one of weight 2 counts as two.

    Returns
    -------
    float
        1.0 for rows scaled to unit length, or without sparse features.
    """
    filled = np.flatnonzero(np.diff(X.sparse.indptr))
    if len(filled) == 0:
        return 1.0
    with np.errstate(over="ignore"):  # the solver refuses such numbers
        lengths = np.sqrt(HybridFeatures.of_blocks(X.sparse).squared_norms()[filled])
    length = _median(lengths, None if sample_weight is None else sample_weight[filled])
    return 1.0 if abs(length - 1) < ROUNDING else max(length, float(SMALLEST))


def _median(values, weights):
    """The smallest value that half of the weight does not exceed."""
    if weights is None:
        middle = (len(values) - 1) // 2
        return float(np.partition(values, middle)[middle])
    order = np.argsort(values)
    below = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
