"""Policy values: exact expectations over all that can be shown, errors, bad input."""

from itertools import combinations, product

import numpy as np
import pytest

from sklearn_xmr.metrics import policy_value

N_LABELS = 4


def random_policy(rng, k):
    """Sets of k labels, their probabilities, and that of each label to be shown."""
    sets = np.array(list(combinations(range(N_LABELS), k)))
    probabilities = rng.dirichlet(np.ones(len(sets)))
    shown = np.zeros(N_LABELS)
    for labels, p in zip(sets, probabilities, strict=True):
        shown[labels] += p
    return sets, probabilities, shown


@pytest.mark.parametrize("method", ["ips", "dr"])
@pytest.mark.parametrize("k", [1, 2])
def test_the_expectation_is_the_value_of_the_target(method, k):
    """Over all that the logging policy can show to two instances, with rewards."""
    rng = np.random.RandomState(k)
    logging, target = ([random_policy(rng, k) for _ in range(2)] for _ in range(2))
    rewards = rng.randint(0, 2, (2, N_LABELS)).astype(float)
    rewards[0, 0], predicted = 1, rng.rand(2, N_LABELS)  # a bad model, all the same
    to_show = np.array([shown for _, _, shown in target])
    wanted = (to_show * rewards).sum(axis=1).mean()
    expected = 0.0
    for cases in product(*(range(len(sets)) for sets, _, _ in logging)):
        rows = np.arange(2)[:, None]
        labels = np.array([logging[i][0][case] for i, case in enumerate(cases)])
        chance = np.prod([logging[i][1][case] for i, case in enumerate(cases)])
        given = {}
        if method == "dr":
            given["predicted_rewards"] = predicted[rows, labels]
            given["predicted_values"] = (to_show * predicted).sum(axis=1)
        logged = np.array([shown for _, _, shown in logging])
        value, _ = policy_value(
            rewards[rows, labels],
            logged[rows, labels],
            to_show[rows, labels],
            method=method,
            **given,
        )
        expected += chance * value
    assert expected == pytest.approx(wanted)


def log_of(seed, n):
    """One of three labels is shown to each; the target prefers the first."""
    rng = np.random.RandomState(seed)
    logged, target = np.array([0.2, 0.3, 0.5]), np.array([0.7, 0.2, 0.1])
    chances = np.array([0.8, 0.4, 0.1])
    labels = rng.choice(3, n, p=logged)
    rewards = (rng.rand(n) < chances[labels]).astype(float)
    model = {
        "predicted_rewards": chances[labels],
        "predicted_values": np.full(n, target @ chances),
    }
    return rewards, logged[labels], target[labels], model, target @ chances


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_errors_are_as_large_as_they_say(method):
    found = []
    for seed in range(300):
        *log, model, value = log_of(seed, 400)
        found.append(policy_value(*log, method=method, **model))
    values, errors = np.transpose(found)
    assert abs(values.mean() - value) < 0.01
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


def test_a_good_model_and_normalising_shrink_the_error():
    *log, model, _ = log_of(0, 400)
    errors = {m: policy_value(*log, method=m, **model)[1] for m in ("ips", "dr")}
    assert errors["dr"] < 0.8 * errors["ips"]


def test_the_policy_of_the_log_has_the_mean_reward():
    rewards = np.array([[1, 0], [1, 1], [0, 0.5]])
    shown = np.array([[1, 0.2], [1, 0.3], [1, 0.1]])
    for method in ("ips", "snips"):
        value, error = policy_value(rewards, shown, shown, method=method)
        assert value == pytest.approx(3.5 / 3)
        assert error == pytest.approx(np.std([1, 2, 0.5], ddof=1) / np.sqrt(3))


def test_what_is_refused():
    ok = [[1.0, 0.0]], [[0.5, 1.0]], [[0.5, 0.0]]
    assert np.isnan(policy_value(*ok)[1])
    with pytest.raises(ValueError, match="method must be one of"):
        policy_value(*ok, method="best")
    with pytest.raises(ValueError, match="propensities must be above 0"):
        policy_value(ok[0], [[0.0, 1.0]], ok[2])
    with pytest.raises(ValueError, match="target_propensities must be at least 0"):
        policy_value(*ok[:2], [[0.5, 1.5]])
    with pytest.raises(ValueError, match=r"propensities must have the shape \(1, 2\)"):
        policy_value(ok[0], [[0.5]], ok[2])
    with pytest.raises(ValueError, match="rewards must have the shape"):
        policy_value([[[1.0]]], ok[1], ok[2])
    with pytest.raises(ValueError, match="predicted_values must be given"):
        policy_value(*ok, method="dr", predicted_rewards=ok[0])
    with pytest.raises(ValueError, match="the log says nothing"):
        policy_value(*ok[:2], [[0.0, 0.0]], method="snips")
