"""Lists of label names as a sparse indicator, and rankings as names."""

from collections import Counter
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.utils.documentation import DocLinkMixin
from sklearn_xmr.utils.validation import check_label_indicator


class LabelNameBinarizer(DocLinkMixin, TransformerMixin, BaseEstimator):
    """Lists of label names to a sparse indicator, and rankings back to names.

    Like :class:`sklearn.preprocessing.MultiLabelBinarizer` with sparse output, for
    vocabularies that are large, change, and are ranked: rare names can be left out,
    unknown ones are refused or passed over, top-k lists are translated.

    Parameters
    ----------
    names : sequence of hashable, default=None
        The vocabulary in the order of the columns. None: what ``fit`` sees, sorted.
    min_count : int, default=1
        Names of fewer instances are left out in ``fit``, where ``names`` is None.
    handle_unknown : {"error", "ignore"}, default="error"
        Whether ``transform`` refuses names without a column, or passes over them.

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
           [0, 0]], dtype=int32)
    >>> binarizer.inverse_transform(Y)
    [['sea', 'ship'], ['sea'], []]
    >>> binarizer.names_of([[1, 0], [0, -1]])
    [['ship', 'sea'], ['sea']]
    """

    _parameter_constraints: dict = {
        "names": ["array-like", None],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "handle_unknown": [StrOptions({"error", "ignore"})],
    }

    def __init__(self, names=None, *, min_count=1, handle_unknown="error"):
        self.names = names
        self.min_count = min_count
        self.handle_unknown = handle_unknown

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, y, _=None):
        """Learn the names.

        Parameters
        ----------
        y : sequence of collections of names
            One collection (list, set, tuple) for each instance.

        Returns
        -------
        self
        """
        counts = Counter(name for names in _checked(y) for name in set(names))
        self._set_columns(counts)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, y, _=None):
        """Learn the names and return the indicator.

        Names that are left out as rare are passed over.

        Parameters
        ----------
        y : sequence of collections of names

        Returns
        -------
        csr_matrix of int32 of shape (n_samples, n_labels)
        """
        y = _checked(y)
        self.fit(y)
        return self._indicator(y, self.names is None or self._passes_over())

    def transform(self, y):
        """Indicator of the names.

        Parameters
        ----------
        y : sequence of collections of names

        Returns
        -------
        csr_matrix of int32 of shape (n_samples, n_labels)

        Raises
        ------
        ValueError
            With ``handle_unknown="error"``, if there is a name without a column.
        """
        check_is_fitted(self)
        return self._indicator(_checked(y), self._passes_over())

    def inverse_transform(self, Y):
        """Names of an indicator's positives.

        Parameters
        ----------
        Y : {array-like, sparse matrix} of shape (n_samples, n_labels)

        Returns
        -------
        list of list
            In the order of the columns.
        """
        check_is_fitted(self)
        Y = check_label_indicator(Y)
        if Y.shape[1] != len(self.classes_):
            raise ValueError(
                f"Y must have {len(self.classes_)} columns, one for each name, got "
                f"{Y.shape[1]}"
            )
        return [self.classes_[c].tolist() for c in np.split(Y.indices, Y.indptr[1:-1])]

    def names_of(self, labels):
        """Names of top-k lists, as ``predict_topk`` returns them.

        Parameters
        ----------
        labels : array-like of int of shape (n_samples, k)
            -1 for no label.

        Returns
        -------
        list of list
            Names in the order of the lists, without the gaps.
        """
        check_is_fitted(self)
        labels = np.asarray(labels)
        n_labels = len(self.classes_)
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise ValueError(
                "labels must be a 2-D array of label numbers, the first array that "
                f"predict_topk returns, got shape {labels.shape}, dtype {labels.dtype}"
            )
        if labels.size and not -1 <= labels.min() <= labels.max() < n_labels:
            raise ValueError(
                f"labels must lie in -1 to {n_labels - 1}, found {labels.min()} to "
                f"{labels.max()}"
            )
        return [self.classes_[row[row >= 0]].tolist() for row in labels]

    def _passes_over(self):
        return self.handle_unknown == "ignore"

    def _set_columns(self, counts):
        names = self.names
        if names is None:
            names = [name for name, count in counts.items() if count >= self.min_count]
            names = _sorted(names)
        if len(names) == 0:
            raise ValueError(
                f"y has no name with at least min_count={self.min_count} instances, of "
                f"{len(counts)} different names; there is nothing to learn"
            )
        self._column = {name: column for column, name in enumerate(names)}
        if len(self._column) < len(names):
            twice = next(n for n, count in Counter(names).items() if count > 1)
            raise ValueError(f"names must be different, but {twice!r} occurs twice")
        self.classes_ = np.empty(len(names), dtype=object)
        self.classes_[:] = list(names)

    def _indicator(self, y, pass_over):
        columns, sizes = [], []
        for row, names in enumerate(y):
            found = {self._column.get(name, -1) for name in names}
            if -1 in found and not pass_over:
                unknown = next(n for n in names if n not in self._column)
                raise ValueError(
                    f"y names {unknown!r} in row {row}, which has no column; fit on "
                    "data that has it, or set handle_unknown='ignore'"
                )
            found.discard(-1)
            columns.extend(sorted(found))
            sizes.append(len(found))
        indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        ones = np.ones(len(columns), dtype=np.int32)
        shape = (len(sizes), len(self.classes_))
        columns = np.asarray(columns, dtype=np.int32)
        return sparse.csr_matrix((ones, columns, indptr), shape=shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.two_d_labels = True
        return tags


def _checked(y):
    """The collections as a list; a teaching error for anything else."""
    if isinstance(y, str) or not hasattr(y, "__iter__"):
        raise TypeError(
            "y must be a sequence of collections of label names, one for each "
            f"instance, got {type(y).__name__}"
        )
    y = list(y)
    for row, names in enumerate(y):
        if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
            raise TypeError(
                f"y must hold a list of label names for each instance, but row {row} "
                f"is {names!r}; split strings first, as in names.split(';'), and put "
                "a single name into a list"
            )
    return y


def _sorted(names):
    """Names sorted; of mixed types by type, then value."""
    try:
        return sorted(names)
    except TypeError:
        return sorted(names, key=lambda name: (type(name).__name__, str(name)))
