"""CSR matrices as folders of arrays: written in pieces, read as memory maps."""

import json
import os
import secrets
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from sklearn_xmr.utils._csr_rows import csr_of_arrays, row_range
from sklearn_xmr.utils._folders import Folder
from sklearn_xmr.utils._matrices import as_csr_float32, check_indices
from sklearn_xmr.utils._ranges import row_blocks
from sklearn_xmr.utils._reading import named_errors
from sklearn_xmr.utils._typing import CSR, MatrixLike, PathOrStr, Self
from sklearn_xmr.utils._whole_file import whole_file

META = "matrix.json"  # written last: a folder without it is not finished
FORMAT = 1
DTYPES = {"indptr": "<i8", "indices": "<i4", "data": "<f4"}
HEADER_BYTES = 128  # of a .npy file of one dimension, whatever its length
BLOCK_VALUES = 1 << 20  # that are copied at once


class CSRWriter:
    """Write a CSR matrix of float32 to disk, piece by piece.

    The folder holds ``indptr.npy`` (int64), ``indices.npy`` (int32) and ``data.npy``
    (float32), as NumPy saves them, and ``matrix.json`` with the shape and checksums,
    which is written last. A matrix may so be larger than the memory:
    :func:`open_csr` maps the arrays.

    Parameters
    ----------
    folder : path-like
        A local folder, which is made where it is missing.
    vectorizer : transformer, default=None
        What makes rows of the batches: a fitted vectorizer, or one that needs no fit,
        such as a HashingVectorizer. None: batches are matrices.

    Raises
    ------
    FileExistsError
        If the folder holds a matrix.
    ValueError
        If the folder is a URL.
    OSError
        If it cannot be written.

    See Also
    --------
    open_csr : Read the matrix.
    sklearn_xmr.distributed.fit_distributed : Fit on a matrix larger than the memory.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr.datasets import CSRWriter, open_csr
    >>> from sklearn_xmr.feature_extraction.text import HashingVectorizer
    >>> vectorizer = HashingVectorizer(n_features=1000)
    >>> folder = TemporaryDirectory()
    >>> with CSRWriter(folder.name, vectorizer) as writer:
    ...     for texts in (["a red bird", "a blue bird"], ["a fish"]):
    ...         writer.append(texts)
    >>> X = open_csr(folder.name)
    >>> X.shape
    (3, 1000)
    >>> folder.cleanup()
    """

    def __init__(self, folder: PathOrStr, vectorizer: Any = None) -> None:
        if "://" in os.fspath(folder):
            raise ValueError(
                f"folder must be a local one, got {os.fspath(folder)!r}: copy what has "
                "been written there"
            )
        self.folder, self.vectorizer = Path(Folder(folder).url), vectorizer
        if (self.folder / META).exists():
            raise FileExistsError(f"{self.folder} holds a matrix: give another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._arrays = {n: _GrowingArray(self.folder, n, t) for n, t in DTYPES.items()}
        self._arrays["indptr"].append(np.zeros(1, dtype=np.int64))
        self._n_features: int | None = None
        self._closed = False

    def append(self, batch: MatrixLike) -> None:
        """Write the rows of a batch.

        Parameters
        ----------
        batch : {array-like, sparse matrix} of shape (n_rows, n_features), or texts
            A matrix, or what the vectorizer takes.

        Raises
        ------
        ValueError
            If it has other columns than the batches before, or values that are not
            finite.
        OSError
            If the disk is full.
        """
        if self.vectorizer is not None:
            batch = self.vectorizer.transform(batch)
        rows = as_csr_float32(batch)
        if not np.isfinite(rows.data).all():
            raise ValueError("batch holds NaN or infinity, which no model can use")
        if self._n_features not in (None, rows.shape[1]):
            raise ValueError(
                f"batch must have {self._n_features} columns, as the batches before, "
                f"got {rows.shape[1]}"
            )
        self._n_features = rows.shape[1]
        self._arrays["indices"].append(rows.indices)
        self._arrays["data"].append(rows.data)
        start = self._arrays["indptr"].last
        self._arrays["indptr"].append(start + rows.indptr[1:].astype(np.int64))

    def close(self) -> None:
        """Finish the matrix; without a batch, the folder stays unfinished."""
        if self._closed:
            return
        self._closed = True
        if self._n_features is None:  # nothing was written
            self._abandon()
            return
        sums = {name: array.close() for name, array in self._arrays.items()}
        shape = [self._arrays["indptr"].size - 1, self._n_features]
        meta = {"format": FORMAT, "shape": shape, "crc32": sums}
        with whole_file(self.folder / META) as file:
            file.write(json.dumps(meta).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._abandon()

    def _abandon(self):
        for array in self._arrays.values():
            array.abandon()


class _GrowingArray:
    """A .npy file of one dimension whose length is known at the end."""

    def __init__(self, folder, name, dtype):
        # Under a name of its own until it is complete: another writer may be at work.
        self._path = folder / f"{name}.npy"
        unfinished = folder / f".{name}.{secrets.token_hex(4)}.part"
        self._file = open(unfinished, "xb")  # noqa: SIM115, until close
        self._dtype, self.size, self.last, self._sum = np.dtype(dtype), 0, 0, 0
        self._write_header()

    def append(self, values):
        content = np.ascontiguousarray(values, dtype=self._dtype)
        if len(content):
            self._file.write(memoryview(content).cast("B"))
            self._sum = crc32(memoryview(content).cast("B"), self._sum)
            self.size, self.last = self.size + len(content), content[-1]

    def close(self):
        """Checksum of the values (int)."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        os.replace(self._file.name, self._path)
        return self._sum

    def abandon(self):
        self._file.close()
        os.unlink(self._file.name)

    def _write_header(self):
        header = {"descr": self._dtype.str, "fortran_order": False}
        shape = {"shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self._file, header | shape)
        if self._file.tell() != HEADER_BYTES:
            raise RuntimeError(f"a header of {self._file.tell()} bytes")


def write_csr(matrix: MatrixLike, folder: PathOrStr) -> None:
    """Write a CSR matrix as a folder of arrays.

    Parameters
    ----------
    matrix : {array-like, sparse matrix} of shape (n_rows, n_columns)
        Finite numbers, stored as float32.
    folder : path-like
        A local folder, which is made where it is missing.

    Raises
    ------
    FileExistsError
        If the folder holds a matrix.
    ValueError
        If a number is not finite.

    See Also
    --------
    CSRWriter : Write a matrix piece by piece, or texts.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr.datasets import open_csr, write_csr
    >>> with TemporaryDirectory() as folder:
    ...     write_csr([[0, 1], [2, 0]], folder)
    ...     open_csr(folder).toarray().tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    matrix = as_csr_float32(matrix)
    with CSRWriter(folder) as writer:
        if not matrix.shape[0]:
            writer.append(matrix)
        for first, last in row_blocks(matrix.indptr, BLOCK_VALUES):
            writer.append(row_range(matrix, first, last))


def open_csr(folder: PathOrStr, *, verify: bool = False, check: bool = True) -> CSR:
    """Open a CSR matrix of a folder, with memory-mapped, read-only arrays.

    Parameters
    ----------
    folder : path-like or str
        What :class:`CSRWriter` has written: a local folder or, if fsspec is installed,
        a URL, whose files are copied to the local disk.
    verify : bool, default=False
        Compare all values with the checksums, which reads the whole matrix.
    check : bool, default=True
        Check that all columns exist and ascend in each row, which reads all of their
        numbers. Without, rows must be checked before a kernel works with them.

    Returns
    -------
    csr_matrix of float32 of shape (n_rows, n_columns)
        Its rows have ascending columns.

    Raises
    ------
    FileNotFoundError
        If there is no finished matrix.
    ValueError
        If the arrays are not those that were written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_xmr.datasets import open_csr, write_csr
    >>> with TemporaryDirectory() as folder:
    ...     write_csr([[0, 1], [2, 0]], folder)
    ...     open_csr(folder, verify=True).nnz
    2
    """
    folder = Folder(folder)
    with named_errors(folder.url, ValueError, "a matrix in a folder"):
        shape, sums = _checked_meta(json.loads(folder.read(META).read_bytes()))
        arrays = {
            name: _mapped(folder.read(f"{name}.npy"), dtype)
            for name, dtype in DTYPES.items()
        }
        if verify:
            _compare(arrays, sums)
        matrix = csr_of_arrays(shape, **arrays)
        if check:
            check_indices(matrix, "the matrix")
            _check_order(matrix)
    return matrix


def _mapped(path, dtype):
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype != np.dtype(dtype) or array.ndim != 1:
        raise ValueError(f"{path.name} must hold one dimension of {dtype}")
    return np.asarray(array)


def _checked_meta(meta):
    """Shape and checksums."""
    if meta.get("format") != FORMAT:
        raise ValueError(f"its format is {meta.get('format')!r}, not {FORMAT}")
    shape = meta["shape"]
    is_shape = len(shape) == 2 and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape:
        raise ValueError(f"its shape is {shape!r}")
    return shape, meta["crc32"]


def _check_order(matrix):
    """ValueError unless the columns of each row ascend, without a pair twice."""
    for first, last in row_blocks(matrix.indptr, BLOCK_VALUES):
        rows = row_range(matrix, first, last)
        rises = np.diff(rows.indices) > 0
        starts = rows.indptr[1:-1]
        rises[starts[(starts > 0) & (starts < len(rows.indices))] - 1] = True
        if not rises.all():
            raise ValueError("the columns of a row do not ascend")


def _compare(arrays, sums):
    for name, array in arrays.items():
        if crc32(memoryview(array).cast("B") if len(array) else b"") != sums[name]:
            raise ValueError(f"the content of {name}.npy is not what was written")
