"""Checks of data that the estimators, metrics and loaders share.

Each error names the argument, what was found and what would be right.
"""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_array as sklearn_check_array
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data as sklearn_validate_data

from sklearn_xmr.utils._matrices import (
    align_sparse_type,
    as_csr_float32,
    check_structure,
    checked_csr,
    flat_keys,
    pruned,
    with_pairs_once,
)
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._sklearn import output_config


def check_array(array, **options):
    """scikit-learn's, after :func:`check_structure`."""
    check_structure(array, options.get("input_name") or "X")
    return sklearn_check_array(array, **options)


def validate_data(estimator, X="no_validation", y="no_validation", **options):
    """scikit-learn's, after :func:`check_structure`."""
    check_structure(X, "X")
    check_structure(y, "y")
    return sklearn_validate_data(estimator, X, y, **options)


def is_column(y):
    """Whether targets are one-dimensional: one value for each instance.

    Parameters
    ----------
    y : array-like, sparse matrix or list

    Returns
    -------
    bool
    """
    if hasattr(y, "shape"):
        return len(y.shape) == 1
    return isinstance(y, list | tuple) and len(y) > 0 and np.ndim(y[0]) == 0


def check_label_indicator(Y, name="Y"):
    """Check a label indicator, and convert it to canonical CSR of ones.

    Parameters
    ----------
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Values 0 and 1 (or booleans); explicit zeros are not positives.
    name : str, default="Y"
        Name of the argument in errors.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        Matrix with sorted indices, without duplicates and explicit zeros.

    Raises
    ------
    ValueError
        If Y is not two-dimensional, has no label, has other values, or broken
        indices.
    """
    if is_column(Y):
        raise ValueError(
            f"{name} must be a label indicator of shape (n_samples, n_labels), got one "
            f"value for each of {len(Y)} samples; as an indicator, classes are "
            f"{name}[:, None] == clf.classes_"
        )
    Y = check_array(
        with_pairs_once(Y, name),
        accept_sparse="csr",
        dtype=None,
        ensure_min_samples=1,
        ensure_min_features=1,
        input_name=name,
    )
    if not sparse.issparse(Y):
        _check_binary(Y, name)
        return sparse.csr_matrix(Y.astype(np.float32))
    Y = pruned(Y)  # which check_array has checked
    _check_binary(Y.data, name)
    if not Y.has_canonical_format or (Y.data == 0).any():
        Y = Y.copy()
        Y.eliminate_zeros()
        Y.sum_duplicates()
    return sparse.csr_matrix(
        (np.ones(Y.nnz, dtype=np.float32), Y.indices, Y.indptr), shape=Y.shape
    )


def _check_binary(values, name):
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        raise ValueError(
            f"{name} must hold only 0 and 1, found {values[wrong].flat[0]}; graded "
            "relevance goes to fit's relevance argument, label names to "
            "sklearn_xmr.LabelNamesClassifier(estimator)"
        )


def check_X_Y(X, Y):
    """Check instances and their label indicator.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Instances.
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1.

    Returns
    -------
    X : ndarray or csr_matrix of float32 of shape (n_samples, n_features)
        Instances.
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical label indicator of ones.

    Raises
    ------
    ValueError
        If X or Y is not valid, or the numbers of rows differ.
    """
    X = check_array(X, accept_sparse="csr", dtype=np.float32, input_name="X")
    Y = check_label_indicator(Y)
    check_consistent_length(X, Y)
    return X, Y


def check_relevance(relevance, Y):
    """Check relevance, and convert it to CSR with the pattern of Y.

    Parameters
    ----------
    relevance : {array-like, sparse matrix} of shape (n_samples, n_labels) or None
        Non-negative and finite; zero outside the positives of Y.
    Y : csr_matrix
        Canonical label indicator.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels) or None
        Relevance of the positives of Y; explicit zeros where it is not given.

    Raises
    ------
    ValueError
        If a value is negative or outside the positives of Y, or shapes differ.
    """
    if relevance is None:
        return None
    R = check_array(
        relevance, accept_sparse="csr", dtype=np.float32, input_name="relevance"
    )
    if R.shape != Y.shape:
        raise ValueError(
            f"relevance must have the shape of y, {Y.shape}, got {R.shape}"
        )
    R = as_csr_float32(R)
    if len(R.data) and R.data.min() < 0:
        raise ValueError(f"relevance must not be negative, found {R.data.min()}")
    if not R.data.all():
        R = R.copy()  # it may share its arrays with the user's matrix
        R.eliminate_zeros()
    wanted, given = flat_keys(Y), flat_keys(R)
    places = np.searchsorted(wanted, given)
    outside = wanted.take(places, mode="clip") != given if len(wanted) else given >= 0
    if outside.any():
        raise ValueError(
            "relevance must be zero wherever y is, but "
            f"{int(outside.sum())} of its values are outside the positives of y"
        )
    data = np.zeros(Y.nnz, dtype=np.float32)
    data[places] = R.data
    return sparse.csr_matrix((data, Y.indices, Y.indptr), shape=Y.shape)


