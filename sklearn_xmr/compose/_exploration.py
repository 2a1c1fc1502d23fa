"""What to show: the best labels, and some of the others by inverse gap weighting."""

from threading import Lock

import numpy as np

from sklearn_xmr.utils._storable import storable

_drawing = Lock()  # held for the microseconds of one draw


def inclusion_probabilities(scores, found, n_greedy, n_explored, gamma):
    """Probability that each candidate is shown.

    The ``n_greedy`` best are shown. Of the A others, ``n_explored`` (r) are: each but
    their r best with probability ``r / (A + gamma * gap)``, where the gap is that to
    the r-th best; what is left of r is shared among these r. With r = 1, these are the
    probabilities of inverse gap weighting.

    Parameters
    ----------
    scores : ndarray of float of shape (n_samples, n_candidates)
        Expected rewards, descending.
    found : ndarray of bool of shape (n_samples, n_candidates)
        Which candidates there are: the first ones of each row.
    n_greedy, n_explored : int
        Numbers of labels to show.
    gamma : float
        How much a gap counts: 0 for none, so that all others are equally likely.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_candidates)
        Each row sums to ``n_greedy + n_explored``, or to the number of candidates where
        that is smaller.
    """
    out = found.astype(np.float64)
    others = out[:, n_greedy:]
    n_others = others.sum(axis=1, keepdims=True)
    if n_explored == 0 or others.shape[1] <= n_explored:
        others[:, n_explored:] = 0
        return out
    scores = scores[:, n_greedy:].astype(np.float64)
    gaps = np.maximum(scores[:, [n_explored - 1]] - scores, 0)
    rest = others[:, n_explored:]
    rest *= n_explored / (np.maximum(n_others, 1) + gamma * gaps[:, n_explored:])
    left = 1 - rest.sum(axis=1, keepdims=True) / n_explored
    others[:, :n_explored] *= left
    return out


def draw(probabilities, uniform):
    """Draw candidates that have given probabilities: systematic sampling.

    Parameters
    ----------
    probabilities : ndarray of float64 of shape (n_samples, n_candidates)
        Of each to be drawn, between 0 and 1; rows sum to integers.
    uniform : ndarray of float64 of shape (n_samples,)
        Uniform in [0, 1).

    Returns
    -------
    ndarray of bool of shape (n_samples, n_candidates)
        True for the drawn ones, as many in a row as the sum of its probabilities.

    References
    ----------
    W. G. Madow. "On the theory of systematic sampling, II", Annals of Mathematical
    Statistics 20, 1949.
    """
    ends = np.cumsum(probabilities, axis=1).round(9)  # totals are integers, exactly
    uniform = np.floor(uniform * 2**32) / 2**32  # of no more bits than differences have
    passed = np.ceil(ends - uniform[:, None])
    drawn = passed > 0
    drawn[:, 1:] = passed[:, 1:] > passed[:, :-1]
    return drawn


@storable
class UniformDraws:
    """Uniform numbers for exploration: one for each instance, whatever the batches.

    Objects may be used by many threads at once; a copy goes on from the same place.

    Parameters
    ----------
    seed : int
        Seed of the generator (PCG64).
    n_drawn : int, default=0
        How many numbers have been drawn.
    """

    def __init__(self, seed, n_drawn=0):
        self.seed, self.n_drawn = int(seed), int(n_drawn)
        generator = np.random.PCG64(self.seed).advance(self.n_drawn)
        self._generator = np.random.Generator(generator)

    def next(self, n):
        """The next n numbers (ndarray of float64), in [0, 1)."""
        with _drawing:
            self.n_drawn += n
            return self._generator.random(n)

    def __reduce__(self):
        return type(self), (self.seed, self.n_drawn)
