"""Learn from new instances, without those of the fit: ``partial_fit``."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state

from sklearn_xmr.base import TrainingData
from sklearn_xmr.linear._data_defaults import DataDefaults
from sklearn_xmr.linear._seen_data import SeenData
from sklearn_xmr.linear._tree_changes import TreeChangesMixin
from sklearn_xmr.linear._tree_updates import update_tree, with_untaught_labels
from sklearn_xmr.utils._fitted_state import (
    change_in_one_step,
    check_parameters,
    fit_in_one_step,
)
from sklearn_xmr.utils._typing import MatrixLike, Self


class OnlineLearningMixin(TreeChangesMixin):
    """``partial_fit`` of an estimator with a ``fit`` and a TreeModel, ``model_``."""

    def partial_fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
        *,
        decay: float = 1.0,
    ) -> Self:
        """Learn from more instances; those of before are not needed.

        The first call is a ``fit``. From then on, the nodes of the tree that an
        instance reaches (those of its labels, and clusters that are taken for them)
        are trained on, from the weights that they have: the more instances a label has
        had, the less a new one changes. Labels that are new join the clusters to which
        the model assigns their instances. For a handful of instances, this takes
        milliseconds.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator, in which columns behind the known ones are new labels; or
            one class per instance, where classes not in ``classes_`` are new. Rows
            without a label are instances for which no label is right.
        classes : array-like of shape (n_labels,), default=None
            For a y of one class per instance: all classes, of which the first call
            needs no instances. In later calls, it must hold those of the model.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights that multiply C of each instance; instances of weight
            0 are ignored.
        relevance : {array-like, sparse matrix} of the shape of y, default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y.
        negatives : sparse matrix of the shape of y, default=None
            Non-zeros are pairs known to be wrong, such as labels that users rejected.
        decay : float in (0, 1], default=1.0
            How much each earlier instance counts from now on, by what it counted
            before: below 1, old instances are forgotten, and new ones change more.

        Returns
        -------
        self : XRLinearClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If the data do not fit those seen before, ``classes`` lacks a class or
            differs from those of the model, or ``decay`` is out of its range. The
            estimator is left unchanged.

        See Also
        --------
        sklearn_xmr.partial_fit : The same for pipelines from texts.
        add_labels : New labels only; all other weights stay the same.

        Notes
        -----
        With ``w0`` the weights of a node and n the number of its positive instances
        of N until now, its new instances minimise the loss and a penalty
        ``1/2 sum_f (1 + c sqrt(n N) m_f) (w_f - w0_f)^2``, where ``m_f`` is the mean
        square of feature f over all instances: the diagonal of a Laplace approximation
        of what the earlier instances say. The result depends on the order of the
        calls. Of a model from :meth:`from_model`, nothing is known about the instances
        before: new ones change it as much as they would change one without any.

        References
        ----------
        K. Crammer, A. Kulesza, M. Dredze. "Adaptive regularization of weight vectors",
        NIPS 2009. H. Ritter, A. Botev, D. Barber. "Online structured Laplace
        approximations for overcoming catastrophic forgetting", NeurIPS 2018.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(random_state=0)
        >>> for first in range(0, 500, 100):
        ...     clf = clf.partial_fit(X[first : first + 100], Y[first : first + 100])
        >>> clf.score(X, Y) > 0.5
        True
        """
        _check_decay(decay)
        others = sample_weight, relevance, negatives
        if hasattr(self, "model_"):
            return self._learn(X, y, classes, others, decay)
        if classes is None:
            return self.fit(X, y, *others)
        return self._fit_declared(X, y, classes, others)

    @fit_in_one_step
    def _fit_declared(self, X, y, classes, others):
        """A fit of classes of which some have no instance yet."""
        self._declared_classes = np.unique(classes)
        type(self).fit(self, X, y, *others)

    @change_in_one_step
    def _learn(self, X, y, classes, others, decay):
        check_parameters(self, self._parameter_constraints)
        if classes is not None:
            self._check_same_classes(classes)
        n_known, known = self.n_labels_, self._seen_until_now()
        data = self._check_new_data(X, y, *others)
        settings = self._settings(check_random_state(self.random_state))
        model = self.model_
        if data.Y.shape[1] > n_known:
            new = data.Y[:, n_known:]
            model = with_untaught_labels(model, data.X, new, settings)
            known = known.with_labels(np.zeros(new.shape[1]))
        known = known.forgotten(decay)
        self.seen_ = known.with_instances(data)
        self.model_ = update_tree(model, data, settings, known)
        if self.seen_.is_complete:
            self._take_defaults_of(self.seen_)

    def _seen_until_now(self):
        seen = getattr(self, "seen_", None)  # no model of before has it
        if seen is None:
            return SeenData.nothing(self.n_labels_, self.n_features_in_)
        return seen

    def _check_new_data(self, X, y, sample_weight, relevance, negatives):
        """Checked data, whose y has the known labels and maybe new ones."""
        X = self._check_instances(X)
        self.target_form_, Y = self.target_form_.extended(y, y)
        check_consistent_length(X, Y)
        return TrainingData.checked(X, Y, sample_weight, relevance, negatives)

    def _check_same_classes(self, classes):
        if not np.array_equal(np.unique(classes), np.unique(self.classes_)):
            raise ValueError(
                f"classes must be those of the first call, which are {self.n_labels_}; "
                f"got {len(classes)}. Leave it out: new classes of y are added"
            )

    def _take_defaults_of(self, seen):
        """Set what "auto" takes, and propensities, by all that has been seen."""
        suited = DataDefaults.of_counts(seen.n_positives, seen.n_samples)
        # Clusters that have grown count as the smaller ones that a fit would have made:
        # 20 parts of Tate's data, P@5 52.6 and 52.7.
        n_clusters = max(self.model_.tree.n_clusters, suited.n_clusters)
        self._take_suited(suited, n_clusters)
        self.target_form_ = self.target_form_.with_counts(
            seen.n_positives, seen.n_samples
        )


def _check_decay(decay):
    if not isinstance(decay, Real) or not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay!r}")
