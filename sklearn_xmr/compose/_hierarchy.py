"""Answers that a thesaurus makes consistent, and that fall back to broader labels."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_xmr.base import BlockwiseRankingMixin, RawInstancesMixin
from sklearn_xmr.compose._calibrated import XRCalibratedClassifier
from sklearn_xmr.compose._consistent_scores import (
    any_below,
    largest_below,
    strictly_above,
)
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    further_metadata,
    probabilities_at,
    retrieved_matrix,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.preprocessing import Thesaurus
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._rankings import csr_from_topk, topk_of_csr, values_at
from sklearn_xmr.utils._response import check_same_labels
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    raise_for_params,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, RandomState, Self

N_RETRIEVED = 50  # by the default model: broader labels take places of narrow ones


@storable
class XRHierarchyClassifier(RawInstancesMixin, BlockwiseRankingMixin, BaseEstimator):
    """Make a classifier's answers consistent with a thesaurus.

    A label's broader labels are at least as probable as the label, in each ranking
    they come first, and ``predict`` returns them with it. Where no narrow label is
    probable enough but a broader one is, ``predict`` falls back to that.

    Parameters
    ----------
    estimator : estimator, default=None
        With ``predict_proba`` that gives a matrix with a column for each label, best a
        sparse one of the best labels. Thresholds and "combine" need probabilities, not
        scores: None means :class:`XRCalibratedClassifier`, of 50 labels.
    thesaurus : Thesaurus, default=None
        Column j of y is its concept j, and y has a column for each: see
        :meth:`Thesaurus.aligned_with` and :meth:`Thesaurus.with_ancestors`. None: no
        label is broader than another.
    broader : {"learn", "combine"}, default="learn"
        Where the probability of a broader label comes from. "learn": broader labels are
        positives of each instance of a narrower one, and learnt as any label; a larger
        ``top_k`` of the model leaves room for narrow labels beside them. "combine": the
        model learns the most specific labels only; a broader one is right where any of
        those below is, ``1 - prod(1 - p)``, as if they were independent.
    most_specific : bool, default=False
        Whether ``predict`` leaves out labels that a narrower one implies.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    random_state : int, RandomState instance or None, default=None
        Seeds a model that has no seed of its own.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model.
    thesaurus_ : Thesaurus or None
        That of the fit.
    broader_ : {"learn", "combine"}
        That of the fit.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    sklearn_xmr.metrics.hierarchical_f1_at_k : A near miss counts more than a far one.
    sklearn_xmr.inspection.view_in_thesaurus : Shows answers where they stand.

    Notes
    -----
    ``most_specific``, ``top_k``, ``decision_threshold`` and ``min_labels`` take effect
    without a refit; what the model's own ``predict_proba`` does not retrieve has no
    part in probabilities. For "combine", ``sklearn.frozen.FrozenEstimator(model)``
    takes a model that is fitted already. y means the same with and without broader
    labels, and so it does in ``score``; metrics and scorers take y as it is, see
    :meth:`Thesaurus.with_ancestors`.

    References
    ----------
    S. Kiritchenko, S. Matwin, R. Nock, A. F. Famili. "Learning and Evaluation in the
    Presence of Class Hierarchies: Application to Text Categorization", Canadian AI
    2006, for consistent answers and for "learn".

    Examples
    --------
    >>> from sklearn_xmr import Thesaurus, XRHierarchyClassifier, XRLinearClassifier
    >>> thesaurus = Thesaurus.from_paths(
    ...     ["animal > cat", "animal > dog", "plant > oak"])
    >>> X = [[1, 1, 0], [1, 0, 1], [0, 0, 1]]
    >>> Y = thesaurus.with_ancestors([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> clf = XRHierarchyClassifier(
    ...     XRLinearClassifier(random_state=0), thesaurus=thesaurus).fit(X, Y)
    >>> thesaurus.names_of(clf.predict_topk([[1, 1, 0]], k=2))
    [['animal', 'cat']]
    """

    _acting_parameters = (
        "top_k",
        "decision_threshold",
        "min_labels",
        "most_specific",
    )
    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "thesaurus": [Thesaurus, None],
        "broader": [StrOptions({"learn", "combine"})],
        "most_specific": ["boolean"],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Estimator | None = None,
        *,
        thesaurus: Thesaurus | None = None,
        broader: Literal["learn", "combine"] = "learn",
        most_specific: bool = False,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        top_k: int = 20,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.thesaurus = thesaurus
        self.broader = broader
        self.most_specific = most_specific
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.top_k = top_k
        self.random_state = random_state

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Fit the model, on labels that agree with the thesaurus.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances. Texts and tables go unread to a model that takes them, such as a
            pipeline with a vectorizer.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, with a column for each concept of the thesaurus,
            with or without the broader ones of each label; without a thesaurus also one
            class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a model whose ``fit`` takes them. An
            instance of weight 0 is left out.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label, for a model whose ``fit`` takes it:
            non-negative, zero outside the positives of y. A broader label that is
            added has the largest of those below it.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, for a model whose ``fit`` takes them: its
            non-zeros.
        **fit_params : dict
            Further metadata that the model requests, where scikit-learn's metadata
            routing is enabled.

        Returns
        -------
        self : XRHierarchyClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; if y has not a column for each concept; or if something is given
            that the model does not take.
        """
        raise_for_params(fit_params, self, "fit")
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        data = self._agreeing(data)
        base = seeded(self._model(), check_random_state(self.random_state))
        more = further_metadata(X, fit_params, sample_weight)
        routed = route_fit(self, {"estimator": base}, data, more)
        self.estimator_ = fit_model(base, data, routed["estimator"])
        return self

    def _has_default_model(self):
        return self.estimator is None

    def _model(self):
        if self.estimator is None:
            trees = asking(XRLinearClassifier(top_k=N_RETRIEVED))
            return asking(XRCalibratedClassifier(trees, top_k=N_RETRIEVED))
        return self.estimator

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the model.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, {"estimator": self._model()})

    def _agreeing(self, data):
        """Training data with the labels that the model is to learn."""
        self.thesaurus_, self.broader_ = self.thesaurus, self.broader
        if self.thesaurus is None:
            return data
        self._check_columns()
        if self.broader == "combine":
            Y = _plain(self.thesaurus.most_specific(data.Y))
            relevance = data.relevance
            if relevance is not None:
                relevance = sparse.csr_matrix(relevance.multiply(Y))
            return replace(data, Y=Y, relevance=relevance)
        Y = _plain(self.thesaurus.with_ancestors(data.Y))
        relevance = data.relevance
        if relevance is not None:
            relevance = largest_below(relevance, self._closure()).astype(np.float32)
        return replace(data, Y=Y, relevance=relevance)

    def _check_columns(self):
        if not self.target_form_.is_multilabel:
            raise ValueError(
                "y must be a label indicator where there is a thesaurus, got one class "
                "for each instance: a class has its broader ones beside it"
            )
        n_concepts = self.thesaurus.n_concepts
        if self.n_labels_ != n_concepts:
            raise ValueError(
                f"y must have a column for each of the {n_concepts} concepts of the "
                f"thesaurus, got {self.n_labels_}: thesaurus.with_ancestors(y) adds "
                "those of broader concepts, thesaurus.aligned_with(labels) leaves out "
                "concepts that no label needs"
            )
        names, ids = self.target_form_.names, self.thesaurus.ids
        if names is not None and set(names) == set(ids) and list(names) != list(ids):
            raise ValueError(
                "y must have its columns in the order of the thesaurus, but they are "
                "its concepts in another one: select y[list(thesaurus.ids)]"
            )

    def _closure(self):
        """Each label with those broader than it, as CSR of ones."""
        if self.thesaurus_ is None:
            return sparse.identity(self.n_labels_, dtype=np.float32, format="csr")
        return sparse.csr_matrix(self.thesaurus_.closure)

    def _heights(self):
        if self.thesaurus_ is None:
            return np.zeros(self.n_labels_, dtype=np.int64)
        return self.thesaurus_.heights

    def _consistent(self, scores):
        """Probabilities of what the model retrieves, and of what is broader."""
        scores = sparse.csr_matrix(scores)
        scores.data = np.clip(scores.data, 0, np.nextafter(1, 0, dtype=np.float32))
        way = any_below if self.broader_ == "combine" else largest_below
        return strictly_above(way(scores, self._closure()), self._heights())

    def _rank(self, X, k):
        scores = retrieved_matrix(self.estimator_, X)
        return topk_of_csr(self._consistent(scores), k)

    def _score_pairs(self, X, pairs):
        """Of a pair that was not retrieved, what the model says of it."""
        if pairs.nnz == 0:
            return np.empty(0, dtype=np.float32)
        known = self._consistent(retrieved_matrix(self.estimator_, X))
        own = probabilities_at(self.estimator_, X, pairs)
        return np.maximum(values_at(known, pairs), own)

    def _passes(self, labels, probabilities):
        passes = super()._passes(labels, probabilities)
        if not self.most_specific or self.thesaurus_ is None:
            return passes
        chosen = np.where(passes, labels, -1)
        ones = np.ones(labels.shape, dtype=np.float32)
        chosen = csr_from_topk(chosen, ones, self.n_labels_)
        left = sparse.csr_matrix(self.thesaurus_.most_specific(chosen))
        rows = np.arange(len(labels))[:, None]
        return passes & (left[rows, np.maximum(labels, 0)].toarray() > 0)

    @on_snapshot
    def score(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return precision at 1, where broader labels of true ones are true.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            True labels, with or without the broader ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances.

        Returns
        -------
        float
            Precision, or accuracy for a 1-D y, from 0 to 1.

        Raises
        ------
        ValueError
            If y has other labels than the model, or X other features.
        """
        if self.thesaurus_ is not None:
            check_same_labels(self, y)
            self.target_form_.check_names(y)
            y = self.thesaurus_.with_ancestors(y)
        return super().score(X, y, sample_weight)


def _plain(Y):
    """An indicator in the form that TrainingData has it."""
    return sparse.csr_matrix(Y, dtype=np.float32)
