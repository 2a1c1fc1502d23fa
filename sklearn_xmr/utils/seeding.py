"""Seeds for estimators inside others: one random_state decides all."""

import numpy as np
from sklearn.base import clone


def draw_seed(rng):
    """A seed (int)."""
    return int(rng.randint(np.iinfo(np.int32).max))


def seed_if_unset(estimator, seed):
    """Give a nested random_state of None our seed, so that ours decides all."""
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if value is None and name.rpartition("__")[2] == "random_state":
            estimator.set_params(**{name: seed})


def seeded(estimator, rng):
    """A clone whose random states of None are drawn from ours."""
    estimator = clone(estimator)
    seed_if_unset(estimator, draw_seed(rng))
    return estimator
