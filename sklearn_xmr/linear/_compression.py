"""Smaller models: pruning after training, and a size estimate before it."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.linear._chunked_weights import VALUE_TYPES
from sklearn_xmr.linear._training import estimate_nbytes
from sklearn_xmr.linear._tree_search import TreeSearch
from sklearn_xmr.utils.hybrid import as_hybrid


class CompressionMixin:
    """Size of an estimator with ``weights_``: chosen, measured, estimated."""

    @property
    def nbytes_(self):
        """Size of the fitted model in memory and on disk, in bytes (int)."""
        check_is_fitted(self)
        levels = sum(weights.nbytes for weights in self.weights_)
        return levels + self.tree_.label_order.nbytes

    def prune(
        self, *, threshold=0.0, energy=1.0, max_weights_per_label=None, dtype=None
    ):
        """Drop weights of the fitted model, in place.

        A weight stays if it passes all the limits. Intercepts and the weights of dense
        features stay.

        Parameters
        ----------
        threshold : float, default=0.0
            Least absolute value.
        energy : float in (0, 1], default=1.0
            Each label (and node) keeps its largest weights until their squares make
            this share of the sum of all its squares.
        max_weights_per_label : int or None, default=None
            Most weights of a label, the largest ones. Nodes above the labels, which
            are few and need many weights, keep theirs.
        dtype : {"float32", "float16", "int8"}, default=None
            How weights are stored from now on; None leaves it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a limit is out of its range.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(weight_dtype="float32", random_state=0).fit(X, Y)
        >>> before = clf.nbytes_
        >>> clf.prune(energy=0.9, dtype="int8").nbytes_ < before / 2
        True
        """
        check_is_fitted(self)
        _check_limits(threshold, energy, max_weights_per_label, dtype)
        last = len(self.weights_) - 1
        pruned = []
        for level, weights in enumerate(self.weights_):
            most = max_weights_per_label if level == last else None
            keep = kept_weights(weights, threshold, energy, most)
            pruned.append(weights.select(keep, dtype))
        self.weights_ = pruned
        self._tree_search = TreeSearch(self.weights_, self.tree_.label_order)
        return self

    def estimate_model_size(self, X, y, *, share=0.1):
        """Size that the model would have after ``fit(X, y)``, in bytes.

        Builds the label tree and trains a random share of its nodes. The estimate is
        within about a tenth of the size for trees of some dozens of clusters.

        Parameters
        ----------
        X, y
            As in ``fit``.
        share : float in (0, 1], default=0.1
            Share of the nodes to train.

        Returns
        -------
        int
        """
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
        probe = clone(self)
        X, Y = probe._check_fit_data(X, y)
        rng = check_random_state(probe.random_state)
        probe.tree_ = probe._make_tree(X, Y, rng)
        problems = probe._level_problems(X, *probe._level_targets(Y, None))
        settings = probe._solver_settings(rng)
        size = estimate_nbytes(as_hybrid(X), problems, settings, share)
        return size + probe.tree_.label_order.nbytes


def kept_weights(weights, threshold=0.0, energy=1.0, max_per_node=None):
    """Which entries of a ChunkedWeights pass the limits (ndarray of bool)."""
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


def _check_limits(threshold, energy, max_weights_per_label, dtype):
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
