"""Texts as a list of str, or an error that says which one is not."""


def check_texts(X, name="X"):
    """Texts of any container as a list.

    Parameters
    ----------
    X : list, tuple, ndarray or Series of str
    name : str
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
    """Texts and ready features of ``(texts, features)``, None where there are none."""
    pair = isinstance(X, tuple) and len(X) == 2 and not isinstance(X[0], str)
    texts, features = X if pair else (X, None)
    return check_texts(texts, "the texts of X" if pair else "X"), features
