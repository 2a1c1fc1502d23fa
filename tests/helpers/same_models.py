"""Whether two fitted estimators are equal, bit for bit."""

from sklearn_xmr import save_model


def saved(estimator, folder):
    """The bytes of an estimator's model file."""
    path = folder / "compared.xmr"
    save_model(estimator, path)
    return path.read_bytes()


def assert_same(one, other, folder):
    assert saved(one, folder) == saved(other, folder)
