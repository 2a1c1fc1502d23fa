"""TreeModel: checked when made or loaded, never changed."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelTree,
    XRLinearClassifier,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear import ChunkedWeights, TreeModel

X, Y = make_xmr_classification(120, 60, 40, random_state=0)
DENSE = np.random.RandomState(0).randn(120, 3).astype(np.float32)
BOTH = HybridFeatures(X, DENSE)


def fitted(**params):
    tree = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=8)
    return XRLinearClassifier(tree, random_state=0, **params).fit(BOTH, Y).model_


MODEL = fitted()


def test_answers_are_those_of_the_estimator():
    clf = XRLinearClassifier(random_state=0).fit(BOTH, Y)
    labels, log_scores = clf.model_.topk(BOTH, 5)
    expected, scores = clf.predict_topk(BOTH, 5)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(np.exp(log_scores), scores)
    assert clf.nbytes_ == clf.model_.nbytes


def test_child_weights_give_the_margins():
    model = fitted(weight_dtype="float32", weight_threshold=0)
    rows = np.hstack([X.toarray(), DENSE])
    expected = model.score_pairs(
        BOTH, every_pair(), post_processor="noop"
    ).toarray()  # a label's own margin
    weights, intercepts = [], []
    for cluster in range(model.tree.n_clusters):
        w, b = model.child_weights(model.tree.n_levels - 1, [cluster])
        weights.append(w.toarray())
        intercepts.append(b)
    margins = rows @ np.vstack(weights).T + np.concatenate(intercepts)
    np.testing.assert_allclose(margins, expected[:, model.tree.label_order], atol=1e-4)
    own = model.label_weights().toarray()[model.tree.label_order]
    np.testing.assert_array_equal(own, np.vstack(weights))


def every_pair():
    from scipy import sparse

    return sparse.csr_matrix(np.ones((120, 40), dtype=bool))


def test_nothing_of_it_can_be_set():
    for name in ("tree", "weights", "n_labels", "nbytes"):
        with pytest.raises(AttributeError):
            setattr(MODEL, name, None)
    for level in MODEL.weights:
        for array in level.arrays().values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_changes_make_new_models():
    before = MODEL.topk(BOTH, 6)
    checksum = MODEL.checksum()
    MODEL.without_labels([3, 5])
    MODEL.pruned(energy=0.5)
    assert MODEL.checksum() == checksum
    for old, new in zip(before, MODEL.topk(BOTH, 6), strict=True):
        np.testing.assert_array_equal(old, new)


def test_arrays_replaced_behind_its_back_change_no_answer():
    model = fitted()
    before = model.topk(BOTH, 6)
    for level in model.weights:
        for name, array in level.arrays().items():
            setattr(level, name, np.zeros_like(array))
    junk = [np.full(n, 255, np.uint8) for n in (1000, 10_000, 100_000) * 20]
    for old, new in zip(before, model.topk(BOTH, 6), strict=True):
        np.testing.assert_array_equal(old, new)
    assert junk


# --- soundness ---------------------------------------------------------------------

BROKEN = {
    "buckets too large": ("buckets", lambda a: set_(a, np.s_[:, 1:], 4_000_000_000)),
    "buckets fall": ("buckets", lambda a: set_(a, np.s_[:, -2], 0)),
    "buckets start late": ("buckets", lambda a: set_(a, np.s_[:, 0], 1)),
    "too few buckets": ("buckets", lambda a: a[:, :1].copy()),
    "child_ptr ends late": ("child_ptr", lambda a: set_(a, -1, 1 << 40)),
    "child_ptr starts below": ("child_ptr", lambda a: set_(a, 0, -3)),
    "chunk_ptr below zero": ("chunk_ptr", lambda a: set_(a, 0, -(1 << 40))),
    "chunk_ptr too far": ("chunk_ptr", lambda a: a + 1),
    "parent_ptr too far": ("parent_ptr", lambda a: set_(a, -1, 1 << 30)),
    "packed cut": ("packed", lambda a: a[:64].copy()),
    "packed too long": ("packed", lambda a: np.append(a, a[:3])),
    "scale not finite": ("scale", lambda a: set_(a, 0, np.nan)),
    "intercept not finite": ("intercept", lambda a: set_(a, 0, np.inf)),
    "scale too short": ("scale", lambda a: a[:-1].copy()),
    "dense of another type": ("dense", lambda a: a.astype(np.float64)),
    "dense of fewer rows": ("dense", lambda a: a[1:].copy()),
    "dense_scale as text": ("dense_scale", lambda a: a.astype(str)),
    "shift too large": ("shift", lambda a: 40),
    "shift below zero": ("shift", lambda a: -1),
    "n_features below zero": ("n_features", lambda a: -5),
    "n_features too many": ("n_features", lambda a: 1 << 40),
    "unknown value type": ("value_type", lambda a: "int4"),
    "another value type": ("value_type", lambda a: "float32"),
    "not contiguous": ("packed", lambda a: np.repeat(a, 2)[::2]),
}


def set_(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize("level", [0, -1])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_arrays_are_refused(case, level):
    name, change = BROKEN[case]
    weights = MODEL.weights[level]
    broken = change(getattr(weights, name))
    with pytest.raises(ValueError, match=f"{name}|dense|buckets|chunk_ptr"):
        weights.replace(**{name: broken})
    if case == "not contiguous":  # as pickle writes it, it is
        return
    saved = pickle.loads(pickle.dumps(MODEL))
    vars(saved.weights[level])[name] = broken  # as a file might hold it
    with pytest.raises(ValueError, match=r"must|broken"):
        pickle.loads(pickle.dumps(saved))


def test_weights_of_another_tree_are_refused():
    with pytest.raises(ValueError, match="weights must hold the 1 levels"):
        TreeModel(LabelTree.flat(40), MODEL.weights)
    others = fitted_with(LabelTree.from_labels(np.arange(40) // 8))
    with pytest.raises(ValueError, match=r"weights\[1\] must have the nodes"):
        TreeModel(
            LabelTree.from_labels(np.minimum(np.arange(40) // 2, 4)), others.weights
        )
    with pytest.raises(TypeError, match="tree must be a LabelTree"):
        TreeModel([0, 1], MODEL.weights)
    with pytest.raises(TypeError, match=r"weights\[0\] must be ChunkedWeights"):
        TreeModel(LabelTree.flat(40), [np.eye(40)])


def fitted_with(tree):
    return XRLinearClassifier(tree, random_state=0).fit(X, Y).model_


def test_a_tree_in_a_damaged_file_is_refused():
    saved = pickle.loads(pickle.dumps(MODEL))
    order = saved.tree.label_order.copy()
    order[0] = order[1]
    vars(saved.tree)["_label_order"] = order
    with pytest.raises(ValueError, match="label_order"):
        pickle.loads(pickle.dumps(saved))


def test_verify_finds_a_changed_byte():
    state = MODEL.__getstate__()
    again = pickle.loads(pickle.dumps(MODEL))
    again.verify()
    last = state["weights"][-1]
    state["weights"][-1] = last.replace(intercept=set_(last.intercept, 2, 0.125))
    damaged = TreeModel.__new__(TreeModel)
    damaged.__setstate__(state)  # sound, but not what was saved
    with pytest.raises(ValueError, match="checksum"):
        damaged.verify()


def test_a_file_of_another_format_is_refused():
    state = MODEL.__getstate__() | {"format": 99}
    with pytest.raises(ValueError, match=r"format 99, but .* reads format 1"):
        TreeModel.__new__(TreeModel).__setstate__(state)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"beam_size": 0}, "beam_size must be"),
        ({"beam_size": -1}, "beam_size must be"),
        ({"beam_size": 2.0}, "beam_size must be"),
        ({"post_processor": "l9_hinge"}, "post_processor must be"),
        ({"label_weight": np.ones(3, np.float32)}, "label_weight must hold"),
        ({"label_weight": -np.ones(40)}, "label_weight must be positive"),
        (
            {"label_weight": np.ones(40, np.float32), "post_processor": "noop"},
            "label_weight multiplies",
        ),
    ],
)
def test_settings_are_checked_where_they_act(params, match):
    with pytest.raises(ValueError, match=match):
        MODEL.topk(BOTH, 3, **params)
    with pytest.raises(ValueError, match=match):
        MODEL.row_search(3, **{"beam_size": 1, "post_processor": "sigmoid"} | params)


def test_instances_of_other_widths_are_refused():
    for wrong in (HybridFeatures(X), HybridFeatures(X[:, 1:], DENSE)):
        for answer in (
            lambda X=wrong: MODEL.topk(X, 3),
            lambda X=wrong: MODEL.matching(X),
            lambda X=wrong: MODEL.score_pairs(X, every_pair()),
        ):
            with pytest.raises(ValueError, match="X must have 60 sparse and 3 dense"):
                answer()


@given(
    k=st.one_of(st.integers(1, 60), st.just(2**63), st.just(2**80)),
    beam_size=st.one_of(st.none(), st.integers(1, 60), st.just(2**63)),
    post_processor=st.sampled_from(["l3_hinge", "sigmoid", "log_l1_hinge", "noop"]),
    n_rows=st.integers(1, 20),
)
@settings(max_examples=40)
def test_any_k_and_beam(k, beam_size, post_processor, n_rows):
    """Ranked by score_pairs' scores, which know no beam."""
    some = BOTH[:n_rows]
    labels, log_scores = MODEL.topk(
        some, k, beam_size=beam_size, post_processor=post_processor
    )
    assert labels.shape == (n_rows, min(k, 40))
    exact = MODEL.score_pairs(
        some, every_pair()[:n_rows], post_processor=post_processor
    ).toarray()
    rows, places = np.nonzero(labels >= 0)
    np.testing.assert_allclose(
        log_scores[rows, places], exact[rows, labels[rows, places]], atol=1e-5
    )
    if beam_size is None or beam_size >= 40:
        best = -np.sort(-exact, axis=1)[:, : labels.shape[1]]
        np.testing.assert_allclose(log_scores, best, atol=1e-5)


