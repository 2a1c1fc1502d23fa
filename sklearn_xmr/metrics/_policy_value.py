"""What a policy is worth, from the log of another one."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.utils._validation import check_array

METHODS = ("ips", "snips", "dr")


def policy_value(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target_propensities: ArrayLike,
    *,
    method: Literal["ips", "snips", "dr"] = "ips",
    predicted_rewards: ArrayLike | None = None,
    predicted_values: ArrayLike | None = None,
) -> tuple[float, float]:
    """Estimate the reward of a policy from what another one showed.

    A policy shows labels at random, each with some probability. The one that wrote the
    log must show everything that the target policy may show; its rewards are weighted
    by how much more often the target would have shown the same.

    Parameters
    ----------
    rewards : array-like of shape (n_samples,) or (n_samples, k)
        Of the labels that were shown; 0 where there was none.
    propensities : array-like of the same shape
        Probability with which the logging policy showed each, as
        :meth:`XRBanditClassifier.recommend` returns it: above 0 and at most 1.
    target_propensities : array-like of the same shape
        Probability with which the target policy would have shown each, from 0 to 1; 0
        where there was no label.
    method : {"ips", "snips", "dr"}, default="ips"
        "ips": inverse propensity weights, unbiased. "snips": self-normalised, biased
        but mostly closer; it takes it that both policies show the same number of
        labels. "dr": doubly robust, the prediction of a reward model plus the weighted
        errors of that prediction: unbiased where the propensities are right, and exact
        where the predictions are.
    predicted_rewards : array-like of the same shape, default=None
        For "dr": what the reward model predicts of each shown label, without having
        seen its reward.
    predicted_values : array-like of shape (n_samples,), default=None
        For "dr": what it expects the target policy to get, the sum over all labels of
        target propensity times predicted reward.

    Returns
    -------
    value : float
        Mean reward of an instance: the sum over its shown labels.
    standard_error : float
        Of the value, where instances are independent; NaN for a single instance.

    Raises
    ------
    ValueError
        If an argument is not as described.

    See Also
    --------
    sklearn_xmr.XRBanditClassifier : Writes such logs.

    References
    ----------
    D. Horvitz, D. Thompson. "A generalization of sampling without replacement from a
    finite universe", JASA 1952. A. Swaminathan, T. Joachims. "The self-normalized
    estimator for counterfactual learning", NIPS 2015. M. Dudik, J. Langford, L. Li.
    "Doubly robust policy evaluation and learning", ICML 2011.

    Examples
    --------
    A policy that shows one of two labels, each half of the time; the other one always
    shows the first.

    >>> from sklearn_xmr.metrics import policy_value
    >>> shown, rewards = [0, 1, 0, 1], [1, 0, 1, 1]
    >>> target = [1.0 if label == 0 else 0.0 for label in shown]
    >>> value, error = policy_value(rewards, [0.5] * 4, target)
    >>> value
    1.0
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    rewards = _matrix(rewards, "rewards")
    logged = _matrix(propensities, "propensities", rewards.shape)
    target = _matrix(target_propensities, "target_propensities", rewards.shape)
    _check_range(logged > 0, logged, "propensities", "above 0")
    _check_range(target >= 0, target, "target_propensities", "at least 0")
    weights = target / logged
    if method == "snips":
        return _self_normalised(weights, rewards)
    if method == "ips":
        return _mean_and_error((weights * rewards).sum(axis=1))
    predicted, values = _predictions(predicted_rewards, predicted_values, rewards.shape)
    return _mean_and_error(values + (weights * (rewards - predicted)).sum(axis=1))


def _self_normalised(weights, rewards):
    """The mean under weights, times the number of labels; its error by linearising."""
    total = weights.sum()
    if total == 0:
        raise ValueError(
            "target_propensities must be positive for some label that was shown: of "
            "what the target policy shows, the log says nothing"
        )
    n, k = rewards.shape
    mean = (weights * rewards).sum() / total
    terms = (weights * (rewards - mean)).sum(axis=1) * (n * k / total)
    return float(k * mean), _mean_and_error(terms)[1]


def _mean_and_error(terms):
    n = len(terms)
    error = np.std(terms, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(terms)), float(error)


def _predictions(rewards, values, shape):
    for given, name in ((rewards, "predicted_rewards"), (values, "predicted_values")):
        if given is None:
            raise ValueError(f'{name} must be given for method="dr"')
    rewards = _matrix(rewards, "predicted_rewards", shape)
    return rewards, _matrix(values, "predicted_values", (shape[0], 1))[:, 0]


def _matrix(values, name, shape=None):
    """Finite float64 values, as a matrix of the given shape."""
    values = check_array(
        values, dtype=np.float64, ensure_2d=False, input_name=name, allow_nd=True
    )
    matrix = values[:, None] if values.ndim == 1 else values
    if matrix.ndim != 2 or (shape is not None and matrix.shape != shape):
        wanted = "(n_samples,) or (n_samples, k)" if shape is None else shape
        raise ValueError(f"{name} must have the shape {wanted}, got {values.shape}")
    return matrix


def _check_range(is_enough, values, name, least):
    if not (is_enough & (values <= 1)).all():
        raise ValueError(
            f"{name} must be {least} and at most 1, found {values.min()} to "
            f"{values.max()}"
        )
