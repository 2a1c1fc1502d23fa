"""Forests of instances against votes counted one by one, and against scikit-learn."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeRegressor,
)
from threadpoolctl import threadpool_limits

from sklearn_xmr import XRForestClassifier
from sklearn_xmr.metrics import precision_at_k

WHOLE = DecisionTreeRegressor(min_samples_leaf=1)


def slow_votes(clf, X_train, Y, X, weight):
    """Scores of all labels: a loop over trees, instances and voters."""
    scores = np.zeros((X.shape[0], Y.shape[1]))
    for tree in clf.estimators_:
        of_voters, of_rows = tree.apply(X_train), tree.apply(X)
        for row, leaf in enumerate(of_rows):
            voters = np.flatnonzero(of_voters == leaf)
            for voter in voters:
                share = weight[voter] / weight[voters].sum()
                scores[row] += share * Y[voter] / len(clf.estimators_)
    return scores


@given(
    shape=st.tuples(st.integers(2, 30), st.integers(1, 5), st.integers(2, 12)),
    n_components=st.integers(1, 15),
    tree=st.sampled_from([None, ExtraTreeRegressor(), WHOLE]),
    weighted=st.booleans(),
    as_sparse=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_scores_are_counted_votes(shape, n_components, tree, weighted, as_sparse, seed):
    n_samples, n_features, n_labels = shape
    rng = np.random.RandomState(seed)
    X = rng.randint(0, 3, (n_samples, n_features)).astype(np.float32)
    Y = (rng.rand(n_samples, n_labels) < 0.4).astype(np.float32)
    Y[0, 0] = 1
    weight = rng.rand(n_samples) + 0.1 if weighted else None
    clf = XRForestClassifier(tree, 4, n_components=n_components, random_state=seed)
    form = sparse.csr_matrix if as_sparse else np.asarray
    clf.fit(form(X), form(Y), sample_weight=weight)
    labels, scores = clf.predict_topk(form(X), k=n_labels)
    expected = slow_votes(
        clf, X, Y, X, np.ones(n_samples) if weight is None else weight
    )
    got = np.zeros_like(expected)
    rows, places = np.nonzero(labels >= 0)
    got[rows, labels[rows, places]] = scores[rows, places]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_trees_see_few_labels_as_they_are(random_problem):
    """With no projection, a tree is scikit-learn's, and leaves are its values."""
    X, Y = random_problem
    clf = XRForestClassifier(DecisionTreeRegressor(max_depth=5), 1, random_state=3)
    clf.fit(X, Y)
    (tree,) = clf.estimators_
    assert tree.n_outputs_ == Y.shape[1] < clf.n_components
    labels, scores = clf.predict_topk(X, k=7)
    values = np.take_along_axis(tree.predict(X), labels, axis=1)
    np.testing.assert_allclose(scores[labels >= 0], values[labels >= 0], rtol=1e-5)


def test_trees_have_projections_and_seeds_of_their_own(small):
    X, Y = small
    clf = XRForestClassifier(n_estimators=3, n_components=2, random_state=0).fit(X, Y)
    roots = [tree.tree_.value[0].ravel() for tree in clf.estimators_]
    assert all(len(root) == 2 for root in roots)
    assert len({root.tobytes() for root in roots}) == 3
    assert len({tree.random_state for tree in clf.estimators_}) == 3


def test_whole_weights_equal_repeated_rows(random_problem, global_random_seed):
    X, Y = random_problem
    weight = np.random.RandomState(global_random_seed).randint(0, 4, size=200)
    repeated = np.repeat(np.arange(200), weight)
    clf = XRForestClassifier(WHOLE, 5, random_state=global_random_seed)
    got = clf.fit(X, Y, sample_weight=weight).predict_proba(X).toarray()
    clf.fit(X[repeated], Y[repeated])
    np.testing.assert_allclose(got, clf.predict_proba(X).toarray(), atol=1e-5)


