"""Lists of label names as a sparse indicator, and rankings as names."""

from collections import Counter
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_xmr.utils._doc_links import DocLinkMixin
from sklearn_xmr.utils._fitted_state import (
    change_in_one_step,
    fit_in_one_step,
    on_snapshot,
)
from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._matrices import aligns_sparse
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._saved_version import SavedVersionMixin
from sklearn_xmr.utils._sklearn import Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._texts_and_names import is_missing, warn_of_separator
from sklearn_xmr.utils._typing import CSR, MatrixLike, NameList, Self
from sklearn_xmr.utils._validation import check_label_indicator


@storable
class LabelNameBinarizer(
    SavedVersionMixin,
    DocLinkMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Lists of label names to a sparse indicator, and rankings back to names.

    Like :class:`sklearn.preprocessing.MultiLabelBinarizer` with sparse output, for
    vocabularies that are large, change, and are ranked: rare names can be left out,
    unknown ones are refused or ignored, top-k lists are translated.

    Equal names are one label. Where different labels share a name, as some of
    :func:`~sklearn_xmr.datasets.load_tate_subjects` do, join to it what tells them
    apart, such as the terms above: ``f"{path} > {name}"``.

    Parameters
    ----------
    classes : sequence of hashable, default=None
        The vocabulary in the order of the columns. None: what ``fit`` sees, sorted.
    min_count : int, default=1
        Names of fewer instances are left out in ``fit``, where ``classes`` is None.
    handle_unknown : {"error", "ignore"}, default="error"
        Whether names without a column are an error in ``transform``, or ignored. It
        takes effect without a refit.
    separator : str, default=None
        What stands between the names of an instance where these are one string, as
        ";" in "sea; ship". White space around names is removed, and no name is empty.
        It takes effect without a refit.

    Attributes
    ----------
    classes_ : ndarray of object of shape (n_labels,)
        Name of each column.

    See Also
    --------
    sklearn_xmr.datasets.load_labelled_texts : Reads files of texts and label names.

    Examples
    --------
    >>> from sklearn_xmr.preprocessing import LabelNameBinarizer
    >>> binarizer = LabelNameBinarizer()
    >>> Y = binarizer.fit_transform([["sea", "ship"], ["sea"], []])
    >>> Y.toarray()
    array([[1, 1],
           [1, 0],
           [0, 0]])
    >>> binarizer.inverse_transform(Y)
    [['sea', 'ship'], ['sea'], []]
    >>> binarizer.names_of([[1, 0], [0, -1]])
    [['ship', 'sea'], ['sea']]
    >>> LabelNameBinarizer(separator=";").fit(["sea; ship", "sea", None]).classes_
    array(['sea', 'ship'], dtype=object)
    """

    _acting_parameters = ("handle_unknown", "separator")
    _renamed_parameters = {"names": "classes"}
    _parameter_constraints: dict = {
        "classes": ["array-like", None],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "separator": [str, None],
    }

    def __init__(
        self,
        classes: NameList | None = None,
        *,
        min_count: int = 1,
        handle_unknown: Literal["error", "ignore"] = "error",
        separator: str | None = None,
    ) -> None:
        self.classes = classes
        self.min_count = min_count
        self.handle_unknown = handle_unknown
        self.separator = separator

    def read(self, y: MatrixLike) -> Any:
        """Read the names of each instance.

        Parameters
        ----------
        y : sequence, Series or table of one column
            For each instance a collection of names (list, set, tuple) or, with
            ``separator``, a string; None or NaN for no name.

        Returns
        -------
        list of list
            The names of each instance.

        Raises
        ------
        TypeError
            If y does not hold a collection (or string) for each instance.
        ValueError
            If y has several columns, or a missing value among the names of an instance.
        """
        y = _as_list(y)
        return [_names_of(names, row, self.separator) for row, names in enumerate(y)]

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, y: MatrixLike) -> Self:
        """Learn the names.

        Parameters
        ----------
        y : sequence, Series or table of one column
            For each instance a collection of names (list, set, tuple) or, with
            ``separator``, a string; None or NaN for no name.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        TypeError
            If y does not hold a collection (or string) for each instance.
        ValueError
            If no name is frequent enough, or ``classes`` holds one twice.
        """
        rows = self._read_told(y)
        counts = Counter(name for names in rows for name in set(names))
        self._set_columns(counts)
        return self

    @aligns_sparse
    def fit_transform(self, y: MatrixLike) -> CSR:
        """Learn the names and return the indicator.

        Names that ``fit`` leaves out as rare are ignored.

        Parameters
        ----------
        y : sequence, Series or table of one column
            For each instance a collection of names (list, set, tuple) or, with
            ``separator``, a string; None or NaN for no name.

        Returns
        -------
        csr_matrix of int64 of shape (n_samples, n_labels)
            Label indicator.

        Raises
        ------
        TypeError
            If y does not hold a collection (or string) for each instance.
        ValueError
            If no name is frequent enough, ``classes`` holds one twice, or, with
            ``handle_unknown="error"``, ``classes`` lacks one.
        """
        y = self._read_told(y)
        self.fit(y)
        return self._indicator(y, self.classes is None or self._ignores_unknown())

    @change_in_one_step
    def extend(self, names: NameList) -> Self:
        """Add names, as columns behind the others.

        The columns that a model was trained on stay where they are, as ``add_labels``
        of the classifiers wants it.

        Parameters
        ----------
        names : sequence of hashable
            New names, in the order of their columns.

        Returns
        -------
        self : LabelNameBinarizer
            The changed binarizer. Another ``fit`` would learn the names anew.

        Raises
        ------
        TypeError
            If ``names`` is a string.
        ValueError
            If there is no name, or one is known already or occurs twice. The binarizer
            is left unchanged.

        Examples
        --------
        >>> from sklearn_xmr.preprocessing import LabelNameBinarizer
        >>> binarizer = LabelNameBinarizer().fit([["sea", "ship"]]).extend(["man"])
        >>> binarizer.transform([["man", "sea"]]).toarray()
        array([[1, 0, 1]])
        """
        names = _as_names(names)
        known = [name for name in names if name in self._column]
        if known:
            raise ValueError(
                f"names must be new, but {known[0]!r} has column "
                f"{self._column[known[0]]}"
            )
        self.classes_ = np.concatenate([self.classes_, _vocabulary(names, "names")])

    @aligns_sparse
    @on_snapshot
    def transform(self, y: MatrixLike) -> CSR:
        """Indicator of the names.

        Parameters
        ----------
        y : sequence, Series or table of one column
            For each instance a collection of names (list, set, tuple) or, with
            ``separator``, a string; None or NaN for no name.

        Returns
        -------
        csr_matrix of int64 of shape (n_samples, n_labels)
            Label indicator.

        Raises
        ------
        TypeError
            If y does not hold a collection (or string) for each instance.
        ValueError
            With ``handle_unknown="error"``, if there is a name without a column.
        """
        return self._indicator(self.read(y), self._ignores_unknown())

    @on_snapshot
    def inverse_transform(self, Y: MatrixLike) -> list[list]:
        """Translate the positives of an indicator into names.

        Parameters
        ----------
        Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Label indicator.

        Returns
        -------
        list of list
            In the order of the columns.

        Raises
        ------
        ValueError
            If Y is no indicator of these labels.
        """
        Y = check_label_indicator(Y)
        if Y.shape[1] != len(self.classes_):
            raise ValueError(
                f"Y must have {len(self.classes_)} columns, one for each name, got "
                f"{Y.shape[1]}"
            )
        return [self.classes_[c].tolist() for c in np.split(Y.indices, Y.indptr[1:-1])]

    @on_snapshot
    def names_of(self, labels: ArrayLike) -> list[list]:
        """Translate top-k lists, as ``predict_topk`` returns them, into names.

        Parameters
        ----------
        labels : array-like of int of shape (n_samples, k), or the pair of arrays \
                that ``predict_topk`` returns
            -1 for no label.

        Returns
        -------
        list of list
            Names in the order of the lists, without the gaps.

        Raises
        ------
        ValueError
            If ``labels`` is not a 2-D array of numbers of known labels.
        """
        if isinstance(labels, tuple) and len(labels) == 2 and np.ndim(labels[0]) == 2:
            labels = labels[0]
        labels = np.asarray(labels)
        n_labels = len(self.classes_)
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise ValueError(
                "labels must be a 2-D array of label numbers, or the pair that "
                f"predict_topk returns, got shape {labels.shape}, dtype {labels.dtype}"
            )
        if labels.size and not -1 <= labels.min() <= labels.max() < n_labels:
            raise ValueError(
                f"labels must lie in -1 to {n_labels - 1}, found {labels.min()} to "
                f"{labels.max()}"
            )
        return [self.classes_[row[row >= 0]].tolist() for row in labels]

    def _read_told(self, y):
        """Names of each instance; a separator that splits nothing is told."""
        y = _as_list(y)
        strings = [names for names in y if isinstance(names, str)]
        warn_of_separator(strings, self.separator, "y")
        return self.read(y)

    def _ignores_unknown(self):
        return self.handle_unknown == "ignore"

    def _set_columns(self, counts):
        if self.classes is None:
            self.classes_ = _vocabulary(self._frequent(counts), "y")
        else:
            self.classes_ = _vocabulary(self.classes, "classes")

    @property
    def _column(self):
        """Column of each name (dict), made when it is needed, of what is saved."""
        known = vars(self).get("_columns_of")
        if known is None or known[0] is not self.classes_:
            columns = {name: column for column, name in enumerate(self.classes_)}
            self._columns_of = known = self.classes_, columns
        return known[1]

    def __getstate__(self):
        state = super().__getstate__()
        return {name: part for name, part in state.items() if name != "_columns_of"}

    def _frequent(self, counts):
        """Names of at least ``min_count`` instances, sorted."""
        names = [name for name, count in counts.items() if count >= self.min_count]
        if not names:
            raise ValueError(
                f"y has no name with at least min_count={self.min_count} instances, of "
                f"{len(counts)} different names; there is nothing to learn"
            )
        return _sorted(names)

    def _indicator(self, y, ignores_unknown):
        columns, sizes = [], []
        for row, names in enumerate(y):
            found = {self._column.get(name, -1) for name in names}
            if -1 in found and not ignores_unknown:
                unknown = next(n for n in names if n not in self._column)
                raise ValueError(
                    f"y names {unknown!r} in row {row}, which has no column; fit on "
                    "data that has it, or leave such names out "
                    "(handle_unknown='ignore' of LabelNameBinarizer)"
                )
            found.discard(-1)
            columns.extend(sorted(found))
            sizes.append(len(found))
        columns = np.array(columns, dtype=np.int32)
        shape = (len(sizes), len(self.classes_))
        return label_indicator(columns, pointers(sizes), shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.two_d_labels = True
        return tags


def _as_names(names):
    """Names as a list, from a list, an array or a column of a table."""
    if isinstance(names, (str, bytes)) or not _is_collection(names):
        raise TypeError(f"names must be a sequence of names, got {names!r}")
    return list(_as_python(names))


def _vocabulary(names, argument):
    """Different names as an array, one for each column."""
    names = list(_as_python(names))
    if not names:
        raise ValueError(f"{argument} must hold at least one name, but is empty")
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise ValueError(
            f"{argument} must hold different names, but has {twice!r} twice"
        )
    return np.fromiter(names, dtype=object, count=len(names))


def _as_python(column):
    """What is in a column of pyarrow as objects of Python; others as they are."""
    return column.to_pylist() if hasattr(column, "to_pylist") else column


def _as_list(y):
    """What each instance has, of a sequence, a Series or a table of one column."""
    if isinstance(y, str) or not _is_collection(y):
        raise TypeError(
            "y must be a sequence of collections of label names, one for each "
            f"instance, got {type(y).__name__}"
        )
    if hasattr(y, "iloc") or getattr(y, "ndim", 1) == 2:
        columns = 1 if y.ndim == 1 else y.shape[1]
        if columns != 1:
            raise ValueError(
                f"y must be one column that holds the names, got {columns} columns"
            )
        y = np.asarray(y, dtype=object).ravel()
    return list(_as_python(y))


def _is_collection(value):
    """Whether names can be in it: going through a sparse matrix trusts its indices."""
    return hasattr(value, "__iter__") and not sparse.issparse(value)


def _names_of(names, row, separator):
    """The names of an instance; an empty cell of a table (None, NaN) is none."""
    if is_missing(names):
        return []
    if isinstance(names, str) and separator is not None:
        return [name for part in names.split(separator) if (name := part.strip())]
    if isinstance(names, (str, bytes)) or not _is_collection(names):
        raise TypeError(
            f"y must hold a list of label names for each instance, but row {row} is "
            f"{names!r}; if names stand in one string, say what separates them, as "
            "separator=';', and put a single name into a list"
        )
    names = list(names)
    if any(map(is_missing, names)):
        raise ValueError(f"y has a missing value among the names of row {row}: {names}")
    return names


def _sorted(names):
    """Names sorted; of mixed types by type, then value."""
    try:
        return sorted(names)
    except TypeError:
        return sorted(names, key=lambda name: (type(name).__name__, str(name)))
