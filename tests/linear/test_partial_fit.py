"""Learning from more instances: solver, chunks, estimator, names, pipelines."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import minimize
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelNamesClassifier,
    LabelTree,
    XRLinearClassifier,
    XRNeighborsClassifier,
    load_model,
    partial_fit,
    predict_topk,
    save_model,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn_xmr.linear import ChunkedWeights, TreeModel
from sklearn_xmr.linear._constants import SPARE
from sklearn_xmr.linear._solver._level_problem import (
    joined_rows,
    make_level_problem,
    problem_of_rows,
)
from sklearn_xmr.linear._tree_updates import CURVATURE, EVIDENCE
from sklearn_xmr.linear._weights._chunk_updates import ChunkUpdates
from sklearn_xmr.linear._weights._empty_nodes import with_empty_nodes
from sklearn_xmr.linear._weights._patched_weights import ChunkPatch, PatchedWeights

SMALL_TREE = HierarchicalLabelClusterer(max_leaf_size=8, branching_factor=4)
EXACT = {
    "weight_threshold": 0.0,
    "weight_dtype": "float32",
    "tol": 1e-5,
    "max_iter": 5000,
    "negative_sampling": "tfn",
}


@pytest.fixture(scope="module")
def data():
    return make_xmr_classification(
        n_samples=900, n_features=400, n_labels=60, random_state=3
    )


def weights_of(clf):
    """All weights and intercepts of a model, level by level."""
    parts = []
    for level in clf.weights_:
        parts += [level.to_csr().toarray(), level.intercept, level.dense_weights()]
    return parts


def assert_same_model(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert_array_equal(a, b)


# --- the solver, against a slow one --------------------------------------------------


def penalised(X, y, w0, penalty, C, loss):
    """Minimise the loss of new rows and the penalty on leaving w0, by L-BFGS."""

    def objective(w):
        margin = 1 - y * (X @ w)
        if loss == "squared_hinge":
            slack = np.maximum(margin, 0)
            value, slope = (slack**2).sum(), -2 * slack * y
        else:
            value = np.logaddexp(0, margin - 1).sum()
            slope = -y / (1 + np.exp(1 - margin))
        step = w - w0
        total = 0.5 * (penalty * step * step).sum() + C * value
        return total, penalty * step + C * (X.T @ slope)

    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9}
    return minimize(objective, w0, jac=True, method="L-BFGS-B", options=options).x


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("bias", [1.0, 0.5])
@pytest.mark.parametrize("n_dense", [0, 3])
@pytest.mark.parametrize("n_labels", [5, 70])
def test_an_update_solves_the_problem_of_its_docstring(loss, bias, n_dense, n_labels):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((90, 12)).astype("f4")
    X[:, : 12 - n_dense] *= rng.random((90, 12 - n_dense)) < 0.5
    least = rng.uniform(-1, 2, n_labels)
    Y = (X @ rng.standard_normal((12, n_labels)) > least).astype(int)
    features = X
    if n_dense:
        features = HybridFeatures(sparse.csr_matrix(X[:, :-n_dense]), X[:, -n_dense:])
    clf = XRLinearClassifier(LabelTree.flat(n_labels), loss=loss, bias=bias, **EXACT)
    clf.fit(features[:60], Y[:60])
    first, seen = weights_of(clf), clf.seen_
    clf.partial_fit(features[60:], Y[60:])

    logs = np.log1p(CURVATURE[loss] * EVIDENCE * np.sqrt(60.0 * Y[:60].sum(axis=0)))
    order = np.argsort(logs, kind="stable")
    squares = np.append((X[:60] ** 2).mean(axis=0), bias**2)
    assert_allclose(seen.mean_squares, squares[:-1], rtol=1e-5)
    new = np.hstack([X[60:], np.full((30, 1), bias, "f4")]).astype("f8")
    found = weights_of(clf)
    for block in np.split(order, range(32, n_labels, 32)):
        evidence = np.expm1(logs[block].mean())
        for label in block[::7]:
            w0, ours = (
                np.concatenate([a[0][label], a[2][label], a[1][[label]] / bias])
                for a in (first, found)
            )
            y = np.where(Y[60:, label], 1, -1)
            penalty = 1 + evidence * squares
            w = penalised(new, y, w0.astype("f8"), penalty, 1.0, loss)
            assert_allclose(ours, w, atol=2e-3)


@pytest.mark.parametrize("weight_dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("n_dense", [0, 2])
def test_blocks_of_a_chunk_are_the_same_by_themselves(weight_dtype, n_dense):
    # Many threads train each block of 32 labels as a task, one thread whole chunks.
    rng = np.random.RandomState(0)
    X = rng.random((700, 40)).astype("f4") * (rng.random((700, 40)) < 0.4)
    X[:, :2] += 0.1  # features of all labels
    Y = sparse.csr_matrix(rng.random((700, 800)) < 0.01)
    if n_dense:
        X = HybridFeatures(sparse.csr_matrix(X[:, n_dense:]), X[:, :n_dense])
    tree = LabelTree.from_labels(np.arange(800) // 80)
    made = []
    for n_threads in (1, 32):
        clf = XRLinearClassifier(tree, weight_dtype=weight_dtype, random_state=0)
        clf.fit(X[:400], Y[:400])
        with threadpool_limits(n_threads):
            made.append(clf.partial_fit(X[400:], Y[400:]))
    assert_same_model(*made)


def test_the_first_call_is_a_fit(data):
    X, Y = data
    fitted = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X, Y)
    assert_same_model(
        XRLinearClassifier(SMALL_TREE, random_state=0).partial_fit(X, Y), fitted
    )


@pytest.mark.parametrize("sampling", ["hard", "tfn", "man", "tfn+man"])
@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_more_instances_help(data, sampling, loss):
    X, Y = data
    clf = XRLinearClassifier(
        SMALL_TREE, negative_sampling=sampling, loss=loss, random_state=0
    )
    few = clf.fit(X[:150], Y[:150]).score(X[700:], Y[700:])
    for first in range(150, 700, 110):
        clf.partial_fit(X[first : first + 110], Y[first : first + 110])
    whole = copy.deepcopy(clf).fit(X[:700], Y[:700]).score(X[700:], Y[700:])
    assert clf.score(X[700:], Y[700:]) > (few + whole) / 2


def test_the_result_does_not_depend_on_threads(data):
    X, Y = data
    made = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads):
            clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:300], Y[:300])
            made.append(clf.partial_fit(X[300:], Y[300:]))
    assert_same_model(made[0], made[1])
    assert_same_model(made[0], made[2])


def test_the_order_of_stored_weights_does_not_matter():
    # Blocks of like evidence leave the nodes of a feature in an order of their own.
    rng = np.random.RandomState(0)
    X = sparse.random(900, 300, 0.05, "csr", "f4", rng)
    Y = sparse.csr_matrix(rng.random((900, 150)) < rng.power(0.3, 150) / 20)
    clf = XRLinearClassifier(
        LabelTree.flat(150),
        weight_dtype="float32",
        weight_threshold=0.02,
        random_state=0,
    )
    clf.fit(X[:300], Y[:300]).partial_fit(X[300:600], Y[300:600])
    (level,) = clf.weights_
    sorted_level = ChunkedWeights.from_csr(
        level.to_csr(), level.intercept, level.offsets, "float32"
    )
    other = copy.deepcopy(clf)
    other.model_ = TreeModel(clf.tree_, [sorted_level])
    assert_same_model(
        clf.partial_fit(X[600:], Y[600:]), other.partial_fit(X[600:], Y[600:])
    )


def test_unreached_nodes_stay_as_they_are(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, negative_sampling="tfn", random_state=0).fit(
        X, Y
    )
    before = weights_of(clf)
    clusters = clf.tree_.node_of_label(clf.tree_.n_levels - 2)[Y[0].indices]
    clf.partial_fit(X[0], Y[0])
    offsets, after = clf.tree_.offsets[-1], weights_of(clf)
    reached = np.zeros(clf.tree_.n_labels, dtype=bool)
    for cluster in clusters:
        reached[offsets[cluster] : offsets[cluster + 1]] = True
    assert_array_equal(before[-3][~reached], after[-3][~reached])
    assert_array_equal(before[-2][~reached], after[-2][~reached])


# --- chunks -------------------------------------------------------------------------


def random_weights(rng, n_nodes, n_features, value_type, density=0.3):
    matrix = sparse.random(n_nodes, n_features, density, "csr", "f4", rng)
    matrix.data -= 0.5
    offsets = [0, n_nodes // 3, n_nodes] if n_nodes > 2 else [0, n_nodes]
    return ChunkedWeights.from_csr(
        matrix, rng.standard_normal(n_nodes), offsets, value_type
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_nodes=st.integers(1, 300),
    n_features=st.integers(1, 900),
    value_type=st.sampled_from(["int8", "float16", "float32"]),
    size=st.sampled_from([0.1, 1.0, 30.0]),
    share=st.floats(0, 1),
)
def test_rewritten_chunks_hold_the_new_rows(
    seed, n_nodes, n_features, value_type, size, share
):
    rng = np.random.RandomState(seed)
    weights = random_weights(rng, n_nodes, n_features, value_type)
    expected, scale = weights.to_csr().toarray(), weights.scale.copy()
    updates, patches = ChunkUpdates(weights), {}
    for chunk in rng.permutation(len(weights.child_ptr) - 1)[:2].tolist():
        first, last = weights.child_ptr[chunk : chunk + 2]
        features = np.flatnonzero(rng.random(n_features) < share).astype(np.int32)
        reached = np.flatnonzero(rng.random(n_features) < share / 3)
        reached = np.union1d(reached, features).astype(np.int32)
        changed = rng.random(last - first) < rng.choice([0.1, 0.9, 1.1])
        changed[rng.randint(last - first)] = True
        nodes = np.flatnonzero(changed)
        expected[np.ix_(first + nodes, reached)] = 0
        columns = [
            rng.choice(nodes, rng.randint(1, len(nodes) + 1), False) for _ in features
        ]
        values = [(size * rng.standard_normal(len(c))).astype("f4") for c in columns]
        for feature, column, value in zip(features, columns, values, strict=True):
            expected[first + column, feature] = value
        patch = updates.rewrite(
            chunk,
            changed.astype(np.uint8),
            reached,
            features,
            np.array([len(c) - 1 for c in columns], dtype=np.uint8),
            np.concatenate([*columns, []]).astype(np.uint8),
            np.concatenate([*values, []]).astype(np.float32),
            scale[first:last],
            SPARE,
        )
        patches[chunk] = ChunkPatch(*patch)
    arrays = {name: getattr(weights, name) for name in ("intercept", "dense")}
    arrays["dense_scale"] = weights.dense_scale
    patched = PatchedWeights(weights, patches, scale=scale, **arrays)
    # A step of the scale, and half a step of the one before.
    atol = {"int8": scale.max() + 1e-6, "float16": 0.02 * size, "float32": 0}
    found = patched.whole.to_csr().toarray()
    assert_allclose(found, expected, atol=atol[value_type])
    assert patched.nbytes == patched.whole.nbytes
    assert_same_search(weights, patched, rng)


def assert_same_search(weights, patched, rng):
    """The search reads patches as it reads the weights that they make."""
    offsets = weights.offsets
    tree = LabelTree([np.array([0, len(offsets) - 1]), offsets], np.arange(offsets[-1]))
    above = ChunkedWeights.from_csr(
        sparse.csr_matrix((len(offsets) - 1, weights.n_features), dtype="f4"),
        np.zeros(len(offsets) - 1),
        [0, len(offsets) - 1],
        weights.value_type,
    )
    X = HybridFeatures(sparse.random(9, weights.n_features, 0.5, "csr", "f4", rng))
    for n in (1, 9):
        found = [
            TreeModel(tree, [above, level]).topk(
                X[:n], 5, beam_size=None, post_processor="sigmoid"
            )
            for level in (patched, patched.whole)
        ]
        assert_array_equal(found[0][0], found[1][0])
        assert_array_equal(found[0][1], found[1][1])


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    value_type=st.sampled_from(["int8", "float16", "float32"]),
    n_features=st.sampled_from([20, 400, 9000]),
    n_damaged=st.integers(1, 30),
)
def test_damaged_chunks_are_refused_or_rewritten(
    seed, value_type, n_features, n_damaged
):
    rng = np.random.RandomState(seed)
    weights = random_weights(rng, 40, n_features, value_type)
    packed = weights.packed.copy()
    places = rng.randint(0, len(packed), n_damaged)
    packed[places] = rng.randint(0, 256, n_damaged)
    updates = ChunkUpdates(weights.replace(packed=packed))
    some = np.arange(0, n_features, 7, dtype=np.int32)
    first_node = np.zeros(len(some), np.uint8)
    for chunk in range(len(weights.child_ptr) - 1):
        first, last = weights.child_ptr[chunk : chunk + 2]
        try:
            updates.rewrite(
                chunk,
                (np.arange(last - first) % 2 == 0).astype(np.uint8),
                some,
                some,
                np.zeros(len(some), np.uint8),
                first_node,
                np.ones(len(some), np.float32),
                weights.scale[first:last].copy(),
                SPARE,
            )
            updates.widen(chunk, int(last - first) + 9)
        except ValueError as error:
            assert "damaged" in str(error)


def test_damage_is_told(data):
    X, Y = data
    clf = XRLinearClassifier(LabelTree.flat(60), random_state=0).fit(X, Y)
    level = clf.weights_[0]
    damaged = level.replace(packed=np.full_like(level.packed, 255))
    clf = XRLinearClassifier.from_model(TreeModel(clf.tree_, [damaged]))
    with pytest.raises(ValueError, match="weights of a chunk are damaged"):
        clf.partial_fit(X[:5], Y[:5])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_nodes=st.integers(3, 600),
    n_features=st.integers(1, 300),
    value_type=st.sampled_from(["int8", "float16", "float32"]),
    density=st.sampled_from([0.02, 0.3, 1.0]),
)
def test_empty_nodes_leave_the_others_as_they_are(
    seed, n_nodes, n_features, value_type, density
):
    rng = np.random.RandomState(seed)
    weights = random_weights(rng, n_nodes, n_features, value_type, density)
    n_new = rng.randint(0, 400, len(weights.parent_ptr) - 1)
    wider = with_empty_nodes(weights, n_new, -1.0)
    old = weights.offsets
    assert_array_equal(np.diff(wider.offsets), np.diff(old) + n_new)
    kept = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(wider.offsets, np.diff(old), strict=False)]
    )
    matrix = wider.to_csr()
    assert_array_equal(matrix[kept].toarray(), weights.to_csr().toarray())
    assert matrix.nnz == weights.to_csr().nnz
    assert_array_equal(wider.intercept[kept], weights.intercept)
    assert_array_equal(np.delete(wider.intercept, kept), np.full(n_new.sum(), -1.0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n_rows=st.integers(1, 12), density=st.floats(0, 1))
def test_joined_rows_make_the_same_problem(seed, n_rows, density):
    rng = np.random.RandomState(seed)
    offsets = np.array([0, 2, 3, 7, 9])
    target = sparse.random(n_rows, 9, density / 2, "csr", "f4", rng)
    parent = np.repeat(np.arange(4), np.diff(offsets))
    teacher = sparse.csr_matrix(
        (np.ones(target.nnz, "f4"), parent[target.indices], target.indptr),
        shape=(n_rows, 4),
        copy=True,  # the next line works in place
    )
    teacher.sum_duplicates()
    others = [
        sparse.random(n_rows, 4, density, "csr", "f4", rng) if use else None
        for use in rng.random(3) < 0.5
    ]
    use = joined_rows(teacher, *others)
    parents = np.unique(use.parents)
    children = np.concatenate(
        [np.arange(*offsets[p : p + 2]) for p in parents] or [np.empty(0, int)]
    ).astype(np.int64)
    sizes = np.append(0, np.cumsum(np.diff(offsets)[parents]))
    ours = problem_of_rows(use, parents, target, children, sizes)
    matched, known, mined = others
    slow = make_level_problem(
        target[:, children],
        teacher[:, parents],
        None if matched is None else matched[:, parents],
        sizes,
        True,
        None if known is None else known[:, parents],
        None if mined is None else mined[:, parents],
    )
    for name in ("child_ptr", "parent_ptr", "parent_rows", "positive_ptr"):
        assert_array_equal(getattr(ours, name), getattr(slow, name))
    assert_array_equal(ours.positive_rows, slow.positive_rows)
    assert_array_equal(ours.positive_weight, slow.positive_weight)
    if len(slow.parent_use):
        assert_array_equal(ours.parent_use, slow.parent_use)


# --- the estimator ------------------------------------------------------------------


def test_a_correction_raises_what_was_accepted_and_lowers_what_was_rejected(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:600], Y[:600])
    row = next(
        i for i in range(600, 900) if not Y[i, clf.predict_topk(X[i], 1)[0][0]].sum()
    )
    wrong = clf.predict_topk(X[row], k=1)[0][0]
    right = Y[row].indices[:1]
    pairs = sparse.csr_matrix(([1], ([0], wrong)), shape=(1, 60))
    before = clf.score_pairs(X[row], [*wrong, *right]).toarray()[0]
    clf.partial_fit(X[row], Y[row], negatives=pairs)
    after = clf.score_pairs(X[row], [*wrong, *right]).toarray()[0]
    assert after[wrong] < before[wrong]
    assert after[right] > before[right]


def test_rows_without_a_label_teach_that_nothing_is_right(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X, Y)
    best, before = clf.predict_topk(X[:1], k=1)
    for _ in range(3):
        clf.partial_fit(X[:1], sparse.csr_matrix((1, 60), dtype=int))
    after = clf.score_pairs(X[:1], best[0]).toarray()[0, best[0]]
    assert after < before[0]


def test_new_labels_join_and_are_found(data):
    X, Y = data
    Y = Y[:, np.argsort(-np.asarray(Y.sum(axis=0)).ravel(), kind="stable")]
    clf = XRLinearClassifier(SMALL_TREE, random_state=0)
    clf.partial_fit(X[:400], Y[:400, :50]).partial_fit(X[400:], Y[400:])
    assert clf.n_labels_ == clf.tree_.n_labels == 60
    assert len(clf.seen_.n_positives) == len(clf.propensities_) == 60
    assert_array_equal(
        clf.seen_.n_positives,
        np.asarray(Y[:400, :50].sum(axis=0)).ravel().tolist() @ np.eye(50, 60)
        + np.asarray(Y[400:].sum(axis=0)).ravel(),
    )
    new = np.flatnonzero(np.asarray(Y[400:, 50:].sum(axis=1)).ravel()) + 400
    found = clf.predict_topk(X[new], k=5)[0]
    hits = [
        np.isin(Y[r].indices[Y[r].indices >= 50], f).any()
        for r, f in zip(new, found, strict=True)
    ]
    assert np.mean(hits) > 0.5


def test_many_new_labels_need_more_chunks():
    X, Y = make_xmr_classification(
        n_samples=1200, n_features=300, n_labels=700, random_state=0
    )
    clf = XRLinearClassifier(
        HierarchicalLabelClusterer(max_leaf_size=20), random_state=0
    ).partial_fit(X[:600], Y[:600, :40])
    clf.partial_fit(X, Y)
    assert clf.tree_.n_labels == 700
    assert np.diff(clf.weights_[-1].child_ptr).max() <= 256
    assert clf.score(X, Y) > 0.3
    clf.model_.verify()


def test_decay_forgets(data):
    X, Y = data
    moves = []
    for decay in (1.0, 0.1):
        clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:600], Y[:600])
        before = weights_of(clf)
        clf.partial_fit(X[600:], Y[600:], decay=decay)
        moves.append(
            sum(
                np.abs(a - b).sum()
                for a, b in zip(before, weights_of(clf), strict=True)
            )
        )
        assert clf.seen_.n_samples == pytest.approx(600 * decay + 300)
    assert moves[1] > 1.2 * moves[0]


def test_classes_of_a_column(data):
    X, _ = data
    y = np.array(["b", "d", "e"])[np.arange(90) % 3]
    clf = XRLinearClassifier(random_state=0)
    clf.partial_fit(X[:90], y, classes=["a", "b", "c", "d", "e"])
    assert clf.classes_.tolist() == ["a", "b", "c", "d", "e"]
    clf.partial_fit(X[90:93], ["a", "c", "a"], classes=list("edcba"))
    clf.partial_fit(X[93:95], ["f", "a"])
    assert clf.classes_.tolist() == ["a", "b", "c", "d", "e", "f"]
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        clf.partial_fit(X[:2], ["a", "b"], classes=["a", "b"])
    with pytest.raises(ValueError, match="classes must hold all classes of y"):
        XRLinearClassifier().partial_fit(X[:2], ["a", "z"], classes=["a", "b"])
    with pytest.raises(ValueError, match="classes must be None for an indicator"):
        XRLinearClassifier().partial_fit(X[:2], np.eye(2), classes=[0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decay": 0}, "decay must be above 0"),
        ({"decay": 1.5}, "decay must be above 0"),
        ({"decay": "much"}, "decay must be above 0"),
        ({"X": np.ones((2, 3))}, "features"),
        ({"X": np.full((2, 400), np.nan)}, "NaN"),
        ({"y": np.ones((2, 30))}, "a column for each of the 60 labels"),
        ({"y": np.full((2, 60), 2)}, "0 and 1"),
        ({"y": np.ones((3, 60))}, "inconsistent numbers"),
        ({"sample_weight": [1, -1]}, "sample_weight"),
        ({"negatives": sparse.csr_matrix((1, 60))}, "negatives"),
    ],
)
def test_what_is_refused_changes_nothing(data, change, message):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X, Y)
    state = dict(vars(clf))
    arguments = {"X": X[:2], "y": Y[:2], **change}
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(**arguments)
    assert all(vars(clf)[name] is value for name, value in state.items())
    assert vars(clf).keys() == state.keys()


def test_an_interrupted_update_changes_nothing(data, monkeypatch):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X, Y)
    state = dict(vars(clf))

    def full(*args, **arrays):
        raise MemoryError("no memory")

    monkeypatch.setattr(PatchedWeights, "of", full)
    with pytest.raises(MemoryError):
        clf.partial_fit(X[:40], Y[:40])
    assert all(vars(clf)[name] is value for name, value in state.items())


def test_a_predictor_made_before_keeps_its_model(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:300], Y[:300])
    best = clf.topk_predictor(k=3)
    before = [best(x)[1].tolist() for x in X[300:340]]
    for row in range(300, 340):
        clf.partial_fit(X[row], Y[row])
    assert [best(x)[1].tolist() for x in X[300:340]] == before


@pytest.mark.parametrize("save", ["pickle", "file", "deepcopy"])
def test_saved_models_go_on_learning(data, save, tmp_path):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:300], Y[:300])
    for row in range(300, 310):  # patched, not whole
        clf.partial_fit(X[row], Y[row])
    if save == "pickle":
        other = pickle.loads(pickle.dumps(clf))
    elif save == "deepcopy":
        other = copy.deepcopy(clf)
    else:
        save_model(clf, tmp_path / "model")
        other = load_model(tmp_path / "model", verify=True)
    assert_same_model(clf, other)
    assert_array_equal(clf.predict_topk(X)[1], other.predict_topk(X)[1])
    assert_same_model(
        clf.partial_fit(X[310:400], Y[310:400]),
        other.partial_fit(X[310:400], Y[310:400]),
    )


def test_models_that_remember_nothing_learn(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:600], Y[:600])
    bare = XRLinearClassifier.from_model(clf.model_, random_state=0)
    bare.partial_fit(X[600:], Y[600:])
    assert bare.score(X, Y) > 0.4
    assert (bare.path_weight_, bare.beam_size_) == (1, 10)  # not of 300 instances
    assert np.isnan(bare.propensities_).all()
    del clf.seen_  # as in a model of before
    clf.partial_fit(X[600:], Y[600:])
    assert clf.seen_.n_samples == 300


@pytest.mark.parametrize("n_dense", [0, 3])
def test_what_was_seen_is_that_of_all_instances(data, n_dense):
    X, Y = data
    dense = np.random.RandomState(0).randn(900, n_dense).astype(np.float32)
    clf = XRLinearClassifier(SMALL_TREE, random_state=0)
    for start, end in ((0, 300), (300, 301), (301, 900)):
        clf.partial_fit(HybridFeatures(X[start:end], dense[start:end]), Y[start:end])
    both = np.hstack([X.toarray(), dense])
    assert_allclose(clf.seen_.mean_squares, np.square(both).mean(axis=0), rtol=1e-4)
    assert_array_equal(clf.seen_.n_positives, Y.sum(axis=0).A1)
    assert clf.seen_.n_samples == 900


def test_other_changes_keep_what_was_seen_in_step(data):
    X, Y = data
    clf = XRLinearClassifier(SMALL_TREE, random_state=0).fit(X[:600], Y[:600, :55])
    clf.add_labels(X, Y)
    assert len(clf.seen_.n_positives) == 60
    clf.remove_labels([0, 5])
    assert len(clf.seen_.n_positives) == 58
    kept = np.delete(np.arange(60), [0, 5])
    clf.partial_fit(X[600:], Y[600:][:, kept]).prune(energy=0.9)
    assert clf.partial_fit(X[:5], Y[:5][:, kept]).n_labels_ == 58


# --- pipelines and names ------------------------------------------------------------

TEXTS = ["red bird", "blue bird", "red fish", "blue fish"] * 3
NAMES = [["bird", "red"], ["bird"], ["fish", "red"], ["fish"]] * 3


@pytest.mark.parametrize("vectorizer", [HashingVectorizer(), TfidfVectorizer()])
def test_pipelines_of_texts(vectorizer):
    model = make_pipeline(vectorizer, XRLinearClassifier(random_state=0))
    y = [names[0] for names in NAMES]
    assert partial_fit(model, TEXTS, y) is model
    partial_fit(model, ["blue ray", "red ray"], ["ray", "ray"])
    assert model.classes_.tolist() == ["bird", "fish", "ray"]
    assert predict_topk(model, ["bird"], k=3)[0].shape == (1, 3)
    with pytest.raises(TypeError, match="must have a partial_fit"):
        partial_fit(make_pipeline(vectorizer, XRNeighborsClassifier()), TEXTS, y)


def test_names():
    clf = LabelNamesClassifier(
        make_pipeline(HashingVectorizer(), XRLinearClassifier(random_state=0))
    )
    clf.partial_fit(TEXTS, NAMES)
    fitted = copy.copy(clf)
    clf.partial_fit(["green ray", "green ray"], [["ray"], ["ray", "green"]])
    assert clf.classes_.tolist() == ["bird", "fish", "red", "green", "ray"]
    assert clf.predict_topk(["green ray"], k=1)[0][0, 0] in ("ray", "green")
    assert fitted.n_labels_ == 3  # the change was of a copy
    before = clf.predict_topk(["red bird"], k=5)
    clf.partial_fit(["red bird"] * 3, [["bird"]] * 3, negatives=[["red"]] * 3)
    after = clf.predict_topk(["red bird"], k=5)
    score = [
        dict(zip(names[0], scores[0], strict=True))["red"]
        for names, scores in (before, after)
    ]
    assert score[1] < score[0]
    with pytest.raises(ValueError, match="must hold known names, got 'whale'"):
        clf.partial_fit(["a"], [["bird"]], negatives=[["whale"]])
    with pytest.raises(ValueError, match="as many rows as y"):
        clf.partial_fit(["a"], [["bird"]], negatives=[["red"], ["red"]])
    with pytest.raises(ValueError, match="negatives must be None in the first call"):
        LabelNamesClassifier(XRLinearClassifier()).partial_fit(
            np.eye(2), [["a"], ["b"]], negatives=[[], []]
        )
    with pytest.raises(NotFittedError):
        LabelNamesClassifier(XRLinearClassifier()).predict(np.eye(2))
