"""Change a fitted model in part: labels added or removed, one branch trained anew."""

from copy import copy

import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.linear._prediction import root_rows
from sklearn_xmr.linear._splicing import pack_nodes, replace_parents, take_parents
from sklearn_xmr.linear._training import make_level_problem, solve_levels
from sklearn_xmr.linear._tree_search import TreeSearch
from sklearn_xmr.metrics._ranking import propensities_of
from sklearn_xmr.utils.hybrid import as_hybrid
from sklearn_xmr.utils.ranges import pointers, ranges
from sklearn_xmr.utils.validation import (
    check_label_indicator,
    check_relevance,
    check_weights,
    rows_of_weight,
)


class IncrementalMixin:
    """``add_labels``, ``remove_labels`` and ``refit_branch`` of a trained label tree.

    Each works on a copy that takes the estimator's place at the end: an error leaves
    the model as it was, and a ``topk_predictor`` made before answers as before.
    """

    def add_labels(self, X, y, *, clusters=None, sample_weight=None, relevance=None):
        """Attach new labels to the tree and train their weights alone.

        Each new label joins the cluster that the model, as it is, sends its instances
        to, so that the search finds the way; all other weights stay as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances, of old labels too: those of a cluster's old labels are the
            negatives of the labels that join it.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels + n_new) or \
                (n_samples,)
            Label indicator, the new labels behind the known ones; or one class per
            instance, where classes not in ``classes_`` are new.
        clusters : array-like of int of shape (n_new,), default=None
            Cluster that each new label joins, a column of ``transform``; by default
            the one with the highest matching scores, summed over its instances, or
            the smallest one for a label without instances.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.
        relevance : {array-like, sparse matrix} of the shape of y, default=None
            As in ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If y has no new label, or X other features than in ``fit``. The model is
            left as it was.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(random_state=0).fit(X, Y[:, :45])
        >>> clf.add_labels(X, Y).n_labels_
        50
        """
        check_is_fitted(self)
        new = copy(self)
        X, Y, *costs = new._check_more_data(X, y, sample_weight, relevance)
        n_old = self.n_labels_
        if Y.shape[1] == n_old:
            raise ValueError(
                f"y must hold labels that the model does not know, but has only its "
                f"{n_old}; refit_branch trains known labels anew"
            )
        new._grow_form(Y)
        n_new = Y.shape[1] - n_old
        if clusters is None:
            clusters = self._matching_clusters(X, Y[:, n_old:])
        elif len(clusters) != n_new:
            raise ValueError(
                f"clusters must hold a cluster for each of the {n_new} new labels, got "
                f"{len(clusters)}"
            )
        new.tree_ = self.tree_.with_labels(clusters)
        parents = np.unique(clusters)
        level = self.tree_.n_levels - 1
        trained = new._train_children(X, Y, *costs, level, parents, n_old)
        new.weights_ = [*self.weights_[:-1], self._append(parents, trained)]
        return self._become(new)

    def remove_labels(self, labels):
        """Take labels out of the model; what is left is ranked as before.

        Parameters
        ----------
        labels : array-like of shape (n_removed,)
            Members of ``classes_``: column numbers of y, or classes of a 1-D y. The
            labels that stay are renumbered, as the columns of y without them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a label is not known, or none would be left. The model is left as it was.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
        >>> clf.remove_labels([0, 7]).n_labels_
        48
        """
        check_is_fitted(self)
        gone = self._positions(labels)
        kept = self.tree_.nodes_without(gone)
        new = copy(self)
        new.tree_ = self.tree_.without_labels(gone)
        above = [np.ones(1, dtype=bool), *kept[:-1]]
        new.weights_ = [
            _keep_nodes(weights, nodes, parents)
            for weights, nodes, parents in zip(self.weights_, kept, above, strict=True)
        ]
        new._shrink_form(gone)
        return self._become(new)

    def refit_branch(self, X, y, level, node, *, sample_weight=None, relevance=None):
        """Train the weights of all nodes under a node anew; the tree stays.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances; those without a label under the node have no effect with the
            default ``negative_sampling``.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Their labels.
        level, node : int
            The node, as in ``tree_``: level 0 are the children of the root.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.
        relevance : {array-like, sparse matrix} of the shape of y, default=None
            As in ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such node, or the data do not fit those seen in ``fit``.
            The model is left as it was.

        Examples
        --------
        >>> from sklearn_xmr import HierarchicalLabelClusterer, XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> tree = HierarchicalLabelClusterer(branching_factor=4, max_leaf_size=8)
        >>> clf = XRLinearClassifier(tree, random_state=0).fit(X[:400], Y[:400])
        >>> clf = clf.refit_branch(X, Y, level=0, node=2)
        """
        check_is_fitted(self)
        self._check_node(level, node)
        new = copy(self)
        X, Y, *costs = new._check_more_data(X, y, sample_weight, relevance)
        if Y.shape[1] != self.n_labels_:
            raise ValueError(
                f"y must hold the {self.n_labels_} labels of the model, got "
                f"{Y.shape[1]}; add_labels takes new ones"
            )
        new.weights_ = list(self.weights_)
        first, last = node, node + 1
        for below in range(level + 1, self.tree_.n_levels):
            parents = np.arange(first, last)
            trained = new._train_children(X, Y, *costs, below, parents)
            old = self.weights_[below]
            offsets = trained.child_ptr[trained.parent_ptr]
            trained = pack_nodes([(trained, np.arange(offsets[-1]))], offsets, old)
            new.weights_[below] = replace_parents(old, parents, trained)
            first, last = self.tree_.offsets[below][[first, last]]
        return self._become(new)

    # --- parts -----------------------------------------------------------------------

    def _become(self, new):
        """Take over the state of a changed copy."""
        new._tree_search = TreeSearch(new.weights_, new.tree_.label_order)
        self.__dict__.update(new.__dict__)
        return self

    def _check_more_data(self, X, y, sample_weight, relevance):
        """Data as in fit; Y has the labels known and maybe more."""
        X = self._check_predict_data(X)
        if self._multilabel:
            Y = check_label_indicator(y, "y")
        else:
            Y = self._encode_known_classes(y)
        check_consistent_length(X, Y)
        if Y.shape[1] < self.n_labels_:
            raise ValueError(
                f"y must have a column for each of the {self.n_labels_} labels of the "
                f"model, got {Y.shape[1]}"
            )
        relevance = check_relevance(relevance, Y)
        sample_weight = check_weights(sample_weight, Y.shape[0])
        weight, X, Y, relevance = rows_of_weight(sample_weight, X, Y, relevance)
        return X, Y, weight, relevance

    def _encode_known_classes(self, y):
        """One-hot CSR of a 1-D y; classes not known are appended to ``classes_``."""
        y = column_or_1d(y)
        fresh = np.setdiff1d(y, self.classes_)
        self.classes_ = np.concatenate([self.classes_, fresh])
        order = np.argsort(self.classes_)
        codes = order[np.searchsorted(self.classes_, y, sorter=order)]
        ones = np.ones(len(y), dtype=np.float32)
        shape = (len(y), len(self.classes_))
        return sparse.csr_matrix((ones, codes, np.arange(len(y) + 1)), shape=shape)

    def _grow_form(self, Y):
        """Attributes of the data, with the labels of Y."""
        if self._multilabel:
            self.classes_ = np.arange(Y.shape[1])
        new = propensities_of(Y).astype(np.float32)[self.n_labels_ :]
        self.propensities_ = np.concatenate([self.propensities_, new])
        self.n_labels_ = Y.shape[1]

    def _shrink_form(self, gone):
        """Attributes of the data, without some labels."""
        self.n_labels_ -= len(gone)
        self.propensities_ = np.delete(self.propensities_, gone)
        kept = np.delete(self.classes_, gone)
        self.classes_ = np.arange(self.n_labels_) if self._multilabel else kept

    def _positions(self, labels):
        """Label numbers of members of ``classes_``, ascending and once each."""
        labels = np.unique(column_or_1d(labels))
        unknown = labels[~np.isin(labels, self.classes_)]
        if len(labels) == 0 or len(unknown):
            found = repr(unknown[0].item()) if len(unknown) else "an empty list"
            raise ValueError(
                f"labels must be members of classes_, which holds {self.n_labels_}, "
                f"found {found}"
            )
        return np.flatnonzero(np.isin(self.classes_, labels))

    def _check_node(self, level, node):
        if not 0 <= level < self.tree_.n_levels - 1:
            raise ValueError(
                f"level must be a level above the labels, 0 to "
                f"{self.tree_.n_levels - 2}, got {level!r}"
            )
        if not 0 <= node < self.tree_.level_sizes[level]:
            raise ValueError(
                f"node must be one of the {self.tree_.level_sizes[level]} nodes of "
                f"level {level}, got {node!r}"
            )

    def _kept_tree(self, X, Y):
        """The tree of the fit before, with clusters for labels that are new."""
        n_new = Y.shape[1] - self.tree_.n_labels
        if n_new < 0:
            raise ValueError(
                f"y must have a column for each of the {self.tree_.n_labels} labels of "
                f"the tree that warm_start=True keeps, got {Y.shape[1]}; remove_labels "
                "takes labels out"
            )
        if n_new == 0:
            return self.tree_
        n_known = self.weights_[0].n_features + self.weights_[0].dense.shape[1]
        if n_known != X.shape[1]:
            raise ValueError(
                f"X must have the {n_known} features of the fit before, by which "
                f"warm_start=True places the {n_new} new labels, got {X.shape[1]}"
            )
        return self.tree_.with_labels(self._matching_clusters(X, Y[:, -n_new:]))

    def _matching_clusters(self, X, Y):
        """Cluster that the model sends the instances of each label to."""
        rows = np.flatnonzero(np.diff(Y.indptr))  # no other instance has a vote
        if len(rows) == 0:
            return np.full(Y.shape[1], np.diff(self.tree_.offsets[-1]).argmin())
        votes = sparse.csr_matrix(Y[rows].T @ self._matching(X[rows]))
        clusters = np.full(Y.shape[1], np.diff(self.tree_.offsets[-1]).argmin())
        voted = np.flatnonzero(np.diff(votes.indptr))
        clusters[voted] = np.asarray(votes[voted].argmax(axis=1)).ravel()
        return clusters

    def _train_children(self, X, Y, sample_weight, relevance, level, parents, first=0):
        """Weights of the children of some parents; of labels, those from `first` on."""
        targets, weighted = self._level_targets(Y, relevance)
        teacher = targets[level - 1] if level else root_rows(Y.shape[0])
        matched = None
        if level and self.negative_sampling != "tfn":
            matched = self._matched(X, self.weights_[:level], teacher)[:, parents]
        children, offsets = self._children(level, parents, first)
        problem = make_level_problem(
            targets[level][:, children], teacher[:, parents], matched, offsets, weighted
        )
        settings = self._solver_settings(check_random_state(self.random_state))
        settings.weight_dtype = self.weights_[level].value_type
        (trained,), _ = solve_levels(as_hybrid(X), [problem], settings, sample_weight)
        return trained

    def _children(self, level, parents, first_label):
        """Children of the parents, and where those of each start."""
        bounds = self.tree_.offsets[level]
        sizes = np.diff(bounds)[parents]
        nodes = ranges(bounds[parents], sizes)
        if not first_label:
            return nodes, pointers(sizes)
        wanted = self.tree_.label_order[nodes] >= first_label
        parent = np.repeat(np.arange(len(parents)), sizes)[wanted]
        return nodes[wanted], pointers(np.bincount(parent, minlength=len(parents)))

    def _append(self, parents, trained):
        """The label level with the trained nodes behind the others of each parent."""
        level = self.weights_[-1]
        old = take_parents(level, parents)
        old_offsets = old.child_ptr[old.parent_ptr]
        new_offsets = trained.child_ptr[trained.parent_ptr]
        offsets = old_offsets + new_offsets
        # Nodes move up by what the parents before them, or they themselves, gained.
        old_places = _moved(old_offsets, new_offsets[:-1])
        new_places = _moved(new_offsets, old_offsets[1:])
        packed = pack_nodes([(old, old_places), (trained, new_places)], offsets, level)
        return replace_parents(level, parents, packed)


def _moved(offsets, by):
    """Numbers of all children, those of each parent moved up."""
    return np.arange(offsets[-1]) + np.repeat(by, np.diff(offsets))


def _keep_nodes(weights, kept, kept_parents):
    """Weights of some nodes, under the parents that keep any."""
    if kept.all():
        return weights
    starts = weights.child_ptr[weights.parent_ptr]
    n_kept = np.add.reduceat(kept, starts[:-1], dtype=np.int64)
    touched = np.flatnonzero((n_kept > 0) & (n_kept < np.diff(starts)))
    if len(touched):
        old = take_parents(weights, touched)
        stays = kept[ranges(starts[touched], np.diff(starts)[touched])]
        places = np.where(stays, np.cumsum(stays) - 1, -1)
        packed = pack_nodes([(old, places)], pointers(n_kept[touched]), weights)
        weights = replace_parents(weights, touched, packed)
    return take_parents(weights, np.flatnonzero(kept_parents))
