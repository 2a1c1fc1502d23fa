"""XRLinearClassifier against liblinear, exhaustive scoring and itself."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_oracle import EXACT, coefficients, liblinear
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelTree,
    XRLinearClassifier,
    make_topk_scorer,
    predict_topk,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear import PostProcessor, TreeModel
from sklearn_xmr.linear._search._tree_search import TreeSearch
from sklearn_xmr.linear._weights._chunked_weights import ChunkedWeights, Entries
from sklearn_xmr.metrics import ndcg_at_k, precision_at_k

# --- training -------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize(("C", "bias"), [(1.0, 1.0), (0.1, 0.5), (2.0, 0.0)])
def test_flat_tree_equals_one_vs_rest(loss, C, bias, random_problem):
    X, Y = random_problem
    clf = XRLinearClassifier(LabelTree.flat(7), C=C, loss=loss, bias=bias, **EXACT)
    got = coefficients(clf.fit(X, Y), 0)
    for label in range(7):
        y = Y[:, [label]].toarray().ravel()
        expected = liblinear(X, y, loss, C, bias)
        np.testing.assert_allclose(got[label], expected, atol=3e-4)


@pytest.mark.parametrize("n_labels", [1, 8, 9, 17, 25, 40, 70])
def test_every_block_width(n_labels, global_random_seed):
    """Blocks of 8 to 32 lanes and their remainders give the same solutions."""
    rng = np.random.RandomState(global_random_seed)
    X = sparse.random(120, 30, 0.3, format="csr", random_state=rng, dtype=np.float32)
    Y = sparse.csr_matrix((rng.rand(120, n_labels) < 0.3).astype(int))
    clf = XRLinearClassifier(LabelTree.flat(n_labels), **EXACT).fit(X, Y)
    got = coefficients(clf, 0)
    for label in range(n_labels):
        expected = liblinear(X, Y[:, [label]].toarray().ravel(), "squared_hinge")
        np.testing.assert_allclose(got[label], expected, atol=2e-4)


def test_teacher_forcing_trains_on_the_rows_of_the_parent(random_problem):
    X, Y = random_problem
    tree = LabelTree.from_labels([0, 1, 1, 0, 2, 2, 2])
    clf = XRLinearClassifier(tree, negative_sampling="tfn", **EXACT).fit(X, Y)
    top = Y @ np.eye(3)[tree.cluster_of_label] > 0
    for cluster in range(3):
        expected = liblinear(X, top[:, cluster], "squared_hinge")
        np.testing.assert_allclose(coefficients(clf, 0)[cluster], expected, atol=2e-4)
    for place, label in enumerate(tree.label_order):
        rows = np.flatnonzero(top[:, tree.cluster_of_label[label]])
        y = Y[rows][:, [label]].toarray().ravel()
        expected = liblinear(X[rows], y, "squared_hinge")
        np.testing.assert_allclose(coefficients(clf, 1)[place], expected, atol=2e-4)


@pytest.mark.parametrize("sampling", ["man", "tfn+man"])
def test_matcher_aware_negatives(sampling, random_problem):
    X, Y = random_problem
    tree = LabelTree.from_labels([0, 1, 1, 0, 2, 2, 2])
    clf = XRLinearClassifier(tree, negative_sampling=sampling, beam_size=1, **EXACT)
    clf.fit(X, Y)
    matched = clf.transform(X).toarray() > 0
    teacher = Y @ np.eye(3)[tree.cluster_of_label] > 0
    assert (matched.sum(axis=1) == 1).all()
    for place, label in enumerate(tree.label_order):
        cluster = tree.cluster_of_label[label]
        y = Y[:, [label]].toarray().ravel()
        negatives = matched[:, cluster]
        if sampling == "tfn+man":
            negatives = negatives | teacher[:, cluster]
        rows = np.flatnonzero(negatives | (y > 0))
        expected = liblinear(X[rows], y[rows], "squared_hinge")
        np.testing.assert_allclose(coefficients(clf, 1)[place], expected, atol=2e-4)


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_hard", [1, 2])
def test_hard_negatives_count_half(n_hard, weighted, loss, random_problem):
    X, Y = random_problem
    tree = LabelTree.from_labels([0, 1, 1, 0, 2, 2, 2])
    weight = np.random.RandomState(0).uniform(0.5, 2, X.shape[0])
    weight = weight if weighted else np.ones(X.shape[0])
    clf = XRLinearClassifier(
        tree, loss=loss, n_hard_clusters=n_hard, negative_cost=0.7, **EXACT
    )
    clf.fit(X, Y, sample_weight=weight if weighted else None)
    above = TreeModel(LabelTree.flat(3), clf.weights_[:1])
    best, _ = above.topk(HybridFeatures(X), n_hard)
    mined = (best[:, :, None] == np.arange(3)).any(axis=1)
    teacher = Y @ np.eye(3)[tree.cluster_of_label] > 0
    assert (mined & ~teacher).any(axis=0).all()
    for place, label in enumerate(tree.label_order):
        own, cluster = Y[:, [label]].toarray().ravel(), tree.cluster_of_label[label]
        rows = np.flatnonzero(teacher[:, cluster] | mined[:, cluster])
        cost = np.where(teacher[:, cluster], 0.7, 0.35)
        cost = np.where(own > 0, 1, cost) * weight
        expected = liblinear(X[rows], own[rows], loss, weight=cost[rows])
        np.testing.assert_allclose(coefficients(clf, 1)[place], expected, atol=5e-4)


def test_known_negatives_count_in_full(random_problem):
    X, Y = random_problem
    tree = LabelTree.from_labels([0, 1, 1, 0, 2, 2, 2])
    known = sparse.csr_matrix((Y.toarray()[:, :1] == 0) * np.eye(7)[:1])
    clf = XRLinearClassifier(tree, n_hard_clusters=3, **EXACT)
    clf.fit(X, Y, negatives=known)
    y = Y[:, [0]].toarray().ravel()
    expected = liblinear(X, y, "squared_hinge")
    np.testing.assert_allclose(coefficients(clf, 1)[0], expected, atol=2e-4)


def test_the_path_counts_by_instances_of_labels_and_hard_negatives(small):
    X, Y = small
    clf = XRLinearClassifier(LabelTree.from_labels(np.arange(Y.shape[1]) % 25))
    clf.set_params(random_state=0).fit(X, Y)
    n_instances = Y.nnz / np.count_nonzero(Y.sum(axis=0))
    by_instances = 0.85 * n_instances / (n_instances + 6)
    weight, n_hard = clf.path_weight_, clf.n_hard_clusters_
    assert n_hard == round(max(4 + 50 / (n_instances + 5), 5 / 3 * Y.nnz / Y.shape[0]))
    assert weight == pytest.approx(by_instances * (1 - n_hard / 25) ** 4)
    given = clone(clf).set_params(path_weight=weight, n_hard_clusters=n_hard).fit(X, Y)
    for one, other in zip(clf.predict_topk(X), given.predict_topk(X), strict=True):
        np.testing.assert_array_equal(one, other)
    all_taught = clf.set_params(n_hard_clusters=40).fit(X, Y)
    assert all_taught.path_weight_ == pytest.approx(by_instances / 16)
    taught = clf.set_params(negative_sampling="tfn").fit(X, Y)
    assert taught.path_weight_ == pytest.approx(by_instances)


def test_many_labels_of_an_instance_make_many_hard_negatives():
    wide = sparse.csr_matrix(np.tile(np.eye(60)[:, ::-1].cumsum(axis=1), (5, 1)) > 0)
    X = sparse.csr_matrix(np.eye(300))
    n_hard = XRLinearClassifier(random_state=0).fit(X, wide).n_hard_clusters_
    assert n_hard == round(5 / 3 * 30.5)


def each_label_often(n_times, n_labels=9700):
    """A problem in which each label has n_times instances, one feature of its own."""
    labels = np.tile(np.arange(n_labels), n_times)
    ones = np.ones(len(labels), dtype=np.float32)
    Y = sparse.csr_matrix((ones, (np.arange(len(labels)), labels)))
    return Y, Y


def test_few_instances_of_labels_make_flat_trees_and_wide_searches():
    few, many = (
        XRLinearClassifier(random_state=0).fit(*each_label_often(n)) for n in (4, 5)
    )
    n_clusters = few.tree_.n_clusters
    assert 100 < n_clusters == many.tree_.n_clusters
    assert (few.beam_size_, few.effective_beam_size, few.tree_.n_levels) == (16, 16, 2)
    assert (many.beam_size_, many.tree_.n_levels) == (10, 3)
    X, _ = each_label_often(1)
    assert np.diff(few.transform(X[:50]).indptr).max() == 16
    given = clone(few).set_params(beam_size=16)
    vars(given).update({k: v for k, v in vars(few).items() if k.endswith("_")})
    for k in (1, 20):
        for one, other in zip(
            few.predict_topk(X[:50], k), given.predict_topk(X[:50], k), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    labels, _ = few.topk_predictor(3)(X[0])
    np.testing.assert_array_equal(labels, few.predict_topk(X[:1], 3)[0][0])
    assert few.set_params(beam_size=None).effective_beam_size is None
    assert few.set_params(beam_size=3).effective_beam_size == 3


def test_the_size_is_estimated_for_the_tree_that_fit_makes():
    X, Y = each_label_often(4)
    clf = XRLinearClassifier(random_state=0)
    estimate = clf.estimate_model_size(X, Y, share=1)
    assert estimate == pytest.approx(clf.fit(X, Y).nbytes_, rel=0.05)


def test_costs_are_class_weights(random_problem):
    X, Y = random_problem
    clf = XRLinearClassifier(
        LabelTree.flat(7), C=0.5, positive_cost=3, negative_cost=0.7, **EXACT
    ).fit(X, Y)
    for label in range(7):
        y = Y[:, [label]].toarray().ravel()
        weight = np.where(y > 0, 3, 0.7)
        expected = liblinear(X, y, "squared_hinge", 0.5, weight=weight)
        np.testing.assert_allclose(coefficients(clf, 0)[label], expected, atol=2e-4)


@pytest.mark.parametrize("mode", ["induce", "ranker_only"])
@pytest.mark.parametrize("norm", [None, "l1", "max"])
def test_relevance_weighs_positives(mode, norm, random_problem):
    X, Y = random_problem
    rng = np.random.RandomState(0)
    R = Y.multiply(rng.uniform(0.2, 2, size=Y.shape)).tocsr()
    tree = LabelTree.from_labels([0, 1, 1, 0, 2, 2, 2])
    clf = XRLinearClassifier(
        tree,
        negative_sampling="tfn",
        cost_sensitive=mode,
        relevance_norm=norm,
        **EXACT,
    )
    clf.fit(X, Y, relevance=R)

    def scaled(cost):
        if norm is None:
            return cost
        size = cost.sum(axis=1) if norm == "l1" else cost.max(axis=1)
        return cost / np.maximum(size, 1e-12)[:, None]

    induced = R.toarray() @ np.eye(3)[tree.cluster_of_label]
    top = scaled(induced) if mode == "induce" else (induced > 0).astype(float)
    for cluster in range(3):
        y = induced[:, cluster] > 0
        weight = np.where(y, top[:, cluster], 1)
        expected = liblinear(X, y, "squared_hinge", weight=weight)
        np.testing.assert_allclose(coefficients(clf, 0)[cluster], expected, atol=3e-4)
    bottom = scaled(R.toarray())
    for place, label in enumerate(tree.label_order):
        rows = np.flatnonzero(induced[:, tree.cluster_of_label[label]])
        y = Y[rows][:, [label]].toarray().ravel()
        weight = np.where(y > 0, bottom[rows, label], 1)
        expected = liblinear(X[rows], y, "squared_hinge", weight=weight)
        np.testing.assert_allclose(coefficients(clf, 1)[place], expected, atol=3e-4)


def test_relevance_two_equals_positive_cost_two(small):
    X, Y = small
    a = XRLinearClassifier(LabelTree.flat(60), random_state=0).fit(
        X, Y, relevance=2 * Y
    )
    b = XRLinearClassifier(LabelTree.flat(60), random_state=0, positive_cost=2).fit(
        X, Y
    )
    np.testing.assert_array_equal(a.weights_[0].packed, b.weights_[0].packed)


def test_zero_relevance_takes_the_pair_out(random_problem):
    X, Y = random_problem
    R = Y.copy()
    positives = Y[:, [0]].nonzero()[0]
    R[positives[:10], 0] = 0
    clf = XRLinearClassifier(LabelTree.flat(7), **EXACT).fit(X, Y, relevance=R)
    rows = np.setdiff1d(np.arange(200), positives[:10])
    expected = liblinear(X[rows], Y[rows][:, [0]].toarray().ravel(), "squared_hinge")
    np.testing.assert_allclose(coefficients(clf, 0)[0], expected, atol=2e-4)


def test_threshold_drops_small_weights_and_lone_ones_below_its_double(small):
    X, Y = small
    common = {"weight_dtype": "float32", "random_state": 0}
    full = XRLinearClassifier(weight_threshold=0, **common).fit(X, Y)
    pruned = XRLinearClassifier(weight_threshold=0.2, **common).fit(X, Y)
    n_lone = 0
    for a, b in zip(full.weights_, pruned.weights_, strict=True):
        expected = np.where(
            np.abs(a.to_csr().toarray()) >= 0.2, a.to_csr().toarray(), 0
        )
        for first, last in pairwise(b.child_ptr):
            chunk = expected[first:last]
            lone = ((chunk != 0).sum(axis=0) == 1) & (np.abs(chunk).max(axis=0) < 0.4)
            n_lone += lone.sum()
            chunk[:, lone] = 0
        np.testing.assert_array_equal(b.to_csr().toarray(), expected)
        np.testing.assert_array_equal(a.intercept, b.intercept)
    assert n_lone > 0


def test_parents_of_many_children_have_several_chunks(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    X = sparse.random(300, 50, 0.2, format="csr", random_state=rng, dtype=np.float32)
    Y = sparse.csr_matrix((rng.rand(300, 600) < 0.02).astype(int))
    clf = XRLinearClassifier(LabelTree.flat(600), post_processor="noop", random_state=0)
    weights = clf.fit(X, Y).weights_[0]
    np.testing.assert_array_equal(weights.child_ptr, [0, 200, 400, 600])
    margins = X @ weights.to_csr().T.toarray() + weights.intercept
    labels, scores = clf.predict_topk(X, 5)
    np.testing.assert_allclose(scores, -np.sort(-margins, axis=1)[:, :5], atol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(margins, labels, 1), scores, atol=1e-5
    )


@pytest.mark.parametrize(
    ("dtype", "relative"), [("int8", 0.5 / 127), ("float16", 2**-11), ("float32", 0)]
)
def test_value_types_are_within_half_a_step(dtype, relative, small):
    X, Y = small
    common = {"weight_threshold": 0.01, "random_state": 0}
    exact = XRLinearClassifier(weight_dtype="float32", **common).fit(X, Y)
    clf = XRLinearClassifier(weight_dtype=dtype, **common).fit(X, Y)
    for a, b in zip(exact.weights_, clf.weights_, strict=True):
        assert b.value_type == dtype
        a, b = a.to_csr().toarray(), b.to_csr().toarray()
        step = np.abs(a).max(axis=1, keepdims=True) if dtype == "int8" else np.abs(a)
        assert (np.abs(a - b) <= step * relative * 1.001).all()


@given(
    n_features=st.integers(1, 70_000),
    density=st.floats(0.0005, 1),
    n_nodes=st.integers(1, 300),
    width=st.sampled_from([1, 4, 60, 256]),
    dtype=st.sampled_from(["float32", "float16", "int8"]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_any_rows_are_found_again(n_features, density, n_nodes, width, dtype, seed):
    """Whatever the buckets' width, to_csr and the search see the rows given."""
    rng = np.random.RandomState(seed)
    W = sparse.random(
        n_nodes,
        n_features,
        min(density, 3e5 / n_features / n_nodes),
        "csr",
        np.float32,
        random_state=rng,
    )
    W.data = np.rint(250 * W.data - 125)  # exact in all types
    W.eliminate_zeros()
    weights = chunked(W, width, dtype)
    assert (weights.to_csr() != W).nnz == 0
    search = TreeSearch([weights], np.arange(n_nodes))
    X = sparse.random(5, n_features, 0.1, "csr", np.float32, random_state=rng)
    X.indices = X.indices.astype(np.int32)
    margin = PostProcessor("noop")
    nodes, scores = search.search(HybridFeatures.of_blocks(X), 1, 1, n_nodes, margin, 1)
    exact = (X.astype(np.float64) @ W.T.astype(np.float64)).toarray()
    np.testing.assert_array_equal(np.sort(nodes), np.arange(n_nodes)[None].repeat(5, 0))
    expected = np.take_along_axis(exact, nodes, 1)
    scale = (abs(X) @ abs(W.T)).toarray().max() + 1
    np.testing.assert_allclose(scores, expected, atol=1e-5 * scale)


