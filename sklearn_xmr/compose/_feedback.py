"""Rewards of labels that were shown, as what a model learns from."""

from dataclasses import dataclass

import numpy as np

from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._validation import check_array

# Largest weight of a right label that was shown by chance: after 3,000 rounds on Tate's
# subjects, 1.50 of 5 labels are right with 1, 1.51 with 3, 10 and 30.
MOST_WEIGHT = 3.0


@dataclass(frozen=True)
class Feedback:
    """Labels that were shown, which of them were right, and what these weigh.

    Parameters
    ----------
    labels : ndarray of int of shape (n_samples, k)
        -1 for none.
    is_right : ndarray of bool of shape (n_samples, k)
        False where there is no label.
    weights : ndarray of float32 of shape (n_samples, k) or None
        Weights of the right labels.
    """

    labels: np.ndarray
    is_right: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def checked(cls, labels, rewards, propensities, n_labels):
        """Check what a user gives.

        Parameters
        ----------
        labels, rewards, propensities : array-like of shape (n_samples, k)
            As ``learn_rewards`` takes them.
        n_labels : int
            Number of labels of the model.

        Returns
        -------
        Feedback

        Raises
        ------
        ValueError
            If an argument is not as described there.
        """
        labels = _checked_labels(labels, n_labels)
        shown = labels >= 0
        rewards = _of_same_shape(rewards, "rewards", labels.shape)
        bad = shown & (rewards != 0) & (rewards != 1)
        if bad.any():
            raise ValueError(f"rewards must be 0 or 1, found {rewards[bad][0]}")
        weights = None
        if propensities is not None:
            propensities = _of_same_shape(propensities, "propensities", labels.shape)
            bad = shown & ~((propensities > 0) & (propensities <= 1))
            if bad.any():
                raise ValueError(
                    "propensities must be above 0 and at most 1, found "
                    f"{propensities[bad][0]}"
                )
            shares = np.where(shown, propensities, 1)
            weights = (1 / np.maximum(shares, 1 / MOST_WEIGHT)).astype(np.float32)
        return cls(labels, shown & (rewards == 1), weights)

    def rows(self, rows):
        """Some of the instances (Feedback)."""
        weights = None if self.weights is None else self.weights[rows]
        return Feedback(self.labels[rows], self.is_right[rows], weights)

    def targets(self, n_labels):
        """What ``partial_fit`` takes.

        Parameters
        ----------
        n_labels : int
            Number of labels of the model.

        Returns
        -------
        right : csr_matrix of shape (n_samples, n_labels)
            Indicator of the right labels.
        known : dict
            ``negatives``, and ``relevance`` where there are weights.
        """
        right = np.where(self.is_right, self.labels, -1)
        wrong = np.where(self.is_right, -1, self.labels)
        ones = np.ones(self.labels.shape, dtype=np.float32)
        known = {"negatives": csr_from_topk(wrong, ones, n_labels)}
        if self.weights is not None:
            known["relevance"] = csr_from_topk(right, self.weights, n_labels)
        return csr_from_topk(right, ones, n_labels), known


def _checked_labels(labels, n_labels):
    labels = check_array(labels, dtype=None, input_name="labels")
    if labels.dtype.kind not in "iu":
        raise ValueError(
            "labels must be column numbers of y (integers), as recommend returns them, "
            f"got dtype {labels.dtype}"
        )
    if labels.min() < -1 or labels.max() >= n_labels:
        raise ValueError(
            f"labels must be from 0 to {n_labels - 1}, or -1 for none, found "
            f"{labels.min()} to {labels.max()}"
        )
    in_order = np.sort(labels.astype(np.int64), axis=1)
    if ((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)).any():
        raise ValueError("labels must not have duplicates in a row")
    return labels.astype(np.int64)


def _of_same_shape(values, name, shape):
    values = check_array(values, dtype="numeric", input_name=name)
    if values.shape != shape:
        raise ValueError(
            f"{name} must have a value for each of the labels that were shown, "
            f"{shape}, got {values.shape}"
        )
    return values