def check_negatives(negatives, Y):
    """Check pairs known to be wrong, and convert them to CSR of ones.

    Parameters
    ----------
    negatives : {array-like, sparse matrix} of shape (n_samples, n_labels) or None
        Non-zeros are pairs known to be wrong.
    Y : csr_matrix
        Canonical label indicator.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels) or None
        Canonical matrix of ones.

    Raises
    ------
    ValueError
        If a pair is a positive of Y, or shapes differ.
    """
    if negatives is None:
        return None
    negatives = check_array(
        negatives, accept_sparse="csr", dtype=np.float32, input_name="negatives"
    )
    if negatives.shape != Y.shape:
        raise ValueError(
            f"negatives must have the shape of y, {Y.shape}, got {negatives.shape}"
        )
    negatives = sparse.csr_matrix(as_csr_float32(negatives) != 0, dtype=np.float32)
    negatives.sort_indices()
    both = int(np.isin(flat_keys(negatives), flat_keys(Y)).sum())
    if both:
        raise ValueError(
            f"negatives must be zero wherever y is positive, but {both} of its pairs "
            "are positives of y"
        )
    return negatives


def check_weights(sample_weight, n_samples):
    """Check sample weights, and convert them to float32.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Weights, not all zero.
    n_samples : int
        Number of samples.

    Returns
    -------
    ndarray of float32 of shape (n_samples,) or None
        Non-negative weights.

    Raises
    ------
    ValueError
        If there is not one finite non-negative number for each sample, or all are zero.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from error
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must hold one weight for each of the {n_samples} samples, "
            f"got shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
        raise ValueError(
            "sample_weight must be finite and non-negative, and not all zero, found "
            f"values from {weights.min()} to {weights.max()}"
        )
    return weights


def check_label_weight(label_weight, n_labels):
    """Check weights of labels, and convert them to an array.

    Parameters
    ----------
    label_weight : array-like of shape (n_labels,)
        A positive number for each label.
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of float32 of shape (n_labels,)

    Raises
    ------
    ValueError
        If the weights are not positive and finite numbers, one for each label.
    """
    try:
        weights = np.asarray(label_weight, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"label_weight must hold numbers: {error}") from error
    if weights.shape != (n_labels,):
        raise ValueError(
            f"label_weight must hold one number for each of the {n_labels} labels, got "
            f"shape {weights.shape}"
        )
    if not np.isfinite(weights).all() or weights.min() <= 0:
        raise ValueError(
            "label_weight must be positive and finite, found values from "
            f"{weights.min()} to {weights.max()}"
        )
    return weights


def check_count(value, name):
    """Check a count, such as k or n_bins.

    Parameters
    ----------
    value : int
        The count.
    name : str
        Name of the argument in errors.

    Returns
    -------
    int
        The count.

    Raises
    ------
    ValueError
        If the value is not an integer of at least 1.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(value)


def check_candidates(candidates, n_samples, n_labels):
    """Check pairs to score, and convert them to canonical CSR.

    Parameters
    ----------
    candidates : array-like of int or sparse matrix
        Label numbers, the same for all samples, or a sparse matrix of shape (n_samples,
        n_labels) that stores the pairs.
    n_samples : int
        Number of samples.
    n_labels : int
        Number of labels.

    Returns
    -------
    csr_matrix of bool of shape (n_samples, n_labels)
        Canonical matrix that stores the pairs; its values are to be ignored.

    Raises
    ------
    ValueError
        If ``candidates`` has a wrong shape or type, or a label is out of range.
    """
    if sparse.issparse(candidates):
        if candidates.shape != (n_samples, n_labels):
            raise ValueError(
                f"candidates must have shape {(n_samples, n_labels)}, a row for each "
                f"instance of X and a column for each label, got {candidates.shape}"
            )
        # Checked before SciPy works with it: its own methods trust the indices.
        pairs = checked_csr(candidates, "candidates").astype(bool)
        pairs.sum_duplicates()
        return pairs
    labels = np.asarray(candidates)
    if labels.ndim != 1 or (
        len(labels) and not np.issubdtype(labels.dtype, np.integer)
    ):
        raise ValueError(
            "candidates must be a 1-D array of label numbers or a sparse matrix of "
            f"pairs, got an array of shape {labels.shape} and dtype {labels.dtype}"
        )
    labels = np.unique(labels)
    if len(labels) and (labels[0] < 0 or labels[-1] >= n_labels):
        wrong = labels[0] if labels[0] < 0 else labels[-1]
        raise ValueError(
            f"candidates must be label numbers from 0 to {n_labels - 1}, found {wrong}"
        )
    check_memory(
        "all pairs of instances and candidates",
        (n_samples, len(labels)),
        ("instances", "candidates"),
        "give fewer candidates, or fewer instances at a time",
        n_bytes=18,
    )
    indptr = np.arange(n_samples + 1) * len(labels)
    indices = np.tile(labels.astype(np.int32), n_samples)
    ones = np.ones(len(indices), dtype=bool)
    return sparse.csr_matrix((ones, indices, indptr), shape=(n_samples, n_labels))


def for_set_output(estimator, matrix):
    """Result of ``transform``: a table if ``set_output`` requests one, or CSR."""
    if output_config("transform", estimator)["dense"] != "default":
        instead = "leave set_output at its default, which gives a sparse matrix"
        check_memory("a table", matrix.shape, ("rows", "columns"), instead)
        return matrix.toarray()
    return align_sparse_type(matrix)
