"""What ranking classifiers share: checks of input, rankings out, in blocks or not."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_X_y

from sklearn_xmr.base._targets import TargetForm, readable_targets
from sklearn_xmr.base._training_data import TrainingData, is_raw, rows_of
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._doc_links import DocLinkMixin
from sklearn_xmr.utils._fitted_state import (
    add_new_parameters,
    on_snapshot,
    snapshot,
)
from sklearn_xmr.utils._matrices import (
    align_sparse_type,
    as_csr_float32,
    check_column_names,
    check_loaded_matrices,
    ready_csr,
)
from sklearn_xmr.utils._memory import (
    check_memory,
    check_ranking_memory,
    number_of_rows,
)
from sklearn_xmr.utils._rankings import csr_from_topk, topk_of_csr, with_values
from sklearn_xmr.utils._response import check_same_labels
from sklearn_xmr.utils._saved_version import SavedVersionMixin
from sklearn_xmr.utils._sklearn import num_samples
from sklearn_xmr.utils._typing import CSR, DenseOrSparse, MatrixLike, TopK
from sklearn_xmr.utils._validation import (
    check_array,
    check_candidates,
    check_count,
    check_label_weight,
    validate_data,
)

BLOCK_PAIRS = 1 << 22  # (instance, label) pairs that are scored at a time
# The smallest and the largest number of float32 between 0 and 1.
PROBABILITIES = np.finfo(np.float32).tiny, np.nextafter(np.float32(1), np.float32(0))


class RankingClassifierMixin(SavedVersionMixin, DocLinkMixin, ClassifierMixin):
    """Targets, ``predict_proba``, ``predict`` and ``score`` of a ranking classifier.

    A subclass calls ``_encode_targets`` in ``fit``, has ``top_k``, ``min_labels`` and
    ``decision_threshold``, and implements ``_predict_log(X, k)``: labels and log
    scores of shape (n_samples, k), where k=None means as many as ``predict_proba``
    returns (``top_k`` labels, or all classes of a 1-D y). ``_acting_parameters``
    names the parameters that take effect without a refit.

    ``scores_each_pair`` is True where ``score_pairs`` costs what the given pairs cost,
    and False where it costs as much as a ranking.
    """

    target_form_: TargetForm  # set by fit
    scores_each_pair = False
    _acting_parameters: tuple[str, ...] = ("top_k", "decision_threshold", "min_labels")

    @property
    def classes_(self) -> np.ndarray:
        """Classes of a 1-D y, column names of a table, or label numbers (ndarray)."""
        return self.target_form_.classes

    @property
    def n_labels_(self) -> int:
        """Number of labels (int)."""
        return self.target_form_.n_labels

    @property
    def propensities_(self) -> np.ndarray:
        """Probability that a relevant label is observed, by frequency (ndarray)."""
        return self.target_form_.propensities

    @property
    def sparse_output_(self) -> bool:
        """Whether predictions are sparse matrices, as y was (bool)."""
        return self.target_form_.is_sparse

    def _encode_targets(self, y, table=None):
        """y of any form as canonical CSR indicator; sets ``target_form_``."""
        self.target_form_, Y = TargetForm.of(y, table)
        return Y

    def __setstate__(self, state):
        super().__setstate__(state)
        add_new_parameters(self)
        check_loaded_matrices(vars(self))

    def _check_targets(self, X, y):
        """Label indicator of y for instances that are not a matrix, such as texts."""
        given = readable_targets(y)
        y = check_array(
            given, accept_sparse="csr", dtype=None, ensure_2d=False, input_name="y"
        )
        check_consistent_length(X, y)
        return self._encode_targets(y, given)

    def _label_weights(self):
        """``label_weight`` as an array of a positive number for each label, or None."""
        given = self.label_weight
        if given is None:
            return None
        if isinstance(given, str):
            return 1 / self._known_propensities()
        return check_label_weight(given, self.n_labels_)

    def _known_propensities(self):
        """``propensities_``; ValueError where the training data are not known."""
        if np.isnan(self.propensities_).any():
            raise ValueError(
                "propensities are not known of a model that was not fitted here: set "
                "label_weight to 1 / sklearn_xmr.metrics.propensity_scores(Y), with "
                "the Y of its training, or fit the model"
            )
        return self.propensities_

    def _n_probabilities(self):
        """Number of labels in ``predict_proba``: all classes for a 1-D y."""
        return self.top_k if self.target_form_.is_multilabel else self.n_labels_

    def _threshold(self):
        """The probability above which ``predict`` returns a label."""
        return self.decision_threshold

    def _probabilities(self, log_scores):
        """Scores between 0 and 1 from the log scores of ``_predict_log``."""
        return np.exp(log_scores)

    @on_snapshot
    def predict_proba(self, X: MatrixLike, k: int | None = None) -> DenseOrSparse:
        """Return the scores of the retrieved labels as probabilities.

        They are meant for ranking, and are not calibrated.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        k : int, default=None
            Number of labels to retrieve, ``top_k`` by default. A pipeline passes it on:
            ``pipeline.predict_proba(X, k=100)``.

        Returns
        -------
        {csr_matrix, ndarray} of float32 of shape (n_samples, n_labels)
            For a sparse y: the ``k`` best labels of each instance, with sorted
            indices; a label that is not stored was not retrieved. Stored values lie
            strictly between 0 and 1. For a dense indicator: the same, dense, with
            the smallest positive number for labels not retrieved. For a 1-D y:
            float64, over ``classes_``, each row summing to 1.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit, or k is not a positive integer; or
            if k is given for a 1-D y, whose classes all have a probability.
        """
        self._check_room_for("predict_proba", X)
        k = k if k is None else check_count(k, "k")
        if not self.target_form_.is_multilabel:
            if k is not None:
                raise ValueError(
                    f"k must be None where y has one class for each instance, got {k}: "
                    f"all {self.n_labels_} classes have a probability"
                )
            return self._class_probabilities(*self._predict_log(X, None))
        proba = csr_from_topk(*self._retrieved(X, k), self.n_labels_)
        if not self.sparse_output_:
            proba = np.maximum(proba.toarray(), PROBABILITIES[0])
        return self._in_form_of_targets(proba, X)

    def _retrieved(self, X, k=None):
        """The best labels, and their probabilities strictly between 0 and 1."""
        labels, log_scores = self._predict_log(X, k)
        values, limits = self._probabilities(log_scores), PROBABILITIES
        return labels, np.clip(values, *limits, dtype=np.float32)

    def _in_form_of_targets(self, scores, X):
        """A matrix of labels as y was: a sparse matrix, an array, or a table."""
        return self.target_form_.in_table(align_sparse_type(scores), X)

    @on_snapshot
    def predict(self, X: MatrixLike) -> DenseOrSparse:
        """Predict the labels whose probability exceeds ``decision_threshold``.

        Where these are fewer than ``min_labels``, the best labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        {csr_matrix, ndarray} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator in the form and dtype of y; the best class for a 1-D y.
        """
        if not self.target_form_.is_multilabel:
            labels = self._predict_log(X, 1)[0][:, 0]
            # Where nothing is retrieved, the most frequent class.
            best = np.where(labels >= 0, labels, self.propensities_.argmax())
            return self.classes_[best]
        self._check_room_for("predict", X)
        labels, probabilities = self._retrieved(X)
        passes = self._passes(labels, probabilities)
        ones = np.ones(labels.shape, dtype=self.target_form_.dtype)
        found = csr_from_topk(np.where(passes, labels, -1), ones, self.n_labels_)
        return self._in_form_of_targets(
            found if self.sparse_output_ else found.toarray(), X
        )

    def _passes(self, labels, probabilities):
        """Which of the retrieved labels ``predict`` returns (ndarray of bool)."""
        is_among_best = np.arange(labels.shape[1]) < self.min_labels
        return (probabilities > self._threshold()) | is_among_best

    @on_snapshot
    def score(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return precision at 1 for an indicator y, accuracy for a 1-D y.

        Subset accuracy, scikit-learn's default for indicators, is not informative if
        each instance has a few of very many labels.

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
            Precision or accuracy, from 0 to 1.

        Raises
        ------
        ValueError
            If y has other labels than the model, or X other features.
        """
        if not self.target_form_.is_multilabel:
            return super().score(X, y, sample_weight)
        check_same_labels(self, y)
        self.target_form_.check_names(y)
        topk = self.predict_topk(X, k=1)
        return precision_at_k(y, topk, k=1, sample_weight=sample_weight)

    def _check_room_for(self, method, X):
        """MemoryError if the dense result of a method would not fit into memory."""
        if not self.target_form_.is_multilabel:
            n_bytes, instead = 24, "predict_topk gives the best classes only"
        elif not self.sparse_output_:
            n_bytes = 5 + self.target_form_.dtype.itemsize if method == "predict" else 4
            instead = "predict_topk gives the best labels only; fit with a sparse y"
        else:
            return
        shape = number_of_rows(X), self.n_labels_
        what, axes = f"the dense result of {method}", ("instances", "labels")
        instead += f", or call {method} with fewer instances at a time"
        check_memory(what, shape, axes, instead, n_bytes)

    def _class_probabilities(self, labels, log_scores):
        """Softmax of the log scores, without underflow: proportional to the scores."""
        dense = np.full((len(labels), self.n_labels_), -np.inf)
        rows, places = np.nonzero(labels >= 0)
        dense[rows, labels[rows, places]] = log_scores[rows, places]
        # Where nothing is retrieved, frequent classes are more probable.
        dense[np.isneginf(dense).all(axis=1)] = np.log(self.propensities_)
        dense -= dense.max(axis=1, keepdims=True)
        proba = np.maximum(np.exp(dense), np.finfo(np.float64).tiny)
        return proba / proba.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags


