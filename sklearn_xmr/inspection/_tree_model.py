"""A fitted label tree model, one instance and the names of features and labels."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.linear._prediction import COMBINERS
from sklearn_xmr.linear._splicing import take_parents
from sklearn_xmr.metrics._scorer import last_estimator, last_step
from sklearn_xmr.utils.hybrid import as_hybrid


@dataclass
class Names:
    """Names of features and labels; numbers stand for what has no name."""

    features: object = None
    labels: object = None

    def feature(self, number):
        """Name of a feature (str)."""
        if self.features is None or number >= len(self.features):
            return f"x{number}"
        return str(self.features[number])

    def label(self, number):
        """Name of a label (str)."""
        return str(number if self.labels is None else self.labels[number])


def classifier_of(estimator):
    """The fitted XR-Linear model in a pipeline or search.

    Raises
    ------
    TypeError
        If there is none.
    """
    estimator = last_estimator(estimator)
    if not isinstance(estimator, XRLinearClassifier):
        raise TypeError(
            "estimator must be an XRLinearClassifier, or a pipeline or search that "
            f"ends in one, got {type(estimator).__name__}; of an ensemble or a "
            "stack, take one of its trees (estimators_[0])"
        )
    check_is_fitted(estimator)
    return estimator


def names_of(estimator, feature_names, label_names):
    """Names as given, or of the features as the estimator knows them."""
    clf = classifier_of(estimator)
    if feature_names is None:
        feature_names = _known_feature_names(estimator)
    if label_names is None and not clf._multilabel:
        label_names = clf.classes_
    for names, wanted, what in (
        (feature_names, clf.n_features_in_, "feature"),
        (label_names, clf.n_labels_, "label"),
    ):
        if names is not None and len(names) != wanted:
            raise ValueError(
                f"{what}_names must hold a name for each of the {wanted} {what}s, got "
                f"{len(names)}"
            )
    return Names(feature_names, label_names)


def _known_feature_names(estimator):
    """What the steps before the classifier call their output, or None."""
    if hasattr(estimator, "best_estimator_"):
        return _known_feature_names(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        if len(estimator.steps) == 1:
            return _known_feature_names(estimator[-1])
        try:
            return estimator[:-1].get_feature_names_out()
        except (AttributeError, ValueError):
            return None
    return getattr(estimator, "feature_names_in_", None)


def one_row(estimator, X):
    """The classifier and one instance as it takes it.

    Raises
    ------
    ValueError
        Unless X holds exactly one instance.
    """
    clf = classifier_of(estimator)
    _, X = last_step(estimator, X)
    X = clf._check_predict_data(X)
    if X.shape[0] != 1:
        raise ValueError(
            f"X must hold one instance, got {X.shape[0]}; take a row, as X[3:4] or "
            "texts[3:4]"
        )
    return clf, X


def as_row(X):
    """One instance as CSR over sparse and dense features together."""
    hybrid = as_hybrid(X)
    return sparse.csr_matrix(sparse.hstack([hybrid.sparse, hybrid.dense]))


def child_weights(clf, level, parents):
    """Weights and intercepts of nodes' children, one node's after another's.

    Parameters
    ----------
    clf : XRLinearClassifier
    level : int
        Of the children: 0 for those of the root.
    parents : array-like of int
        Nodes of the level above; [0] for the root.

    Returns
    -------
    weights : csr_matrix of float32 of shape (n_children, n_features)
        Dense features are the last columns.
    intercepts : ndarray of float32 of shape (n_children,)
    """
    part = take_parents(clf.weights_[level], np.asarray(parents))
    weights = part.to_csr()
    if clf.n_dense_features_:
        weights = sparse.hstack([weights, part.dense_weights()])
    return sparse.csr_matrix(weights), part.intercept


def group_name(tree, level, node):
    """What a group of labels is called (str)."""
    return f"group {node}" if tree.n_levels == 2 else f"group {level}.{node}"


def ancestors(tree, label):
    """Nodes from the root down to a label.

    Returns
    -------
    list of (parent, node)
        For each level; the last node is the label's place in the tree's order.
    """
    place = int(np.flatnonzero(tree.label_order == label)[0])
    nodes = [place]
    for offsets in tree.offsets[:0:-1]:
        nodes.insert(0, int(np.searchsorted(offsets, nodes[0], side="right")) - 1)
    return list(zip([0, *nodes[:-1]], nodes, strict=True))


def path_scores(clf, above, margins):
    """Scores of paths that are one step longer, as the search multiplies them.

    With the post processor "noop" a node's margin is its score.
    """
    margins = np.asarray(margins, dtype=np.float64)
    code = COMBINERS[clf.post_processor.removeprefix("log_")]
    if code == COMBINERS["noop"]:
        return margins
    if code == COMBINERS["sigmoid"]:
        return above / (1 + np.exp(-np.clip(margins, -80, 80)))
    return above * np.exp(-(np.maximum(0, 1 - margins) ** code))
