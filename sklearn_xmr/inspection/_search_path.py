"""Which groups of labels a search kept for one instance, level by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_xmr.base import checked_label_weights
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.inspection._classifier import as_row, one_instance
from sklearn_xmr.inspection._names import contents, group_name, resolve_names
from sklearn_xmr.inspection._plotting import score_text
from sklearn_xmr.utils._ranges import ranges
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList
from sklearn_xmr.utils._validation import check_count


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
        Outputs of the linear models.
    scores : ndarray of float
        Product of the steps' scores from the root down, each with the exponent that
        ``path_weight`` gives its level; without ``label_weight``.
    kept : ndarray of bool
        Whether the search kept the node.
    n_labels : ndarray of int
        Number of labels under the node.
    """

    nodes: np.ndarray
    parents: np.ndarray
    margins: np.ndarray
    scores: np.ndarray
    kept: np.ndarray
    n_labels: np.ndarray


class SearchPath:
    """The path of one instance through the label tree.

    What :func:`search_path` returns.

    Parameters
    ----------
    levels : list of PathLevel
        From the children of the root down to the labels.
    beam_size : int or None
        Nodes kept on each level; None: those that can hold one of the k best labels.
    tree : LabelTree
        The tree.
    names : Names
        Names of the labels.

    See Also
    --------
    search_path : Makes it.
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

    def __init__(
        self, levels: Sequence[Any], beam_size: int | None, tree: LabelTree, names: Any
    ) -> None:
        self.levels, self.beam_size = levels, beam_size
        self._tree, self._names = tree, names

    def name(self, level: int, node: int) -> str:
        """Name of a label, or of a group by its level and number.

        Parameters
        ----------
        level : int
            0 for the children of the root.
        node : int
            Number in the level; the label on the last.

        Returns
        -------
        str
            As "group 1.3" for node 3 of level 1.
        """
        if level == len(self.levels) - 1:
            return self._names.label(node)
        return group_name(self._tree, level, node)

    def examples(self, level: int, node: int, n: int = 3) -> list[str]:
        """Some labels of a group, by name.

        Parameters
        ----------
        level : int
            0 for the children of the root.
        node : int
            Number in the level.
        n : int, default=3
            Maximum number of names.

        Returns
        -------
        list of str
            Of the labels with the largest intercepts, mostly common ones; none on
            the level of the labels.
        """
        if level == len(self.levels) - 1:
            return []
        return self._names.examples(self._tree.labels_under(level, node), n)

    def to_dict(self) -> dict[str, Any]:
        """All of it as lists and numbers, for JSON.

        Returns
        -------
        dict
            With "beam_size" and "levels", a list of lists of dicts, one for each node.
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
                        "examples": self.examples(number, int(node)),
                    }
                    for node, parent, margin, score, kept, n_labels in parts
                ]
            )
        return {"beam_size": self.beam_size, "levels": rows}

    def to_text(self, n_nodes: int = 5) -> str:
        """The best nodes of each level, a line each.

        Parameters
        ----------
        n_nodes : int, default=5
            Maximum number of nodes to show for each level.

        Returns
        -------
        str
            Scores and names, best first.
        """
        lines = []
        for number, rows in enumerate(self.to_dict()["levels"]):
            n_kept = sum(row["kept"] for row in rows)
            lines.append(f"level {number}: {n_kept} of {len(rows)} nodes kept")
            for row in rows[:n_nodes]:
                lines.append(
                    f"  {score_text(row['score']):6}  {row['name']}"
                    + contents(row["n_labels"], row["examples"])
                    + ("" if row["kept"] else "  (dropped)")
                )
        return "\n".join(lines)

    def __repr__(self):
        sizes = " > ".join(
            f"{level.kept.sum()} of {len(level.nodes)}" for level in self.levels
        )
        return f"SearchPath({sizes} nodes kept)"


