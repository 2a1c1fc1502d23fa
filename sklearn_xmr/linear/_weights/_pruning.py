"""Which weights of a level to keep: smaller models after training."""

import numpy as np

from sklearn_xmr.linear._constants import VALUE_TYPES


def prune_weights(weights, threshold, energy, max_per_node, dtype):
    """Drop the smallest weights of a level.

    Parameters
    ----------
    weights : ChunkedWeights
        Weights of the level.
    threshold : float
        Minimum absolute value of a weight.
    energy : float in (0, 1]
        Share of a node's sum of squares that its kept weights make.
    max_per_node : int or None
        Maximum number of weights of a node.
    dtype : {"float32", "float16", "int8"} or None
        How weights are stored; None means as before.

    Returns
    -------
    ChunkedWeights
        The weights that satisfy all limits.
    """
    keep = kept_weights(weights, threshold, energy, max_per_node)
    return weights.select(keep, dtype)


def kept_weights(weights, threshold=0.0, energy=1.0, max_per_node=None):
    """Which entries of a ChunkedWeights satisfy the limits (ndarray of bool)."""
    entries = weights.entries()
    size = np.abs(weights.weights(entries))
    keep = size >= threshold
    if energy == 1 and max_per_node is None:
        return keep
    node = weights.nodes(entries)
    order = np.lexsort((-size, node))
    first = np.searchsorted(node[order], np.arange(weights.n_nodes))
    rank = np.arange(len(order)) - first[node[order]]
    if max_per_node is not None:
        keep[order[rank >= max_per_node]] = False
    if energy < 1:
        squares = size[order].astype(np.float64) ** 2
        before = np.cumsum(squares) - squares
        before -= before[first[node[order]]]
        total = np.bincount(node, size.astype(np.float64) ** 2, weights.n_nodes)
        keep[order[before >= energy * total[node[order]]]] = False
    return keep


def check_limits(threshold, energy, max_weights_per_label, dtype):
    """ValueError unless the limits of ``prune`` are in their ranges."""
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold!r}")
    if not 0 < energy <= 1:
        raise ValueError(f"energy must be above 0 and at most 1, got {energy!r}")
    if max_weights_per_label is not None and not max_weights_per_label >= 1:
        raise ValueError(
            f"max_weights_per_label must be None or at least 1, got "
            f"{max_weights_per_label!r}"
        )
    if dtype is not None and dtype not in VALUE_TYPES:
        raise ValueError(f"dtype must be None or one of {VALUE_TYPES}, got {dtype!r}")
