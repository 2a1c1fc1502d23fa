"""Files that once broke a promise, and some mutations of every kind."""

import random
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fuzz import KINDS, kind_named
from fuzzing.files import Case
from numpy.testing import assert_array_equal
from scipy import sparse

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelTree,
    XRLinearClassifier,
    topk_predictor,
)
from sklearn_xmr.datasets import load_xmc_file
from sklearn_xmr.feature_extraction.text import CountVectorizer
from sklearn_xmr.metrics import ece_at_k, precision_at_k
from sklearn_xmr.model_selection import (
    cross_val_predict_topk,
    cross_validate,
    iterative_train_test_split,
    learning_curve,
)
from sklearn_xmr.preprocessing import LabelNameBinarizer

CORPUS = Path(__file__).parent / "helpers" / "fuzzing" / "corpus"
NEEDS = {"skops": "skops", "parquet": "pyarrow", "caches": "torch"}
RUNS = {
    "xmc": 100,
    "libpecos": 60,
    "texts": 100,
    "trees": 100,
    "archives": 20,
    "model": 60,
    "api": 60,
}


@pytest.fixture
def kind(request, tmp_path, monkeypatch):
    """Files or calls of a kind; warnings of mutated numbers are expected."""
    if request.param in NEEDS and not find_spec(NEEDS[request.param]):
        pytest.skip(f"needs {NEEDS[request.param]}")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield kind_named(request.param)(tmp_path)


def cases():
    """Files by their kind, the folder."""
    for path in sorted(CORPUS.glob("*/*")):
        kind = path.parent.name
        yield pytest.param(kind, path, id=f"{kind}/{path.name}")


@pytest.mark.parametrize(("kind", "path"), list(cases()), indirect=["kind"])
def test_files_that_once_failed(kind, path):
    """Named NUMBER-NAME; a slash in the name of a member is written as a tilde."""
    name = path.name.partition("-")[2].replace("~", "/")
    assert kind.try_case(Case(name, path.read_bytes()))


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"skops", "caches"}), indirect=True)
def test_some_mutations(kind, request):
    name = request.node.callspec.params["kind"]
    outcomes = {
        kind.try_one(random.Random(f"test {n}")) for n in range(RUNS.get(name, 8))
    }
    assert len(outcomes) > 1 or name in ("parquet", "pages")


def test_corpus_is_small():
    sizes = [path.stat().st_size for path in CORPUS.glob("*/*")]
    assert len(sizes) >= 20 and sum(sizes) < 200_000


# --- calls that once broke a promise --------------------------------------------------


def broken(part, **changes):
    """A CSR whose arrays no constructor of SciPy would take."""
    matrix = sparse.csr_matrix(np.eye(6, 4), dtype=np.float32)
    array = getattr(matrix, part).copy()
    for place, value in changes.items():
        array[int(place[1:])] = value
    setattr(matrix, part, array)
    return matrix


@pytest.mark.parametrize("metric", [precision_at_k, ece_at_k])
@pytest.mark.parametrize(
    "scores",
    [broken("indices", _0=2**30), broken("indptr", _2=100)],
    ids=["far", "long"],
)
def test_scores_with_broken_indices_are_refused(metric, scores):
    with pytest.raises(ValueError, match="y_score is not a valid CSR matrix"):
        metric(np.eye(6, 4, dtype=int), scores, 2)


def test_spare_places_of_scores_are_no_scores():
    scores = sparse.csr_matrix(np.eye(6, 4), dtype=np.float32)
    spare = scores.copy()
    spare.indices = np.append(scores.indices, [3, 3]).astype(np.int32)
    spare.data = np.append(scores.data, [9, 9]).astype(np.float32)
    truth = np.eye(6, 4, dtype=int)
    assert precision_at_k(truth, spare, 1) == precision_at_k(truth, scores, 1)


