"""Plots of a label tree, and of one instance's path through it."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.inspection._names import contents
from sklearn_xmr.inspection._outline import OutlineNode, outline_of
from sklearn_xmr.inspection._plotting import (
    as_it_is,
    figure_and_axes,
    score_text,
    shorten,
)
from sklearn_xmr.inspection._search_path import SearchPath, search_path
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, NameList, Self
from sklearn_xmr.utils._validation import check_count

# In inches. A page's column is some 8 wide: wider figures are shrunk, and their text.
WIDTH = 8
LINE = 0.28  # height of a line of text
INDENT = 0.35  # of each level of a tree
CHARACTER = 0.088  # mean width
FONT, SMALL = 11, 9  # points
BAR = 0.82  # share of a level's column that a bar has


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
        self.figure_, self.ax_ = figure_and_axes(ax, (WIDTH, LINE * (len(rows) + 0.5)))
        layout = _Layout(self.ax_, rows)
        self.texts_ = [layout.draw(row) for row in rows]
        layout.explain_groups(self.outline)
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
        n_levels, true_labels = len(levels), set(true_labels)
        column = max(WIDTH / n_levels, 2.6)
        size = (column * n_levels, 2 * LINE * (n_nodes + 1))
        self.figure_, self.ax_ = figure_and_axes(ax, size)
        n_characters = int(BAR * _inches(self.ax_) / n_levels / CHARACTER)
        self.texts_: list[Any] = []
        above = {0: (-0.08, 0.0)}
        for number, level in enumerate(levels):
            places = {}
            for at in range(min(n_nodes, len(level.nodes))):
                place = (float(number), -float(at))
                node = int(level.nodes[at])
                places[node] = (number + BAR + 0.02, place[1])
                is_true = number == n_levels - 1 and node in true_labels
                self._connect(level, at, place, above)
                self._write(number, level, at, place, is_true, n_characters)
            above = places
        kept = ", then ".join(f"{lv.kept.sum()} of {len(lv.nodes)}" for lv in levels)
        self.ax_.set_title(f"Beam search: {kept} nodes kept", fontsize=FONT)
        self.ax_.plot(-0.08, 0, "ko", markersize=5)
        self.ax_.set(xlim=(-0.1, n_levels - 1 + BAR), ylim=(0.4 - n_nodes, 0.5))
        return self

    def _connect(self, level, at, place, above):
        """The line to a node from its parent, if both can be seen."""
        start = above.get(int(level.parents[at]))
        if start is not None and level.kept[at]:
            x, y = (start[0], place[0] - 0.02), (start[1], place[1])
            self.ax_.plot(x, y, color="0.6", linewidth=0.8)

    def _write(self, number, level, at, place, is_true, n_characters):
        """A node's name, score, bar, and some labels of a group."""
        x, y = place
        node, kept = int(level.nodes[at]), level.kept[at]
        color = "C2" if is_true else "C0" if kept else "0.75"
        score = float(np.clip(level.scores[at], 0, 1))
        self.ax_.barh(y - 0.08, BAR, height=0.12, left=x, color="0.93")
        self.ax_.barh(y - 0.08, BAR * score, height=0.12, left=x, color=color)
        shown = score_text(level.scores[at], 3)
        name = shorten(self.path.name(number, node), n_characters - len(shown) - 2)
        style = {
            "color": "black" if kept else "0.45",
            "fontweight": "bold" if is_true else "normal",
            "fontsize": FONT,
        }
        self.texts_.append(as_it_is(self.ax_.text(x, y + 0.04, name, **style)))
        self.ax_.text(x + BAR, y + 0.04, shown, ha="right", **style)
        within = contents(level.n_labels[at], self.path.examples(number, node))
        within = shorten(within.strip(" ()"), n_characters * FONT // SMALL)
        style = {"va": "top", "fontsize": SMALL, "color": style["color"]}
        as_it_is(self.ax_.text(x, y - 0.16, within, **style))


class _Row:
    """A node of the plot: depth, parent, and which line it has."""

    def __init__(self, node, depth, parent, y):
        self.node, self.depth, self.parent, self.y = node, depth, parent, y


def _rows(outline):
    """All nodes to draw, each below its parent."""
    rows = []

    def visit(node, depth, parent):
        row = _Row(node, depth, parent, len(rows))
        rows.append(row)
        for child in node.children:
            visit(child, depth + 1, row)
        if node.children and node.n_hidden:
            more = OutlineNode(f"… {node.n_hidden:,} more", 0, 0)
            rows.append(_Row(more, depth + 1, row, len(rows)))

    visit(outline, 0, None)
    return rows


class _Layout:
    """Places of an outline's rows, in inches from the upper left corner."""

    def __init__(self, axes, rows):
        self.axes, self.width = axes, _inches(axes)
        self.lowest = {row.parent: row.y for row in rows}  # of the rows below each
        # Labels of groups begin at the same place for all groups of a level.
        self.name_width = {}
        for row in rows:
            width = CHARACTER * len(_title(row.node)) if row.node.examples else 0
            self.name_width[row.depth] = max(width, self.name_width.get(row.depth, 0))
        axes.set(xlim=(0, self.width), ylim=(len(rows) - 0.5, -0.75))

    def draw(self, row):
        """A node's text, some labels of a group, and the lines to it and below."""
        left, node = INDENT * row.depth, row.node
        if row.parent is not None:
            self.line([left - 0.7 * INDENT, left - 0.06], [row.y, row.y])
        if row in self.lowest:
            self.line([left + 0.3 * INDENT] * 2, [row.y + 0.4, self.lowest[row]])
        color = "black" if node.n_labels else "0.5"
        if node.examples and row.parent is not None:
            place = left + self.name_width[row.depth]
            self.write(place, row.y, "; ".join(node.examples), color="C0")
        return self.write(left, row.y, _title(node), color=color)

    def line(self, x, y):
        """A line between nodes."""
        self.axes.plot(x, y, color="0.7", linewidth=1, solid_capstyle="butt")

    def explain_groups(self, outline):
        """What the numbers are, behind the name of the root."""
        if outline.children and outline.children[0].examples:
            number = outline.children[0].name.removeprefix("group ")
            what = "level.number" if "." in number else "number"
            text = f"groups: {what} (of labels), some of the labels"
            left = CHARACTER * (len(_title(outline)) + 2)
            self.write(left, 0, text, color="0.5")

    def write(self, left, y, text, color):
        """A line of text, cut where the axes end."""
        text = shorten(text, max(int((self.width - left) / CHARACTER), 8))
        style = {"va": "center_baseline", "fontsize": FONT, "color": color}
        shown = as_it_is(self.axes.text(left, y, text, **style))
        shown.set_in_layout(False)  # or the layout would make room for odd glyphs
        return shown


def _title(node):
    """A group's name and size, or a label's name."""
    return f"{node.name} ({node.n_labels:,})" if node.examples else node.name


def _inches(axes):
    """Width of the axes, which are made to show no ticks."""
    axes.axis("off")
    engine = axes.figure.get_layout_engine()
    if engine is not None:
        engine.execute(axes.figure)
    return axes.get_window_extent().width / axes.figure.dpi
