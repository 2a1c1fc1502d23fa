"""Why a label was ranked where it was; what supports a label; labels like it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.inspection._classifier import as_row, find_classifier, one_instance
from sklearn_xmr.inspection._names import (
    Names,
    contents,
    group_name,
    label_number,
    resolve_names,
)
from sklearn_xmr.inspection._plotting import plot_contributions, score_text
from sklearn_xmr.utils._texts_and_names import check_names
from sklearn_xmr.utils._typing import Axes, Estimator, MatrixLike, NameList
from sklearn_xmr.utils._validation import check_array, check_count


@dataclass
class Step:
    """One level of the way to a label.

    Parameters
    ----------
    name : str
        Name of the group, or of the label.
    node : int
        Number in the level; the label on the last.
    n_labels : int
        Number of labels under the node.
    margin : float
        ``intercept`` and all contributions together.
    score : float
        Product of the steps' scores from the root down to here, each with the
        exponent that ``path_weight`` gives its level.
    rank : int
        Place among the siblings, 1 for the best.
    n_siblings : int
        Number of siblings, the node included.
    intercept : float
        The part of the margin that does not depend on the instance.
    features : list of (str, float, float)
        Name, value in the instance, and contribution (value times weight) of each
        feature of the instance that the node has a weight for, largest first.
    examples : list of str
        Names of some labels of a group: those with the largest intercepts, mostly
        common ones.
    """

    name: str
    node: int
    n_labels: int
    margin: float
    score: float
    rank: int
    n_siblings: int
    intercept: float
    features: list
    examples: list = field(default_factory=list)


class Explanation:
    """Why a label has its score: what :func:`explain` returns.

    Parameters
    ----------
    label : int
        Column of Y.
    name : str
        Name of the label.
    steps : list of Step
        The levels of the tree, from the root down.

    See Also
    --------
    explain : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr import LabelTree, XRLinearClassifier
    >>> from sklearn_xmr.inspection import explain
    >>> clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1, 1]))
    >>> clf = clf.fit(np.eye(4), np.eye(4, dtype=int))
    >>> explanation = explain(clf, np.eye(4)[:1], 0)
    >>> [step.name for step in explanation.steps]
    ['group 0', '0']
    """

    def __init__(self, label: int, name: str, steps: Sequence[Any]) -> None:
        self.label, self.name, self.steps = label, name, steps

    @property
    def score(self) -> float:
        """Score of the label, without logarithm and ``label_weight`` (float)."""
        return self.steps[-1].score

    def to_dict(self) -> dict[str, Any]:
        """All of it as lists and numbers, for JSON.

        Returns
        -------
        dict
            With "label", "name", "score" and "steps", a list of dicts.
        """
        steps = [
            vars(step)
            | {
                "features": [
                    {"name": name, "value": value, "contribution": contribution}
                    for name, value, contribution in step.features
                ]
            }
            for step in self.steps
        ]
        return {
            "label": self.label,
            "name": self.name,
            "score": self.score,
            "steps": steps,
        }

    def to_text(self, n_features: int = 5) -> str:
        """A few lines for each level.

        Parameters
        ----------
        n_features : int, default=5
            Maximum number of features to show for each level.

        Returns
        -------
        str
            The score, and for each level its group and largest contributions.
        """
        lines = [f"{self.name}: score {score_text(self.score)}"]
        for step in self.steps:
            within = contents(step.n_labels, step.examples)
            lines.append(
                f"  {step.name}{within}: {step.rank} of {step.n_siblings}, "
                f"margin {step.margin:+.2f}, score {score_text(step.score)}"
            )
            for name, _, contribution in step.features[:n_features]:
                lines.append(f"    {contribution:+.3f}  {name}")
            lines.append(f"    {step.intercept:+.3f}  (intercept)")
        return "\n".join(lines)

    def plot(self, *, n_features: int = 8, axes: Axes = None) -> np.ndarray:
        """Draw bars of the largest contributions, a panel for each level.

        Parameters
        ----------
        n_features : int, default=8
            Maximum number of features to show for each level.
        axes : array of matplotlib Axes, default=None
            Where to draw, one for each level; a new figure by default.

        Returns
        -------
        ndarray of matplotlib Axes
            One for each level.

        Raises
        ------
        ValueError
            If ``axes`` are not one for each level.
        """
        return plot_contributions(self, n_features, axes)

    def __repr__(self):
        return f"Explanation({self.name!r}, score={score_text(self.score)})"

    def __str__(self):
        return self.to_text()


def explain(
    estimator: Estimator,
    X: MatrixLike,
    label: int | str,
    *,
    feature_names: NameList | None = None,
    label_names: NameList | None = None,
) -> Explanation:
    """Explain the score of a label for one instance, level by level.

    A label's score is the product of the scores that the linear models on the way to it
    give, where upper levels count less (``path_weight``). The margin of each is a sum
    over the features of the instance, shown exactly.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted. Features have their names from the steps before it.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes.
    label : int or str
        Column of Y, or one of ``label_names``.
    feature_names : sequence of str, default=None
        Names of the features that the classifier sees, where the pipeline does not
        know them.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    Explanation
        With ``to_text``, ``to_dict`` and ``plot``.

    Raises
    ------
    TypeError
        If ``estimator`` does not end in an XRLinearClassifier.
    ValueError
        If X holds more than one instance, there is no such label, or names are too few.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.inspection import explain
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> Y = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, Y)
    >>> names = ["red", "blue", "bird", "fish"]
    >>> explanation = explain(model, ["red bird"], "red", label_names=names)
    >>> name, value, contribution = explanation.steps[0].features[0]
    >>> name
    'red'
    """
    clf, X = one_instance(estimator, X)
    names = resolve_names(estimator, clf, feature_names, label_names)
    label = label_number(label, names, clf.n_labels_)
    return explain_label(clf, as_row(X), label, names)


def explain_label(clf, row, label, names):
    """The explanation of a label's score for one checked instance.

    Parameters
    ----------
    clf : XRLinearClassifier
        Fitted.
    row : csr_matrix of shape (1, n_features)
        The instance, with dense features as the last columns.
    label : int
        Column of Y.
    names : Names
        Names of features and labels.

    Returns
    -------
    Explanation
    """
    of_paths, last = clf.scoring_rule.of_paths, clf.model_.tree.n_levels - 1
    score, steps = 1.0, []
    for level, edge in enumerate(_ancestors(clf.model_.tree, label)):
        score_of = partial(of_paths, score, n_below=last - level)
        step = _step(clf.model_, row, level, edge, names, score_of)
        score = step.score
        steps.append(step)
    return Explanation(label, names.label(label), steps)


def _ancestors(tree, label):
    """Parent and node on each level, from the root down to a label."""
    place = int(np.flatnonzero(tree.label_order == label)[0])
    nodes = [place]
    for offsets in tree.offsets[:0:-1]:
        nodes.append(int(np.searchsorted(offsets, nodes[-1], side="right")) - 1)
    nodes.append(0)
    return [(parent, node) for node, parent in pairwise(nodes)][::-1]


def _step(model, row, level, edge, names, score_of):
    """What the models of a parent's children give for one of them."""
    tree, (parent, node) = model.tree, edge
    weights, intercepts = model.child_weights(level, [parent])
    margins = (weights @ row.T).toarray().ravel() + intercepts
    place = int(node - tree.offsets[level][parent])
    last = level == tree.n_levels - 1
    own = int(tree.label_order[node]) if last else node
    labels = tree.labels_under(level, node)
    return Step(
        name=names.label(own) if last else group_name(tree, level, node),
        node=own,
        n_labels=len(labels),
        margin=float(margins[place]),
        score=float(score_of(margins[place])),
        rank=int((margins > margins[place]).sum()) + 1,
        n_siblings=len(margins),
        intercept=float(intercepts[place]),
        features=_contributions(weights[place], row, names),
        examples=[] if last else names.examples(labels, 3),
    )


