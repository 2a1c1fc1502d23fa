"""Labels added, removed, branches refitted: against a fit of the whole, bit by bit."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_oracle import EXACT, coefficients
from scipy import sparse
from sklearn.base import clone

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelTree,
    XRLinearClassifier,
)

CLUSTERER = HierarchicalLabelClusterer(
    branching_factor=3, max_leaf_size=4, random_state=0
)
N_OLD = 50


def state(clf):
    """All that must survive an error."""
    return pickle.dumps(clf)


def scores(clf, X):
    """Scores of all labels, without any search."""
    return clf.score_pairs(X, np.arange(clf.n_labels_)).toarray()


def label_weights(clf, labels):
    """Weights, intercept and dense weights of some labels."""
    place = np.argsort(clf.tree_.label_order)[labels]
    level = clf.weights_[-1]
    dense = level.dense_weights()[place]
    return np.column_stack([coefficients(clf, -1)[place], dense])


def assert_same_scores(got, want):
    """To the order of summation: the kernel adds up in tiles of a chunk's width."""
    np.testing.assert_allclose(got, want, rtol=5e-5, atol=1e-30)


@pytest.fixture(params=["int8", "float16", "float32"])
def fitted(request, small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, weight_dtype=request.param, random_state=0)
    return clf.fit(X, Y[:, :N_OLD])


# --- the tree -------------------------------------------------------------------


def nodes_of_labels(tree):
    """For each level, the set of labels of each node."""
    return [
        [frozenset(tree.labels_under(level, node)) for node in range(size)]
        for level, size in enumerate(tree.level_sizes)
    ]


@given(st.data())
def test_tree_with_and_without_labels(data):
    n_labels = data.draw(st.integers(2, 30))
    n_groups = data.draw(st.integers(1, 6))
    ids = st.integers(0, n_groups - 1)
    upper = data.draw(st.lists(ids, min_size=n_labels, max_size=n_labels))
    lower = data.draw(st.lists(ids, min_size=n_labels, max_size=n_labels))
    tree = LabelTree._from_paths(np.array([upper, lower]))
    gone = data.draw(st.sets(st.integers(0, n_labels - 1), min_size=1))
    kept = [label for label in range(n_labels) if label not in gone]
    if kept:
        got = nodes_of_labels(tree.without_labels(sorted(gone)))
        number = {label: i for i, label in enumerate(kept)}
        for level, nodes in enumerate(nodes_of_labels(tree)):
            want = [frozenset(number[x] for x in node - gone) for node in nodes]
            assert got[level] == [node for node in want if node]
    clusters = data.draw(
        st.lists(st.integers(0, tree.n_clusters - 1), min_size=1, max_size=9)
    )
    grown = tree.with_labels(clusters)
    np.testing.assert_array_equal(
        grown.cluster_of_label[:n_labels], tree.cluster_of_label
    )
    np.testing.assert_array_equal(grown.cluster_of_label[n_labels:], clusters)
    new = np.arange(n_labels, n_labels + len(clusters))
    assert grown.without_labels(new) == tree


# --- add_labels -----------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_added_labels_are_what_a_fit_of_the_whole_would_train(loss, small):
    X, Y = small
    common = {"loss": loss, "negative_sampling": "tfn", **EXACT}
    clf = XRLinearClassifier(CLUSTERER, **common).fit(X, Y[:, :N_OLD])
    above = clf.weights_[:-1]
    clf.add_labels(X, Y)
    assert all(a is b for a, b in zip(clf.weights_, above, strict=False))
    whole = XRLinearClassifier(clf.tree_, **common).fit(X, Y)
    new = clf.tree_.label_order >= N_OLD
    got, want = coefficients(clf, -1)[new], coefficients(whole, -1)[new]
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert np.abs(want).max() > 0.5


def test_known_labels_keep_their_weights_to_the_last_bit(fitted, small):
    X, Y = small
    old = np.arange(N_OLD)
    weights, before = label_weights(fitted, old), scores(fitted, X)
    fitted.add_labels(X, Y)
    np.testing.assert_array_equal(label_weights(fitted, old), weights)
    assert_same_scores(scores(fitted, X)[:, :N_OLD], before)
    assert fitted.n_labels_ == fitted.predict_proba(X).shape[1] == 60
    assert len(fitted.classes_) == len(fitted.propensities_) == 60


