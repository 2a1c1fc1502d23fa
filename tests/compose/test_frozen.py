"""Frozen models: calibrated and bounded by all instances of fit, and left alone."""

import pickle
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XRHierarchyClassifier,
    XRLinearClassifier,
    load_model,
    partial_fit,
    save_model,
)
from sklearn_xmr.compose._curves import TIE_BREAK
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

N_KNOWN, N_LABELS = 30, 40  # the model is fitted on the first
BOTH = pytest.mark.parametrize(
    "make",
    [
        XRCalibratedClassifier,
        lambda model, **p: XRConformalClassifier(model, **SET, **p),
    ],
    ids=["calibrated", "sets"],
)
SET = {"alpha": 0.5}
TEXTS = ["red bird", "blue bird", "red fish", "blue fish"] * 20
OF_TEXTS = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 20)


@pytest.fixture(scope="module")
def data():
    X, Y = make_xmr_classification(2000, 150, N_LABELS, random_state=1)
    return X[:1000], Y[:1000], X[1000:], Y[1000:]


@pytest.fixture(scope="module")
def model(data):
    clf = XRLinearClassifier(beam_size=None, random_state=0)
    return clf.fit(data[0], data[1][:, :N_KNOWN])


def pairs_by_hand(model, X, Y, weights):
    """Scores, hits and weights of each of the 20 labels that the model retrieves."""
    scores, hits, of = [], [], []
    for row, weight in zip(range(X.shape[0]), weights, strict=True):
        for label, score in zip(
            *(a[0] for a in model.predict_topk(X[row])), strict=True
        ):
            scores.append(score)
            hits.append(Y[row, label] > 0)
            of.append(weight)
    return np.array(scores), np.array(hits), np.array(of)


def slow_curve(method, scores, hits, weights):
    """The function from scores to probabilities, by scikit-learn or by search."""
    if method == "isotonic":
        curve = IsotonicRegression(out_of_bounds="clip").fit(scores, hits, weights)
        return lambda s: (1 - TIE_BREAK) * curve.predict(s) + TIE_BREAK * s
    if method == "sigmoid":
        curve = LogisticRegression(C=1e6).fit(np.log(scores)[:, None], hits, weights)
        return lambda s: curve.predict_proba(np.log(s)[:, None])[:, 1]

    def scaled(s, factor):
        s = np.clip(s, 1e-30, 1 - 1e-7, dtype=float)
        return s**factor / (s**factor + (1 - s) ** factor)

    factors = np.exp(np.linspace(-1, 1, 201))
    losses = [log_loss(hits, scaled(scores, f), sample_weight=weights) for f in factors]
    return lambda s: scaled(s, factors[np.argmin(losses)])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["isotonic", "sigmoid", "temperature"])
def test_the_curve_is_that_of_the_frozen_scores(method, weighted, data, model):
    X, Y = data[2][:400], data[3][:400]
    weights = np.arange(400) % 3 if weighted else np.ones(400)
    clf = XRCalibratedClassifier(FrozenEstimator(model), method=method)
    clf.fit(X, Y, sample_weight=weights if weighted else None)
    kept = weights > 0
    pairs = pairs_by_hand(model, X[kept], Y[kept], weights[kept])
    expected = slow_curve(method, *pairs)
    labels, scores = model.predict_topk(data[2])
    got = clf.predict_topk(data[2])
    np.testing.assert_array_equal(got[0], labels)
    error = 2e-3 if method == "temperature" else 1e-5  # the step of the search
    wanted = np.clip(expected(scores.ravel()), 1e-6, 1 - 1e-6)
    np.testing.assert_allclose(got[1].ravel(), wanted, atol=error)
    assert clf.random_state is None  # nothing is drawn


