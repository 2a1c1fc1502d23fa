"""Metrics at k against slow loops, on every form of scores."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from sklearn_xmr import XRLinearClassifier, make_topk_scorer, predict_topk
from sklearn_xmr.metrics import (
    ndcg_at_k,
    precision_at_k,
    propensity_scores,
    psndcg_at_k,
    psprecision_at_k,
    recall_at_k,
)


def slow_ranking(scores, stored, k):
    """Labels of a row: score descending, label ascending, stored ones only."""
    labels = [label for label in range(len(scores)) if stored[label]]
    return sorted(labels, key=lambda label: (-scores[label], label))[:k]


def slow_metrics(truth, scores, stored, k, p):
    """All metrics, row by row, as their definitions read."""
    rows = []
    for y, s, present in zip(truth, scores, stored, strict=True):
        top = slow_ranking(s, present, k)
        hits = [int(y[label]) for label in top]
        discount = [1 / np.log2(rank + 2) for rank in range(k)]
        best = sorted((1 / p[y > 0]).tolist(), reverse=True)[:k]
        gains = [hit / p[label] for hit, label in zip(hits, top, strict=True)]
        n_true = int(y.sum())
        rows.append(
            {
                "precision": sum(hits) / k,
                "recall": sum(hits) / n_true if n_true else 0,
                "ndcg": np.dot(hits, discount[: len(hits)])
                / sum(discount[: min(k, n_true)])
                if n_true
                else 0,
                "psp": sum(gains) / k,
                "psp_best": sum(best) / k,
                "psn": np.dot(gains, discount[: len(gains)]) / sum(discount),
                "psn_best": np.dot(best, discount[: len(best)]) / sum(discount),
            }
        )
    mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    for name in ("psp", "psn"):
        best = mean[f"{name}_best"]
        mean[f"{name}_norm"] = mean[name] / best if best else 0
    return mean


@st.composite
def rankings(draw):
    seed = draw(st.integers(0, 2**31 - 1))
    rng = np.random.RandomState(seed)
    n, n_labels = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    truth = (rng.rand(n, n_labels) < rng.rand()).astype(int)
    # Few distinct values: ties. Negative ones: stored, so ranked.
    scores = rng.randint(-2, 3, size=(n, n_labels)).astype(float)
    stored = rng.rand(n, n_labels) < rng.rand()
    propensities = rng.uniform(0.1, 1, n_labels)
    return truth, scores, stored, propensities, draw(st.integers(1, 14))


def assert_metrics(truth, y_score, k, p, expected):
    close = {"rel": 1e-12, "abs": 1e-12}
    for metric, name in (
        (precision_at_k, "precision"),
        (recall_at_k, "recall"),
        (ndcg_at_k, "ndcg"),
    ):
        assert metric(truth, y_score, k) == pytest.approx(expected[name], **close)
    for metric, name in ((psprecision_at_k, "psp"), (psndcg_at_k, "psn")):
        raw = metric(truth, y_score, k, propensities=p, normalize=False)
        assert raw == pytest.approx(expected[name], **close)
        ratio = metric(truth, y_score, k, propensities=p)
        assert ratio == pytest.approx(expected[f"{name}_norm"], **close)


@given(rankings())
@settings(max_examples=200, deadline=None)
def test_all_forms_equal_the_slow_version(case):
    truth, scores, stored, p, k = case
    expected = slow_metrics(truth, scores, stored, k, p)
    n_labels = truth.shape[1]
    rows, labels = np.nonzero(stored)
    as_csr = sparse.csr_matrix((scores[stored], (rows, labels)), shape=truth.shape)
    assert as_csr.nnz == stored.sum()  # explicit zeros stay stored: they are ranked
    padded = np.where(stored, np.arange(n_labels), -1)
    order = np.random.RandomState(0).permutation(n_labels)  # pairs need no order
    pair = padded[:, order], scores[:, order]
    for y_true in (truth, sparse.csr_matrix(truth), sparse.csr_array(truth)):
        for y_score in (as_csr, as_csr.tocsc(), pair):
            assert_metrics(y_true, y_score, k, p, expected)
    everything = np.ones_like(stored)
    expected = slow_metrics(truth, scores, everything, k, p)
    assert_metrics(truth, scores, k, p, expected)
    assert_metrics(sparse.csr_matrix(truth), scores.tolist(), k, p, expected)


def test_ndcg_equals_scikit_learn(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    truth = (rng.rand(50, 30) < 0.2).astype(int)
    scores = rng.rand(50, 30)
    for k in (1, 5, 30):
        assert ndcg_at_k(truth, scores, k) == pytest.approx(
            ndcg_score(truth, scores, k=k)
        )


def test_blocks_of_dense_scores(monkeypatch, global_random_seed):
    from sklearn_xmr.metrics import _ranking

    rng = np.random.RandomState(global_random_seed)
    truth, scores = (rng.rand(57, 20) < 0.2).astype(int), rng.rand(57, 20)
    whole = precision_at_k(truth, scores, 3)
    monkeypatch.setattr(_ranking, "BLOCK_VALUES", 100)
    assert precision_at_k(truth, scores, 3) == whole


def test_sample_weight():
    truth, scores = np.eye(3, dtype=int), np.eye(3)[[0, 1, 0]]
    assert precision_at_k(truth, scores, 1) == pytest.approx(2 / 3)
    assert precision_at_k(truth, scores, 1, sample_weight=[1, 1, 0]) == 1


def test_propensities_follow_the_formula(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    Y = sparse.csr_matrix((rng.rand(300, 8) < rng.rand(8)).astype(int))
    counts = np.asarray(Y.sum(axis=0)).ravel()
    for A, B in ((0.55, 1.5), (0.6, 2.6)):
        C = (np.log(300) - 1) * (B + 1) ** A
        expected = 1 / (1 + C * np.exp(-A * np.log(counts + B)))
        np.testing.assert_allclose(propensity_scores(Y, A, B), expected)
    assert propensity_scores([[1, 0]]).max() <= 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"k": 0}, "k must be an integer"),
        ({"k": 1.0}, "k must be an integer"),
        ({"y_true": [[0, 2], [1, 0]]}, "y_true must hold only 0 and 1"),
        ({"y_true": [0, 1]}, "y_true|Expected 2D"),
        ({"y_score": [[1.0, 2.0, 3.0]] * 2}, "y_score must have the shape of y_true"),
        ({"y_score": [[np.nan, 1.0]] * 2}, "y_score contains NaN"),
        ({"y_score": sparse.eye(3, format="csr")}, "y_score must have the shape"),
        (
            {"y_score": (np.array([[0], [2]]), np.ones((2, 1)))},
            "labels must be below 2",
        ),
        ({"y_score": (np.array([[0]]), np.ones((1, 1)))}, "the same shape and 2 rows"),
        ({"y_score": (np.array([[0.5], [1]]), np.ones((2, 1)))}, "integers"),
        ({"y_score": (np.array([[1, 1]] * 2), np.ones((2, 2)))}, "a label twice"),
        ({"y_score": (np.array([[1]] * 2),)}, "a pair"),
        ({"y_score": (np.array([[1]] * 2), np.full((2, 1), np.nan))}, "NaN"),
    ],
)
@pytest.mark.parametrize("metric", [precision_at_k, recall_at_k, ndcg_at_k])
def test_bad_input(metric, kwargs, message):
    good = {"y_true": [[0, 1], [1, 0]], "y_score": [[0.1, 0.9], [0.3, 0.4]], "k": 1}
    with pytest.raises(ValueError, match=message):
        metric(**{**good, **kwargs})


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.5], "one value per label"),
        ([0.5, 0], "lie in"),
        ([2, 3], "not their inverses"),
    ],
)
def test_bad_propensities(p, message):
    with pytest.raises(ValueError, match=message):
        psprecision_at_k([[0, 1]], [[0.1, 0.9]], 1, propensities=p)
    with pytest.raises(ValueError, match="A must be a positive number"):
        propensity_scores([[0, 1]], A=-1)


# --- scorers ------------------------------------------------------------------------


class CountingClassifier(XRLinearClassifier):
    """Remembers how many labels it was asked for."""

    def predict_topk(self, X, k=None):
        type(self).asked = k
        return super().predict_topk(X, k)


def test_scorer_asks_for_k_labels_only(small):
    X, Y = small
    clf = CountingClassifier(random_state=0).fit(X, Y)
    scorer = make_topk_scorer(precision_at_k, k=3)
    assert scorer(clf, X, Y) == precision_at_k(Y, clf.predict_proba(X), k=3)
    assert CountingClassifier.asked == 3
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy(clf, X, Y) == scorer(clf, X, Y)


def test_scorer_hands_on_arguments(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    p = propensity_scores(Y)
    scorer = make_topk_scorer(psprecision_at_k, k=3, propensities=p)
    expected = psprecision_at_k(Y, clf.predict_topk(X, 3), 3, propensities=p)
    assert scorer(clf, X, Y) == expected
    weight = np.arange(600)
    weighted = make_topk_scorer(recall_at_k, k=3)(clf, X, Y, sample_weight=weight)
    assert weighted == recall_at_k(Y, clf.predict_topk(X, 3), 3, sample_weight=weight)


@pytest.mark.parametrize(
    "other",
    [
        OneVsRestClassifier(LinearSVC()),  # decision_function, dense
        KNeighborsClassifier(),  # a list of arrays, one per label
    ],
)
def test_scorer_and_topk_of_other_classifiers(other, small):
    X, Y = small
    Y = Y.toarray().astype(int)
    other.fit(X, Y)
    labels, scores = predict_topk(other, X, k=4)
    assert labels.shape == scores.shape == (600, 4)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert make_topk_scorer(precision_at_k, k=1)(other, X, Y) > 0.2


def test_predict_topk_of_sparse_probabilities(small):
    X, Y = small
    clf = XRLinearClassifier(top_k=3, random_state=0).fit(X, Y)

    class OnlyProba:
        def predict_proba(self, X):
            return clf.predict_proba(X)

    labels, scores = predict_topk(OnlyProba(), X, k=5)
    np.testing.assert_array_equal(labels[:, :3], clf.predict_topk(X)[0])
    assert (labels[:, 3:] == -1).all() and (scores[:, 3:] == 0).all()
    with pytest.raises(TypeError, match="must have predict_topk"):
        predict_topk(object(), X)
