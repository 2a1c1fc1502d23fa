"""Self-contained pages: a label tree to click through, one prediction's path."""

import json
import re
import tempfile
import webbrowser
from collections.abc import Collection
from importlib import resources
from pathlib import Path

from numpy.typing import ArrayLike

from sklearn_xmr.inspection._classifier import as_row, one_instance
from sklearn_xmr.inspection._explanation import explain_label
from sklearn_xmr.inspection._names import label_number, resolve_names
from sklearn_xmr.inspection._outline import outline_of
from sklearn_xmr.inspection._search_path import follow
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList, PathOrStr
from sklearn_xmr.utils._validation import check_count
from sklearn_xmr.utils._whole_file import whole_file

TEMPLATES = resources.files("sklearn_xmr.inspection") / "templates"


class HTMLView:
    """A page that shows itself in a notebook, in a file or in a browser.

    What :func:`view_label_tree` and :func:`view_search_path` return.

    Parameters
    ----------
    html : str
        The page; it needs nothing else.

    Examples
    --------
    >>> from sklearn_xmr import LabelTree
    >>> from sklearn_xmr.inspection import view_label_tree
    >>> view = view_label_tree(LabelTree.flat(3), open_browser=False)
    >>> view.html[:15]
    '<!DOCTYPE html>'
    """

    def __init__(self, html: str) -> None:
        self.html = html

    def save(self, path: PathOrStr) -> Path:
        """Write the page.

        Parameters
        ----------
        path : path-like
            Where to write it.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        OSError
            If it cannot be written; what was there stays.
        """
        path = Path(path)
        with whole_file(path) as file:
            file.write(self.html.encode())
        return path

    def open(self, path: PathOrStr | None = None) -> Path:
        """Write the page and open it in the browser.

        Parameters
        ----------
        path : path-like, default=None
            Where to write it; a new temporary file by default.

        Returns
        -------
        Path
            Of the file.
        """
        if path is None:
            folder = tempfile.mkdtemp(prefix="sklearn_xmr_")
            path = Path(folder) / "view.html"
        path = self.save(path)
        webbrowser.open(path.resolve().as_uri())
        return path

    def _repr_html_(self):
        """A frame of its own: styles do not mix with the notebook's."""
        page = self.html.replace("&", "&amp;").replace('"', "&quot;")
        return (
            f'<iframe srcdoc="{page}" width="100%" height="520" '
            'style="border: 1px solid #ccc"></iframe>'
        )

    def __repr__(self):
        return f"HTMLView({len(self.html):,} characters)"


def view_label_tree(
    estimator: Estimator,
    *,
    label_names: NameList | None = None,
    label_counts: ArrayLike | None = None,
    path: PathOrStr | None = None,
    open_browser: bool = True,
) -> "HTMLView":
    """Show a label tree in the browser: open groups, search labels by name.

    Parameters
    ----------
    estimator : LabelTree, fitted estimator with ``tree_``, pipeline or search
        What has the tree.
    label_names : sequence of str, default=None
        Names of the labels; numbers by default.
    label_counts : array-like of shape (n_labels,), default=None
        Positives of each label: shown, and groups ordered by them.
    path : path-like, default=None
        Where to write the page; a temporary file by default.
    open_browser : bool, default=True
        False writes the page to ``path``, if given, and opens nothing: for notebooks,
        which show what this function returns.

    Returns
    -------
    HTMLView
        The page.

    Raises
    ------
    TypeError
        If ``estimator`` has no label tree.
    ValueError
        If names or counts are not one for each label.

    Examples
    --------
    >>> from sklearn_xmr import LabelTree
    >>> from sklearn_xmr.inspection import view_label_tree
    >>> tree = LabelTree.from_labels([0, 1, 0])
    >>> view = view_label_tree(
    ...     tree, label_names=["ant", "bee", "asp"], open_browser=False)
    >>> "asp" in view.html
    True
    """
    outline = outline_of(estimator, label_names, label_counts, n_examples=6)
    data = {"root": _plain(outline), "counted": label_counts is not None}
    return _shown("label_tree.html", data, path, open_browser)


