"""Lines that ``fit`` prints where ``verbose`` asks for them."""


def log_line(estimator, message):
    """Print a line of an estimator, unless its ``verbose`` is 0.

    Parameters
    ----------
    estimator : estimator
        With ``verbose``.
    message : str
        What to print behind the estimator's name.
    """
    if estimator.verbose:
        name = type(estimator).__name__.removesuffix("Classifier")
        print(f"[{name}] {message}")
