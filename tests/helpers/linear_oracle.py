"""Weights of XR-Linear beside those of LIBLINEAR, and settings that make them equal."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

EXACT = {
    "tol": 1e-6,
    "max_iter": 3000,
    "weight_threshold": 0,
    "weight_dtype": "float32",
    "random_state": 0,
}


def coefficients(clf, level):
    """Dense weights with the intercept as the last column."""
    weights = clf.weights_[level]
    return np.column_stack([weights.to_csr().toarray(), weights.intercept])


def liblinear(X, y, loss, C=1.0, bias=1.0, weight=None):
    """Weights and intercept of one binary problem."""
    common = {"C": C, "tol": 1e-8, "max_iter": 100_000, "intercept_scaling": bias or 1}
    common["fit_intercept"] = bias > 0
    if loss == "logistic":
        model = LogisticRegression(solver="liblinear", dual=True, **common)
    else:
        model = LinearSVC(loss=loss, dual=True, random_state=0, **common)
    model.fit(X, y, sample_weight=weight)
    return np.append(model.coef_, model.intercept_)
