"""Weights and relevance: against LIBLINEAR, removed and repeated rows, routing."""

from functools import partial

import numpy as np
import pytest
from estimators import SKLEARN_1_7
from linear_oracle import EXACT, coefficients, liblinear
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import estimator_checks
from sklearn.utils._testing import assert_allclose_dense_sparse

from sklearn_xmr import (
    LabelTree,
    XMRClassifier,
    XRCalibratedClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XRStackingClassifier,
)
from sklearn_xmr.metrics import propensity_scores

TREE = LabelTree.from_labels([0, 0, 1, 1, 1, 2, 2])


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_weighted_flat_tree_equals_liblinear(loss, random_problem, global_random_seed):
    X, Y = random_problem
    weight = np.random.RandomState(global_random_seed).rand(200) * 3
    clf = XRLinearClassifier(LabelTree.flat(7), loss=loss, **EXACT)
    got = coefficients(clf.fit(X, Y, sample_weight=weight), 0)
    for label in range(7):
        y = Y[:, [label]].toarray().ravel()
        expected = liblinear(X, y, loss, weight=weight)
        np.testing.assert_allclose(got[label], expected, atol=6e-4)


@pytest.mark.parametrize("sampling", ["tfn", "man"])
@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
def test_whole_weights_equal_repeated_rows(
    loss, sampling, random_problem, global_random_seed
):
    X, Y = random_problem
    weight = np.random.RandomState(global_random_seed).randint(0, 4, size=200)
    repeated = np.repeat(np.arange(200), weight)
    clf = XRLinearClassifier(TREE, loss=loss, negative_sampling=sampling, **EXACT)
    clf.fit(X, Y, sample_weight=weight)
    weighted = [coefficients(clf, level) for level in range(2)]
    clf.fit(X[repeated], Y[repeated])
    for level in range(2):
        np.testing.assert_allclose(weighted[level], coefficients(clf, level), atol=1e-3)


EXACT_TREE = XRLinearClassifier(LabelTree.flat(3), **EXACT)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize(
    "clf",
    [
        EXACT_TREE,
        clone(EXACT_TREE).set_params(loss="logistic"),
        XRStackingClassifier([("tree", EXACT_TREE)]),
    ],
)
def test_equivalence_checks_of_scikit_learn(kind, clf, monkeypatch):
    """At the precision that float32 has, on a model trained to the end.

    A stack is given splits as its ``cv``, of rows some of which have weight 0.
    """
    monkeypatch.setattr(
        estimator_checks,
        "assert_allclose_dense_sparse",
        partial(assert_allclose_dense_sparse, rtol=1e-3, atol=1e-4),
    )
    check = getattr(estimator_checks, f"check_sample_weight_equivalence_on_{kind}_data")
    check(type(clf).__name__, clf)


def test_rows_of_weight_zero_take_no_part_at_all(small):
    X, Y = small
    weight = np.ones(X.shape[0])
    weight[::3] = 0
    clf = XRLinearClassifier(random_state=0)
    labels, scores = clf.fit(X, Y, sample_weight=weight).predict_topk(X)
    expected = clf.fit(X[weight > 0], Y[weight > 0]).predict_topk(X)
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_allclose(scores, expected[1], atol=1e-6)


def test_relevance_and_weight_multiply(random_problem, global_random_seed):
    X, Y = random_problem
    rng = np.random.RandomState(global_random_seed)
    weight, R = rng.rand(200) + 0.5, Y.copy()
    R.data = rng.rand(R.nnz).astype(np.float32) + 0.5
    clf = XRLinearClassifier(LabelTree.flat(7), **EXACT)
    got = coefficients(clf.fit(X, Y, sample_weight=weight, relevance=R), 0)
    for label in range(7):
        y = Y[:, [label]].toarray().ravel()
        cost = np.where(y, R[:, [label]].toarray().ravel(), 1) * weight
        expected = liblinear(X, y, "squared_hinge", weight=cost)
        np.testing.assert_allclose(got[label], expected, atol=6e-4)


@pytest.mark.parametrize("sampling", ["tfn", "man"])
def test_known_negatives_join_the_rows_of_their_nodes(
    sampling, random_problem, global_random_seed
):
    X, Y = random_problem
    rng = np.random.RandomState(global_random_seed)
    wrong = sparse.csr_matrix((rng.rand(200, 7) < 0.2) & (Y.toarray() == 0))
    clf = XRLinearClassifier(TREE, negative_sampling=sampling, beam_size=1, **EXACT)
    clf.fit(X, Y, negatives=wrong)
    membership = np.eye(3)[TREE.cluster_of_label]
    rows_of = Y @ membership > 0
    if sampling == "man":
        rows_of = clf.transform(X).toarray() > 0
    rows_of = rows_of | (wrong @ membership > 0)
    for place, label in enumerate(TREE.label_order):
        y = Y[:, [label]].toarray().ravel()
        rows = np.flatnonzero(rows_of[:, TREE.cluster_of_label[label]] | (y > 0))
        expected = liblinear(X[rows], y[rows], "squared_hinge")
        np.testing.assert_allclose(coefficients(clf, 1)[place], expected, atol=6e-4)


