"""Scores of pairs of instance and label from models that did not see the instance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state, indexable
from sklearn.utils.parallel import Parallel, delayed

from sklearn_xmr.base import indicator_and_names
from sklearn_xmr.utils._checkpoint_folders import in_own_folder
from sklearn_xmr.utils._held_out import held_out_splits, partition
from sklearn_xmr.utils._matrices import check_structure
from sklearn_xmr.utils._rankings import (
    csr_from_topk,
    rank_topk,
    scores_at,
    values_at,
    with_values,
)
from sklearn_xmr.utils._response import last_estimator, last_step, predict_topk
from sklearn_xmr.utils._sklearn import check_method_params, safe_indexing
from sklearn_xmr.utils._typing import CSR, Estimator, MatrixLike, RandomState, Self
from sklearn_xmr.utils._validation import check_count

N_FOLDS = 5


@dataclass
class HeldOutScores:
    """Scores of some pairs of instance and label, by models that did not see them.

    What :func:`cross_val_score_pairs` returns.

    Parameters
    ----------
    retrieved : csr_matrix of float32 of shape (n_samples, n_labels)
        The best labels of each instance; what is not stored was not retrieved.
    given : csr_matrix of float32 of shape (n_samples, n_labels)
        Scores of the positives of y, which it stores all.
    others : csr_matrix of float32 of shape (n_samples, n_labels)
        Scores of pairs drawn at random among those that y does not have, about as many
        as it has: what a label's score is where the label says nothing about the
        instance.

    Examples
    --------
    >>> from sklearn_xmr.model_selection import HeldOutScores
    >>> y, y_score = [[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]]
    >>> HeldOutScores.from_retrieved(y, y_score).given.toarray()
    array([[0.9, 0. ],
           [0. , 0.2]], dtype=float32)
    """

    retrieved: CSR
    given: CSR
    others: CSR

    @classmethod
    def from_retrieved(
        cls, y: MatrixLike, y_score: MatrixLike, *, random_state: RandomState = None
    ) -> Self:
        """Take scores of another source, such as another package's predictions.

        Parameters
        ----------
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Targets, as for :func:`cross_val_score_pairs`.
        y_score : sparse matrix, array-like or (labels, scores)
            Held-out scores of shape (n_samples, n_labels), sparse ones of the best
            labels only, or the pair that :func:`cross_val_predict_topk` returns. What
            is not among them counts as the smallest of them, 0 if none is negative.
        random_state : int, RandomState instance or None, default=None
            Draws the pairs to compare with.

        Returns
        -------
        HeldOutScores
            The scores as ``retrieved``, and those of the pairs in question.

        Raises
        ------
        ValueError
            If shapes disagree.
        """
        Y = indicator_and_names(y)[0]
        retrieved = _as_csr(y_score, Y.shape)
        others = random_pairs(Y, check_random_state(random_state))
        pairs = (Y, others)
        return cls(retrieved, *(_looked_up(retrieved, part) for part in pairs))


def cross_val_score_pairs(
    estimator: Estimator,
    X: MatrixLike,
    y: MatrixLike,
    k: int = 20,
    *,
    cv: Any = None,
    n_jobs: int | None = None,
    params: dict[str, Any] | None = None,
    random_state: RandomState = None,
) -> HeldOutScores:
    """Score the k best labels, the given ones and random ones, held out.

    What :func:`cross_val_predict_topk` is for rankings: here the labels that each
    instance has are scored too, even those that would not be among the k best.
    :func:`sklearn_xmr.inspection.find_label_errors` takes the result.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any classifier of many labels. Those with ``score_pairs`` score each pair; for
        others, what they do not retrieve counts as 0, or as the smallest score.
    X : array-like, sparse matrix or list of str
        What the estimator takes.
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        What the estimator takes: a label indicator, classes, or lists of names. The
        columns of the result are those of y, or the sorted names.
    k : int, default=20
        Number of labels to retrieve.
    cv : int, splitter or iterable, default=None
        Folds that hold each instance out once; a number means folds of instances drawn
        at random, None five of them. ``GroupKFold().split(X, groups=groups)`` keeps
        groups together, such as copies of a text.
    n_jobs : int, default=None
        Number of folds to fit at a time.
    params : dict, default=None
        Further arguments of ``fit``, such as ``sample_weight``; those with one entry
        for each instance are split.
    random_state : int, RandomState instance or None, default=None
        Draws the folds and the random pairs.

    Returns
    -------
    HeldOutScores
        Three sparse matrices of scores.

    Raises
    ------
    ValueError
        If k is no positive integer, or the folds do not hold out each instance once.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.model_selection import cross_val_score_pairs
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> scores = cross_val_score_pairs(XRLinearClassifier(), X, Y, random_state=0)
    >>> scores.given.nnz == Y.nnz
    True
    """
    check_count(k, "k")
    check_structure(X, "X")
    check_structure(y, "y")
    X, y = indexable(X, y)
    rng = check_random_state(random_state)
    Y, names = targets_of_folds(y)
    splits = _splits(cv, X, y, Y, rng)
    pairs = (Y, random_pairs(Y, rng))
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_score)(
            in_own_folder(clone(estimator), f"split_{number}"),
            (X, y),
            split,
            (k, params or {}),
            [part[split[1]] for part in pairs],
            names,
        )
        for number, split in enumerate(splits, start=1)
    )
    places = np.argsort(np.concatenate([test for _, test in splits]))
    stacked = [sparse.vstack(part, "csr")[places] for part in zip(*parts, strict=True)]
    return HeldOutScores(*stacked)


def random_pairs(Y, rng):
    """Draw pairs that an indicator does not have, about as many as it has.

    Parameters
    ----------
    Y : csr_matrix of shape (n_samples, n_labels)
        Canonical label indicator.
    rng : RandomState
        Draws them.

    Returns
    -------
    csr_matrix of float32 of shape (n_samples, n_labels)
        Canonical; rows with many labels have many. Half of the labels are drawn by
        their frequency, half are any: nobody knows which labels are given in error.
    """
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    frequent = Y.indices[rng.randint(0, max(Y.nnz, 1), Y.nnz)]
    any_label = rng.randint(0, Y.shape[1], Y.nnz)
    labels = np.where(rng.randint(0, 2, Y.nnz), frequent, any_label)
    ones = np.ones(Y.nnz, dtype=np.float32)
    drawn = sparse.csr_matrix((ones, (rows, labels)), shape=Y.shape)
    return without(drawn, Y)


def without(pairs, Y):
    """The pairs that an indicator does not have, with their values (CSR)."""
    pairs = pairs.copy()
    pairs.sum_duplicates()
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    kept = values_at(Y, pairs) == 0
    ends = np.bincount(rows[kept], minlength=pairs.shape[0]).cumsum()
    parts = (pairs.data[kept], pairs.indices[kept], np.append(0, ends))
    return sparse.csr_matrix(parts, shape=pairs.shape)


def targets_of_folds(y):
    """Targets as an indicator, and what models of folds have only in part.

    Parameters
    ----------
    y : array-like, sparse matrix or list
        Targets of any form.

    Returns
    -------
    Y : csr_matrix of float32 of shape (n_samples, n_labels)
        The same as an indicator.
    names : list or None
        Of its columns: models have those that they saw. None for a label indicator, of
        which every model has all columns.
    """
    Y, names = indicator_and_names(y)
    return Y, None if getattr(y, "shape", ())[1:] == Y.shape[1:] else names


def columns_of(classes, names):
    """The column of each of a model's classes among the names (ndarray of int)."""
    place = {name: column for column, name in enumerate(names)}
    return np.array([place[name] for name in np.asarray(classes).tolist()])


