"""The answers for one instance where they stand in a thesaurus, as text and page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sklearn_xmr.inspection._html import HTMLView, filled_page, keep_page, text_of
from sklearn_xmr.inspection._names import known_label_names
from sklearn_xmr.inspection._plotting import score_text
from sklearn_xmr.preprocessing import Thesaurus
from sklearn_xmr.utils._response import (
    inner_estimator,
    missing_label,
    predict_topk,
)
from sklearn_xmr.utils._sklearn import num_samples
from sklearn_xmr.utils._typing import Estimator, MatrixLike, PathOrStr
from sklearn_xmr.utils._validation import check_count


@dataclass
class TermNode:
    """A concept among the answers, or above one.

    Parameters
    ----------
    id : str
        Identifier.
    name : str
        Name in the language asked for.
    score : float or None
        None for a concept that is no answer.
    is_true : bool
        Whether it is a true label.
    narrower : list of TermNode
        The concepts below, best first; of one that is shown in several places, in the
        first of them.
    best : float
        The largest score of it and what is below.
    """

    id: str
    name: str
    score: float | None
    is_true: bool
    narrower: list = field(default_factory=list)
    best: float = -np.inf

    def to_dict(self):
        """The concept and those below as dicts, for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "score": self.score,
            "true": self.is_true,
            "narrower": [node.to_dict() for node in self.narrower],
        }

    def lines(self, depth=0):
        """A line for it and each concept below (list of str)."""
        score = "" if self.score is None else score_text(self.score)
        mark = " ✓" if self.is_true else ""
        below = [line for node in self.narrower for line in node.lines(depth + 1)]
        return [f"{score:6}  {'  ' * depth}{self.name}{mark}", *below]


class ThesaurusView(HTMLView):
    """Answers in their thesaurus: a page, and text where it is printed.

    What :func:`view_in_thesaurus` returns.

    Parameters
    ----------
    html : str
        The page; it needs nothing else.
    terms : list of TermNode
        The broadest concepts, best first.

    Examples
    --------
    >>> from sklearn_xmr import Thesaurus, XRLinearClassifier
    >>> from sklearn_xmr.inspection import view_in_thesaurus
    >>> thesaurus = Thesaurus.from_paths(["animal > cat", "plant > oak"])
    >>> clf = XRLinearClassifier().fit([[1.0, 0], [0, 1.0]], [[1, 0], [0, 1]])
    >>> view = view_in_thesaurus(clf, [[1.0, 0]], thesaurus, k=1, open_browser=False)
    >>> [line.split() for line in str(view).splitlines()][0]
    ['animal']
    """

    def __init__(self, html: str, terms: Sequence[Any]) -> None:
        super().__init__(html)
        self._terms = list(terms)

    def to_dict(self) -> list[dict[str, Any]]:
        """What is shown as lists, strings and numbers, for JSON.

        Returns
        -------
        list of dict
            The broadest concepts with "id", "name", "score" (None for a concept that
            is no answer), "true" and "narrower", a list of such.
        """
        return [node.to_dict() for node in self._terms]

    def __str__(self):
        return "\n".join(line for node in self._terms for line in node.lines())

    def __repr__(self):
        return f"ThesaurusView({len(str(self).splitlines())} terms)"


