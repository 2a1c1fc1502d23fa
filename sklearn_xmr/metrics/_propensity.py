"""How likely a relevant label was observed, by its frequency."""

from numbers import Real

import numpy as np

from sklearn_xmr.utils._propensity import propensity_of_counts
from sklearn_xmr.utils._typing import MatrixLike
from sklearn_xmr.utils._validation import check_label_indicator

MOST = 100  # of A and B; powers of larger ones need not be numbers


def propensity_scores(
    Y_train: MatrixLike, A: float = 0.55, B: float = 1.5
) -> np.ndarray:
    """Propensity of each label: how likely a relevant label was observed.

    ``p = 1 / (1 + C (n + B)**-A)`` with n the label's number of training instances
    and ``C = (log N - 1) (B + 1)**A`` for N training instances.

    Parameters
    ----------
    Y_train : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of the *training* data.
    A : float, default=0.55
        Exponent, up to 100: 0.5 is used for Wikipedia sets, 0.6 for Amazon sets.
    B : float, default=1.5
        Added to the counts, up to 100: 0.4 is used for Wikipedia sets, 2.6 for Amazon
        sets.

    Returns
    -------
    ndarray of float64 of shape (n_labels,)
        In (0, 1].

    Raises
    ------
    ValueError
        If ``Y_train`` is no label indicator, or A or B is not in (0, 100].

    References
    ----------
    H. Jain, Y. Prabhu, M. Varma. "Extreme multi-label loss functions for
    recommendation, tagging, ranking and other missing label applications", KDD 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_xmr.metrics import propensity_scores
    >>> propensity_scores(np.eye(20)).round(3)[:2]
    array([0.334, 0.334])
    """
    Y = check_label_indicator(Y_train, "Y_train")
    for name, value in {"A": A, "B": B}.items():
        if not isinstance(value, Real) or not 0 < value <= MOST:
            raise ValueError(
                f"{name} must be a positive number of at most {MOST}, got {value!r}"
            )
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    return propensity_of_counts(counts, Y.shape[0], A, B)