def chunked(W, width, dtype):
    """ChunkedWeights of a CSR matrix, one root with chunks of `width` nodes."""
    child_ptr = np.append(np.arange(0, W.shape[0], width), W.shape[0])
    node = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr))
    shuffled = np.random.RandomState(0).permutation(W.nnz)
    entries = Entries(
        (node[shuffled] // width).astype(np.int32),
        W.indices[shuffled].astype(np.int32),
        (node[shuffled] % width).astype(np.uint8),
        W.data[shuffled].astype(dtype),
    )
    return ChunkedWeights.from_entries(
        entries,
        W.shape[1],
        child_ptr,
        parent_ptr=np.array([0, len(child_ptr) - 1]),
        scale=np.ones(W.shape[0], dtype=np.float32),
        intercept=np.zeros(W.shape[0], dtype=np.float32),
        dense=np.empty((W.shape[0], 0), dtype=dtype),
        dense_scale=np.ones(W.shape[0], dtype=np.float32),
    )


def test_labels_without_positives_rank_last():
    """Nothing speaks for them: they must not outrank labels that were trained."""
    X, Y = make_xmr_classification(
        n_samples=400, n_features=200, n_labels=120, random_state=0
    )
    Y = Y.tolil()
    Y[:, ::3] = 0
    Y = Y.tocsr()
    labels, _ = XRLinearClassifier(random_state=0).fit(X, Y).predict_topk(X, 3)
    assert (labels % 3 == 0).mean() < 0.01


# --- search ------------------------------------------------------------------------

TRANSFORMS = {
    "sigmoid": lambda v: np.log(expit(v)),
    "noop": lambda v: v,
    **{
        f"l{p}_hinge": lambda v, p=p: -(np.maximum(0, 1 - v) ** p) for p in (1, 2, 3, 4)
    },
}


def path_weights(clf):
    """What the log scores of each level count, from the root down."""
    weight = clf.path_weight_ if clf.path_weight == "auto" else clf.path_weight
    return weight ** np.arange(clf.tree_.n_levels)[::-1]


def exhaustive(clf, X, combiner):
    """Log scores of all labels, by matrix products level by level."""
    path = 0
    for level, weights in enumerate(clf.weights_):
        margins = X @ weights.to_csr().T.toarray() + weights.intercept
        own = TRANSFORMS[combiner](margins.astype(np.float64))
        own *= path_weights(clf)[level]
        if combiner == "noop":
            path = own
        else:
            sizes = np.diff(clf.tree_.offsets[level])
            above = path if level == 0 else np.repeat(path, sizes, axis=1)
            path = above + own
    scores = np.empty_like(path)
    scores[:, clf.tree_.label_order] = path
    return scores


@pytest.mark.parametrize("combiner", list(TRANSFORMS))
@pytest.mark.parametrize("log", ["", "log_"])
def test_full_beam_equals_exhaustive_scoring(combiner, log, small):
    if combiner == "noop" and log:
        pytest.skip("noop has no logarithm")
    X, Y = small
    tree = HierarchicalLabelClusterer(
        branching_factor=3, max_leaf_size=4, random_state=0
    )
    clf = XRLinearClassifier(
        tree, post_processor=log + combiner, beam_size=60, random_state=0
    ).fit(X, Y)
    expected = exhaustive(clf, X, combiner)
    if not log and combiner != "noop":
        expected = np.exp(expected)
    labels, scores = clf.predict_topk(X, k=60)
    np.testing.assert_array_equal(
        np.sort(labels, axis=1), np.arange(60)[None].repeat(600, 0)
    )
    np.testing.assert_allclose(
        scores, np.take_along_axis(expected, labels, axis=1), rtol=2e-4, atol=1e-5
    )
    assert (np.diff(scores, axis=1) <= 0).all()
    top, _ = clf.predict_topk(X, k=5)
    np.testing.assert_array_equal(top, labels[:, :5])


def slow_beam(clf, x, beam_size, k):
    """Beam search over one dense row, the obvious way."""
    beam = [(0.0, 0)]
    for level, weights in enumerate(clf.weights_):
        dense = weights.to_csr().toarray()
        found = []
        for score, parent in beam:
            for child in range(*clf.tree_.offsets[level][parent : parent + 2]):
                v = np.float64(dense[child] @ x + weights.intercept[child])
                step = path_weights(clf)[level] * max(0, 1 - v) ** 3
                found.append((score - step, child))
        last = level == clf.tree_.n_levels - 1
        found.sort(key=lambda pair: -pair[0])
        beam = found[: k if last else beam_size]
    return [int(clf.tree_.label_order[node]) for _, node in beam]


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_beam_equals_slow_beam(beam_size, small):
    X, Y = small
    tree = HierarchicalLabelClusterer(
        branching_factor=3, max_leaf_size=4, random_state=0
    )
    clf = XRLinearClassifier(tree, beam_size=beam_size, random_state=0).fit(X, Y)
    labels, _ = clf.predict_topk(X[:50], k=6)
    for row in range(50):
        expected = slow_beam(clf, X[row].toarray().ravel(), beam_size, 6)
        got = labels[row][labels[row] >= 0].tolist()
        assert got == expected


@pytest.mark.parametrize("combiner", sorted(set(TRANSFORMS) - {"noop"}))
@pytest.mark.parametrize(("path_weight", "share"), [(1.0, 0.7), ("auto", 1.0)])
def test_exact_search_equals_exhaustive_scoring(combiner, path_weight, share, small):
    X, Y = small
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=3, branching_factor=3, random_state=0),
        post_processor="log_" + combiner,
        path_weight=path_weight,
        beam_size=None,
        random_state=0,
    ).fit(X, Y)
    labels, scores, n_visited = clf.predict_topk(X, 5, return_n_visited=True)
    expected = exhaustive(clf, X, combiner)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :5], atol=1e-4)
    np.testing.assert_allclose(
        np.take_along_axis(expected, labels, axis=1), scores, atol=1e-4
    )
    n_inner = sum(len(offsets) - 1 for offsets in clf.tree_.offsets)
    assert (n_visited >= clf.tree_.n_levels).all() and n_visited.max() <= n_inner
    assert n_visited.mean() <= share * n_inner


