"""The bandit: what it shows and how probably, what it learns, what it refuses."""

import pickle
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    XRBanditClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    load_model,
    save_model,
)
from sklearn_xmr.compose._exploration import (
    UniformDraws,
    draw,
    inclusion_probabilities,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import HashingVectorizer
from sklearn_xmr.metrics import policy_value


@pytest.fixture(scope="module")
def data():
    return make_xmr_classification(4000, 300, 60, random_state=1)


@pytest.fixture(scope="module")
def bandit(data):
    X, Y = data
    return XRBanditClassifier(random_state=0).fit(X[:300], Y[:300])


def rewards_of(Y, labels):
    return Y[np.arange(len(labels))[:, None], labels].toarray()


# --- the mathematics -----------------------------------------------------------------


def slow_probabilities(scores, n_greedy, n_explored, gamma):
    """Of one row, label by label, as the docstring has it."""
    others = scores[n_greedy:]
    out = [1.0] * min(n_greedy, len(scores))
    if len(others) <= n_explored:
        return out + [1.0] * len(others)
    if n_explored == 0:
        return out + [0.0] * len(others)
    rest = [
        n_explored / (len(others) + gamma * (others[n_explored - 1] - score))
        for score in others[n_explored:]
    ]
    return out + [(n_explored - sum(rest)) / n_explored] * n_explored + rest


rankings = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    rankings, st.integers(0, 5), st.integers(0, 4), st.floats(0, 1e6), st.integers(0, 4)
)
def test_probabilities_are_those_of_the_formula(scores, greedy, explored, gamma, more):
    scores = sorted(scores, reverse=True)
    wanted = slow_probabilities(scores, greedy, explored, gamma)
    padded = np.array([scores + [0.0] * more])
    found = np.arange(padded.shape[1])[None, :] < len(scores)
    p = inclusion_probabilities(padded, found, greedy, explored, gamma)
    np.testing.assert_allclose(p[0, : len(scores)], wanted, atol=1e-12)
    assert not p[0, len(scores) :].any()
    assert p.sum() == pytest.approx(min(greedy + explored, len(scores)))
    assert p.min() >= 0 and p.max() <= 1 + 1e-12
    for uniform in (0.0, 0.3, np.nextafter(1, 0)):
        drawn = draw(p, np.array([uniform]))
        assert drawn.sum() == round(p.sum()) and not (drawn & (p == 0)).any()


def test_with_one_drawn_label_it_is_inverse_gap_weighting():
    """The paper's probabilities: 1 / (A + gamma gap), the rest on the best."""
    scores = np.array([[0.9, 0.8, 0.5, 0.4]])
    p = inclusion_probabilities(scores, scores > 0, 1, 1, 10.0)[0]
    np.testing.assert_allclose(p[2:], [1 / (3 + 3), 1 / (3 + 4)])
    np.testing.assert_allclose(p[:2], [1, 1 - 1 / 6 - 1 / 7])


def test_frequencies_are_the_probabilities():
    rng = np.random.RandomState(0)
    scores = -np.sort(-rng.rand(3, 9), axis=1)
    p = inclusion_probabilities(scores, scores >= 0, 2, 3, 5.0)
    n = 20_000
    drawn = draw(np.repeat(p, n, axis=0), UniformDraws(3).next(3 * n))
    np.testing.assert_allclose(drawn.reshape(3, n, 9).mean(axis=1), p, atol=0.015)


def test_draws_do_not_depend_on_batches():
    wanted = UniformDraws(5).next(10)
    draws = UniformDraws(5)
    parts = [draws.next(3), draws.next(1)]
    draws = pickle.loads(pickle.dumps(draws))
    np.testing.assert_array_equal(np.concatenate([*parts, draws.next(6)]), wanted)