def test_unknown_labels_count_for_the_threshold_of_best_f1(data, model):
    X, Y = data[2], data[3]
    clf = XRCalibratedClassifier(FrozenEstimator(model), decision_threshold="f1")
    clf.fit(X, Y)
    known = clone(clf).fit(X, Y[:, :N_KNOWN])
    assert clf.threshold_ < known.threshold_  # what is missed anyway costs recall
    proba = clf.predict_proba(X)
    np.testing.assert_array_equal(proba.data, known.predict_proba(X).data)
    proba.resize(Y.shape)

    def f1(threshold):
        return f1_score(Y, proba > threshold, average="micro")

    best = max(map(f1, np.unique(proba.data)[::10]))
    assert f1(clf.threshold_) >= best


def slow_threshold(model, X, Y, alpha, max_set_size):
    """The largest threshold whose sets miss few enough, of all that there are."""
    proba = model.predict_proba(X, k=max_set_size).toarray()
    Y = Y.toarray()
    counted = Y.sum(axis=1) > 0
    for threshold in np.unique(proba[proba > 0])[::-1]:
        found = ((proba >= threshold) * Y[:, : proba.shape[1]]).sum(axis=1)
        losses = 1 - found[counted] / Y.sum(axis=1)[counted]
        if (losses.sum() + 1) / (counted.sum() + 1) <= alpha:
            return threshold
    return -np.inf


@settings(max_examples=20, deadline=None)
@given(
    n_unknown=st.integers(0, N_LABELS - N_KNOWN),
    alpha=st.sampled_from([0.4, 0.6]),
    seed=st.integers(0, 99),
)
def test_labels_that_the_model_lacks_are_missed(n_unknown, alpha, seed, data, model):
    rows = np.random.RandomState(seed).choice(1000, 60, replace=False)
    X, Y = data[2][rows], data[3][rows][:, : N_KNOWN + n_unknown]
    clf = XRConformalClassifier(FrozenEstimator(model), alpha=alpha, max_set_size=12)
    expected = slow_threshold(model, X, Y, alpha, 12)
    if expected == -np.inf:
        with pytest.warns(UserWarning, match="out of reach"):
            clf.fit(X, Y)
    else:
        clf.fit(X, Y)
    assert clf.thresholds_[0] == pytest.approx(expected, rel=1e-6)
    assert clf.predict_set(X).shape == (60, N_KNOWN) and clf.n_labels_ == N_KNOWN


def test_recall_of_all_right_labels_holds(data, model):
    X, Y = data[2:]
    recalls, of_known = [], []
    for seed in range(20):
        order = np.random.RandomState(seed).permutation(1000)
        old, new = order[:500], order[500:]
        for columns, values in ((N_LABELS, recalls), (N_KNOWN, of_known)):
            clf = XRConformalClassifier(FrozenEstimator(model), **SET)
            sets = clf.fit(X[old], Y[old][:, :columns]).predict_set(X[new])
            found = sets.multiply(Y[new][:, :N_KNOWN]).sum(axis=1).A1
            n_true = Y[new].sum(axis=1).A1
            values.append((found[n_true > 0] / n_true[n_true > 0]).mean())
    error = np.std(recalls, ddof=1) / 20**0.5
    assert 0.5 - 2 * error < np.mean(recalls) < 0.53
    assert np.mean(of_known) < 0.5 - 4 * error  # leaving them out understates


def test_unknown_labels_are_the_rarest(data, model):
    X, Y = data[2:]
    counts = np.bincount(data[1].indices, minlength=N_LABELS)[:N_KNOWN]
    bounds = [int(np.median(counts))]
    clf = XRConformalClassifier(
        FrozenEstimator(model), alpha=0.4, frequency_bounds=bounds, label_counts=counts
    )
    with pytest.warns(UserWarning, match=r"The model does not know \d+\.\d% of the"):
        clf.fit(X, Y)
    known = clone(clf).fit(X, Y[:, :N_KNOWN])
    assert clf.levels_[0] > 0.4 == known.levels_[0]
    assert clf.thresholds_[1] == known.thresholds_[1]
    assert clf.label_bands_.shape == (N_KNOWN,)


