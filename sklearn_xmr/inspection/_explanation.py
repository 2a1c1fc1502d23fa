"""Why a label was ranked where it was; what speaks for a label; labels like it."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.inspection._tree_model import (
    Names,
    ancestors,
    as_row,
    child_weights,
    classifier_of,
    group_name,
    names_of,
    one_row,
    path_scores,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils.validation import check_k


@dataclass
class Step:
    """One level of the way to a label.

    Parameters
    ----------
    name : str
        The group's, or the label's.
    node : int
        Number in the level; the label on the last.
    n_labels : int
        Labels under the node.
    margin : float
        ``intercept`` and all contributions together.
    score : float
        Product of the steps' scores from the root down to here.
    rank : int
        Place among the siblings, 1 for the best.
    n_siblings : int
        How many there are, the node included.
    intercept : float
    features : list of (str, float, float)
        Name, value in the instance, and contribution (value times weight) of each
        feature of the instance that the node has a weight for, largest first.
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


class Explanation:
    """Why a label has its score: what :func:`explain` returns.

    Parameters
    ----------
    label : int
        Column of Y.
    name : str
        The label's.
    steps : list of Step
        From the root down.

    Attributes
    ----------
    label, name, steps
        As given.
    score : float
        As ``post_processor`` makes it, without logarithm and ``label_weight``.

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

    def __init__(self, label, name, steps):
        self.label, self.name, self.steps = label, name, steps

    @property
    def score(self):
        """Score of the whole path (float)."""
        return self.steps[-1].score

    def to_dict(self):
        """All of it as lists and numbers, for JSON.

        Returns
        -------
        dict
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

    def to_text(self, n_features=5):
        """A few lines for each level.

        Parameters
        ----------
        n_features : int, default=5
            Features to show of each level.

        Returns
        -------
        str
        """
        lines = [f"{self.name}: score {self.score:.4f}"]
        for step in self.steps:
            size = f", {step.n_labels} labels" if step.n_labels > 1 else ""
            lines.append(
                f"  {step.name}{size}: {step.rank} of {step.n_siblings}, "
                f"margin {step.margin:+.2f}, score {step.score:.4f}"
            )
            for name, _, contribution in step.features[:n_features]:
                lines.append(f"    {contribution:+.3f}  {name}")
            lines.append(f"    {step.intercept:+.3f}  (intercept)")
        return "\n".join(lines)

    def plot(self, *, n_features=8, axes=None):
        """Bars of the largest contributions, a panel for each level.

        Parameters
        ----------
        n_features : int, default=8
            Features to show of each level.
        axes : array of matplotlib Axes, default=None
            One for each level.

        Returns
        -------
        ndarray of matplotlib Axes
        """
        from sklearn_xmr.inspection._plotting import plot_contributions

        return plot_contributions(self, n_features, axes)

    def __repr__(self):
        return f"Explanation({self.name!r}, score={self.score:.4f})"

    def __str__(self):
        return self.to_text()


def explain(estimator, X, label, *, feature_names=None, label_names=None):
    """Explain the score of a label for one instance, level by level.

    A label's score is the product of what the linear models on the way to it say. Each
    model's margin is a sum over the features of the instance, given exactly.

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
    ValueError
        If X holds more than one instance, or there is no such label.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
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
    clf, X = one_row(estimator, X)
    names = names_of(estimator, feature_names, label_names)
    return explain_label(clf, as_row(X), column_of(clf, label, names), names)


def explain_label(clf, row, label, names):
    """The explanation of one checked instance's label."""
    score, steps = 1.0, []
    for level, (parent, node) in enumerate(ancestors(clf.tree_, label)):
        step = _step(clf, row, level, parent, node, score, names)
        score = step.score
        steps.append(step)
    return Explanation(label, names.label(label), steps)


