"""Read and write the text format of the Extreme Classification Repository."""

import gzip
import mmap
import os
import zlib
from contextlib import contextmanager, nullcontext

import numpy as np
from scipy import sparse
from sklearn.datasets import load_svmlight_file

from sklearn_xmr.datasets._xmc_format_fast import ERRORS, parse_lines
from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._matrices import INT32_MAX, aligns_sparse, as_csr_float32
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._typing import CSR, MatrixLike, PathOrStr
from sklearn_xmr.utils._validation import check_count, check_X_Y
from sklearn_xmr.utils._whole_file import whole_file

LAYOUTS = {
    3: '"n_samples n_features n_labels" (features and labels in one file)',
    2: '"n_samples n_columns" (features or labels alone)',
}


@aligns_sparse
def load_xmc_file(
    path: PathOrStr,
    label_path: PathOrStr | None = None,
    *,
    n_features: int | None = None,
    n_labels: int | None = None,
) -> tuple[CSR, CSR | None]:
    """Load a data set in the text format of the Extreme Classification Repository.

    Two layouts exist. In the first, one file has the header ``n_samples n_features
    n_labels`` and lines ``label,label feature:value feature:value``. In the second, a
    file of features and a file of labels each have the header ``n_samples n_columns``
    and lines ``column:value column:value``. Numbers count from 0.

    A file of the first layout without its header, as libsvm and napkinXC have them, is
    read by :func:`sklearn.datasets.load_svmlight_file`: empty lines are no instances.
    Features that count from 1 leave the first column empty.

    Parameters
    ----------
    path : str or path-like
        File with labels and features, or with features alone. Names that end in
        ".gz" are decompressed on the way.
    label_path : str or path-like, default=None
        File of labels, in the second layout.
    n_features, n_labels : int, default=None
        Numbers of columns of a file without a header: those of the training file for
        its test file. None: as many as occur.

    Returns
    -------
    X : csr_matrix of float32 of shape (n_samples, n_features)
        Sorted indices; values of a feature that a line repeats are added.
    Y : csr_matrix of int64 of shape (n_samples, n_labels) or None
        Label indicator; None for a file of features alone. In a file of labels,
        zeros are not positives and other values count as 1.

    Raises
    ------
    ValueError
        If the text does not follow the format; the message names file and line.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_xmr.datasets import load_xmc_file
    >>> path = os.path.join(tempfile.mkdtemp(), "toy.txt")
    >>> with open(path, "w") as file:
    ...     _ = file.write("2 3 4\\n0,3 1:0.5 2:1\\n2 0:2\\n")
    >>> X, Y = load_xmc_file(path)
    >>> X.toarray()
    array([[0. , 0.5, 1. ],
           [2. , 0. , 0. ]], dtype=float32)
    >>> Y.toarray()
    array([[1, 0, 0, 1],
           [0, 0, 1, 0]])
    """
    if label_path is None and _lacks_header(path):
        return _read_libsvm(path, n_features, n_labels)
    if n_features is not None or n_labels is not None:
        raise ValueError(
            f"n_features and n_labels are for files without a header, but {path} has "
            "one or is of the second layout: leave them out"
        )
    X, Y = _read(path)
    if label_path is None:
        return X, Y
    if Y is not None:
        raise ValueError(
            f"{path} has labels of its own (a header of three numbers), so "
            f"label_path={str(label_path)!r} must be left out"
        )
    Y, labels = _read(label_path)
    if labels is not None:
        raise ValueError(
            f"{label_path}, line 1: a file of labels has the header {LAYOUTS[2]}, got "
            "three numbers"
        )
    if Y.shape[0] != X.shape[0]:
        raise ValueError(
            f"{path} has {X.shape[0]} rows, but {label_path} has {Y.shape[0]}"
        )
    Y.eliminate_zeros()
    return X, label_indicator(Y.indices, Y.indptr, Y.shape)


def dump_xmc_file(
    X: MatrixLike, Y: MatrixLike, path: PathOrStr, label_path: PathOrStr | None = None
) -> None:
    """Write a data set in the text format of the Extreme Classification Repository.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Written as float32, with the digits that bring back the same value.
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator.
    path : str or path-like
        File to write; a name that ends in ".gz" is compressed. An existing file is
        replaced only when the new one is complete.
    label_path : str or path-like, default=None
        Write features to ``path`` and labels here, in the second layout.

    Raises
    ------
    ValueError
        If X holds NaN or infinity, Y other values than 0 and 1, or their numbers of
        rows differ.

    See Also
    --------
    load_xmc_file : Reads it back and describes the layouts.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_xmr.datasets import dump_xmc_file
    >>> path = os.path.join(tempfile.mkdtemp(), "toy.txt")
    >>> dump_xmc_file([[0, 0.5], [2, 0]], [[1, 0, 1], [0, 0, 0]], path)
    >>> print(open(path).read(), end="")
    2 2 3
    0,2 1:0.5
     0:2
    """
    X, Y = check_X_Y(X, Y)
    X = sparse.csr_matrix(X)
    if label_path is not None:
        _write(path, X.shape, _pairs(X))
        _write(label_path, Y.shape, _pairs(Y))
        return
    lines = (
        f"{labels} {pairs}"
        for labels, pairs in zip(_label_lists(Y), _pairs(X), strict=True)
    )
    _write(path, (*X.shape, Y.shape[1]), lines)


