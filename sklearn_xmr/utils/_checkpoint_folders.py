"""Checkpoints of models inside models: a folder for each fit, the same in each run."""

import os


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
    """
    folders = folders_of(model)
    return model.set_params(**{p: os.path.join(f, name) for p, f in folders.items()})


def folders_of(model):
    """The checkpoint folders of a model and of those inside, by parameter (dict)."""
    return {
        name: value
        for name, value in model.get_params(deep=True).items()
        if name.rpartition("__")[2] == "checkpoint_dir" and value is not None
    }
