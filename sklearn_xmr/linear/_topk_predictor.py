"""Top labels of one instance at a time, without the cost of scikit-learn's checks."""

from typing import Any

import numpy as np
from scipy import sparse

from sklearn_xmr.linear._post_processor import PostProcessor, post_processor_of
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._matrices import check_structure, is_ready_row
from sklearn_xmr.utils._typing import TopK

NO_DENSE = np.empty(0, dtype=np.float32)


class TopkPredictor:
    """The best labels of single instances, for services that answer one at a time.

    ``XRLinearClassifier.topk_predictor`` makes one. It keeps the model and the settings
    of that moment, allocates nothing but its results, and may be called from many
    threads at once: each takes its own workspace from a pool, and the search runs
    without the interpreter lock.

    Parameters
    ----------
    model : TreeModel
        The fitted model.
    k : int
        Number of labels.
    beam_size : int or None
        Number of nodes kept on each level; None finds the exact best labels.
    post_processor : str or PostProcessor
        How margins become scores: a :class:`PostProcessor` or the name of one.
    label_weight : ndarray of float32 of shape (n_labels,), default=None
        Positive factors that multiply the labels' scores.

    Attributes
    ----------
    n_features, n_dense : int
        Number of sparse and of dense features.

    Raises
    ------
    ValueError
        If a setting is out of its range.

    Examples
    --------
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.linear import TopkPredictor, XRLinearClassifier
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
    >>> best = TopkPredictor(clf.model_, 3, beam_size=10, post_processor="sigmoid")
    >>> labels, scores = best(X[0])
    >>> labels.shape
    (3,)
    """

    takes_rows = True  # pairs of columns and values

    def __init__(
        self,
        model: TreeModel,
        k: int,
        beam_size: int | None,
        post_processor: str | PostProcessor,
        label_weight: np.ndarray | None = None,
    ) -> None:
        self.model, self.k, self.beam_size = model, k, beam_size
        self.post_processor, self.label_weight = post_processor, label_weight
        self.n_features, self.n_dense = model.n_features, model.n_dense
        self._restore = post_processor_of(post_processor).restore
        self._search = model.row_search(
            k,
            beam_size=beam_size,
            post_processor=post_processor,
            label_weight=label_weight,
        )

    def __call__(self, x: Any) -> TopK:
        """Return the best labels of one instance and their scores.

        Parameters
        ----------
        x : sparse matrix of shape (1, n_features), (indices, values), or 1-D ndarray
            One instance: a CSR row, a pair of arrays with the features' numbers and
            their values, or an array of all values. After a fit on HybridFeatures: a
            pair of one of these and the 1-D dense features, or HybridFeatures of one
            row.

        Returns
        -------
        labels : ndarray of int64 of shape (n_found,)
            Best first; fewer than k where the beam reached fewer.
        scores : ndarray of float32 of shape (n_found,)
            Scores as ``post_processor`` computes them, times ``label_weight``.

        Raises
        ------
        ValueError
            If ``x`` is not one instance with the features of the model, all finite.
        """
        dense = NO_DENSE
        if self.n_dense:
            x, dense = self._split(x)
        indices, values = self._row(x)
        labels, log_scores = self._search(indices, values, dense)
        return labels, self._restore(log_scores)

    def __reduce__(self):
        settings = self.k, self.beam_size, self.post_processor, self.label_weight
        return type(self), (self.model, *settings)

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
                f"the dense features of x must be {self.n_dense} finite numbers, got "
                f"shape {dense.shape}"
            )
        return x[0], dense

    def _row(self, x):
        """Checked int32 indices and float32 values."""
        if isinstance(x, tuple):
            indices, values = (np.atleast_1d(part) for part in x)
        elif sparse.issparse(x):
            check_structure(x if x.format != "csr" else None, "x")
            if x.format != "csr" or x.ndim == 1:  # a row of a sparse array
                x = sparse.csr_matrix(x.reshape(1, -1) if x.ndim == 1 else x)
            if x.shape != (1, self.n_features):
                raise ValueError(
                    f"x must be one row of {self.n_features} features, got shape "
                    f"{x.shape}; use predict_topk for many rows"
                )
            if len(x.indptr) != 2 or not 0 <= x.indptr[1] <= len(x.indices):
                raise ValueError("x is not a valid CSR matrix: its indptr is broken")
            n_stored = x.indptr[1]
            indices, values = x.indices[:n_stored], x.data[:n_stored]
        else:
            x = np.asarray(x, dtype=np.float32)
            if x.shape != (self.n_features,):
                raise ValueError(
                    f"x must have shape ({self.n_features},), got {x.shape}; "
                    "use predict_topk for many rows"
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
