"""Checks of data that the estimators, metrics and loaders share.

Each error names the argument, what was found and what would be right.
"""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._set_output import _get_output_config

INT32_MAX = np.iinfo(np.int32).max


def as_csr_float32(X):
    """Canonical CSR of float32 with int32 indices, copying only what differs.

    Parameters
    ----------
    X : ndarray or sparse matrix, two-dimensional and finite

    Returns
    -------
    csr_matrix
        Sorted indices, no duplicates. The input is never changed.
    """
    if not sparse.issparse(X):
        return sparse.csr_matrix(np.asarray(X, dtype=np.float32))
    X = X.tocsr()
    check_indices(X, "X")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    out = sparse.csr_matrix(X.shape, dtype=np.float32)
    out.data = np.ascontiguousarray(X.data, dtype=np.float32)
    out.indices = np.ascontiguousarray(X.indices, dtype=np.int32)
    out.indptr = X.indptr
    return out


def check_indices(matrix, name):
    """ValueError unless a CSR matrix's structure is sound.

    SciPy does not look at index values, and a kernel that trusts them would read
    foreign memory.
    """
    indptr, indices = matrix.indptr, matrix.indices
    n_rows, n_columns = matrix.shape
    if n_columns > INT32_MAX:
        raise ValueError(
            f"{name} has {n_columns} columns; at most {INT32_MAX} are supported"
        )
    if (
        len(indptr) != n_rows + 1
        or indptr[0] != 0
        or (np.diff(indptr) < 0).any()
        or indptr[-1] > min(len(indices), len(matrix.data))
    ):
        raise ValueError(f"{name} is not a valid CSR matrix: its indptr is broken")
    if len(indices):
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= n_columns:
            raise ValueError(
                f"{name} is not a valid CSR matrix: column indices must lie in 0 to "
                f"{n_columns - 1}, found {low if low < 0 else high}"
            )


def check_label_indicator(Y, name="Y"):
    """Label indicator as canonical CSR of float32 ones.

    Parameters
    ----------
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Values 0 and 1 (or booleans); explicit zeros are not positives.
    name : str, default="Y"
        What errors call it.

    Returns
    -------
    csr_matrix of float32
        Sorted indices, no duplicates, no explicit zeros.

    Raises
    ------
    ValueError
        If Y is not two-dimensional, has no label, has other values, or broken
        indices.
    """
    Y = check_array(
        Y,
        accept_sparse="csr",
        dtype=None,
        ensure_min_samples=1,
        ensure_min_features=1,
        input_name=name,
    )
    if not sparse.issparse(Y):
        _check_binary(Y, name)
        return sparse.csr_matrix(Y.astype(np.float32))
    check_indices(Y, name)
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
            f"{name} must hold only 0 and 1, found {values[wrong].flat[0]!r}; graded "
            "relevance goes to fit's relevance argument, label names through "
            "sklearn.preprocessing.MultiLabelBinarizer(sparse_output=True)"
        )


def check_X_Y(X, Y):
    """Instances and their label indicator.

    Returns
    -------
    X : ndarray or csr_matrix of float32
    Y : csr_matrix of float32
    """
    X = check_array(X, accept_sparse="csr", dtype=np.float32, input_name="X")
    if sparse.issparse(X):
        check_indices(X, "X")
    Y = check_label_indicator(Y)
    check_consistent_length(X, Y)
    return X, Y


def check_relevance(relevance, Y):
    """Relevance as CSR with the pattern of Y, or None.

    Parameters
    ----------
    relevance : {array-like, sparse matrix} of shape (n_samples, n_labels) or None
        Non-negative and finite; zero outside the positives of Y.
    Y : csr_matrix
        Canonical label indicator.

    Returns
    -------
    csr_matrix of float32 or None
        A positive without a relevance keeps an explicit zero.
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
    R.eliminate_zeros()
    wanted, given = flat_keys(Y), flat_keys(R)
    places = np.searchsorted(wanted, given)
    outside = wanted.take(places, mode="clip") != given if len(wanted) else given >= 0
    if outside.any():
        raise ValueError(
            "relevance must be zero wherever y is, but "
            f"{int(outside.sum())} of its values lie outside the positives of y"
        )
    data = np.zeros(Y.nnz, dtype=np.float32)
    data[places] = R.data
    return sparse.csr_matrix((data, Y.indices, Y.indptr), shape=Y.shape)


def check_negatives(negatives, Y):
    """Known wrong pairs as CSR of ones with the shape of Y, or None.

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
            f"negatives must be zero wherever y is positive, but {both} pairs are both"
        )
    return negatives


