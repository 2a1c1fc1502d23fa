"""Seeds for nested estimators: one random_state determines all."""

import numpy as np
from sklearn.base import clone


def draw_seed(rng):
    """Draw a seed (int)."""
    return int(rng.randint(np.iinfo(np.int32).max))


def seed_if_unset(estimator, seed):
    """Set the seed wherever a nested ``random_state`` is None."""
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if value is None and name.rpartition("__")[2] == "random_state":
            estimator.set_params(**{name: seed})


def seeded(estimator, rng):
    """A clone, with a seed drawn from `rng` wherever a ``random_state`` is None."""
    estimator = clone(estimator)
    seed_if_unset(estimator, draw_seed(rng))
    return estimator