def test_best_labels_and_wrong_shares_need_no_unknown_labels(data, model):
    X, Y = data[2:]
    for settings_ in ({"risk": "false_discovery"}, {"min_precision": 0.6}):
        clf = XRConformalClassifier(FrozenEstimator(model), alpha=0.6, random_state=0)
        clf.set_params(**settings_).fit(X, Y)
        known = clone(clf).fit(X, Y[:, :N_KNOWN])
        assert clf.confidence_threshold_ == known.confidence_threshold_
        if "risk" in settings_:
            assert clf.thresholds_ == known.thresholds_


@BOTH
def test_a_model_that_learns_on_leaves_them_as_they_are(make, data, model):
    X, Y = data[2:]
    model = pickle.loads(pickle.dumps(model))
    frozen = FrozenEstimator(model)
    clf = make(frozen).fit(X[:500], Y[:500])
    before, sum_before = clf.predict_proba(X), model.model_.checksum()
    assert clf.estimator_.model_ is model.model_ and clf.estimator is frozen
    assert clone(clf).estimator is frozen
    done = threading.Event()

    def learn():
        for start in range(500, 1000, 50):
            model.partial_fit(X[start : start + 50], Y[start : start + 50])
        done.set()

    thread = threading.Thread(target=learn)
    thread.start()
    while not done.is_set():
        assert (clf.predict_proba(X) != before).nnz == 0
        again = clone(clf).fit(X[:500], Y[:500])  # of one state, whichever
        assert again.n_labels_ == again.predict_proba(X[:9]).shape[1]
    thread.join()
    assert model.n_labels_ == N_LABELS and model.model_.checksum() != sum_before
    assert (clf.predict_proba(X) != before).nnz == 0
    assert clf.n_labels_ == N_KNOWN
    assert clf.fit(X[:500], Y[:500]).n_labels_ == N_LABELS


def forms():
    """What y can be, by name: the model's, and one with more labels or without some."""
    rng = np.random.RandomState(0)
    dense = (rng.rand(90, 6) < 0.4).astype(np.int64)
    names = np.array(["ash", "elm", "fir", "oak", "yew", "zzz"])
    y = rng.randint(0, 5, 90)
    return {
        "sparse": (sparse.csr_matrix(dense[:, :5]), sparse.csr_matrix(dense)),
        "dense": (dense[:, :5], dense),
        "float": (dense[:, :5].astype(float), dense.astype(float)),
        "numbers": (y, np.where(y == 2, 7, y)),
        "names": (names[y], names[np.where(y == 2, 5, y)]),
        "two": (names[y % 2], names[y % 3]),
    }


@BOTH
@pytest.mark.parametrize("form", [*forms(), "pandas"])
def test_targets_have_the_form_of_the_model(make, form):
    X = np.random.RandomState(1).rand(90, 8).astype(np.float32)
    if form == "pandas":
        pandas = pytest.importorskip("pandas")
        old, new = (
            pandas.DataFrame(y, columns=list("abcdef")[: y.shape[1]])
            for y in forms()["dense"]
        )
    else:
        old, new = forms()[form]
    inner = XRLinearClassifier(random_state=0).fit(X, old)
    clf = make(FrozenEstimator(inner)).fit(X, new)
    np.testing.assert_array_equal(clf.classes_, inner.classes_)
    assert clf.sparse_output_ == inner.sparse_output_
    for method in ("predict", "predict_proba"):
        got, wanted = (getattr(one, method)(X) for one in (clf, inner))
        assert type(got) is type(wanted) and got.shape == wanted.shape
        assert getattr(got, "dtype", None) == getattr(wanted, "dtype", None)
    labels, scores = clf.predict_topk(X, 3)
    of_pairs = clf.score_pairs(X, np.arange(clf.n_labels_)).toarray()
    found = np.take_along_axis(of_pairs, labels, axis=1)
    np.testing.assert_allclose(found, scores, rtol=1e-4)
    # The same as of labels that are columns.
    of_columns = XRLinearClassifier(random_state=0).fit(X, as_columns(old, inner))
    other = make(FrozenEstimator(of_columns)).fit(X, as_columns(new, inner))
    np.testing.assert_array_equal(other.predict_topk(X, 3)[0], labels)
    np.testing.assert_allclose(other.predict_topk(X, 3)[1], scores, rtol=1e-5)


