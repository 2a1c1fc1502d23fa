"""What the classifiers of this folder share: checks, blocks of rows, top labels."""

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import (
    _num_samples,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from sklearn_xmr.linear._ranking_classifier import RankingClassifierMixin
from sklearn_xmr.utils.instances import rows_of
from sklearn_xmr.utils.validation import as_csr_float32, check_k


class BlockwiseRankingMixin(RankingClassifierMixin):
    """Rank blocks of instances, so that their candidates fit into memory.

    A subclass implements ``_rank(X, k, weight)``: labels (-1 for none) and
    probabilities, times ``weight`` where it takes label weights, of shape (n, k).
    """

    label_weight = None
    _block_rows = 16384

    def predict_topk(self, X, k=None):
        """The best labels of each instance, best first.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        k : int, default=None
            Number of labels, ``top_k`` by default; never more than there are.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
        scores : ndarray of float32 of shape (n_samples, k)
            Probabilities, times ``label_weight`` where the estimator has it; 0 where
            the label is -1.
        """
        check_is_fitted(self)
        return self._rank_blocks(X, k, self._checked_label_weight())

    def _rank_blocks(self, X, k, weight):
        X = self._check_instances(X)
        k = check_k(self._default_k() if k is None else k)
        n_rows = _num_samples(X)
        starts = range(0, n_rows, self._block_rows)
        blocks = (slice(at, min(at + self._block_rows, n_rows)) for at in starts)
        parts = [self._rank(rows_of(X, block), k, weight) for block in blocks]
        labels, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        return labels, np.where(labels >= 0, scores, 0).astype(np.float32, copy=False)

    def _predict_log(self, X, k):
        labels, scores = self._rank_blocks(X, k, None)
        with np.errstate(divide="ignore"):
            return labels, np.log(scores)

    def _check_training(self, X, y):
        """X and the label indicator as canonical CSR."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=np.float32
        )
        return as_csr_float32(X), self._encode_targets(y)

    def _check_instances(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        return as_csr_float32(X)


def targets_for(model, Y):
    """Y as a model takes it: not all of scikit-learn's classifiers take sparse ones."""
    last = model[-1] if isinstance(model, Pipeline) else model
    return Y if hasattr(last, "predict_topk") else Y.toarray().astype(int)


def fit_weighted(model, X, y, weight):
    """The model, fitted with weights of instances where it takes them.

    OneVsRestClassifier hands them on to its classifiers by metadata routing only.
    """
    if weight is None:
        return model.fit(X, y)
    if has_fit_parameter(model, "sample_weight"):
        return model.fit(X, y, sample_weight=weight)
    inner = getattr(model, "estimator", None)
    if isinstance(model, OneVsRestClassifier) and has_fit_parameter(
        inner, "sample_weight"
    ):
        with config_context(enable_metadata_routing=True):
            asking = clone(inner).set_fit_request(sample_weight=True)
            return model.set_params(estimator=asking).fit(X, y, sample_weight=weight)
    return model.fit(X, y)