def test_as_precise_as_a_forest_that_sees_every_label(small):
    X, Y = small
    X, X_test, Y, Y_test = X[:400].toarray(), X[400:].toarray(), Y[:400], Y[400:]
    ours = XRForestClassifier(n_estimators=100, random_state=0).fit(X, Y)
    theirs = RandomForestClassifier(
        100, max_features=0.1, min_samples_leaf=3, bootstrap=False, random_state=0
    ).fit(X, Y.toarray())
    proba = np.column_stack(
        [
            p[:, 1] if p.shape[1] > 1 else 0 * p[:, 0]
            for p in theirs.predict_proba(X_test)
        ]
    )
    got = precision_at_k(Y_test, ours.predict_topk(X_test, k=3), k=3)
    assert got > precision_at_k(Y_test, proba, k=3) - 0.03
    most_frequent = np.tile(Y.toarray().mean(axis=0), (200, 1))
    assert got > 1.5 * precision_at_k(Y_test, most_frequent, k=3)


def test_seed_decides_threads_do_not(small):
    X, Y = small
    clf = XRForestClassifier(n_estimators=10, random_state=5)
    labels, scores = clf.fit(X, Y).predict_topk(X)
    with threadpool_limits(1, user_api="openmp"):
        again = clf.fit(X, Y).predict_topk(X)
    loaded = pickle.loads(pickle.dumps(clf)).predict_topk(X)
    for one in (again, loaded):
        np.testing.assert_array_equal(one[0], labels)
        np.testing.assert_array_equal(one[1], scores)
    clf.set_params(random_state=6).fit(X, Y)
    assert (clf.predict_topk(X)[1] != scores).any()


def test_blocks_of_rows_equal_all_at_once(small):
    X, Y = small
    clf = XRForestClassifier(n_estimators=5, random_state=0).fit(X, Y)
    labels, scores = clf.predict_topk(X)
    clf._block_rows = 7
    np.testing.assert_array_equal(clf.predict_topk(X)[0], labels)
    np.testing.assert_array_equal(clf.predict_topk(X)[1], scores)


def test_given_pairs_have_their_votes(small):
    X, Y = small
    clf = XRForestClassifier(n_estimators=5, random_state=0).fit(X[:400], Y[:400])
    clf._block_rows = 130
    votes = clf.votes(X)
    labels, scores = clf.predict_topk(X, k=60)
    found = labels >= 0
    assert votes.has_sorted_indices and votes.nnz == found.sum()
    dense = np.take_along_axis(votes.toarray(), labels, axis=1)
    np.testing.assert_array_equal(dense[found], scores[found])
    pairs = clf.score_pairs(X, np.arange(60)).toarray()
    np.testing.assert_array_equal(pairs, votes.toarray())
    ranked = clf.predict_topk(X, k=2, candidates=[4, 9])
    np.testing.assert_array_equal(ranked[1], -np.sort(-pairs[:, [4, 9]], axis=1))


def test_a_fit_that_fails_changes_nothing(small):
    X, Y = small
    clf = XRForestClassifier(n_estimators=2, random_state=0).fit(X, Y)
    before = clf.predict_topk(X)[1]
    with pytest.raises(ValueError, match="min_samples_leaf"):
        clf.set_params(estimator=DecisionTreeRegressor(min_samples_leaf=-1)).fit(
            X[:50, :9], Y[:50]
        )
    np.testing.assert_array_equal(clf.predict_topk(X)[1], before)
    with pytest.raises(ValueError, match="'top_k' parameter"):
        clf.set_params(top_k=0).predict_topk(X)


def test_every_row_gets_a_class():
    X = np.repeat(np.eye(3), 4, axis=0)
    clf = XRForestClassifier(WHOLE, 3, random_state=0).fit(X, list("aaaabbbbcccc"))
    assert clf.predict(X).tolist() == list("aaaabbbbcccc")
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


def test_a_classifier_as_tree_is_an_error(small):
    with pytest.raises(ValueError, match="'estimator' parameter"):
        XRForestClassifier(DecisionTreeClassifier()).fit(*small)