def as_columns(y, model):
    """A sparse indicator of the model's labels, and a last column of any other."""
    if np.ndim(y) == 2:
        return sparse.csr_matrix(y, dtype=int)
    known = y[:, None] == model.classes_
    return sparse.csr_matrix(np.column_stack([known, ~known.any(axis=1)]), dtype=int)[
        :, : len(model.classes_) + (~known.any(axis=1)).any()
    ]


@pytest.mark.parametrize("form", forms())
def test_labels_come_and_go_in_the_form_of_the_model(form):
    X = np.random.RandomState(1).rand(90, 8).astype(np.float32)
    old, new = forms()[form]
    inner = XRLinearClassifier(random_state=0).fit(X, old)
    clf = XRCalibratedClassifier(FrozenEstimator(inner)).fit(X, new)
    n_labels = inner.n_labels_
    assert clf.add_labels(X, new).n_labels_ == n_labels + 1
    assert clf.remove_labels(clf.classes_[:1]).n_labels_ == n_labels
    assert clf.estimator_.n_labels_ == inner.n_labels_ == n_labels
    assert clf.predict(X).shape == (90, n_labels)[: np.ndim(old)]


@BOTH
def test_what_does_not_fit_a_frozen_model_changes_nothing(make, data, model):
    X, Y = data[2][:200], data[3][:200]
    clf = make(FrozenEstimator(model)).fit(X, Y)
    before = dict(vars(clf))
    other = sparse.csr_matrix(Y.shape, dtype=int).tolil()
    other[:, N_KNOWN:] = 1
    for bad_X, bad_y, message in [
        (X, Y[:, :20], "y must have a column for each of the 30 labels"),
        (X, other.tocsr(), "y must have some of the 30 labels of the frozen model"),
        (X, Y * 0, "y must have some of the 30 labels of the frozen model"),
        (X, np.arange(200) % 30, r"y must be a label indicator, .* got shape \(200,\)"),
        (X[:, :90], Y, "90 features, but XRLinearClassifier is expecting 150"),
        (X[:100], Y, "inconsistent numbers of samples"),
    ]:
        with pytest.raises(ValueError, match=message):
            clf.fit(bad_X, bad_y)
        assert vars(clf) == before
    more = {"relevance": Y * 2.0, "negatives": sparse.csr_matrix(Y.shape)}
    for routing in (False, True):
        for name, value in more.items():
            refused = pytest.raises(ValueError, match=f"{name} is given, but the mod")
            with config_context(enable_metadata_routing=routing), refused:
                clf.fit(X, Y, **{name: value})
    with config_context(enable_metadata_routing=True):
        with pytest.raises((TypeError, ValueError), match="extra"):
            clf.fit(X, Y, extra=np.ones(200))
        weighted = clone(clf).fit(X, Y, sample_weight=np.arange(200.0))
    plain = clone(clf).fit(X, Y, sample_weight=np.arange(200.0))
    assert (weighted.predict_proba(X) != plain.predict_proba(X)).nnz == 0
    for size in (0.5, 100):
        with pytest.raises(ValueError, match="validation_size must be None for a fro"):
            make(FrozenEstimator(model), validation_size=size).fit(X, Y)
    with pytest.raises(NotFittedError):
        make(FrozenEstimator(XRLinearClassifier())).fit(X, Y)
    assert vars(clf) == before