class HybridRankingMixin(RankingClassifierMixin):
    """Checks for classifiers whose instances may have a sparse and a dense block.

    ``fit`` sets ``n_features_in_`` and ``n_dense_features_``.
    """

    def _check_training(self, X, y, *args):
        """Checked instances, targets and further arguments, as TrainingData."""
        given = readable_targets(y)
        X, y = self._check_training_instances(X, given)
        return TrainingData.checked(X, self._encode_targets(y, given), *args)

    def _check_training_instances(self, X, y):
        """X as HybridFeatures, and checked y."""
        self.n_dense_features_ = 0
        if not isinstance(X, (tuple, HybridFeatures)):
            X, y = validate_data(
                self, X, y, accept_sparse="csr", multi_output=True, dtype=np.float32
            )
            return HybridFeatures.of_blocks(as_csr_float32(X)), y
        X = X if isinstance(X, HybridFeatures) else HybridFeatures(*X)
        rows = np.zeros((len(X), 1), dtype=np.float32)
        _, y = check_X_y(rows, y, accept_sparse="csr", multi_output=True)
        self.n_features_in_ = X.shape[1]
        self.n_dense_features_ = X.dense.shape[1]
        vars(self).pop("feature_names_in_", None)  # of the fit before a warm start
        return X, y

    def _check_instances(self, X):
        """Checked instances as HybridFeatures."""
        if self.n_dense_features_ or isinstance(X, (tuple, HybridFeatures)):
            return _checked_blocks(X, self.n_features_in_, self.n_dense_features_)
        if not hasattr(self, "feature_names_in_"):
            ready = ready_csr(X, self.n_features_in_)
            if ready is not None:  # one row: 15 microseconds, not 300
                return HybridFeatures.of_blocks(ready)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        return HybridFeatures.of_blocks(as_csr_float32(X))


