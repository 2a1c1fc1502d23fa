"""Synthetic extreme multilabel data of any size."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from sklearn_xmr.utils._indicator import label_indicator
from sklearn_xmr.utils._matrices import aligns_sparse
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._sklearn import Interval, validate_params
from sklearn_xmr.utils._typing import RandomState

BLOCK_SAMPLES = 1 << 16  # samples drawn at once, to bound the memory
WORDS_PER_TOPIC = 12


@aligns_sparse
@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "n_labels": [Interval(Integral, 1, None, closed="left")],
        "labels_per_sample": [Interval(Real, 1, None, closed="left")],
        "features_per_sample": [Interval(Real, 1, None, closed="left")],
        "branching_factor": [Interval(Integral, 2, None, closed="left")],
        "exponent": [Interval(Real, 0, None, closed="left")],
        "noise": [Interval(Real, 0, 1, closed="both")],
        "return_clusters": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_xmr_classification(
    n_samples: int = 1000,
    n_features: int = 2000,
    n_labels: int = 200,
    *,
    labels_per_sample: float = 3.0,
    features_per_sample: float = 20.0,
    branching_factor: int = 16,
    exponent: float = 0.8,
    noise: float = 0.3,
    return_clusters: bool = False,
    random_state: RandomState = None,
) -> Any:
    """Generate sparse data with power-law labels over a hidden tree of topics.

    Labels are the leaves of a tree. An instance has a label drawn by popularity
    and further ones, half of them from the same cluster. Its features are "words"
    of its labels, of the topics above them and, with probability ``noise``, of a
    common vocabulary; values are ``1 + log(count)``, rows have unit length.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of instances. Memory grows with the number of non-zeros only.
    n_features : int, default=2000
        Number of features.
    n_labels : int, default=200
        Number of labels.
    labels_per_sample : float, default=3.0
        Mean number of labels drawn for an instance (repeats merge); at least 1.
    features_per_sample : float, default=20.0
        Mean number of words of an instance.
    branching_factor : int, default=16
        Number of children of each topic.
    exponent : float, default=0.8
        The r-th most popular label is drawn in proportion to ``r ** -exponent``.
    noise : float, default=0.3
        Share of words that have nothing to do with the labels.
    return_clusters : bool, default=False
        Return the topic above each label as well.
    random_state : int, RandomState instance or None, default=None
        The same seed gives the same data.

    Returns
    -------
    X : csr_matrix of float32 of shape (n_samples, n_features)
        Instances.
    Y : csr_matrix of int64 of shape (n_samples, n_labels)
        Label indicator.
    clusters : ndarray of int64 of shape (n_labels,)
        Lowest topic of each label; only if ``return_clusters``.

    Examples
    --------
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(n_samples=100, random_state=0)
    >>> X.shape, Y.shape
    ((100, 2000), (100, 200))
    """
    rng = check_random_state(random_state)
    topics = _Topics(n_labels, n_features, branching_factor, exponent, rng)
    blocks = [
        topics.sample(
            min(BLOCK_SAMPLES, n_samples - start),
            labels_per_sample,
            features_per_sample,
            noise,
        )
        for start in range(0, n_samples, BLOCK_SAMPLES)
    ]
    X = sparse.vstack([block[0] for block in blocks], format="csr")
    Y = sparse.vstack([block[1] for block in blocks], format="csr")
    if return_clusters:
        return X, Y, topics.place // branching_factor
    return X, Y


class _Topics:
    """A tree over labels: the topic h levels above place p is ``p // b ** h``."""

    def __init__(self, n_labels, n_features, branching_factor, exponent, rng):
        self.rng = rng
        self.n_features = n_features
        self.b = branching_factor
        self.place = rng.permutation(n_labels)  # label -> place among the leaves
        self.label_at = np.argsort(self.place)
        self.by_popularity = rng.permutation(n_labels)
        self.cumulative = np.cumsum(np.arange(1, n_labels + 1.0) ** -exponent)
        self.depth = 0  # topic levels above the labels
        while n_labels > branching_factor**self.depth:
            self.depth += 1
        self.salt = int(rng.randint(2**31))

    def sample(self, n, labels_per_sample, features_per_sample, noise):
        """X and Y of n instances."""
        rng = self.rng
        counts = 1 + rng.poisson(labels_per_sample - 1, size=n)
        first = np.cumsum(counts) - counts
        row = np.repeat(np.arange(n), counts)
        labels = self._popular(len(row))
        near = rng.random_sample(len(row)) < 0.5
        near[first] = False
        labels[near] = self._neighbours(labels[first][row[near]])
        shape = (n, len(self.place))
        Y = label_indicator(labels.astype(np.int32), pointers(counts), shape)
        n_words = 1 + rng.poisson(features_per_sample - 1, size=n)
        word_row = np.repeat(np.arange(n), n_words)
        pick = first[word_row] + (
            rng.random_sample(len(word_row)) * counts[word_row]
        ).astype(np.int64)
        return self._texts(n, word_row, self._words(labels[pick], noise)), Y

    def _popular(self, size):
        draws = self.rng.random_sample(size) * self.cumulative[-1]
        rank = np.searchsorted(self.cumulative, draws, side="right")
        return self.by_popularity[np.minimum(rank, len(self.place) - 1)]

    def _neighbours(self, labels):
        """Labels of the same lowest topic."""
        start = self.place[labels] // self.b * self.b
        width = np.minimum(self.b, len(self.place) - start)
        moved = start + (self.rng.random_sample(len(labels)) * width).astype(np.int64)
        return self.label_at[moved]

    def _words(self, labels, noise):
        """A word for each label: its own (half of the time), or a topic's above it."""
        rng = self.rng
        height = rng.geometric(0.5, size=len(labels)) - 1
        height = np.minimum(height, self.depth)
        topic = self.place[labels] // np.power(self.b, height, dtype=np.int64)
        slot = (rng.random_sample(len(labels)) ** 2 * WORDS_PER_TOPIC).astype(np.int64)
        words = self._hash(height, topic, slot)
        common = rng.random_sample(len(labels)) < noise
        u = rng.random_sample(int(common.sum()))
        words[common] = (self.n_features**u - 1).astype(np.int64)  # density 1 / word
        return np.minimum(words, self.n_features - 1)

    def _hash(self, *parts):
        """Mix integers into a feature number, so that no vocabulary is stored."""
        code = np.full(len(parts[0]), self.salt, dtype=np.uint64)
        for part in parts:
            code ^= part.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            code *= np.uint64(0xBF58476D1CE4E5B9)
            code ^= code >> np.uint64(29)
        return (code % np.uint64(self.n_features)).astype(np.int64)

    def _texts(self, n, row, words):
        X = sparse.csr_matrix(
            (np.ones(len(row), dtype=np.float32), (row, words)),
            shape=(n, self.n_features),
        )
        X.data = 1 + np.log(X.data)
        return normalize(X, copy=False)
