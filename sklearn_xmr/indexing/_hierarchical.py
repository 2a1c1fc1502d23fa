"""Hierarchical label clustering: a label tree by recursive balanced k-means."""

from itertools import count
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_xmr.indexing._balanced_kmeans import Splitter
from sklearn_xmr.indexing._base import LabelClustererMixin
from sklearn_xmr.indexing._label_tree import LabelTree
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._ranges import pointers
from sklearn_xmr.utils._sklearn import Interval, StrOptions
from sklearn_xmr.utils._storable import storable


@storable
class HierarchicalLabelClusterer(LabelClustererMixin, BaseEstimator):
    """Label tree by recursive balanced B-ary k-means.

    Every node's labels are split into up to ``branching_factor`` groups of equal
    size (within one label) by balanced 2-means, until a group holds at most
    ``max_leaf_size`` labels. All leaves have the same depth.

    Parameters
    ----------
    representation : str, callable, array-like or sparse matrix, default="pifa"
        Label vectors for ``fit(X, Y)``: a method of :func:`label_representation`; a
        function of X and Y that returns a row for each label; or these rows.
    label_features : {array-like, sparse matrix} of shape (n_labels, any), default=None
        Features of the labels, for the methods of :func:`label_representation` that
        take them.
    method : {"skmeans", "kmeans"}, default="skmeans"
        Spherical (unit centres) or plain k-means.
    branching_factor : int in [2, 256], default=16
        Maximum number of children of an inner node. The levels above the leaves are
        kept as even as this allows.
    max_leaf_size : int, default=100
        Maximum number of labels in a leaf cluster.
    max_depth : int or None, default=None
        Maximum number of levels of clusters. Where ``branching_factor`` would need
        more, nodes get more children, evenly on all levels, so that leaves still hold
        at most ``max_leaf_size`` labels. 1 makes leaf clusters alone, whatever
        ``branching_factor``. None sets no limit.
    max_features : int or None, default=500
        Entries of each vector that take part, the largest ones; None takes all.
        Vectors of frequent labels have thousands, and the tail of them costs time and
        memory but hardly moves a split. It acts on the PIFA vectors of a sparse X,
        not on those of other representations.
    max_iter : int, default=20
        Maximum number of iterations of each 2-means split; it stops earlier when no
        label moves.
    random_state : int, RandomState instance or None, default=None
        Draws the starting pair of each split. The same seed gives the same tree,
        whatever the number of threads.

    Attributes
    ----------
    tree_ : LabelTree
        The tree.
    labels_ : ndarray of int64 of shape (n_labels,)
        Leaf cluster of each label, numbered in tree order.
    n_clusters_ : int
        Number of leaf clusters.
    cluster_centers_ : csr_matrix of shape (n_clusters, n_features)
        Unit-length sums of the label vectors of each leaf cluster; after ``fit(X)``
        only.
    n_iter_ : int
        Largest number of iterations that a split took.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    LabelTree : Trees from flat ids, a taxonomy or membership matrices.

    Notes
    -----
    A balanced split scores every label along the difference of the two centres and
    cuts at the wanted size, so no cluster can starve. Labels without a positive
    instance have no direction: they do not take part, and are distributed over the
    leaves in the order of their numbers, to level the leaves' sizes.

    References
    ----------
    Y. Prabhu et al. "Parabel: Partitioned label trees for extreme classification",
    WWW 2018. H.-F. Yu et al. "PECOS", JMLR 23, 2022 (arXiv 2010.05878).

    Examples
    --------
    >>> from sklearn_xmr import HierarchicalLabelClusterer
    >>> X = [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]]
    >>> Y = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    >>> clusterer = HierarchicalLabelClusterer(max_leaf_size=2, random_state=0)
    >>> groups = clusterer.fit(X, Y).labels_
    >>> bool(groups[0] == groups[2] != groups[1] == groups[3])
    True
    """

    _parameter_constraints: dict = {
        **LabelClustererMixin._parameter_constraints,
        "method": [StrOptions({"skmeans", "kmeans"})],
        "branching_factor": [Interval(Integral, 2, 256, closed="both")],
        "max_leaf_size": [Interval(Integral, 1, None, closed="left")],
        "max_depth": [Interval(Integral, 1, None, closed="left"), None],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        representation="pifa",
        *,
        label_features=None,
        method="skmeans",
        branching_factor=16,
        max_leaf_size=100,
        max_depth=None,
        max_features=500,
        max_iter=20,
        random_state=None,
    ):
        self.representation = representation
        self.label_features = label_features
        self.method = method
        self.branching_factor = branching_factor
        self.max_leaf_size = max_leaf_size
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_iter = max_iter
        self.random_state = random_state

    def _validate_params(self):
        if self.branching_factor == 1:  # which omikuji takes
            raise ValueError(
                "branching_factor must be 2 to 256, got 1, which would split nothing; "
                "max_depth=1 puts the leaf clusters directly under the root, and "
                "LabelTree.flat(n_labels) in place of the clusterer has no clusters"
            )
        super()._validate_params()

    @property
    def _n_pifa_entries(self):
        return self.max_features

    def _grow(self, vectors):
        """Cluster the non-zero vectors, distribute the others over the leaves."""
        n_labels = vectors.shape[0]
        offsets = _plan_levels(
            n_labels, self.branching_factor, self.max_leaf_size, self.max_depth
        )
        counts = np.diff(vectors.indptr)
        with_vector = np.flatnonzero(counts)
        leaf_ends = _even_offsets(len(with_vector), len(offsets[-1]) - 1)
        places = self._cluster(vectors, with_vector, offsets, leaf_ends)
        order = _fill_leaves(
            with_vector[places], leaf_ends, np.flatnonzero(counts == 0), offsets[-1]
        )
        return LabelTree(offsets, order)

    def _cluster(self, vectors, rows, offsets, leaf_ends):
        """Permutation of `rows` that puts each leaf's labels side by side."""
        rng = check_random_state(self.random_state)
        vectors = vectors if len(rows) == vectors.shape[0] else vectors[rows]
        items = np.arange(len(rows), dtype=np.int32)
        self.n_iter_ = 1
        splitter = Splitter(
            vectors.indptr.astype(np.int64),
            vectors.indices.astype(np.int32, copy=False),
            vectors.data,
            vectors.shape[1],
            effective_n_threads(),
        )
        for nodes in _binary_splits(offsets, leaf_ends):
            seeds = rng.randint(2**62, size=len(nodes), dtype=np.int64).astype(
                np.uint64
            )
            spherical = self.method == "skmeans"
            n_iter = splitter.split(items, nodes, seeds, self.max_iter, spherical)
            self.n_iter_ = max(self.n_iter_, n_iter)
        return items


