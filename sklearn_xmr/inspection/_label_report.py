"""How well each label is predicted, and what it is taken for."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_xmr.base import indicator_and_names
from sklearn_xmr.inspection._duplicate_labels import find_duplicate_labels
from sklearn_xmr.inspection._label_errors import checked_scores
from sklearn_xmr.inspection._tables import Table
from sklearn_xmr.model_selection import HeldOutScores
from sklearn_xmr.utils._hits import ranked_hits
from sklearn_xmr.utils._rankings import csr_from_topk, topk_of_csr
from sklearn_xmr.utils._texts_and_names import check_names
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList, Self
from sklearn_xmr.utils._validation import check_count

SORTABLE = (
    "labels",
    "support",
    "predicted",
    "hits",
    "precision",
    "recall",
    "f1",
    "similarity",
)


@dataclass(eq=False)
class LabelReport(Table):
    """Of each label: how often it is given, predicted, found, and taken for another.

    What :func:`label_report` returns. ``report[report.support >= 10]`` are some of the
    labels, ``report.sorted_by("f1")`` those that are predicted worst first.

    Parameters
    ----------
    labels : ndarray of int64 of shape (n_labels,)
        Columns of y.
    support, predicted, hits : ndarray of int64 of shape (n_labels,)
        Number of instances with the label, number where it is predicted, and number
        where it is both.
    confused_with : ndarray of int64 of shape (n_labels, n_confused)
        Labels that are predicted wrongly where the label is missed, most often first;
        -1 for none.
    n_confused : ndarray of int64 of shape (n_labels, n_confused)
        In how many instances.
    similar : ndarray of int64 of shape (n_labels,)
        The label that most probably means the same; -1 for none.
    similarity : ndarray of float64 of shape (n_labels,)
        Its score, as :func:`find_duplicate_labels` has it; 0 for none.
    k : int
        Number of labels that are predicted for each instance.
    label_names : list or None, default=None
        Names of the columns of y.

    Examples
    --------
    >>> from sklearn_xmr.inspection import label_report
    >>> report = label_report([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], k=1)
    >>> report.sorted_by("recall").labels
    array([1, 0])
    """

    labels: np.ndarray
    support: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray
    confused_with: np.ndarray
    n_confused: np.ndarray
    similar: np.ndarray
    similarity: np.ndarray
    k: int
    label_names: list | None = None

    _columns = (
        "labels",
        "support",
        "predicted",
        "hits",
        "confused_with",
        "n_confused",
        "similar",
        "similarity",
    )

    @property
    def precision(self) -> np.ndarray:
        """Share of the predictions that are right (ndarray); 0 without any."""
        return self.hits / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> np.ndarray:
        """Share of the label's instances that are found (ndarray); 0 without any."""
        return self.hits / np.maximum(self.support, 1)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall (ndarray)."""
        return 2 * self.hits / np.maximum(self.support + self.predicted, 1)

    def __repr__(self) -> str:
        return f"LabelReport({len(self):,} labels, k={self.k})"

    def sorted_by(self, column: str, *, ascending: bool = True) -> Self:
        """The labels in another order.

        Parameters
        ----------
        column : str
            "labels", "support", "predicted", "hits", "precision", "recall", "f1" or
            "similarity": what they are sorted by; equal ones stay in their order.
        ascending : bool, default=True
            Whether the smallest come first.

        Returns
        -------
        LabelReport
            The same labels.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        if column not in SORTABLE:
            raise ValueError(f"column must be one of {SORTABLE}, got {column!r}")
        values = getattr(self, column)
        return self[np.argsort(values if ascending else -values, kind="stable")]

    def to_dict(self) -> dict[str, list]:
        """The columns of the table.

        Returns
        -------
        dict of str to list
            "label", "name" where there are names, "support", "predicted", "precision",
            "recall", "f1", "confused_with" (the label that it is most often taken for,
            by name) and "n_confused"; and "similar" and "similarity" where labels were
            compared.
        """
        columns = {"label": self.labels.tolist()}
        if self.label_names is not None:
            columns["name"] = self._named(self.labels)
        for name in ("support", "predicted", "precision", "recall", "f1"):
            columns[name] = getattr(self, name).tolist()
        columns["confused_with"] = self._named(self.confused_with[:, 0])
        columns["n_confused"] = self.n_confused[:, 0].tolist()
        if (self.similar >= 0).any():
            columns["similar"] = self._named(self.similar)
            columns["similarity"] = self.similarity.tolist()
        return columns