def test_spare_places_of_label_vectors_are_no_values():
    vectors = sparse.random(12, 8, 0.5, "csr", np.float32, random_state=0)
    spare = vectors.copy()
    spare.data = np.append(vectors.data, [9, 9]).astype(np.float32)
    clusterer = HierarchicalLabelClusterer(max_leaf_size=2, branching_factor=2)
    clusterer.set_params(random_state=0)
    expected = clusterer.fit_transform(vectors)
    assert_array_equal(clusterer.fit_transform(spare), expected)


def test_broken_matrices_are_not_split():
    with pytest.raises(ValueError, match=r"arrays\[0\] is not a valid CSR matrix"):
        iterative_train_test_split(broken("indptr", _2=100), y=np.eye(6, 3, dtype=int))


def test_sums_beyond_float32_are_refused(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("2 3\n0:1\n1:3e38 1:3e38\n")
    with pytest.raises(ValueError, match=r"x\.txt, line 3: .*feature 1.* repeats"):
        load_xmc_file(path)


def test_membership_may_be_lists():
    lists = [[[1, 0], [0, 1], [1, 0]], [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]]
    matrices = [sparse.csr_matrix(each) for each in lists]
    assert LabelTree.from_membership(lists) == LabelTree.from_membership(matrices)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("argument", ["X", "y"])
def test_no_conversion_reads_out_of_bounds(form, argument):
    """SciPy's conversions and changes of type trust the indices."""
    given = {
        "X": sparse.csr_matrix(np.eye(6, 4)).asformat(form),
        "y": sparse.csr_matrix(np.eye(6, 4, dtype=int)).asformat(form),
    }
    bad = given[argument]
    places = bad.row if form == "coo" else bad.indices
    places[1] = 2**28
    with pytest.raises(ValueError, match=f"{argument} is not a valid C.. matrix"):
        XRLinearClassifier().fit(**given)


@pytest.mark.parametrize("place", [-(2**30), 2**30])
def test_inverse_transform_and_rows_trust_no_index(place):
    bad = sparse.coo_matrix(np.eye(3, dtype=np.float32))
    bad.col[1] = place
    words = CountVectorizer().fit(["ant bee cat"])
    with pytest.raises(ValueError, match="X is not a valid COO matrix"):
        words.inverse_transform(bad)
    row = sparse.csr_matrix(np.ones((1, 4), dtype=np.float32))
    predict = topk_predictor(XRLinearClassifier().fit(np.eye(6, 4), np.eye(6, 4)), 2)
    row.indptr = np.array([0, place], dtype=np.int32)
    with pytest.raises(ValueError, match="x is not a valid CSR matrix"):
        predict(row)


def test_folds_of_broken_matrices_are_refused():
    X, y = np.eye(6, 4), np.eye(6, 4, dtype=int)
    with pytest.raises(ValueError, match="X is not a valid CSR matrix"):
        cross_val_predict_topk(XRLinearClassifier(), broken("indptr", _2=100), y, cv=2)
    for run in (cross_val_predict_topk, cross_validate, learning_curve):
        with pytest.raises(ValueError, match="y is not a valid CSR matrix"):
            run(XRLinearClassifier(), X, broken("indptr", _2=100), cv=2)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_names_of_a_sparse_matrix_are_refused(form):
    """Going through its rows would convert it, and trust its indices."""
    names = sparse.csr_matrix(np.eye(6, 4)).asformat(form)
    names.indices[1] = 2**28
    with pytest.raises(TypeError, match="y must be a sequence of collections"):
        LabelNameBinarizer().fit(names)
    with pytest.raises(TypeError, match="y must hold a list of label names"):
        LabelNameBinarizer().fit([names])
    with pytest.raises(ValueError, match="label_names must be one-dimensional"):
        LabelTree.flat(6).to_text(names)


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_weight_for_all_rows_is_finite(weight):
    with pytest.raises(ValueError, match="sample_weight must be finite"):
        precision_at_k(np.eye(3, dtype=int), np.eye(3), 1, sample_weight=weight)
