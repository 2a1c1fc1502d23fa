"""Which groups of labels a search kept for one instance, level by level."""

from dataclasses import dataclass

import numpy as np

from sklearn_xmr.inspection._tree_model import (
    as_row,
    child_weights,
    group_name,
    names_of,
    one_row,
    path_scores,
)
from sklearn_xmr.utils.ranges import ranges


@dataclass
class PathLevel:
    """Nodes of one level that were scored, best first.

    Parameters
    ----------
    nodes : ndarray of int
        Numbers in the level; labels (columns of Y) on the last.
    parents : ndarray of int
        Node of the level above.
    margins : ndarray of float
        Linear models' outputs.
    scores : ndarray of float
        Product of the steps' scores, from the root down.
    kept : ndarray of bool
        Whether the search went on with the node.
    n_labels : ndarray of int
        Labels under the node.
    """

    nodes: np.ndarray
    parents: np.ndarray
    margins: np.ndarray
    scores: np.ndarray
    kept: np.ndarray
    n_labels: np.ndarray


class SearchPath:
    """The way of one instance through the label tree.

    What :func:`search_path` returns.

    Parameters
    ----------
    levels : list of PathLevel
        From the children of the root down to the labels.
    beam_size : int or None
        Nodes kept on each level; None: those that can hold one of the k best labels.
    tree : LabelTree
    names : Names
        Names of the labels.

    Attributes
    ----------
    levels, beam_size
        As given.

    See Also
    --------
    SearchPathDisplay : Draws it.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.inspection import search_path
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=300, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
    >>> path = search_path(clf, X[:1])
    >>> len(path.levels) == clf.tree_.n_levels
    True
    """

    def __init__(self, levels, beam_size, tree, names):
        self.levels, self.beam_size = levels, beam_size
        self._tree, self._names = tree, names

    def name(self, level, node):
        """Name of a label, or of a group by its level and number.

        Parameters
        ----------
        level, node : int

        Returns
        -------
        str
        """
        if level == len(self.levels) - 1:
            return self._names.label(node)
        return group_name(self._tree, level, node)

    def to_dict(self):
        """All of it as lists and numbers, for JSON.

        Returns
        -------
        dict
        """
        rows = []
        for number, level in enumerate(self.levels):
            parts = zip(*vars(level).values(), strict=True)
            rows.append(
                [
                    {
                        "name": self.name(number, int(node)),
                        "node": int(node),
                        "parent": int(parent),
                        "margin": float(margin),
                        "score": float(score),
                        "kept": bool(kept),
                        "n_labels": int(n_labels),
                    }
                    for node, parent, margin, score, kept, n_labels in parts
                ]
            )
        return {"beam_size": self.beam_size, "levels": rows}

    def to_text(self, n_nodes=5):
        """The best nodes of each level, a line each.

        Parameters
        ----------
        n_nodes : int, default=5
            Nodes to show of each level.

        Returns
        -------
        str
        """
        lines = []
        for number, rows in enumerate(self.to_dict()["levels"]):
            n_kept = sum(row["kept"] for row in rows)
            lines.append(f"level {number}: {n_kept} of {len(rows)} nodes kept")
            for row in rows[:n_nodes]:
                lines.append(
                    f"  {row['score']:.4f}  {row['name']}"
                    + (f" ({row['n_labels']} labels)" if row["n_labels"] > 1 else "")
                    + ("" if row["kept"] else "  (dropped)")
                )
        return "\n".join(lines)

    def __repr__(self):
        sizes = " > ".join(
            f"{level.kept.sum()} of {len(level.nodes)}" for level in self.levels
        )
        return f"SearchPath({sizes} nodes kept)"


def search_path(estimator, X, *, k=5, label_names=None):
    """Follow the beam search of one instance.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes.
    k : int, default=5
        Labels that count as kept on the last level.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    SearchPath
        With every node that the beam search scores. With ``beam_size=None`` those are
        kept that can hold one of the k best labels.

    Examples
    --------
    >>> from sklearn_xmr import LabelTree, XRLinearClassifier
    >>> from sklearn_xmr.inspection import search_path
    >>> import numpy as np
    >>> clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1, 1]), beam_size=1)
    >>> clf = clf.fit(np.eye(4), np.eye(4, dtype=int))
    >>> names = ["ant", "bee", "oak", "elm"]
    >>> path = search_path(clf, np.eye(4)[:1], k=1, label_names=names)
    >>> print(path)
    SearchPath(1 of 2 > 1 of 2 nodes kept)
    >>> path.to_dict()["levels"][1][0]["name"]
    'ant'
    """
    clf, X = one_row(estimator, X)
    return follow(clf, X, k, names_of(clf, None, label_names))


def follow(clf, X, k, names):
    """The search path of one checked instance."""
    row, tree = as_row(X), clf.tree_
    parents, above, levels = np.zeros(1, dtype=int), np.ones(1), []
    least = -np.inf if clf.beam_size else _least_score(clf, X, k)
    for number in range(tree.n_levels):
        last = number == tree.n_levels - 1
        level = _scored_level(clf, row, number, parents, above)
        within = np.arange(len(level.nodes)) < (k if last else clf.beam_size or np.inf)
        level.kept = within & (level.scores >= least)
        parents, above = level.nodes[level.kept], level.scores[level.kept]
        if last:
            level.nodes = tree.label_order[level.nodes]
        levels.append(level)
    return SearchPath(levels, clf.beam_size, tree, names)


def _scored_level(clf, row, level, parents, above):
    """All children of some nodes, best first."""
    tree, offsets = clf.tree_, clf.tree_.offsets[level]
    sizes = np.diff(offsets)[parents]
    nodes, owners = ranges(offsets[parents], sizes), np.repeat(parents, sizes)
    weights, intercepts = child_weights(clf, level, parents)
    margins = (weights @ row.T).toarray().ravel() + intercepts
    scores = path_scores(clf, np.repeat(above, sizes), margins)
    # Equal scores: labels by their number, groups by their place, as the search does.
    ties = tree.label_order[nodes] if level == tree.n_levels - 1 else nodes
    order = np.lexsort((ties, -scores))
    n_labels = np.bincount(tree.node_of_label(level), minlength=offsets[-1])
    parts = [part[order] for part in (nodes, owners, margins, scores)]
    return PathLevel(*parts, None, n_labels[parts[0]])


def _least_score(clf, X, k):
    """What a node has to score to be opened by the exact search: as the k-th label.

    Margins ("noop") of groups bound nothing: all nodes are opened.
    """
    if clf.post_processor == "noop":
        return -np.inf
    worst = float(clf.predict_topk(X, k=k)[1][0].min())
    if clf.post_processor.startswith("log_"):
        worst = np.exp(worst)
    return worst * (1 - 1e-5)  # scores are summed as float32 logarithms there