def view_in_thesaurus(
    estimator: Estimator,
    X: MatrixLike,
    thesaurus: Thesaurus | None = None,
    *,
    k: int = 5,
    language: str | Sequence[str] | None = None,
    true_labels: Collection[int | str] = (),
    path: PathOrStr | None = None,
    open_browser: bool = True,
) -> ThesaurusView:
    """Show the best labels of one instance in the thesaurus, with the terms above them.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        Any fitted classifier that :func:`sklearn_xmr.predict_topk` takes.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes; a text is shown.
    thesaurus : Thesaurus, default=None
        None: that of an :class:`XRHierarchyClassifier`. Labels with names, such as
        those of :class:`LabelNamesClassifier`, are looked up among its identifiers;
        others are columns of Y, and column j is its concept j.
    k : int, default=5
        Number of labels.
    language : str or sequence of str, default=None
        Languages of names in the order of preference, see :meth:`Thesaurus.names`.
    true_labels : collection of int or str, default=()
        Columns of Y that are right, or identifiers: marked, and shown in any case.
    path : path-like, default=None
        Where to write the page; a temporary file by default.
    open_browser : bool, default=True
        False writes the page to ``path``, if given, and opens nothing: for notebooks,
        which show what this function returns, and for ``print``.

    Returns
    -------
    ThesaurusView
        The page; ``print`` shows it as text.

    Raises
    ------
    TypeError
        If there is no thesaurus.
    ValueError
        If X holds more than one instance, a label is no concept, k is no positive
        integer, or there are no names in a language.

    Examples
    --------
    >>> from sklearn_xmr import Thesaurus, XRLinearClassifier
    >>> from sklearn_xmr.inspection import view_in_thesaurus
    >>> thesaurus = Thesaurus.from_paths(["animal > cat", "plant > oak"])
    >>> clf = XRLinearClassifier().fit([[1.0, 0], [0, 1.0]], [[1, 0], [0, 1]])
    >>> view = view_in_thesaurus(clf, [[1.0, 0]], thesaurus, open_browser=False)
    >>> [term["name"] for term in view.to_dict()]
    ['animal', 'plant']
    """
    check_count(k, "k")
    if thesaurus is None:
        thesaurus = getattr(inner_estimator(estimator), "thesaurus_", None)
    if not isinstance(thesaurus, Thesaurus):
        raise TypeError(
            "thesaurus must be a Thesaurus, unless the estimator is an "
            f"XRHierarchyClassifier that has one, got {type(thesaurus).__name__}"
        )
    if num_samples(X) != 1:
        raise ValueError(
            f"X must hold one instance, got {num_samples(X)}; take a row, as X[3:4] or "
            "texts[3:4]"
        )
    scores = _best_concepts(estimator, X, thesaurus, k)
    true = {_concept(label, thesaurus) for label in true_labels}
    terms = _Builder(thesaurus, scores, true, language).roots()
    data = {"terms": [node.to_dict() for node in terms], "text": text_of(X)}
    page = filled_page("thesaurus.html", data)
    return keep_page(ThesaurusView(page, terms), path, open_browser)


def _best_concepts(estimator, X, thesaurus, k):
    """Score of each of the k best concepts, by number."""
    labels, scores = predict_topk(estimator, X, k)
    missing = missing_label(labels)
    found = [label for label in labels[0] if label != missing]
    known = known_label_names(estimator)
    if labels.dtype.kind != "i":
        concepts = thesaurus.positions(found).tolist()
    elif known is not None and set(known) <= set(thesaurus.ids):
        concepts = thesaurus.positions(known[found]).tolist()
    else:
        concepts = [_concept(label, thesaurus) for label in found]
    return dict(zip(concepts, scores[0][: len(found)].tolist(), strict=True))


def _concept(label, thesaurus):
    """Number of a label, given by column or identifier."""
    if isinstance(label, str):
        return int(thesaurus.positions([label])[0])
    if not 0 <= label < thesaurus.n_concepts:
        raise ValueError(
            f"labels must be concepts, 0 to {thesaurus.n_concepts - 1}, found {label}"
        )
    return int(label)


class _Builder:
    """Makes nodes of the concepts that are to be seen and what is above them."""

    def __init__(self, thesaurus, scores, true, language):
        self.ids, self.names = thesaurus.ids, thesaurus.names(language)
        self.scores, self.true = scores, true
        wanted = np.array(sorted({*scores, *true}), dtype=np.int64)
        self.seen = np.unique(thesaurus.closure[wanted].indices).tolist()
        self.narrower = {number: [] for number in self.seen}
        broader = thesaurus.broader
        self.above = {n: broader[[n]].indices.tolist() for n in self.seen}
        for number, above in self.above.items():
            for one in above:
                self.narrower[one].append(number)
        self.done = set()

    def roots(self):
        """The broadest of the concepts, with all below, best first."""
        return self._sorted(n for n in self.seen if not self.above[n])

    def _sorted(self, numbers):
        nodes = [self._node(number) for number in numbers]
        return sorted(nodes, key=lambda node: -node.best)

    def _node(self, number):
        score = self.scores.get(number)
        node = TermNode(
            str(self.ids[number]), self.names[number], score, number in self.true
        )
        if number not in self.done:
            self.done.add(number)
            node.narrower = self._sorted(self.narrower[number])
        own = -np.inf if score is None else score
        node.best = max([own, *(below.best for below in node.narrower)])
        return node
