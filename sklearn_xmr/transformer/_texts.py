"""Texts as a list of str, or an error that says which one is not."""

import numpy as np

from sklearn_xmr.utils._matrices import as_csr_float32
from sklearn_xmr.utils._texts_and_names import check_texts
from sklearn_xmr.utils._validation import check_array


def split_pair(X):
    """Texts, and ready features where X is a pair, checked.

    Parameters
    ----------
    X : array-like of str of shape (n_samples,), or a pair
        Texts, or ``(texts, features)``.

    Returns
    -------
    texts : list of str
        The texts.
    features : csr_matrix of float32 of shape (n_samples, n_features) or None
        None where X is no pair.

    Raises
    ------
    TypeError
        If something is no text.
    ValueError
        If the features do not fit the texts.
    """
    pair = isinstance(X, tuple) and len(X) == 2 and not isinstance(X[0], str)
    if not pair:
        return check_texts(X), None
    texts, features = check_texts(X[0], "the texts of X"), X[1]
    if features is None:
        return texts, None
    features = check_array(
        features, accept_sparse="csr", dtype=np.float32, input_name="features"
    )
    if features.shape[0] != len(texts):
        raise ValueError(
            f"X is a pair of {len(texts)} texts and {features.shape[0]} rows of "
            "features: there must be as many of both"
        )
    return texts, as_csr_float32(features)