def test_threads_share_the_draws_without_repeating_one():
    draws, found = UniformDraws(1), []
    threads = [
        Thread(target=lambda: found.extend(draws.next(7) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = np.sort(UniformDraws(1).next(4 * 50 * 7))
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), wanted)


# --- what is shown -------------------------------------------------------------------


@pytest.mark.parametrize("n_explored", [0, 1, 3, 5])
def test_propensities_are_those_of_what_is_shown(bandit, data, n_explored):
    X = data[0][300:700]
    bandit = clone(bandit).set_params(
        n_explored=n_explored, n_alternatives=15, gamma=0.3
    )
    bandit.fit(data[0][:300], data[1][:300])
    labels, propensities = bandit.recommend(X, k=5)
    assert labels.shape == propensities.shape == (400, 5)
    assert all(len(set(row)) == 5 for row in labels.tolist())
    best, _ = bandit.predict_topk(X, k=5 - n_explored) if n_explored < 5 else ([], 0)
    if n_explored < 5:
        np.testing.assert_array_equal(labels[:, : 5 - n_explored], best)
        assert (propensities[:, : 5 - n_explored] == 1).all()
    each = bandit.show_probabilities(X, k=5)
    np.testing.assert_allclose(np.asarray(each.sum(axis=1)).ravel(), 5)
    shown = each[np.arange(400)[:, None], labels].toarray()
    np.testing.assert_array_equal(shown, propensities)


def test_empirical_frequencies_match(bandit, data):
    x = data[0][[300]]
    many = data[0][[300] * 20_000]
    labels, _ = (
        clone(bandit)
        .set_params(n_explored=2, n_alternatives=15, gamma=0.1)
        .fit(data[0][:300], data[1][:300])
        .recommend(many, k=4)
    )
    bandit = clone(bandit).set_params(n_explored=2, n_alternatives=15, gamma=0.1)
    bandit.fit(data[0][:300], data[1][:300])
    wanted = bandit.show_probabilities(x, k=4).toarray()[0]
    counts = np.bincount(labels.ravel(), minlength=60) / len(labels)
    np.testing.assert_allclose(counts, wanted, atol=0.015)


def test_the_seed_decides_what_is_drawn(data):
    X, Y = data

    def answers(seed, parts):
        bandit = XRBanditClassifier(gamma=0, random_state=seed).fit(X[:300], Y[:300])
        return np.concatenate([bandit.recommend(X[part])[0] for part in parts])

    whole = answers(0, [slice(300, 400)])
    one_by_one = [slice(300, 301), slice(301, 350), slice(350, 400)]
    np.testing.assert_array_equal(answers(0, one_by_one), whole)
    assert (answers(1, [slice(300, 400)]) != whole).any()
    again = answers(0, [slice(300, 400)] * 2)
    assert (again[:100] != again[100:]).any()


def test_gaps_count_more_with_experience(bandit, data):
    X, Y = data
    new = clone(bandit).fit(X[:300], Y[:300])
    before = new.show_probabilities(X[3000:], k=5).power(2).sum()
    nothing = np.full((5000, 1), -1)
    new.learn_rewards(X[np.arange(5000) % 300], nothing, np.zeros_like(nothing))
    assert new.n_rounds_ == 5300
    assert new.show_probabilities(X[3000:], k=5).power(2).sum() > before


def test_fewer_labels_than_are_asked_for(data):
    X, Y = data
    bandit = XRBanditClassifier(XRNeighborsClassifier(n_neighbors=1)).fit(X, Y)
    labels, propensities = bandit.recommend(X[:50], k=9)
    assert (labels == -1).any() and (propensities[labels == -1] == 1).all()
    small = XRBanditClassifier(random_state=0).fit(X[:200], Y[:200, :3])
    labels, propensities = small.recommend(X[:10], k=5)
    assert labels.shape == (10, 3) and (propensities == 1).all()


def test_model_files_go_on_drawing(bandit, data, tmp_path):
    X, Y = data
    new = clone(bandit).fit(X[:300], Y[:300])
    new.recommend(X[:7])
    save_model(new, tmp_path / "bandit.xmr")
    wanted, found = new.recommend(X), load_model(tmp_path / "bandit.xmr").recommend(X)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)


# --- what is learnt ------------------------------------------------------------------


def total_reward(bandit, X, Y):
    """Of 30 batches, after which it learns."""
    total = 0
    for rows in np.array_split(np.arange(300, X.shape[0]), 30):
        labels, propensities = bandit.recommend(X[rows], k=3)
        rewards = rewards_of(Y[rows], labels)
        bandit.learn_rewards(X[rows], labels, rewards, propensities)
        total += rewards.sum()
    return total


def test_learning_pays(data):
    X, Y = data
    learns = XRBanditClassifier(random_state=0).fit(X[:300], Y[:300])
    stays = clone(learns).fit(X[:300], Y[:300])
    before = stays.predict_topk(X[300:], k=3)[0]
    assert total_reward(learns, X, Y) > 1.05 * rewards_of(Y[300:], before).sum()
    after = learns.predict_topk(X[300:], k=3)[0]
    assert rewards_of(Y[300:], after).sum() > 1.2 * rewards_of(Y[300:], before).sum()
    random = np.random.RandomState(0).rand(*Y[300:].shape).argsort(axis=1)[:, :3]
    assert rewards_of(Y[300:], before).sum() > 2 * rewards_of(Y[300:], random).sum()