def _step(clf, row, level, parent, node, above, names):
    """What the models of a parent's children say."""
    tree = clf.tree_
    weights, intercepts = child_weights(clf, level, [parent])
    margins = (weights @ row.T).toarray().ravel() + intercepts
    place = int(node - tree.offsets[level][parent])
    last = level == tree.n_levels - 1
    own = int(tree.label_order[node]) if last else node
    return Step(
        name=names.label(own) if last else group_name(tree, level, node),
        node=own,
        n_labels=len(tree.labels_under(level, node)),
        margin=float(margins[place]),
        score=float(path_scores(clf, above, margins[place])),
        rank=int((margins > margins[place]).sum()) + 1,
        n_siblings=len(margins),
        intercept=float(intercepts[place]),
        features=_contributions(weights[place], row, names),
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
    estimator, label, n_features=10, *, feature_names=None, label_names=None
):
    """The features that speak most for a label, against its siblings in the tree.

    Parameters
    ----------
    estimator : XRLinearClassifier, or a pipeline or search that ends in one
        Fitted.
    label : int or str
        Column of Y, or one of ``label_names``.
    n_features : int, default=10
        At most so many.
    feature_names, label_names : sequence of str, default=None
        As of :func:`explain`.

    Returns
    -------
    list of (str, float)
        Names and weights, largest first; positive weights only.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
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
    check_k(n_features)
    clf, names = (
        classifier_of(estimator),
        names_of(estimator, feature_names, label_names),
    )
    label = column_of(clf, label, names)
    parent, place = ancestors(clf.tree_, label)[-1]
    weights, _ = child_weights(clf, clf.tree_.n_levels - 1, [parent])
    own = weights[place - int(clf.tree_.offsets[-1][parent])]
    order = np.argsort(-own.data, kind="stable")[:n_features]
    return [
        (names.feature(own.indices[at]), float(own.data[at]))
        for at in order
        if own.data[at] > 0
    ]


def nearest_labels(estimator, label, n_labels=10, *, label_names=None):
    """The labels most like a label.

    Parameters
    ----------
    estimator : XRLinearClassifier, pipeline, search or matrix of label vectors
        Of a fitted model, labels are compared by the weights that tell them from their
        siblings in the tree; a matrix has a row for each label, as
        :func:`sklearn_xmr.label_representation` makes it.
    label : int or str
        Column of Y, or one of ``label_names``.
    n_labels : int, default=10
        At most so many; the label itself is not among them.
    label_names : sequence of str, default=None
        Names of the columns of Y.

    Returns
    -------
    list of (int, str, float)
        Number, name and cosine, most similar first; positive cosines only.

    Examples
    --------
    >>> from sklearn_xmr.inspection import nearest_labels
    >>> vectors = [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    >>> [(n, name) for n, name, _ in nearest_labels(vectors, 0, label_names="abc")]
    [(1, 'b')]
    """
    check_k(n_labels)
    if sparse.issparse(estimator) or isinstance(estimator, (list, np.ndarray)):
        vectors = sparse.csr_matrix(estimator, dtype=np.float32)
        names = _names_of_vectors(vectors, label_names)
    else:
        clf = classifier_of(estimator)
        vectors, names = label_vectors(clf), names_of(estimator, None, label_names)
    label = column_of(vectors, label, names)
    vectors = normalize(vectors)
    cosines = (vectors @ vectors[label].T).toarray().ravel()
    cosines[label] = 0
    order = np.argsort(-cosines, kind="stable")[:n_labels]
    return [
        (int(other), names.label(other), float(cosines[other]))
        for other in order
        if cosines[other] > 0
    ]


def label_vectors(clf):
    """Each label's own weights.

    With those of the groups above, which are larger, labels are near that share a
    group: on tate "sea" is next to a canal, a castle and a river instead of "wave",
    "coast" and "beach".

    Returns
    -------
    csr_matrix of float32 of shape (n_labels, n_features)
    """
    weights = clf.weights_[-1]
    own = weights.to_csr()
    if clf.n_dense_features_:
        own = sparse.hstack([own, weights.dense_weights()], format="csr")
    return own[clf.tree_.node_of_label(clf.tree_.n_levels - 1)]


def column_of(model, label, names):
    """Number of a label, given by number or name."""
    known = isinstance(model, XRLinearClassifier)
    n_labels = model.n_labels_ if known else model.shape[0]
    if isinstance(label, str):
        found = [] if names.labels is None else list(names.labels)
        if label not in found:
            raise ValueError(f"label {label!r} is none of label_names")
        return found.index(label)
    if not isinstance(label, (int, np.integer)) or not 0 <= label < n_labels:
        raise ValueError(
            f"label must be a column of Y, 0 to {n_labels - 1}, or one of label_names, "
            f"got {label!r}"
        )
    return int(label)


def _names_of_vectors(vectors, label_names):
    if label_names is not None and len(label_names) != vectors.shape[0]:
        raise ValueError(
            f"label_names must hold a name for each of the {vectors.shape[0]} labels, "
            f"got {len(label_names)}"
        )
    return Names(labels=label_names)