@pytest.mark.parametrize("combiner", list(TRANSFORMS))
@pytest.mark.parametrize("beam_size", [1, 3, 10, None])
def test_single_rows_equal_the_batch(combiner, beam_size, small):
    """The best-first search with a beam finds what the beam finds."""
    X, Y = small
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=3, branching_factor=4, random_state=0),
        post_processor=combiner,
        beam_size=beam_size,
        random_state=0,
    ).fit(X, Y)
    labels, scores = clf.predict_topk(X, 6)
    best = clf.topk_predictor(6)
    for row in range(30):
        found, their_scores = best(X[row])
        n = len(found)
        np.testing.assert_array_equal(found, labels[row, :n])
        np.testing.assert_array_equal(their_scores, scores[row, :n])
        assert (labels[row, n:] == -1).all()


def test_predictor_takes_rows_pairs_and_arrays(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    best = clf.topk_predictor(4)
    expected = clf.predict_topk(X[:1], 4)[0][0]
    row = X[0]
    for x in (
        row,
        row.tocoo(),
        sparse.csr_array(row),
        row.toarray().ravel(),
        (row.indices.astype(np.int64), row.data.astype(float)),
        (row.indices.tolist(), row.data.tolist()),
    ):
        np.testing.assert_array_equal(best(x)[0], expected)
    assert len(best(([], []))[0]) == 4


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), "must have shape"),
        (sparse.csr_matrix((2, 300)), "one row"),
        (([0, 10**6], [1.0, 1.0]), "must lie in 0 to"),
        (([-1], [1.0]), "must lie in 0 to"),
        (([0.5], [1.0]), "integers"),
        (([0, 1], [1.0]), "same length"),
        ((np.array([0], np.int32), np.array([np.nan], np.float32)), "finite"),
        ((np.array([-1], np.int32), np.array([1], np.float32)), "must hold finite"),
    ],
)
def test_predictor_refuses_bad_rows(x, message, small):
    X, Y = small
    best = XRLinearClassifier(random_state=0).fit(X, Y).topk_predictor()
    with pytest.raises(ValueError, match=message):
        best(x)


