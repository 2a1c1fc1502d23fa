"""Top labels of one instance at a time, without the cost of scikit-learn's checks."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils.hybrid import HybridFeatures
from sklearn_xmr.utils.validation import is_ready_row

NO_DENSE = np.empty(0, dtype=np.float32)


def restore_scores(log_scores, post_processor):
    """Log scores (or margins, for "noop") as the post-processor gives them."""
    if post_processor == "noop" or post_processor.startswith("log_"):
        return log_scores
    return np.exp(log_scores)


class TopkPredictor:
    """The best labels of single instances, for services that answer one at a time.

    Made by ``XRLinearClassifier.topk_predictor``. It fixes ``k``, ``beam_size``,
    ``label_weight`` and ``post_processor`` as they were then, allocates nothing but its
    results, and may be called from many threads at once: each takes a workspace of its
    own from a pool, and the search runs without the interpreter lock.

    Parameters
    ----------
    search : TreeSearch
        Of the fitted estimator.
    n_features, n_dense : int
        Sparse and dense features.
    k : int
        Number of labels.
    beam_size : int or None
        Nodes kept per level; None for the exact best labels.
    post_processor : str
        See :class:`XRLinearClassifier`.
    weights : LabelWeights, default=None
        Multiply the labels' scores.

    Examples
    --------
    See ``XRLinearClassifier.topk_predictor``.
    """

    def __init__(
        self, search, n_features, n_dense, k, beam_size, post_processor, weights=None
    ):
        from sklearn_xmr.linear._prediction import COMBINERS

        self._search = search
        self._weights = weights
        self.n_features = n_features
        self.n_dense = n_dense
        self.k = k
        self.beam_size = beam_size
        self.post_processor = post_processor
        self._combiner = COMBINERS[post_processor.removeprefix("log_")]

    def __call__(self, x):
        """Labels and scores of one instance.

        Parameters
        ----------
        x : sparse matrix of shape (1, n_features), (indices, values), or 1-D ndarray
            One instance: a CSR row, a pair of arrays with the features' numbers and
            their values, or all its values. After a fit on HybridFeatures: one of
            these and the 1-D dense features, as a pair, or HybridFeatures of one row.

        Returns
        -------
        labels : ndarray of int64 of shape (n_found,)
            Best first; fewer than k where the beam reached fewer.
        scores : ndarray of float32 of shape (n_found,)
            As ``post_processor`` makes them.

        Raises
        ------
        ValueError
            If x is not one instance of ``n_features`` finite features.
        """
        dense = NO_DENSE
        if self.n_dense:
            x, dense = self._split(x)
        indices, values = self._row(x)
        labels, log_scores = self._search.search_row(
            indices,
            values,
            dense,
            self.beam_size,
            self.k,
            self._combiner,
            self._weights,
        )
        return labels, restore_scores(log_scores, self.post_processor)

    def _split(self, x):
        """The sparse part and the checked dense part."""
        if isinstance(x, HybridFeatures):
            x = x.sparse, x.dense.ravel()
        if not isinstance(x, tuple) or len(x) != 2:
            raise ValueError(
                "x must be HybridFeatures of one row or a pair (sparse row, dense "
                f"features), as in fit, got {type(x).__name__}"
            )
        dense = np.ascontiguousarray(x[1], dtype=np.float32)
        if dense.shape != (self.n_dense,) or not np.isfinite(dense).all():
            raise ValueError(
                f"the dense features must be {self.n_dense} finite numbers, got shape "
                f"{dense.shape}"
            )
        return x[0], dense

    def _row(self, x):
        """Checked int32 indices and float32 values."""
        if isinstance(x, tuple):
            indices, values = (np.atleast_1d(part) for part in x)
        elif sparse.issparse(x):
            if x.format != "csr":
                x = sparse.csr_matrix(x)
            if x.shape != (1, self.n_features):
                raise ValueError(
                    f"x must be one row of {self.n_features} features, got shape "
                    f"{x.shape}; predict_topk takes many rows"
                )
            indices, values = x.indices, x.data
        else:
            x = np.asarray(x, dtype=np.float32)
            if x.shape != (self.n_features,):
                raise ValueError(
                    f"x must have shape ({self.n_features},), got {x.shape}; "
                    "predict_topk takes many rows"
                )
            indices = np.flatnonzero(x)
            values = x[indices]
        return self._checked(indices, values)

    def _checked(self, indices, values):
        if indices.dtype != np.int32 or values.dtype != np.float32:
            if len(indices) and not np.issubdtype(indices.dtype, np.integer):
                raise ValueError(f"indices must be integers, got {indices.dtype}")
            if len(indices) and (indices.min() < 0 or indices.max() >= self.n_features):
                raise ValueError(
                    f"indices must lie in 0 to {self.n_features - 1}, found "
                    f"{indices.min()} to {indices.max()}"
                )
            indices = indices.astype(np.int32)
            values = values.astype(np.float32)
        if indices.shape != values.shape or indices.ndim != 1:
            raise ValueError(
                "indices and values must be 1-D arrays of the same length, got shapes "
                f"{indices.shape} and {values.shape}"
            )
        if not is_ready_row(indices, values, self.n_features):
            raise ValueError(
                f"x must hold finite values at features 0 to {self.n_features - 1}; "
                f"found features {indices.min()} to {indices.max()} and values from "
                f"{values.min()} to {values.max()}"
            )
        return indices, values
