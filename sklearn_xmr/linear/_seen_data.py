"""What a model remembers of the instances that have trained it."""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_xmr.utils._storable import storable

MOST_ENTRIES = 500_000  # whose squares make the means: 10 MB, and enough


@storable
@dataclass(frozen=True, eq=False)
class SeenData:
    """Counts and means of the training data, by which a model goes on learning.

    Parameters
    ----------
    n_samples : float
        Number of instances, of which forgotten ones count in part.
    n_positives : ndarray of float32 of shape (n_labels,)
        Instances of each label, likewise.
    mean_squares : ndarray of float32 of shape (n_features + n_dense_features,)
        Mean square of each feature.
    is_complete : bool, default=True
        Whether these are all of the instances that have trained the model.
    """

    n_samples: float
    n_positives: np.ndarray
    mean_squares: np.ndarray
    is_complete: bool = True

    @classmethod
    def of(cls, data):
        """What there is to remember of training data.

        Parameters
        ----------
        data : TrainingData
            Instances as HybridFeatures.

        Returns
        -------
        SeenData
        """
        means = np.zeros(data.X.sparse.shape[1] + data.X.dense.shape[1], np.float32)
        _add_mean_squares(means, data.X, 1.0)
        return cls(float(data.n_samples), _count_positives(data), means)

    @classmethod
    def nothing(cls, n_labels, n_features):
        """What is known of a model that was not fitted here: nothing.

        Parameters
        ----------
        n_labels, n_features : int

        Returns
        -------
        SeenData
        """
        zeros = np.zeros(n_labels, np.float32), np.zeros(n_features, np.float32)
        return cls(0.0, *zeros, is_complete=False)

    def forgotten(self, decay):
        """The same, where each instance counts ``decay`` times as much (SeenData)."""
        return replace(
            self,
            n_samples=self.n_samples * decay,
            n_positives=self.n_positives * np.float32(decay),
        )

    def with_instances(self, data):
        """With more instances; of few, only the features that they have cost time.

        Parameters
        ----------
        data : TrainingData
            Instances as HybridFeatures, with the same labels, and maybe more.

        Returns
        -------
        SeenData
        """
        counts = _count_positives(data)
        counts[: len(self.n_positives)] += self.n_positives
        n_samples = self.n_samples + data.n_samples
        share = data.n_samples / n_samples
        means = self.mean_squares * np.float32(1 - share)
        _add_mean_squares(means, data.X, share)
        return SeenData(n_samples, counts, means, self.is_complete)

    def with_labels(self, n_positives):
        """With new labels of so many instances, behind the others (SeenData)."""
        counts = np.append(self.n_positives, n_positives).astype(np.float32)
        return replace(self, n_positives=counts)

    def without_labels(self, labels):
        """Without some labels, given by their numbers (SeenData)."""
        return replace(self, n_positives=np.delete(self.n_positives, labels))

    def evidence_of_nodes(self, tree):
        """About how many instances bear on the weights of the nodes of each level.

        Of most instances, a node says early that they are not its own, by a margin. The
        others are more for frequent labels, but far from proportionally.

        Parameters
        ----------
        tree : LabelTree

        Returns
        -------
        list of ndarray of float32 of shape (n_nodes,)
            The geometric mean of the node's positive instances (counted once for each
            of their labels) and all.
        """
        counts = [self.n_positives[tree.label_order].astype(np.float64)]
        for offsets in tree.offsets[:0:-1]:
            sums = np.append(0, np.cumsum(counts[0]))
            counts.insert(0, np.diff(sums[offsets]))
        most = self.n_samples
        return [
            np.sqrt(np.minimum(level, most) * most).astype(np.float32)
            for level in counts
        ]


def _count_positives(data):
    """Weighted number of instances of each label (ndarray of float32)."""
    weights = None
    if data.sample_weight is not None:
        weights = np.repeat(data.sample_weight, np.diff(data.Y.indptr))
    counts = np.bincount(data.Y.indices, weights, minlength=data.Y.shape[1])
    return counts.astype(np.float32)


def _add_mean_squares(means, X, share):
    """Add a share of the mean square of each feature, dense ones last.

    Of every n-th row, if there are many. No copy is made of all features, of which
    hashed texts have millions.
    """
    n_entries = int(X.sparse.indptr[-1]) + X.dense.size
    step = n_entries // MOST_ENTRIES + 1
    sparse, dense = X.sparse[::step] if step > 1 else X.sparse, X.dense[::step]
    factor = np.float32(share / sparse.shape[0])
    np.add.at(means, sparse.indices, np.square(sparse.data, dtype=np.float32) * factor)
    if dense.shape[1]:
        means[sparse.shape[1] :] += factor * np.square(dense).sum(axis=0)