@pytest.mark.parametrize("sampling", ["tfn", "man", "tfn+man"])
def test_added_labels_are_found(sampling, small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, negative_sampling=sampling, random_state=0)
    clf.fit(X, Y[:, :N_OLD]).add_labels(X, Y)
    whole = clone(clf).fit(X, Y)
    assert clf.score(X, Y) > whole.score(X, Y) - 0.05
    new = np.asarray(Y[:, N_OLD:].sum(axis=1)).ravel() > 0
    found = clf.predict_topk(X[new], k=10)[0] >= N_OLD
    assert found.any(axis=1).mean() > 0.9


def test_a_label_joins_the_cluster_of_its_twin(fitted, small):
    X, Y = small
    twins = [3, 17, 41]
    frequent = [np.argmax(Y[:, :N_OLD].sum(axis=0)), *twins]
    grown = sparse.hstack([Y[:, :N_OLD], Y[:, frequent]], format="csr")
    fitted.add_labels(X, grown)
    clusters = fitted.tree_.cluster_of_label
    assert (clusters[N_OLD:] == clusters[frequent]).mean() >= 0.75


def test_clusters_of_choice_and_labels_without_instances(fitted, small):
    X, Y = small
    empty = sparse.csr_matrix((X.shape[0], 2), dtype=np.float32)
    smallest = np.diff(fitted.tree_.offsets[-1]).argmin()
    again = pickle.loads(pickle.dumps(fitted))
    again.add_labels(X, sparse.hstack([Y[:, :N_OLD], empty]))
    assert (again.tree_.cluster_of_label[N_OLD:] == smallest).all()
    assert (scores(again, X)[:, N_OLD:] < 1e-3).all()
    clusters = np.arange(10) % fitted.tree_.n_clusters
    fitted.add_labels(X, Y, clusters=clusters)
    np.testing.assert_array_equal(fitted.tree_.cluster_of_label[N_OLD:], clusters)


