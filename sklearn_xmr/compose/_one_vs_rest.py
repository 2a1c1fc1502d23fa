"""Weights for OneVsRestClassifier, whose ``fit`` takes them by metadata routing only.

To enable routing for the time of that fit would enable it for everything inside as
well: a nested meta-estimator of the user would then ask for requests that nobody has
set. Instead, its classifier is replaced by one that brings the weights along.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone


def fit_one_vs_rest(model, X, y, sample_weight):
    """Fit a OneVsRestClassifier whose classifier takes weights.

    Parameters
    ----------
    model : OneVsRestClassifier
        To be fitted.
    X : array-like of shape (n_samples, n_features)
        Instances.
    y : array-like of shape (n_samples, n_labels)
        Label indicator.
    sample_weight : ndarray of shape (n_samples,)
        Weights of the instances.

    Returns
    -------
    OneVsRestClassifier
        The model, fitted.
    """
    classifier = model.estimator
    weighted = _WeightedClassifier(classifier, _Shared(sample_weight))
    try:
        model.set_params(estimator=weighted).fit(X, y)
    finally:
        model.set_params(estimator=classifier)
    # Labels that all instances have, or none, have no classifier of ours.
    model.estimators_ = [getattr(one, "fitted_", one) for one in model.estimators_]
    return model


class _WeightedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted with given weights."""

    def __init__(self, estimator, weights):
        self.estimator = estimator
        self.weights = weights

    def fit(self, X, y):
        """Fit a clone of the classifier, which is ``fitted_``."""
        weights = self.weights.values
        self.fitted_ = clone(self.estimator).fit(X, y, sample_weight=weights)
        self.n_features_in_ = X.shape[1]
        return self

    def predict_proba(self, X):
        """Probabilities of the classifier; OneVsRestClassifier asks for the method."""
        return self.fitted_.predict_proba(X)


class _Shared:
    """An array that clones have in common."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __deepcopy__(self, memo):
        return self
