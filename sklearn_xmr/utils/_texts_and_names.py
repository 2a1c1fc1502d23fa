"""Checks of texts and of names, as users have them in lists, columns and tables."""

from collections.abc import Mapping
from warnings import warn

import numpy as np

USUAL_SEPARATORS = (";", ",", "|", "\t")


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


def well_formed(text):
    """A text with U+FFFD for lone surrogates, which tokenizers and plots refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_missing(value):
    """Whether a value is None, NaN, or pandas' NA or NaT."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
    )


def check_names(names, n_names, name):
    """Check names of labels or features, and convert them to a list.

    Parameters
    ----------
    names : sequence of str or None
        Names by position; the index of a pandas Series is ignored.
    n_names : int
        Number of labels or features.
    name : str
        Name of the argument in errors, "label_names" or "feature_names".

    Returns
    -------
    list or None
        The names in the order given.

    Raises
    ------
    TypeError
        If the names have no order.
    ValueError
        If their number is wrong.
    """
    if names is None:
        return None
    if isinstance(names, Mapping | set | frozenset):
        raise TypeError(
            f"{name} must be a sequence in the order of the columns, got "
            f"{type(names).__name__}"
        )
    if getattr(names, "ndim", 1) != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {names.shape}")
    names = list(names)
    if len(names) != n_names:
        things = name.removesuffix("_names") + "s"
        raise ValueError(
            f"{name} must hold a name for each of the {n_names} {things}, got "
            f"{len(names)}"
        )
    return names


def warn_of_separator(strings, separator, where):
    """Warn where nearly no string is split, and another separator would split most.

    Parameters
    ----------
    strings : list of str
        The names of each instance in one string.
    separator : str or None
        What is to stand between them.
    where : str
        Where the strings are from.
    """
    strings = [string for string in strings if string.strip()]
    if not separator or len(strings) < 2:
        return
    n_split = sum(separator in string for string in strings)
    if n_split * 20 > len(strings):
        return
    n_with = {other: sum(other in s for s in strings) for other in USUAL_SEPARATORS}
    other = max(n_with, key=n_with.__getitem__)
    if n_with[other] * 2 > len(strings):
        warn(
            f"separator={separator!r} splits {n_split} of the {len(strings)} rows with "
            f"labels in {where}, but {n_with[other]} contain {other!r}: "
            f"separator={other!r} may be meant",
            stacklevel=4,
        )
