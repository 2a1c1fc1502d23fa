"""Propensity of labels by their frequency: one formula for metrics and models."""

import numpy as np


def propensity_of_counts(counts, n_samples, A=0.55, B=1.5):
    """How likely a relevant label was observed.

    Parameters
    ----------
    counts : ndarray of shape (n_labels,)
        Training instances of each label.
    n_samples : float
        Training instances.
    A, B : float
        As in :func:`sklearn_xmr.metrics.propensity_scores`.

    Returns
    -------
    ndarray of float64 of shape (n_labels,)
    """
    # Below N = e the formula would leave (0, 1]; nothing is known then.
    C = max(np.log(n_samples) - 1, 0) * (B + 1) ** A
    return 1 / (1 + C * (counts + B) ** -A)
