"""The form of y in ``fit``: targets of any form in, predictions of that form out."""

from dataclasses import dataclass, replace
from operator import ne
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sklearn_xmr.metrics import propensity_scores
from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.utils._indicator import one_hot, one_hot_of_known
from sklearn_xmr.utils._matrices import check_column_names, with_pairs_once
from sklearn_xmr.utils._propensity import propensity_of_counts
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR, DenseOrSparse, MatrixLike
from sklearn_xmr.utils._validation import check_array, check_label_indicator


@storable
@dataclass(frozen=True)
class TargetForm:
    """The form of y in ``fit``, in which predictions are given.

    Parameters
    ----------
    classes : ndarray of shape (n_labels,)
        Classes of a 1-D y; column names of a table; label numbers of an indicator
        without names.
    propensities : ndarray of float32 of shape (n_labels,)
        Probability that a relevant label is observed, estimated from its frequency.
    is_multilabel : bool
        Whether y is an indicator.
    is_sparse : bool
        Whether y is sparse.
    dtype : dtype
        The dtype of y.
    library : {"pandas", "polars"} or None
        Whose table y is, an indicator with a name for each column.
    """

    classes: np.ndarray
    propensities: np.ndarray
    is_multilabel: bool
    is_sparse: bool
    dtype: np.dtype
    library: str | None = None

    @classmethod
    def of(cls, y: MatrixLike, table: object = None) -> "tuple[TargetForm, CSR]":
        """Find the form of y, and convert y to a label indicator.

        Parameters
        ----------
        y : {ndarray, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        table : object, default=None
            What the user gave as y, of which tables name the columns.

        Returns
        -------
        form : TargetForm
            The form of y.
        Y : csr_matrix of float32 of shape (n_samples, n_labels)
            Canonical label indicator of ones.

        Raises
        ------
        ValueError
            If y is neither an indicator with a positive label nor a class for each
            sample.
        """
        if not sparse.issparse(y) and (y.ndim == 1 or y.shape[1] == 1):
            y = column_or_1d(y, warn=True)
            check_classification_targets(y)
            classes, codes = np.unique(y, return_inverse=True)
            Y = one_hot(codes, len(classes))
            return cls(classes, _propensities(Y), False, False, y.dtype), Y
        Y = check_label_indicator(y, "y")
        if Y.nnz == 0:
            raise ValueError(
                f"y has no positive label in any of its {Y.shape[0]} rows; "
                "there is nothing to learn"
            )
        names, library = _column_names(table), None
        if names is not None:
            library = type(table).__module__.partition(".")[0]
        classes = np.arange(Y.shape[1]) if names is None else names
        is_sparse = sparse.issparse(y)
        return cls(classes, _propensities(Y), True, is_sparse, y.dtype, library), Y

    @classmethod
    def of_classes(cls, classes, y: MatrixLike) -> "tuple[TargetForm, CSR]":
        """The form of a y of some classes, of which not all need be in y.

        Parameters
        ----------
        classes : ndarray of shape (n_labels,)
            All classes, ascending.
        y : array-like of shape (n_samples,)
            One class per instance.

        Returns
        -------
        form, Y
            As of :meth:`of`.

        Raises
        ------
        ValueError
            If y is an indicator, or holds another class.
        """
        if sparse.issparse(y) or np.ndim(y) > 1:
            raise ValueError(
                "classes must be None for an indicator y, whose columns are the "
                f"labels; got y of shape {np.shape(y)}"
            )
        y = column_or_1d(y)
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(
                f"classes must hold all classes of y, but {unknown[0]!r} is not in it"
            )
        Y = one_hot(np.searchsorted(classes, y), len(classes))
        return cls(classes, _propensities(Y), False, False, y.dtype), Y

    @classmethod
    def unknown(cls, n_labels: int) -> "TargetForm":
        """The form of a sparse indicator of which only the width is known.

        Parameters
        ----------
        n_labels : int
            Number of labels.

        Returns
        -------
        TargetForm
            With propensities of NaN.
        """
        unknown = np.full(n_labels, np.nan, dtype=np.float32)
        return cls(np.arange(n_labels), unknown, True, True, np.dtype(np.int64))

    def of_columns(self) -> "TargetForm":
        """The form of a sparse indicator of the same labels.

        Returns
        -------
        TargetForm
        """
        columns = TargetForm.unknown(self.n_labels)
        return replace(columns, propensities=self.propensities)

    @property
    def n_labels(self) -> int:
        """Number of labels (int)."""
        return len(self.classes)

    @property
    def names(self) -> np.ndarray | None:
        """Names of the labels (ndarray), or None where they are column numbers."""
        has_numbers = self.is_multilabel and self.library is None
        return None if has_numbers else self.classes

    def in_table(self, scores: DenseOrSparse, X: object) -> Any:
        """Predictions in a table, if y was one.

        Parameters
        ----------
        scores : {ndarray, csr_matrix} of shape (n_samples, n_labels)
            Predictions.
        X : object
            The instances; a pandas object gives its index.

        Returns
        -------
        {ndarray, csr_matrix, DataFrame} of shape (n_samples, n_labels)
        """
        if self.library is None:
            return scores
        if self.library == "polars":
            import polars

            return polars.DataFrame(scores, schema=list(self.classes))
        import pandas

        make = pandas.DataFrame
        if self.is_sparse:
            make = pandas.DataFrame.sparse.from_spmatrix
        return make(scores, index=getattr(X, "index", None), columns=self.classes)

    def recounted(self, Y: CSR) -> "TargetForm":
        """The form with propensities by the frequencies of Y.

        Parameters
        ----------
        Y : csr_matrix of shape (n_samples, n_labels)
            Label indicator.

        Returns
        -------
        TargetForm
        """
        return self._with(self.classes, _propensities(Y))

    def with_counts(self, counts: np.ndarray, n_samples: float) -> "TargetForm":
        """The form with propensities by the labels' numbers of instances.

        Parameters
        ----------
        counts : ndarray of shape (n_labels,)
            Training instances of each label.
        n_samples : float
            Training instances.

        Returns
        -------
        TargetForm
        """
        propensities = propensity_of_counts(counts, n_samples).astype(np.float32)
        return self._with(self.classes, propensities)

    def extended(self, y: MatrixLike, table: object = None) -> "tuple[TargetForm, CSR]":
        """Add the new labels of y to the form, and convert y to a label indicator.

        Parameters
        ----------
        y : {array-like, sparse matrix} of shape (n_samples, at least n_labels) or \
                (n_samples,)
            Label indicator, whose last columns are the new labels; or one class per
            instance, where classes not in ``classes`` are new.
        table : object, default=None
            What the user gave as y, of which tables name the columns.

        Returns
        -------
        form : TargetForm
            The form with all labels.
        Y : csr_matrix of float32 of shape (n_samples, form.n_labels)
            Canonical label indicator of ones.

        Raises
        ------
        ValueError
            If y has another form, or not all known labels, or names columns otherwise.
        """
        if self.is_multilabel:
            Y = check_label_indicator(y, "y")
            classes = self._extended_names(table, Y.shape[1])
        else:
            classes, Y = self._known_and_new(y)
        if Y.shape[1] < self.n_labels:
            raise ValueError(
                f"y must have a column for each of the {self.n_labels} labels of the "
                f"model, got {Y.shape[1]}"
            )
        if Y.shape[1] == self.n_labels:
            return self, Y
        new = _propensities(Y)[self.n_labels :]
        propensities = np.concatenate([self.propensities, new])
        return self._with(classes, propensities), Y

    def check_names(self, table: object) -> None:
        """ValueError if a table names its columns otherwise than the labels.

        Parameters
        ----------
        table : object
            Targets that the user gave.
        """
        check_column_names(table, "y")
        names = _column_names(table)
        if names is None or self.library is None:
            return
        differ = [pair for pair in zip(self.classes, names, strict=False) if ne(*pair)]
        if differ:
            known, found = differ[0]
            raise ValueError(
                f"y must have the columns of the fit in their order, but where that "
                f"had {known!r} it has {found!r}; select them as y[list(classes_)]"
            )

    def _extended_names(self, table, n_labels):
        """Classes of an indicator with more columns."""
        if self.library is None:
            return np.arange(n_labels)
        self.check_names(table)
        names = _column_names(table)
        if names is None and n_labels > self.n_labels:
            raise ValueError(
                "y must be a table that names its new columns, as the y of the fit "
                f"did, got {type(table).__name__} with {n_labels} columns"
            )
        return self.classes if names is None else names

    def _known_and_new(self, y):
        """Known classes followed by new ones, and the one-hot indicator of y."""
        if sparse.issparse(y):
            raise ValueError(
                "y must hold one class for each instance, as in the fit before, got a "
                f"sparse indicator of shape {y.shape}"
            )
        y = column_or_1d(y)
        check_classification_targets(y)
        return one_hot_of_known(y, self.classes)

    def positions(self, labels: ArrayLike) -> np.ndarray:
        """Find labels that a user names.

        Parameters
        ----------
        labels : array-like of shape (n,)
            Members of ``classes``, or a boolean mask of shape (n_labels,).

        Returns
        -------
        ndarray of int64
            Positions in ``classes``, ascending and once each.

        Raises
        ------
        ValueError
            If a label is not known, or there is none.
        """
        labels = np.unique(self._of_mask(column_or_1d(labels)))
        unknown = labels[~np.isin(labels, self.classes)]
        if len(labels) == 0 or len(unknown):
            found = repr(unknown[0].item()) if len(unknown) else "an empty list"
            raise ValueError(
                f"labels must be members of classes_, which holds {self.n_labels}, "
                f"found {found}"
            )
        return np.flatnonzero(np.isin(self.classes, labels))

    def _of_mask(self, labels):
        """Labels as they are, or those of a boolean mask."""
        is_mask = labels.dtype == bool and np.asarray(self.classes).dtype != bool
        if not is_mask:
            return labels
        if len(labels) != self.n_labels:
            raise ValueError(
                f"labels, a mask, must have a value for each of the {self.n_labels} "
                f"labels, got {len(labels)}"
            )
        return self.classes[labels]

    def without(self, positions: np.ndarray) -> "TargetForm":
        """Remove labels from the form.

        Parameters
        ----------
        positions : ndarray of int
            Positions in ``classes`` of the labels to remove.

        Returns
        -------
        TargetForm
            The form with the other labels.
        """
        classes = np.delete(self.classes, positions)
        if self.names is None:
            classes = np.arange(len(classes))
        return self._with(classes, np.delete(self.propensities, positions))

    def _with(self, classes, propensities):
        return replace(self, classes=classes, propensities=propensities)


