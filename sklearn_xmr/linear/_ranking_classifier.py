"""What all ranking classifiers share: targets of any form in, rankings out."""

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.metrics._ranking import propensities_of
from sklearn_xmr.utils.documentation import DocLinkMixin
from sklearn_xmr.utils.topk import csr_from_topk
from sklearn_xmr.utils.validation import align_sparse_type, check_label_indicator

# Attributes that tell the form of the data seen in fit.
FORM = (
    "classes_",
    "n_labels_",
    "sparse_output_",
    "propensities_",
    "_multilabel",
    "_label_dtype",
    "n_features_in_",
    "feature_names_in_",
)


class RankingClassifierMixin(DocLinkMixin, ClassifierMixin):
    """Targets, ``predict_proba``, ``predict`` and ``score`` of a ranking classifier.

    A subclass calls ``_encode_targets`` in ``fit``, has ``top_k`` and
    ``decision_threshold``, and implements ``_predict_log(X, k)``: labels and log
    scores of shape (n_samples, k), where k of None means all that ``predict_proba``
    should hold (``top_k`` labels, or all classes of a 1-D y).
    """

    def _encode_targets(self, y):
        """y of any form as canonical CSR indicator; remembers the form."""
        self.sparse_output_ = sparse.issparse(y)
        if not self.sparse_output_ and (y.ndim == 1 or y.shape[1] == 1):
            Y = self._encode_classes(y)
        else:
            Y = check_label_indicator(y, "y")
            self._multilabel, self._label_dtype = True, y.dtype
            self.classes_ = np.arange(Y.shape[1])
            if Y.nnz == 0:
                raise ValueError(
                    f"y has no positive label in any of its {Y.shape[0]} rows; "
                    "there is nothing to learn"
                )
        self.n_labels_ = Y.shape[1]
        self.propensities_ = propensities_of(Y).astype(np.float32)
        return Y

    def _check_targets(self, X, y):
        """Label indicator of y for instances that are no matrix, such as texts."""
        y = check_array(
            y, accept_sparse="csr", dtype=None, ensure_2d=False, input_name="y"
        )
        check_consistent_length(X, y)
        return self._encode_targets(y)

    def _checked_label_weight(self):
        """``label_weight`` as an array of a positive number per label, or None."""
        given = self.label_weight
        if given is None:
            return None
        if isinstance(given, str):
            return 1 / self.propensities_
        weight = np.asarray(given, dtype=np.float32)
        if weight.shape != (self.n_labels_,):
            raise ValueError(
                f"label_weight must hold one number for each of the {self.n_labels_} "
                f"labels, got shape {weight.shape}"
            )
        if not np.isfinite(weight).all() or weight.min() <= 0:
            raise ValueError(
                "label_weight must be positive and finite, found values from "
                f"{weight.min()} to {weight.max()}"
            )
        return weight

    def _encode_classes(self, y):
        """One-hot CSR of a 1-D y."""
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self._multilabel, self._label_dtype = False, y.dtype
        self.classes_, codes = np.unique(y, return_inverse=True)
        n = len(codes)
        return sparse.csr_matrix(
            (np.ones(n, dtype=np.float32), codes, np.arange(n + 1)),
            shape=(n, len(self.classes_)),
        )

    def _take_form(self, fitted):
        """What fit says about targets and features, from an estimator inside."""
        for name in FORM:
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _default_k(self):
        """Labels that ``predict_proba`` holds: 1-D targets rank all classes."""
        return self.top_k if self._multilabel else self.n_labels_

    def _threshold(self):
        """What ``predict`` compares probabilities with."""
        return self.decision_threshold

    def _probabilities(self, log_scores):
        """Scores between 0 and 1 of what ``_predict_log`` returns."""
        return np.exp(log_scores)

    def predict_proba(self, X):
        """Scores of the retrieved labels as probabilities.

        They rank the labels; they are not calibrated.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        {csr_matrix, ndarray} of float32 of shape (n_samples, n_labels)
            For a sparse y: the ``top_k`` best labels of each instance, with sorted
            indices; a label that is not stored was not retrieved. Stored values lie
            strictly between 0 and 1. For a dense indicator: the same, dense, with
            the smallest positive number for labels not retrieved. For a 1-D y:
            float64, over ``classes_``, each row summing to 1.
        """
        check_is_fitted(self)
        labels, log_scores = self._predict_log(X, None)
        if not self._multilabel:
            return self._class_probabilities(labels, log_scores)
        tiny = np.finfo(np.float32).tiny
        almost_one = np.nextafter(np.float32(1), np.float32(0))
        values = np.clip(
            self._probabilities(log_scores), tiny, almost_one, dtype=np.float32
        )
        proba = align_sparse_type(csr_from_topk(labels, values, self.n_labels_))
        if self.sparse_output_:
            return proba
        proba = proba.toarray()
        return np.maximum(proba, tiny, out=proba)

    def predict(self, X):
        """Labels whose probability exceeds ``decision_threshold``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        {csr_matrix, ndarray} of shape (n_samples, n_labels) or (n_samples,)
            An indicator in the form and dtype of y; the best class for a 1-D y.
        """
        if not self._is_multilabel():
            labels, _ = self._predict_log(X, 1)
            return self.classes_[labels[:, 0]]
        proba = self.predict_proba(X)
        threshold = self._threshold()
        if not self.sparse_output_:
            return (proba > threshold).astype(self._label_dtype)
        proba.data = (proba.data > threshold).astype(self._label_dtype)
        proba.eliminate_zeros()
        return proba

    def score(self, X, y, sample_weight=None):
        """Precision at 1 for an indicator y, accuracy for a 1-D y.

        Subset accuracy, scikit-learn's default for indicators, says nothing where
        each instance has a few labels of very many.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances.

        Returns
        -------
        float
        """
        if not self._is_multilabel():
            return super().score(X, y, sample_weight)
        topk = self.predict_topk(X, k=1)
        return precision_at_k(y, topk, k=1, sample_weight=sample_weight)

    def _is_multilabel(self):
        check_is_fitted(self)
        return self._multilabel

    def _class_probabilities(self, labels, log_scores):
        """Softmax of the log scores: proportional to the scores, safe to underflow."""
        dense = np.full((len(labels), self.n_labels_), -np.inf)
        rows, places = np.nonzero(labels >= 0)
        dense[rows, labels[rows, places]] = log_scores[rows, places]
        dense -= dense.max(axis=1, keepdims=True)
        proba = np.maximum(np.exp(dense), np.finfo(np.float64).tiny)
        return proba / proba.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags
