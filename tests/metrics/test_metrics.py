"""Metrics at k against slow loops, on every form of scores."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.metrics import f1_score, ndcg_score, precision_score, recall_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC

from sklearn_xmr import XRLinearClassifier, make_topk_scorer, predict_topk
from sklearn_xmr.metrics import (
    abandonment_at_k,
    calibration_curve_at_k,
    coverage_at_k,
    ece_at_k,
    f1_at_k,
    frequency_breakdown,
    get_topk_metrics,
    get_topk_scorer,
    get_topk_scorer_names,
    hit_rate_at_k,
    macro_f1_at_k,
    macro_precision_at_k,
    macro_recall_at_k,
    make_topk_scorers,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    propensity_scores,
    psndcg_at_k,
    psprecision_at_k,
    psrecall_at_k,
    recall_at_k,
)
from sklearn_xmr.model_selection import cross_validate


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
                "f1": 2 * sum(hits) / (k + n_true),
                "hit_rate": float(any(hits)),
                "mrr": 1 / (hits.index(1) + 1) if any(hits) else 0,
                "psr": sum(gains) / max(n_true, 1),
                "psr_best": sum(best) / max(n_true, 1),
                "psp": sum(gains) / k,
                "psp_best": sum(best) / k,
                "psn": np.dot(gains, discount[: len(gains)]) / sum(discount),
                "psn_best": np.dot(best, discount[: len(best)]) / sum(discount),
            }
        )
    mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    for name in ("psp", "psn", "psr"):
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
        (f1_at_k, "f1"),
        (hit_rate_at_k, "hit_rate"),
        (mrr_at_k, "mrr"),
    ):
        assert metric(truth, y_score, k) == pytest.approx(expected[name], **close)
    propensity_scored = (
        (psprecision_at_k, "psp"),
        (psndcg_at_k, "psn"),
        (psrecall_at_k, "psr"),
    )
    for metric, name in propensity_scored:
        raw = metric(truth, y_score, k, propensities=p, normalize=False)
        assert raw == pytest.approx(expected[name], **close)
        ratio = metric(truth, y_score, k, propensities=p)
        assert ratio == pytest.approx(expected[f"{name}_norm"], **close)


@pytest.mark.slow
@given(rankings())
@settings(max_examples=60, deadline=None)
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


def predicted_indicator(truth, scores, k):
    """The k best labels of each row as ones."""
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    predicted = np.zeros_like(truth)
    np.put_along_axis(predicted, top, 1, axis=1)
    return predicted


def test_f1_and_macro_averages_equal_scikit_learn(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    truth, scores = (rng.rand(40, 15) < 0.1).astype(int), rng.rand(40, 15)
    for k in (1, 3, 15):
        predicted = predicted_indicator(truth, scores, k)
        f1 = f1_score(truth, predicted, average="samples", zero_division=0)
        assert f1_at_k(truth, scores, k) == pytest.approx(f1)
        macro = {
            macro_f1_at_k: f1_score,
            macro_precision_at_k: precision_score,
            macro_recall_at_k: recall_score,
        }
        for ours, theirs in macro.items():
            value = theirs(truth, predicted, average="macro", zero_division=0)
            mean = ours(truth, scores, k, average_over="all")
            assert mean == pytest.approx(value)


def test_equal_to_napkinxc(global_random_seed):
    napkinxc = pytest.importorskip("napkinxc.metrics")
    rng = np.random.RandomState(global_random_seed)
    truth = sparse.csr_matrix((rng.rand(60, 25) < 0.1).astype(int))
    scores = sparse.csr_matrix(rng.rand(60, 25) * (rng.rand(60, 25) < 0.4))
    p = rng.uniform(0.1, 1, 25)
    same = {
        precision_at_k: "precision_at_k",
        recall_at_k: "recall_at_k",
        ndcg_at_k: "ndcg_at_k",
        coverage_at_k: "coverage_at_k",
        hit_rate_at_k: "abandonment_at_k",  # which is what it computes
        macro_precision_at_k: "macro_precision_at_k",
        macro_recall_at_k: "macro_recall_at_k",
        macro_f1_at_k: "macro_f1_measure_at_k",
    }
    for ours, theirs in same.items():
        values = getattr(napkinxc, theirs)(truth, scores, k=3)
        for k in (1, 2, 3):
            assert ours(truth, scores, k) == pytest.approx(values[k - 1]), theirs
    for ours, theirs in (
        (psprecision_at_k, "psprecision_at_k"),
        (psrecall_at_k, "psrecall_at_k"),
    ):
        for normalize in (True, False):
            values = getattr(napkinxc, theirs)(
                truth, scores, 1 / p, k=3, normalize=normalize
            )
            for k in (1, 2, 3):
                value = ours(truth, scores, k, propensities=p, normalize=normalize)
                assert value == pytest.approx(values[k - 1]), (theirs, normalize)
    full = sparse.csr_matrix((rng.rand(60, 25) < 0.5).astype(int))
    assert np.diff(full.indptr).min() >= 3  # or its denominators have fewer terms
    values = napkinxc.psndcg_at_k(full, scores, 1 / p, k=3)
    for k in (1, 2, 3):
        value = psndcg_at_k(full, scores, k, propensities=p)
        assert value == pytest.approx(values[k - 1])
    np.testing.assert_allclose(
        propensity_scores(truth), napkinxc.Jain_et_al_propensity(truth)
    )


def test_abandonment_is_what_hit_rate_leaves():
    truth, scores = np.eye(4, dtype=int)[[0, 1, 2]], np.eye(4)[[0, 1, 3]]
    assert abandonment_at_k(truth, scores, 1) == pytest.approx(1 / 3)
    weight = [1, 1, 2]
    assert abandonment_at_k(truth, scores, 1, sample_weight=weight) == 0.5


def test_breakdown_adds_up(global_random_seed):
    rng = np.random.RandomState(global_random_seed)
    train = rng.rand(200, 20) < np.linspace(0, 0.6, 20)
    truth = (rng.rand(50, 20) < np.linspace(0, 0.6, 20)).astype(int)
    scores = rng.rand(50, 20)
    parts = frequency_breakdown(truth, scores, train, 3, bounds=(20, 60))
    counts = train.sum(axis=0)
    groups = [counts < 20, (counts >= 20) & (counts < 60), counts >= 60]
    assert parts["n_labels"].tolist() == [g.sum() for g in groups]
    assert parts["precision"].sum() == pytest.approx(precision_at_k(truth, scores, 3))
    predicted = predicted_indicator(truth, scores, 3)
    for place, group in enumerate(groups):
        true, found = truth[:, group], predicted[:, group] * truth[:, group]
        assert parts["n_true"][place] == true.sum()
        assert parts["recall"][place] == pytest.approx(found.sum() / true.sum())
        has_one = true.any(axis=0)
        coverage = found.any(axis=0)[has_one].mean()
        assert parts["coverage"][place] == pytest.approx(coverage)
        seen = has_one | predicted[:, group].any(axis=0)
        f1 = f1_score(true, predicted[:, group], average=None, zero_division=0)[seen]
        assert parts["macro_f1"][place] == pytest.approx(f1.mean())


def test_metrics_of_nothing_true():
    truth, scores = np.zeros((2, 3), dtype=int), np.eye(3)[:2]
    assert coverage_at_k(truth, scores, 1) == 0
    assert macro_f1_at_k(truth, scores, 1) == 0
    assert frequency_breakdown(truth, scores, truth, 1)["recall"].tolist() == [0] * 3


@pytest.mark.parametrize("bounds", [[], [5, 5], [5, 2], [0], ["a"], 3])
def test_bad_bounds(bounds):
    truth = np.eye(3, dtype=int)
    with pytest.raises(ValueError, match="bounds must be a list"):
        frequency_breakdown(truth, truth, truth, 1, bounds=bounds)


def test_bad_arguments_of_label_wise_metrics():
    truth = np.eye(3, dtype=int)
    with pytest.raises(ValueError, match="average_over must be 'seen' or 'all'"):
        macro_f1_at_k(truth, truth, 1, average_over="true")
    with pytest.raises(ValueError, match="Y_train must have the 3 labels"):
        frequency_breakdown(truth, truth, np.eye(2, dtype=int), 1)


def test_blocks_of_dense_scores(monkeypatch, global_random_seed):
    from sklearn_xmr.utils import _rankings

    rng = np.random.RandomState(global_random_seed)
    truth, scores = (rng.rand(57, 20) < 0.2).astype(int), rng.rand(57, 20)
    whole = precision_at_k(truth, scores, 3)
    monkeypatch.setattr(_rankings, "BLOCK_VALUES", 100)
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
        (
            {"y_score": (np.array([[1, 1]] * 2), np.ones((2, 2)))},
            r"labels\) must not have duplicates",
        ),
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


def slow_bins(truth, scores, stored, k, n_bins):
    """Hits and probabilities of the k best labels, bin by bin."""
    bins = [[] for _ in range(n_bins)]
    for y, s, present in zip(truth, scores, stored, strict=True):
        for label in slow_ranking(s, present, k):
            bins[min(int(s[label] * n_bins), n_bins - 1)].append((y[label], s[label]))
    return [np.array(pairs) for pairs in bins]


@given(rankings())
@settings(deadline=None)
def test_calibration_of_all_forms_equals_the_slow_version(case):
    truth, scores, stored, _, k = case
    scores = (scores + 2) / 4  # 0 to 1, with ties
    rows, labels = np.nonzero(stored)
    as_csr = sparse.csr_matrix((scores[stored], (rows, labels)), shape=truth.shape)
    padded = np.where(stored, np.arange(truth.shape[1]), -1)
    forms = [
        (as_csr, stored),
        (sparse.csc_array(as_csr), stored),
        ((padded, scores), stored),
        ((padded.tolist(), scores.tolist()), stored),
        (scores, np.ones_like(stored)),
        (scores.tolist(), np.ones_like(stored)),
    ]
    for y_score, present in forms:
        bins = slow_bins(truth, scores, present, k, 3)
        gaps = [abs((b[:, 0] - b[:, 1]).sum()) for b in bins if len(b)]
        error = sum(gaps) / max(sum(len(b) for b in bins), 1)
        assert ece_at_k(truth, y_score, k, n_bins=3) == pytest.approx(error)
        curve = calibration_curve_at_k(truth, y_score, k, n_bins=3)
        filled = [b for b in bins if len(b)]
        np.testing.assert_allclose(curve[0], [b[:, 0].mean() for b in filled])
        np.testing.assert_allclose(curve[1], [b[:, 1].mean() for b in filled])
        assert curve[2].tolist() == [len(b) for b in filled]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"k": 0}, "k must be an integer"),
        ({"n_bins": 0}, "n_bins must be an integer"),
        ({"n_bins": 2.0}, "n_bins must be an integer"),
        ({"y_score": [[1.5, 0.2]] * 2}, "y_score must hold probabilities"),
        ({"y_score": ([0, 1], [0.2, 0.1])}, "Expected 2D|labels"),
        ({"y_score": [[0.5]] * 2}, "y_score must have the shape of y_true"),
    ],
)
@pytest.mark.parametrize("metric", [ece_at_k, calibration_curve_at_k])
def test_bad_input_of_calibration(metric, kwargs, message):
    good = {"y_true": [[0, 1], [1, 0]], "y_score": [[0.1, 0.9], [0.3, 0.4]], "k": 1}
    with pytest.raises(ValueError, match=message):
        metric(**{**good, **kwargs})


def test_metrics_by_name_are_the_public_functions():
    import sklearn_xmr.metrics

    found = get_topk_metrics()
    public = {name for name in sklearn_xmr.metrics.__all__ if name.endswith("_at_k")}
    # No score, and those that need a thesaurus.
    others = {"calibration_curve_at_k"} | {n for n in public if n[:5] == "hiera"}
    assert {f"{name}_at_k" for name in found} | others == public
    for name, metric in found.items():
        assert metric is getattr(sklearn_xmr.metrics, f"{name}_at_k")
    found.clear()  # a copy: the scorers keep theirs
    assert get_topk_scorer("f1_at_1").metric is f1_at_k


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


def test_propensities_of_the_estimator(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X[:400], Y[:400])
    scorer = make_topk_scorer(psprecision_at_k, k=3, propensities="estimator")
    expected = psprecision_at_k(
        Y, clf.predict_topk(X, 3), 3, propensities=clf.propensities_
    )
    assert scorer(clf, X, Y) == expected
    with pytest.raises(ValueError, match="propensities must be .* got 'training'"):
        make_topk_scorer(psprecision_at_k, k=3, propensities="training")


def test_label_wise_scorers_take_no_sample_weight(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    scorer = make_topk_scorer(macro_f1_at_k, k=3)
    with pytest.raises(TypeError, match="sample_weight"):
        scorer(clf, X, Y, sample_weight=np.ones(600))


def weighted_search(scoring, **options):
    """A fitted search that is given weights, and what its folds score by hand."""
    clf = XRLinearClassifier(random_state=0)
    if get_config()["enable_metadata_routing"]:
        clf.set_fit_request(sample_weight=True)
    options = {"scoring": scoring, "cv": KFold(2), "error_score": "raise", **options}
    return GridSearchCV(clf, {"C": [1.0]}, **options)


def scores_by_hand(metric, k, X, Y, w, weighted):
    """Scores of the folds of such a search."""
    for train, test in KFold(2).split(X):
        clf = XRLinearClassifier(random_state=0).fit(X[train], Y[train], w[train])
        extra = {"sample_weight": w[test]} if weighted else {}
        yield metric(Y[test], clf.predict_topk(X[test], k), k, **extra)


@pytest.mark.parametrize("alias", [True, False, "given"])
def test_scorers_request_metadata(small, alias):
    X, Y = small
    w = np.random.RandomState(0).rand(600) + 0.1
    name = alias if isinstance(alias, str) else "sample_weight"
    with config_context(enable_metadata_routing=True):
        scorer = get_topk_scorer("recall_at_1").set_score_request(sample_weight=alias)
        search = weighted_search(scorer).fit(X, Y, **{"sample_weight": w, name: w})
        scorers = make_topk_scorers(
            {"recall": scorer, "f1": get_topk_scorer("f1_at_1")}
        )
        scorers.scorers["f1"].set_score_request(sample_weight=False)
        clf = XRLinearClassifier(random_state=0).set_fit_request(sample_weight=True)
        both = cross_validate(
            clf,
            X,
            Y,
            scoring=scorers,
            cv=KFold(2),
            params={"sample_weight": w, name: w},
        )
    weighted, plain = (
        list(scores_by_hand(recall_at_k, 1, X, Y, w, given)) for given in (True, False)
    )
    assert np.abs(np.subtract(weighted, plain)).max() > 1e-4
    expected = weighted if alias else plain
    got = [search.cv_results_[f"split{fold}_test_score"][0] for fold in range(2)]
    np.testing.assert_allclose(got, expected)
    np.testing.assert_allclose(both["test_recall"], expected)
    f1 = list(scores_by_hand(f1_at_k, 1, X, Y, w, False))
    np.testing.assert_allclose(both["test_f1"], f1)


def test_scorers_without_a_request_say_so(small):
    X, Y = small
    w = np.ones(600)
    with config_context(enable_metadata_routing=True):
        for scoring in (
            get_topk_scorer("ndcg_at_1"),
            make_topk_scorers(["ndcg_at_1", "macro_f1_at_1"]),
        ):
            with pytest.raises(ValueError, match=r"sample_weight.* not explicitly set"):
                weighted_search(scoring, refit=False).fit(X, Y, sample_weight=w)
            scoring.set_score_request(sample_weight=True)
            copy = pickle.loads(pickle.dumps(scoring))
            weighted_search(copy, refit=False).fit(X, Y, sample_weight=w)
            with pytest.raises(TypeError, match="takes no 'groups'"):
                scoring.set_score_request(groups=True)
        with pytest.raises(TypeError, match="takes no 'sample_weight'"):
            get_topk_scorer("coverage_at_1").set_score_request(sample_weight=True)
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        get_topk_scorer("ndcg_at_1").set_score_request(sample_weight=True)


def test_scorers_without_routing_take_weights_as_scikit_learn_s(small):
    X, Y = small
    w = np.random.RandomState(0).rand(600) + 0.1
    names = ["recall_at_1", "macro_f1_at_1"]
    scorers = make_topk_scorers(names)
    parts = {name: get_topk_scorer(name) for name in names}
    recall = list(scores_by_hand(recall_at_k, 1, X, Y, w, True))
    f1 = list(scores_by_hand(macro_f1_at_k, 1, X, Y, w, False))
    for scoring in (scorers, parts):
        search = weighted_search(scoring, refit=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the metric that takes no weight
            search.fit(X, Y, sample_weight=w)
        for name, expected in zip(names, (recall, f1), strict=True):
            assert search.cv_results_[f"mean_test_{name}"] == pytest.approx(
                np.mean(expected)
            )
    clf = search.estimator.fit(X, Y)
    with pytest.raises(TypeError, match="no metric of .* takes 'groups'"):
        scorers(clf, X, Y, groups=w)


def test_scorers_by_name(small):
    X, Y = small
    clf = XRLinearClassifier(random_state=0).fit(X[:400], Y[:400])
    X, Y, p = X[400:], Y[400:], clf.propensities_
    topk = clf.predict_topk(X, 5)
    assert get_topk_scorer("recall_at_5")(clf, X, Y) == recall_at_k(Y, topk, 5)
    loss = get_topk_scorer("neg_abandonment_at_5")(clf, X, Y)
    assert loss == -abandonment_at_k(Y, topk, 5) < 0
    rare = psprecision_at_k(Y, topk, 5, propensities=p)
    pipeline = make_pipeline(MaxAbsScaler(), XRLinearClassifier(random_state=0))
    search = GridSearchCV(pipeline, {"xrlinearclassifier__C": [1.0]}, cv=2)
    search.fit(X, Y)
    scorer = get_topk_scorer("psprecision_at_5")
    assert scorer(clf, X, Y) == rare
    assert 0 < scorer(search, X, Y) <= 1  # found in the pipeline of the search
    with pytest.raises(TypeError, match="has no propensities_"):
        scorer.of_topk(KNeighborsClassifier(), topk, Y)
    for name in get_topk_scorer_names():
        assert np.isfinite(get_topk_scorer(name.removesuffix("k") + "2")(clf, X, Y))


@pytest.mark.parametrize("name", ["precision", "precision_at_0", "ece_at_1", "", None])
def test_unknown_scorers(name):
    with pytest.raises(ValueError, match="name must be one of"):
        get_topk_scorer(name)


def test_scorers_predict_once(small):
    X, Y = small
    scorers = make_topk_scorers(["precision_at_1", "ndcg_at_3", "neg_ece_at_2"])
    clf = CountingClassifier(random_state=0)
    search = GridSearchCV(clf, {"C": [1.0]}, scoring=scorers, refit="ndcg_at_3", cv=2)
    search.fit(X, Y)
    assert CountingClassifier.asked == 3
    clf = search.best_estimator_
    values = pickle.loads(pickle.dumps(scorers))(clf, X, Y)
    for name, value in values.items():
        assert value == pytest.approx(get_topk_scorer(name)(clf, X, Y))
        assert f"mean_test_{name}" in search.cv_results_
    for wrong in ([], {"p": precision_at_k}):
        with pytest.raises(TypeError, match="scorers must be names"):
            make_topk_scorers(wrong)


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
