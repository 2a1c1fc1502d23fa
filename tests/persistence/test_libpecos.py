"""Models of libpecos: the same rankings as its own, and errors that name the file.

The models and answers were written by libpecos 1.2.8:

    PYTHON tests/helpers/make_libpecos_fixtures.py tests/persistence/fixtures/libpecos
"""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sklearn_xmr import (
    LabelTree,
    XRLinearClassifier,
    load_libpecos_model,
    load_model,
    save_model,
    topk_predictor,
)
from sklearn_xmr.utils import _reading

FOLDER = Path(__file__).parent / "fixtures" / "libpecos"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())
X = np.array(ANSWERS.pop("X"), dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    """A copy of the model of three levels, which a test may damage."""
    return Path(shutil.copytree(FOLDER / "three_levels", tmp_path / "model"))


def change_json(path, **changes):
    values = json.loads(path.read_text())
    for name, value in changes.items():
        inner = values if name in values else values["pred_kwargs"]
        inner[name] = value
    path.write_text(json.dumps(values))


def assert_same_ranking(labels, scores, wanted_labels, wanted_scores):
    """The same labels with the same scores; ties may be in any order."""
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    np.testing.assert_allclose(scores, wanted_scores, rtol=1e-5, atol=1e-7)
    by_label = dict(zip(labels.tolist(), scores, strict=True))
    found = [by_label[label] for label in wanted_labels]
    np.testing.assert_allclose(found, wanted_scores, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ANSWERS)
def test_rankings_are_those_of_libpecos(name):
    model = load_libpecos_model(FOLDER / name)
    for case in ANSWERS[name]:
        clf = load_libpecos_model(FOLDER / name)
        if case["beam_size"] is not None:
            rule = case["post_processor"].replace("-", "_")
            clf.set_params(beam_size=case["beam_size"], post_processor=rule)
        found = clf.predict_topk(sparse.csr_matrix(X))
        wanted = zip(case["labels"], case["scores"], strict=True)
        for labels, scores, row in zip(*found, wanted, strict=True):
            assert_same_ranking(labels, scores, *row)
    n_levels = {"flat": 1, "two_levels": 2, "three_levels": 3}
    assert model.tree_.n_levels == n_levels[name]
    assert model.n_features_in_ == X.shape[1]


def test_saved_parameters_are_kept():
    clf = load_libpecos_model(str(FOLDER / "two_levels"))
    wanted = {
        "beam_size": 2,
        "top_k": 4,
        "post_processor": "sigmoid",
        "bias": 2.5,
        "path_weight": 1.0,
        "weight_dtype": "float32",
    }
    assert wanted.items() <= clf.get_params().items()
    flat = load_libpecos_model(FOLDER / "flat")
    assert (flat.top_k, flat.post_processor) == (7, "l2_hinge")
    assert load_libpecos_model(FOLDER / "three_levels").bias == 0


def test_a_loaded_model_is_an_estimator_like_any_other(tmp_path):
    clf = load_libpecos_model(FOLDER / "two_levels")
    labels, scores = clf.predict_topk(X, k=3)
    best = topk_predictor(clf, k=3)
    assert [best(row)[0].tolist() for row in X] == labels.tolist()
    assert clf.predict_proba(X).shape == clf.predict(X).shape == (len(X), 20)
    save_model(clf, tmp_path / "model.xmr")
    again = load_model(tmp_path / "model.xmr").predict_topk(X, k=3)
    np.testing.assert_array_equal(again[0], labels)
    np.testing.assert_array_equal(again[1], scores)
    rng = np.random.RandomState(0)
    more, Y = rng.rand(40, X.shape[1]), sparse.random(40, 21, 0.2, random_state=0)
    Y.data[:] = 1
    assert clf.add_labels(more, Y).n_labels_ == 21
    assert clf.prune(threshold=0.1).remove_labels([20]).n_labels_ == 20
    assert clf.fit(more, Y.tocsr()[:, :20]).tree_ == clf.clusterer  # keeps its tree


def test_what_needs_the_training_data_says_so():
    clf = load_libpecos_model(FOLDER / "two_levels")
    with pytest.raises(ValueError, match="propensities are not known"):
        clf.set_params(label_weight="inverse_propensity").predict_topk(X)
    clf.set_params(label_weight=None, cost_sensitive="propensity")
    Y = np.eye(3, 21)
    with pytest.raises(ValueError, match="propensities are not known"):
        clf.add_labels(X, Y)


def test_a_ranker_without_its_matcher_is_a_flat_tree(folder):
    shutil.rmtree(folder / "ranker" / "0.model")
    shutil.rmtree(folder / "ranker" / "1.model")
    (folder / "ranker" / "2.model").rename(folder / "ranker" / "0.model")
    change_json(folder / "ranker" / "param.json", depth=1)
    clf = load_libpecos_model(folder)
    assert clf.tree_.n_levels == 1
    weights = sparse.load_npz(folder / "ranker" / "0.model" / "W.npz").toarray()
    labels, scores = clf.set_params(post_processor="noop").predict_topk(X)
    np.testing.assert_allclose(
        scores, np.take_along_axis(X @ weights, labels, axis=1), rtol=1e-5, atol=1e-6
    )


def test_clusters_without_labels_are_left_out(folder):
    path = folder / "ranker" / "2.model" / "C.npz"
    clusters = sparse.load_npz(path).toarray()
    clusters[clusters[:, 1] > 0] = [1, 0, 0, 0]
    sparse.save_npz(path, sparse.csc_matrix(clusters))
    clf = load_libpecos_model(folder)
    assert clf.tree_.level_sizes == [2, 3, 20]
    labels = np.sort(clf.predict_topk(X)[0], axis=1)
    assert (labels == np.arange(20)).all()


def overlapping(folder):
    path = folder / "ranker" / "2.model" / "C.npz"
    clusters = sparse.load_npz(path).tolil()
    clusters[3] = 1
    sparse.save_npz(path, clusters.tocsc())


def without_cluster(folder):
    path = folder / "ranker" / "2.model" / "C.npz"
    clusters = sparse.load_npz(path).tolil()
    clusters[3] = 0
    sparse.save_npz(path, clusters.tocsc())


def broken_indices(folder):
    path = folder / "ranker" / "1.model" / "W.npz"
    weights = sparse.load_npz(path)
    weights.indices[0] = 10**6
    sparse.save_npz(path, weights)


def not_finite(folder):
    path = folder / "ranker" / "1.model" / "W.npz"
    weights = sparse.load_npz(path)
    weights.data[0] = np.nan
    sparse.save_npz(path, weights)


def pickled(folder):
    path = folder / "ranker" / "1.model" / "W.npz"
    arrays = dict(np.load(path))
    arrays["data"] = arrays["data"].astype(object)
    np.savez(path, **arrays)


def narrower(folder):
    path = folder / "ranker" / "1.model" / "W.npz"
    sparse.save_npz(path, sparse.load_npz(path)[:-1])


def by_rows(folder):
    path = folder / "ranker" / "1.model" / "W.npz"
    sparse.save_npz(path, sparse.load_npz(path).tocsr())


def of_another_tree(folder):
    shutil.rmtree(folder / "ranker" / "0.model")
    shutil.copytree(
        FOLDER / "flat" / "ranker" / "0.model", folder / "ranker" / "0.model"
    )


def test_files_that_unpack_to_too_much(folder, monkeypatch):
    monkeypatch.setattr(_reading, "LEAST_ROOM", 1000)
    path = folder / "ranker" / "1.model" / "W.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(1 << 20))
    with pytest.raises(ValueError, match=r"W.npz cannot .* unpacks to 1048576 bytes"):
        load_libpecos_model(folder)


def compiled(folder):
    path = folder / "ranker" / "1.model" / "param.json"
    path.write_text(path.read_text().replace('"bias"', '"is_mmap": true, "bias"'))


def json_of(level, **changes):
    path = Path("ranker") / level / "param.json"
    return lambda folder: change_json(folder / path, **changes)


def text(path, content):
    return lambda folder: (folder / path).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (overlapping, r"2.model.C.npz: node 3 is in 4 clusters"),
        (without_cluster, r"2.model.C.npz: node 3 is in no cluster, as set_output"),
        (broken_indices, r"1.model.W.npz cannot be read as a sparse matrix \(ValueErr"),
        (not_finite, r"1.model.W.npz cannot .* it holds NaN or infinity"),
        (pickled, r"1.model.W.npz cannot .* Object arrays cannot be loaded"),
        (narrower, r"1.model.W.npz cannot .* shape \(11, 4\), param.json says \(12"),
        (by_rows, r"1.model.W.npz cannot .* it is csr of float32, not csc"),
        (of_another_tree, r"1.model.C.npz has 2 clusters, but the level above has 20"),
        (text("ranker/param.json", b"{"), r"ranker.param.json cannot be read as JSON"),
        (text("ranker/param.json", b"[]"), r"ranker.param.json: expected an object"),
        (text("ranker/param.json", b"\xff"), r"ranker.param.json cannot be read as JS"),
        (text("ranker/0.model/C.npz", b"PK"), r"0.model.C.npz cannot be read as a sp"),
        (json_of("", depth=0), r"param.json: depth must be a positive integer, got 0"),
        (json_of("", depth=True), "depth must be a positive integer, got True"),
        (json_of("0.model", bias="x"), r"param.json: bias must be a number of at most"),
        (json_of("0.model", bias=2**64), r"bias must be a number of at most 1,000,000"),
        (json_of("0.model", nr_labels=-1), "nr_labels must be a positive integer"),
        (json_of("0.model", pred_kwargs=3), "pred_kwargs must be an object, got 3"),
        (json_of("0.model", only_topk=None), "only_topk must be a positive integer"),
        (json_of("0.model", post_processor="l5-hinge"), "one of .* got 'l5-hinge'"),
        (json_of("0.model", post_processor=["noop"]), r"one of .* got \['noop'\]"),
        (json_of("1.model", post_processor="noop"), "1.model.param.json: post_proces"),
        (json_of("1.model", only_topk=3), r"the beams \[3, 20\] \(only_topk"),
        (compiled, "1.model.param.json is of a model that compile_mmap_model has made"),
    ],
)
def test_damaged_and_unsupported_models(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load_libpecos_model(folder)


@pytest.mark.parametrize("name", ["param.json", "1.model/C.npz", "2.model/W.npz"])
def test_a_missing_file_is_named(folder, name):
    (folder / "ranker" / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_libpecos_model(folder)


def test_from_model_checks_what_it_gets():
    model = load_libpecos_model(FOLDER / "flat").model_
    with pytest.raises(TypeError, match="model must be a TreeModel, got LabelTree"):
        XRLinearClassifier.from_model(LabelTree.flat(3))
    with pytest.raises(ValueError, match="beam_size"):
        XRLinearClassifier.from_model(model, beam_size=0)
    clf = XRLinearClassifier.from_model(model)
    assert clf.path_weight_ == clf.row_length_ == 1
    assert clf.effective_beam_size == 10
    assert np.isnan(clf.propensities_).all()