def check_weights(sample_weight, n_samples):
    """Sample weights as float32 array, or None.

    Raises
    ------
    ValueError
        Unless they are one finite non-negative number for each sample, not all zero.
    """
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float32)
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


def rows_of_weight(sample_weight, X, Y, *others):
    """Weights, X, Y and what else has a row each, of instances of positive weight.

    Weights, and others, may be None. Everything is returned as it is where no weight
    is 0.
    """
    if sample_weight is None or sample_weight.all():
        return sample_weight, X, Y, *others
    kept = np.flatnonzero(sample_weight)
    if Y[kept].nnz == 0:
        raise ValueError(
            "sample_weight must be positive for some instance with a label, found "
            f"{len(kept)} positive weights, none of such an instance"
        )
    parts = (sample_weight, X, Y, *others)
    return tuple(None if part is None else part[kept] for part in parts)


def flat_keys(matrix):
    """Row-major position of each stored value of a canonical CSR: ascending int64."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows * np.int64(matrix.shape[1]) + matrix.indices


def check_k(k):
    """k, a number of labels, as int; ValueError unless an integer of at least 1."""
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    return int(k)


def is_ready_csr(X, n_features):
    """Whether X is a sound CSR matrix of finite float32 that a search can read.

    False means that the full checks have to decide.
    """
    return (
        type(X) in (sparse.csr_matrix, sparse.csr_array)
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == n_features
        and X.dtype == np.float32
        and X.indices.dtype == np.int32
        and len(X.indptr) == X.shape[0] + 1
        and X.indptr[0] == 0
        and X.indptr[-1] == len(X.indices) == len(X.data)
        and (len(X.indptr) == 2 or bool((X.indptr[1:] >= X.indptr[:-1]).all()))
        and is_ready_row(X.indices, X.data, n_features)
    )


def is_ready_row(indices, values, n_features):
    """Whether int32 indices lie in the features and float32 values are finite."""
    if len(indices) == 0:
        return True
    # As unsigned numbers, negative indices are large. A sum is finite only if all
    # values are; one that overflows sends good values to the slow checks.
    return int(indices.view(np.uint32).max()) < n_features and bool(
        np.isfinite(values.sum())
    )


def check_candidates(candidates, n_samples, n_labels):
    """Pairs to score as canonical CSR (n_samples, n_labels); values have no meaning.

    Parameters
    ----------
    candidates : array-like of int or sparse matrix
        Labels for all samples, or the stored pairs.
    n_samples, n_labels : int

    Raises
    ------
    ValueError
        If a label or the shape does not fit.
    """
    if sparse.issparse(candidates):
        if candidates.shape != (n_samples, n_labels):
            raise ValueError(
                f"candidates must have shape {(n_samples, n_labels)}, a row for each "
                f"instance of X and a column for each label, got {candidates.shape}"
            )
        pairs = sparse.csr_matrix(candidates.astype(bool))
        check_indices(pairs, "candidates")
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
    indptr = np.arange(n_samples + 1) * len(labels)
    indices = np.tile(labels.astype(np.int32), n_samples)
    ones = np.ones(len(indices), dtype=bool)
    return sparse.csr_matrix((ones, indices, indptr), shape=(n_samples, n_labels))


def for_set_output(estimator, matrix):
    """What ``transform`` returns: a table where ``set_output`` asks for one, or CSR."""
    if _get_output_config("transform", estimator)["dense"] != "default":
        return matrix.toarray()
    return align_sparse_type(matrix)


def align_sparse_type(matrix):
    """A CSR matrix as scikit-learn's ``sparse_interface`` option wants it."""
    if get_config().get("sparse_interface") == "sparray":
        return sparse.csr_array(matrix)
    return matrix
