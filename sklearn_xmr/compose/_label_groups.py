"""Groups of labels, from any indexer; a label may be in several."""

import numpy as np
from scipy import sparse
from sklearn.base import clone

from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    label_representation,
)
from sklearn_xmr.utils.ranges import pointers, ranges


def label_groups(indexer, X, Y):
    """Which labels are in which group.

    Parameters
    ----------
    indexer : LabelTree, clusterer, array-like or sparse matrix
        See :class:`XMRClassifier`.
    X, Y : csr_matrix
        Instances and their label indicator.

    Returns
    -------
    membership : csr_matrix of float32 of shape (n_labels, n_groups)
        Ones; no group is empty, and each label has one.
    indexer : the fitted clusterer, or None
    """
    if isinstance(indexer, LabelTree):
        return _of_ids(indexer.cluster_of_label, Y.shape[1]), None
    if sparse.issparse(indexer) or np.ndim(indexer) == 2:
        return _of_membership(indexer, Y.shape[1]), None
    if not hasattr(indexer, "fit"):
        return _of_ids(indexer, Y.shape[1]), None
    indexer = clone(indexer)
    if isinstance(indexer, HierarchicalLabelClusterer):
        return _of_ids(indexer.fit(X, Y).labels_, Y.shape[1]), indexer
    if Y.shape[1] == 1:
        return _of_ids([0], 1), None  # nothing to group
    vectors = label_representation(X, Y, "pifa")
    return _of_ids(indexer.fit_predict(vectors), Y.shape[1]), indexer


def _of_ids(ids, n_labels):
    """From a group number for each label; -1 (density clusterers) is a group too."""
    ids = np.asarray(ids)
    if ids.shape != (n_labels,) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"indexer must give a group number for each of the {n_labels} labels, got "
            f"an array of shape {ids.shape} and dtype {ids.dtype}"
        )
    groups, numbers = np.unique(ids, return_inverse=True)
    return sparse.csr_matrix(
        (np.ones(n_labels, dtype=np.float32), numbers, np.arange(n_labels + 1)),
        shape=(n_labels, len(groups)),
    )


def _of_membership(matrix, n_labels):
    """From a label x group matrix, whose non-zeros count."""
    membership = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    if membership.shape[0] != n_labels:
        raise ValueError(
            f"indexer must have a row for each of the {n_labels} labels, got shape "
            f"{membership.shape}"
        )
    membership.sum_duplicates()
    membership.eliminate_zeros()
    membership.data[:] = 1
    alone = np.flatnonzero(np.diff(membership.indptr) == 0)
    if len(alone):
        raise ValueError(
            f"indexer must put each label into a group; label {alone[0]} is in none"
        )
    used = np.flatnonzero(np.bincount(membership.indices, minlength=1))
    return membership[:, used].tocsr()


class LabelCopies:
    """Labels listed group by group; a label in several groups has as many copies.

    Attributes
    ----------
    label : ndarray of int
        Label of each copy.
    group_ptr : ndarray of int
        Where each group's copies begin.
    """

    def __init__(self, membership):
        by_group = membership.tocsc()
        by_group.sort_indices()
        self.n_labels, self.n_groups = membership.shape
        self.label = by_group.indices.astype(np.int64)
        self.group_ptr = by_group.indptr.astype(np.int64)
        self.size = np.diff(self.group_ptr)

    def labels_of(self, group):
        """Labels of a group, ascending."""
        return self.label[self.group_ptr[group] : self.group_ptr[group + 1]]

    def of_groups(self, groups):
        """Copies in each of some groups, one after another, and where each begins."""
        sizes = self.size[groups]
        return ranges(self.group_ptr[groups], sizes), pointers(sizes)

    def best_of_labels(self, rows, copies, scores, n_rows):
        """The best score of a label's copies in each row.

        Returns
        -------
        csr_matrix of float32 of shape (n_rows, n_labels)
            Canonical.
        """
        keys = rows * np.int64(self.n_labels) + self.label[copies]
        order = np.lexsort((-scores, keys))
        keys, first = np.unique(keys[order], return_index=True)
        rows, labels = np.divmod(keys, self.n_labels)
        values = scores[order][first].astype(np.float32)
        shape = (n_rows, self.n_labels)
        return sparse.csr_matrix((values, (rows, labels)), shape=shape)