@BOTH
def test_feature_names_are_those_of_the_model(make, data):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data[0][:100, :3].toarray(), columns=list("abc"))
    inner = XRLinearClassifier(random_state=0).fit(X, data[1][:100])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = make(FrozenEstimator(inner)).fit(X, data[1][:100])
        clf.predict(X)
    assert clf.n_features_in_ == 3 and hasattr(inner, "feature_names_in_")
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        clf.fit(X[["b", "a", "c"]], data[1][:100])


@BOTH
def test_pipelines_searches_and_steps_can_be_frozen(make):
    pipeline = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    pipeline.fit(TEXTS, OF_TEXTS)
    steps = make_pipeline(pipeline[0], FrozenEstimator(pipeline[1]))
    grid = {"xrlinearclassifier__C": [1.0]}
    search = GridSearchCV(clone(pipeline), grid, cv=2).fit(TEXTS, OF_TEXTS)
    twice = FrozenEstimator(pipeline)
    for inner in (pipeline, steps, search, twice):
        clf = make(FrozenEstimator(inner)).fit(TEXTS[:50], OF_TEXTS[:50])
        best = clf.predict_topk(TEXTS, 2)[0]
        assert np.take_along_axis(OF_TEXTS, best, axis=1).all()
        assert not hasattr(clf, "n_features_in_")
    before = clf.predict_topk(TEXTS)
    partial_fit(pipeline, TEXTS[:9], np.ones((9, 4), dtype=int))
    np.testing.assert_array_equal(clf.predict_topk(TEXTS)[1], before[1])
    with pytest.raises(ValueError, match="is expecting"):
        make(FrozenEstimator(pipeline[-1])).fit(np.ones((80, 9)), OF_TEXTS)


def test_labels_are_added_to_a_copy_of_a_frozen_step():
    pipeline = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    pipeline.fit(TEXTS, OF_TEXTS[:, :3])
    steps = make_pipeline(pipeline[0], FrozenEstimator(pipeline[1]))
    clf = XRCalibratedClassifier(FrozenEstimator(steps)).fit(TEXTS, OF_TEXTS)
    assert clf.add_labels(TEXTS, OF_TEXTS).n_labels_ == 4
    assert pipeline[1].n_labels_ == 3


def test_names_of_a_frozen_model_inside():
    names = [text.split() for text in TEXTS]
    named = LabelNamesClassifier(
        make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    ).fit(TEXTS, names)
    new = TEXTS[:60] + ["red owl"] * 9
    Y = named.indicator([text.split() for text in new])
    assert Y.shape[1] == 5 > named.n_labels_  # the owl stands behind
    for inner in (named, named.estimator_):
        clf = XRCalibratedClassifier(FrozenEstimator(inner)).fit(new, Y)
        assert clf.n_labels_ == 4
        assert clf.predict(["red owl"])[0, named.classes_.tolist().index("red")] == 1


