"""The label tree: labels renumbered so that every node is a contiguous range."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.indexing._tree_formats import (
    as_networkx,
    as_text,
    check_ids,
    depths_of,
    is_permutation,
    parent_of_rows,
    paths_of,
)
from sklearn_xmr.utils._matrices import INT32_MAX
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._texts_and_names import check_names
from sklearn_xmr.utils._typing import MatrixLike, NameList
from sklearn_xmr.utils._validation import check_count


@storable
class LabelTree:
    """A tree whose leaves are labels, as plain arrays.

    Labels are renumbered once into tree order. Then the children of every node are
    a contiguous range of the next level, and the labels under a node are a
    contiguous range of labels, so one array of offsets per level describes all.

    Every label has the same depth. A tree is never changed: its arrays are read-only,
    and changes make a new tree. Make a tree with :meth:`flat`,
    :meth:`from_labels`, :meth:`from_parents` or :meth:`from_membership`, or take
    the ``tree_`` of a fitted :class:`HierarchicalLabelClusterer`.

    Parameters
    ----------
    offsets : sequence of array-like of int
        One array per level, from the root down. The children of node ``p`` are the
        nodes ``offsets[t][p]`` to ``offsets[t][p + 1] - 1`` of the level below. The
        first array has two entries (one root); the children of the last level are
        the labels, in tree order.
    label_order : array-like of int of shape (n_labels,)
        Label at each place of the tree order: a permutation of ``range(n_labels)``.

    Raises
    ------
    ValueError
        If the arrays do not describe a tree that holds each label once.

    Examples
    --------
    >>> from sklearn_xmr import LabelTree
    >>> tree = LabelTree.from_labels([0, 1, 0, 1, 1])
    >>> print(tree.to_text(["ant", "bee", "asp", "bat", "bug"]))
    root (5 labels)
      0 (2 labels): ant, asp
      1 (3 labels): bee, bat, bug
    """

    def __init__(self, offsets: Sequence[ArrayLike], label_order: ArrayLike) -> None:
        self._offsets = tuple(
            _integers(level, f"offsets[{number}]")
            for number, level in enumerate(offsets)
        )
        self._label_order = _integers(label_order, "label_order")
        self._check()

    # --- construction ----------------------------------------------------------

    @classmethod
    def flat(cls, n_labels: int) -> "LabelTree":
        """All labels directly under the root: one-versus-rest.

        Parameters
        ----------
        n_labels : int
            Number of labels.

        Returns
        -------
        LabelTree
            With one level.

        Raises
        ------
        ValueError
            If ``n_labels`` is no positive integer below 2**31.
        """
        n_labels = check_count(n_labels, "n_labels")
        if n_labels > INT32_MAX:
            raise ValueError(f"n_labels must be at most {INT32_MAX}, got {n_labels}")
        return cls([[0, n_labels]], np.arange(n_labels))

    @classmethod
    def from_labels(cls, labels: ArrayLike) -> "LabelTree":
        """From a cluster id per label, as in the ``labels_`` of any clusterer.

        Parameters
        ----------
        labels : array-like of int of shape (n_labels,)
            Non-negative ids; unused ids make no node.

        Returns
        -------
        LabelTree
            With two levels: clusters in the order of their ids, then labels.

        Raises
        ------
        ValueError
            If an id is negative, or no integer.
        """
        labels = check_ids(labels, "labels")
        if labels.min() < 0:
            at = int(np.argmin(labels))
            raise ValueError(
                f"labels must be non-negative cluster ids, but label {at} has "
                f"{labels[at]}; give every label a cluster (noise, often -1, needs one "
                "of its own)"
            )
        order = np.argsort(labels, kind="stable")
        sizes = np.unique(labels, return_counts=True)[1]
        return cls([[0, len(sizes)], pointers(sizes)], order)

    @classmethod
    def from_parents(
        cls, parents: ArrayLike, label_nodes: ArrayLike | None = None
    ) -> "LabelTree":
        """From a taxonomy: the parent of each node.

        Parameters
        ----------
        parents : array-like of int of shape (n_nodes,)
            Parent of each node, -1 for a node without one (there may be many: they
            hang off a common root).
        label_nodes : array-like of int of shape (n_labels,), default=None
            Node of each label. By default the nodes without children, ascending. An
            inner node that is a label as well becomes a child of itself.

        Returns
        -------
        LabelTree
            Branches that end early are extended by single-child nodes, so that all
            labels have the same depth; branches without labels are dropped.

        Raises
        ------
        ValueError
            If there is a cycle, or a node that does not exist is named.
        """
        parents = check_ids(parents, "parents")
        depth = depths_of(parents)
        if label_nodes is None:
            has_child = np.zeros(len(parents), dtype=bool)
            has_child[parents[parents >= 0]] = True
            label_nodes = np.flatnonzero(~has_child)
        label_nodes = check_ids(label_nodes, "label_nodes")
        if label_nodes.min() < 0 or label_nodes.max() >= len(parents):
            raise ValueError(
                f"label_nodes must be nodes, 0 to {len(parents) - 1}, but they reach "
                f"from {label_nodes.min()} to {label_nodes.max()}"
            )
        return cls._from_paths(paths_of(parents, depth, label_nodes))

    @classmethod
    def from_membership(cls, matrices: Sequence[MatrixLike]) -> "LabelTree":
        """From child x parent 0/1 matrices, top to bottom.

        Parameters
        ----------
        matrices : list of array-like or sparse matrix
            ``matrices[t]`` has a row per node of level t + 1 and a column per node of
            level t; each row has one non-zero. The columns of the first hang off the
            root, the rows of the last are the labels.

        Returns
        -------
        LabelTree
            With a level for each matrix, and that of the labels.

        Raises
        ------
        ValueError
            If a row has another number of parents than one, or two matrices do not fit
            together.
        """
        matrices = list(matrices)
        if not matrices:
            raise ValueError("matrices must hold at least one matrix, but is empty")
        read = [parent_of_rows(m, t) for t, m in enumerate(matrices)]
        shapes, ancestors = zip(*read, strict=True)
        for t, (upper, lower) in enumerate(pairwise(shapes)):
            if lower[1] != upper[0]:
                raise ValueError(
                    f"matrices[{t + 1}] has {lower[1]} columns (parents), but "
                    f"matrices[{t}] has {upper[0]} rows (nodes)"
                )
        paths = [ancestors[-1]]
        for parent in reversed(ancestors[:-1]):
            paths.insert(0, parent[paths[0]])
        if shapes[0][1] == 1:
            paths.pop(0)  # the root itself
        return cls._from_paths(np.array(paths).reshape(len(paths), -1))

    @classmethod
    def _from_paths(cls, paths):
        """From the node of each label at each level, (n_levels, n_labels).

        Two labels share a node of a level where they share it and all above.
        """
        order = np.lexsort(paths[::-1]) if len(paths) else np.arange(paths.shape[1])
        fresh = np.zeros(paths.shape[1], dtype=bool)
        fresh[:1] = True
        starts = [np.array([0])]
        for level in paths:
            fresh[1:] |= np.diff(level[order]) != 0
            starts.append(np.flatnonzero(fresh))
        starts.append(np.arange(paths.shape[1]))
        offsets = [
            np.append(np.searchsorted(lower, upper), len(lower))
            for upper, lower in pairwise(starts)
        ]
        return cls(offsets, order)

    # --- change ----------------------------------------------------------------

    def with_labels(self, clusters: ArrayLike) -> "LabelTree":
        """The tree with more labels; nodes above the labels keep their numbers.

        Parameters
        ----------
        clusters : array-like of int of shape (n_new,)
            Cluster of each new label. New labels are numbered from ``n_labels`` on and
            stand behind the others of their cluster.

        Returns
        -------
        LabelTree
            A new tree.

        Raises
        ------
        ValueError
            If there is no such cluster.

        Examples
        --------
        >>> from sklearn_xmr import LabelTree
        >>> LabelTree.from_labels([0, 1, 0]).with_labels([0, 1]).label_order
        array([0, 2, 3, 1, 4])
        """
        clusters = check_ids(clusters, "clusters")
        if clusters.min() < 0 or clusters.max() >= self.n_clusters:
            raise ValueError(
                f"clusters must lie in 0 to {self.n_clusters - 1}, but they reach from "
                f"{clusters.min()} to {clusters.max()}"
            )
        new = self.n_labels + np.argsort(clusters, kind="stable")
        ends = self.offsets[-1][1:]
        order = np.insert(self.label_order, ends[np.sort(clusters)], new)
        added = np.bincount(clusters, minlength=self.n_clusters)
        sizes = np.diff(self.offsets[-1]) + added
        return LabelTree([*self.offsets[:-1], pointers(sizes)], order)

    def without_labels(self, labels: ArrayLike) -> "LabelTree":
        """The tree with fewer labels; nodes that lose all labels go with them.

        Parameters
        ----------
        labels : array-like of int
            Labels to remove; the others are renumbered, in their order.

        Returns
        -------
        LabelTree
            A new tree.

        Raises
        ------
        ValueError
            If there is no such label, or none would be left.

        Examples
        --------
        >>> from sklearn_xmr import LabelTree
        >>> LabelTree.from_labels([0, 1, 0, 2]).without_labels([1])
        LabelTree(n_labels=3, levels: 2 > 3)
        """
        kept = self.nodes_without(labels)
        above = [np.ones(1, dtype=bool), *kept[:-1]]
        sizes = [
            np.add.reduceat(below, offsets[:-1], dtype=np.int64)[parents]
            for below, offsets, parents in zip(kept, self.offsets, above, strict=True)
        ]
        order = self.label_order[kept[-1]]
        numbers = np.argsort(np.argsort(order))
        return LabelTree([pointers(s) for s in sizes], numbers)

    def nodes_without(self, labels: ArrayLike) -> list[np.ndarray]:
        """Which nodes stay when labels are removed.

        Parameters
        ----------
        labels : array-like of int
            Labels to remove.

        Returns
        -------
        list of ndarray of bool
            For each level, whether a node has a label that is not among them.

        Raises
        ------
        ValueError
            If there is no such label, or none would be left.
        """
        labels = check_ids(labels, "labels")
        if labels.min() < 0 or labels.max() >= self.n_labels:
            raise ValueError(
                f"labels must lie in 0 to {self.n_labels - 1}, but they reach from "
                f"{labels.min()} to {labels.max()}"
            )
        kept = [~np.isin(self.label_order, labels)]
        if not kept[0].any():
            raise ValueError(
                f"labels holds all {self.n_labels} labels of the tree: one must stay"
            )
        for offsets in self.offsets[:0:-1]:
            kept.insert(0, np.logical_or.reduceat(kept[0], offsets[:-1]))
        return kept

    # --- shape -----------------------------------------------------------------

    @property
    def offsets(self) -> tuple[np.ndarray, ...]:
        """First child of each node, level by level (tuple of ndarray of int64)."""
        return self._offsets

    @property
    def label_order(self) -> np.ndarray:
        """Label at each place of the tree order (ndarray of int64 (n_labels,))."""
        return self._label_order

    @property
    def n_labels(self) -> int:
        """Number of labels (int)."""
        return len(self.label_order)

    @property
    def n_levels(self) -> int:
        """Number of levels under the root, the labels included (int)."""
        return len(self.offsets)

    @property
    def level_sizes(self) -> list[int]:
        """Number of nodes of each level under the root (list of int)."""
        return [int(o[-1]) for o in self.offsets]

    @property
    def n_clusters(self) -> int:
        """Number of parents of labels (int)."""
        return len(self.offsets[-1]) - 1

    @property
    def cluster_of_label(self) -> np.ndarray:
        """Cluster (parent node) of each label, ndarray of int64 (n_labels,)."""
        clusters = np.empty(self.n_labels, dtype=np.int64)
        clusters[self.label_order] = np.repeat(
            np.arange(self.n_clusters), np.diff(self.offsets[-1])
        )
        return clusters

    def node_of_label(self, level: int) -> np.ndarray:
        """Node of each label at a level.

        Parameters
        ----------
        level : int
            0 for the children of the root, up to ``n_levels - 1`` for the labels.

        Returns
        -------
        ndarray of int64 of shape (n_labels,)
            Number of the node in its level.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        self._check_level(level)
        node = np.arange(self.level_sizes[level])
        for offsets in self.offsets[level + 1 :]:
            node = np.repeat(node, np.diff(offsets))
        by_label = np.empty(self.n_labels, dtype=np.int64)
        by_label[self.label_order] = node
        return by_label

    def labels_under(self, level: int, node: int) -> np.ndarray:
        """Look up the labels under a node.

        Parameters
        ----------
        level : int
            0 for the children of the root, up to ``n_levels - 1`` for the labels.
        node : int
            Number of the node in its level.

        Returns
        -------
        ndarray of int64
            In tree order.

        Raises
        ------
        ValueError
            If there is no such level or node.
        """
        self._check_level(level)
        if not isinstance(node, Integral) or not 0 <= node < self.level_sizes[level]:
            raise ValueError(
                f"node must be one of the {self.level_sizes[level]} nodes of level "
                f"{level}, got {node!r}"
            )
        first, last = node, node + 1
        for offsets in self.offsets[level + 1 :]:
            first, last = offsets[first], offsets[last]
        return self.label_order[first:last]

    # --- export ------------------------------------------------------------------

    def to_parents(self) -> np.ndarray:
        """The tree as a parent array.

        Returns
        -------
        parents : ndarray of int64 of shape (n_nodes,)
            Nodes 0 to ``n_labels - 1`` are the labels; inner nodes follow, level by
            level; -1 for the children of the root.
        """
        sizes = self.level_sizes
        starts = np.cumsum([self.n_labels, *sizes[:-1]])[:-1]
        parents = np.full(sum(sizes), -1, dtype=np.int64)
        for t in range(1, self.n_levels):
            parent = np.repeat(np.arange(sizes[t - 1]), np.diff(self.offsets[t]))
            last = t == self.n_levels - 1
            children = self.label_order if last else starts[t] + np.arange(sizes[t])
            parents[children] = starts[t - 1] + parent
        return parents

    def to_networkx(self, label_names: NameList | None = None) -> Any:
        """The tree as a networkx graph (needs networkx).

        Parameters
        ----------
        label_names : sequence of str, default=None
            Names of the labels, all different; numbers by default.

        Returns
        -------
        networkx.DiGraph
            Edges from parent to child; the root is "root", inner nodes are
            ``(level, node)``, labels their names (or numbers).

        Raises
        ------
        ValueError
            If there are too few names, or one is used twice.
        """
        names = self._checked_names(label_names)
        if len(set(names)) < len(names):
            raise ValueError(
                "label_names must be different, as they identify the nodes of the "
                f"graph, but {len(names) - len(set(names))} of them repeat others"
            )
        return as_networkx(self, names)

    def to_text(self, label_names: NameList | None = None, max_labels: int = 5) -> str:
        """The tree as indented text, one line a node.

        Parameters
        ----------
        label_names : sequence of str, default=None
            Names of the labels; numbers by default.
        max_labels : int, default=5
            Maximum number of labels to show for each cluster.

        Returns
        -------
        str
            The root, and under it each node with its number of labels.

        Raises
        ------
        ValueError
            If there are too few names, or ``max_labels`` is no positive integer.
        """
        names = self._checked_names(label_names)
        max_labels = check_count(max_labels, "max_labels")
        return as_text(self, self._label_starts(), names, max_labels)

    def _label_starts(self):
        """For the root and each level above the labels, where nodes' labels begin."""
        starts = [self.offsets[-1]]
        for offsets in self.offsets[-2::-1]:
            starts.append(starts[-1][offsets])
        return starts[::-1]

    def _checked_names(self, label_names):
        """Names of the labels as a list, or their numbers."""
        names = check_names(label_names, self.n_labels, "label_names")
        return range(self.n_labels) if names is None else names

    # --- object protocol -----------------------------------------------------------

    def __repr__(self):
        sizes = " > ".join(str(size) for size in self.level_sizes)
        return f"LabelTree(n_labels={self.n_labels}, levels: {sizes})"

    def __eq__(self, other):
        return (
            isinstance(other, LabelTree)
            and self.n_levels == other.n_levels
            and np.array_equal(self.label_order, other.label_order)
            and all(map(np.array_equal, self.offsets, other.offsets))
        )

    __hash__ = None  # type: ignore[assignment]

    def __setstate__(self, state):
        # Not copied where they are int64: they may be memory-mapped.
        self._offsets = tuple(
            _integers(level, f"offsets[{number}]", copy=False)
            for number, level in enumerate(state["_offsets"])
        )
        self._label_order = _integers(state["_label_order"], "label_order", copy=False)
        self._check()

    def _check_level(self, level):
        if not isinstance(level, Integral) or not 0 <= level < self.n_levels:
            raise ValueError(
                f"level must lie in 0 to {self.n_levels - 1}, got {level!r}"
            )

    def _check(self):
        """ValueError unless the arrays are a tree that holds each label once."""
        if not self.offsets:
            raise ValueError("offsets must hold one array per level, but is empty")
        n_parents = 1
        for t, offsets in enumerate(self.offsets):
            if offsets.shape != (n_parents + 1,) or offsets[0] != 0:
                raise ValueError(
                    f"offsets[{t}] must have {n_parents + 1} entries (one more than "
                    f"the {n_parents} nodes above) and start at 0, got shape "
                    f"{offsets.shape}"
                )
            if (offsets[1:] <= offsets[:-1]).any():
                raise ValueError(f"offsets[{t}] must increase: every node has a child")
            n_parents = int(offsets[-1])
        if not is_permutation(self.label_order, n_parents):
            raise ValueError(
                "label_order must hold each of the labels 0 to "
                f"{n_parents - 1} once, as the last offsets announce"
            )


def _integers(values, name, copy=True):
    """A read-only copy as int64; without copy, a view where this suffices."""
    array = np.array(values) if copy else np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    return _read_only(array.astype(np.int64, copy=False))


def _read_only(array):
    """A view of an array, of int64, that cannot be written to."""
    view = np.asarray(array, dtype=np.int64).view()
    view.flags.writeable = False
    return view
