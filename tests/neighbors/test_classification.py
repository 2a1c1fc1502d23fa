"""Exact sparse neighbours against brute force, and their votes against counting."""

import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from sklearn_xmr import (
    XMRClassifier,
    XRLabelVectorsClassifier,
    XRNeighborsClassifier,
)
from sklearn_xmr.neighbors._inverted_index import InvertedIndex
from sklearn_xmr.neighbors._votes import nearest_with_label


def brute_force(X, queries, k):
    """Largest positive products and their rows, ties by the smaller row."""
    products = (queries @ X.T).toarray()
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(products, order, axis=1)
    return np.where(best > 0, best, 0), np.where(best > 0, order, -1)


@given(
    n_rows=st.integers(1, 70),
    n_features=st.integers(1, 30),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    k=st.integers(1, 80),
    seed=st.integers(0, 2**31),
)
def test_index_equals_brute_force(n_rows, n_features, density, k, seed):
    rng = np.random.RandomState(seed)
    # Small whole numbers: products are exact, so that ties are ties.
    X, queries = (
        sparse.random(
            rows,
            n_features,
            density,
            "csr",
            np.float32,
            rng,
            data_rvs=lambda n: rng.randint(-2, 4, n).astype(np.float32),
        )
        for rows in (n_rows, 9)
    )
    products, neighbors = InvertedIndex(X).search(queries, k)
    expected = brute_force(X, queries, k)
    np.testing.assert_array_equal(products, expected[0])
    np.testing.assert_array_equal(neighbors, expected[1])


def test_rows_in_several_segments(global_random_seed):
    """More rows than a segment of 65,536 holds; ties across its border."""
    rng = np.random.RandomState(global_random_seed)
    X = sparse.random(140_000, 20, 0.1, "csr", np.float32, rng)
    X.data[:] = 1
    queries = X[[0, 65_535, 65_536, 139_999]]
    got = InvertedIndex(X).search(queries, 300)
    expected = brute_force(X, queries, 300)
    np.testing.assert_array_equal(got[1], expected[1])


def test_kneighbors_equals_scikit_learn(small):
    X, Y = small
    cosines, neighbors = XRNeighborsClassifier(7).fit(X[:500], Y[:500]).kneighbors(X)
    reference = NearestNeighbors(n_neighbors=7, metric="cosine").fit(X[:500])
    distances, expected = reference.kneighbors(X)
    np.testing.assert_allclose(cosines, 1 - distances, atol=1e-5)
    assert (neighbors == expected).mean() > 0.99  # ties


@pytest.mark.parametrize("power", [0, 1, 2.5])
def test_votes_are_counted(power, small):
    X, Y = small
    clf = XRNeighborsClassifier(5, power=power).fit(X[:400], Y[:400])
    labels, scores = clf.predict_topk(X[400:450], k=60)
    cosines, neighbors = clf.kneighbors(X[400:450])
    for i in range(50):
        votes = np.zeros(60)
        for s, row in zip(cosines[i], neighbors[i], strict=True):
            votes += s**power * Y[row].toarray().ravel()
        votes /= (cosines[i] ** power).sum()
        kept = labels[i] >= 0
        assert set(labels[i][kept]) == set(np.flatnonzero(votes))
        np.testing.assert_allclose(scores[i][kept], votes[labels[i][kept]], rtol=1e-4)
        assert (np.diff(scores[i]) <= 0).all()


def test_scale_of_rows_and_threads_do_not_matter(small):
    X, Y = small
    one = XRNeighborsClassifier().fit(X, Y).predict_topk(X)
    with threadpool_limits(1, user_api="openmp"):
        two = XRNeighborsClassifier().fit(4 * X, Y).predict_topk(0.5 * X)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_instances_without_neighbours():
    X, Y = sparse.eye(3, 5, format="csr"), sparse.eye(3, format="csr")
    clf = XRNeighborsClassifier().fit(X, Y)
    strange = sparse.csr_matrix(([1.0], ([0], [4])), shape=(1, 5))
    labels, scores = clf.predict_topk(strange, k=2)
    assert labels.tolist() == [[-1, -1]] and scores.tolist() == [[0, 0]]
    assert clf.predict_proba(strange).nnz == 0
    classes = XRNeighborsClassifier().fit(X, ["a", "b", "b"])
    assert classes.predict(strange).tolist() == ["b"]  # the most frequent


# --- weights, given pairs, parameters that act without a refit ---------------------


@pytest.mark.parametrize("one_class", [False, True])
def test_whole_weights_equal_repeated_rows(one_class, random_problem):
    """Where every training instance of positive cosine votes."""
    X, Y = random_problem
    y = np.asarray(Y.argmax(axis=1)).ravel() if one_class else Y
    weight = np.random.RandomState(0).randint(0, 4, size=200)
    repeated = np.repeat(np.arange(200), weight)
    clf = XRNeighborsClassifier(1000, power=1.5, top_k=7)
    got = clf.fit(X, y, sample_weight=weight).predict_proba(X)
    want = clf.fit(X[repeated], y[repeated]).predict_proba(X)
    if not one_class:
        got, want = got.toarray(), want.toarray()
    np.testing.assert_allclose(got, want, atol=1e-5)
    plain = clf.fit(X, y).predict_proba(X)
    assert np.abs((plain if one_class else plain.toarray()) - got).max() > 0.05


