"""Plots of a label tree, and of one instance's path through it."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.inspection._outline import OutlineNode, outline_of
from sklearn_xmr.inspection._plotting import as_it_is, figure_and_axes, shorten
from sklearn_xmr.inspection._search_path import SearchPath, search_path
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, NameList, Self
from sklearn_xmr.utils._validation import check_count

LINE = 0.32  # inches of height for each line of text


class LabelTreeDisplay:
    """A label tree, whole, pruned, or one branch of it.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    outline : OutlineNode
        The nodes to draw, nested.

    Attributes
    ----------
    texts_ : list of matplotlib Text
        Names of the nodes.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    view_label_tree : A page to click through, for trees of any size.

    Examples
    --------
    >>> from sklearn_xmr import LabelTree
    >>> from sklearn_xmr.inspection import LabelTreeDisplay
    >>> tree = LabelTree.from_labels([0, 1, 0, 1, 1])
    >>> names = ["ant", "bee", "asp", "bat", "bug"]
    >>> display = LabelTreeDisplay.from_estimator(tree, label_names=names)
    >>> [text.get_text() for text in display.texts_][:2]
    ['all labels (5)', 'group 1 (3)']
    """

    def __init__(self, outline: Any) -> None:
        self.outline = outline

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        label_names: NameList | None = None,
        label_counts: ArrayLike | None = None,
        root: tuple[int, int] | None = None,
        max_depth: int = 1,
        max_children: int = 12,
        ax: Axes = None,
    ) -> Self:
        """Draw the tree of an estimator.

        Parameters
        ----------
        estimator : LabelTree, fitted estimator with ``tree_``, pipeline or search
            What has the tree.
        label_names : sequence of str, default=None
            Names of the labels; numbers by default.
        label_counts : array-like of shape (n_labels,), default=None
            Positives of each label: the largest groups are drawn, and the commonest
            labels named.
        root : (int, int), default=None
            Level and number of a group, to draw its branch; levels count from 0, the
            children of the root. None: the whole tree.
        max_depth : int, default=1
            Number of levels below the root to draw; groups at the lowest name some
            labels.
        max_children : int, default=12
            Maximum number of children to draw of each node.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        LabelTreeDisplay
            With the plot in ``ax_``.

        Raises
        ------
        TypeError
            If ``estimator`` has no label tree.
        ValueError
            If an argument is not as described.
        """
        check_count(max_depth, "max_depth")
        check_count(max_children, "max_children")
        outline = outline_of(
            estimator,
            label_names,
            label_counts,
            root=root,
            max_depth=max_depth,
            max_children=max_children,
        )
        return cls(outline).plot(ax)

    def plot(self, ax: Axes = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        LabelTreeDisplay
            Itself.
        """
        rows = _rows(self.outline)
        depth = max(row.depth for row in rows)
        size = (3.2 * (depth + 1) + 5, max(2, LINE * sum(r.is_leaf for r in rows) + 1))
        self.figure_, self.ax_ = figure_and_axes(ax, size)
        self.texts_ = [_draw(self.ax_, row) for row in rows]
        _frame(self.ax_, rows, depth)
        return self