def _splits(cv, X, y, Y, rng):
    """Folds of instances in random order, or what a splitter says."""
    if cv is None or isinstance(cv, int | np.integer):
        n_folds = N_FOLDS if cv is None else check_count(cv, "cv")
        if n_folds == 1:
            raise ValueError("cv must be at least 2 folds, got 1")
        return held_out_splits(Y.shape[0], None, n_folds, rng)
    is_sequence = hasattr(y, "shape")
    return partition(cv, X, y if is_sequence else Y)


def _fit_score(model, data, split, settings, pairs, names):
    """Scores of the held-out instances: of the best labels, and of given pairs."""
    (X, y), (train, test), (k, params) = data, split, settings
    given = check_method_params(X, params, indices=train)
    model.fit(safe_indexing(X, train), safe_indexing(y, train), **given)
    ranker, features = last_step(model, safe_indexing(X, test))
    columns = np.arange(pairs[0].shape[1])
    if names is not None:
        columns = columns_of(last_estimator(model).classes_, names)
    if hasattr(ranker, "binarizer_"):  # which answers with names
        ranker, features = last_step(ranker.estimator_, features)
    return _scores(ranker, features, k, pairs, columns)


def _scores(ranker, features, k, pairs, columns):
    labels, scores = predict_topk(ranker, features, k)
    n_labels = pairs[0].shape[1]
    moved = np.where(labels >= 0, columns[labels], -1)
    retrieved = csr_from_topk(moved, np.asarray(scores, np.float32), n_labels)
    if not hasattr(ranker, "score_pairs"):
        return retrieved, *(_looked_up(retrieved, part) for part in pairs)
    # Scored as the others are, without weights of labels.
    return [_scored(ranker, features, part, columns) for part in (retrieved, *pairs)]


def _scored(ranker, features, pairs, columns):
    """Exact scores of pairs; 0 of labels that the model does not have."""
    scores = sparse.csr_matrix(ranker.score_pairs(features, pairs[:, columns]))
    indices = columns[scores.indices]
    moved = sparse.csr_matrix((scores.data, indices, scores.indptr), shape=pairs.shape)
    moved.sort_indices()
    return with_values(pairs, values_at(moved, pairs))


def _looked_up(retrieved, pairs):
    """Scores of pairs among those retrieved; else the smallest score or 0."""
    found = values_at(with_values(retrieved, np.ones(retrieved.nnz)), pairs) > 0
    least = min(0, retrieved.data.min(initial=0))
    return with_values(pairs, np.where(found, values_at(retrieved, pairs), least))


def _as_csr(y_score, shape):
    """Scores of any form as canonical CSR."""
    if isinstance(y_score, tuple):
        rank_topk(y_score, 1, shape)  # checks them
        labels, scores = (np.asarray(part) for part in y_score)
    else:
        y_score = y_score if sparse.issparse(y_score) else np.asarray(y_score)
        labels = rank_topk(y_score, shape[1], shape)
        labels = labels[:, : max(1, (labels >= 0).sum(axis=1).max())]
        scores = scores_at(y_score, labels)
    return csr_from_topk(labels, np.float32(scores), shape[1])