def test_predictor_from_many_threads(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    best, expected = clf.topk_predictor(5), clf.predict_topk(X, 5)[0]
    rows = [X[row] for row in range(X.shape[0])] * 5
    with ThreadPoolExecutor(8) as pool:
        found = [labels for labels, _ in pool.map(best, rows)]
    np.testing.assert_array_equal(found, np.tile(expected, (5, 1)))


@pytest.mark.parametrize("combiner", list(TRANSFORMS))
def test_candidates_and_pairs_equal_exhaustive_scoring(combiner, small):
    X, Y = small
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=3, branching_factor=4, random_state=0),
        post_processor=combiner,
        random_state=0,
    ).fit(X, Y)
    expected = exhaustive(clf, X, combiner)
    if combiner != "noop":
        expected = np.exp(expected)
    given = np.array([7, 2, 30, 2, 11])
    labels, scores = clf.predict_topk(X, 3, candidates=given)
    best = np.unique(given)[np.argsort(-expected[:, np.unique(given)], axis=1)[:, :3]]
    np.testing.assert_allclose(
        scores, np.take_along_axis(expected, best, axis=1), atol=1e-4
    )
    pairs = sparse.random(*Y.shape, 0.1, "csr", random_state=0)
    got = clf.score_pairs(X, pairs)
    np.testing.assert_array_equal(got.indices, pairs.indices)
    rows = np.repeat(np.arange(X.shape[0]), np.diff(pairs.indptr))
    np.testing.assert_allclose(got.data, expected[rows, pairs.indices], atol=1e-4)
    labels, _ = clf.predict_topk(X, 100, candidates=pairs)
    assert ((labels >= 0).sum(axis=1) == np.diff(pairs.indptr)).all()


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([-1], "from 0 to"),
        ([10**6], "from 0 to"),
        ([0.5], "1-D array of label numbers"),
        ([[1]], "1-D array of label numbers"),
        (sparse.csr_matrix((3, 3)), "must have shape"),
    ],
)
def test_candidates_are_checked(candidates, message, small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        clf.predict_topk(X, 3, candidates=candidates)


def test_unready_csr_still_goes_through_the_checks(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    bad = X.copy()
    bad.data[0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        clf.predict_topk(bad)
    bad = X.copy()
    bad.indices[0] = X.shape[1]
    with pytest.raises(ValueError, match="column indices"):
        clf.predict_topk(bad)
    with pytest.raises(ValueError, match="features"):
        clf.predict_topk(X[:, :-1])


def test_ties_go_to_the_smaller_label_and_short_rows_end_in_minus_one(small):
    X, Y = small
    tree = LabelTree.from_labels(np.arange(60)[::-1] // 6)
    clf = XRLinearClassifier(tree, weight_threshold=1e6, beam_size=1, random_state=0)
    clf.fit(X, Y)
    indifferent = [
        level.replace(intercept=0 * level.intercept) for level in clf.weights_
    ]
    clf.model_ = TreeModel(clf.tree_, indifferent)
    labels, scores = clf.predict_topk(X[:3], k=10)
    best_cluster = np.sort(tree.labels_under(0, 0))
    np.testing.assert_array_equal(labels[:, :6], np.tile(best_cluster, (3, 1)))
    assert (labels[:, 6:] == -1).all() and (scores[:, 6:] == 0).all()
    clf.set_params(post_processor="log_sigmoid")
    assert np.isneginf(clf.predict_topk(X[:3], k=10)[1][:, 6:]).all()


def test_prediction_parameters_need_no_refit(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    assert clf.predict_topk(X)[0].shape == (600, 20)
    clf.set_params(top_k=3, beam_size=2, post_processor="sigmoid", decision_threshold=0)
    assert clf.predict_topk(X)[0].shape == (600, 3)
    assert (np.diff(clf.predict(X).indptr) == 3).all()


def test_transform_gives_the_matching_scores(small):
    X, Y = small
    clusterer = HierarchicalLabelClusterer(max_leaf_size=6, random_state=0)
    clf = XRLinearClassifier(clusterer, beam_size=100, random_state=0).fit(X, Y)
    weights = clf.weights_[0]
    margins = X @ weights.to_csr().T.toarray() + weights.intercept
    expected = np.exp(TRANSFORMS["l3_hinge"](margins))
    np.testing.assert_allclose(clf.transform(X).toarray(), expected, rtol=1e-4)
    flat = XRLinearClassifier(LabelTree.flat(60)).fit(X, Y)
    np.testing.assert_array_equal(flat.transform(X).toarray(), np.ones((600, 1)))


# --- targets -------------------------------------------------------------------------


def test_dense_indicator_gives_dense_output(small):
    X, Y = small
    dense = Y.toarray().astype(np.int8)
    clf = XRLinearClassifier(random_state=0).fit(X, dense)
    like = XRLinearClassifier(random_state=0).fit(X, Y)
    assert clf.predict(X).dtype == np.int8
    np.testing.assert_array_equal(clf.predict(X), like.predict(X).toarray())
    assert (
        clf.score(X, dense)
        == like.score(X, Y)
        == precision_at_k(Y, clf.predict_topk(X, 1), k=1)
    )


def test_string_classes():
    X, y = make_classification(
        400, 20, n_informative=10, n_classes=4, class_sep=2, random_state=0
    )
    names = np.array(["ant", "bee", "cow", "dog"])[y]
    clf = XRLinearClassifier(random_state=0).fit(X, names)
    assert clf.score(X, names) > 0.7
    np.testing.assert_array_equal(clf.classes_, np.unique(names))
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[proba.argmax(axis=1)])


def test_many_classes_in_one_column():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(300), 5)
    X = sparse.csr_matrix(np.eye(300)[y] + 0.05 * rng.rand(1500, 300))
    clf = XRLinearClassifier(random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.95


# --- degenerate data -------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("bias", [0, 1])
def test_empty_rows_labels_without_positives_and_duplicates(loss, bias):
    X = sparse.csr_matrix(np.kron([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]], np.ones((4, 1))))
    Y = np.kron([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]], np.ones((4, 1), dtype=int))
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=2, random_state=0),
        loss=loss,
        bias=bias,
        C=10,
        random_state=0,
    ).fit(X, Y)
    labels, scores = clf.predict_topk(X, k=4)
    assert np.isfinite(scores).all()
    assert (np.sort(labels, axis=1) == np.arange(4)).all()
    assert set(labels[0, :2]) == {0, 3} and set(labels[4, :2]) == {1, 3}
    rank_of_unseen = np.argmax(labels == 2, axis=1)
    assert (rank_of_unseen[:8] >= 2).all()


