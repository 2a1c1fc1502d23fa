"""Predictions of estimators with a fitted label tree."""

import numpy as np

from sklearn_xmr.base import HybridRankingMixin
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._post_processor import PostProcessor, post_processor_of
from sklearn_xmr.linear._topk_predictor import TopkPredictor
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.linear._weights._chunked_weights import ChunkedWeights
from sklearn_xmr.utils._fitted_state import on_snapshot
from sklearn_xmr.utils._matrices import align_sparse_type
from sklearn_xmr.utils._rankings import topk_of_csr
from sklearn_xmr.utils._typing import CSR, MatrixLike
from sklearn_xmr.utils._validation import check_candidates, check_count


class TreeRankingMixin(HybridRankingMixin):
    """Predictions of an estimator that holds a TreeModel, ``model_``.

    The estimator has the parameters ``beam_size``, ``top_k``, ``post_processor``,
    ``label_weight``, ``decision_threshold`` and ``min_labels``, which act without a
    refit, as ``path_weight`` does.
    """

    model_: TreeModel  # set by fit
    scores_each_pair = True
    _acting_parameters = (
        "beam_size",
        "top_k",
        "post_processor",
        "path_weight",
        "label_weight",
        "decision_threshold",
        "min_labels",
    )

    @property
    def scoring_rule(self) -> PostProcessor:
        """How margins become scores, as the parameters say (PostProcessor)."""
        weight = self.path_weight
        if isinstance(weight, str):  # "auto"; before fit there is no path
            weight = getattr(self, "path_weight_", 1.0)
        return post_processor_of(self.post_processor, weight)

    @property
    def effective_beam_size(self) -> int | None:
        """The ``beam_size`` of searches: a number where it is "auto" (int or None)."""
        if isinstance(self.beam_size, str):
            return getattr(self, "beam_size_", 10)  # no model of before has it
        return self.beam_size

    @property
    def tree_(self) -> LabelTree:
        """The label tree (LabelTree)."""
        return self.model_.tree

    @property
    def weights_(self) -> list[ChunkedWeights]:
        """Weights of each level, from the root down (list of ChunkedWeights)."""
        return list(self.model_.weights)

    @property
    def nbytes_(self) -> int:
        """Size of the fitted model in memory and on disk, in bytes (int)."""
        return self.model_.nbytes

    @on_snapshot
    def predict_topk(
        self,
        X: MatrixLike,
        k: int | None = None,
        *,
        candidates: MatrixLike | None = None,
        return_n_visited: bool = False,
    ) -> tuple[np.ndarray, ...]:
        """The best labels of each instance, best first.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        k : int, default=None
            Number of labels, ``top_k`` by default; at most ``n_labels_`` are returned.
        candidates : array-like of int or sparse matrix, default=None
            Rank these labels only: column numbers of Y, the same for all instances, or
            a sparse matrix of shape (n_samples, n_labels) that stores the pairs to
            rank. All of them are scored, whatever ``beam_size``.
        return_n_visited : bool, default=False
            Whether to return also how many nodes were opened for each instance.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
            Labels of equal scores are in ascending order.
        scores : ndarray of float32 of shape (n_samples, k)
            Scores as ``post_processor`` computes them, times ``label_weight``; where
            the label is -1, the lowest possible value (0, or -inf for logarithms and
            "noop").
        n_visited : ndarray of int64 of shape (n_samples,)
            Number of opened nodes; only with ``return_n_visited=True``.

        Raises
        ------
        ValueError
            If X or ``candidates`` does not fit the data seen in fit, a parameter is
            out of its range, or ``return_n_visited=True`` is combined with
            ``candidates`` or ``post_processor="noop"``.
        """
        k = self._n_probabilities() if k is None else check_count(k, "k")
        if candidates is not None:
            if return_n_visited:
                raise ValueError(
                    "return_n_visited must be False with candidates, which are scored "
                    "without a search, got True"
                )
            found = self._rank_candidates(X, candidates, k)
        else:
            found = self.model_.topk(
                self._check_instances(X),
                k,
                beam_size=self.effective_beam_size,
                post_processor=self.scoring_rule,
                label_weight=self._label_weights(),
                return_n_visited=return_n_visited,
            )
        labels, log_scores, *n_visited = found
        scores = self.scoring_rule.restore(log_scores)
        return labels, scores, *n_visited

    def _rank_candidates(self, X, candidates, k):
        scores = self._candidate_log_scores(X, candidates)
        weights = self._label_weights()
        if weights is not None:
            if self.post_processor == "noop":
                raise ValueError(
                    "label_weight multiplies probabilities: post_processor must not be "
                    "'noop', whose scores are margins"
                )
            scores.data += np.log(weights)[scores.indices]
        return topk_of_csr(scores, k)

    def _candidate_log_scores(self, X, candidates):
        X = self._check_instances(X)
        pairs = check_candidates(candidates, len(X), self.n_labels_)
        return self.model_.score_pairs(X, pairs, post_processor=self.scoring_rule)

    @on_snapshot
    def score_pairs(self, X: MatrixLike, candidates: MatrixLike) -> CSR:
        """Score given (instance, label) pairs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        candidates : array-like of int or sparse matrix
            The pairs to score: column numbers of Y, the same for all instances, or a
            sparse matrix of shape (n_samples, n_labels) that stores the pairs.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            Score of each pair, as ``post_processor`` computes it, with sorted indices;
            scores of zero are stored.

        Raises
        ------
        ValueError
            If X or ``candidates`` does not fit the data seen in fit.
        """
        scores = self._candidate_log_scores(X, candidates)
        scores.data = self.scoring_rule.restore(scores.data)
        return align_sparse_type(scores)

    @on_snapshot
    def topk_predictor(self, k: int | None = None) -> TopkPredictor:
        """Return a function that ranks single instances in microseconds.

        Parameters
        ----------
        k : int, default=None
            Number of labels, ``top_k`` by default.

        Returns
        -------
        TopkPredictor
            Function of one instance, with the model and the parameters of now; many
            threads may call it at once.

        Raises
        ------
        ValueError
            If ``k`` or a parameter is out of its range.

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
        return TopkPredictor(
            self.model_,
            self.top_k if k is None else check_count(k, "k"),
            self.effective_beam_size,
            self.scoring_rule,
            self._label_weights(),
        )

    def _predict_log(self, X, k):
        """Labels and log scores, (n_samples, k); 1-D targets rank all classes."""
        return self.model_.topk(
            self._check_instances(X),
            self._n_probabilities() if k is None else k,
            beam_size=self.effective_beam_size,
            post_processor=self.scoring_rule,
        )

    def _probabilities(self, log_scores):
        return self.scoring_rule.probabilities(log_scores)

    @property
    def _n_features_out(self):
        return self.tree_.n_clusters
