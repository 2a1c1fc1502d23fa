"""What a model proposes for instances, and what it says of any candidate pair.

A model takes part by what it has: ``votes`` and ``kneighbors`` (votes of neighbours,
and how near these are), ``score_pairs`` that costs no more than its pairs do
(``scores_each_pair``), or only a ranking.
"""

import numpy as np

from sklearn_xmr.compose._pair_features import score_features
from sklearn_xmr.utils._rankings import (
    csr_from_topk,
    rows_of_pairs,
    topk_of_csr,
    values_at,
)
from sklearn_xmr.utils._response import last_step, predict_topk

N_SCORED = 100  # labels asked from a model that cannot score given pairs
N_NEAREST = 10  # neighbours among which the nearest with a label is looked for


def propose(model, X, k):
    """The proposal of a fitted model for some instances.

    Parameters
    ----------
    model : estimator
        A pipeline or a search, too.
    X : array-like of shape (n_samples, n_features)
        Instances, as the model takes them.
    k : int
        Number of labels to propose.

    Returns
    -------
    ListProposal
    """
    model, X = last_step(model, X)
    if hasattr(model, "votes") and hasattr(model, "kneighbors"):
        return NeighborProposal(model, X, k)
    if getattr(model, "scores_each_pair", hasattr(model, "score_pairs")):
        return ExactProposal(model, X, k)
    return ListProposal(model, X, k)


class ListProposal:
    """Scores of the labels that a model lists; others have none.

    Parameters
    ----------
    model : estimator
        A fitted one.
    X : array-like of shape (n_samples, n_features)
        Instances.
    k : int
        Number of labels to propose.

    Attributes
    ----------
    labels : ndarray of shape (n_samples, at most k)
        The k best, -1 for none.
    """

    def __init__(self, model, X, k):
        self._ranking = predict_topk(model, X, k=max(k, N_SCORED))
        self.labels = self._ranking[0][:, :k]

    def scores(self, pairs):
        """Score of each pair.

        Parameters
        ----------
        pairs : csr_matrix of shape (n_samples, n_labels)
            Canonical.

        Returns
        -------
        ndarray of float32 of shape (pairs.nnz,)
        """
        return values_at(csr_from_topk(*self._ranking, pairs.shape[1]), pairs)

    def features(self, scores, pairs):
        """What is known of each pair, given its score.

        Parameters
        ----------
        scores : ndarray of float32 of shape (pairs.nnz,)
            As :meth:`scores` gives them.
        pairs : csr_matrix of shape (n_samples, n_labels)
            Canonical.

        Returns
        -------
        ndarray of float32 of shape (pairs.nnz, n_pair_features)
        """
        return score_features(scores, pairs)


class ExactProposal(ListProposal):
    """Every pair is scored by the model; see :class:`ListProposal`."""

    def __init__(self, model, X, k):
        self._model, self._X = model, X
        self.labels = model.predict_topk(X, k=k)[0]

    def scores(self, pairs):
        """Score of each pair (ndarray of float32 of shape (pairs.nnz,))."""
        return self._model.score_pairs(self._X, pairs).data


class NeighborProposal(ListProposal):
    """Votes of neighbours, and how near the nearest one with the label is."""

    def __init__(self, model, X, k):
        found = model.votes(X, n_nearest=N_NEAREST)
        self._votes, self._cosines, self._nearest = found
        self.labels = topk_of_csr(self._votes, k)[0]

    def scores(self, pairs):
        """Share of the votes of each pair (ndarray of float32)."""
        return values_at(self._votes, pairs)

    def features(self, scores, pairs):
        """As of any score, and the cosines of three neighbours.

        The nearest with the label, the nearest and the tenth of all.
        """
        rows = rows_of_pairs(pairs)
        return np.column_stack(
            [
                score_features(scores, pairs),
                values_at(self._nearest, pairs),
                self._cosines[rows, 0],
                self._cosines[rows, -1],
            ]
        )