def test_one_label_and_one_sample():
    X = np.eye(4)
    Y = sparse.csr_matrix([[1], [1], [0], [0]])
    clf = XRLinearClassifier(C=100).fit(X, Y)
    assert clf.predict(X).toarray().ravel().tolist() == [1, 1, 0, 0]
    one = XRLinearClassifier().fit(X[:1], [[1, 1, 0]])
    assert set(one.predict_topk(X[:1], k=2)[0][0]) == {0, 1}


def test_all_labels_positive():
    X = np.eye(6)
    clf = XRLinearClassifier(HierarchicalLabelClusterer(max_leaf_size=2)).fit(
        X, np.ones((6, 5), dtype=int)
    )
    assert (clf.predict(X) == 1).all()


# --- model selection and text ----------------------------------------------------

TEXTS = [
    "red bird",
    "blue bird",
    "red fish",
    "blue fish",
    "old red bird",
    "old fish",
] * 10
NAMES = ["bird", "fish", "red", "blue"]
TEXT_Y = sparse.csr_matrix(
    [[name in text for name in NAMES] for text in TEXTS], dtype=int
)


def test_text_pipeline():
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    model.fit(TEXTS, TEXT_Y)
    assert model.score(TEXTS, TEXT_Y) == 1
    labels, _ = predict_topk(model, ["a blue fish"], k=2)
    assert {NAMES[label] for label in labels[0]} == {"blue", "fish"}


