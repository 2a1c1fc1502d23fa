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

from sklearn_xmr import XMRClassifier, XRNeighborsClassifier
from sklearn_xmr.compose._neighbors import InvertedIndex


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


# --- labels instead of instances, and approximate search ---------------------------


def test_nearest_labels_are_nearest_means(small):
    X, Y = small
    clf = XRNeighborsClassifier(neighbors="labels").fit(X[:500], Y[:500])
    labels, cosines = clf.predict_topk(X[500:], k=5)
    means = normalize(normalize(Y[:500]).T @ normalize(X[:500])).toarray()
    want = normalize(X[500:]).toarray() @ means.T
    np.testing.assert_allclose(cosines, -np.sort(-want, axis=1)[:, :5], rtol=1e-4)
    np.testing.assert_allclose(
        np.take_along_axis(want, labels, axis=1), cosines, rtol=1e-4
    )


@pytest.fixture(scope="module")
def embedded(small):
    """Dense unit vectors of 32 dimensions."""
    X, Y = small
    return normalize(TruncatedSVD(32, random_state=0).fit_transform(X)), Y


@pytest.mark.parametrize("neighbors", ["instances", "labels"])
def test_graph_search_finds_nearly_all(neighbors, embedded):
    X, Y = embedded
    exact = XRNeighborsClassifier(20, neighbors=neighbors).fit(X[:500], Y[:500])
    graph = XRNeighborsClassifier(20, neighbors=neighbors, algorithm="hnsw")
    graph.fit(X[:500], Y[:500])
    (c0, n0), (c1, n1) = (clf.kneighbors(X[500:], 10) for clf in (exact, graph))
    common = [len(np.intersect1d(a, b)) for a, b in zip(n0, n1, strict=True)]
    assert np.mean(common) > 9.8
    np.testing.assert_allclose(c1[:, 0], c0[:, 0], rtol=1e-3)
    again = pickle.loads(pickle.dumps(graph))
    for one, two in zip(again.kneighbors(X[:9]), graph.kneighbors(X[:9]), strict=True):
        np.testing.assert_array_equal(one, two)


def test_graph_matcher_of_groups(embedded):
    X, Y = embedded
    matcher = XRNeighborsClassifier(20, algorithm="hnsw")
    clf = XMRClassifier(matcher=matcher, n_groups=3, random_state=0)
    assert clf.fit(X[:500], Y[:500]).score(X[500:], Y[500:]) > 0.4


def test_graph_search_is_for_dense_vectors(monkeypatch):
    X, Y = sparse.eye(5, 5000, format="csr"), np.eye(5, dtype=int)
    with pytest.raises(ValueError, match="TruncatedSVD"):
        XRNeighborsClassifier(algorithm="hnsw").fit(X, Y)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"sklearn-xmr\[ann\]"):
        XRNeighborsClassifier(algorithm="hnsw").fit(np.eye(5), Y)
