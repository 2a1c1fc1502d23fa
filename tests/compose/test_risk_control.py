"""Thresholds against slow search over all, and their guarantee by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import binom

from sklearn_xmr.compose._risk_control import (
    RankedTruth,
    confidence_threshold,
    threshold_for_false_discovery,
    threshold_for_recall,
)

RISKS = ("recall", "false_discovery")


def sets_of(scores, retrieved, threshold):
    return retrieved & (scores >= threshold)


def missed_shares(scores, hits, n_true, threshold):
    """Share of missed labels of the instances that have a label."""
    found = (sets_of(scores, hits, threshold)).sum(axis=1)
    return (1 - found / np.maximum(n_true, 1))[n_true > 0]


def wrong_shares(scores, hits, retrieved, threshold):
    """Share of wrong labels in each set."""
    inside = sets_of(scores, retrieved, threshold)
    wrong = (inside & ~hits).sum(axis=1)
    return wrong / np.maximum(inside.sum(axis=1), 1)


def worst_wrong_shares(scores, hits, retrieved, threshold):
    """The largest share of wrong labels at this threshold or any above it."""
    above = [t for t in np.unique(scores) if t >= threshold]
    shares = [wrong_shares(scores, hits, retrieved, t) for t in above]
    return np.max([np.zeros(len(scores)), *shares], axis=0)


def bound(losses, weights):
    return (losses @ weights + weights.max()) / (weights.sum() + weights.max())


@st.composite
def rankings(draw):
    n, k = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.RandomState(seed)
    # Few values, so that scores tie within and between instances.
    scores = -np.sort(-rng.randint(1, 6, (n, k)) / 8.0, axis=1)
    found = np.arange(k) < rng.randint(0, k + 1, (n, 1))
    scores = np.where(found, scores, -np.inf)
    members = found & (rng.rand(n, k) < 0.8)
    hits = members & (rng.rand(n, k) < 0.6)
    missed = rng.randint(0, 2, n) * (rng.rand(n) < 0.3)
    weights = rng.choice([1.0, 2.0, 0.5], n) if draw(st.booleans()) else np.ones(n)
    return scores, hits, members, hits.sum(axis=1) + missed, weights


@given(rankings(), st.sampled_from([0.1, 0.25, 0.4, 0.65, 0.9]))
def test_recall_has_the_largest_threshold_of_all(ranking, alpha):
    scores, hits, _, n_true, weights = ranking
    found = threshold_for_recall(scores, hits, n_true, alpha, weights)
    counted = n_true > 0
    if not counted.any():
        assert found.score == -np.inf and found.level == 1
        return

    def risk(threshold):
        losses = missed_shares(scores, hits, n_true, threshold)
        return bound(losses, weights[counted])

    candidates = np.append(np.unique(scores[scores > -np.inf]), -np.inf)
    near = 1e-9  # of sums in another order
    good = [t for t in candidates if risk(t) <= alpha - near]
    assert found.score >= max(good, default=-np.inf)
    if found.level > alpha:
        assert found.score == -np.inf and found.level == pytest.approx(risk(-np.inf))
    else:
        assert risk(found.score) <= alpha + near


@given(rankings(), st.sampled_from([0.1, 0.25, 0.4, 0.65, 0.9]))
def test_false_discovery_has_the_least_threshold_of_all(ranking, alpha):
    scores, hits, members, _, weights = ranking
    found = threshold_for_false_discovery(scores, hits, members, alpha, weights)

    def risk(threshold):
        losses = worst_wrong_shares(scores, hits, members, threshold)
        return bound(losses, weights)

    if found.level > alpha:
        assert found.score == np.inf and found.level == pytest.approx(risk(np.inf))
        return
    near = 1e-9
    assert risk(found.score) <= alpha + near
    sizes = [
        sets_of(scores, members, t).sum()
        for t in np.unique(scores[scores > -np.inf])
        if risk(t) <= alpha - near
    ]
    assert sets_of(scores, members, found.score).sum() >= max(sizes, default=0)


def test_weights_of_one_value_change_nothing():
    scores, hits, members, n_true = drawn(200, np.random.RandomState(0))
    for weight in (None, np.full(200, 7.0)):
        got = (
            threshold_for_recall(scores, hits, n_true, 0.3, weight).score,
            threshold_for_false_discovery(scores, hits, members, 0.3, weight).score,
        )
        if weight is None:
            expected = got
    assert got == pytest.approx(expected)


def drawn(n, rng):
    """Instances whose true labels have the larger scores, mostly."""
    k = 6
    quality = rng.rand(n, 1)
    hits = rng.rand(n, k) < 0.4 * quality + 0.1
    scores = rng.rand(n, k) * (1 - quality / 2) + np.where(hits, quality / 2, 0)
    order = np.argsort(-scores, axis=1)
    scores, hits = (np.take_along_axis(part, order, axis=1) for part in (scores, hits))
    n_true = hits.sum(axis=1) + (rng.rand(n) < 0.1)
    return scores, hits, np.ones((n, k), dtype=bool), n_true


@pytest.mark.parametrize("n", [15, 200])
@pytest.mark.parametrize("alpha", [0.2, 0.3])
def test_the_mean_risk_of_new_instances_is_at_most_the_level(n, alpha):
    rng = np.random.RandomState(n)
    risks = {"recall": [], "false_discovery": []}
    for _ in range(400):
        scores, hits, members, n_true = drawn(n, rng)
        new = drawn(500, rng)
        of_recall = threshold_for_recall(scores, hits, n_true, alpha)
        of_wrong = threshold_for_false_discovery(scores, hits, members, alpha)
        losses = missed_shares(new[0], new[1], new[3], of_recall.score)
        risks["recall"].append(losses.mean())
        losses = wrong_shares(*new[:3], of_wrong.score)
        risks["false_discovery"].append(losses.mean())
    for risk, values in risks.items():
        error = np.std(values, ddof=1) / len(values) ** 0.5
        assert np.mean(values) <= alpha + 2 * error, risk
        # Not by sets that are needlessly large, or empty.
        slack = {"recall": 2 / (n + 1) + 2 * error, "false_discovery": alpha / 2}
        assert np.mean(values) >= alpha - slack[risk], risk


def test_without_the_further_instance_the_level_would_be_missed():
    """The simulation above can tell: the plain mean of the losses is not enough."""
    rng, n, alpha, values = np.random.RandomState(0), 15, 0.2, []
    for _ in range(400):
        scores, hits, _, n_true = drawn(n, rng)
        at = np.unique(scores)
        risk = np.array([missed_shares(scores, hits, n_true, t).mean() for t in at])
        fits = at[risk <= alpha]
        new = drawn(500, rng)
        threshold = fits.max(initial=-np.inf)
        values.append(missed_shares(new[0], new[1], new[3], threshold).mean())
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert np.mean(values) > alpha + 2 * error


def test_what_is_out_of_reach_is_said():
    scores, hits = np.array([[0.9, 0.5]] * 9), np.array([[True, False]] * 9)
    found = threshold_for_recall(scores, hits, np.full(9, 2), 0.3)
    assert found.score == -np.inf and found.level == pytest.approx(5.5 / 10)
    assert threshold_for_recall(scores, hits, np.full(9, 1), 0.3).score == 0.9
    few = threshold_for_false_discovery(scores[:3], hits[:3], hits[:3] >= 0, 0.2)
    assert few.score == np.inf and few.level == 0.25
    all_right = threshold_for_false_discovery(scores, hits, hits, 0.1)
    assert all_right.score == -np.inf and all_right.level == 0.1
    nothing = np.empty((0, 2))
    none = threshold_for_recall(nothing, nothing > 0, np.empty(0, dtype=int), 0.5)
    assert none.score == -np.inf and none.level == 1
    none = threshold_for_false_discovery(nothing, nothing > 0, nothing > 0, 0.5)
    assert none.score == np.inf and none.level == 1


def test_labels_between_the_last_good_and_the_first_bad_score_belong_to_sets():
    scores = np.array([[0.9, 0.8, 0.7, 0.6]] * 20)
    hits = np.array([[True, True, False, True]] * 20)
    found = threshold_for_false_discovery(scores, hits, hits >= 0, 0.2)
    assert 0.7 < found.score < 0.7 + 1e-12


@pytest.mark.parametrize("risk", RISKS)
def test_bands_are_counted_alone(risk):
    rng = np.random.RandomState(3)
    n, k, n_labels = 60, 5, 12
    labels = np.array([rng.permutation(n_labels)[:k] for _ in range(n)])
    labels[:20, 3:] = -1
    scores = -np.sort(-rng.rand(n, k), axis=1)
    truth = sparse.csr_matrix((rng.rand(n, n_labels) < 0.3).astype(np.float32))
    bands = np.arange(n_labels) % 3
    ranked = RankedTruth.of(labels, scores, truth)
    got = ranked.thresholds(risk, 0.6, bands, 4)
    for band in range(3):
        columns = np.flatnonzero(bands == band)
        inside = np.isin(labels, columns)
        alone = np.where(inside, labels, -1)
        order = np.argsort(~inside, axis=1, kind="stable")
        alone, of_them = (np.take_along_axis(a, order, axis=1) for a in (alone, scores))
        kept = truth.toarray() * (bands == band)
        others = RankedTruth.of(alone, of_them, sparse.csr_matrix(kept))
        assert others.thresholds(risk, 0.6, bands * 0, 1) == [got[band]]
    # No label is in the last band.
    level = {"recall": 1.0, "false_discovery": 0.6}
    assert got[3].score == -np.inf and got[3].level == level[risk]


def slow_confidence(confidences, right, min_precision, delta):
    """The largest share of answers whose bound allows it, one at a time."""
    ranked = -np.sort(-confidences)
    best = np.inf
    for share in range(1, 21):
        place = share * len(ranked) // 20
        threshold = ranked[place] if place < len(ranked) else -np.inf
        given = confidences > threshold
        n, wrong = given.sum(), (~right[given]).sum()
        # At the largest allowed rate, so few wrong answers are that improbable.
        if n and binom.cdf(wrong, n, 1 - min_precision) <= delta / 20:
            best = min(best, threshold)
    return best


@given(st.integers(0, 10_000), st.sampled_from([1, 40, 300]), st.booleans())
def test_confidence_is_the_least_of_all_that_are_allowed(seed, n, tied):
    rng = np.random.RandomState(seed)
    confidences = rng.rand(n)
    if tied:
        confidences = confidences.round(1)
    right = rng.rand(n) < 0.6 + 0.4 * confidences
    for precision in (0.3, 0.8, 0.95):
        expected = slow_confidence(confidences, right, precision, 0.1)
        assert confidence_threshold(confidences, right, precision, 0.1) == expected


def test_answers_are_right_as_often_as_promised():
    rng, missed, answered = np.random.RandomState(0), [], []
    for _ in range(300):
        confidences = rng.rand(300)
        right = rng.rand(300) < confidences
        threshold = confidence_threshold(confidences, right, 0.7, 0.1)
        # Of confidences above t, uniform up to 1, the mean is (1 + t) / 2.
        true = 1 if threshold == np.inf else (1 + max(threshold, 0)) / 2
        missed.append(true < 0.7)
        answered.append(threshold < np.inf)
    assert np.mean(missed) <= 0.1
    assert np.mean(answered) > 0.9