def test_propensities_as_costs(random_problem):
    X, Y = random_problem
    R = (Y @ sparse.diags(1 / propensity_scores(Y))).tocsr()
    clf = XRLinearClassifier(TREE, cost_sensitive="propensity", **EXACT).fit(X, Y)
    got = [coefficients(clf, level) for level in range(2)]
    clf.set_params(cost_sensitive="ranker_only").fit(X, Y, relevance=R)
    for level in range(2):
        np.testing.assert_allclose(got[level], coefficients(clf, level), atol=1e-3)


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (np.zeros((3, 7)), "must have the shape of y"),
        (np.ones((200, 7)), "zero wherever y is positive"),
    ],
)
def test_bad_negatives(negatives, message, random_problem):
    with pytest.raises(ValueError, match=message):
        XRLinearClassifier().fit(*random_problem, negatives=negatives)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), "one weight for each of the 200 samples, got shape"),
        (-np.ones(200), "finite and non-negative"),
        (np.zeros(200), "not all zero"),
        (np.full(200, np.nan), "finite and non-negative"),
    ],
)
def test_bad_weights(weight, message, random_problem):
    X, Y = random_problem
    with pytest.raises(ValueError, match=message):
        XRLinearClassifier().fit(X, Y, sample_weight=weight)


def test_weights_on_rows_without_labels_only():
    X, Y = (
        sparse.eye(4, format="csr"),
        sparse.csr_matrix([[1, 0], [0, 1], [0, 0], [0, 0]]),
    )
    with pytest.raises(ValueError, match="positive for some instance with a label"):
        XRLinearClassifier().fit(X, Y, sample_weight=[0, 0, 1, 1])


def test_metadata_is_routed_through_pipeline_and_search(small):
    """The best model of the search is the one that a fit by hand gives."""
    X, Y = small
    weight = np.random.RandomState(0).rand(X.shape[0]) + 0.1
    R = Y.multiply(weight[:, None]).tocsr()
    clf = XRLinearClassifier(random_state=0)
    with config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=True, relevance=True)
        clf.set_score_request(sample_weight=True)
        pipe = make_pipeline(MaxAbsScaler(), clf)
        if SKLEARN_1_7:  # there, a pipeline has a request of its own
            pipe.set_score_request(sample_weight=True)
        search = GridSearchCV(pipe, {"xrlinearclassifier__C": [0.5]}, cv=2)
        search.fit(X, Y, sample_weight=weight, relevance=R)
    by_hand = XRLinearClassifier(C=0.5, random_state=0).fit(
        MaxAbsScaler().fit_transform(X), Y, sample_weight=weight, relevance=R
    )
    got = search.best_estimator_[-1]
    np.testing.assert_array_equal(got.weights_[-1].packed, by_hand.weights_[-1].packed)
    assert got.weights_[-1].nnz != clf.fit(X, Y).weights_[-1].nnz


# --- models that hand weights on -----------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        XMRClassifier(TREE, XRLinearClassifier(**EXACT), XRLinearClassifier(**EXACT)),
        XMRClassifier(
            np.array([0, 0, 1, 1, 1, 2, 2]),
            XRLinearClassifier(**EXACT),
            LogisticRegression(tol=1e-8),
        ),
    ],
)
def test_stages_take_weights(model, random_problem, global_random_seed):
    X, Y = random_problem
    model.set_params(negative_sampling="tfn", random_state=0, top_k=7)
    weight = np.random.RandomState(global_random_seed).randint(0, 4, size=200)
    repeated = np.repeat(np.arange(200), weight)
    given = model.fit(X, Y, sample_weight=weight).predict_proba(X).toarray()
    same = model.fit(X[repeated], Y[repeated]).predict_proba(X).toarray()
    np.testing.assert_allclose(given, same, atol=2e-3)
    plain = model.fit(X, Y).predict_proba(X).toarray()
    assert np.abs(plain - given).max() > 0.05


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_calibration_takes_weights(method, small):
    X, Y = small
    base = XRLinearClassifier(random_state=0)
    clf = XRCalibratedClassifier(base, method=method, random_state=0)
    kept = np.arange(600) % 3 > 0
    clf.fit(X, Y, sample_weight=kept)
    expected = XRCalibratedClassifier(base, method=method, random_state=0)
    expected.fit(X[kept], Y[kept])
    assert_allclose_dense_sparse(clf.predict_proba(X), expected.predict_proba(X))
    assert clf.threshold_ == expected.threshold_
    # Of a model without weights the curve alone follows: instances with many labels,
    # whose labels are right more often, count little, then much.
    clf.set_params(estimator=XRLabelVectorsClassifier(), validation_size=300)
    many = np.diff(Y.indptr) > 3
    means = []
    for factor in (0.02, 50.0):
        clf.fit(X, Y, sample_weight=np.where(many, factor, 1.0))
        means.append(clf._calibrate(np.full(1, 0.3, dtype=np.float32))[0])
    assert means[0] < means[1]