def test_it_is_the_partial_fit_of_the_model(bandit, data):
    X, Y = data
    new = clone(bandit).fit(X[:300], Y[:300])
    model = pickle.loads(pickle.dumps(new.estimator_))
    labels, propensities = new.recommend(X[300:400])
    rewards = rewards_of(Y[300:400], labels)
    new.learn_rewards(X[300:400], labels, rewards, propensities)
    right, wrong = np.zeros((2, 100, 60), dtype=np.float32)
    rows = np.arange(100)[:, None]
    right[rows, labels], wrong[rows, labels] = rewards, 1 - rewards
    weight = np.zeros_like(right)
    weight[rows, labels] = rewards * np.minimum(1 / propensities, 3)
    kept = right.any(axis=1)
    model.partial_fit(
        X[300:400][kept],
        right[kept],
        relevance=weight[kept],
        negatives=wrong[kept],
    )
    np.testing.assert_array_equal(
        model.predict_topk(X)[1], new.estimator_.predict_topk(X)[1]
    )


def test_logs_tell_what_another_policy_is_worth(data):
    X, Y = data
    bandit = XRBanditClassifier(
        gamma=0.3, n_explored=2, n_alternatives=15, random_state=0
    )
    bandit.fit(X[:300], Y[:300])
    labels, propensities = bandit.recommend(X[300:], k=3)
    rewards = rewards_of(Y[300:], labels)
    other = pickle.loads(pickle.dumps(bandit)).set_params(gamma=3.0)
    target = other.show_probabilities(X[300:], k=3)
    exact = target.multiply(Y[300:]).sum() / len(labels)
    rows = np.arange(len(labels))[:, None]
    predicted = bandit.score_pairs(X[300:], target)
    given = {
        "predicted_rewards": predicted[rows, labels].toarray(),
        "predicted_values": np.asarray(target.multiply(predicted).sum(axis=1)).ravel(),
    }
    for method in ("ips", "snips", "dr"):
        value, error = policy_value(
            rewards,
            propensities,
            target[rows, labels].toarray(),
            method=method,
            **(given if method == "dr" else {}),
        )
        assert abs(value - exact) < 3 * error, method
        assert abs(rewards.sum(axis=1).mean() - exact) > 3 * error, method


def test_pipelines_from_texts():
    texts = ["red bird", "blue bird", "red fish", "blue fish"] * 5
    Y = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 5)
    model = make_pipeline(HashingVectorizer(), XRLinearClassifier())
    bandit = XRBanditClassifier(model, random_state=0).fit(texts, Y)
    original = bandit.estimator_
    labels, propensities = bandit.recommend(texts, k=2)
    bandit.learn_rewards(texts, labels, np.ones((20, 2)), propensities)
    assert bandit.n_rounds_ == 40 and bandit.estimator_ is not original
    assert bandit.recommend(["red bird"], k=3)[0].shape == (1, 3)


def test_what_is_refused(bandit, data):
    X, before = data[0][:2], dict(vars(bandit))
    labels, rewards = [[1, 2], [3, -1]], [[1, 0], [0, 7]]
    refused = [
        ("k must be an integer of at least 1, got 0", lambda: bandit.recommend(X, k=0)),
        ("labels must be column numbers", lambda: learn([[1.0, 2.0]] * 2, rewards)),
        ("labels must be from 0 to 59", lambda: learn([[1, 60], [1, 2]], rewards)),
        ("labels must not have duplicates", lambda: learn([[1, 1], [1, 2]], rewards)),
        ("rewards must have a value", lambda: learn(labels, [[1], [0]])),
        ("rewards must be 0 or 1, found 2", lambda: learn(labels, [[2, 0], [0, 0]])),
        ("inconsistent numbers", lambda: learn([[1, 2]], [[0, 1]])),
        (
            "propensities must be above 0",
            lambda: learn(labels, rewards, [[1, 0], [1, 0]]),
        ),
    ]

    def learn(*feedback):
        bandit.learn_rewards(X, *feedback)

    for message, call in refused:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="k must be at least n_explored, 3, got 2"):
        clone(bandit).set_params(n_explored=3).fit(*data).recommend(X, k=2)
    cannot = XRBanditClassifier(XRNeighborsClassifier()).fit(*data)
    with pytest.raises(TypeError, match="must have a partial_fit"):
        cannot.learn_rewards(X, labels, rewards)
    assert all(vars(bandit)[name] is value for name, value in before.items())
