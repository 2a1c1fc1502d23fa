"""Which labels of instances are probably missing or wrong, the most probable first."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_xmr.base import indicator_and_names
from sklearn_xmr.inspection._pair_evidence import PairEvidence
from sklearn_xmr.inspection._tables import Table
from sklearn_xmr.model_selection import HeldOutScores
from sklearn_xmr.utils._rankings import (
    rows_of_pairs,
    topk_of_csr,
    values_at,
)
from sklearn_xmr.utils._texts_and_names import check_names
from sklearn_xmr.utils._typing import MatrixLike, NameList, RandomState

KINDS = ("missing", "wrong")


@dataclass(eq=False)
class LabelErrors(Table):
    """Pairs of instance and label to look at, the most probable errors first.

    What :func:`find_label_errors` returns. ``errors[:100]`` are the first hundred,
    ``errors[errors.labels == 3]`` those of a label.

    Parameters
    ----------
    kind : {"missing", "wrong"}
        Whether the labels are probably missing or wrong.
    rows : ndarray of int64 of shape (n_errors,)
        Instances.
    labels : ndarray of int64 of shape (n_errors,)
        Columns of y.
    probability : ndarray of float64 of shape (n_errors,)
        Missing: share of labels with such evidence that their instances have. Wrong:
        share of random labels among pairs with such evidence, if there were as many of
        them as of given ones. An error is less probable than that, by how rare errors
        are.
    held_out_scores : ndarray of float32 of shape (n_errors,)
        What models say that did not see the instance.
    instead : ndarray of int64 of shape (n_errors,)
        For wrong labels, the best label that the instance does not have; -1 for none.
    label_names : list or None, default=None
        Names of the columns of y.

    Examples
    --------
    >>> from sklearn_xmr.inspection import LabelErrors
    >>> import numpy as np
    >>> errors = LabelErrors(
    ...     "missing", np.array([7]), np.array([1]), np.array([0.9]), np.array([0.8]),
    ...     np.array([-1]), label_names=["sea", "ship"])
    >>> print(errors)
    | row | label | name | probability | held_out_score |
    | --- | --- | --- | --- | --- |
    | 7 | 1 | ship | 0.9 | 0.8 |
    """

    kind: str
    rows: np.ndarray
    labels: np.ndarray
    probability: np.ndarray
    held_out_scores: np.ndarray
    instead: np.ndarray
    label_names: list | None = None

    _columns = ("rows", "labels", "probability", "held_out_scores", "instead")

    def __repr__(self) -> str:
        return f"LabelErrors({len(self):,} pairs, kind={self.kind!r})"

    def to_dict(self) -> dict[str, list]:
        """The columns of the table.

        Returns
        -------
        dict of str to list
            "row", "label", "name" where there are names, "probability",
            "held_out_score", and "instead" for wrong labels: a name or a column of y.
        """
        columns = {"row": self.rows.tolist(), "label": self.labels.tolist()}
        if self.label_names is not None:
            columns["name"] = self._named(self.labels)
        columns["probability"] = self.probability.tolist()
        columns["held_out_score"] = self.held_out_scores.tolist()
        if self.kind == "wrong":
            columns["instead"] = self._named(self.instead)
        return columns


def find_label_errors(
    y: MatrixLike,
    scores: HeldOutScores | MatrixLike,
    *,
    kind: str = "missing",
    label_names: NameList | None = None,
    random_state: RandomState = None,
) -> LabelErrors:
    """Rank labels that are probably missing, or given labels that are probably wrong.

    A missing label is one that a model of other instances retrieves, and that looks
    like the labels that instances have; a wrong one is given, and looks like a label
    drawn at random. What both look like is learnt by gradient boosting from the data:
    from the held-out score and rank, the scores of the instance's other labels, and how
    frequent the label is and how often it occurs with them.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        The labels to check.
    scores : HeldOutScores, sparse matrix, array-like or (labels, scores)
        From :func:`~sklearn_xmr.model_selection.cross_val_score_pairs`, or what
        :meth:`HeldOutScores.from_retrieved` takes. Scores of a model that saw the
        instances would find what it learnt by heart to be right.
    kind : {"missing", "wrong"}, default="missing"
        What to look for. Of a 1-D y, where each instance has one class, "wrong".
    label_names : sequence of str, default=None
        Names of the columns of y; by default those that y has.
    random_state : int, RandomState instance or None, default=None
        Draws the groups of instances of which one is judged by the others.

    Returns
    -------
    LabelErrors
        All retrieved labels that are not given, or all given labels, the most probable
        errors first.

    Raises
    ------
    ValueError
        If ``kind`` is none of these, shapes disagree, or names are too few.

    See Also
    --------
    label_report : How well each label is predicted.

    Notes
    -----
    Time and memory grow with the number of stored scores, not with instances times
    labels. With errors planted in Tate's subjects, the first n proposals held more of n
    errors than the n largest or smallest scores; ``benchmarks/RESULTS.md`` has numbers.

    References
    ----------
    C. Northcutt, L. Jiang, I. Chuang. "Confident Learning: Estimating Uncertainty in
    Dataset Labels", JAIR 2021, whose threshold for each label is the label's frequency
    here. M. Gutmann, A. Hyvärinen. "Noise-contrastive estimation", AISTATS 2010, for
    the comparison with random pairs.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> from sklearn_xmr.inspection import find_label_errors
    >>> from sklearn_xmr.model_selection import cross_val_score_pairs
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> scores = cross_val_score_pairs(XRLinearClassifier(), X, Y, random_state=0)
    >>> wrong = find_label_errors(Y, scores, kind="wrong", random_state=0)
    >>> len(wrong) == Y.nnz
    True
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    rng = check_random_state(random_state)
    Y, names = indicator_and_names(y)
    scores = checked_scores(y, Y, scores, rng)
    label_names = check_names(label_names, Y.shape[1], "label_names") or names
    evidence = PairEvidence(Y, scores, rng)
    is_given = values_at(Y, scores.retrieved) > 0
    proposed = only(scores.retrieved, ~is_given)
    if kind == "missing":
        known = only(scores.retrieved, is_given)
        pairs, p = proposed, evidence.probabilities(known, proposed, proposed)
        return _ranked(kind, pairs, p, pairs.data, None, label_names)
    pairs = scores.given
    p = 1 - evidence.probabilities(pairs, scores.others, pairs, swapped=True)
    best = topk_of_csr(proposed, 1)[0][:, 0]
    return _ranked(kind, pairs, p, -pairs.data, best, label_names)