# --- weights from elsewhere -----------------------------------------------------


@given(seed=st.integers(0, 2**31 - 1), value_type=st.sampled_from(["float32", "int8"]))
@settings(deadline=None, max_examples=30)
def test_weights_of_a_matrix_come_back(seed, value_type):
    rng = np.random.RandomState(seed)
    sizes = rng.choice([1, 2, 255, 256, 257, 600], size=rng.randint(1, 4))
    matrix = sparse.random(
        sizes.sum(), rng.choice([1, 40, 5000]), 0.05, "csr", random_state=rng
    )
    offsets = np.append(0, np.cumsum(sizes))
    intercept = rng.randn(sizes.sum())
    weights = ChunkedWeights.from_csr(matrix, intercept, offsets, value_type)
    np.testing.assert_array_equal(weights.offsets, offsets)
    np.testing.assert_array_equal(weights.intercept, intercept.astype(np.float32))
    found, wanted = weights.to_csr().toarray(), matrix.toarray().astype(np.float32)
    if value_type == "float32":
        np.testing.assert_array_equal(found, wanted)
    else:
        step = np.abs(wanted).max(axis=1, keepdims=True) / 127
        assert (np.abs(found - wanted) <= step * 0.501).all()


def test_a_model_of_its_own_weights_is_the_same():
    model = XRLinearClassifier(weight_dtype="float32", random_state=0).fit(X, Y).model_
    levels = [
        ChunkedWeights.from_csr(w.to_csr(), w.intercept, w.offsets)
        for w in model.weights
    ]
    again = XRLinearClassifier.from_model(TreeModel(model.tree, levels))
    found = again.model_.topk(HybridFeatures(X), 5)
    for got, wanted in zip(found, model.topk(HybridFeatures(X), 5), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intercept": [0.0]}, "intercept must have a number for each of the 2 rows"),
        ({"intercept": [0.0, np.inf]}, "intercept must hold finite numbers"),
        ({"matrix": sparse.csr_matrix([[np.nan], [1]])}, "matrix must hold finite"),
        ({"offsets": [0, 1]}, "offsets must be integers that rise from 0 to the 2"),
        ({"offsets": [0, 3, 2]}, "offsets must be integers that rise"),
        ({"offsets": [0.0, 2.0]}, "offsets must be integers that rise"),
        ({"offsets": []}, "offsets must be integers that rise"),
        ({"value_type": "int4"}, "value_type must be one of"),
    ],
)
def test_weights_of_a_matrix_are_checked(changes, message):
    given = {
        "matrix": sparse.csr_matrix([[1.0], [2.0]]),
        "intercept": [0.0, 0.0],
        "offsets": [0, 2],
    }
    with pytest.raises(ValueError, match=message):
        ChunkedWeights.from_csr(**(given | changes))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [4095, 4097, 8191, 8193, 12289, 20003])
def test_large_batches_lose_no_row(n_rows, n_threads):
    """The last rows of a batch of several blocks were answered with -1."""
    X, Y = make_xmr_classification(300, 40, 12, random_state=0)
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    rows = np.arange(n_rows) % 300
    expected = clf.predict_topk(X, k=5)
    with threadpool_limits(n_threads):
        found = clf.predict_topk(X[rows], k=5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other[rows])
