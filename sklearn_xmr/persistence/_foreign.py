"""Estimators of other packages inside a model file, by skops."""


def _import_skops():
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            "estimators of other packages are stored by skops: pip install skops"
        ) from error
    return skops.io


def dump_foreign(estimator, where):
    """Return an estimator of another package as bytes.

    Parameters
    ----------
    estimator : estimator
        Of scikit-learn, or of anyone.
    where : str
        What it is, for errors.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        If skops cannot store it, or not load it again: a lambda has no name by which
        it could be found.
    ImportError
        If skops is missing.
    """
    skops_io = _import_skops()
    try:
        content = skops_io.dumps(estimator)
        needed = skops_io.get_untrusted_types(data=content)
        skops_io.loads(content, trusted=needed)  # by its own process: trusted
    except Exception as error:  # skops raises what each type raises
        raise TypeError(
            f"{where}, a {type(estimator).__name__}, cannot be stored by skops: {error}"
        ) from error
    return content


def load_foreign(content, trusted):
    """Make an estimator of bytes that :func:`dump_foreign` returned.

    Parameters
    ----------
    content : bytes
        What was stored.
    trusted : collection of str
        Types that may be made beside those that skops trusts itself.

    Returns
    -------
    estimator

    Raises
    ------
    ValueError
        If it needs a type that is not trusted.
    ImportError
        If skops is missing.
    """
    skops_io = _import_skops()
    unknown = set(skops_io.get_untrusted_types(data=content))
    missing = sorted(unknown - set(trusted))
    if missing:
        raise ValueError(
            f"it holds objects of {', '.join(missing)}; if you trust these types, pass "
            f"trusted={missing}"
        )
    return skops_io.loads(content, trusted=sorted(unknown))
