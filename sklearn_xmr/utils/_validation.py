"""Checks of data that the estimators, metrics and loaders share.

Each error names the argument, what was found and what would be right.
"""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils import check_array, check_consistent_length

from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._ranges import ascend
from sklearn_xmr.utils._sklearn import output_config
from sklearn_xmr.utils._sorted_rows import sorted_rows

INT32_MAX = np.iinfo(np.int32).max


def as_csr_float32(X):
    """Convert to canonical CSR of float32 with int32 indices.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        Finite values. Not changed, and copied only where necessary.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_features)
        Matrix with sorted indices and without duplicates.

    Raises
    ------
    ValueError
        If the structure of a sparse matrix is not valid.
    """
    if not sparse.issparse(X):
        return sparse.csr_matrix(np.asarray(X, dtype=np.float32))
    X = X.tocsr()
    check_indices(X, "X")
    out = sparse.csr_matrix(X.shape, dtype=np.float32)
    if not X.has_canonical_format:
        indices, data = _sorted_rows(X)
        if indices is not None:
            out.data, out.indices, out.indptr = data, indices, X.indptr
            return out
        X = X.copy()
        X.sum_duplicates()
    n_stored = X.indptr[-1]  # SciPy allows spare places behind them
    out.data = np.ascontiguousarray(X.data[:n_stored], dtype=np.float32)
    out.indices = np.ascontiguousarray(X.indices[:n_stored], dtype=np.int32)
    out.indptr = X.indptr
    return out


def _sorted_rows(X):
    """Sorted columns and values of a checked CSR; None if one is there twice.

    As the text vectorizers return them: on tibkat-gnd 0.06 s, SciPy 0.49.
    """
    if X.dtype not in (np.float32, np.float64):
        return None, None
    indptr = np.ascontiguousarray(X.indptr)
    indices = np.ascontiguousarray(X.indices, dtype=indptr.dtype)
    data = np.ascontiguousarray(X.data)
    return sorted_rows(indptr, indices, data, effective_n_threads())


def check_indices(matrix, name):
    """ValueError unless the structure of a CSR matrix is valid.

    SciPy does not check the values of indices, and wrong ones would make a kernel read
    out of bounds.
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
        or not ascend(indptr)
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


def with_pairs_once(Y):
    """A label indicator in which no pair is named twice, where it is a COO of ones.

    Conversions of COO add values of the same place up: a pair named twice would be 2,
    though in all other forms it is a pair.

    Parameters
    ----------
    Y : object
        Targets of any form.

    Returns
    -------
    object
        CSR of the same dtype for a two-dimensional COO of zeros and ones; otherwise Y.
    """
    if not sparse.issparse(Y) or Y.format != "coo" or Y.ndim != 2:
        return Y
    if not np.isin(Y.data, (0, 1)).all():
        return Y  # an error, or classes, for others to say
    return Y.astype(bool).tocsr().astype(Y.dtype)


def check_loaded_matrices(state):
    """ValueError if a sparse matrix of a loaded state names places that there are not.

    SciPy checks little when it makes a matrix of arrays, and nothing when it uses one.

    Parameters
    ----------
    state : dict
        Attributes by name.
    """
    for name, matrix in state.items():
        if sparse.issparse(matrix) and matrix.format in ("csr", "csc"):
            check_indices(matrix if matrix.format == "csr" else matrix.T, name)


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
    Y = check_array(
        with_pairs_once(Y),
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
    if sparse.issparse(X):
        check_indices(X, "X")
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


def flat_keys(matrix):
    """Row-major position of each stored value of a canonical CSR: ascending int64."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows * np.int64(matrix.shape[1]) + matrix.indices


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


def ready_csr(X, n_features):
    """X in float32, if it is a valid CSR matrix of finite values, otherwise None.

    A quick check: X may be valid even if this returns None.
    """
    if not _has_ready_structure(X, n_features):
        return None
    data = X.data
    if data.dtype == np.float64:
        with np.errstate(over="ignore"):  # infinity is found below
            data = data.astype(np.float32)
    if data.dtype != np.float32 or not is_ready_row(X.indices, data, n_features):
        return None
    if data is X.data:
        return X
    out = sparse.csr_matrix(X.shape, dtype=np.float32)
    out.data, out.indices, out.indptr = data, X.indices, X.indptr
    return out


def _has_ready_structure(X, n_features):
    return (
        type(X) in (sparse.csr_matrix, sparse.csr_array)
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == n_features
        and X.indices.dtype == np.int32
        and len(X.indptr) == X.shape[0] + 1
        and X.indptr[0] == 0
        and X.indptr[-1] == len(X.indices) == len(X.data)
        and (len(X.indptr) == 2 or bool((X.indptr[1:] >= X.indptr[:-1]).all()))
    )


def is_ready_row(indices, values, n_features):
    """Whether int32 indices are below n_features and float32 values are finite."""
    if len(indices) == 0:
        return True
    # As unsigned numbers, negative indices are large. A sum is finite only if all
    # values are; if it overflows, the slow checks decide.
    return int(indices.view(np.uint32).max()) < n_features and bool(
        np.isfinite(values.sum())
    )


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


def align_sparse_type(matrix):
    """A CSR matrix as scikit-learn's ``sparse_interface`` option requests it."""
    if get_config().get("sparse_interface") == "sparray":
        return sparse.csr_array(matrix)
    return matrix
