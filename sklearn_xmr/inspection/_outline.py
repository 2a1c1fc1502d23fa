"""A part of a label tree as nested nodes: what plots and pages draw."""

from dataclasses import dataclass, field

import numpy as np

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.inspection._classifier import find_classifier
from sklearn_xmr.inspection._names import Names, group_name, known_label_names
from sklearn_xmr.utils._response import inner_estimator
from sklearn_xmr.utils._texts_and_names import check_names

MOST_LEVELS = 200


@dataclass
class OutlineNode:
    """A group of labels, or a label.

    Parameters
    ----------
    name : str
        Name of the group, or of the label.
    n_labels : int
        Number of labels under the node.
    weight : float
        Positives under the node, or its labels where these were not counted.
    children : list of OutlineNode
        The nodes below, heaviest first.
    n_hidden : int
        Number of children that were left out.
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
    source,
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
    source : LabelTree, or fitted estimator with one
        What has the tree.
    label_names : sequence of str, default=None
        Names of the labels; numbers by default.
    label_counts : array-like of shape (n_labels,), default=None
        Positives of each label, by which nodes are ordered.
    root : (level, node), default=None
        None for the root of the tree.
    max_depth : int, default=None
        Levels below the root to follow; None for all, up to 200: neither pages nor
        plots of deeper nests can be read, or made.
    max_children : int, default=None
        Children to follow of each node, the heaviest; None for all.
    n_examples : int, default=5
        Number of labels to name of each group.

    Returns
    -------
    OutlineNode
        The root, with the nodes below it.

    Raises
    ------
    TypeError
        If there is no label tree.
    ValueError
        If names or counts are not one for each label, or there is no such root.
    """
    tree = find_tree(source)
    label_names = _label_names(source, label_names, tree.n_labels)
    counts = _checked_counts(label_counts, tree.n_labels)
    names = Names(labels=label_names, prominence=counts)
    level, node = (-1, 0) if root is None else _checked_node(tree, root)
    builder = _Builder(tree, names, counts, max_children, n_examples)
    depth = MOST_LEVELS if max_depth is None else min(max_depth, MOST_LEVELS)
    return builder.build(level, node, depth)


def find_tree(source):
    """The label tree of an estimator, Pipeline or search, or the tree itself."""
    if isinstance(source, LabelTree):
        return source
    tree = getattr(inner_estimator(source), "tree_", None)
    return tree if isinstance(tree, LabelTree) else find_classifier(source).model_.tree


def _label_names(source, label_names, n_labels):
    """Names as given, or as the estimator knows them."""
    if label_names is None:
        label_names = known_label_names(source)
    return check_names(label_names, n_labels, "label_names")


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
        out.examples = self.names.examples(labels, self.n_examples)
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