@pytest.mark.parametrize("Search", [GridSearchCV, RandomizedSearchCV])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_search_with_sparse_targets(Search, n_jobs):
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    grid = {
        "xrlinearclassifier__C": [1e-4, 1.0],
        "tfidfvectorizer__sublinear_tf": [True],
    }
    extra = {"n_iter": 2, "random_state": 0} if Search is RandomizedSearchCV else {}
    search = Search(
        model,
        grid,
        cv=3,
        n_jobs=n_jobs,
        scoring=make_topk_scorer(ndcg_at_k, k=2),
        **extra,
    ).fit(TEXTS, TEXT_Y)
    assert search.best_score_ > 0.9
    assert predict_topk(search, TEXTS[:3], k=2)[0].shape == (3, 2)
    default = Search(model, grid, cv=3, **extra).fit(TEXTS, TEXT_Y)
    assert default.best_score_ > 0.9


def test_cross_val_predict_with_sparse_targets():
    X = TfidfVectorizer().fit_transform(TEXTS)
    out = cross_val_predict(XRLinearClassifier(random_state=0), X, TEXT_Y)
    assert sparse.issparse(out) and out.shape == TEXT_Y.shape


def test_nested_parameters_and_seeds(small):
    clf = XRLinearClassifier(HierarchicalLabelClusterer(), random_state=0)
    clf.set_params(clusterer__max_leaf_size=9)
    copies = [clone(clf).fit(*small) for _ in range(2)]
    assert copies[0].tree_ == copies[1].tree_  # an unset nested seed follows ours
    assert copies[0].clusterer_.max_leaf_size == 9
    assert clf.clusterer.random_state is None


