"""Curves from scores to probabilities, of numbers alone: model files hold them.

Each has ``fit(scores, hits, sample_weight)``, a class method that learns the curve from
the scores of pairs (0 to 1), which of them were right (bool) and their weights or None,
and ``predict(scores)``, the probabilities (float64); all arrays of shape (n_pairs,).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sklearn_xmr.utils._storable import storable

LARGEST_LOG_FACTOR = 10.0  # a factor of 22,026 either way
TIE_BREAK = 1e-4  # share of the score itself


@storable
class IsotonicCurve:
    """Any non-decreasing curve, with straight lines between its thresholds.

    Steps of the curve would make labels equal that the model ranks: a ten-thousandth
    of the result is the score itself.

    Parameters
    ----------
    scores, shares : ndarray of float64 of shape (n_thresholds,)
        Ascending scores, and how often labels of these were right.

    References
    ----------
    B. Zadrozny, C. Elkan. "Transforming classifier scores into accurate multiclass
    probability estimates", KDD 2002.
    """

    def __init__(self, scores, shares):
        self.scores, self.shares = scores, shares

    @classmethod
    def fit(cls, scores, hits, sample_weight=None):
        """Learn the curve, as :class:`sklearn.isotonic.IsotonicRegression` does."""
        curve = IsotonicRegression().fit(scores, hits, sample_weight)
        return cls(np.float64(curve.X_thresholds_), np.float64(curve.y_thresholds_))

    def predict(self, scores):
        """Probabilities."""
        steps = np.interp(scores, self.scores, self.shares)
        return (1 - TIE_BREAK) * steps + TIE_BREAK * scores

    def __repr__(self):
        return f"IsotonicCurve({len(self.scores)} thresholds)"

    def __reduce__(self):
        return IsotonicCurve, (self.scores, self.shares)


@storable
class SigmoidCurve:
    """A logistic curve in the logarithm of the score.

    Parameters
    ----------
    slope, intercept : float
        Of the log-odds.

    References
    ----------
    J. Platt. "Probabilistic outputs for support vector machines", 1999.
    """

    def __init__(self, slope, intercept):
        self.slope, self.intercept = float(slope), float(intercept)

    @classmethod
    def fit(cls, scores, hits, sample_weight=None):
        """Learn slope and intercept by logistic regression."""
        regression = LogisticRegression(C=1e6)
        regression.fit(_log(scores)[:, None], hits, sample_weight)
        return cls(regression.coef_[0, 0], regression.intercept_[0])

    def predict(self, scores):
        """Probabilities."""
        return expit(self.slope * _log(scores).astype(float) + self.intercept)

    def __repr__(self):
        return f"SigmoidCurve(slope={self.slope:.4g}, intercept={self.intercept:.4g})"

    def __reduce__(self):
        return SigmoidCurve, (self.slope, self.intercept)


def _log(scores):
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))


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
        """Find the factor of least log loss."""
        against = np.where(hits, -1.0, 1.0) * _log_odds(proba)

        def loss(log_factor):
            losses = np.logaddexp(0, np.exp(log_factor) * against)
            return np.average(losses, weights=sample_weight)

        bounds = -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR
        found = minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-6})
        return cls(np.exp(found.x))

    def predict(self, proba):
        """Scaled probabilities."""
        return expit(self.factor * _log_odds(proba))

    def __repr__(self):
        return f"TemperatureScaling(factor={self.factor:.4g})"

    def __reduce__(self):
        return TemperatureScaling, (self.factor,)


def _log_odds(proba):
    smallest = np.finfo(np.float32).tiny
    return logit(np.clip(proba, smallest, 1 - np.finfo(np.float32).epsneg, dtype=float))


def curve_of(calibrator):
    """The curve of a calibrator, which was scikit-learn's in models of before.

    Parameters
    ----------
    calibrator : curve, IsotonicRegression or LogisticRegression
        What a model holds.

    Returns
    -------
    IsotonicCurve, SigmoidCurve or TemperatureScaling
    """
    if isinstance(calibrator, IsotonicRegression):
        return IsotonicCurve(calibrator.X_thresholds_, calibrator.y_thresholds_)
    if isinstance(calibrator, LogisticRegression):
        return SigmoidCurve(calibrator.coef_[0, 0], calibrator.intercept_[0])
    return calibrator
