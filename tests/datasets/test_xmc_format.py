"""The shipped set, the XMC text format and the generator."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from targets import assert_is_target

from sklearn_xmr.datasets import (
    dump_xmc_file,
    load_tate_subjects,
    load_xmc_file,
    make_xmr_classification,
)

# --- Tate ------------------------------------------------------------------------


def test_tate_has_the_documented_numbers():
    train, test = load_tate_subjects(), load_tate_subjects(subset="test")
    assert len(train.data) == train.target.shape[0] == 46965
    assert len(test.data) == test.target.shape[0] == 11795
    assert train.target.shape[1] == test.target.shape[1] == 8046
    assert len(train.target_names) == len(train.target_paths) == 8046
    assert len(set(train.target_names)) == 7814
    full = zip(train.target_paths, train.target_names, strict=True)
    assert len(set(full)) == 8045  # but two people called Currie
    assert_is_target(train.target)
    assert_is_target(test.target)
    assert list(train) == ["data", "target", "target_names", "target_paths", "DESCR"]
    assert train.target.sum() / 46965 == pytest.approx(6.017, abs=1e-3)
    unseen = np.asarray(train.target.sum(axis=0)).ravel() == 0
    assert unseen.sum() == 127
    assert not set(train.data) & set(test.data)
    assert "CC0" in train.DESCR and "tategallery/collection" in train.DESCR


def test_tate_all_is_train_then_test():
    data, target = load_tate_subjects(subset="all", return_X_y=True)
    train = load_tate_subjects()
    assert data[: len(train.data)] == train.data and len(data) == 58760
    assert (target[: len(train.data)] != train.target).nnz == 0
    with pytest.raises(ValueError, match="subset"):
        load_tate_subjects(subset="valid")


# --- XMC format -----------------------------------------------------------------


def slow_load(path):
    """The format as a plain loop reads it."""
    with open(path) as file:
        n, d, n_labels = map(int, file.readline().split())
        X, Y = np.zeros((n, d), np.float32), np.zeros((n, n_labels), np.float32)
        for row in range(n):
            words = file.readline().rstrip("\n").split(" ")
            if ":" not in words[0]:
                for label in filter(None, words.pop(0).split(",")):
                    Y[row, int(label)] = 1
            for word in filter(None, words):
                feature, value = word.split(":")
                X[row, int(feature)] += np.float32(value)
    return X, Y


@st.composite
def matrices(draw):
    rng = np.random.RandomState(draw(st.integers(0, 2**31 - 1)))
    n, d, n_labels = (draw(st.integers(1, 9)) for _ in range(3))
    values = rng.standard_normal((n, d)) * 10.0 ** rng.randint(-30, 30, (n, d))
    X = np.where(rng.rand(n, d) < 0.5, values, 0).astype(np.float32)
    return X, (rng.rand(n, n_labels) < 0.4).astype(np.float32)


@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
@given(case=matrices())
@settings(deadline=None, max_examples=50)
def test_round_trip(tmp_path_factory, suffix, case):
    X, Y = case
    folder = tmp_path_factory.mktemp("xmc")
    path, label_path = folder / f"a.{suffix}", folder / f"b.{suffix}"
    dump_xmc_file(X, sparse.csr_matrix(Y), path)
    if suffix == "txt":
        for got, slow in zip((X, Y), slow_load(path), strict=True):
            np.testing.assert_array_equal(got, slow)
    dump_xmc_file(sparse.csr_array(X), Y, folder / f"c.{suffix}", label_path)
    for got in (load_xmc_file(path), load_xmc_file(folder / f"c.{suffix}", label_path)):
        np.testing.assert_array_equal(got[0].toarray(), X)
        np.testing.assert_array_equal(got[1].toarray(), Y)
        assert got[0].dtype == np.float32 and got[0].has_canonical_format
        assert_is_target(got[1])


def write(tmp_path, text):
    path = tmp_path / "data.txt"
    path.write_text(text)
    return path


def test_forms_of_lines(tmp_path):
    text = "5 4 6\r\n1,0 0:1.5\t2:-2e-1 \r\n 3:.5\r\n5\r\n\r\n2,2 1:3 0:1 1:1"
    X, Y = load_xmc_file(write(tmp_path, text))
    np.testing.assert_allclose(
        X.toarray(),
        [[1.5, 0, -0.2, 0], [0, 0, 0, 0.5], [0] * 4, [0] * 4, [1, 4, 0, 0]],
    )
    labels = [Y[row].indices.tolist() for row in range(5)]
    assert labels == [[0, 1], [], [5], [], [2]]


def test_values_are_rounded_as_numpy_rounds(tmp_path):
    words = [
        "1",
        "0.1",
        "123456.789",
        "1e-30",
        "3.4028234e38",
        "-0",
        "+1.5",
        "0.30000001",
    ]
    words += ["0.12345678901234567890123", "1234567890123456789", "1E5", "5e-45"]
    text = f"1 {len(words)}\n" + " ".join(f"{i}:{w}" for i, w in enumerate(words))
    X, _ = load_xmc_file(write(tmp_path, text))
    np.testing.assert_array_equal(X.toarray()[0], np.array(words, dtype=np.float32))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected a header"),
        ("2\n", 1, "expected a header"),
        ("a b c\n", 1, "expected a header"),
        ("-1 2 3\n", 1, "expected a header"),
        ("1 2 99999999999\n", 1, "at most"),
        ("2 3 4\n0 1:1\n", 3, "ends early: the header announces 2 rows"),
        ("1 3 4\n0 1:1\n1 1:1\n", 3, "more lines than the 1 of the header"),
        ("1 3 4\n0 3:1\n", 2, "feature number out of range, must be 0 to 2"),
        ("1 3 4\n0 -1:1\n", 2, "feature number out of range"),
        ("1 3 4\n0 99999999999999999999:1\n", 2, "feature number out of range"),
        ("1 3 4\n4 1:1\n", 2, "label number out of range, must be 0 to 3"),
        ("1 3 4\n-1 1:1\n", 2, "label number out of range"),
        ("1 3 4\na 1:1\n", 2, "expected a label number"),
        ("1 3 4\n1;2 1:1\n", 2, "expected a label number"),
        ("1 3 4\n0 1:\n", 2, "finite value"),
        ("1 3 4\n0 1:x\n", 2, "finite value"),
        ("1 3 4\n0 1:nan\n", 2, "finite value"),
        ("1 3 4\n0 1:1e99\n", 2, "finite value"),
        ("1 3 4\n0 1:1:2\n", 2, "finite value"),
        ("1 3 4\n0 1\n", 2, "expected feature:value"),
        ("1 3\n1\n", 2, "expected feature:value"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, line, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=rf"data.txt, line {line}: .*{message}"):
        load_xmc_file(path)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_bytes_load_or_raise_value_error(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "x.txt"
    path.write_bytes(b"3 5 4\n" + noise)
    try:
        X, Y = load_xmc_file(path)
    except ValueError:
        return
    assert X.shape == (3, 5) and Y.shape == (3, 4)
    assert np.isfinite(X.data).all()


@given(case=matrices())
@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_a_file_without_a_header(tmp_path_factory, suffix, case):
    X, Y = case
    folder = tmp_path_factory.mktemp("xmc")
    whole, path = folder / f"a.{suffix}", folder / f"b.{suffix}"
    dump_xmc_file(X, Y, whole)
    unpack = gzip.open if suffix.endswith("gz") else open
    with unpack(whole, "rb") as file, unpack(path, "wb") as out:
        next(file)
        lines = file.readlines()
        out.writelines(lines)
    if b":" not in lines[0]:  # no feature: it is not told from a header
        return
    widths = {"n_features": X.shape[1], "n_labels": Y.shape[1]}
    kept = [i for i, line in enumerate(lines) if line.strip()]
    for got, wanted in zip(load_xmc_file(path, **widths), (X, Y), strict=True):
        np.testing.assert_allclose(got.toarray(), wanted[kept], rtol=1e-6)
    got_X, got_Y = load_xmc_file(path)
    assert got_X.shape[1] <= X.shape[1] and got_Y.shape[1] <= Y.shape[1]
    assert got_X.dtype == np.float32 and got_X.has_canonical_format
    assert_is_target(got_Y)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1,2 0:1\n3 x:1\n", {}, "data.txt cannot be read as a libsvm file"),
        ("-1 0:1\n", {}, "data.txt .* labels must be integers from 0"),
        ("0.5 0:1\n", {}, "data.txt .* labels must be integers from 0"),
        ("nan 0:1\n", {}, "data.txt .* labels must be integers from 0"),
        ("9999999999 0:1\n", {}, "data.txt .* labels must be integers from 0"),
        ("1 0:nan\n", {}, "data.txt .* NaN or a value beyond"),
        ("1 0:1e99\n", {}, "data.txt .* NaN or a value beyond"),
        ("1 0:1\n", {"n_labels": 1}, "it has label 1, but n_labels is 1"),
        ("1 3:1\n", {"n_features": 2}, "it has feature 3, but n_features is 2"),
        ("1 3:1\n", {"n_features": 0}, "n_features"),
        ("1 2 3\n0 0:1\n", {"n_features": 2}, "data.txt has one"),
    ],
)
def test_errors_of_a_file_without_a_header(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        load_xmc_file(write(tmp_path, text), **options)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=200)
def test_any_bytes_without_a_header_load_or_raise(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "x.txt"
    path.write_bytes(b"1,2 0:1\n" + noise)
    try:
        X, Y = load_xmc_file(path)
    except ValueError as error:
        assert "x.txt" in str(error)
        return
    assert X.shape[0] == Y.shape[0] and Y[0].indices.tolist() == [1, 2]
    assert np.isfinite(X.data).all()


def test_two_files_must_fit(tmp_path):
    (tmp_path / "x").write_text("2 3\n0:1\n1:1\n")
    (tmp_path / "y").write_text("1 3\n0:1\n")
    (tmp_path / "both").write_text("1 3 4\n0 0:1\n")
    with pytest.raises(ValueError, match="x has 2 rows, but .*y has 1"):
        load_xmc_file(tmp_path / "x", tmp_path / "y")
    with pytest.raises(ValueError, match="label_path=.* must be left out"):
        load_xmc_file(tmp_path / "both", tmp_path / "y")
    with pytest.raises(ValueError, match="a file of labels has the header"):
        load_xmc_file(tmp_path / "y", tmp_path / "both")
    assert load_xmc_file(tmp_path / "x")[1] is None
    (tmp_path / "graded").write_text("2 3\n2:0.5 0:0\n1:1 1:2\n")
    _, Y = load_xmc_file(tmp_path / "x", tmp_path / "graded")
    assert_is_target(Y)
    assert Y.toarray().tolist() == [[0, 0, 1], [0, 1, 0]]
    with pytest.raises(FileNotFoundError):
        load_xmc_file(tmp_path / "nothing")


def test_broken_gzip(tmp_path):
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(b"1 2 3\n0 1:1\n" * 50)[:-12])
    with pytest.raises(ValueError, match="not a complete gzip file"):
        load_xmc_file(path)


def test_failed_dump_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="Y must hold only 0 and 1"):
        dump_xmc_file([[1.0]], [[2]], path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def python_loop(path):
    """What users write: split and append."""
    indptr, indices, values, labels = [0], [], [], []
    with open(path) as file:
        next(file)
        for line in file:
            head, *words = line.split(" ")
            labels.append([int(label) for label in head.split(",") if label])
            for word in words:
                feature, value = word.split(":")
                indices.append(int(feature))
                values.append(float(value))
            indptr.append(len(indices))
    return labels, sparse.csr_matrix((values, indices, indptr))


def test_parser_equals_a_python_loop(tmp_path):
    X, Y = make_xmr_classification(300, 500, 50, random_state=0)
    path = tmp_path / "some.txt"
    dump_xmc_file(X, Y, path)
    labels, expected = python_loop(path)
    X, Y = load_xmc_file(path)
    expected.resize(X.shape)  # the last features may occur in no row
    np.testing.assert_allclose(X.toarray(), expected.toarray(), rtol=1e-6)
    assert [row.indices.tolist() for row in Y] == labels


# --- generator ---------------------------------------------------------------------


def test_generator_is_seeded_and_sparse():
    X, Y = make_xmr_classification(500, 3000, 400, random_state=3)
    again = make_xmr_classification(500, 3000, 400, random_state=3)
    assert (X != again[0]).nnz == 0 and (Y != again[1]).nnz == 0
    other = make_xmr_classification(500, 3000, 400, random_state=4)
    assert (Y != other[1]).nnz > 0
    assert X.dtype == np.float32 and X.has_canonical_format
    assert_is_target(Y)
    np.testing.assert_allclose(sparse.linalg.norm(X, axis=1), 1, rtol=1e-5)
    assert np.diff(Y.indptr).min() >= 1


def test_generator_follows_a_power_law():
    _, Y = make_xmr_classification(40_000, 100, 2000, exponent=1.0, random_state=0)
    counts = np.sort(np.asarray(Y.sum(axis=0)).ravel())[::-1]
    ranks = np.arange(10, 300)
    slope = np.polyfit(np.log(ranks), np.log(counts[ranks - 1]), 1)[0]
    assert -1.1 < slope < -0.6


def test_generator_hides_topics():
    _, Y, clusters = make_xmr_classification(
        3000, 3000, 256, return_clusters=True, random_state=0
    )
    assert np.bincount(clusters).max() <= 16
    together = (Y.T @ Y).toarray()
    np.fill_diagonal(together, 0)
    same = np.equal.outer(clusters, clusters)
    assert together[same].sum() > 0.3 * together.sum()


@given(
    n=st.integers(1, 20),
    d=st.integers(1, 20),
    n_labels=st.integers(1, 20),
    b=st.integers(2, 20),
)
@settings(deadline=None, max_examples=50)
def test_generator_takes_any_size(n, d, n_labels, b):
    X, Y = make_xmr_classification(n, d, n_labels, branching_factor=b, random_state=0)
    assert X.shape == (n, d) and Y.shape == (n, n_labels)


@pytest.mark.parametrize(
    "bad", [{"n_labels": 0}, {"noise": 2}, {"labels_per_sample": 0}]
)
def test_generator_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_xmr_classification(**bad)
