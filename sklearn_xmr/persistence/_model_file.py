"""Saving fitted estimators in the package's own file, and loading them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import sklearn_xmr
from sklearn_xmr.feature_extraction import character_tables
from sklearn_xmr.persistence._encoding import Decoder, Encoder
from sklearn_xmr.utils._array_file import ArrayFile, write_array_file
from sklearn_xmr.utils._typing import Estimator, PathOrStr


def save_model(estimator: Estimator, path: PathOrStr) -> None:
    """Save a fitted estimator in one file of a JSON header and arrays, without code.

    The file holds estimators and vectorizers of this package, alone or within
    pipelines, unions and one another. Estimators of other packages inside, such as
    scikit-learn's, are stored by skops. It is written beside its place and renamed:
    a fault at any moment leaves the old file or the new one, whole.

    Parameters
    ----------
    estimator : estimator
        A fitted one.
    path : path-like
        The file; its name may end in ``.xmr``.

    Raises
    ------
    TypeError
        If the estimator, or a part that the error names, is nothing that a file can
        hold, such as a function.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written; what was there stays.
    ImportError
        If a part needs skops, and it is missing.

    See Also
    --------
    load_model : The way back.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_xmr import XRLinearClassifier, load_model, save_model
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(clf, Path(folder) / "model.xmr")
    ...     again = load_model(Path(folder) / "model.xmr")
    >>> bool((again.predict(X) != clf.predict(X)).nnz)
    False
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            "estimator must be a fitted estimator, got "
            f"{getattr(estimator, '__name__', type(estimator).__name__)}"
        )
    check_is_fitted(estimator)
    encoder = Encoder()
    header = {
        "package": "sklearn_xmr",
        "versions": _versions(),
        "model": encoder.encode(estimator, type(estimator).__name__),
    }
    if encoder.has_classes_of("feature_extraction"):  # for readers without Python
        tables = character_tables()
        header["characters"] = {n: encoder.store(rows) for n, rows in tables.items()}
    write_array_file(path, header, encoder.arrays)


def load_model(
    path: PathOrStr, *, verify: bool = False, trusted: Sequence[str | type] = ()
) -> Any:
    """Load an estimator that :func:`save_model` has saved.

    Arrays stay in the file and are read when they are needed; processes that load the
    same file share them. The header is compared with its checksum, and sizes, types
    and offsets are checked before the first use.

    Parameters
    ----------
    path : path-like
        The file.
    verify : bool, default=False
        Whether to compare all arrays with their checksums too, which reads them all:
        for files that may have been damaged.
    trusted : collection of str, default=()
        Types that estimators of other packages may need beside those that skops
        trusts. Without it, an error lists them.

    Returns
    -------
    estimator
        The fitted estimator, of read-only arrays.

    Raises
    ------
    ValueError
        If the file is no model file, is cut or damaged, has another format, or holds
        types that are not trusted.
    OSError
        If the file cannot be read.
    ImportError
        If a part needs skops or another package that is missing.

    See Also
    --------
    save_model : Makes the file.

    Notes
    -----
    A file cannot run code. What it predicts is up to who made it.

    Examples
    --------
    See :func:`save_model`.
    """
    try:
        arrays = ArrayFile(path)
        if verify:
            arrays.verify()
        if arrays.header.get("package") != "sklearn_xmr":
            raise ValueError("its header is not that of a model")
        model = Decoder(arrays, trusted).decode(arrays.header.get("model"))
        if not isinstance(model, BaseEstimator):
            raise ValueError(f"it holds no estimator, but {model!r:.40}")  # noqa: TRY004
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # what a hostile header makes of any constructor
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    return model


def _versions():
    return {
        "sklearn_xmr": sklearn_xmr.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
