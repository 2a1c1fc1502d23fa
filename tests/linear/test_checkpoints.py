"""A fit that was killed goes on from its last level, to the same bits."""

import errno
import os
import signal

import numpy as np
import pytest
from faults import forked, full_disk, of_unix, read_only_folder
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.tree import DecisionTreeClassifier

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelNamesClassifier,
    XMRClassifier,
    XRBanditClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XREnsembleClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    load_model,
    save_model,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear import _tree_levels
from sklearn_xmr.model_selection import cross_val_predict_topk

DEEP = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=5, random_state=0)
CLF = XRLinearClassifier(DEEP, random_state=0)  # 3 levels
FITS = {
    "tfn": CLF,
    "man": clone(CLF).set_params(negative_sampling="man", weight_dtype="float32"),
    "tfn+man": clone(CLF).set_params(negative_sampling="tfn+man", loss="logistic"),
}
each_fit = pytest.mark.parametrize("clf", FITS.values(), ids=FITS)


@pytest.fixture(scope="module")
def small():
    """X, Y: 200 x 150, 40 labels: another set than that of other modules."""
    return make_xmr_classification(200, 150, 40, random_state=0)


def arrays_of(clf):
    tree = clf.model_.tree
    found = {f"offsets {n}": part for n, part in enumerate(tree.offsets)}
    found["label order"] = tree.label_order
    for number, weights in enumerate(clf.weights_):
        found.update({f"{number} {n}": a for n, a in weights.arrays().items()})
    return found


def assert_same_bits(one, two):
    ours, theirs = arrays_of(one), arrays_of(two)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.shape == theirs[name].shape, name
        assert array.tobytes() == theirs[name].tobytes(), name
    assert one.n_iter_ == two.n_iter_


@pytest.fixture
def trained(monkeypatch):
    """Something for each training of a tree, or of one of its levels, up to now."""
    count, solve = [], _tree_levels.solve_levels

    def counting(X, problems, settings, weights, *only):
        count.extend(only)  # which other trainings do not give
        return solve(X, problems, settings, weights, *only)

    monkeypatch.setattr(_tree_levels, "solve_levels", counting)
    return count


def with_folder(clf, folder):
    return clone(clf).set_params(checkpoint_dir=folder)


def kill_at(call):
    """SIGKILL to this process at the so manieth time that a file takes its name."""
    replace, calls = os.replace, []

    def killing(*args):
        calls.append(args)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*args)

    os.replace = killing


@of_unix
@each_fit
@pytest.mark.parametrize("n_kept", [0, 1, 2])
def test_a_killed_fit_goes_on_to_the_same_bits(clf, small, tmp_path, trained, n_kept):
    X, Y = small
    whole = clone(clf).fit(X, Y)

    def killed():
        kill_at(n_kept + 2)  # the first file names the run
        with_folder(clf, tmp_path).fit(X, Y)

    assert forked(killed) == -signal.SIGKILL
    kept = {path.name for path in tmp_path.glob("[!.]*")}
    assert kept == {"run.xmr", *(f"level_{n + 1}.xmr" for n in range(n_kept))}
    trained.clear()
    assert_same_bits(with_folder(clf, tmp_path).fit(X, Y), whole)
    assert len(trained) == whole.tree_.n_levels - n_kept
    trained.clear()
    assert_same_bits(with_folder(clf, str(tmp_path)).fit(X, Y), whole)
    assert not trained


