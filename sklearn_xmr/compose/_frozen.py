"""Fitted models in a FrozenEstimator, for what is learnt of a model's scores alone."""

from dataclasses import replace

from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_xmr.base import TargetForm, is_raw
from sklearn_xmr.compose._fitting import own_copy
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.utils._checkpoint_folders import check_repeatable
from sklearn_xmr.utils._response import last_estimator


class FrozenModelMixin:
    """Take an ``estimator`` that is frozen as it is, and hold all instances out.

    Stands before the ranking mixins. ``fit`` calls ``_check_model`` first, then
    ``_check_training``, and, if ``_is_frozen``, ``_check_unused`` instead of routing.
    The indicator of the training data then has columns behind those of ``n_labels_``
    for labels that the model does not know.
    """

    def _is_frozen(self):
        return isinstance(self.estimator, FrozenEstimator)

    def _check_model(self):
        """Check that the model can be fitted; or set it, if it is frozen."""
        if not self._is_frozen():
            check_repeatable(self)
            return
        check_is_fitted(self.estimator)
        if self.validation_size is not None:
            raise ValueError(
                "validation_size must be None for a frozen model, which has to be new "
                f"to all instances of fit, got {self.validation_size!r}"
            )
        self.estimator_ = own_copy(self.estimator)

    def _check_training(self, X, y, *args):
        data = super()._check_training(X, y, *args)
        if self._is_frozen() and not is_raw(X):
            validate_data(self.estimator_, X, reset=False, skip_check_array=True)
            # From now on names are checked here, and the model is given none.
            vars(self.estimator_).pop("feature_names_in_", None)
        return data

    def _encode_targets(self, y, table=None):
        """y as an indicator of the model's labels, followed by those of y alone."""
        if not self._is_frozen():
            return super()._encode_targets(y, table)
        clf = last_estimator(self.estimator_)
        form = getattr(clf, "target_form_", None)
        _check_dimensions(clf, form, y)
        self.target_form_ = form or _form_of_others(clf, y, table)
        if form is not None:  # inside, labels are columns, as in models fitted here
            clf.target_form_ = form.of_columns()
        Y = self.target_form_.extended(y, table)[1]
        n_unknown = (Y.indices >= self.n_labels_).sum()
        if n_unknown == Y.nnz:
            raise ValueError(
                f"y must have some of the {self.n_labels_} labels of the frozen model, "
                f"but none of its {Y.nnz} positive labels is among them"
            )
        if n_unknown:
            log_line(self, f"labels: {n_unknown} of {Y.nnz} unknown to the model")
        return Y

    def _check_unused(self, data, more):
        """ValueError for metadata that a fit of the model would be given."""
        for name in [*data.fit_parameters(("relevance", "negatives")), *more]:
            raise ValueError(
                f"{name} is given, but the model is frozen: no fit is given it"
            )


def _check_dimensions(clf, form, y):
    """ValueError for an indicator where the model has classes, or the reverse."""
    is_indicator = sparse.issparse(y) or (y.ndim == 2 and y.shape[1] > 1)
    of_model = is_indicator or isinstance(clf.classes_, list)
    if form is not None:
        of_model = form.is_multilabel
    if is_indicator != of_model:
        wanted = "a label indicator" if of_model else "one class for each instance"
        raise ValueError(
            f"y must be {wanted}, as in the fit of the frozen model, got shape "
            f"{y.shape}"
        )


def _form_of_others(clf, y, table):
    """The form of targets of the labels of another package's classifier."""
    form, _ = TargetForm.of(y, table)
    classes, n_known = clf.classes_, len(clf.classes_)
    if form.is_multilabel:
        if form.n_labels < n_known:
            raise ValueError(
                f"y must have a column for each of the {n_known} labels of the frozen "
                f"model, got {form.n_labels}"
            )
        classes = form.classes[:n_known]
    known = replace(form, classes=classes)
    return known.recounted(known.extended(y, table)[1][:, :n_known])