def _contributions(weights, row, names):
    """(name, value, value times weight), largest first."""
    products = sparse.csr_matrix(weights.multiply(row))
    order = np.argsort(-np.abs(products.data), kind="stable")
    values = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
    return [
        (names.feature(feature), values[feature], float(contribution))
        for feature, contribution in zip(
            products.indices[order].tolist(), products.data[order], strict=True
        )
        if contribution
    ]


def top_features(
    estimator: Estimator,
    label: int | str,
    n_features: int = 10,
    *,
    feature_names: NameList | None = None,
    label_names: NameList | None = None,
) -> list[tuple[str, float]]:
    """The features that support a label most, against its siblings in the tree.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted.
    label : int or str
        Column of Y, or one of ``label_names``.
    n_features : int, default=10
        Maximum number of features.
    feature_names : sequence of str, default=None
        Names of the features that the classifier sees, where the pipeline does not
        know them.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    list of (str, float)
        Names and weights, largest first; positive weights only.

    Raises
    ------
    TypeError
        If ``estimator`` does not end in an XRLinearClassifier.
    ValueError
        If there is no such label, or names are too few.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.inspection import top_features
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> Y = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, Y)
    >>> name, weight = top_features(model, 3)[0]
    >>> name
    'fish'
    """
    check_count(n_features, "n_features")
    clf = find_classifier(estimator)
    names = resolve_names(estimator, clf, feature_names, label_names)
    label = label_number(label, names, clf.n_labels_)
    tree = clf.model_.tree
    parent, place = _ancestors(tree, label)[-1]
    weights, _ = clf.model_.child_weights(tree.n_levels - 1, [parent])
    own = weights[place - int(tree.offsets[-1][parent])]
    order = np.argsort(-own.data, kind="stable")[:n_features]
    return [
        (names.feature(own.indices[at]), float(own.data[at]))
        for at in order
        if own.data[at] > 0
    ]