def readable_targets(y):
    """Targets as scikit-learn's checks read them.

    Parameters
    ----------
    y : object
        What the user gave as targets.

    Returns
    -------
    object
        The same; no pair of a COO indicator counts twice.

    Raises
    ------
    ValueError
        If y holds collections of names or numbers, or is a table of names, with two
        columns of one name, or of another library than pandas and polars.
    """
    check_column_names(y, "y")
    if hasattr(type(y), "column_names"):  # pyarrow, whose columns are no names
        raise ValueError(
            "y must be an array, a sparse matrix, or a table of pandas or polars, got "
            f"{type(y).__module__}.{type(y).__name__}; try y.to_pandas()"
        )
    if _holds_collections(y):
        raise ValueError(
            "y must be a label indicator or hold one class for each instance, got "
            "lists of names or numbers; sklearn_xmr.LabelNamesClassifier(estimator) "
            "takes them and answers with them, sklearn_xmr.preprocessing."
            "LabelNameBinarizer() makes an indicator of them"
        )
    return with_pairs_once(y)


def indicator_and_names(y):
    """Targets of any form as an indicator, and the names of its columns.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        Label indicator, one class for each instance, or the names of each one's labels.

    Returns
    -------
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical label indicator of ones.
    names : list or None
        Classes, names of a table's columns or of labels; None for an indicator.

    Raises
    ------
    ValueError
        If y has no such form, or no positive label.
    """
    if _holds_collections(y):
        binarizer = LabelNameBinarizer()
        Y = sparse.csr_matrix(binarizer.fit_transform(y), dtype=np.float32)
        Y.sort_indices()
        return Y, list(binarizer.classes_)
    given = readable_targets(y)
    y = check_array(
        given, accept_sparse="csr", dtype=None, ensure_2d=False, input_name="y"
    )
    form, Y = TargetForm.of(y, given)
    return Y, None if form.names is None else form.names.tolist()


def _holds_collections(y):
    """Whether y lists labels of each instance: names, sets, or as many as there are."""
    is_number = getattr(getattr(y, "dtype", None), "kind", "O") in "biuf"
    if is_number or sparse.issparse(y) or not hasattr(y, "__len__"):
        return False
    if getattr(y, "ndim", 1) == 2:
        some = np.asarray(y[:9]).ravel()
        return some.dtype.kind in "USO" and any(isinstance(v, str) for v in some)
    rows = y.tolist() if hasattr(y, "tolist") else list(y)
    collections = [
        row for row in rows if isinstance(row, list | tuple | set | frozenset)
    ]
    return (
        any(isinstance(next(iter(row), None), str) for row in collections)
        or any(isinstance(row, set | frozenset) for row in collections)
        or len(set(map(len, collections))) > 1
    )


def _column_names(table):
    """Names of the columns of a table (ndarray), None for what has none of its own."""
    names = getattr(table, "columns", None)
    if names is None or list(names) == list(range(len(names))):
        return None
    return np.fromiter(names, dtype=object, count=len(names))


def _propensities(Y):
    return propensity_scores(Y).astype(np.float32)