def view_search_path(
    estimator: Estimator,
    X: MatrixLike,
    *,
    k: int = 5,
    label_names: NameList | None = None,
    feature_names: NameList | None = None,
    true_labels: Collection[int] = (),
    n_nodes: int = 30,
    path: PathOrStr | None = None,
    open_browser: bool = True,
) -> "HTMLView":
    """Show one instance's path through the label tree in the browser.

    Each level with the groups that were kept and dropped, their scores, and for the k
    best labels (and the true ones) which features supported them.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes; a text is shown.
    k : int, default=5
        Number of labels that count as kept.
    label_names : sequence of str, default=None
        Names of the columns of Y.
    feature_names : sequence of str, default=None
        Names of the features that the classifier sees, where the pipeline does not
        know them.
    true_labels : collection of int or str, default=()
        Columns of Y that are right, or their names: marked.
    n_nodes : int, default=30
        Maximum number of nodes to show for each level, the best.
    path : path-like, default=None
        Where to write the page; a temporary file by default.
    open_browser : bool, default=True
        False writes the page to ``path``, if given, and opens nothing.

    Returns
    -------
    HTMLView
        The page.

    Raises
    ------
    TypeError
        If ``estimator`` does not end in an XRLinearClassifier.
    ValueError
        If X holds more than one instance, a label does not exist, k is no positive
        integer, or names are too few.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr import LabelTree, XRLinearClassifier
    >>> from sklearn_xmr.inspection import view_search_path
    >>> clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1, 1]))
    >>> clf = clf.fit(np.eye(4), np.eye(4, dtype=int))
    >>> view = view_search_path(clf, np.eye(4)[:1], open_browser=False)
    >>> "group 0" in view.html
    True
    """
    check_count(k, "k")
    clf, instance = one_instance(estimator, X)
    names = resolve_names(estimator, clf, feature_names, label_names)
    data = follow(clf, instance, k, names).to_dict()
    best = [row["node"] for row in data["levels"][-1] if row["kept"]]
    data["true"] = [label_number(each, names, clf.n_labels_) for each in true_labels]
    row, shown = as_row(instance), dict.fromkeys([*best, *data["true"]])
    data["explanations"] = {
        label: explain_label(clf, row, label, names).to_dict() for label in shown
    }
    data["levels"] = [level[:n_nodes] for level in data["levels"]]
    data["text"] = text_of(X)
    return _shown("search_path.html", data, path, open_browser)


def text_of(X):
    """The only text of a sequence, whatever its index, or None."""
    if getattr(X, "ndim", 1) != 1:
        return None
    first = next(iter(X))
    return str(first) if isinstance(first, str) else None


def _plain(node):
    """An outline as nested dicts with short keys: pages hold thousands."""
    out = {"n": node.name, "l": node.n_labels, "w": node.weight}
    if node.children:
        out["c"] = [_plain(child) for child in node.children]
        out["e"] = node.examples
    return out


def _shown(template, data, path, open_browser):
    return keep_page(HTMLView(filled_page(template, data)), path, open_browser)


def filled_page(template, data):
    """A page of a template and what it is to show.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    data : dict
        What JSON holds.

    Returns
    -------
    str
        HTML.
    """
    page = (TEMPLATES / template).read_text(encoding="utf-8")
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    # "</" would end the script that holds the data, "<!--" turn it into a comment.
    inside = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    # Halves of characters outside of the basic plane: UTF-8 cannot hold them alone.
    inside = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", inside)
    return page.replace("/* STYLE */", style).replace("/* DATA */null", inside)


def keep_page(view, path, open_browser):
    """The view, opened in the browser or written where the user wants it."""
    if open_browser:
        view.open(path)
    elif path is not None:
        view.save(path)
    return view