def checked_scores(y, Y, scores, rng):
    """Scores that fit an indicator, as HeldOutScores.

    Parameters
    ----------
    y : object
        The user's targets.
    Y : csr_matrix of shape (n_samples, n_labels)
        The same as canonical indicator.
    scores : HeldOutScores, sparse matrix, array-like or (labels, scores)
        What the user gave.
    rng : RandomState
        Draws pairs where there are none to compare with.

    Returns
    -------
    HeldOutScores

    Raises
    ------
    ValueError
        If shapes disagree, or the scores are not those of the positives of y.
    """
    if not isinstance(scores, HeldOutScores):
        return HeldOutScores.from_retrieved(y, scores, random_state=rng)
    if scores.retrieved.shape != Y.shape:
        raise ValueError(
            f"scores must have the shape of y, {Y.shape}, got {scores.retrieved.shape}"
        )
    given = scores.given
    if given.nnz != Y.nnz or (given.indices != Y.indices).any():
        raise ValueError(
            "scores must be of the same y: its given pairs are other than the "
            f"{Y.nnz} positives of y; call cross_val_score_pairs with this y"
        )
    return scores


def only(pairs, kept):
    """Some of the pairs of a CSR matrix, with their values."""
    ends = np.append(0, np.cumsum(kept))[pairs.indptr]
    parts = (pairs.data[kept], pairs.indices[kept], ends)
    return sparse.csr_matrix(parts, shape=pairs.shape)


def _ranked(kind, pairs, probability, ties, best, label_names):
    """All pairs, the most probable first, and equal ones by the score."""
    order = np.lexsort((-ties, -probability))
    rows = rows_of_pairs(pairs)[order]
    instead = np.full(len(rows), -1) if best is None else best[rows]
    labels = pairs.indices[order].astype(np.int64)
    parts = (rows, labels, probability[order], pairs.data[order], instead)
    return LabelErrors(kind, *parts, label_names=label_names)