def nearest_labels(
    estimator: Estimator | MatrixLike,
    label: int | str,
    n_labels: int = 10,
    *,
    label_names: NameList | None = None,
) -> list[tuple[int, str, float]]:
    """The labels most like a label.

    Parameters
    ----------
    estimator : XRLinearClassifier, pipeline, search or matrix of label vectors
        In a fitted model, labels are compared by the weights that separate them from
        their siblings in the tree; a matrix has a row for each label, as
        :func:`sklearn_xmr.label_representation` makes it.
    label : int or str
        Column of Y, or one of ``label_names``.
    n_labels : int, default=10
        Maximum number of labels; the label itself is not among them.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    list of (int, str, float)
        Number, name and cosine, most similar first; positive cosines only.

    Raises
    ------
    TypeError
        If ``estimator`` is neither a matrix nor ends in an XRLinearClassifier.
    ValueError
        If there is no such label, or names are too few.

    Notes
    -----
    The weights are those of the labels alone. With those of the groups above, which are
    larger, labels that share a group would be near: in Tate's subjects "sea" would be
    next to a canal, a castle and a river instead of "wave", "coast" and "beach".

    Examples
    --------
    >>> from sklearn_xmr.inspection import nearest_labels
    >>> vectors = [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    >>> [(n, name) for n, name, _ in nearest_labels(vectors, 0, label_names="abc")]
    [(1, 'b')]
    """
    check_count(n_labels, "n_labels")
    vectors, names = _vectors_and_names(estimator, label_names)
    label = label_number(label, names, vectors.shape[0])
    vectors = normalize(vectors)
    cosines = (vectors @ vectors[label].T).toarray().ravel()
    cosines[label] = 0
    order = np.argsort(-cosines, kind="stable")[:n_labels]
    return [
        (int(other), names.label(other), float(cosines[other]))
        for other in order
        if cosines[other] > 0
    ]


def _vectors_and_names(source, label_names):
    """Label vectors as CSR, of a model or as they are, and names of the labels."""
    vectors = label_vectors_of(source, "estimator")
    if _is_matrix(source):
        names = check_names(label_names, vectors.shape[0], "label_names")
        return vectors, Names(labels=names)
    return vectors, resolve_names(source, find_classifier(source), None, label_names)


def label_vectors_of(source, name="label_vectors"):
    """Label vectors as CSR, of a model or as they are.

    Parameters
    ----------
    source : {array-like, sparse matrix} of shape (n_labels, n_features) or estimator
        What the user gave: vectors, or an estimator with an XRLinearClassifier.
    name : str, default="label_vectors"
        Name of the argument in errors.

    Returns
    -------
    csr_matrix of float32 of shape (n_labels, n_features)
    """
    if not _is_matrix(source):
        return find_classifier(source).model_.label_weights()
    given = check_array(source, accept_sparse="csr", dtype=np.float32, input_name=name)
    return sparse.csr_matrix(given)


def _is_matrix(source):
    return sparse.issparse(source) or isinstance(source, (list, tuple, np.ndarray))
