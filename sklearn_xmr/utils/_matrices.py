"""The structure of sparse matrices, which SciPy trusts: checks and conversions."""

from collections import Counter
from functools import wraps

import numpy as np
from scipy import sparse
from sklearn import get_config

from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._ranges import ascend
from sklearn_xmr.utils._sorted_rows import sorted_rows
from sklearn_xmr.utils._typing import AnyFunction

INT32_MAX = np.iinfo(np.int32).max


def check_structure(matrix, name):
    """ValueError if a matrix has places that there are not, or a table equal names.

    Before anything else works with it: SciPy's conversions, sums and changes of type
    trust the indices, and read and write out of bounds otherwise.

    Parameters
    ----------
    matrix : object
        What is no sparse matrix of two dimensions and no table passes.
    name : str
        Name of the argument in errors.
    """
    check_column_names(matrix, name)
    if not sparse.issparse(matrix) or matrix.ndim != 2:
        return
    if matrix.format in ("csr", "csc"):
        check_indices(matrix if matrix.format == "csr" else matrix.T, name)
    elif matrix.format == "coo":
        for places, size in zip((matrix.row, matrix.col), matrix.shape, strict=True):
            if len(places) and not 0 <= places.min() <= places.max() < size:
                raise ValueError(
                    f"{name} is not a valid COO matrix: a place is outside"
                )


def check_column_names(table, name):
    """ValueError if two columns of a table have the same name.

    Features and labels are told apart by their names; scikit-learn's own error, since
    1.9, does not say whose columns they are.

    Parameters
    ----------
    table : object
        What has no columns passes.
    name : str
        Name of the argument in errors.
    """
    # Of the class: in pandas, a column of this name would be an attribute.
    is_arrow = hasattr(type(table), "column_names")
    names = table.column_names if is_arrow else getattr(table, "columns", None)
    if names is None or len(set(names)) == len(names):
        return
    [(twice, n)] = Counter(names).most_common(1)
    raise ValueError(
        f"{name} must name its columns differently, found {n} columns {twice!r}; give "
        "each a name of its own, or give an array, whose columns have none"
    )


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
    check_structure(X, "X")
    X = X.tocsr()
    out = sparse.csr_matrix(X.shape, dtype=np.float32)
    if not X.has_canonical_format:
        indices, data = _sorted_rows(X)
        if indices is not None:
            out.data, out.indices = data, indices
            out.indptr = _narrow(X.indptr)
            return out
        X = X.copy()
        X.sum_duplicates()
    n_stored = X.indptr[-1]  # SciPy allows spare places behind them
    out.data = np.ascontiguousarray(X.data[:n_stored], dtype=np.float32)
    out.indices = np.ascontiguousarray(X.indices[:n_stored], dtype=np.int32)
    out.indptr = _narrow(X.indptr)
    return out


def _narrow(indptr):
    """An indptr of the columns' type where it fits.

    SciPy before 1.12 selects no rows of a matrix in which the two differ.
    """
    fits = indptr[-1] <= INT32_MAX
    return indptr.astype(np.int32, copy=False) if fits else indptr


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
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise ValueError(
            f"{name} is not a valid CSR matrix: indptr and indices must be integers, "
            f"got {indptr.dtype} and {indices.dtype}"
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


def checked_csr(matrix, name):
    """A sparse matrix as CSR with a valid structure and no spare places.

    Parameters
    ----------
    matrix : sparse matrix
        Of any format.
    name : str
        Name of the argument in errors.

    Returns
    -------
    csr_matrix
        The same object, if it is such a matrix.

    Raises
    ------
    ValueError
        If the structure is broken.
    """
    check_structure(matrix, name)
    return pruned(matrix.tocsr())


def pruned(matrix):
    """A valid CSR without spare places: the same object, if it has none."""
    used, indptr = matrix.nnz, matrix.indptr
    if used == len(matrix.indices) == len(matrix.data):
        return matrix
    parts = matrix.data[:used], matrix.indices[:used], indptr
    return type(matrix)(parts, shape=matrix.shape)


def with_pairs_once(Y, name="y"):
    """A label indicator in which no pair is named twice, where it is a COO of ones.

    Conversions of COO add values of the same place up: a pair named twice would be 2,
    though in all other forms it is a pair.

    Parameters
    ----------
    Y : object
        Targets of any form.
    name : str, default="y"
        Name of the argument in errors.

    Returns
    -------
    object
        CSR of the same dtype for a two-dimensional COO of zeros and ones; otherwise Y.
    """
    if not sparse.issparse(Y) or Y.format != "coo" or Y.ndim != 2:
        return Y
    check_structure(Y, name)
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
        check_structure(matrix, name)


def flat_keys(matrix):
    """Row-major position of each stored value of a canonical CSR: ascending int64."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows * np.int64(matrix.shape[1]) + matrix.indices


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


def aligns_sparse(function: AnyFunction) -> AnyFunction:
    """Decorate what users call: sparse results follow ``sparse_interface``.

    Parameters
    ----------
    function : callable
        Returns a matrix, or a tuple or Bunch that may hold some.

    Returns
    -------
    callable
    """

    @wraps(function)
    def aligned(*args, **kwargs):
        return _aligned(function(*args, **kwargs))

    return aligned  # type: ignore[return-value]


def _aligned(result):
    if isinstance(result, tuple):
        return tuple(map(_aligned, result))
    if isinstance(result, dict):
        for name, part in result.items():
            result[name] = _aligned(part)
        return result
    return align_sparse_type(result)


def align_sparse_type(matrix):
    """CSR as scikit-learn's ``sparse_interface`` option requests it; else unchanged."""
    is_sparse = sparse.issparse(matrix)
    if is_sparse and get_config().get("sparse_interface") == "sparray":
        return sparse.csr_array(matrix)
    return matrix