def label_report(
    y: MatrixLike,
    scores: HeldOutScores | MatrixLike,
    *,
    k: int = 5,
    n_confused: int = 3,
    label_names: NameList | None = None,
    label_vectors: MatrixLike | Estimator | None = None,
) -> LabelReport:
    """Tell of each label how well it is predicted, and what it is taken for.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        True labels.
    scores : HeldOutScores, sparse matrix, array-like or (labels, scores)
        From :func:`~sklearn_xmr.model_selection.cross_val_score_pairs`,
        ``predict_topk`` or ``predict_proba``.
    k : int, default=5
        Number of labels that count as predicted for each instance.
    n_confused : int, default=3
        Number of labels to name that each label is taken for.
    label_names : sequence of str, default=None
        Names of the columns of y; by default those that y has. With names or vectors,
        the label that most probably means the same is found for each.
    label_vectors : {array-like, sparse matrix} of shape (n_labels, n_features) or \
            estimator, default=None
        See :func:`find_duplicate_labels`.

    Returns
    -------
    LabelReport
        All labels, in the order of the columns of y.

    Raises
    ------
    ValueError
        If k is no positive integer, shapes disagree, or names are too few.

    See Also
    --------
    LabelReportDisplay : Draws it.

    Examples
    --------
    >>> from sklearn_xmr.inspection import label_report
    >>> report = label_report([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]], k=1)
    >>> report.recall
    array([1., 0.])
    >>> int(report.confused_with[1, 0])
    0
    """
    check_count(n_confused, "n_confused")
    Y, names = indicator_and_names(y)
    if isinstance(scores, HeldOutScores):
        scores = checked_scores(y, Y, scores, check_random_state(0)).retrieved
    names = check_names(label_names, Y.shape[1], "label_names") or names
    ranked = ranked_hits(Y, scores, k)
    chosen = (Y.indices, ranked.labels[ranked.labels >= 0], ranked.labels[ranked.hits])
    counts = [np.bincount(part, minlength=Y.shape[1]) for part in chosen]
    confused = _confusions(ranked, n_confused)
    similar = np.full(Y.shape[1], -1), np.zeros(Y.shape[1])
    if names is not None or label_vectors is not None:
        pairs = find_duplicate_labels(Y, label_names=names, label_vectors=label_vectors)
        similar = _best_partners(pairs, Y.shape[1])
    parts = (np.arange(Y.shape[1]), *counts, *confused, *similar)
    return LabelReport(*parts, k, names)


def _confusions(ranked, n):
    """For each label the n most often wrong where it is missed, and how often."""
    shape = ranked.truth.shape
    wrong = np.where(ranked.hits, -1, ranked.labels)
    found = np.where(ranked.hits, ranked.labels, -1)
    wrong, found = (_indicator(labels, shape[1]) for labels in (wrong, found))
    missed = ranked.truth - found
    counts = sparse.csr_matrix(missed.T @ wrong, dtype=np.float32)
    counts.eliminate_zeros()
    counts.sort_indices()
    labels, values = topk_of_csr(counts, n)
    return labels, np.where(labels >= 0, values, 0).astype(np.int64)


def _indicator(labels, n_labels):
    return csr_from_topk(labels, np.ones(labels.shape, np.float32), n_labels)


def _best_partners(pairs, n_labels):
    """The partner of each label in its best pair, and the score of the pair."""
    own = np.concatenate([pairs.first, pairs.second])
    other = np.concatenate([pairs.second, pairs.first])
    score = np.tile(pairs.score, 2)
    order = np.lexsort((other, -score, own))
    best = order[np.unique(own[order], return_index=True)[1]]
    best = best[score[best] > 0]
    partners, scores = np.full(n_labels, -1), np.zeros(n_labels)
    partners[own[best]], scores[own[best]] = other[best], score[best]
    return partners, scores
