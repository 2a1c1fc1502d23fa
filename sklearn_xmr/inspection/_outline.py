"""A part of a label tree as nested nodes: what pictures and pages draw."""

from dataclasses import dataclass, field

import numpy as np

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.inspection._tree_model import (
    Names,
    classifier_of,
    group_name,
    names_of,
)


@dataclass
class OutlineNode:
    """A group of labels, or a label.

    Parameters
    ----------
    name : str
    n_labels : int
    weight : float
        Positives under the node, or its labels where these were not counted.
    children : list of OutlineNode
    n_hidden : int
        Children that were left out.
    examples : list of str
        Names of the heaviest labels under the node.
    """

    name: str
    n_labels: int
    weight: float
    children: list = field(default_factory=list)
    n_hidden: int = 0
    examples: list = field(default_factory=list)


def outline_of(
    tree_or_estimator,
    label_names=None,
    label_counts=None,
    *,
    root=None,
    max_depth=None,
    max_children=None,
    n_examples=5,
):
    """Nest the nodes under a root.

    Parameters
    ----------
    tree_or_estimator : LabelTree, or fitted estimator with one
    label_names : sequence of str, default=None
    label_counts : array-like of shape (n_labels,), default=None
        Positives of each label, by which nodes are ordered.
    root : (level, node), default=None
        None for the root of the tree.
    max_depth : int, default=None
        Levels below the root to follow; None for all.
    max_children : int, default=None
        Children to follow of each node, the heaviest; None for all.
    n_examples : int, default=5
        Labels to name of each group.

    Returns
    -------
    OutlineNode
    """
    tree, names = tree_and_names(tree_or_estimator, label_names)
    counts = _checked_counts(label_counts, tree.n_labels)
    level, node = (-1, 0) if root is None else _checked_node(tree, root)
    builder = _Builder(tree, names, counts, max_children, n_examples)
    return builder.build(level, node, tree.n_levels if max_depth is None else max_depth)


def tree_and_names(tree_or_estimator, label_names):
    """The label tree of an estimator, and names of labels."""
    tree = getattr(tree_or_estimator, "tree_", tree_or_estimator)
    if not isinstance(tree, LabelTree):
        clf = classifier_of(tree_or_estimator)
        return clf.tree_, names_of(clf, None, label_names)
    if label_names is not None and len(label_names) != tree.n_labels:
        raise ValueError(
            f"label_names must hold a name for each of the {tree.n_labels} labels, got "
            f"{len(label_names)}"
        )
    return tree, Names(labels=label_names)


class _Builder:
    def __init__(self, tree, names, counts, max_children, n_examples):
        self.tree, self.names, self.counts = tree, names, counts
        self.max_children, self.n_examples = max_children, n_examples

    def build(self, level, node, depth):
        """The node with the children that are to be seen."""
        tree = self.tree
        if level == tree.n_levels - 1:
            label = int(tree.label_order[node])
            return OutlineNode(self.names.label(label), 1, float(self.counts[label]))
        labels = tree.label_order if level < 0 else tree.labels_under(level, node)
        name = "all labels" if level < 0 else group_name(tree, level, node)
        out = OutlineNode(name, len(labels), float(self.counts[labels].sum()))
        heaviest = labels[np.argsort(-self.counts[labels], kind="stable")]
        out.examples = [self.names.label(i) for i in heaviest[: self.n_examples]]
        if depth > 0:
            children = [
                self.build(level + 1, child, depth - 1)
                for child in self._chosen(level, node)
            ]
            out.children = sorted(children, key=lambda child: -child.weight)
            first, last = tree.offsets[level + 1][node : node + 2]
            out.n_hidden = int(last - first) - len(children)
        return out

    def _chosen(self, level, node):
        """The heaviest children, in the order of the tree."""
        tree = self.tree
        children = np.arange(*tree.offsets[level + 1][node : node + 2])
        if self.max_children is None or len(children) <= self.max_children:
            return children
        weights = np.array(
            [self.counts[tree.labels_under(level + 1, c)].sum() for c in children]
        )
        best = np.argsort(-weights, kind="stable")[: self.max_children]
        return children[np.sort(best)]


def _checked_counts(label_counts, n_labels):
    if label_counts is None:
        return np.ones(n_labels)
    counts = np.asarray(label_counts, dtype=float).ravel()
    if counts.shape != (n_labels,) or not np.isfinite(counts).all():
        raise ValueError(
            f"label_counts must hold a number for each of the {n_labels} labels, got "
            f"shape {counts.shape}"
        )
    return counts


def _checked_node(tree, root):
    try:
        level, node = root
        known = 0 <= level < tree.n_levels - 1 and 0 <= node < tree.level_sizes[level]
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"root must be (level, node) of a group: level 0 to {tree.n_levels - 2}, "
            f"levels have {tree.level_sizes[:-1]} nodes, got {root!r}"
        )
    return int(level), int(node)
