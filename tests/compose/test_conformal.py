"""Label sets: the guarantee on data, frozen models, forms of y, what is refused."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRConformalClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    load_model,
    predict_topk,
    save_model,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import explain

TEXTS = ["red bird", "blue bird", "red fish", "blue fish"] * 20
OF_TEXTS = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 20)


@pytest.fixture(scope="module")
def data():
    X, Y = make_xmr_classification(5000, 300, 60, random_state=1)
    return X[:2000], Y[:2000], X[2000:], Y[2000:]


@pytest.fixture(scope="module")
def model(data):
    return XRLinearClassifier(beam_size=None, random_state=0).fit(*data[:2])


def recalls(sets, Y, columns=slice(None)):
    """Of the instances that have a label among the columns."""
    sets, Y = sets[:, columns], Y[:, columns]
    found, n_true = sets.multiply(Y).sum(axis=1).A1, Y.sum(axis=1).A1
    return found[n_true > 0] / n_true[n_true > 0]


def wrong_shares(sets, Y):
    size, found = sets.sum(axis=1).A1, sets.multiply(Y).sum(axis=1).A1
    return (size - found) / np.maximum(size, 1)


@pytest.mark.parametrize("alpha", [0.1, 0.3])
@pytest.mark.parametrize("risk", ["recall", "false_discovery"])
def test_the_level_holds_over_splits(risk, alpha, data, model):
    X, Y = data[2:]
    risks, sizes = [], []
    for seed in range(20):
        order = np.random.RandomState(seed).permutation(3000)
        held_out, new = order[:400], order[400:]
        clf = XRConformalClassifier(FrozenEstimator(model), risk=risk, alpha=alpha)
        sets = clf.fit(X[held_out], Y[held_out]).predict_set(X[new])
        assert clf.levels_ == [alpha]
        losses = 1 - recalls(sets, Y[new])
        if risk == "false_discovery":
            losses = wrong_shares(sets, Y[new])
        risks.append(losses.mean())
        sizes.append(sets.sum() / len(new))
    error = np.std(risks, ddof=1) / len(risks) ** 0.5
    assert alpha / 2 < np.mean(risks) <= alpha + 2 * error
    assert 0.5 < np.mean(sizes) < 45


def test_the_held_out_part_is_not_seen_by_the_model(data):
    X, Y = data[:2]
    clf = XRConformalClassifier(alpha=0.2, validation_size=700, random_state=0)
    clf.fit(X, Y)
    order = np.random.RandomState(0)
    order.randint(np.iinfo(np.int32).max)  # of the model's seed
    rows = np.sort(order.permutation(2000)[700:])
    seed = clf.estimator_.random_state
    by_hand = XRLinearClassifier(random_state=seed).fit(X[rows], Y[rows])
    got, expected = (m.predict_topk(data[2], 5) for m in (clf, by_hand))
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-6)  # below 1 here


@pytest.mark.parametrize("risk", ["recall", "false_discovery"])
def test_sets_are_the_labels_from_the_threshold(risk, data, model):
    frozen = FrozenEstimator(model)
    clf = XRConformalClassifier(frozen, risk=risk, alpha=0.25, max_set_size=30)
    clf.fit(data[2][:1000], data[3][:1000])
    proba = model.predict_proba(data[2], k=30)
    proba.data = (proba.data >= clf.thresholds_[0]).astype(np.int64)
    proba.eliminate_zeros()
    sets = clf.predict_set(data[2])
    assert (sets != proba).nnz == 0 and sets.dtype == np.int64
    assert (clf.predict(data[2]) != sets).nnz == 0
    assert clf.answers(data[2]).all()
    # What rankings retrieve is no matter of the sets.
    assert (clf.set_params(top_k=3).predict_set(data[2]) != sets).nnz == 0
    assert clf.predict_topk(data[2])[0].shape[1] == 3


def test_each_band_of_frequency_holds(data, model):
    X, Y = data[2:]
    counts = np.bincount(data[1].indices, minlength=60)
    bounds = np.quantile(counts, [0.5, 0.8]).astype(int).tolist()
    clf = XRConformalClassifier(
        FrozenEstimator(model), alpha=0.2, frequency_bounds=bounds, label_counts=counts
    )
    misses = []
    for seed in range(10):
        order = np.random.RandomState(seed).permutation(3000)
        clf.fit(X[order[:1500]], Y[order[:1500]])
        new = order[1500:]
        sets = clf.predict_set(X[new])
        bands = [np.flatnonzero(clf.label_bands_ == band) for band in range(3)]
        misses.append([1 - recalls(sets, Y[new], band).mean() for band in bands])
    assert [counts[band].min() for band in bands][1:] >= bounds
    error = np.std(misses, axis=0, ddof=1) / 10**0.5
    assert (np.mean(misses, axis=0) <= 0.2 + 2 * error).all()
    assert len(set(clf.thresholds_)) == 3
    one = XRConformalClassifier(FrozenEstimator(model), alpha=0.2).fit(X, Y)
    # One threshold for all leaves the rare labels out.
    rare = 1 - recalls(one.predict_set(X), Y, bands[0]).mean()
    assert rare > 0.25 > np.mean(misses, axis=0)[0]


def test_counts_are_those_of_the_instances_that_are_fitted_on(data):
    X, Y = data[:2]
    clf = XRConformalClassifier(frequency_bounds=[20, 100], alpha=0.4, random_state=0)
    with pytest.warns(UserWarning, match=r"\[1. , 0.4, 0.4\], from rare labels to"):
        clf.fit(X, Y)  # no label is so rare
    rng = np.random.RandomState(0)
    rng.randint(np.iinfo(np.int32).max)
    rows = rng.permutation(2000)[666:]
    counts = Y[rows].sum(axis=0).A1
    np.testing.assert_array_equal(
        clf.label_bands_, (counts >= 20).astype(int) + (counts >= 100)
    )


def test_doubtful_instances_are_not_answered(data, model):
    X, Y = data[2:]
    clf = XRConformalClassifier(
        FrozenEstimator(model), alpha=0.2, min_precision=0.95, random_state=0
    ).fit(X[:2000], Y[:2000])
    new, truth = X[2000:], Y[2000:].toarray()
    given, sets = clf.answers(new), clf.predict_set(new)
    assert 0.2 < given.mean() < 0.95
    assert sets[~given].nnz == 0
    best = clf.predict_topk(new, 1)[0][:, 0]
    right = truth[np.arange(1000), best] == 1
    assert right[given].mean() > 0.94 and right.mean() < 0.9
    # The level holds among the answered ones.
    assert recalls(sets[given], Y[2000:][given]).mean() > 0.77


def test_a_precision_that_is_not_reached_is_said(data, model):
    clf = XRConformalClassifier(FrozenEstimator(model), min_precision=0.9999)
    with pytest.warns(UserWarning, match="min_precision=0.9999 is not reached") as of:
        clf.fit(data[2][:200], data[3][:200])
    assert len(of) == 1
    assert not clf.answers(data[2]).any() and clf.predict_set(data[2]).nnz == 0


def test_a_level_out_of_reach_is_said_with_the_one_that_is_not(data, model):
    X, Y = data[2:]
    clf = XRConformalClassifier(FrozenEstimator(model), alpha=0.05, max_set_size=4)
    with pytest.warns(UserWarning, match="alpha=0.05 is out of reach.*max_set_size"):
        clf.fit(X[:1500], Y[:1500])
    assert clf.thresholds_ == [-np.inf]
    sets = clf.predict_set(X[1500:])
    assert (sets.sum(axis=1) == 4).all()
    assert 1 - recalls(sets, Y[1500:]).mean() == pytest.approx(clf.levels_[0], abs=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.set_params(alpha=clf.levels_[0] + 1e-6).fit(X[:1500], Y[:1500])
    clf.set_params(risk="false_discovery", alpha=0.05)
    with pytest.warns(UserWarning, match="too few held-out instances.*0.091"):
        clf.fit(X[:10], Y[:10])
    assert clf.predict_set(X).nnz == 0


def test_a_frozen_model_is_left_as_it_is(data, model):
    before = model.model_.checksum()
    clf = XRConformalClassifier(FrozenEstimator(model), alpha=0.2)
    clf.fit(data[2], data[3])
    assert clf.estimator_.model_ is model.model_ and model.model_.checksum() == before
    # All instances choose the threshold: two that are fitted on halves differ.
    half = clone(clf).fit(data[2][:1500], data[3][:1500])
    assert half.thresholds_ != clf.thresholds_
    with pytest.raises(NotFittedError):
        XRConformalClassifier(FrozenEstimator(XRLinearClassifier())).fit(*data[:2])
    with pytest.raises(ValueError, match="column for each of the 60 labels"):
        clf.fit(data[2], data[3][:, :50])
    with pytest.raises(ValueError, match="label_counts must be given"):
        clone(clf).set_params(frequency_bounds=[10]).fit(data[2], data[3])


def test_classes_of_one_dimension_have_sets_too(data):
    X, _, X_new, Y_new = data
    names = np.array([f"c{i}" for i in range(60)])
    y, y_new = (names[np.asarray(Y.argmax(axis=1)).ravel()] for Y in (data[1], Y_new))
    clf = XRConformalClassifier(alpha=0.3, random_state=0).fit(X, y)
    sets = clf.predict_set(X_new)
    assert sets.shape == (3000, len(clf.classes_))
    places = np.searchsorted(clf.classes_, y_new)
    held = sets[np.arange(3000), places].A1
    assert 0.66 < held.mean() < 0.85
    assert set(clf.predict(X_new)) <= set(names)
    # A class that the held-out instances lack keeps its column.
    inner = XRLinearClassifier(random_state=0).fit(X, y)
    some = y_new != "c0"
    frozen = XRConformalClassifier(FrozenEstimator(inner), alpha=0.3)
    frozen.fit(X_new[some], y_new[some])
    assert frozen.classes_.tolist() == inner.classes_.tolist()
    sets = frozen.predict_set(X_new[some])
    places = np.searchsorted(frozen.classes_, y_new[some])
    assert 0.66 < sets[np.arange(some.sum()), places].A1.mean() < 0.85
    frozen.fit(X_new, np.where(some, y_new, "unknown"))  # of which none is in a set
    assert frozen.classes_.tolist() == inner.classes_.tolist()


@pytest.mark.parametrize(
    "base", [XRNeighborsClassifier(), OneVsRestClassifier(LogisticRegression())]
)
def test_any_ranking_gives_sets(base, data):
    X, Y, X_new, Y_new = (part[:2000] for part in data)
    clf = XRConformalClassifier(base, alpha=0.3, random_state=0).fit(X, Y)
    sets = clf.predict_set(X_new)
    assert 0.66 < recalls(sets, Y_new).mean() < 0.76
    assert clf.score_pairs(X_new, []).nnz == 0
    labels, scores = clf.predict_topk(X_new, 3)
    given = clf.score_pairs(X_new, np.arange(60)).toarray()
    found = np.take_along_axis(given, labels, axis=1)
    np.testing.assert_allclose(found, scores, rtol=1e-5)
    frozen = FrozenEstimator(clf.estimator_)
    again = XRConformalClassifier(frozen, alpha=0.3).fit(X_new, Y_new)
    assert recalls(again.predict_set(X_new), Y_new).mean() > 0.7


def test_texts_names_and_searches():
    pipeline = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    clf = XRConformalClassifier(pipeline, alpha=0.2, random_state=0)
    clf.fit(TEXTS, OF_TEXTS)
    assert clf.predict(TEXTS).shape == OF_TEXTS.shape
    assert (clf.predict_set(TEXTS).toarray() == clf.predict(TEXTS)).all()
    assert explain(clf, ["red bird"], 0).steps[-1].features[0][0] == "red"
    assert predict_topk(clf, ["", "red"], 1, skip_empty=True)[0][0] == -1
    frozen = XRConformalClassifier(FrozenEstimator(clf.estimator_), alpha=0.2)
    frozen.fit(TEXTS, sparse.csr_matrix(OF_TEXTS))
    assert recalls(frozen.predict_set(TEXTS), sparse.csr_matrix(OF_TEXTS)).all()
    names = [text.split() for text in TEXTS]
    named = LabelNamesClassifier(clone(clf).set_params(alpha=0.5)).fit(TEXTS, names)
    assert set(named.predict(["red bird"])[0]) <= {"red", "bird", "blue", "fish"}
    behind = make_pipeline(
        TfidfVectorizer(),
        XRConformalClassifier(XRLinearClassifier(random_state=0), random_state=0),
    )
    grid = {"xrconformalclassifier__alpha": [0.2, 0.4]}
    search = GridSearchCV(behind, grid, cv=2).fit(TEXTS, OF_TEXTS)
    assert search.predict(TEXTS).shape == OF_TEXTS.shape
    with pytest.raises(ValueError, match="put a vectorizer before XRConformalClass"):
        XRConformalClassifier().fit(TEXTS, OF_TEXTS)


@pytest.mark.parametrize("min_precision", [None, 0.8])
def test_model_files_hold_it(min_precision, data, model, tmp_path):
    for estimator in (None, FrozenEstimator(model)):
        clf = XRConformalClassifier(
            estimator, alpha=0.3, min_precision=min_precision, random_state=0
        ).fit(data[2], data[3])
        save_model(clf, tmp_path / "sets.xmr")
        again = load_model(tmp_path / "sets.xmr")
        assert (again.predict_set(data[0]) != clf.predict_set(data[0])).nnz == 0
        assert repr(again) == repr(clf)
    # The frozen model is in the file once.
    save_model(model, tmp_path / "model.xmr")
    sizes = [(tmp_path / f"{name}.xmr").stat().st_size for name in ("sets", "model")]
    assert sizes[0] < 1.5 * sizes[1]


def test_weights_are_those_of_new_instances(data, model):
    X, Y = data[2:]
    many = np.diff(Y.indptr) > 3
    clf = XRConformalClassifier(FrozenEstimator(model), alpha=0.2)
    risk = []
    for weight in (np.where(many, 5.0, 1.0), np.where(many, 1.0, 5.0)):
        clf.fit(X, Y, sample_weight=weight)
        losses = 1 - recalls(clf.predict_set(X), Y)
        assert np.average(losses, weights=weight) == pytest.approx(0.2, abs=0.005)
        risk.append(losses.mean())
    assert risk[0] != risk[1]
    kept = np.arange(3000) % 3 > 0
    some = clf.fit(X, Y, sample_weight=kept * 2.0).thresholds_
    assert some == clone(clf).fit(X[kept], Y[kept]).thresholds_
    clf.set_params(min_precision=0.5)
    with pytest.raises(ValueError, match="sample_weight must be equal for all"):
        clf.fit(X, Y, sample_weight=weight)


def test_metadata_reach_the_model(data):
    X, Y = data[:2]
    given = {"sample_weight": np.arange(2000) % 3, "relevance": Y * 5.0}
    clf = XRConformalClassifier(XRLinearClassifier(), alpha=0.4, random_state=0)
    by_hand = clf.fit(X, Y, **given).predict_topk(X)[1]
    with config_context(enable_metadata_routing=True):
        clf.estimator.set_fit_request(sample_weight=True, relevance=True)
        routed = clf.fit(X, Y, **given).predict_topk(X)[1]
    np.testing.assert_array_equal(routed, by_hand)
    with pytest.raises(ValueError, match="relevance is given, but"):
        clf.set_params(estimator=FrozenEstimator(clf.estimator_)).fit(X, Y, **given)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("alpha", 0.0, "'alpha' parameter"),
        ("alpha", 1, "'alpha' parameter"),
        ("risk", "precision", "'risk' parameter"),
        ("max_set_size", 0, "'max_set_size' parameter"),
        ("min_precision", 1.0, "'min_precision' parameter"),
        ("delta", 0, "'delta' parameter"),
        ("frequency_bounds", [10, 5], "frequency_bounds must be a list of positive"),
        ("label_counts", [1, 2], "label_counts must hold a number for each of the 60"),
    ],
)
def test_settings_are_checked(name, value, message, data):
    clf = XRConformalClassifier(frequency_bounds=[10])
    with pytest.raises(ValueError, match=message):
        clf.set_params(**{name: value}).fit(*data[:2])


def test_a_line_for_each_part(data, capsys):
    clf = XRConformalClassifier(alpha=0.3, min_precision=0.5, verbose=1, random_state=0)
    clf.fit(*data[:2])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[XRConformal] model",
        "[XRConformal] answers",
        "[XRConformal] sets",
    ]
