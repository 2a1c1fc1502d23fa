"""Checkpoints of models inside models: a folder for each fit, the same in each run."""

import os

from sklearn.frozen import FrozenEstimator


def check_repeatable(estimator):
    """ValueError if a fit that keeps checkpoints would draw other numbers next time.

    Parameters
    ----------
    estimator : estimator
        With a ``random_state``, which seeds the models inside.

    Raises
    ------
    ValueError
        If it, or a model inside, has a ``checkpoint_dir``, and no ``random_state``.
    """
    given = folders_of(estimator)
    if given and estimator.random_state is None:
        (name, folder), *_ = given.items()
        raise ValueError(
            f"random_state of {type(estimator).__name__} must be an int with "
            f"{name}={os.fspath(folder)!r}, got None: a fit that goes on from "
            "checkpoints has to draw the same numbers again"
        )


def in_own_folder(model, name):
    """Let a model keep its checkpoints in a folder within the one that it was given.

    Parameters
    ----------
    model : estimator
        A clone, which is changed.
    name : str
        What it is fitted for, such as ``"tree_1"``.

    Returns
    -------
    estimator
        The model.

    Raises
    ------
    TypeError
        If the model is frozen: it would stay the one that has seen all instances.
    """
    if isinstance(model, FrozenEstimator):
        raise TypeError(
            "estimator must be one that can be fitted anew, on a part of the instances,"
            f" got FrozenEstimator({type(model.estimator).__name__}), which stays as it"
            " is: give an estimator that is not frozen"
        )
    folders = folders_of(model)
    return model.set_params(**{p: os.path.join(f, name) for p, f in folders.items()})


def folders_of(model):
    """The checkpoint folders of a model and of those inside, by parameter (dict)."""
    return {
        name: value
        for name, value in model.get_params(deep=True).items()
        if name.rpartition("__")[2] == "checkpoint_dir" and value is not None
    }