def test_verbose_prints_and_silence_is_the_default(small, capsys):
    XRLinearClassifier().fit(*small)
    assert capsys.readouterr().out == ""
    XRLinearClassifier(verbose=1).fit(*small)
    assert "label tree" in capsys.readouterr().out


def zero_relevance(Y):
    """A relevance of 0 for the positives of the first half of the instances."""
    relevance = Y.astype(np.float32)
    relevance.data[: relevance.nnz // 2] = 0
    return relevance


@pytest.mark.parametrize("sampling", ["tfn", "tfn+man"])
def test_negatives_without_pairs_change_nothing(sampling, small):
    X, Y = small
    tree = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=8)
    clf = XRLinearClassifier(tree, negative_sampling=sampling, random_state=0)
    without = clone(clf).fit(X, Y, relevance=zero_relevance(Y))
    none = sparse.csr_matrix(Y.shape)
    clf.fit(X, Y, relevance=zero_relevance(Y), negatives=none)
    for one, other in zip(without.weights_, clf.weights_, strict=True):
        np.testing.assert_array_equal(one.packed, other.packed)


def test_a_positive_of_relevance_zero_is_no_negative(small):
    """Its cost is 0 with propensities too: nothing pushes its score down."""
    X, Y = small
    tree = LabelTree.flat(60)
    clf = XRLinearClassifier(tree, cost_sensitive="propensity", random_state=0)
    relevance = zero_relevance(Y)
    given = relevance.copy()
    clf.fit(X, Y, relevance=relevance)
    np.testing.assert_array_equal(relevance.data, given.data)
    np.testing.assert_array_equal(relevance.indptr, given.indptr)
    ranker_only = clone(clf).set_params(cost_sensitive="ranker_only")
    ranker_only.fit(X, Y, relevance=relevance)
    zero = relevance.data == 0
    rows = np.repeat(np.arange(600), np.diff(relevance.indptr))
    ignored = sparse.csr_matrix(
        (zero[zero], (rows[zero], relevance.indices[zero])), Y.shape
    )
    got = clf.score_pairs(X, ignored).data.mean()
    assert abs(got - ranker_only.score_pairs(X, ignored).data.mean()) < 0.1