def test_hybrid_features_weights_and_costs_too(small, tmp_path, trained):
    X, Y = small
    rng = np.random.RandomState(0)
    X = HybridFeatures(X, rng.rand(200, 5).astype(np.float32))
    clf = clone(CLF).set_params(cost_sensitive="propensity")
    rejected = sparse.random(200, 40, 0.02, format="csr", random_state=0)
    given = {
        "sample_weight": 1 + rng.rand(200),
        "negatives": rejected - rejected.multiply(Y),
    }
    whole = clone(clf).fit(X, Y, **given)
    assert_same_bits(with_folder(clf, tmp_path).fit(X, Y, **given), whole)
    (tmp_path / "level_2.xmr").unlink()
    trained.clear()
    assert_same_bits(with_folder(clf, tmp_path).fit(X, Y, **given), whole)
    assert len(trained) == 1
    with pytest.raises(ValueError, match="differs in sample_weight:"):
        with_folder(clf, tmp_path).fit(X, Y, **{**given, "sample_weight": np.ones(200)})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"C": 2}, r"C \* positive_cost \(1.0 there, 2.0 here\), C \* negative_cost"),
        ({"loss": "hinge"}, r"loss \('squared_hinge' there, 'hinge' here\)"),
        ({"tol": 0.1}, "tol"),
        ({"max_iter": 7}, "max_iter"),
        ({"bias": 0}, "bias"),
        ({"weight_threshold": 0.2}, "weight_threshold"),
        ({"weight_dtype": "float16"}, "weight_dtype"),
        ({"negative_sampling": "man"}, "negative_sampling"),
        ({"cost_sensitive": "induce"}, "cost_sensitive"),
        ({"relevance_norm": "max"}, "relevance_norm"),
        ({"random_state": 1}, "random_state"),
        ({"clusterer": None}, "label tree"),
    ],
    ids=str,
)
def test_the_folder_of_another_fit_is_refused(small, tmp_path, changed, named):
    X, Y = small
    with_folder(CLF, tmp_path).fit(X, Y)
    other = with_folder(CLF, tmp_path).set_params(**changed)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"differs in {named}") as error:
        other.fit(X, Y)
    assert f"checkpoint_dir={str(tmp_path)!r}" in str(error.value)
    assert not hasattr(other, "model_")
    assert files == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_other_data_is_refused(small, tmp_path):
    X, Y = small
    clf = with_folder(CLF, tmp_path).fit(X, Y)
    other = X.copy()
    other.data[7] += 1
    before = dict(vars(clf))
    with pytest.raises(ValueError, match="differs in .*X.*: give a folder of its own"):
        clf.fit(other, Y)
    assert vars(clf) == before
    with pytest.raises(ValueError, match=r"differs in .*y"):
        clf.fit(X, Y[::-1])


def test_what_changes_no_weight_is_not_compared(small, tmp_path, trained):
    X, Y = small
    whole = with_folder(CLF, tmp_path).fit(X, Y)
    trained.clear()
    other = with_folder(CLF, tmp_path).set_params(
        beam_size=3, top_k=4, post_processor="sigmoid", C=1, decision_threshold=0.2
    )
    assert_same_bits(other.fit(X.astype(float), Y.tocsc()), whole)
    assert not trained


def test_files_of_two_fits_in_one_folder_are_told_apart(small, tmp_path):
    X, Y = small
    one, two = tmp_path / "one", tmp_path / "two"
    with_folder(CLF, one).fit(X, Y)
    with_folder(CLF, two).set_params(C=2).fit(X, Y)
    (one / "level_2.xmr").write_bytes((two / "level_2.xmr").read_bytes())
    with pytest.raises(ValueError, match=r"\(level_2.xmr\), which differs in C"):
        with_folder(CLF, one).fit(X, Y)


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


@pytest.mark.parametrize("damage", [cut, flipped, lambda content: b""])
@pytest.mark.parametrize("name", ["level_3.xmr", "run.xmr"])
def test_a_damaged_file_is_refused_by_name(small, tmp_path, name, damage):
    X, Y = small
    clf = with_folder(CLF, tmp_path).fit(X, Y)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{name} that cannot be read") as error:
        with_folder(CLF, tmp_path).fit(X, Y)
    assert str(tmp_path) in str(error.value)
    path.unlink()
    assert_same_bits(with_folder(CLF, tmp_path).fit(X, Y), clf)


@of_unix
def test_a_full_disk_is_an_error_that_names_the_file(small, tmp_path, trained):
    X, Y = small
    whole = clone(CLF).fit(X, Y)
    folder = tmp_path / "deep" / "folder"
    clf = with_folder(CLF, folder)
    before = dict(vars(clf))
    with pytest.raises(OSError) as error, full_disk(5000):
        clf.fit(X, Y)
    assert error.value.errno == errno.EFBIG
    assert vars(clf) == before
    kept = [path.name for path in folder.iterdir()]
    assert error.value.filename == str(folder / f"level_{len(kept)}.xmr")
    assert not [name for name in kept if name.endswith(".part")]
    trained.clear()
    assert_same_bits(clone(clf).fit(X, Y), whole)
    assert len(trained) == whole.tree_.n_levels - len(kept) + 1  # one names the run


@of_unix
def test_a_read_only_folder_is_an_error_before_any_work(small, monkeypatch):
    monkeypatch.setattr(_tree_levels, "solve_levels", None)
    with read_only_folder() as folder, pytest.raises(PermissionError) as error:
        with_folder(CLF, folder).fit(*small)
    assert error.value.filename == str(folder / "run.xmr")


def test_a_file_is_no_folder(small, tmp_path):
    path = tmp_path / "a file"
    path.write_text("text")
    with pytest.raises(OSError) as error:
        with_folder(CLF, path).fit(*small)
    assert error.value.filename == str(path)