def test_models_of_other_packages(data):
    X, X_new = data[0][:300].toarray(), data[2][:300].toarray()
    y = np.array(["a", "b", "c"])[np.asarray(data[1][:300, 0].todense()).ravel() * 2]
    y[:50] = "b"
    inner = LogisticRegression().fit(X, y)
    without = np.where(y == "b", "c", y)  # a class that is missing keeps its column
    with_new = np.where(y == "b", "aa", y)  # one that is unknown gets none
    for targets in (without, with_new):
        clf = XRCalibratedClassifier(FrozenEstimator(inner)).fit(X_new, targets)
        assert clf.classes_.tolist() == ["a", "b", "c"]
        proba = inner.predict_proba(X_new)
        hits = targets[:, None] == inner.classes_
        curve = slow_curve("isotonic", proba.ravel(), hits.ravel(), None)
        labels, scores = clf.predict_topk(X_new, 3)
        wanted = np.take_along_axis(curve(proba.ravel()).reshape(-1, 3), labels, 1)
        np.testing.assert_allclose(scores, np.clip(wanted, 1e-6, 1), atol=1e-5)
    with pytest.raises(ValueError, match="have some of the 3 labels of the frozen"):
        clf.fit(X_new, np.full(300, "z"))
    Y = data[1][:300, :4].toarray()
    forest = RandomForestClassifier(10, random_state=0).fit(X, Y)
    for inner in (forest, OneVsRestClassifier(LogisticRegression()).fit(X, Y)):
        for make, rules in ((XRCalibratedClassifier, {}), (XRConformalClassifier, SET)):
            clf = make(FrozenEstimator(inner), **rules).fit(X, data[1][:300, :6])
            assert clf.predict(X).shape == (300, 4)
            with pytest.raises(ValueError, match="column for each of the 4 labels"):
                clf.fit(X, Y[:, :3])
    with pytest.raises(ValueError, match="y must be a label indicator, as in the fit"):
        XRCalibratedClassifier(FrozenEstimator(forest)).fit(X, y)
    of_classes = FrozenEstimator(XRLinearClassifier(random_state=0).fit(X, y))
    with pytest.raises(ValueError, match="y must be one class for each instance, as"):
        XRCalibratedClassifier(of_classes).fit(X, Y)


def test_files_hold_a_frozen_model_once(data, model, tmp_path):
    skops_io = pytest.importorskip("skops.io")
    clf = XRCalibratedClassifier(FrozenEstimator(model)).fit(*data[2:])
    save_model(clf, tmp_path / "curve.xmr")
    save_model(model, tmp_path / "model.xmr")
    content = skops_io.dumps(clf)
    trusted = skops_io.get_untrusted_types(data=content)
    assert all(name.startswith(("sklearn", "numpy.", "scipy.")) for name in trusted)
    loaded = skops_io.loads(content, trusted=trusted)
    for again in (load_model(tmp_path / "curve.xmr"), loaded):
        assert (again.predict_proba(data[0]) != clf.predict_proba(data[0])).nnz == 0
        assert repr(again) == repr(clf)
        again.fit(*data[2:])
        assert (again.predict_proba(data[0]) != clf.predict_proba(data[0])).nnz == 0
    sizes = [(tmp_path / f"{name}.xmr").stat().st_size for name in ("curve", "model")]
    assert sizes[0] < 1.5 * sizes[1]


def test_a_line_says_what_is_unknown(data, model, capsys):
    XRCalibratedClassifier(FrozenEstimator(model), verbose=1).fit(*data[2:])
    lines = capsys.readouterr().out.splitlines()
    n_unknown = data[3][:, N_KNOWN:].nnz
    wanted = f"[XRCalibrated] labels: {n_unknown} of {data[3].nnz} unknown to the model"
    assert lines[0] == wanted and lines[1].endswith("of 1000 instances")
    assert len(lines) == 2


def test_frozen_models_go_into_sets_and_hierarchies(data, model):
    X, Y = data[2:]
    curve = XRCalibratedClassifier(FrozenEstimator(model)).fit(X[:500], Y[:500])
    sets = XRConformalClassifier(FrozenEstimator(curve), **SET).fit(X[500:], Y[500:])
    assert sets.n_labels_ == N_KNOWN
    labels = sets.predict_topk(X)[0]
    np.testing.assert_array_equal(labels, curve.predict_topk(X)[0])
    above = XRHierarchyClassifier(XRCalibratedClassifier(FrozenEstimator(model)))
    above.fit(X, Y[:, :N_KNOWN])
    search = GridSearchCV(
        XRCalibratedClassifier(FrozenEstimator(model)),
        {"method": ["isotonic", "temperature"]},
        cv=2,
    ).fit(X, Y[:, :N_KNOWN])
    assert search.best_estimator_.estimator.estimator is model