def _even_offsets(n_items, n_parts):
    """Offsets of n_parts ranges whose sizes differ by at most one, larger first."""
    sizes = np.full(n_parts, n_items // n_parts)
    sizes[: n_items % n_parts] += 1
    return pointers(sizes)


def _plan_levels(n_labels, branching_factor, max_leaf_size, max_depth=None):
    """Offsets of a tree with as few, and as evenly wide, levels as allowed."""
    n_nodes = -(-n_labels // max_leaf_size)
    depth = _smallest(lambda depth: branching_factor**depth >= n_nodes, 0)
    if max_depth is not None and depth > max_depth:
        depth = max_depth
        branching_factor = _smallest(lambda b: b**max_depth >= n_nodes, 2)
    sizes = [n_labels] if n_nodes == 1 else [n_labels, n_nodes]
    for left in range(depth, 1, -1):
        width = _smallest(lambda b, n=n_nodes, left=left: b**left >= n, 2)
        n_nodes = -(-n_nodes // width)
        sizes.append(n_nodes)
    sizes = [*sizes, 1]
    return [
        _even_offsets(below, above)
        for below, above in zip(sizes[-2::-1], sizes[:0:-1], strict=True)
    ]


def _smallest(is_enough, first):
    """The smallest integer from `first` on for which a condition holds."""
    return next(filter(is_enough, count(first)))


def _leaf_bounds(offsets):
    """Per level, the first leaf under each node; the number of leaves at the end."""
    bounds = [np.arange(len(offsets[-1]))]
    for level_offsets in offsets[-2::-1]:
        bounds.insert(0, bounds[0][level_offsets])
    return bounds


def _binary_splits(offsets, leaf_ends):
    """Rounds of binary splits that lead from all labels to the leaves.

    Yields int64 arrays (n_nodes, 3): begin, end and size of the left part, in
    places of the label permutation. A node with many children is halved by
    children until each child stands alone.
    """
    leaves = _leaf_bounds(offsets)
    last = len(offsets) - 1
    ranges = [(0, 0, 1)]  # level of `leaves`, first and last node
    while ranges:
        halves, rows = [], []
        for level, first, end in ranges:
            while end - first == 1 and level < last:
                first, end = offsets[level][first : first + 2]
                level += 1
            if end - first == 1:
                continue
            middle = first + (end - first) // 2
            halves += [(level, first, middle), (level, middle, end)]
            begin, cut, stop = leaf_ends[leaves[level][[first, middle, end]]]
            rows.append((begin, stop, cut - begin))
        if rows:
            yield np.array(rows, dtype=np.int64)
        ranges = halves


def _fill_leaves(clustered, leaf_ends, others, leaf_offsets):
    """Label order: each leaf's clustered labels, then its share of the others."""
    order = np.empty(leaf_offsets[-1], dtype=np.int64)
    taken = np.zeros(len(order), dtype=bool)
    starts = np.repeat(leaf_offsets[:-1] - leaf_ends[:-1], np.diff(leaf_ends))
    places = np.arange(len(clustered)) + starts
    order[places] = clustered
    taken[places] = True
    order[~taken] = others
    return order
