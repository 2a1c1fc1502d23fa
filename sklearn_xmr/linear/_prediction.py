"""What a fitted label tree answers: top labels, scores, labels, matching scores."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_xmr.linear._predictor import TopkPredictor, restore_scores
from sklearn_xmr.linear._ranking_classifier import RankingClassifierMixin
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils.hybrid import HybridFeatures, as_hybrid, check_hybrid
from sklearn_xmr.utils.topk import csr_from_topk, topk_of_csr
from sklearn_xmr.utils.validation import (
    align_sparse_type,
    as_csr_float32,
    check_candidates,
    check_k,
    is_ready_csr,
)

# Combiner codes of _chunk_scores.h: 0 sigmoid, -1 no-op, else the hinge's power.
COMBINERS = {"sigmoid": 0, "noop": -1} | {f"l{p}_hinge": p for p in (1, 2, 3, 4)}
POST_PROCESSORS = (*COMBINERS, *(f"log_{name}" for name in COMBINERS if name != "noop"))


def root_rows(n_samples):
    """All rows belong to the root."""
    return sparse.csr_matrix(np.ones((n_samples, 1), dtype=np.float32))


class TreePredictionMixin(RankingClassifierMixin):
    """Prediction of an estimator with ``tree_``, ``weights_`` and ``_tree_search``."""

    def predict_topk(self, X, k=None, *, candidates=None, return_n_visited=False):
        """The best labels of each instance, best first.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        k : int, default=None
            Number of labels, ``top_k`` by default; never more than there are.
        candidates : array-like of int or sparse matrix, default=None
            Rank these labels only: column numbers of Y, the same for all instances, or
            a sparse matrix of shape (n_samples, n_labels) that stores the pairs to
            rank. All of them are scored, whatever ``beam_size``.
        return_n_visited : bool, default=False
            Also return how many nodes were opened for each instance.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
            Equal scores are in the order of the labels' numbers.
        scores : ndarray of float32 of shape (n_samples, k)
            Scores as ``post_processor`` makes them, times ``label_weight``; the lowest
            possible value where the label is -1 (0, or -inf for logarithms and "noop").
        n_visited : ndarray of int64 of shape (n_samples,)
            Only with ``return_n_visited=True``.

        Raises
        ------
        ValueError
            If X or ``candidates`` does not fit the data seen in fit, or
            ``return_n_visited`` is asked where no tree is searched.
        """
        if return_n_visited:
            return self._topk_and_visits(X, k, candidates)
        if candidates is not None:
            k = self.top_k if k is None else check_k(k)
            scores = self._pair_log_scores(X, candidates)
            weight = self._checked_label_weight()
            if weight is not None:
                self._refuse_weighted_margins()
                scores.data += np.log(weight)[scores.indices]
            labels, log_scores = topk_of_csr(scores, k)
        else:
            labels, log_scores = self._predict_log(X, k, self._search_weights())
        return labels, restore_scores(log_scores, self.post_processor)

    def _topk_and_visits(self, X, k, candidates):
        if self.post_processor == "noop" or candidates is not None:
            raise ValueError(
                "return_n_visited=True counts the nodes of a search: it takes no "
                "candidates, and a post_processor other than 'noop'"
            )
        X = self._check_predict_data(X)
        k = self.top_k if k is None else check_k(k)
        weights = self._search_weights()
        labels, log_scores, n_visited = self._best_first(X, k, weights)
        return labels, restore_scores(log_scores, self.post_processor), n_visited

    def score_pairs(self, X, pairs):
        """Scores of given (instance, label) pairs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        pairs : array-like of int or sparse matrix
            As ``candidates`` in :meth:`predict_topk`.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            A score, as ``post_processor`` makes it, for each pair, with sorted
            indices; zeros are stored.
        """
        scores = self._pair_log_scores(X, pairs)
        scores.data = restore_scores(scores.data, self.post_processor)
        return align_sparse_type(scores)

    def topk_predictor(self, k=None):
        """A function for single instances, answering in microseconds.

        Parameters
        ----------
        k : int, default=None
            Number of labels, ``top_k`` by default.

        Returns
        -------
        TopkPredictor
            Takes one instance; keeps its own buffers; safe to call from many threads.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
        >>> best = clf.topk_predictor(k=3)
        >>> labels, scores = best(X[0])
        >>> labels.tolist() == clf.predict_topk(X[:1], k=3)[0][0].tolist()
        True
        """
        check_is_fitted(self)
        k = self.top_k if k is None else check_k(k)
        return TopkPredictor(
            self._tree_search,
            self.n_features_in_ - self.n_dense_features_,
            self.n_dense_features_,
            k,
            self.beam_size,
            self.post_processor,
            self._search_weights(),
        )

    def _matching(self, X):
        """Matching scores of checked instances."""
        n_above = self.tree_.n_levels - 1
        if n_above == 0:
            return root_rows(X.shape[0])
        nodes, scores = self._search(self._tree_search, X, n_above, self.beam_size)
        if self.post_processor == "noop":
            scores = -np.log1p(np.exp(-np.clip(scores, -80, 80)))
        return csr_from_topk(nodes, np.exp(scores), self.tree_.n_clusters)

    def _probabilities(self, log_scores):
        """Margins of "noop" through the logistic function."""
        if self.post_processor == "noop":
            return 1 / (1 + np.exp(-np.clip(log_scores, -80, 80)))
        return np.exp(log_scores)

    def _check_predict_data(self, X):
        """Checked instances: CSR, or HybridFeatures."""
        check_is_fitted(self)
        if self.n_dense_features_ or isinstance(X, (tuple, HybridFeatures)):
            return check_hybrid(X, self.n_features_in_, self.n_dense_features_)
        if is_ready_csr(X, self.n_features_in_) and not hasattr(
            self, "feature_names_in_"
        ):
            return X  # one row: 15 microseconds instead of 300
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        return as_csr_float32(X)

    def _search_weights(self):
        """Label weights as the search takes them, or None."""
        if self.label_weight is None:
            return None  # before the check, which takes a third of a row's time
        check_is_fitted(self)
        weight = self._checked_label_weight()
        self._refuse_weighted_margins()
        return self._tree_search.label_weights(self.label_weight, weight)

    def _refuse_weighted_margins(self):
        if self.post_processor == "noop":
            raise ValueError(
                "label_weight multiplies probabilities: post_processor must not be "
                "'noop', whose scores are margins"
            )

    def _predict_log(self, X, k, weights=None):
        """Labels and log scores, (n_samples, k); 1-D targets rank all classes."""
        X = self._check_predict_data(X)
        k = check_k(self._default_k() if k is None else k)
        row_by_row = self.beam_size is None or X.shape[0] == 1
        if row_by_row and self._combiner() != COMBINERS["noop"]:
            return self._best_first(X, k, weights)[:2]
        return self._search(self._tree_search, X, self.tree_.n_levels, k, weights)

    def _best_first(self, X, k, weights):
        """Labels, log scores and nodes opened, row by row."""
        return self._tree_search.search_best_first(
            *_arrays(X),
            self.beam_size,
            k,
            self._combiner(),
            effective_n_threads(),
            weights,
        )

    def _combiner(self):
        return COMBINERS[self.post_processor.removeprefix("log_")]

    def _search(self, search, X, n_levels, k, weights=None):
        return search.search(
            *_arrays(X),
            n_levels,
            self.beam_size,
            k,
            self._combiner(),
            effective_n_threads(),
            weights,
        )

    def _pair_log_scores(self, X, pairs):
        """CSR of the log scores of pairs, given as in ``check_candidates``."""
        X = self._check_predict_data(X)
        pairs = check_candidates(pairs, X.shape[0], self.n_labels_)
        place = np.empty(self.n_labels_, dtype=np.int32)
        place[self.tree_.label_order] = np.arange(self.n_labels_, dtype=np.int32)
        order = _order_in_rows(place[pairs.indices], pairs.indptr, self.n_labels_)
        scores = np.empty(len(pairs.indices), dtype=np.float32)
        scores[order] = self._tree_search.score_pairs(
            *_arrays(X),
            pairs.indptr.astype(np.int64),
            place[pairs.indices][order],
            self._combiner(),
            effective_n_threads(),
        )
        return sparse.csr_matrix(
            (scores, pairs.indices, pairs.indptr), shape=pairs.shape
        )


def _order_in_rows(places, indptr, n_places):
    """Order that sorts the places of each row: five times as fast as lexsort."""
    numbered = sparse.csr_matrix(
        (np.arange(len(places)), places, indptr), shape=(len(indptr) - 1, n_places)
    )
    numbered.sort_indices()
    return numbered.data


def _arrays(X):
    """What the search takes of checked instances."""
    X = as_hybrid(X)
    block = X.sparse
    return block.indptr.astype(np.int64, copy=False), block.indices, block.data, X.dense