def test_spare_places_of_a_row_are_not_read(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    half = X[3].nnz // 2
    spare, exact = X[3].copy(), X[3].copy()
    spare.indptr = np.array([0, half], dtype=np.int32)
    exact = sparse.csr_matrix(
        (exact.data[:half], exact.indices[:half], [0, half]), (1, 400)
    )
    expected = clf.predict_topk(exact, 5)
    best = clf.topk_predictor(5)(spare)
    for got, one, other in zip(clf.predict_topk(spare, 5), expected, best, strict=True):
        np.testing.assert_array_equal(got, one)
        np.testing.assert_array_equal(got[0], other)


def test_a_warm_start_on_blocks_forgets_feature_names(small):
    pd = pytest.importorskip("pandas")
    X, Y = small
    table = pd.DataFrame(X.toarray()).rename(columns=str)
    clf = XRLinearClassifier(warm_start=True, random_state=0).fit(table, Y)
    clf.fit(HybridFeatures(X, np.ones((600, 1))), Y)
    assert not hasattr(clf, "feature_names_in_")


def test_hard_negatives_do_not_depend_on_threads():
    """The search for them works on blocks of rows: more rows than one block holds."""
    X, Y = make_xmr_classification(18_000, 60, 40, random_state=0)
    tree = HierarchicalLabelClusterer(max_leaf_size=4, random_state=0)
    models = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads):
            clf = XRLinearClassifier(tree, tol=2, random_state=0).fit(X, Y)
        models.append([weights.packed.tobytes() for weights in clf.weights_])
    assert models[0] == models[1] == models[2]
