"""Metrics at k that know which labels are broader: a near miss is half a hit.

The true labels and the k best ones are both extended by all their ancestors; then what
the two sets share is counted.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from sklearn_xmr.preprocessing import Thesaurus
from sklearn_xmr.utils._hits import ranked_hits
from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._sklearn import check_sample_weight
from sklearn_xmr.utils._typing import MatrixLike


def hierarchical_precision_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    thesaurus: Thesaurus,
    average: Literal["micro", "samples"] = "micro",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Hierarchical precision at k: how much of the k best and their ancestors is true.

    The k best labels and the true ones are extended by all their ancestors in the
    thesaurus. Precision is the share of the former set that is in the latter.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1, with or without the ancestors.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count, before ancestors are added. Where fewer are
        predicted, only these count.
    thesaurus : Thesaurus
        Column j of ``y_true`` is its concept j; further concepts are broader ones.
    average : {"micro", "samples"}, default="micro"
        "micro" divides the sums over all instances, as the paper defines it; "samples"
        is the mean over the instances.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        In [0, 1]; 0 where nothing is predicted.

    Raises
    ------
    ValueError
        If an argument is not as described.
    TypeError
        If ``thesaurus`` is none.

    See Also
    --------
    hierarchical_recall_at_k : The share of the true set that is found.
    hierarchical_f1_at_k : Both in one.

    Notes
    -----
    All ancestors count, also one that all labels have in common. The paper leaves such
    a root out, as it says nothing: :meth:`Thesaurus.without` does.

    References
    ----------
    S. Kiritchenko, S. Matwin, R. Nock, A. F. Famili. "Learning and Evaluation in the
    Presence of Class Hierarchies: Application to Text Categorization", Canadian AI
    2006.

    Examples
    --------
    The true label is the jeans, the best one the shirt: both are clothes.

    >>> from sklearn_xmr import Thesaurus
    >>> from sklearn_xmr.metrics import hierarchical_precision_at_k
    >>> paths = ["clothes > shirt", "clothes > trousers > jeans"]
    >>> thesaurus = Thesaurus.from_paths(paths)
    >>> hierarchical_precision_at_k([[0, 1]], [[0.9, 0.1]], k=1, thesaurus=thesaurus)
    0.5
    """
    shared, predicted, _ = _set_sizes(y_true, y_score, k, thesaurus)
    return _ratio(shared, predicted, average, sample_weight)


def hierarchical_recall_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    thesaurus: Thesaurus,
    average: Literal["micro", "samples"] = "micro",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Hierarchical recall at k: how much of the true labels and ancestors is found.

    The k best labels and the true ones are extended by all their ancestors in the
    thesaurus. Recall is the share of the latter set that is in the former.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1, with or without the ancestors.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count, before ancestors are added.
    thesaurus : Thesaurus
        Column j of ``y_true`` is its concept j; further concepts are broader ones.
    average : {"micro", "samples"}, default="micro"
        "micro" divides the sums over all instances, as the paper defines it; "samples"
        is the mean over the instances.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        In [0, 1]; 0 where nothing is true.

    Raises
    ------
    ValueError
        If an argument is not as described.
    TypeError
        If ``thesaurus`` is none.

    See Also
    --------
    hierarchical_precision_at_k : With the definition, and its source.

    Examples
    --------
    The true label is the jeans, the best one the shirt: both are clothes.

    >>> from sklearn_xmr import Thesaurus
    >>> from sklearn_xmr.metrics import hierarchical_recall_at_k
    >>> paths = ["clothes > shirt", "clothes > trousers > jeans"]
    >>> thesaurus = Thesaurus.from_paths(paths)
    >>> recall = hierarchical_recall_at_k(
    ...     [[0, 1]], [[0.9, 0.1]], k=1, thesaurus=thesaurus)
    >>> round(recall, 4)
    0.3333
    """
    shared, _, true = _set_sizes(y_true, y_score, k, thesaurus)
    return _ratio(shared, true, average, sample_weight)


def hierarchical_f1_at_k(
    y_true: MatrixLike,
    y_score: MatrixLike,
    k: int = 5,
    *,
    thesaurus: Thesaurus,
    average: Literal["micro", "samples"] = "micro",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Hierarchical F1 at k: the harmonic mean of hierarchical precision and recall.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator of 0 and 1, with or without the ancestors.
    y_score : sparse matrix, array-like or (labels, scores)
        Scores of shape (n_samples, n_labels), or the pair that ``predict_topk``
        returns; see :func:`precision_at_k`.
    k : int, default=5
        Number of labels that count, before ancestors are added. Where fewer are
        predicted, only these count.
    thesaurus : Thesaurus
        Column j of ``y_true`` is its concept j; further concepts are broader ones.
    average : {"micro", "samples"}, default="micro"
        "micro" is the F1 of the sums over all instances, as the paper defines it;
        "samples" the mean of each instance's F1.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        In [0, 1]; 0 where nothing is true or predicted.

    Raises
    ------
    ValueError
        If an argument is not as described.
    TypeError
        If ``thesaurus`` is none.

    See Also
    --------
    hierarchical_precision_at_k : With the definition, and its source.

    Examples
    --------
    The true label is the jeans, the best one the shirt: both are clothes.

    >>> from sklearn_xmr import Thesaurus
    >>> from sklearn_xmr.metrics import hierarchical_f1_at_k
    >>> paths = ["clothes > shirt", "clothes > trousers > jeans"]
    >>> thesaurus = Thesaurus.from_paths(paths)
    >>> hierarchical_f1_at_k([[0, 1]], [[0.9, 0.1]], k=1, thesaurus=thesaurus)
    0.4
    """
    shared, predicted, true = _set_sizes(y_true, y_score, k, thesaurus)
    return _ratio(2 * shared, predicted + true, average, sample_weight)


def _set_sizes(y_true, y_score, k, thesaurus):
    """Sizes of each row's extended sets: what they share, predicted, true."""
    if not isinstance(thesaurus, Thesaurus):
        raise TypeError(
            "thesaurus must be a sklearn_xmr.Thesaurus, got "
            f"{type(thesaurus).__name__}; Thesaurus.from_parents makes one of an array "
            "or a sparse matrix"
        )
    ranked = ranked_hits(y_true, y_score, k)
    ones = np.ones(ranked.labels.shape, dtype=np.float32)
    best = csr_from_topk(ranked.labels, ones, ranked.truth.shape[1])
    both = [thesaurus.with_ancestors(labels) for labels in (best, ranked.truth)]
    predicted, true = (sparse.csr_matrix(labels) for labels in both)
    shared = predicted.multiply(true).sum(axis=1).A1
    return shared, np.diff(predicted.indptr), np.diff(true.indptr)


def _ratio(counted, of, average, sample_weight):
    """The ratio of two counts of each row, of their sums or in the mean."""
    if average not in ("micro", "samples"):
        raise ValueError(f"average must be 'micro' or 'samples', got {average!r}")
    weight = check_sample_weight(sample_weight, counted)
    if not np.isfinite(weight).all():
        raise ValueError(f"sample_weight must be finite, got {sample_weight!r}")
    if average == "samples":
        return float(np.average(counted / np.maximum(of, 1), weights=weight))
    return float(weight @ counted / max(weight @ of, np.finfo(np.float64).tiny))