def _lacks_header(path):
    """Whether the first line is that of an instance: it has a colon."""
    unpack = gzip.open if str(path).endswith(".gz") else open
    try:
        with unpack(path, "rb") as file:
            return b":" in file.readline(1 << 16)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False  # the error is told where the file is read


def _read_libsvm(path, n_features, n_labels):
    """X and Y of a file without a header."""
    with named_errors(path, ValueError, "a libsvm file of labels and features"):
        X, labels = load_svmlight_file(
            str(path), dtype=np.float32, multilabel=True, zero_based=True
        )
        X = as_csr_float32(X)
        if not np.isfinite(X.data).all():
            raise ValueError("it holds NaN or a value beyond float32")
        flat = np.array([label for row in labels for label in row], dtype=np.float64)
        if not ((flat >= 0) & (flat < INT32_MAX) & (flat == np.floor(flat))).all():
            raise ValueError("labels must be integers from 0 to 2**31 - 2")
        X = _widened(X, n_features, "n_features")
        columns, indptr = flat.astype(np.int64), pointers([len(row) for row in labels])
        found = int(columns.max(initial=-1)) + 1
        width = found if n_labels is None else check_count(n_labels, "n_labels")
        if found > width:
            raise ValueError(f"it has label {found - 1}, but n_labels is {width}")
    return X, label_indicator(columns, indptr, (X.shape[0], width))


def _widened(X, n_columns, name):
    """X with more columns, if a number is given."""
    if n_columns is None:
        return X
    width = check_count(n_columns, name)
    if X.shape[1] > width:
        raise ValueError(f"it has feature {X.shape[1] - 1}, but {name} is {width}")
    return sparse.csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], width))


def _read(path):
    """X and Y of one file; Y is None without labels."""
    with _buffer(path) as text:
        shape, start = _header(path, text)
        if shape[0] > len(text):  # each row takes a byte: no memory is asked for them
            raise ValueError(
                f"{path}, line 1: the header announces {shape[0]} rows, but the file "
                f"has {len(text)} bytes"
            )
        n_labels = shape[2] if len(shape) == 3 else -1
        *arrays, error, row = parse_lines(
            np.frombuffer(text, dtype=np.uint8), start, *shape[:2], n_labels
        )
    if error:
        raise ValueError(_explain(path, error, row, shape))
    indptr, indices, values, label_indptr, labels = arrays
    X = sparse.csr_matrix((values, indices, indptr), shape=shape[:2])
    with np.errstate(over="ignore"):  # said below
        X.sum_duplicates()
    if not np.isfinite(X.data).all():
        at = int(np.argmin(np.isfinite(X.data)))
        row = int(np.searchsorted(X.indptr, at, side="right")) - 1
        raise ValueError(
            f"{path}, line {row + 2}: the values of feature {X.indices[at]}, which the "
            "line repeats, add up to more than float32 holds"
        )
    if n_labels < 0:
        return X, None
    return X, label_indicator(labels, label_indptr, (shape[0], n_labels))


@contextmanager
def _buffer(path):
    """The file's bytes: memory-mapped, or decompressed."""
    if str(path).endswith(".gz"):
        try:
            with gzip.open(path) as file:
                text = file.read()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is not a complete gzip file: {error}") from error
        yield text or b" "
        return
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            yield b" "
            return
        # Not closed here: NumPy's view of it may live a moment longer.
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _header(path, text):
    """Shape in the first line, and where the second begins."""
    end = text.find(b"\n")
    end = len(text) if end < 0 else end
    words = bytes(text[: min(end, 200)]).split()
    if len(words) not in LAYOUTS or not all(word.isdigit() for word in words):
        shown = b" ".join(words)[:60].decode("utf-8", "replace")
        raise ValueError(
            f"{path}, line 1: expected a header {LAYOUTS[3]} or {LAYOUTS[2]}, got "
            f"{shown!r}"
        )
    shape = tuple(int(word) for word in words)
    if max(shape[1:]) > np.iinfo(np.int32).max:
        raise ValueError(f"{path}, line 1: at most 2**31 - 1 columns are supported")
    return shape, min(end + 1, len(text))


def _explain(path, error, row, shape):
    n_rows, n_features = shape[:2]
    message = ERRORS[error].format(
        n_rows=n_rows, last_feature=n_features - 1, last_label=shape[-1] - 1
    )
    return f"{path}, line {row + 2}: {message}"


def _pairs(matrix):
    """One string per row: "column:value column:value"."""
    values = [np.format_float_positional(v, trim="-") for v in matrix.data]
    words = [f"{c}:{v}" for c, v in zip(matrix.indices, values, strict=True)]
    bounds = matrix.indptr
    for row in range(matrix.shape[0]):
        yield " ".join(words[bounds[row] : bounds[row + 1]])


def _label_lists(Y):
    words = [str(label) for label in Y.indices]
    for row in range(Y.shape[0]):
        yield ",".join(words[Y.indptr[row] : Y.indptr[row + 1]])


def _write(path, shape, lines):
    """Write the header and the lines, compressed if the name says so."""
    with whole_file(path) as file:
        is_packed = str(path).endswith(".gz")
        with gzip.open(file, "wb") if is_packed else nullcontext(file) as out:
            out.write((" ".join(map(str, shape)) + "\n").encode("ascii"))
            out.writelines(f"{line}\n".encode("ascii") for line in lines)
