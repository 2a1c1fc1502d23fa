"""Names of features, labels and groups of labels."""

from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from sklearn_xmr.utils._response import last_estimator, wraps_ranker
from sklearn_xmr.utils._texts_and_names import check_names


@dataclass
class Names:
    """Names of features and labels; numbers stand for what has no name.

    Parameters
    ----------
    features : list of str or None
        Name of each feature that the classifier sees.
    labels : list or None
        Name of each label.
    prominence : ndarray of shape (n_labels,) or None
        How much each label stands for its group; None: the first ones do.
    """

    features: list | None = None
    labels: list | None = None
    prominence: np.ndarray | None = None

    def feature(self, number):
        """Name of a feature (str)."""
        return f"x{number}" if self.features is None else str(self.features[number])

    def label(self, number):
        """Name of a label (str)."""
        return str(number if self.labels is None else self.labels[number])

    def examples(self, labels, n):
        """Names of the most prominent of some labels (list of str)."""
        if self.prominence is not None:
            order = np.argsort(-self.prominence[labels], kind="stable")
            labels = labels[order]
        return [self.label(label) for label in labels[:n]]


def resolve_names(estimator, clf, feature_names, label_names):
    """Names as given, or as the estimator knows them.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        What the user gave; its steps may know the features' names.
    clf : XRLinearClassifier
        The fitted classifier in it.
    feature_names, label_names : sequence of str or None
        As the user gave them.

    Returns
    -------
    Names

    Raises
    ------
    ValueError
        Unless there is a name for each feature and label.
    """
    if feature_names is None:
        feature_names = _known_feature_names(estimator)
    if label_names is None:
        label_names = known_label_names(estimator)
    return Names(
        check_names(feature_names, clf.n_features_in_, "feature_names"),
        check_names(label_names, clf.n_labels_, "label_names"),
        _intercepts(clf.model_),
    )


def _intercepts(model):
    """Of each label: the largest of a group are mostly those of common ones."""
    out = np.empty(model.n_labels)
    out[model.tree.label_order] = model.weights[-1].intercept
    return out


def known_label_names(estimator):
    """Names of the labels as the classifier knows them, or None."""
    last = last_estimator(estimator)
    if hasattr(last, "binarizer_"):
        return last.classes_
    form = getattr(last, "target_form_", None)
    return None if form is None else form.names


def _known_feature_names(estimator):
    """What the steps before the classifier call their output, or None."""
    if hasattr(estimator, "best_estimator_"):
        return _known_feature_names(estimator.best_estimator_)
    if wraps_ranker(estimator):
        return _known_feature_names(estimator.estimator_)
    if isinstance(estimator, Pipeline):
        if len(estimator.steps) == 1:
            return _known_feature_names(estimator[-1])
        try:
            return estimator[:-1].get_feature_names_out()
        except (AttributeError, ValueError):
            return None
    return getattr(estimator, "feature_names_in_", None)


def label_number(label, names, n_labels):
    """Number of a label, given by number or name.

    Parameters
    ----------
    label : int or str
        Column of Y, or one of the names.
    names : Names
        Names of the labels.
    n_labels : int
        Number of labels.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such label.
    """
    if isinstance(label, str):
        if names.labels is None or label not in names.labels:
            raise ValueError(f"label {label!r} is none of label_names")
        return names.labels.index(label)
    if not isinstance(label, (int, np.integer)) or not 0 <= label < n_labels:
        raise ValueError(
            f"label must be a column of Y, 0 to {n_labels - 1}, or one of label_names, "
            f"got {label!r}"
        )
    return int(label)


def contents(n_labels, examples):
    """What a group holds, as " (96 labels: man; woman; …)"; of a label nothing."""
    if not examples:
        return ""
    labels = "label" if n_labels == 1 else f"{n_labels:,} labels"
    more = "; …" if n_labels > len(examples) else ""
    return f" ({labels}: {'; '.join(examples)}{more})"


def group_name(tree, level, node):
    """What a group of labels is called (str)."""
    return f"group {node}" if tree.n_levels == 2 else f"group {level}.{node}"