def test_warnings_come_again(small, tmp_path):
    X, Y = small
    clf = with_folder(CLF, tmp_path).set_params(max_iter=1, weight_threshold=50)
    for _ in range(2):
        with pytest.warns(UserWarning) as found:
            clf.fit(X, Y)
        assert any(issubclass(w.category, ConvergenceWarning) for w in found)
        assert any("no weight of the 40 nodes" in str(w.message) for w in found)


def test_a_fit_that_cannot_be_repeated_keeps_none(small, tmp_path):
    clf = with_folder(CLF, tmp_path).set_params(random_state=None)
    for model in (clf, XREnsembleClassifier(clf), XRStackingClassifier([("a", clf)])):
        with pytest.raises(ValueError, match=f"random_state of {type(model).__name__}"):
            model.fit(*small)


# --- models inside models ------------------------------------------------------------

KEPT = clone(CLF).set_params(checkpoint_dir="?", random_state=None)
NEIGHBORS = XRNeighborsClassifier(5)
MODELS = {
    "ensemble": XREnsembleClassifier(KEPT, 2, random_state=0),
    "stack": XRStackingClassifier(
        [("a", KEPT), ("b", clone(KEPT)), ("c", NEIGHBORS)],
        DecisionTreeClassifier(max_depth=3),
        random_state=0,
    ),
    "bandit": XRBanditClassifier(KEPT, random_state=0),
    "calibrated": XRCalibratedClassifier(KEPT, random_state=0),
    "sets": XRConformalClassifier(KEPT, alpha=0.5, random_state=0),
    "stages": XMRClassifier(DEEP, KEPT, random_state=0),
    "names": LabelNamesClassifier(clone(KEPT).set_params(random_state=0)),
    "of ensembles": XRCalibratedClassifier(
        XREnsembleClassifier(KEPT, 2), random_state=0
    ),
}


def keep_in(model, folder):
    model = clone(model)
    names = [n for n in model.get_params() if n.endswith("checkpoint_dir")]
    return model.set_params(**dict.fromkeys(names, folder))


@pytest.mark.parametrize("name", MODELS)
def test_each_fit_has_a_folder_of_its_own(small, tmp_path, trained, name):
    X, Y = small
    y = [[f"name {n}" for n in row.indices] for row in Y] if name == "names" else Y
    whole = keep_in(MODELS[name], None).fit(X, y)
    model = keep_in(MODELS[name], tmp_path)
    parameters = model.get_params()
    for n_trained in (True, False):
        trained.clear()
        model.fit(X, y)
        assert bool(trained) == n_trained
        assert model.get_params() == parameters
        for ours, theirs in zip(
            model.predict_topk(X, 5), whole.predict_topk(X, 5), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_each_split_has_a_folder_of_its_own(small, tmp_path, trained):
    X, Y = small
    expected = cross_val_predict_topk(CLF, X, Y, k=3, cv=2)
    for _ in range(2):
        found = cross_val_predict_topk(with_folder(CLF, tmp_path), X, Y, k=3, cv=2)
        np.testing.assert_array_equal(found[0], expected[0])
    assert (
        len(trained) == 2 * 2 + 2 * 3
    )  # levels above the labels, without a folder, at once


def test_own_stages_refuse_one_for_their_ranker(small, tmp_path):
    model = XMRClassifier(DEEP, CLF, with_folder(XRLinearClassifier(), tmp_path))
    with pytest.raises(ValueError, match="checkpoint_dir of the ranker"):
        model.set_params(random_state=0).fit(*small)


# --- saved ---------------------------------------------------------------------------


def test_models_with_a_folder_are_saved(small, tmp_path):
    clf = with_folder(CLF, tmp_path / "levels").fit(*small)
    save_model(clf, tmp_path / "model.xmr")
    again = load_model(tmp_path / "model.xmr")
    assert_same_bits(again, clf)
    assert again.checkpoint_dir == str(tmp_path / "levels")


def test_parameters_that_a_model_was_saved_without_have_their_defaults(small, tmp_path):
    clf = clone(CLF).fit(*small)
    del clf.checkpoint_dir  # as before there was one
    state = clf.__getstate__()
    save_model(clf, tmp_path / "model.xmr")
    loaded = load_model(tmp_path / "model.xmr")
    unpickled = XRLinearClassifier.__new__(XRLinearClassifier)
    unpickled.__setstate__(state)
    for again in loaded, unpickled:
        assert again.checkpoint_dir is None
        assert_same_bits(clone(again).fit(*small), clf.set_params())
