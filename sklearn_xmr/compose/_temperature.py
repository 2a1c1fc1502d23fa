"""Temperature scaling: the log-odds of all probabilities by one factor."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from sklearn_xmr.utils._storable import storable

LARGEST_LOG_FACTOR = 10.0  # a factor of 22,026 either way


@storable
class TemperatureScaling:
    """Probabilities made less or more extreme by one factor of their log-odds.

    Parameters
    ----------
    factor : float
        The inverse of the temperature: below 1, probabilities move towards a half.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. "On Calibration of Modern Neural
    Networks", ICML 2017.
    """

    def __init__(self, factor):
        self.factor = float(factor)

    @classmethod
    def fit(cls, proba, hits, sample_weight=None):
        """Find the factor of least log loss.

        Parameters
        ----------
        proba : ndarray of shape (n_pairs,)
            Probabilities.
        hits : ndarray of bool of shape (n_pairs,)
            Which were right.
        sample_weight : ndarray of shape (n_pairs,), default=None
            Weights.

        Returns
        -------
        TemperatureScaling
        """
        against = np.where(hits, -1.0, 1.0) * _log_odds(proba)

        def loss(log_factor):
            losses = np.logaddexp(0, np.exp(log_factor) * against)
            return np.average(losses, weights=sample_weight)

        bounds = -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR
        found = minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-6})
        return cls(np.exp(found.x))

    def predict(self, proba):
        """Scaled probabilities.

        Parameters
        ----------
        proba : ndarray of shape (n_pairs,)
            Probabilities.

        Returns
        -------
        ndarray of float64 of shape (n_pairs,)
        """
        return expit(self.factor * _log_odds(proba))

    def __repr__(self):
        return f"TemperatureScaling(factor={self.factor:.4g})"

    def __reduce__(self):
        return TemperatureScaling, (self.factor,)


def _log_odds(proba):
    smallest = np.finfo(np.float32).tiny
    return logit(np.clip(proba, smallest, 1 - np.finfo(np.float32).epsneg, dtype=float))
