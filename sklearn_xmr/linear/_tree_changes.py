"""Change a fitted label tree: add or remove labels, refit branches, prune weights.

Each change makes a new TreeModel, which replaces the old one at the end: an error
leaves the estimator unchanged, and a ``topk_predictor`` made before keeps its model.
"""

from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state

from sklearn_xmr.base import TrainingData
from sklearn_xmr.linear._solver._level_solver import warn_of_lost_weights
from sklearn_xmr.linear._training import train_branch, train_new_labels
from sklearn_xmr.linear._tree_ranking import TreeRankingMixin
from sklearn_xmr.linear._weights._pruning import check_limits
from sklearn_xmr.utils._fitted_state import change_in_one_step
from sklearn_xmr.utils._typing import MatrixLike, Self


class TreeChangesMixin(TreeRankingMixin):
    """Changes of an estimator's TreeModel, ``model_``.

    The estimator implements ``_settings(rng)``, the TreeSettings of its training.
    """

    @change_in_one_step
    def add_labels(
        self,
        X: MatrixLike,
        y: MatrixLike,
        *,
        clusters: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
    ) -> Self:
        """Add new labels to the tree and train only their weights.

        Each new label joins the cluster to which the model assigns its instances, so
        that the search reaches it; all other weights stay the same.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances of new and of old labels: those of a cluster's old labels are the
            negatives of the labels that join it.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels + n_new) or \
                (n_samples,)
            Label indicator, whose last columns are the new labels; a table, if that of
            ``fit`` was one. Or one class per instance, where classes not in
            ``classes_`` are new: they are appended to it, so that it need not be
            sorted.
        clusters : array-like of int of shape (n_new,), default=None
            Cluster that each new label joins, a column of ``transform``; by default
            the one with the highest matching scores, summed over its instances, or
            the smallest one for a label without instances.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights that multiply C of each instance; instances of weight
            0 are ignored.
        relevance : {array-like, sparse matrix} of the shape of y, default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y.

        Returns
        -------
        self : XRLinearClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If y has no new label, ``clusters`` does not fit, or X has other features
            than in ``fit``. The estimator is left unchanged.

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
        n_old = self.n_labels_
        data = self._check_more_data(X, y, sample_weight, relevance)
        n_new = data.Y.shape[1] - n_old
        if n_new == 0:
            raise ValueError(
                "y must hold labels that the model does not have, got only its "
                f"{n_old}; use refit_branch to train these again"
            )
        if clusters is not None and len(clusters) != n_new:
            raise ValueError(
                f"clusters must hold a cluster for each of the {n_new} new labels, got "
                f"{len(clusters)}"
            )
        settings = self._settings(check_random_state(self.random_state))
        self.model_ = train_new_labels(self.model_, data, settings, clusters)
        if hasattr(self, "seen_"):
            counts = np.bincount(data.Y.indices, minlength=data.Y.shape[1])
            self.seen_ = self.seen_.with_labels(counts[n_old:])

    @change_in_one_step
    def remove_labels(self, labels: ArrayLike) -> Self:
        """Remove labels from the model; the others are ranked as before.

        Parameters
        ----------
        labels : array-like of shape (n_removed,)
            Members of ``classes_``: column numbers of y, or classes of a 1-D y; or a
            boolean mask of shape (n_labels,). The other labels are renumbered, as the
            columns of y without them.

        Returns
        -------
        self : XRLinearClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If a label is not known, or none would be left. The estimator is left
            unchanged.

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
        gone = self.target_form_.positions(labels)
        self.model_ = self.model_.without_labels(gone)
        self.target_form_ = self.target_form_.without(gone)
        if hasattr(self, "seen_"):
            self.seen_ = self.seen_.without_labels(gone)

    @change_in_one_step
    def refit_branch(
        self,
        X: MatrixLike,
        y: MatrixLike,
        level: int,
        node: int,
        *,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
    ) -> Self:
        """Train the weights of all nodes under a node again; the tree stays the same.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances; those without a label under the node have no effect but as hard
            negatives.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of the model's labels, or one of its classes per instance.
        level, node : int
            Level and number of the node in ``tree_``; level 0 holds the children of
            the root.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights that multiply C of each instance; instances of weight
            0 are ignored.
        relevance : {array-like, sparse matrix} of the shape of y, default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y.

        Returns
        -------
        self : XRLinearClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If there is no such node, or the data do not fit those seen in ``fit``.
            The estimator is left unchanged.

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
        self._check_node(level, node)
        n_known = self.n_labels_
        data = self._check_more_data(X, y, sample_weight, relevance)
        if self.n_labels_ != n_known:
            raise ValueError(
                f"y must hold the {n_known} labels of the model, got "
                f"{self.n_labels_}; use add_labels for new ones"
            )
        settings = self._settings(check_random_state(self.random_state))
        self.model_ = train_branch(self.model_, data, settings, level, node)

    def _check_more_data(self, X, y, sample_weight, relevance):
        """Checked data, whose y has the known labels and maybe new ones."""
        X = self._check_instances(X)
        self.target_form_, Y = self.target_form_.extended(y, y)
        check_consistent_length(X, Y)
        return TrainingData.checked(X, Y, sample_weight, relevance)

    def _check_node(self, level, node):
        whole = isinstance(level, Integral), isinstance(node, Integral)
        if not whole[0] or not 0 <= level < self.tree_.n_levels - 1:
            raise ValueError(
                f"level must be a level above the labels, 0 to "
                f"{self.tree_.n_levels - 2}, got {level!r}"
            )
        if not whole[1] or not 0 <= node < self.tree_.level_sizes[level]:
            raise ValueError(
                f"node must be one of the {self.tree_.level_sizes[level]} nodes of "
                f"level {level}, got {node!r}"
            )

    @change_in_one_step
    def prune(
        self,
        *,
        threshold: float = 0.0,
        energy: float = 1.0,
        max_weights_per_label: int | None = None,
        dtype: Literal["float32", "float16", "int8"] | None = None,
    ) -> Self:
        """Drop weights of the fitted model.

        Weights that satisfy all limits are kept. Intercepts and the weights of dense
        features are always kept.

        Parameters
        ----------
        threshold : float, default=0.0
            What a weight must contribute, as for ``weight_threshold``: its absolute
            value times ``row_length_``.
        energy : float in (0, 1], default=1.0
            Each label (and node) keeps its largest weights until their squares make
            this share of the sum of all its squares.
        max_weights_per_label : int or None, default=None
            Maximum number of weights of a label; the largest ones are kept. Nodes
            above the labels are not limited: they are few and need many weights.
        dtype : {"float32", "float16", "int8"}, default=None
            How weights are stored afterwards; None means as before.

        Returns
        -------
        self : XRLinearClassifier
            The changed estimator.

        Raises
        ------
        ValueError
            If a limit is out of its range.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(weight_dtype="float32", random_state=0).fit(X, Y)
        >>> before = clf.nbytes_
        >>> clf.prune(energy=0.9, dtype="int8").nbytes_ < before / 2
        True
        """
        check_limits(threshold, energy, max_weights_per_label, dtype)
        self.model_ = self.model_.pruned(
            threshold=threshold / self.row_length_,
            energy=energy,
            max_weights_per_label=max_weights_per_label,
            dtype=dtype,
        )
        warn_of_lost_weights(self.weights_, threshold)
