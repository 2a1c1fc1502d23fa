"""The XR-Linear model in an estimator, and one instance as it takes it."""

from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.base import checked_instances
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._fitted_state import snapshot
from sklearn_xmr.utils._response import inner_estimator, inner_step


def find_classifier(estimator):
    """The fitted XR-Linear model in a pipeline or search, as it is now.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        What the user gave.

    Returns
    -------
    XRLinearClassifier
        A snapshot, which does not change when the estimator is fitted again.

    Raises
    ------
    TypeError
        If there is none.
    NotFittedError
        If it is not fitted.
    """
    estimator = inner_estimator(estimator)
    if not isinstance(estimator, XRLinearClassifier):
        raise TypeError(
            "estimator must be an XRLinearClassifier, or a pipeline or search that "
            f"ends in one, got {type(estimator).__name__}; of an ensemble or a "
            "stack, take one of its trees (estimators_[0])"
        )
    check_is_fitted(estimator)
    return snapshot(estimator)


def one_instance(estimator, X):
    """The classifier, and one instance as it takes it.

    Parameters
    ----------
    estimator : estimator, Pipeline or search object
        What the user gave.
    X : array-like, sparse matrix or list of str with one instance
        What the estimator takes.

    Returns
    -------
    clf : XRLinearClassifier
    X : HybridFeatures
        Of one row.

    Raises
    ------
    ValueError
        Unless X holds exactly one instance.
    """
    clf = find_classifier(estimator)
    X = checked_instances(clf, inner_step(estimator, X)[1])
    if len(X) != 1:
        raise ValueError(
            f"X must hold one instance, got {len(X)}; take a row, as X[3:4] or "
            "texts[3:4]"
        )
    return clf, X


def as_row(X):
    """One instance as CSR over sparse and dense features together."""
    return sparse.csr_matrix(sparse.hstack([X.sparse, X.dense]))
