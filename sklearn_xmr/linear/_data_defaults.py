"""What suits the training data where users say "auto"."""

import numpy as np


class DataDefaults:
    """What suits the training data: more caution, the fewer instances a label has.

    The scores of clusters that were learnt from few instances say little, and more
    clusters are taken for the right one. Where instances are few, a root with all
    clusters as its children costs little, and no level of clusters in between can lose
    a label. An instance of many labels is a positive of many clusters: it can be a hard
    negative of as many more for the same share of the time. The numbers are from
    held-out rows of three data sets and samples of them: benchmarks/RESULTS.md.

    Parameters
    ----------
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator; labels without instances do not count.

    Attributes
    ----------
    n_instances : float
        Mean number of instances of a label.
    n_labels : float
        Mean number of labels of an instance.
    """

    FEW = 5

    def __init__(self, Y):
        self._take(np.bincount(Y.indices, minlength=Y.shape[1]), Y.shape[0])

    @classmethod
    def of_counts(cls, counts, n_samples):
        """What suits data of which only these are known.

        Parameters
        ----------
        counts : ndarray of shape (n_labels,)
            Instances of each label.
        n_samples : float
            Instances.

        Returns
        -------
        DataDefaults
        """
        defaults = cls.__new__(cls)
        defaults._take(counts, n_samples)
        return defaults

    def _take(self, counts, n_samples):
        n_seen = max(int(np.count_nonzero(counts)), 1)
        total = float(counts.sum())
        self.n_instances, self.n_labels = total / n_seen, total / n_samples
        self._n_columns_for_each = len(counts) / n_seen
        self._n_seen = n_seen

    def path_weight(self, coverage):
        """Weight of a level's score by that of the level below.

        Parameters
        ----------
        coverage : float in [0, 1]
            Share of the clusters to whose labels an instance is shown: the more
            instances labels know, the less help their own scores need. More than half
            counts as half, for an exact search opens all clusters where paths say
            nothing.

        Returns
        -------
        float from 0 to 0.85
        """
        by_instances = 0.85 * self.n_instances / (self.n_instances + 6)
        return by_instances * (1 - min(coverage, 0.5)) ** 4

    @property
    def n_hard_clusters(self):
        """Clusters for which an instance is a hard negative (int, at least 4)."""
        few_instances, many_labels = 50 / (self.n_instances + 5), 5 / 3 * self.n_labels
        return round(max(4 + few_instances, many_labels))

    @property
    def beam_size(self):
        """Nodes that the search keeps (int)."""
        return 16 if self.n_instances < self.FEW else 10

    @property
    def max_leaf_size(self):
        """Largest number of labels in a cluster, of which 96 have instances (int).

        96 is three blocks of 32 labels, which the solver takes at once. Labels without
        an instance are spread over the clusters: they shall not make more of them.
        """
        return int(96 * self._n_columns_for_each)

    @property
    def n_clusters(self):
        """How many such clusters there are at least (int)."""
        return int(np.ceil(self._n_seen / 96))

    @property
    def branching_factor(self):
        """Largest number of children of an inner node of the label tree (int)."""
        return 256 if self.n_instances < self.FEW else 100