def search_path(
    estimator: Estimator,
    X: MatrixLike,
    *,
    k: int = 5,
    label_names: NameList | None = None,
) -> SearchPath:
    """Follow the beam search of one instance.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes.
    k : int, default=5
        Number of labels that count as kept on the last level.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    SearchPath
        With every node that the beam search scores. With ``beam_size=None`` those are
        kept that can hold one of the k best labels. With ``label_weight``, nodes are
        ranked by score times the largest weight of a label under them, as the search
        ranks them.

    Raises
    ------
    TypeError
        If ``estimator`` does not end in an XRLinearClassifier.
    ValueError
        If X holds more than one instance, k is no positive integer, or names are too
        few.

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
    check_count(k, "k")
    clf, X = one_instance(estimator, X)
    return follow(clf, X, k, resolve_names(estimator, clf, None, label_names))


def follow(clf, X, k, names):
    """The search path of one checked instance.

    Parameters
    ----------
    clf : XRLinearClassifier
        Fitted.
    X : HybridFeatures
        Of one row.
    k : int
        Number of labels that count as kept.
    names : Names
        Names of the labels.

    Returns
    -------
    SearchPath
    """
    search = _Search(clf, X, k)
    parents, above, levels = np.zeros(1, dtype=int), np.ones(1), []
    for number in range(search.tree.n_levels):
        level = search.open(number, parents, above)
        parents, above = level.nodes[level.kept], level.scores[level.kept]
        levels.append(level)
    levels[-1].nodes = search.tree.label_order[levels[-1].nodes]
    return SearchPath(levels, clf.effective_beam_size, search.tree, names)


class _Search:
    """The search of the k best labels of one instance, level by level."""

    def __init__(self, clf, X, k):
        self.model, self.tree, self.row = clf.model_, clf.model_.tree, as_row(X)
        self.beam_size, self.k = clf.effective_beam_size, k
        self.score_of = clf.scoring_rule.of_paths
        label_weight = checked_label_weights(clf)
        self.weights = _largest_weights(self.tree, label_weight)
        log_scores = self.model.topk(
            X,
            k,
            beam_size=clf.effective_beam_size,
            post_processor=clf.scoring_rule,
            label_weight=label_weight,
        )[1]
        # What a node has to score to be opened by the exact search: as the k-th label.
        # Margins ("noop") of groups bound nothing: all nodes are opened.
        self.least = -np.inf
        if clf.effective_beam_size is None and not clf.scoring_rule.is_margin:
            # Scores are summed as float32 logarithms there.
            self.least = np.exp(float(log_scores[0].min())) * (1 - 1e-5)

    def open(self, number, parents, above):
        """All children of some nodes, best first."""
        offsets = self.tree.offsets[number]
        sizes = np.diff(offsets)[parents]
        nodes, owners = ranges(offsets[parents], sizes), np.repeat(parents, sizes)
        weights, intercepts = self.model.child_weights(number, parents)
        margins = (weights @ self.row.T).toarray().ravel() + intercepts
        n_below = self.tree.n_levels - 1 - number
        scores = self.score_of(np.repeat(above, sizes), margins, n_below)
        ranked_by = scores * self.weights[number][nodes]
        # Equal scores: labels by their number, groups by their place, as the search.
        last = number == self.tree.n_levels - 1
        ties = self.tree.label_order[nodes] if last else nodes
        order = np.lexsort((ties, -ranked_by))
        most = self.k if last else self.beam_size or np.inf
        kept = (np.arange(len(order)) < most) & (ranked_by[order] >= self.least)
        nodes = nodes[order]
        n_labels = np.bincount(self.tree.node_of_label(number), minlength=offsets[-1])
        parts = (owners[order], margins[order], scores[order])
        return PathLevel(nodes, *parts, kept, n_labels[nodes])


def _largest_weights(tree, label_weight):
    """For each level, the largest weight of a label under each node."""
    if label_weight is None:
        return [np.ones(size) for size in tree.level_sizes]
    weights = [label_weight[tree.label_order].astype(np.float64)]
    for offsets in tree.offsets[:0:-1]:
        weights.append(np.maximum.reduceat(weights[-1], offsets[:-1]))
    return weights[::-1]
