"""Splits, cross-validation and curves on sparse targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LearningCurveDisplay,
    ShuffleSplit,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_xmr import LabelNamesClassifier, XRLinearClassifier
from sklearn_xmr.metrics import get_topk_scorer, precision_at_k
from sklearn_xmr.model_selection import (
    IterativeStratifiedKFold,
    cross_val_predict_topk,
    cross_validate,
    iterative_train_test_split,
    learning_curve,
    validation_curve,
)
from sklearn_xmr.model_selection._split import iterative_stratification


def slow_stratification(Y, shares, order, noise):
    """Sechidis et al., Algorithm 1, on a dense matrix; full parts take no more."""
    Y = Y[order]
    part = np.full(len(Y), -1)
    wanted = np.outer(Y.sum(axis=0), shares).astype(float)
    room = len(Y) * np.asarray(shares)

    def neediest(need, row):
        free = [p for p in range(len(shares)) if room[p] > 1e-9]
        best = [p for p in free if need[p] >= max(need[q] for q in free) - 1e-9]
        most = max(room[p] for p in best)
        best = [p for p in best if room[p] >= most - 1e-9]
        return max(best, key=lambda p: noise[row][p])

    while (left := Y[part < 0].sum(axis=0)).any():
        label = min(np.flatnonzero(left), key=lambda label: (left[label], label))
        for row in np.flatnonzero((part < 0) & (Y[:, label] > 0)):
            part[row] = chosen = neediest(wanted[label], row)
            room[chosen] -= 1
            wanted[Y[row] > 0, chosen] -= 1
    for row in np.flatnonzero(part < 0):
        part[row] = chosen = neediest(room, row)
        room[chosen] -= 1
    out = np.empty_like(part)
    out[order] = part
    return out


@given(st.integers(0, 2**31 - 1), st.integers(2, 40), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_equal_to_the_slow_version(seed, n_samples, n_labels):
    rng = np.random.RandomState(seed)
    Y = (rng.rand(n_samples, n_labels) < rng.rand(n_labels)).astype(int)
    shares = rng.dirichlet(np.ones(rng.randint(2, 5)) * 5)
    state = np.random.RandomState(seed)
    order = state.permutation(n_samples)
    noise = state.uniform(size=(n_samples, len(shares)))
    fast = iterative_stratification(
        sparse.csr_matrix(Y), shares, np.random.RandomState(seed)
    )
    expected = slow_stratification(Y, shares, order, noise)
    np.testing.assert_array_equal(fast, expected)


def skewed_labels(rng, n_samples=1000, n_labels=100):
    """Labels of two to a few hundred instances."""
    Y = sparse.lil_matrix((n_samples, n_labels), dtype=int)
    for label, count in enumerate(np.geomspace(2, 300, n_labels).astype(int)):
        Y[rng.choice(n_samples, count, replace=False), label] = 1
    return Y.tocsr()


def test_rare_labels_are_in_every_fold(global_random_seed):
    Y = skewed_labels(np.random.RandomState(global_random_seed))
    X = np.zeros((Y.shape[0], 1))

    def missing(splitter):
        """Labels with an instance for every fold that a test part lacks."""
        enough = np.asarray(Y.sum(axis=0)).ravel() >= 5
        parts = [np.asarray(Y[test].sum(axis=0)).ravel() for _, test in splitter]
        return sum(((part == 0) & enough).sum() for part in parts)

    stratified = IterativeStratifiedKFold(5, random_state=0)
    folds = list(stratified.split(X, Y))
    assert missing(folds) < 0.05 * missing(KFold(5, shuffle=True).split(X, Y)) + 3
    tests = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tests), np.arange(1000))
    for train, test in folds:
        assert len(test) == 200
        assert not set(train) & set(test)
    again = list(stratified.split(X, Y.toarray()))
    for (_, one), (_, other) in zip(folds, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_train_test_split_takes_anything(global_random_seed):
    Y = skewed_labels(np.random.RandomState(global_random_seed))
    texts, X = [str(row) for row in range(1000)], np.arange(1000)
    parts = iterative_train_test_split(
        texts, X, y=Y, test_size=0.2, random_state=global_random_seed
    )
    texts_train, texts_test, X_train, X_test, Y_train, Y_test = parts
    assert [int(t) for t in texts_test] == X_test.tolist()
    assert (Y[X_test] != Y_test).nnz == 0 and (Y[X_train] != Y_train).nnz == 0
    assert len(X_test) == 200 and len(texts_train) == 800
    counts = np.asarray(Y.sum(axis=0)).ravel()

    def deviation(Y_part):
        shares = np.asarray(Y_part.sum(axis=0)).ravel() / counts
        return np.abs(shares - 0.2)[counts >= 5].mean()  # of two, none or half can be

    at_random = [
        deviation(train_test_split(Y, test_size=0.2, random_state=seed)[1])
        for seed in range(5)
    ]
    assert deviation(Y_test) < 0.5 * np.mean(at_random)


def test_bad_splits():
    Y = np.eye(4, dtype=int)
    with pytest.raises(ValueError, match="n_splits must lie in 2 to 4"):
        list(IterativeStratifiedKFold(5).split(Y, Y))
    with pytest.raises(ValueError, match="test_size must leave instances"):
        iterative_train_test_split(Y, y=Y, test_size=4)
    with pytest.raises(ValueError, match="y must hold only 0 and 1"):
        list(IterativeStratifiedKFold(2).split(Y, 2 * Y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(IterativeStratifiedKFold(2).split(Y[:3], Y))


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, np.asarray])
def test_cross_validate(small, form):
    X, Y = small
    Y = form(Y.toarray())
    cv = KFold(3, shuffle=True, random_state=0)
    clf = XRLinearClassifier(random_state=0)
    results = cross_validate(clf, X, Y, cv=cv)
    names = ["precision_at_1", "recall_at_5"]
    both = cross_validate(clf, X, Y, scoring=names, cv=cv, n_jobs=2)
    np.testing.assert_array_equal(both["test_precision_at_1"], results["test_score"])
    for fold, (train, test) in enumerate(cv.split(X)):
        model = clone(clf).fit(X[train], Y[train])
        for name in names:
            value = get_topk_scorer(name)(model, X[test], Y[test])
            assert both[f"test_{name}"][fold] == value


def test_curves(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0)
    sizes, train, test = learning_curve(
        clf, X, Y, train_sizes=[0.1, 1.0], cv=3, shuffle=True, random_state=0
    )
    assert sizes.tolist() == [40, 400] and train.shape == (2, 3)
    assert test[1].mean() > test[0].mean()
    pytest.importorskip("matplotlib").use("Agg")
    LearningCurveDisplay(train_sizes=sizes, train_scores=train, test_scores=test).plot()
    _, test = validation_curve(
        clf,
        X,
        Y,
        param_name="C",
        param_range=[0.001, 1.0],
        scoring="ndcg_at_3",
        cv=3,
    )
    search = GridSearchCV(
        clf, {"C": [0.001, 1.0]}, scoring=get_topk_scorer("ndcg_at_3"), cv=3
    ).fit(X, Y)
    means = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(test.mean(axis=1), means)


@pytest.mark.parametrize("run", [cross_validate, learning_curve, validation_curve])
def test_unknown_scorers_list_our_names(run, small):
    more = {"param_name": "C", "param_range": [1.0]} if run is validation_curve else {}
    match = r"scoring must be one of .*'precision_at_k'.* got 'precision@5'"
    with pytest.raises(ValueError, match=match):
        run(XRLinearClassifier(), *small, scoring="precision@5", **more)
    with pytest.raises(ValueError, match=r"like \['precision'"):
        run(XRLinearClassifier(), *small, scoring="precison", **more)


def test_scorers_of_several_kinds(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0)
    names = {"first": "precision_at_1", "all": "f1_samples"}
    mixed = cross_validate(clf, X, Y, scoring=names, cv=2)
    ours = cross_validate(clf, X, Y, scoring={"first": "precision_at_1"}, cv=2)
    np.testing.assert_array_equal(mixed["test_first"], ours["test_first"])
    assert 0 < mixed["test_all"].min() < 1


def test_parameters_inside_are_still_checked(small):
    with pytest.raises(ValueError, match="The 'C' parameter"):
        cross_validate(XRLinearClassifier(C=-1), *small, error_score="raise")


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_topk_of_held_out_folds(small, n_jobs):
    X, Y = small
    clf = XRLinearClassifier(random_state=0)
    weight = np.linspace(0.5, 2, X.shape[0])
    cv = KFold(4, shuffle=True, random_state=0)
    labels, scores = cross_val_predict_topk(
        clf, X, Y, k=3, cv=cv, n_jobs=n_jobs, params={"sample_weight": weight}
    )
    for train, test in cv.split(X):
        model = clone(clf).fit(X[train], Y[train], sample_weight=weight[train])
        expected = model.predict_topk(X[test], k=3)
        np.testing.assert_array_equal(labels[test], expected[0])
        np.testing.assert_allclose(scores[test], expected[1])


# The classes of the training rows differ from fold to fold.
FOLDS = [np.arange(10), np.arange(10, 30), np.arange(30, 60)]
SPLITS = [(np.setdiff1d(np.arange(60), test), test) for test in FOLDS]


def rows_of_six_classes():
    classes = np.repeat(np.arange(6), 10)[np.random.RandomState(1).permutation(60)]
    classes[:10] = 2
    classes[10:] = np.where(classes[10:] == 2, 5, classes[10:])
    return np.eye(6)[classes] + 0.1 * np.random.RandomState(0).rand(60, 6), classes


@pytest.mark.parametrize(
    "model",
    [XRLinearClassifier(random_state=0), KNeighborsClassifier(1)],
)
@pytest.mark.parametrize("kind", [int, str])
def test_topk_of_held_out_classes(model, kind):
    X, classes = rows_of_six_classes()
    y = np.array([kind(10 * c + 10) for c in classes])
    labels, scores = cross_val_predict_topk(model, X, y, k=7, cv=SPLITS)
    right = np.unique(y, return_inverse=True)[1]
    assert (labels[10:, 0] == right[10:]).all()
    assert not (labels[:10] == 2).any()  # the class that their fold has not seen
    assert (labels[:, 6] == -1).all() and (scores[:, 6] == 0).all()


@pytest.mark.parametrize("model", [XRLinearClassifier(), KNeighborsClassifier(1)])
@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.parametrize("as_given", [np.asarray, list])
def test_scorers_of_classes(model, kind, as_given):
    X, classes = rows_of_six_classes()
    y = as_given([kind(10 * c + 10) for c in classes])
    scoring = ["precision_at_1", "recall_at_6", "accuracy", "psprecision_at_1"]
    if isinstance(model, KNeighborsClassifier):  # which knows no propensities
        scoring = scoring[:3]
    found = cross_validate(model, X, y, cv=SPLITS, scoring=scoring, error_score="raise")
    np.testing.assert_array_equal(found["test_precision_at_1"], [0, 1, 1])
    np.testing.assert_array_equal(found["test_accuracy"], [0, 1, 1])
    np.testing.assert_array_equal(found["test_recall_at_6"], [0, 1, 1])


def test_metrics_of_classes_say_how_to_make_an_indicator():
    X, y = rows_of_six_classes()
    clf = XRLinearClassifier(random_state=0).fit(X, y)
    for form in (y, y.tolist()):
        with pytest.raises(ValueError, match=r"y_true\[:, None\] == clf.classes_"):
            precision_at_k(form, clf.predict_topk(X, k=1), k=1)
    indicator = y[:, None] == clf.classes_
    assert precision_at_k(indicator, clf.predict_topk(X, k=1), k=1) == 1


@pytest.mark.parametrize("cv", [None, SPLITS])
def test_topk_of_held_out_names(cv):
    X, classes = rows_of_six_classes()
    names = [[f"class {c}", "all"] for c in classes]
    model = LabelNamesClassifier(XRLinearClassifier(random_state=0))
    labels, scores = cross_val_predict_topk(model, X, names, k=8, cv=cv)
    assert labels.dtype == object and labels.shape == scores.shape == (60, 8)
    for row in range(10, 60):
        assert set(labels[row, :2]) == set(names[row])
    assert all(label is None for label in labels[:, 7])


def test_topk_of_held_out_texts():
    texts = ["red bird", "blue bird", "red fish", "blue fish"] * 5
    Y = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 5)
    for model in (XRLinearClassifier(), OneVsRestClassifier(MultinomialNB())):
        pipeline = make_pipeline(CountVectorizer(), model)
        topk = cross_val_predict_topk(pipeline, texts, Y, k=2)
        assert precision_at_k(Y, topk, k=2) == 1
    topk = cross_val_predict_topk(pipeline, texts, Y, k=7)
    assert topk[0].shape == (20, 7) and (topk[0][:, 4:] == -1).all()
    with pytest.raises(ValueError, match="each of the 20 samples exactly once"):
        cross_val_predict_topk(pipeline, texts, Y, cv=ShuffleSplit(2))
