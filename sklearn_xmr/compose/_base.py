"""What the classifiers of this folder share: checks, blocks of rows, top labels."""

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_xmr.linear._ranking_classifier import RankingClassifierMixin
from sklearn_xmr.linear._xr_linear import seed_if_unset
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
        starts = range(0, X.shape[0], self._block_rows)
        parts = [self._rank(X[at : at + self._block_rows], k, weight) for at in starts]
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


def seeded(estimator, rng):
    """A clone whose random states of None are drawn from ours."""
    estimator = clone(estimator)
    seed_if_unset(estimator, int(rng.randint(np.iinfo(np.int32).max)))
    return estimator


def targets_for(model, Y):
    """Y as a model takes it: not all of scikit-learn's classifiers take sparse ones."""
    return Y if hasattr(model, "predict_topk") else Y.toarray().astype(int)
