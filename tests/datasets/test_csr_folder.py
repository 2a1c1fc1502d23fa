"""Matrices as folders of arrays: what is read is what was written, piece by piece."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sklearn_xmr.datasets import CSRWriter, open_csr, write_csr
from sklearn_xmr.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn_xmr.utils._csr_rows import row_range, take_rows
from sklearn_xmr.utils._ranges import row_blocks


@pytest.fixture
def matrix():
    return sparse.random(50, 30, 0.2, format="csr", dtype=np.float32, random_state=0)


def is_same(one, other):
    return one.shape == other.shape and (one != other).nnz == 0


@given(
    st.lists(st.integers(0, 20), max_size=6), st.integers(1, 40), st.integers(0, 2**32)
)
def test_pieces_make_a_matrix(sizes, n_columns, seed):
    import tempfile

    pieces = [
        sparse.random(n, n_columns, 0.3, format="csr", random_state=seed + i)
        for i, n in enumerate(sizes)
    ]
    with tempfile.TemporaryDirectory() as folder:
        with CSRWriter(folder) as writer:
            for piece in pieces:
                writer.append(piece)
        if not pieces:
            with pytest.raises(FileNotFoundError):
                open_csr(folder)
            return
        found = open_csr(folder, verify=True)
    whole = sparse.vstack(pieces, format="csr").astype(np.float32)
    assert is_same(found, whole)
    assert found.indices.dtype == np.int32 and found.data.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.indptr, whole.indptr)


def test_arrays_are_numpys(matrix, tmp_path):
    write_csr(matrix, tmp_path)
    for name in ("indptr", "indices", "data"):
        expected = getattr(matrix, name)
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)
    assert json.loads((tmp_path / "matrix.json").read_text())["shape"] == [50, 30]


def test_arrays_are_mapped(matrix, tmp_path):
    write_csr(matrix, tmp_path)
    found = open_csr(tmp_path)
    assert isinstance(found.data.base, np.memmap) and not found.data.flags.writeable


@pytest.mark.parametrize("fitted", [True, False])
def test_texts(fitted, tmp_path):
    texts = ["a red bird", "a blue fish", "", "red red fish"]
    vectorizer = HashingVectorizer(n_features=64)
    if fitted:
        vectorizer = TfidfVectorizer().fit(texts)
    with CSRWriter(tmp_path, vectorizer) as writer:
        writer.append(texts[:1])
        writer.append(texts[1:])
    assert is_same(open_csr(tmp_path), vectorizer.transform(texts).astype(np.float32))


def test_what_is_not_finished_is_no_matrix(matrix, tmp_path):
    with pytest.raises(RuntimeError, match="stop"), CSRWriter(tmp_path) as writer:
        writer.append(matrix)
        raise RuntimeError("stop")
    with pytest.raises(FileNotFoundError, match=r"matrix\.json"):
        open_csr(tmp_path)
    write_csr(matrix, tmp_path)
    assert is_same(open_csr(tmp_path), matrix)
    with pytest.raises(FileExistsError, match="holds a matrix: give another folder"):
        write_csr(matrix, tmp_path)


def test_wrong_batches_are_refused(matrix, tmp_path):
    writer = CSRWriter(tmp_path)
    writer.append(matrix)
    with pytest.raises(ValueError, match="batch must have 30 columns, as the batches"):
        writer.append(matrix[:, :20])
    with pytest.raises(ValueError, match="batch holds NaN or infinity"):
        writer.append([[np.nan] * 30])
    writer.close()
    assert is_same(open_csr(tmp_path), matrix)


def test_two_writers_and_two_ends(matrix, tmp_path):
    one, other = CSRWriter(tmp_path), CSRWriter(tmp_path)
    one.append(matrix)
    other.append(matrix[:10])
    one.close()
    one.close()
    assert is_same(open_csr(tmp_path, verify=True), matrix)
    with CSRWriter(tmp_path / "b") as writer:
        writer.append(matrix)
        writer.close()
    assert is_same(open_csr(tmp_path / "b"), matrix)
    with pytest.raises(ValueError, match="folder must be a local one"):
        CSRWriter("memory://bucket/X")


def written(matrix, folder):
    write_csr(matrix, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["indptr.npy", "indices.npy", "data.npy"])
def test_damage_is_found(name, matrix, tmp_path):
    content = written(matrix, tmp_path)[name]
    (tmp_path / name).write_bytes(content[:-9])
    with pytest.raises(ValueError, match="cannot be read as a matrix in a folder"):
        open_csr(tmp_path)
    changed = bytearray(content)
    changed[-1] ^= 64
    (tmp_path / name).write_bytes(changed)
    with pytest.raises(ValueError, match="cannot be read as a matrix in a folder"):
        open_csr(tmp_path, verify=True)


@pytest.mark.parametrize(
    "name, values",
    [
        ("indptr", [0, 2, 1]),
        ("indices", [0, 9, 1]),
        ("indices", [1, 0, 1]),
        ("indices", [1, 1, 1]),
        ("indices", [0, -1, 1]),
        ("indices", [0.0, 1.0, 1.0]),
        ("data", [[1], [2], [3]]),
        ("data", [1, 2]),
    ],
)
def test_arrays_that_are_no_matrix_are_refused(name, values, tmp_path):
    write_csr([[1, 2, 0], [0, 3, 0]], tmp_path)
    old = np.load(tmp_path / f"{name}.npy")
    values = np.array(values)
    np.save(
        tmp_path / f"{name}.npy",
        values.astype(old.dtype)
        if name != "indices" or (values.dtype.kind == "i")
        else values,
    )
    with pytest.raises(ValueError, match="cannot be read as a matrix in a folder"):
        open_csr(tmp_path)


@pytest.mark.parametrize(
    "meta", ["{}", "[]", "x", '{"format": 2}', '{"format": 1, "shape": [2]}']
)
def test_a_wrong_description_is_refused(meta, matrix, tmp_path):
    write_csr(matrix, tmp_path)
    (tmp_path / "matrix.json").write_text(meta)
    with pytest.raises(ValueError, match="cannot be read as a matrix in a folder"):
        open_csr(tmp_path)


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 20))
def test_blocks_hold_each_row_once(counts, n_values):
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    blocks = list(row_blocks(indptr, n_values))
    rows = [row for first, last in blocks for row in range(first, last)]
    assert rows == list(range(len(counts)))
    for first, last in blocks:
        assert last == first + 1 or indptr[last] - indptr[first] <= n_values


def test_rows(matrix):
    assert is_same(row_range(matrix, 7, 20), matrix[7:20])
    rows = np.array([3, 3, 41, 0])
    assert is_same(take_rows(matrix, rows), matrix[rows])
    assert take_rows(matrix, rows[:0]).shape == (0, 30)