def test_rows_of_weight_zero_are_nobodys_neighbours(small):
    X, Y = small
    kept = np.flatnonzero(np.arange(600) % 3)
    clf = XRNeighborsClassifier(5).fit(X, Y, sample_weight=np.arange(600) % 3 > 0)
    cosines, neighbors = clf.kneighbors(X)
    fewer = XRNeighborsClassifier(5).fit(X[kept], Y[kept])
    expected = fewer.kneighbors(X)
    np.testing.assert_array_equal(cosines, expected[0])
    np.testing.assert_array_equal(neighbors, kept[expected[1]])
    np.testing.assert_array_equal(clf.predict_topk(X)[1], fewer.predict_topk(X)[1])


def test_votes_and_how_near_the_voters_are(small):
    X, Y = small
    clf = XRNeighborsClassifier(20).fit(X[:400], Y[:400])
    votes, cosines, of_labels = clf.votes(X, n_nearest=3)
    assert (votes != clf.votes(X)).nnz == 0 and votes.has_canonical_format
    expected = clf.kneighbors(X, 3)
    np.testing.assert_array_equal(cosines, expected[0])
    assert (of_labels != nearest_with_label(*expected, clf.targets_)).nnz == 0
    labels, scores = clf.predict_topk(X, k=60)
    dense = votes.toarray()
    found = labels >= 0
    assert found.sum() == votes.nnz
    np.testing.assert_array_equal(
        np.take_along_axis(dense, labels, axis=1)[found], scores[found]
    )


@pytest.mark.parametrize(
    "clf",
    [
        XRNeighborsClassifier(9),
        XRLabelVectorsClassifier(),
        XRLabelVectorsClassifier(np.random.RandomState(0).rand(60, 400)),
    ],
)
@pytest.mark.parametrize("one_class", [False, True])
def test_given_pairs_have_the_scores_of_the_ranking(clf, one_class, small):
    X, Y = small
    y = np.asarray(Y.argmax(axis=1)).ravel() if one_class else Y
    if one_class and not isinstance(clf.get_params().get("vectors", ""), str):
        y = np.arange(600) % 60
    clf.fit(X, y)
    clf._block_rows = 97
    labels, scores = clf.predict_topk(X, k=clf.n_labels_)
    all_scores = clf.score_pairs(X, np.arange(clf.n_labels_))
    assert all_scores.nnz == 600 * clf.n_labels_ and all_scores.dtype == np.float32
    found = np.take_along_axis(all_scores.toarray(), labels, axis=1)
    np.testing.assert_allclose(found[labels >= 0], scores[labels >= 0], atol=1e-6)
    assert not np.delete(all_scores.toarray()[0], labels[0][labels[0] >= 0]).any()
    ranked = clf.predict_topk(X, k=2, candidates=[3, 5, 7])
    order = np.sort(all_scores.toarray()[:, [3, 5, 7]], axis=1)[:, ::-1][:, :2]
    np.testing.assert_array_equal(ranked[1], order)
    assert np.isin(ranked[0], [3, 5, 7]).all()
    with pytest.raises(ValueError, match="candidates must have shape"):
        clf.score_pairs(X, sparse.eye(3, format="csr"))


@pytest.mark.parametrize(
    ("clf", "name", "value"),
    [
        (XRNeighborsClassifier(), "n_neighbors", 0),
        (XRNeighborsClassifier(), "power", -1.0),
        (XRNeighborsClassifier(), "search_breadth", 0),
        (XRNeighborsClassifier(), "top_k", -1),
        (XRNeighborsClassifier(), "decision_threshold", 2),
        (XRLabelVectorsClassifier(), "search_breadth", 0),
        (XRLabelVectorsClassifier(), "top_k", 0),
    ],
)
def test_parameters_are_checked_where_they_act(clf, name, value, small):
    X, Y = small
    clf.fit(X, Y).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        clf.predict_topk(X)
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        clf.score_pairs(X, [0])


def test_more_neighbours_than_instances(small):
    X, Y = small
    clf = XRNeighborsClassifier(2**63).fit(X[:50], Y[:50])
    many = clf.predict_topk(X)
    assert clf.kneighbors(X)[0].shape == (600, 50)
    np.testing.assert_array_equal(
        many[1], clf.set_params(n_neighbors=50).predict_topk(X)[1]
    )
    with pytest.raises(ValueError, match="n_neighbors must be an integer"):
        clf.kneighbors(X, 0)


@pytest.mark.parametrize("clf", [XRNeighborsClassifier(7), XRLabelVectorsClassifier()])
def test_a_fit_that_fails_changes_nothing(clf, small):
    pytest.importorskip("faiss")
    X, Y = small
    before = clf.fit(X, Y).predict_topk(X)
    with pytest.raises(ValueError, match="features"):
        clf.set_params(algorithm="hnsw").fit(sparse.eye(9, 5000, format="csr"), Y[:9])
    after = clf.predict_topk(X)
    np.testing.assert_array_equal(before[1], after[1])


