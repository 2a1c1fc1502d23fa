"""Answers agree with the thesaurus: every ranking, set and probability, on any data."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from sklearn_xmr import (
    LabelNamesClassifier,
    Thesaurus,
    XRCalibratedClassifier,
    XRHierarchyClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    predict_topk,
)
from sklearn_xmr.compose._consistent_scores import (
    any_below,
    largest_below,
    strictly_above,
)
from sklearn_xmr.inspection import view_in_thesaurus
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.utils._rankings import topk_of_csr

LINEAR = XRLinearClassifier(random_state=0)
# 0 is broader than 2 and 3, 2 than 4; others are below 0 to 4.
PARENTS = [-1, -1, 0, 0, 2] + [label % 5 for label in range(55)]
THESAURUS = Thesaurus.from_parents(PARENTS)
ABOVE = [set(THESAURUS.ancestors()[[c]].indices.tolist()) for c in range(60)]
BOTH_WAYS = pytest.mark.parametrize("broader", ["learn", "combine"])


def some_hierarchy(rng, n):
    rank = rng.permutation(n)
    linked = (rng.rand(n, n) < 0.3) & (rank[:, None] < rank)
    return Thesaurus.from_parents(sparse.csr_matrix(linked))


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=100, deadline=None)
def test_scores_equal_loops_and_rankings_hold_all_ancestors(seed):
    rng = np.random.RandomState(seed)
    n, n_labels = rng.randint(1, 6), rng.randint(1, 10)
    thesaurus = some_hierarchy(rng, n_labels)
    closure = thesaurus.closure.toarray() > 0
    dense = rng.choice([1e-38, 1e-9, 0.25, 0.5, 1 - 6e-8, rng.rand()], (n, n_labels))
    stored = rng.rand(n, n_labels) < rng.rand()
    scores = sparse.csr_matrix(np.where(stored, dense, 0), dtype=np.float32)
    largest = largest_below(scores, thesaurus.closure)
    union = any_below(scores, thesaurus.closure)
    given = scores.toarray().astype(np.float64)
    for label in range(n_labels):
        below = closure[:, label]
        expected = given[:, below].max(axis=1)
        np.testing.assert_array_equal(largest.toarray()[:, label], expected)
        expected = 1 - np.prod(1 - given[:, below], axis=1)
        np.testing.assert_allclose(union.toarray()[:, label], expected, atol=1e-15)
    for way in (largest, union):
        final = strictly_above(way, thesaurus.heights)
        assert final.dtype == np.float32 and final.has_canonical_format
        assert final.nnz == 0 or 0 < final.data.min() <= final.data.max() < 1
        change = np.abs(final.data - way.data)
        assert (change <= 1e-30 + 1e-6 * (1 + thesaurus.heights.max())).all()
        full, _ = topk_of_csr(final, n_labels)
        for row in full:
            labels = row[row >= 0].tolist()
            for place, label in enumerate(labels):
                above = np.flatnonzero(closure[label])
                assert set(above) <= set(labels[: place + 1])


def assert_consistent(labels):
    for row in labels:
        known = [label for label in row if label >= 0]
        for place, label in enumerate(known):
            assert ABOVE[label] <= set(known[:place])


@BOTH_WAYS
@pytest.mark.parametrize("is_sparse", [True, False])
def test_all_answers_hold_all_ancestors(small, broader, is_sparse):
    X, Y = small
    Y = Y if is_sparse else Y.toarray()
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS, broader=broader)
    clf.set_params(decision_threshold=0.3, top_k=40).fit(X, Y)
    for k in (1, 2, 5, 40):
        labels, scores = clf.predict_topk(X, k)
        assert_consistent(labels)
        assert (np.diff(scores, axis=1) <= 0).all()
    full = sparse.csr_matrix(clf.predict(X))
    assert (THESAURUS.with_ancestors(full) != full).nnz == 0
    clf.set_params(most_specific=True)
    narrow = clf.predict(X)
    assert sparse.issparse(narrow) == is_sparse and narrow.dtype == Y.dtype
    assert (THESAURUS.most_specific(full) != narrow).sum() == 0
    assert (THESAURUS.with_ancestors(narrow) != full).nnz == 0
    proba = sparse.csr_matrix(clf.predict_proba(X))
    for row in range(20):
        values = proba[[row]].toarray().ravel()
        for label in proba[[row]].indices:
            assert all(values[above] >= values[label] for above in ABOVE[label])


@BOTH_WAYS
def test_rows_copies_and_blocks_answer_alike(small, broader, monkeypatch):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS, broader=broader)
    labels, scores = clf.fit(X, Y).predict_topk(X[:20], 9)
    monkeypatch.setattr(XRHierarchyClassifier, "_block_rows", 7)
    copies = [clf, pickle.loads(pickle.dumps(clf))]
    for again in copies:
        for row in range(20):
            one = again.predict_topk(X[row], 9)
            np.testing.assert_array_equal(one[0], labels[[row]])
            np.testing.assert_array_equal(one[1], scores[[row]])
    for one, expected in zip(
        clf.predict_topk(X[:20], 9), (labels, scores), strict=True
    ):
        np.testing.assert_array_equal(one, expected)


@BOTH_WAYS
def test_y_means_the_same_with_and_without_broader_labels(small, broader):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS, broader=broader)
    answers = []
    for form in (Y, THESAURUS.with_ancestors(Y), THESAURUS.most_specific(Y)):
        clf = clone(clf).fit(X, form)
        answers.append(clf.predict_topk(X, 7))
        scores = [clf.score(X, y) for y in (Y, THESAURUS.with_ancestors(Y))]
        assert scores[0] == scores[1]
        plain = precision_at_k(THESAURUS.with_ancestors(Y), answers[-1], 1)
        assert scores[0] == plain
    for one in answers[1:]:
        np.testing.assert_array_equal(one[0], answers[0][0])
        np.testing.assert_array_equal(one[1], answers[0][1])


def test_what_needs_a_new_fit_waits_for_it(small):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS).fit(X, Y)
    labels, _ = clf.predict_topk(X, 5)
    other = Thesaurus.from_parents([-1, 0])
    clf.set_params(thesaurus=other, broader="combine", most_specific=True)
    np.testing.assert_array_equal(clf.predict_topk(X, 5)[0], labels)
    assert clf.predict(X).shape == Y.shape and clf.score(X, Y) > 0.7
    clf.set_params(thesaurus=THESAURUS, most_specific=False).fit(X, Y)
    assert clf.broader_ == "combine"


def test_what_the_model_learns(small):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS).fit(X, Y)
    same = clone(LINEAR).fit(X, THESAURUS.with_ancestors(Y))
    assert clf.estimator_.model_.checksum() == same.model_.checksum()
    clf.set_params(broader="combine").fit(X, Y)
    same = clone(LINEAR).fit(X, THESAURUS.most_specific(Y))
    assert clf.estimator_.model_.checksum() == same.model_.checksum()


def test_it_falls_back_to_the_broader_label_of_doubtful_ones():
    """Two twins: which of them it is nobody can tell, but it is surely their kind."""
    thesaurus = Thesaurus.from_paths(["kind > twin", "kind > other twin", "else"])
    rng = np.random.RandomState(0)
    is_kind = rng.rand(400) < 0.5
    label = np.where(is_kind, rng.randint(0, 2, 400), 2)
    X = np.column_stack([is_kind, ~is_kind]).astype(float)
    Y = thesaurus.with_ancestors(np.eye(3, dtype=int)[label])
    for broader in ("learn", "combine"):
        clf = XRHierarchyClassifier(
            XRCalibratedClassifier(XRNeighborsClassifier(100), random_state=0),
            thesaurus=thesaurus,
            broader=broader,
            most_specific=True,
            decision_threshold=0.6,
        ).fit(X, Y)
        answers = thesaurus.names_of([row.indices for row in clf.predict(X[:30])[:, :]])
        for found, kind in zip(answers, is_kind, strict=False):
            assert found == (["kind"] if kind else ["else"])


def test_without_a_thesaurus_the_model_answers(small):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR).fit(X, Y)
    expected = clone(LINEAR).fit(X, Y).predict_topk(X, 5)
    labels, scores = clf.predict_topk(X, 5)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-5)
    y = Y.argmax(axis=1).A1
    assert XRHierarchyClassifier(LINEAR).fit(X, y).score(X, y) > 0.5


def test_wrong_targets(small):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS)
    with pytest.raises(ValueError, match="column for each of the 60 concepts.*got 59"):
        clf.fit(X, Y[:, :59])
    with pytest.raises(ValueError, match="label indicator where there is a thesaurus"):
        clf.fit(X, np.arange(600) % 60)
    with pytest.raises(ValueError, match="thesaurus"):
        XRHierarchyClassifier(LINEAR, thesaurus=PARENTS).fit(X, Y)
    with pytest.raises(ValueError, match="columns"):
        clf.fit(X, Y).score(X, Y[:, :7])


def test_targets_in_tables(small):
    frame = pytest.importorskip("pandas").DataFrame
    X, Y = small
    ids = [f"c{label}" for label in range(60)]
    thesaurus = Thesaurus.from_parents(PARENTS, ids=ids)
    clf = XRHierarchyClassifier(LINEAR, thesaurus=thesaurus)
    table = frame(Y.toarray(), columns=ids)
    with pytest.raises(ValueError, match=r"in another one: select y\[list"):
        clf.fit(X, table[ids[::-1]])
    clf.fit(X, table)
    assert clf.score(X, table) == clf.score(X, Y) > 0.7
    found = clf.predict(X)
    assert list(found.columns) == ids
    full = thesaurus.with_ancestors(found)
    np.testing.assert_array_equal(found.to_numpy(), full.toarray())
    view = view_in_thesaurus(clf, X[:1], k=3, open_browser=False)
    assert view.to_dict()[0]["id"] in ("c0", "c1")
    clf.fit(X, table.set_axis([f"name {label}" for label in range(60)], axis=1))
    assert str(view_in_thesaurus(clf, X[:1], k=3, open_browser=False)) == str(view)


@pytest.mark.parametrize(
    "model",
    [
        OneVsRestClassifier(LogisticRegression()),
        make_pipeline(MaxAbsScaler(), LINEAR),
        XRCalibratedClassifier(LINEAR, random_state=0),
        None,
    ],
    ids=["scikit-learn", "pipeline", "calibrated", "default"],
)
@BOTH_WAYS
def test_any_model(small, model, broader):
    X, Y = (part[:150] for part in small)
    clf = XRHierarchyClassifier(
        model, thesaurus=THESAURUS, broader=broader, random_state=0
    )
    clf.fit(X, THESAURUS.with_ancestors(Y))
    assert clf.score(X, Y) > 0.7
    assert_consistent(clf.predict_topk(X, 6)[0])


def test_a_fitted_model_inside(small):
    frozen = pytest.importorskip("sklearn.frozen")
    X, Y = small
    model = clone(LINEAR).fit(X, Y)
    clf = XRHierarchyClassifier(
        frozen.FrozenEstimator(model), thesaurus=THESAURUS, broader="combine"
    ).fit(X, Y)
    assert_consistent(clf.predict_topk(X, 6)[0])


def test_identifiers_in_and_out(small):
    X, Y = small
    ids = [f"c{label}" for label in range(60)]
    thesaurus = Thesaurus.from_parents(PARENTS, ids=ids)
    names = [[ids[label] for label in row.indices] for row in Y]
    clf = LabelNamesClassifier(
        XRHierarchyClassifier(LINEAR, thesaurus=thesaurus), classes=thesaurus.ids
    ).fit(X, names)
    best, _ = predict_topk(clf, X[:5], k=2)
    assert all(first in ("c0", "c1") for first in best[:, 0])


def test_weights_and_known_errors_reach_the_model(small):
    X, Y = small
    rng = np.random.RandomState(0)
    Y = THESAURUS.most_specific(Y)
    relevance = Y.astype(np.float32).multiply(1 + rng.rand(*Y.shape)).tocsr()
    weight = rng.randint(1, 4, 600)
    model = clone(LINEAR).set_params(cost_sensitive="induce")
    clf = XRHierarchyClassifier(model, thesaurus=THESAURUS)
    clf.fit(X, Y, sample_weight=weight, relevance=relevance)
    costs = relevance.toarray()[:, :, None] * THESAURUS.closure.toarray()
    expected = clone(model).fit(
        X,
        THESAURUS.with_ancestors(Y),
        sample_weight=weight,
        relevance=sparse.csr_matrix(costs.max(axis=1)),
    )
    assert clf.estimator_.model_.checksum() == expected.model_.checksum()
    clf.set_params(broader="combine")
    clf.fit(X, Y, sample_weight=weight, relevance=relevance)
    expected = clone(model).fit(X, Y, sample_weight=weight, relevance=relevance)
    assert clf.estimator_.model_.checksum() == expected.model_.checksum()


def test_pairs_that_were_not_retrieved(small):
    X, Y = small
    clf = XRHierarchyClassifier(LINEAR, thesaurus=THESAURUS, broader="combine")
    clf.fit(X, Y)
    found = clf.score_pairs(X[:9], np.arange(60))
    assert found.nnz == 9 * 60
    labels, scores = clf.predict_topk(X[:9], 20)
    rows, places = np.nonzero(labels >= 0)
    got = found.toarray()[rows, labels[rows, places]]
    np.testing.assert_allclose(got, scores[rows, places], rtol=1e-6)
    labels, _ = clf.predict_topk(X[:9], 3, candidates=np.arange(30, 60))
    assert labels.min() >= 30
