"""Classes whose objects a model file may hold: each says so where it is defined."""

from sklearn_xmr.utils._typing import AnyClass

_CLASSES: dict[str, type] = {}


def storable(cls: AnyClass) -> AnyClass:
    """Let objects of a class be part of a model file; a decorator of classes.

    An object is stored as what ``to_plain`` returns, where its class has this method,
    and made by the class method ``from_plain``; otherwise as what pickle would store:
    the arguments of its class or its state, which ``__setstate__`` must check.

    Parameters
    ----------
    cls : type
        A class of the package.

    Returns
    -------
    type
        The class.
    """
    name = storable_name(cls)
    if _CLASSES.setdefault(name, cls) is not cls:
        raise TypeError(f"two classes are called {name} in model files")
    return cls


def storable_name(cls):
    """Name of a class in model files: its part of the package and its own name (str).

    Parameters
    ----------
    cls : type
        A class of the package.

    Returns
    -------
    str
        Such as ``"linear.XRLinearClassifier"``: modules within a part may change.
    """
    return f"{cls.__module__.split('.')[1]}.{cls.__name__.lstrip('_')}"


def storable_class(name):
    """Look up a class by its name in model files.

    Parameters
    ----------
    name : str
        See :func:`storable_name`; its part of the package must have been imported.

    Returns
    -------
    type or None
        None where no such class may be stored.
    """
    return _CLASSES.get(name)


def is_storable(cls):
    """Whether objects of exactly this class may be stored (bool)."""
    module = cls.__module__ or ""
    return module.startswith("sklearn_xmr.") and _CLASSES.get(storable_name(cls)) is cls
