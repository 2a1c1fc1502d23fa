"""What a model proposes for instances, and what it says of any candidate pair."""

import numpy as np

from sklearn_xmr.compose._candidates import rows_of_pairs, values_at
from sklearn_xmr.compose._neighbors import XRNeighborsClassifier, nearest_with_label
from sklearn_xmr.compose._pair_features import score_features
from sklearn_xmr.metrics import predict_topk
from sklearn_xmr.metrics._scorer import last_step
from sklearn_xmr.utils.topk import csr_from_topk, topk_of_csr

N_SCORED = 100  # labels asked from a model that cannot score given pairs
N_NEAREST = 10  # neighbours of which the nearest with a label is told


def propose(model, X, k):
    """The proposal of a fitted model for these instances."""
    model, X = last_step(model, X)
    if isinstance(model, XRNeighborsClassifier) and model.neighbors == "instances":
        return NeighborProposal(model, X, k)
    if hasattr(model, "score_pairs"):
        return ExactProposal(model, X, k)
    return ListProposal(model, X, k)


class ListProposal:
    """Scores of the labels that a model lists; others have none.

    Attributes
    ----------
    labels : ndarray of shape (n_samples, at most k)
        The k best, -1 for none.
    """

    def __init__(self, model, X, k):
        self._ranking = predict_topk(model, X, k=max(k, N_SCORED))
        self.labels = self._ranking[0][:, :k]

    def scores(self, pairs):
        """Score of each pair (ndarray of float32 of shape (pairs.nnz,))."""
        return values_at(csr_from_topk(*self._ranking, pairs.shape[1]), pairs)

    def features(self, scores, pairs):
        """Features of each pair, whose scores are given (2-D ndarray)."""
        return score_features(scores, pairs)


class ExactProposal(ListProposal):
    """Every pair is scored by the model."""

    def __init__(self, model, X, k):
        self._model, self._X = model, X
        self.labels = model.predict_topk(X, k=k)[0]

    def scores(self, pairs):
        """Score of each pair (ndarray of float32 of shape (pairs.nnz,))."""
        return self._model.score_pairs(self._X, pairs).data


class NeighborProposal(ListProposal):
    """Votes of neighbours, and how near the nearest one with the label is."""

    def __init__(self, model, X, k):
        cosines, neighbors = model.kneighbors(X)
        self._votes = model._votes(cosines, neighbors)
        self._cosines = cosines[:, :N_NEAREST]
        self._nearest = nearest_with_label(
            self._cosines, neighbors[:, :N_NEAREST], model.targets_
        )
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
