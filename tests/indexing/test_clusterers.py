"""Label representations and the clusterer, against slow obvious versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelTree,
    RecursiveLabelClusterer,
    XRLinearClassifier,
    label_representation,
)
from sklearn_xmr.indexing import LabelClustererMixin
from sklearn_xmr.indexing._balanced_kmeans import Splitter
from sklearn_xmr.indexing._representation import pifa


def test_pifa_equals_numpy(small):
    X, Y = small
    expected = normalize(normalize(Y).T.toarray() @ X.toarray())
    got = label_representation(X, Y)
    np.testing.assert_allclose(got.toarray(), expected, atol=1e-6)
    assert got.has_sorted_indices
    np.testing.assert_allclose(
        label_representation(X.toarray(), Y), expected, atol=1e-6
    )


def test_pifa_of_few_features_keeps_the_largest(small):
    X, Y = small
    full = label_representation(X, Y).toarray()
    got = pifa(X, Y, 5).toarray()
    assert (np.count_nonzero(got, axis=1) == np.minimum((full != 0).sum(1), 5)).all()
    np.testing.assert_array_equal(got[got != 0], full[got != 0])
    smallest_kept = np.where(got != 0, np.abs(got), np.inf).min(axis=1)
    largest_dropped = np.where(got == 0, np.abs(full), 0).max(axis=1)
    assert (smallest_kept >= largest_dropped).all()


def test_pii_equals_numpy(small):
    X, Y = small
    expected = normalize(Y.T.toarray())
    np.testing.assert_allclose(
        label_representation(X, Y, "pii").toarray(), expected, atol=1e-6
    )


def test_label_features_beside_and_mixed_with_pifa(small, global_random_seed):
    X, Y = small
    rng = np.random.RandomState(global_random_seed)
    features = sparse.random(60, 400, 0.1, "csr", np.float32, rng)
    instances = normalize(normalize(Y).T.toarray() @ X.toarray())
    own = normalize(features.toarray())
    for method, expected in {
        "lf": own,
        "pifa+lf": np.hstack([0.8**0.5 * instances, 0.2**0.5 * own]),
        "pifa_lf_convex": normalize(0.8 * instances + 0.2 * own),
    }.items():
        got = label_representation(
            X, Y, method, label_features=features, feature_share=0.2
        )
        assert got.dtype == np.float32
        np.testing.assert_allclose(got.toarray(), expected, atol=1e-5)


def test_spectral_equals_the_singular_vectors(small):
    X, Y = small
    links = Y.T.toarray()
    left, right = links.sum(axis=1), links.sum(axis=0)
    scaled = links / np.sqrt(np.outer(left, np.maximum(right, 1)))
    U = np.linalg.svd(scaled)[0][:, 1:5]
    expected = normalize(U / np.sqrt(left)[:, None])
    got = label_representation(X, Y, "spectral", n_components=4)
    # Signs are free; distances between labels are not.
    np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-3)


def test_spectral_of_a_graph_finds_its_parts():
    """Two cliques with one edge between them: the sign of the only column."""
    graph = np.zeros((8, 8))
    graph[:4, :4] = graph[4:, 4:] = 1
    graph[0, 7] = graph[7, 0] = 1
    np.fill_diagonal(graph, 0)
    side = label_representation(
        np.eye(8), np.eye(8), "label_graph", label_features=graph, n_components=1
    )
    assert len(set(np.sign(side[:4, 0]))) == len(set(np.sign(side[4:, 0]))) == 1
    assert side[0, 0] * side[7, 0] < 0


@pytest.mark.parametrize("method", ["lf", "pifa+lf", "spectral", "label_graph"])
def test_clusterer_takes_every_representation(method, small):
    X, Y = small
    features = None if method == "spectral" else (Y.T @ Y)
    clusterer = HierarchicalLabelClusterer(
        method, label_features=features, max_leaf_size=10, random_state=0
    ).fit(X, Y)
    assert clusterer.n_clusters_ == 6


def test_own_vectors_own_function_and_fit_of_vectors_agree(small):
    X, Y = small
    vectors = label_representation(X, Y)
    own = HierarchicalLabelClusterer(vectors, max_leaf_size=9, random_state=0)
    by_function = HierarchicalLabelClusterer(
        label_representation, max_leaf_size=9, random_state=0
    )
    expected = HierarchicalLabelClusterer(max_leaf_size=9, random_state=0).fit(vectors)
    assert own.fit(X, Y).tree_ == expected.tree_
    assert by_function.fit(X, Y).tree_ == expected.tree_


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lf"}, "label_features must be given"),
        ({"method": "lf", "label_features": np.ones((3, 2))}, "each of the 60 labels"),
        (
            {"method": "pifa_lf_convex", "label_features": np.ones((60, 2))},
            "must have the columns of X",
        ),
        (
            {"method": "label_graph", "label_features": np.ones((60, 2))},
            "square adjacency",
        ),
        (
            {"method": "label_graph", "label_features": np.tri(60)},
            "label_features must be symmetric",
        ),
        (
            {"method": "label_graph", "label_features": -np.ones((60, 60))},
            "label_features must not be negative",
        ),
        ({"feature_share": 2}, "feature_share"),
        ({"method": "spectral", "n_components": 0}, "n_components must be an integer"),
    ],
)
def test_bad_label_features(arguments, message, small):
    with pytest.raises(ValueError, match=message):
        label_representation(*small, **arguments)


def test_unknown_method_is_refused(small):
    with pytest.raises(ValueError, match="method must be one of"):
        label_representation(*small, method="pfia")


def slow_split(E, n_left, max_iter, spherical, seed):
    """Balanced 2-means as the paper has it, all sums made anew."""
    n = len(E)
    right, left = seed % n, (seed >> 32) % (n - 1)
    left += left >= right
    direction, side = E[right] - E[left], None
    for _ in range(max_iter):
        order = np.lexsort((np.arange(n), E @ direction))
        now = np.ones(n, dtype=bool)
        now[order[:n_left]] = False
        if side is not None and (now == side).all():
            break
        side = now
        centers = E[side].sum(axis=0), E[~side].sum(axis=0)
        if spherical:
            centers = [c / (np.linalg.norm(c) or 1) for c in centers]
        else:
            centers = centers[0] / side.sum(), centers[1] / n_left
        direction = centers[0] - centers[1]
    return side


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("n_left", [1, 10, 17])
def test_split_equals_slow_version(spherical, n_left, global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    E = sparse.random(31, 50, 0.2, format="csr", random_state=rng, dtype=np.float32)
    E = normalize(E)
    for seed in rng.randint(2**62, size=10, dtype=np.int64):
        items = np.arange(31, dtype=np.int32)
        splitter = Splitter(
            E.indptr.astype(np.int64),
            E.indices.astype(np.int32),
            E.data,
            E.shape[1],
            1,
        )
        seeds = np.array([seed], dtype=np.uint64)
        splitter.split(items, np.array([[0, 31, n_left]]), seeds, 50, spherical)
        side = slow_split(E.toarray().astype(float), n_left, 50, spherical, int(seed))
        np.testing.assert_array_equal(items[:n_left], np.flatnonzero(~side))


@given(
    n_labels=st.integers(1, 60),
    branching_factor=st.integers(2, 256),
    max_leaf_size=st.integers(1, 70),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_any_shape_gives_a_balanced_tree(
    n_labels, branching_factor, max_leaf_size, seed
):
    rng = np.random.RandomState(seed)
    E = sparse.random(n_labels, 30, 0.2, format="csr", random_state=rng)
    clusterer = HierarchicalLabelClusterer(
        branching_factor=branching_factor,
        max_leaf_size=max_leaf_size,
        random_state=seed,
    )
    tree = clusterer.fit(E).tree_
    sizes = np.diff(tree.offsets[-1])
    assert tree.n_labels == n_labels
    assert sizes.max() <= max_leaf_size and np.ptp(sizes) <= 1
    for offsets in tree.offsets[:-1]:
        assert np.diff(offsets).max() <= branching_factor
    leaves = -(-n_labels // max_leaf_size)
    assert tree.n_clusters == leaves
    for max_depth in (1, 2, tree.n_levels):
        assert_limited(tree, clusterer.set_params(max_depth=max_depth), E)
    np.testing.assert_array_equal(np.unique(clusterer.labels_), np.arange(leaves))


def assert_limited(free, clusterer, E):
    """The tree has few levels, the same leaves, and is no wider than needs be."""
    max_depth, tree = clusterer.max_depth, clone(clusterer).fit(E).tree_
    n_above = tree.n_levels - 1
    assert n_above <= max_depth
    if free.n_levels - 1 <= max_depth:
        assert tree == free
        return
    np.testing.assert_array_equal(np.diff(tree.offsets[-1]), np.diff(free.offsets[-1]))
    widest = max(np.diff(offsets).max() for offsets in tree.offsets[:-1])
    assert (widest - 1) ** max_depth < tree.n_clusters <= widest**max_depth


def test_hidden_topics_are_found():
    """Twelve groups of labels with words of their own come back as the leaves."""
    rng = np.random.RandomState(0)
    topic = rng.permutation(np.repeat(np.arange(12), 10))
    E = sparse.csr_matrix(
        rng.rand(120, 12 * 5) * np.kron(np.eye(12)[topic], np.ones(5))
    )
    for method in ("skmeans", "kmeans"):
        clusterer = HierarchicalLabelClusterer(
            method=method, max_leaf_size=10, random_state=0
        ).fit(E)
        purity = [
            np.bincount(topic[clusterer.labels_ == leaf]).max() for leaf in range(12)
        ]
        assert np.mean(purity) > 8


def test_labels_without_positives_are_dealt_evenly(small):
    X, Y = small
    Y = Y.tolil()
    Y[:, ::3] = 0
    Y = Y.tocsr()
    clusterer = HierarchicalLabelClusterer(max_leaf_size=7, random_state=0).fit(X, Y)
    empty = np.flatnonzero(np.asarray(Y.sum(axis=0)).ravel() == 0)
    share = np.bincount(clusterer.labels_[empty], minlength=clusterer.n_clusters_)
    assert np.ptp(share) <= 1
    assert (np.diff(clusterer.labels_[empty]) >= 0).all()  # by number
    only_empty = HierarchicalLabelClusterer(max_leaf_size=4).fit(X, Y * 0)
    np.testing.assert_array_equal(only_empty.tree_.label_order, np.arange(60))


def test_transform_counts_labels_per_cluster(small):
    X, Y = small
    clusterer = HierarchicalLabelClusterer(max_leaf_size=7, random_state=0)
    got = clusterer.fit_transform(X, Y)
    expected = Y.toarray() @ np.eye(clusterer.n_clusters_)[clusterer.labels_]
    assert sparse.issparse(got)
    np.testing.assert_array_equal(got.toarray(), expected)
    np.testing.assert_array_equal(clusterer.transform(Y.toarray()), expected)
    with pytest.raises(ValueError, match="X must have a column per label, 60"):
        clusterer.transform(Y[:, :5])


def test_same_seed_same_tree_other_seed_other_tree(small):
    X, Y = small
    trees = [
        HierarchicalLabelClusterer(max_leaf_size=7, random_state=seed).fit(X, Y).tree_
        for seed in (0, 0, 1)
    ]
    assert trees[0] == trees[1] != trees[2]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"branching_factor": 1}, "branching_factor .* max_depth=1 .* LabelTree.flat"),
        ({"branching_factor": 257}, "branching_factor"),
        ({"max_leaf_size": 0}, "max_leaf_size"),
        ({"max_depth": 0}, "max_depth"),
        ({"method": "means"}, "method"),
        ({"representation": "pfia"}, "representation"),
    ],
)
def test_bad_parameters(parameters, message, small):
    with pytest.raises(ValueError, match=message):
        HierarchicalLabelClusterer(**parameters).fit(*small)


# --- what all clusterers share ------------------------------------------------------

CLUSTERERS = [
    HierarchicalLabelClusterer(max_leaf_size=7, random_state=0),
    RecursiveLabelClusterer(KMeans(4, n_init=1), max_leaf_size=20, random_state=0),
]
each_clusterer = pytest.mark.parametrize("clusterer", CLUSTERERS)


@each_clusterer
def test_failed_fits_change_nothing(clusterer, small):
    X, Y = small
    clusterer = clone(clusterer)
    with pytest.raises(ValueError, match="Y must hold only 0 and 1"):
        clusterer.fit(X, 2 * Y)
    with pytest.raises(NotFittedError):
        clusterer.transform(Y)
    clusterer.fit(X, Y)
    before = dict(vars(clusterer))
    wide = sparse.csr_matrix((X.shape[0], 7), dtype=np.float32)
    for bad in ((wide, 2 * Y), (X[:5], Y), (X * np.nan, Y)):
        with pytest.raises(ValueError, match="Y must hold|inconsistent|NaN"):
            clusterer.fit(*bad)
        assert vars(clusterer) == before
    clusterer.set_params(max_leaf_size=0)
    with pytest.raises(ValueError, match="max_leaf_size"):
        clusterer.fit(X, Y)
    assert vars(clusterer) == {**before, "max_leaf_size": 0}


@each_clusterer
def test_nothing_is_left_of_the_fit_before(clusterer, small):
    X, Y = small
    clusterer = clone(clusterer).fit(label_representation(X, Y))
    assert hasattr(clusterer, "cluster_centers_")
    assert not hasattr(clusterer.fit(X, Y), "cluster_centers_")


@each_clusterer
def test_fit_predict_knows_the_labels(clusterer, small):
    X, Y = small
    labels = clone(clusterer).fit(X, Y).labels_
    np.testing.assert_array_equal(clone(clusterer).fit_predict(X, Y), labels)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"representation": "pii"}, "representation"),
        ({"representation": label_representation}, "representation"),
        ({"representation": np.ones((5, 3))}, "representation"),
        ({"label_features": np.ones((5, 3))}, "label_features"),
    ],
)
@each_clusterer
def test_no_setting_is_ignored(clusterer, parameters, name):
    clusterer = clone(clusterer).set_params(**parameters)
    for y in (None, [0, 1, 0, 1, 0]):
        with pytest.raises(ValueError, match=f"^{name} acts where fit gets"):
            clusterer.fit(np.eye(5), y)


@each_clusterer
def test_own_vectors_are_checked_under_their_name(clusterer, small):
    for bad in (np.ones((3, 2)), lambda X, Y: np.ones((3, 2))):
        with pytest.raises(ValueError, match="representation must have a row for each"):
            clone(clusterer).set_params(representation=bad).fit(*small)


@each_clusterer
def test_tables_on_request(clusterer, small):
    pandas = pytest.importorskip("pandas")
    X, Y = small
    clusterer = clone(clusterer).set_output(transform="pandas").fit(X, Y)
    table = clusterer.transform(Y)
    assert isinstance(table, pandas.DataFrame)
    assert list(table) == list(clusterer.get_feature_names_out())
    np.testing.assert_array_equal(table.sum(axis=1), np.diff(Y.indptr))


class InTwo(LabelClustererMixin, BaseEstimator):
    """Labels by whether their number is even; keeps the vectors that it saw."""

    def _grow(self, vectors):
        self.vectors_ = vectors
        return LabelTree.from_labels(np.arange(vectors.shape[0]) % 2)


class InTwoOf(InTwo):
    """The same, with the parameters of the others."""

    def __init__(self, representation="pifa", label_features=None, random_state=None):
        self.representation = representation
        self.label_features = label_features
        self.random_state = random_state


def test_own_clusterers(small):
    X, Y = small
    clusterer = InTwo().fit(X, Y)
    np.testing.assert_array_equal(clusterer.labels_, np.arange(60) % 2)
    expected = label_representation(X, Y)
    np.testing.assert_allclose(clusterer.vectors_.toarray(), expected.toarray())
    own = InTwoOf("lf", Y.T @ Y).fit(X, Y)
    expected = normalize((Y.T @ Y).astype(np.float32))
    np.testing.assert_allclose(own.vectors_.toarray(), expected.toarray(), rtol=1e-6)
    assert own.transform(Y).shape == (600, 2)
    assert XRLinearClassifier(InTwo(), random_state=0).fit(X, Y).tree_ == own.tree_
    with pytest.raises(ValueError, match="representation"):
        InTwoOf("pfia").fit(X, Y)

    class Nothing(LabelClustererMixin, BaseEstimator):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must implement _grow"):
        Nothing().fit(X, Y)


# --- any clusterer, level by level -------------------------------------------------


class ByDigit(ClusterMixin, BaseEstimator):
    """Clusters of rows by the digits of their first value, the first that differs."""

    def fit(self, X, y=None):
        numbers = np.rint(X.toarray()[:, 0]).astype(int)
        for power in (100, 10, 1):
            self.labels_ = numbers // power
            if len(np.unique(self.labels_)) > 1:
                break
        return self


def test_levels_are_clusters_of_clusters():
    numbers = np.array([111, 112, 121, 211, 212, 213, 311, 0, 214])
    clusterer = RecursiveLabelClusterer(ByDigit(), max_leaf_size=1, max_depth=3)
    tree = clusterer._grow(sparse.csr_matrix(numbers[:, None].astype(np.float32)))
    # Label 7 has no vector: it is dealt to the first leaf, with label 0.
    assert tree.n_levels == 4
    names = [str(number) for number in numbers]
    for level, digits in enumerate((1, 2, 3)):
        for node in range(tree.level_sizes[level]):
            under = [
                names[i][:digits] for i in tree.labels_under(level, node) if i != 7
            ]
            assert len(set(under)) == 1
    assert tree.cluster_of_label[7] == tree.cluster_of_label[0]
    assert RecursiveLabelClusterer(ByDigit(), max_leaf_size=3, max_depth=3)._grow(
        sparse.csr_matrix(numbers[:, None].astype(np.float32))
    ).level_sizes == [3, 6, 9]


@pytest.mark.parametrize(
    "clusterer",
    [
        None,
        KMeans(5, n_init=1),
        make_pipeline(TruncatedSVD(8), AgglomerativeClustering(6)),
    ],
)
def test_any_clusterer_makes_a_tree(clusterer, small):
    X, Y = small
    tree = RecursiveLabelClusterer(clusterer, max_leaf_size=9, random_state=0)
    clf = XRLinearClassifier(tree, random_state=0).fit(X, Y)
    assert clf.tree_.n_labels == 60 and clf.tree_.n_levels > 1
    assert clf.score(X, Y) > 0.7
    again = XRLinearClassifier(tree, random_state=0).fit(X, Y)
    assert again.tree_ == clf.tree_


def test_leaves_respect_size_or_depth(small):
    X, Y = small
    deep = RecursiveLabelClusterer(KMeans(2, n_init=1), max_leaf_size=7, max_depth=30)
    deep.fit(X, Y)
    assert np.bincount(deep.labels_).max() <= 7
    flat = RecursiveLabelClusterer(KMeans(2, n_init=1), max_leaf_size=7, max_depth=1)
    assert flat.fit(X, Y).n_clusters_ == 2
