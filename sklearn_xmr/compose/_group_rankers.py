"""Rankers of the labels inside each group."""

import numpy as np
from sklearn.base import clone

from sklearn_xmr.compose._base import fit_weighted
from sklearn_xmr.compose._candidates import rows_of_pairs
from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._prediction import COMBINERS, _arrays
from sklearn_xmr.linear._training import (
    level_targets,
    make_level_problem,
    solve_levels,
)
from sklearn_xmr.linear._tree_search import TreeSearch
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils.hybrid import as_hybrid


class LinearGroupRanker:
    """Linear models of all groups' labels, trained together by the block solver.

    Parameters
    ----------
    settings : XRLinearClassifier
        Loss, costs, tolerance, and how margins become scores.
    copies : LabelCopies
    """

    def __init__(self, settings, copies):
        self.settings, self.copies = settings, copies

    def fit(self, X, Y, teacher, matched, sample_weight, rng):
        """Train on the rows of each group.

        Parameters
        ----------
        X : csr_matrix
        Y : csr_matrix of shape (n_samples, n_labels)
        teacher : csr_matrix of shape (n_samples, n_groups)
            Rows with a label of the group.
        matched : csr_matrix of shape (n_samples, n_groups) or None
            Rows that the matcher sends to the group: further negatives.
        sample_weight : ndarray of shape (n_samples,) or None
        rng : RandomState
        """
        group = np.repeat(np.arange(self.copies.n_groups), self.copies.size)
        tree = LabelTree.from_labels(group)
        target = level_targets(Y[:, self.copies.label].tocsr(), tree)[-1]
        if matched is not None:
            matched = matched + teacher
        problem = make_level_problem(target, teacher, matched, tree.offsets[-1], False)
        settings = self.settings._solver_settings(rng)
        self.weights_, _ = solve_levels(
            as_hybrid(X), [problem], settings, sample_weight
        )
        return self

    def score(self, X, matching, copies, starts):
        """Score of each copy of the groups that are stored in ``matching``.

        Parameters
        ----------
        X : csr_matrix
        matching : csr_matrix of shape (n_samples, n_groups)
            Sorted indices.
        copies : ndarray of int
            Those of each stored group, one after another.
        starts : ndarray of int of shape (matching.nnz + 1,)
            Where each stored group's copies begin.

        Returns
        -------
        ndarray of float of shape (len(copies),)
        """
        search = TreeSearch(self.weights_, np.arange(len(self.copies.label)))
        scores = search.score_pairs(
            *_arrays(X),
            starts[matching.indptr].astype(np.int64),
            copies.astype(np.int32),
            COMBINERS[self.settings.post_processor.removeprefix("log_")],
            effective_n_threads(),
        )
        return self.settings._probabilities(scores)


class PerGroupRanker:
    """A classifier of its own for each group.

    Parameters
    ----------
    estimator : classifier
        Of several labels, with ``predict_proba``.
    copies : LabelCopies
    """

    def __init__(self, estimator, copies):
        self.estimator, self.copies = estimator, copies

    def fit(self, X, Y, teacher, matched, sample_weight, rng):
        """As :meth:`LinearGroupRanker.fit`; weights where the classifier takes them."""
        rows_of_group = (teacher if matched is None else teacher + matched).tocsc()
        by_label = Y.tocsc()
        self.models_ = []
        for group in range(self.copies.n_groups):
            place = slice(*rows_of_group.indptr[group : group + 2])
            rows = np.sort(rows_of_group.indices[place])
            labels = self.copies.labels_of(group)
            targets = by_label[:, labels].tocsr()[rows].toarray() > 0
            weight = None if sample_weight is None else sample_weight[rows]
            self.models_.append(_GroupModel(self.estimator, X[rows], targets, weight))
        return self

    def score(self, X, matching, copies, starts):
        """As :meth:`LinearGroupRanker.score`."""
        scores = np.zeros(len(copies))
        row_of = rows_of_pairs(matching)
        order = np.argsort(matching.indices, kind="stable")
        bounds = np.searchsorted(
            matching.indices[order], np.arange(self.copies.n_groups + 1)
        )
        for group, model in enumerate(self.models_):
            stored = order[bounds[group] : bounds[group + 1]]
            if len(stored):
                places = starts[stored][:, None] + np.arange(self.copies.size[group])
                scores[places] = model.predict_proba(X[row_of[stored]])
        return scores


class _GroupModel:
    """A classifier of the labels that vary; the others keep their frequency, 0 or 1."""

    def __init__(self, estimator, X, targets, weight):
        share = targets.mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
        self._share = share
        self._varying = np.flatnonzero((share > 0) & (share < 1))
        self._model = None
        if len(self._varying):
            y = targets[:, self._varying].astype(int)
            y = y.ravel() if y.shape[1] == 1 else y
            self._model = fit_weighted(clone(estimator), X, y, weight)

    def predict_proba(self, X):
        """Probability of each label (ndarray of shape (n_samples, n_labels))."""
        proba = np.tile(self._share, (X.shape[0], 1))
        if self._model is not None:
            proba[:, self._varying] = _columns(
                self._model.predict_proba(X), len(self._varying)
            )
        return proba


def _columns(proba, n_labels):
    """Probabilities of ones, a column per label, whatever form scikit-learn gives."""
    if isinstance(proba, list):
        return np.column_stack([one[:, -1] for one in proba])
    proba = proba.toarray() if hasattr(proba, "toarray") else np.asarray(proba)
    return proba[:, -1:] if n_labels == 1 else proba