@pytest.mark.parametrize("n_old", [250, 256, 300])
def test_parents_of_many_children_get_more_chunks(n_old, global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    X = sparse.random(400, 50, 0.3, format="csr", random_state=rng, dtype=np.float32)
    Y = sparse.csr_matrix((rng.rand(400, 320) < 0.05).astype(np.float32))
    flat = LabelTree.flat(n_old)
    clf = XRLinearClassifier(flat, **EXACT).fit(X, Y[:, :n_old])
    before = label_weights(clf, np.arange(n_old))
    clf.add_labels(X, Y)
    np.testing.assert_array_equal(label_weights(clf, np.arange(n_old)), before)
    assert (np.diff(clf.weights_[0].child_ptr) <= 256).all()
    whole = XRLinearClassifier(LabelTree.flat(320), **EXACT).fit(X, Y)
    np.testing.assert_allclose(coefficients(clf, 0), coefficients(whole, 0), atol=5e-3)


def test_dense_features(small, global_random_seed):
    X, Y = small
    dense = np.random.RandomState(global_random_seed).randn(600, 7).astype(np.float32)
    clf = XRLinearClassifier(CLUSTERER, random_state=0)
    clf.fit((X, dense), Y[:, :N_OLD])
    pair = HybridFeatures(X, dense)
    old = np.arange(N_OLD)
    weights, before = label_weights(clf, old), scores(clf, pair)
    assert np.abs(weights[:, -7:]).max() > 0.01
    clf.add_labels((X, dense), Y)
    np.testing.assert_array_equal(label_weights(clf, old), weights)
    assert_same_scores(scores(clf, pair)[:, :N_OLD], before)
    clf.remove_labels(np.arange(N_OLD, 60))
    np.testing.assert_array_equal(scores(clf, pair), before)


def test_new_classes_of_one_column():
    rng = np.random.RandomState(0)
    y = np.array(["dog", "ant", "cow", "bee"])[rng.randint(4, size=200)]
    centre = {"dog": 0, "ant": 5, "cow": 10, "bee": 15}
    X = rng.randn(200, 20) / 3
    X[np.arange(200), [centre[name] for name in y]] += 3
    known = y != "bee"
    clf = XRLinearClassifier(random_state=0).fit(X[known], y[known])
    clf.add_labels(X, y)
    assert clf.classes_.tolist() == ["ant", "cow", "dog", "bee"]
    assert (clf.predict(X) == y).mean() > 0.95
    clf.remove_labels(["cow"])
    assert clf.classes_.tolist() == ["ant", "dog", "bee"]
    assert (clf.predict(X[y != "cow"]) == y[y != "cow"]).mean() > 0.95


def test_costs_of_added_labels(small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, **EXACT).fit(X, Y[:, :N_OLD])
    weight = np.where(np.arange(600) % 3, 1.0, 0.0)
    some = pickle.loads(pickle.dumps(clf)).add_labels(X, Y, sample_weight=weight)
    used = np.flatnonzero(weight)
    clusters = some.tree_.cluster_of_label[N_OLD:]
    want = pickle.loads(pickle.dumps(clf)).add_labels(
        X[used], Y[used], clusters=clusters
    )
    np.testing.assert_allclose(
        coefficients(some, -1), coefficients(want, -1), atol=2e-3
    )
    double = pickle.loads(pickle.dumps(clf)).add_labels(
        X, Y, relevance=2 * Y, clusters=clusters
    )
    costly = clf.set_params(positive_cost=2).add_labels(X, Y, clusters=clusters)
    np.testing.assert_allclose(
        coefficients(double, -1)[:, :-1], coefficients(costly, -1)[:, :-1], atol=5e-2
    )


# --- remove_labels --------------------------------------------------------------


def test_what_is_left_is_scored_as_before(fitted, small):
    X = small[0]
    before = scores(fitted, X)
    cluster = fitted.tree_.labels_under(fitted.tree_.n_levels - 2, 1)
    gone = np.union1d(cluster, [0, 7, 49])  # a whole cluster, and some of others
    n_clusters = fitted.tree_.n_clusters
    kept = np.setdiff1d(np.arange(N_OLD), gone)
    weights = label_weights(fitted, kept)
    fitted.remove_labels(gone)
    np.testing.assert_array_equal(label_weights(fitted, np.arange(len(kept))), weights)
    assert_same_scores(scores(fitted, X), before[:, kept])
    assert fitted.tree_.n_clusters < n_clusters
    labels, _ = fitted.set_params(beam_size=None).predict_topk(X, k=3)
    best = np.argsort(-before[:, kept], axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(labels, best)


def test_added_labels_can_be_taken_back(fitted, small):
    X, Y = small
    before = scores(fitted, X)
    tree = fitted.tree_
    fitted.add_labels(X, Y).remove_labels(np.arange(N_OLD, 60))
    assert fitted.tree_ == tree
    np.testing.assert_array_equal(scores(fitted, X), before)


def test_one_label_is_left(fitted, small):
    fitted.remove_labels(np.arange(1, N_OLD))
    assert fitted.tree_.level_sizes == [1] * fitted.tree_.n_levels
    assert (fitted.predict_topk(small[0], k=1)[0] == 0).all()


# --- refit_branch ---------------------------------------------------------------


def test_a_branch_is_what_a_fit_of_the_whole_would_train(small):
    X, Y = small
    common = {"negative_sampling": "tfn", **EXACT}
    old = XRLinearClassifier(CLUSTERER, **common).fit(X[:300], Y[:300])
    new = XRLinearClassifier(old.tree_, **common).fit(X, Y)
    got = pickle.loads(pickle.dumps(old)).refit_branch(X, Y, level=0, node=1)
    first, last = 1, 2
    for level in range(old.tree_.n_levels):
        if level:
            first, last = old.tree_.offsets[level][[first, last]]
        inside = np.zeros(old.tree_.level_sizes[level], dtype=bool)
        inside[first:last] = level > 0
        was, now = coefficients(old, level), coefficients(got, level)
        np.testing.assert_array_equal(now[~inside], was[~inside])
        want = coefficients(new, level)[inside]
        np.testing.assert_allclose(now[inside], want, atol=2e-3)
        assert not inside.any() or np.abs(want - was[inside]).max() > 0.1


def test_a_pruned_model_keeps_its_type_of_weights(small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, weight_dtype="float32", random_state=0)
    clf.fit(X, Y[:, :N_OLD]).prune(dtype="int8")
    clf.add_labels(X, Y).refit_branch(X, Y, 0, 0)
    assert {weights.value_type for weights in clf.weights_} == {"int8"}
    assert clf.score(X, Y) > 0.5


# --- all ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda clf, X, Y: clf.add_labels(X, Y[:, :N_OLD]), "labels that the model"),
        (lambda clf, X, Y: clf.add_labels(X, Y[:, :9]), "a column for each of the 50"),
        (lambda clf, X, Y: clf.add_labels(X[:, :9], Y), "features"),
        (lambda clf, X, Y: clf.add_labels(X[:9], Y), "inconsistent"),
        (
            lambda clf, X, Y: clf.add_labels(X, Y, clusters=[999] * 10),
            "clusters must lie",
        ),
        (lambda clf, X, Y: clf.add_labels(X, Y, clusters=[0]), "clusters must hold"),
        (lambda clf, X, Y: clf.add_labels(X, 2 * Y), "only 0 and 1"),
        (lambda clf, X, Y: clf.remove_labels([50]), "members of classes_"),
        (lambda clf, X, Y: clf.remove_labels([]), "members of classes_"),
        (lambda clf, X, Y: clf.remove_labels(np.arange(50)), "one must stay"),
        (lambda clf, X, Y: clf.refit_branch(X, Y, 0, 0), "add_labels"),
        (lambda clf, X, Y: clf.refit_branch(X, Y[:, :50], 9, 0), "level must be"),
        (lambda clf, X, Y: clf.refit_branch(X, Y[:, :50], 0, 99), "node must be"),
    ],
)
def test_errors_leave_the_model_as_it_was(call, message, fitted, small):
    before = state(fitted)
    with pytest.raises(ValueError, match=message):
        call(fitted, *small)
    assert state(fitted) == before