class SearchPathDisplay:
    """The groups that a beam search kept for one instance, level by level.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    path : SearchPath
        What :func:`search_path` returns.

    Attributes
    ----------
    texts_ : list of matplotlib Text
        Names of the nodes.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    explain : Why a label has its score.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr import LabelTree, XRLinearClassifier
    >>> from sklearn_xmr.inspection import SearchPathDisplay
    >>> clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1, 1]))
    >>> clf = clf.fit(np.eye(4), np.eye(4, dtype=int))
    >>> display = SearchPathDisplay.from_estimator(clf, np.eye(4)[:1], k=2)
    >>> display.ax_.get_title()
    'Beam search: 2 of 2, then 2 of 4 nodes kept'
    """

    def __init__(self, path: SearchPath) -> None:
        self.path = path

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: MatrixLike,
        *,
        k: int = 5,
        label_names: NameList | None = None,
        n_nodes: int = 8,
        true_labels: Collection[int] = (),
        ax: Axes = None,
    ) -> Self:
        """Follow the search, and draw.

        Parameters
        ----------
        estimator : XRLinearClassifier, or a pipeline or search that ends in one
            Fitted.
        X : array-like, sparse matrix or list of str with one instance
            What the estimator takes.
        k : int, default=5
            Number of labels that count as kept.
        label_names : sequence of str, default=None
            Names of the columns of Y.
        n_nodes : int, default=8
            Maximum number of nodes to draw for each level, the best.
        true_labels : collection of int, default=()
            Columns of Y that are right: marked.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        SearchPathDisplay
            With the plot in ``ax_``.

        Raises
        ------
        TypeError
            If ``estimator`` does not end in an XRLinearClassifier.
        ValueError
            If an argument is not as described.
        """
        path = search_path(estimator, X, k=k, label_names=label_names)
        return cls(path).plot(ax, n_nodes=n_nodes, true_labels=true_labels)

    def plot(
        self, ax: Axes = None, *, n_nodes: int = 8, true_labels: Collection[int] = ()
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure by default.
        n_nodes : int, default=8
            Maximum number of nodes to draw for each level, the best.
        true_labels : collection of int, default=()
            Columns of Y that are right: marked.

        Returns
        -------
        SearchPathDisplay
            Itself.
        """
        check_count(n_nodes, "n_nodes")
        levels = self.path.levels
        n_levels, true_labels = len(levels), frozenset(true_labels)
        size = (3.6 * n_levels + 1, LINE * (n_nodes + 2) + 0.5)
        self.figure_, self.ax_ = figure_and_axes(ax, size)
        self.texts_: list[Any] = []
        above = {0: (-0.35, 0.0)}
        for number, level in enumerate(levels):
            places = {}
            for at in range(min(n_nodes, len(level.nodes))):
                place = (float(number), -float(at))
                node = int(level.nodes[at])
                places[node] = place
                self._draw(number, level, at, place, above, node in true_labels)
            above = places
        kept = ", then ".join(f"{lv.kept.sum()} of {len(lv.nodes)}" for lv in levels)
        self.ax_.set_title(f"Beam search: {kept} nodes kept", fontsize=11)
        self.ax_.plot(-0.35, 0, "ko", markersize=5)
        self.ax_.set(xlim=(-0.45, n_levels), ylim=(-n_nodes, 1))
        self.ax_.axis("off")
        return self

    def _draw(self, number, level, at, place, above, is_true):
        """A node's bar, text, and the line to its parent."""
        x, y = place
        score = float(np.clip(level.scores[at], 0, 1))
        parent = above.get(int(level.parents[at]))
        last = number == len(self.path.levels) - 1
        color = "C0" if level.kept[at] else "0.75"
        color = "C2" if is_true and last else color
        if parent is not None and level.kept[at]:
            start = parent[0] + (0.72 if number else 0)
            self.ax_.plot([start, x - 0.03], [parent[1], y], color="0.6", linewidth=0.8)
        self.ax_.barh(y - 0.22, 0.7, height=0.16, left=x, color="0.93")
        self.ax_.barh(y - 0.22, 0.7 * score, height=0.16, left=x, color=color)
        name = shorten(self.path.name(number, int(level.nodes[at])), 26)
        size = f" ({level.n_labels[at]})" if level.n_labels[at] > 1 else ""
        text = self.ax_.text(
            x,
            y,
            f"{name}{size}  {level.scores[at]:.3f}",
            va="bottom",
            fontsize=9,
            color="black" if level.kept[at] else "0.5",
            fontweight="bold" if is_true and last else "normal",
        )
        self.texts_.append(as_it_is(text))


class _Row:
    """A node of the plot: depth, height, text and where its line comes from."""

    def __init__(self, node, depth, parent):
        self.node, self.depth, self.parent = node, depth, parent
        self.is_leaf = not node.children
        self.y = 0.0


def _rows(outline):
    """All nodes to draw, with their heights: leaves one below the other."""
    rows, next_y = [], 0.0

    def visit(node, depth, parent):
        nonlocal next_y
        row = _Row(node, depth, parent)
        rows.append(row)
        below = [visit(child, depth + 1, row) for child in node.children]
        if node.children and node.n_hidden:
            more = OutlineNode(f"… {node.n_hidden:,} more", 0, 0)
            below.append(visit(more, depth + 1, row))
        if below:
            row.y = (below[0].y + below[-1].y) / 2
        else:
            row.y, next_y = next_y, next_y - 1
        return row

    visit(outline, 0, None)
    return rows


def _draw(axes, row):
    """A node's text, and the line from its parent."""
    node = row.node
    text = node.name
    if node.examples:
        text += f" ({node.n_labels:,})"
    if row.parent is not None:
        start = row.parent.depth + 0.62
        x = [start, start + 0.16, row.depth - 0.03]
        axes.plot(x, [row.parent.y, row.y, row.y], color="0.7", linewidth=1)
    shown = axes.text(
        row.depth,
        row.y,
        shorten(text, 28),
        va="center",
        fontsize=10,
        color="0.5" if not node.n_labels else "black",
    )
    if row.is_leaf and node.examples:
        names = shorten(", ".join(node.examples), 75)
        place = row.depth + 0.6, row.y
        as_it_is(axes.text(*place, names, va="center", fontsize=9, color="C0"))
    return as_it_is(shown)


def _frame(axes, rows, depth):
    lowest = min(row.y for row in rows)
    axes.set(xlim=(-0.05, depth + 2.2), ylim=(lowest - 1, 1))
    axes.axis("off")