# --- labels instead of instances, and approximate search ---------------------------


def test_nearest_labels_are_nearest_means(small):
    X, Y = small
    clf = XRLabelVectorsClassifier().fit(X[:500], Y[:500])
    labels, cosines = clf.predict_topk(X[500:], k=5)
    means = normalize(normalize(Y[:500]).T @ normalize(X[:500])).toarray()
    want = normalize(X[500:]).toarray() @ means.T
    np.testing.assert_allclose(cosines, -np.sort(-want, axis=1)[:, :5], rtol=1e-4)
    np.testing.assert_allclose(
        np.take_along_axis(want, labels, axis=1), cosines, rtol=1e-4
    )


def test_own_vectors_of_labels(small, global_random_seed):
    X, Y = small
    vectors = np.random.RandomState(global_random_seed).randn(60, 400)
    for form in (vectors, sparse.csr_matrix(vectors)):
        clf = XRLabelVectorsClassifier(form).fit(X, Y)
        labels, cosines = clf.predict_topk(X[:50], k=5)
        want = normalize(X[:50]) @ normalize(vectors).T
        np.testing.assert_allclose(cosines, -np.sort(-want, axis=1)[:, :5], rtol=1e-4)
        np.testing.assert_allclose(
            np.take_along_axis(want, labels, axis=1), cosines, rtol=1e-4
        )
    with pytest.raises(ValueError, match="row for each of the 60 labels"):
        XRLabelVectorsClassifier(vectors[:5]).fit(X, Y)


@pytest.fixture(scope="module")
def embedded(small):
    """Dense unit vectors of 32 dimensions."""
    X, Y = small
    return normalize(TruncatedSVD(32, random_state=0).fit_transform(X)), Y


def assert_nearly_all_found(exact, graph):
    """Rows of the ten best and their cosines, cosines first."""
    (c0, n0), (c1, n1) = exact, graph
    common = [len(np.intersect1d(a, b)) for a, b in zip(n0, n1, strict=True)]
    assert np.mean(common) > 9.8
    np.testing.assert_allclose(c1[:, 0], c0[:, 0], rtol=1e-3)


def test_graph_search_finds_nearly_all_instances(embedded):
    pytest.importorskip("faiss")
    X, Y = embedded
    exact = XRNeighborsClassifier(20).fit(X[:500], Y[:500])
    graph = XRNeighborsClassifier(20, algorithm="hnsw").fit(X[:500], Y[:500])
    assert_nearly_all_found(*(clf.kneighbors(X[500:], 10) for clf in (exact, graph)))
    again = pickle.loads(pickle.dumps(graph))
    for one, two in zip(again.kneighbors(X[:9]), graph.kneighbors(X[:9]), strict=True):
        np.testing.assert_array_equal(one, two)


def test_graph_search_finds_nearly_all_labels(embedded):
    pytest.importorskip("faiss")
    X, Y = embedded
    exact = XRLabelVectorsClassifier().fit(X[:500], Y[:500])
    graph = XRLabelVectorsClassifier(algorithm="hnsw").fit(X[:500], Y[:500])
    found = [clf.predict_topk(X[500:], 10)[::-1] for clf in (exact, graph)]
    assert_nearly_all_found(*found)
    again = pickle.loads(pickle.dumps(graph)).predict_topk(X[:9])
    np.testing.assert_array_equal(again[0], graph.predict_topk(X[:9])[0])


class SpiedIndex:
    """Remembers how broadly it was searched."""

    def __init__(self, index):
        self.index, self.breadths = index, []

    def search(self, queries, k, breadth):
        self.breadths.append(breadth)
        return self.index.search(queries, k, breadth)


@pytest.mark.parametrize("kind", [XRNeighborsClassifier, XRLabelVectorsClassifier])
def test_breadth_of_the_graph_search_acts_without_a_refit(kind, embedded):
    pytest.importorskip("faiss")
    X, Y = embedded
    clf = kind(algorithm="hnsw").fit(X, Y)
    clf.index_ = SpiedIndex(clf.index_)
    for breadth in (1, 99, 2**63):
        clf.set_params(search_breadth=breadth).predict_topk(X)
    assert clf.index_.breadths == [1, 99, 2**63]


def test_graph_matcher_of_groups(embedded):
    pytest.importorskip("faiss")
    X, Y = embedded
    matcher = XRNeighborsClassifier(20, algorithm="hnsw")
    clf = XMRClassifier(matcher=matcher, beam_size=3, random_state=0)
    assert clf.fit(X[:500], Y[:500]).score(X[500:], Y[500:]) > 0.4


def test_graph_search_is_for_dense_vectors(monkeypatch):
    pytest.importorskip("faiss")
    X, Y = sparse.eye(5, 5000, format="csr"), np.eye(5, dtype=int)
    with pytest.raises(ValueError, match="TruncatedSVD"):
        XRNeighborsClassifier(algorithm="hnsw").fit(X, Y)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"sklearn-xmr\[ann\]"):
        XRNeighborsClassifier(algorithm="hnsw").fit(np.eye(5), Y)
