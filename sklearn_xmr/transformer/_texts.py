"""Texts as a list of str, or an error that says which one is not."""

import numpy as np
from sklearn.utils import check_array

from sklearn_xmr.utils._validation import as_csr_float32


def check_texts(X, name="X"):
    """Texts of any container as a list.

    Parameters
    ----------
    X : list, tuple, ndarray or Series of str
        Texts.
    name : str, default="X"
        What errors call it.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        If X is a single text, or something in it is no text.
    ValueError
        If X is empty, or an array of more than one dimension.
    """
    if isinstance(X, (str, bytes)):
        raise TypeError(
            f"{name} must be a list of texts, got one {type(X).__name__}: put it into "
            "a list"
        )
    if getattr(X, "ndim", 1) > 1:
        raise ValueError(
            f"{name} must be a one-dimensional container of texts, got shape "
            f"{X.shape}; of a table, give the column of texts"
        )
    if not hasattr(X, "__iter__"):
        raise TypeError(f"{name} must be a list of texts, got {type(X).__name__}")
    texts = list(X)
    if not texts:
        raise ValueError(f"{name} must hold at least one text, but is empty")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{name} must hold texts only, but element {place} is {text!r} "
                f"({type(text).__name__}); an empty text is ''"
            )
    return texts


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
