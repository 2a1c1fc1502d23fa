"""Sparse and dense features side by side: as good as merged, never merged."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    HybridFeatures,
    HybridUnion,
    LabelTree,
    XRLinearClassifier,
    make_topk_scorer,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.metrics import precision_at_k


@pytest.fixture(scope="module")
def blocks(small):
    """The small problem with 11 dense features that say something about its labels."""
    X, Y = small
    rng = np.random.RandomState(0)
    dense = Y @ rng.randn(Y.shape[1], 11) + 0.3 * rng.randn(Y.shape[0], 11)
    return X, dense.astype(np.float32), Y


EXACT = {"tol": 1e-5, "max_iter": 3000, "weight_threshold": 0, "random_state": 0}


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_blocks_equal_the_merged_matrix(loss, dtype, blocks):
    X, dense, Y = blocks
    tree = LabelTree.from_labels(np.arange(Y.shape[1]) // 7)
    settings = {**EXACT, "weight_dtype": dtype, "negative_sampling": "tfn"}
    clf = XRLinearClassifier(tree, loss=loss, **settings)  # no search in between
    hybrid = HybridFeatures(X, dense)
    merged = sparse.hstack([X, sparse.csr_matrix(dense)], format="csr")
    one = clf.fit(merged, Y).predict_topk(merged, 5)
    coefficients = [w.to_csr().toarray() for w in clf.weights_]
    two = clf.fit(hybrid, Y).predict_topk(hybrid, 5)
    tolerance = {"float32": 2e-3, "float16": 5e-3, "int8": 0.05}[dtype]
    for weights, merged_weights in zip(clf.weights_, coefficients, strict=True):
        got = np.hstack([weights.to_csr().toarray(), weights.dense_weights()])
        np.testing.assert_allclose(got, merged_weights, atol=tolerance)
    np.testing.assert_allclose(one[1], two[1], atol=4 * tolerance)


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge", "logistic"])
@pytest.mark.parametrize("n_dense", [0, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_products_of_rows_train_the_same_weights(loss, n_dense, weighted, blocks):
    """Gram mode against steps on the weights: one optimum, two ways to it."""
    X, dense, Y = blocks
    Y = Y[:, :36]
    relevance = Y * 1.5 if weighted else None
    if weighted:
        relevance.data[::5] = 0  # takes the pair out
    tree = LabelTree.from_labels(np.arange(Y.shape[1]) // 9)
    clf = XRLinearClassifier(
        tree,
        loss=loss,
        # Margins of support vectors of the hinge are 1, and equal up to rounding.
        negative_sampling="tfn" if loss == "hinge" else "hard",
        n_hard_clusters=tree.n_clusters,  # of fewer, rounding would decide which
        weight_dtype="float32",
        **EXACT,
    )
    coefficients = {}
    for mode in ("rows", "gram"):
        clf._solver_mode = mode
        clf.fit((X, dense[:, :n_dense]), Y, relevance=relevance)
        coefficients[mode] = [
            np.hstack([w.to_csr().toarray(), w.dense_weights(), w.intercept[:, None]])
            for w in clf.weights_
        ]
    for one, two in zip(coefficients["rows"], coefficients["gram"], strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3, rtol=1e-3)


def test_dense_block_alone_equals_sparse(blocks):
    _, dense, Y = blocks
    tree = LabelTree.flat(Y.shape[1])
    clf = XRLinearClassifier(tree, weight_dtype="float32", **EXACT)
    one = clf.fit(dense, Y).predict_topk(dense, 3)
    two = clf.fit((None, dense), Y).predict_topk((None, dense), 3)
    np.testing.assert_allclose(one[1], two[1], atol=1e-3)


def test_all_ways_to_predict_agree(blocks):
    X, dense, Y = blocks
    hybrid = HybridFeatures(X, dense)
    clf = XRLinearClassifier(random_state=0, beam_size=3).fit(hybrid, Y)
    labels, scores = clf.predict_topk(hybrid, 4)
    best = clf.topk_predictor(4)
    for row in range(10):
        for x in (hybrid[row], (X[row], dense[row])):
            np.testing.assert_array_equal(best(x)[0], labels[row])
            np.testing.assert_array_equal(best(x)[1], scores[row])
    pairs = clf.score_pairs(hybrid, np.arange(Y.shape[1])).toarray()
    np.testing.assert_allclose(np.take_along_axis(pairs, labels, 1), scores, atol=1e-6)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict_topk((X, dense), 4)[0], labels)
    assert clf.predict_proba(hybrid).shape == Y.shape


def test_dense_features_help_where_they_tell_more(blocks):
    X, dense, Y = blocks
    half = X.shape[0] // 2
    hybrid = HybridFeatures(X, dense)
    clf = XRLinearClassifier(random_state=0)
    sparse_score = clf.fit(X[:half], Y[:half]).score(X[half:], Y[half:])
    both_score = clf.fit(hybrid[:half], Y[:half]).score(hybrid[half:], Y[half:])
    assert both_score > sparse_score


def test_matcher_aware_negatives_and_relevance(blocks):
    X, dense, Y = blocks
    clf = XRLinearClassifier(negative_sampling="tfn+man", random_state=0)
    clf.fit((X, dense), Y, relevance=Y)
    topk = clf.predict_topk((X, dense), 1)
    assert precision_at_k(Y, topk, k=1) > 0.8


def test_union_in_a_pipeline_and_a_search():
    data = load_tate_subjects(subset="train")
    texts, Y = list(data.data[:600]), data.target[:600]
    union = HybridUnion(
        [
            ("words", TfidfVectorizer()),
            ("topics", make_pipeline(TfidfVectorizer(), TruncatedSVD(8))),
        ]
    )
    pipe = make_pipeline(union, XRLinearClassifier(random_state=0))
    grid = {"xrlinearclassifier__C": [0.5, 1.0]}
    scorer = make_topk_scorer(precision_at_k, k=1)
    search = GridSearchCV(pipe, grid, scoring=scorer, cv=2, error_score="raise")
    search.fit(texts, Y)
    assert search.best_score_ > 0.2
    assert search.best_estimator_[-1].n_dense_features_ == 8


def test_rows_are_taken_like_an_array(blocks):
    X, dense, _ = blocks
    hybrid = HybridFeatures(X, dense)
    mask = np.arange(len(hybrid)) % 3 == 0
    for key in (slice(3, 9), np.array([5, 2]), mask):
        taken = hybrid[key]
        assert abs(taken.sparse - X[key]).max() == 0
        np.testing.assert_array_equal(taken.dense, dense[key])
    assert hybrid[-1].shape == (1, hybrid.shape[1])
    with pytest.raises(TypeError, match="by rows only"):
        hybrid[:, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, D: HybridFeatures(X, D[:-1]), "inconsistent numbers of samples"),
        (lambda X, D: HybridFeatures(X, D * np.nan), "NaN"),
        (lambda X, D: HybridFeatures(X * np.inf, D), "infinity|NaN"),
        (lambda X, D: HybridFeatures(X, D[0]), "2D array"),
    ],
)
def test_bad_blocks(make, message, blocks):
    X, dense, _ = blocks
    with pytest.raises(ValueError, match=message), np.errstate(invalid="ignore"):
        make(X, dense)


def test_prediction_wants_the_blocks_of_fit(blocks):
    X, dense, Y = blocks
    clf = XRLinearClassifier(random_state=0).fit((X, dense), Y)
    with pytest.raises(TypeError, match="HybridFeatures or a pair"):
        clf.predict_topk(X)
    with pytest.raises(ValueError, match="400 sparse and 11 dense"):
        clf.predict_topk((X, dense[:, 1:]))
    best = clf.topk_predictor()
    with pytest.raises(ValueError, match="sparse row, dense"):
        best(X[0])
    with pytest.raises(ValueError, match="11 finite numbers"):
        best((X[0], dense[0, 1:]))
    sparse_only = XRLinearClassifier(random_state=0).fit(X, Y)
    with pytest.raises(TypeError, match="one matrix"):
        sparse_only.predict_topk(HybridFeatures(X, dense))