def _checked_blocks(X, n_features, n_dense):
    """X, HybridFeatures or a pair of blocks, as HybridFeatures of these widths."""
    if isinstance(X, tuple) and len(X) == 2:
        X = HybridFeatures(*X)
    is_sparse_only = isinstance(X, HybridFeatures) and not X.dense.shape[1]
    if n_dense == 0 and not is_sparse_only:
        raise TypeError(
            "X must be one matrix, as in fit, got sparse and dense features in blocks"
        )
    if not isinstance(X, HybridFeatures):
        raise TypeError(
            "X must be HybridFeatures or a pair (sparse, dense), as it was in fit, got "
            f"{type(X).__name__}"
        )
    if X.shape[1] != n_features or X.dense.shape[1] != n_dense:
        raise ValueError(
            f"X must have {n_features - n_dense} sparse and {n_dense} dense features, "
            f"as in fit, got {X.sparse.shape[1]} and {X.dense.shape[1]}"
        )
    return X


class BlockwiseRankingMixin(RankingClassifierMixin):
    """Rank blocks of instances, so that their candidates fit into memory.

    A subclass implements ``_rank(X, k)``: labels (-1 for none) and probabilities of
    shape (n, k); and ``_score_pairs(X, pairs)``: probabilities of the pairs that a
    canonical CSR matrix stores, in its order. If it has ``label_weight``, ``_rank``
    also takes ``weights``, and multiplies the probabilities by them.
    """

    _block_rows = 16384

    @on_snapshot
    def predict_topk(
        self,
        X: MatrixLike,
        k: int | None = None,
        *,
        candidates: MatrixLike | None = None,
    ) -> TopK:
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
            rank. All of them are scored, even those that would not be retrieved.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, k)
            Column numbers of Y (positions in ``classes_``); -1 where there are fewer.
        scores : ndarray of float32 of shape (n_samples, k)
            Probabilities, times ``label_weight`` if the estimator has it; 0 where the
            label is -1.

        Raises
        ------
        ValueError
            If X or ``candidates`` does not fit the data seen in fit, or ``k`` is not a
            positive integer.
        """
        weights = None
        if getattr(self, "label_weight", None) is not None:
            weights = self._label_weights()
        k = self._n_probabilities() if k is None else check_count(k, "k")
        if candidates is None:
            return self._rank_blocks(X, k, weights)
        scores = self._score_candidates(X, candidates)
        if weights is not None:
            scores.data *= weights[scores.indices]
        labels, scores = topk_of_csr(scores, k)
        return labels, np.where(labels >= 0, scores, np.float32(0))

    @on_snapshot
    def score_pairs(self, X: MatrixLike, candidates: MatrixLike) -> CSR:
        """Score given (instance, label) pairs by their probabilities.

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
            Probability of each pair, with sorted indices; probabilities of zero are
            stored.

        Raises
        ------
        ValueError
            If X or ``candidates`` does not fit the data seen in fit.
        """
        return align_sparse_type(self._score_candidates(X, candidates))

    def _score_candidates(self, X, candidates):
        X = self._check_instances(X)
        n_rows = num_samples(X)
        pairs = check_candidates(candidates, n_rows, self.n_labels_)
        parts = [
            self._score_pairs(rows_of(X, block), pairs[block])
            for block in self._blocks(n_rows, pairs.nnz // n_rows)
        ]
        return with_values(pairs, np.concatenate(parts).astype(np.float32, copy=False))

    def _rank_blocks(self, X, k, weights=None):
        return self._rank_checked(self._check_instances(X), k, weights)

    def _rank_checked(self, X, k, weights=None):
        k = min(k, self.n_labels_)
        check_ranking_memory(num_samples(X), k, 24)
        more = () if weights is None else (weights,)
        if num_samples(X) <= self._block_rows:  # one row: 130 microseconds less
            labels, scores = self._rank(X, k, *more)
        else:
            blocks = self._blocks(num_samples(X))
            parts = [self._rank(rows_of(X, block), k, *more) for block in blocks]
            labels, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        return labels, np.where(labels >= 0, scores, 0).astype(np.float32, copy=False)

    def _blocks(self, n_rows, n_pairs=1):
        """Blocks of instances (slices), smaller for many pairs per instance."""
        size = min(self._block_rows, max(1, BLOCK_PAIRS // max(1, n_pairs)))
        return [slice(at, min(at + size, n_rows)) for at in range(0, n_rows, size)]

    def _predict_log(self, X, k):
        k = self._n_probabilities() if k is None else k
        labels, scores = self._rank_blocks(X, k)
        with np.errstate(divide="ignore"):
            return labels, np.log(scores)

    def _check_training(self, X, y, *args):
        """Checked instances, targets and further arguments, as TrainingData."""
        given = readable_targets(y)
        X, y = validate_data(
            self, X, given, accept_sparse="csr", multi_output=True, dtype=np.float32
        )
        Y = self._encode_targets(y, given)
        return TrainingData.checked(as_csr_float32(X), Y, *args)

    def _check_instances(self, X):
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        return as_csr_float32(X)


class RawInstancesMixin:
    """Instances of models that vectorize: texts and tables pass through unread.

    Stands before a ranking mixin. A subclass says in ``_has_default_model`` whether
    its models are those of the package, which take matrices only.
    """

    def _check_training(self, X, y, *args):
        check_column_names(X, "X")
        if not is_raw(X):
            return super()._check_training(X, y, *args)
        if self._has_default_model():
            raise ValueError(
                "X is no matrix of numbers, which the default models need: put a "
                f"vectorizer before {type(self).__name__}, or give it a pipeline that "
                "has one"
            )
        return TrainingData.checked(X, self._check_targets(X, y), *args)

    def _check_instances(self, X):
        check_column_names(X, "X")
        return X if is_raw(X) else super()._check_instances(X)


def checked_instances(estimator, X):
    """Check instances as a fitted classifier of the package does.

    Parameters
    ----------
    estimator : RankingClassifierMixin
        The fitted classifier.
    X : array-like, sparse matrix, HybridFeatures or list of str
        Instances in a form that its ``predict_topk`` accepts.

    Returns
    -------
    HybridFeatures, csr_matrix or list of str
        Instances in the form that the classifier uses internally.

    Raises
    ------
    ValueError
        If X does not fit the data seen in ``fit``.
    """
    return estimator._check_instances(X)


def retrieved_probabilities(estimator, X, k):
    """Retrieve the most probable labels: ``predict_proba`` without a matrix.

    Parameters
    ----------
    estimator : RankingClassifierMixin
        The fitted classifier.
    X : array-like, sparse matrix, HybridFeatures or list of str
        Instances in a form that its ``predict_topk`` accepts.
    k : int
        Number of labels.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples, at most k)
        Best first, whatever ``label_weight``; -1 where there are fewer.
    probabilities : ndarray of float32 of the same shape
        Strictly between 0 and 1.
    """
    return snapshot(estimator)._retrieved(X, k)


def checked_label_weights(estimator):
    """Check ``label_weight`` of a fitted classifier, and convert it to numbers.

    Parameters
    ----------
    estimator : RankingClassifierMixin
        The fitted classifier, which has the parameter ``label_weight``.

    Returns
    -------
    ndarray of float32 of shape (n_labels,) or None
        A weight for each label; None for no weights.

    Raises
    ------
    ValueError
        If ``label_weight`` does not hold a positive number for each label.
    """
    return estimator._label_weights()
