"""Groups of labels, from any indexer; a label may be in several."""

import numpy as np
from scipy import sparse
from sklearn.base import clone

from sklearn_xmr.indexing import (
    LabelClustererMixin,
    LabelTree,
    label_representation,
)
from sklearn_xmr.utils._ranges import pointers, ranges
from sklearn_xmr.utils._response import last_estimator
from sklearn_xmr.utils._storable import storable


def label_groups(indexer, X, Y):
    """Which labels are in which group.

    Parameters
    ----------
    indexer : LabelTree, clusterer, array-like or sparse matrix
        See :class:`XMRClassifier`.
    X : csr_matrix of shape (n_samples, n_features)
        Instances.
    Y : csr_matrix of shape (n_samples, n_labels)
        Their label indicator.

    Returns
    -------
    membership : csr_matrix of float32 of shape (n_labels, n_groups)
        Ones; no group is empty, and each label has one.
    indexer : estimator or None
        The fitted clusterer, where ``indexer`` is one.

    Raises
    ------
    TypeError
        If ``indexer`` has no ``fit_predict``, and its ``fit(X, Y)`` sets no tree.
    ValueError
        If it does not give a group for each label.
    """
    if isinstance(indexer, LabelTree):
        return _of_ids(indexer.cluster_of_label, Y.shape[1]), None
    if sparse.issparse(indexer) or np.ndim(indexer) == 2:
        return _of_membership(indexer, Y.shape[1]), None
    if not hasattr(indexer, "fit"):
        return _of_ids(indexer, Y.shape[1]), None
    fitted, ids = _clustered(indexer, X, Y)
    return _of_ids(ids, Y.shape[1]), fitted


def _clustered(indexer, X, Y):
    """A fitted clone of a clusterer, and the group of each label.

    What sets ``tree_`` groups labels by X and Y; any other clusterer groups vectors,
    here the labels' own.
    """
    clusters_labels = isinstance(last_estimator(indexer), LabelClustererMixin)
    if not clusters_labels and hasattr(indexer, "fit_predict"):
        fitted = clone(indexer)
        if Y.shape[1] == 1:
            return fitted, np.zeros(1, dtype=int)  # nothing to group
        ids = fitted.fit_predict(label_representation(X, Y, "pifa"))
        if not isinstance(_tree_of(fitted), LabelTree):
            return fitted, ids
    fitted = clone(indexer).fit(X, Y)
    tree = _tree_of(fitted)
    if not isinstance(tree, LabelTree):
        raise TypeError(
            f"indexer must have fit_predict, or set tree_, a LabelTree, in fit(X, Y), "
            f"but {type(last_estimator(fitted)).__name__} set {tree!r}"
        )
    return fitted, tree.cluster_of_label


def _tree_of(clusterer):
    return getattr(last_estimator(clusterer), "tree_", None)


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


@storable
class LabelCopies:
    """Labels listed group by group; a label in several groups has as many copies.

    Parameters
    ----------
    membership : csr_matrix of shape (n_labels, n_groups)
        Which labels are in which group.

    Attributes
    ----------
    n_labels : int
        Number of labels.
    n_groups : int
        Number of groups.
    label : ndarray of int of shape (n_copies,)
        Label of each copy.
    group_ptr : ndarray of int64 of shape (n_groups + 1,)
        Where each group's copies begin.
    size : ndarray of int of shape (n_groups,)
        Number of copies of each group.
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

        Parameters
        ----------
        rows : ndarray of int of shape (n_scored,)
            Row of each scored copy.
        copies : ndarray of int of shape (n_scored,)
            The copies.
        scores : ndarray of float of shape (n_scored,)
            Their scores.
        n_rows : int
            Number of rows.

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