def test_a_predictor_made_before_answers_as_before(fitted, small):
    X, Y = small
    best = fitted.topk_predictor(k=5)
    before = [best(row) for row in X[:20]]
    fitted.add_labels(X, Y)
    fitted.remove_labels([0, 1, 2])
    for row, (labels, values) in zip(X[:20], before, strict=True):
        np.testing.assert_array_equal(best(row)[0], labels)
        np.testing.assert_array_equal(best(row)[1], values)


def test_changed_models_are_pickled(fitted, small):
    X, Y = small
    fitted.add_labels(X, Y).remove_labels([4])
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(scores(again, X), scores(fitted, X))


# --- warm_start -----------------------------------------------------------------


def test_warm_start_keeps_the_tree(small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, warm_start=True, random_state=0)
    tree = clf.fit(X[:300], Y[:300, :N_OLD]).tree_
    clf.set_params(C=3).fit(X, Y[:, :N_OLD])
    assert clf.tree_ is tree
    want = XRLinearClassifier(tree, C=3, warm_start=True, random_state=0)
    want.fit(X, Y[:, :N_OLD])
    assert clf.score(X, Y[:, :N_OLD]) == pytest.approx(
        want.score(X, Y[:, :N_OLD]), abs=0.02
    )
    clf.fit(X, Y)
    assert clf.n_labels_ == clf.tree_.n_labels == 60
    np.testing.assert_array_equal(
        clf.tree_.cluster_of_label[:N_OLD], tree.cluster_of_label
    )
    with pytest.raises(ValueError, match="warm_start=True keeps"):
        clf.fit(X, Y[:, :9])


def test_warm_start_places_new_labels_by_known_features_only(small):
    X, Y = small
    clf = XRLinearClassifier(CLUSTERER, warm_start=True).fit(X, Y[:, :N_OLD])
    with pytest.raises(ValueError, match="400 features of the fit before"):
        clf.fit(X[:, :300], Y)
    assert clf.fit(X[:, :300], Y[:, :N_OLD]).n_features_in_ == 300


def test_warm_start_with_classes():
    rng = np.random.RandomState(0)
    X, y = rng.rand(60, 5), np.array(list("zyx"))[np.arange(60) % 3]
    clf = XRLinearClassifier(warm_start=True).fit(X, y)
    y[:9] = "a"
    assert clf.fit(X, y).classes_.tolist() == ["x", "y", "z", "a"]
    assert clf.predict_proba(X).shape == (60, 4)
