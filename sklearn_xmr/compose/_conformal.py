"""Label sets whose expected loss is kept to a level, of any ranking classifier."""

import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_xmr.base import (
    BlockwiseRankingMixin,
    RankingClassifierMixin,
    RawInstancesMixin,
    retrieved_probabilities,
)
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    further_metadata,
    probabilities_at,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.compose._frozen import FrozenModelMixin
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.compose._risk_control import RankedTruth, confidence_threshold
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._held_out import VALIDATION_SIZE, held_out_split
from sklearn_xmr.utils._indicator import frequency_groups
from sklearn_xmr.utils._matrices import align_sparse_type
from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._response import (
    label_columns,
    last_step,
    topk_of_scores,
)
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    raise_for_params,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import (
    CSR,
    DenseOrSparse,
    Estimator,
    MatrixLike,
    RandomState,
    Self,
)


@storable
class XRConformalClassifier(
    FrozenModelMixin, RawInstancesMixin, BlockwiseRankingMixin, BaseEstimator
):
    """Predict sets of labels that keep an expected loss to a level.

    The model is fitted without some held-out instances. On these, the threshold of the
    scores is chosen by conformal risk control, so that for new instances the expected
    share of missed labels, or of wrong ones in the set, is at most ``alpha``. That
    holds for any model and any distribution, if new instances come from the same one
    as the held-out instances.

    Parameters
    ----------
    estimator : estimator, default=None
        With ``predict_proba`` that gives a matrix with a column for each label; None
        means :class:`XRLinearClassifier`. A fitted model in a
        :class:`sklearn.frozen.FrozenEstimator` is left as it is: ``fit`` then takes
        instances that it has not seen, and learns from all of them.
    risk : {"recall", "false_discovery"}, default="recall"
        What is kept to ``alpha``: the share of an instance's labels that its set
        misses, in expectation over instances that have a label (recall of at least
        1 - ``alpha``); or the share of wrong labels in the set, 0 for an empty one, in
        expectation over all instances.
    alpha : float, default=0.1
        The level of the risk, between 0 and 1.
    frequency_bounds : sequence of int, default=None
        Numbers of training instances between bands of labels, ascending: each band has
        a threshold of its own, and the level holds for the labels of each band alone.
        None: one threshold for all.
    label_counts : array-like of shape (n_labels,), default=None
        Training instances of each label, for ``frequency_bounds``. None: those of the
        instances that the model is fitted on; needed for a frozen model.
    min_precision : float, default=None
        Give no answer, an empty set, where the best label is in doubt: of the answered
        instances, the best label is right for at least this share, with probability
        1 - ``delta``. None: answer all. Half of the held-out instances choose the
        confidence that an answer needs, the others the sets of answered instances.
    delta : float, default=0.05
        Probability that ``min_precision`` is missed.
    max_set_size : int, default=100
        Labels of each instance that a set is chosen from, the best.
    validation_size : int or float, default=None
        Instances (number, or share) that are held out. None: a tenth, but at least
        1,000 and at most 10,000, and never more than a third; of a frozen model, all,
        and nothing else may be given.
    top_k : int, default=20
        Labels that ``predict_topk`` and ``predict_proba`` retrieve.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out instances, and seeds a model that has no seed of its own.
    verbose : int, default=0
        1 prints a line for each part of the training.

    Attributes
    ----------
    estimator_ : estimator
        The model, fitted on the instances that are not held out; a copy of a frozen
        one, which takes labels as columns.
    thresholds_ : ndarray of float64 of shape (n_bands,)
        The least probability in a set, of the labels of each band, rarest first; -inf
        where all retrieved labels belong to it, inf where none.
    levels_ : ndarray of float64 of shape (n_bands,)
        The level that holds in each band: ``alpha``, or the least that can be had
        where even sets of all retrieved labels do not reach it.
    label_bands_ : ndarray of int64 of shape (n_labels,)
        Band of each label; zeros without ``frequency_bounds``.
    confidence_threshold_ : float
        Instances whose best label has a larger probability are answered.
    n_retrieved_ : int
        Labels of each instance that a set is chosen from.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    target_form_ : TargetForm
        The form of y; of a frozen model, of that which it was fitted on.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    Warns
    -----
    UserWarning
        By ``fit``, where the level is out of reach, with the one that can be had: true
        labels that the model does not retrieve are in no set. More of them are found
        with a larger ``max_set_size``, and ``beam_size`` of a label tree.

    See Also
    --------
    XRCalibratedClassifier : Calibrated probabilities, and a threshold for best F1.
    sklearn_xmr.inspection.CoveragePrecisionDisplay : Precision of what is answered.

    Notes
    -----
    The model is not fitted again on all instances, as that of
    :class:`XRCalibratedClassifier` is: it would have seen the held-out instances, whose
    scores say how it deals with new ones.

    The held-out instances are drawn at random. Where that leaves copies of them, or
    what else belongs together, among those that the model is fitted on, hold out whole
    groups yourself, and give the fitted model frozen.

    With L the mean loss of n held-out instances, the bound (n L + 1) / (n + 1) is kept
    to ``alpha``. The loss has to grow with the threshold in one direction. Missed
    labels do; for the share of wrong labels the largest of the set and of all smaller
    ones is taken, which is at least as large: the real share is mostly below
    ``alpha``. The expectation is over held-out and new instances; one draw of the
    former can be lucky or not. Near the level that can just be reached, the expected
    loss is at most the mean of the larger of ``alpha`` and that level.

    Recall counts instances that have a label, and in a band those that have a label of
    the band. Recall over all labels is not kept by what is kept in each band, although
    it mostly follows. False discovery in a band counts all instances, and sets
    without a label of the band as 0.

    A frozen model is used as it is at ``fit``, whatever it learns afterwards. Labels of
    y that it does not know, behind its columns or other classes of a 1-D y, are in no
    set, and missed: recall is that of all right labels. Without them,
    ``Y[:, :model.n_labels_]``, the level would hold for known labels only. They are in
    the band of the rarest labels.

    With ``sample_weight``, the expectation is over new instances that are drawn in
    proportion to such weights. ``top_k`` takes effect without a refit; other settings
    need one, which is quick where the model is frozen. So do settings of the model,
    such as its ``beam_size``: thresholds are of its scores at ``fit``.

    References
    ----------
    A. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster. "Conformal Risk Control",
    ICLR 2024, arXiv 2208.02814. Y. Geifman, R. El-Yaniv. "Selective Classification for
    Deep Neural Networks", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn_xmr import XRConformalClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=3000, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRConformalClassifier(alpha=0.2, random_state=0).fit(X[:2000], Y[:2000])
    >>> sets, Y_test = clf.predict_set(X[2000:]), Y[2000:]
    >>> recall = sets.multiply(Y_test).sum(axis=1) / Y_test.sum(axis=1)
    >>> bool(recall.mean() > 0.78)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "risk": [StrOptions({"recall", "false_discovery"})],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "frequency_bounds": ["array-like", None],
        "label_counts": ["array-like", None],
        "min_precision": [Interval(Real, 0, 1, closed="neither"), None],
        "delta": [Interval(Real, 0, 1, closed="neither")],
        "max_set_size": [Interval(Integral, 1, None, closed="left")],
        "validation_size": VALIDATION_SIZE,
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _acting_parameters = ("top_k",)

    def __init__(
        self,
        estimator: Estimator | None = None,
        *,
        risk: Literal["recall", "false_discovery"] = "recall",
        alpha: float = 0.1,
        frequency_bounds: ArrayLike | None = None,
        label_counts: ArrayLike | None = None,
        min_precision: float | None = None,
        delta: float = 0.05,
        max_set_size: int = 100,
        validation_size: float | None = None,
        top_k: int = 20,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.risk = risk
        self.alpha = alpha
        self.frequency_bounds = frequency_bounds
        self.label_counts = label_counts
        self.min_precision = min_precision
        self.delta = delta
        self.max_set_size = max_set_size
        self.validation_size = validation_size
        self.top_k = top_k
        self.random_state = random_state
        self.verbose = verbose

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
        """Fit the model, unless it is frozen, and choose the thresholds.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances. Texts and tables go unread to a model that takes them, such as a
            pipeline with a vectorizer.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a model whose ``fit`` takes them and
            for the choice of thresholds. An instance of weight 0 is left out.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label, for a model whose ``fit`` takes it:
            non-negative, zero outside the positives of y.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, for a model whose ``fit`` takes them: its
            non-zeros.
        **fit_params : dict
            Further metadata that the model requests, where scikit-learn's metadata
            routing is enabled.

        Returns
        -------
        self : XRConformalClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; if something is given that the model does not take; if y lacks
            columns of a frozen model, or all of its labels; or if ``label_counts`` are
            missing, or weights differ where there is a ``min_precision``.
        NotFittedError
            If a frozen model is not fitted.
        """
        raise_for_params(fit_params, self, "fit")
        self._check_model()
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        self._check_weights(data)
        self._bands(np.zeros(self.n_labels_))  # bad bounds fail before a long fit
        rng = check_random_state(self.random_state)
        more = further_metadata(X, fit_params, sample_weight)
        unseen, counts = self._fit_model(data, more, rng)
        self.label_bands_ = self._bands(counts)
        ranked = self._rank_unseen(unseen)
        ranked = self._choose_confidence(ranked, rng)
        self._choose_thresholds(ranked)
        self._warn_of_levels(unseen.Y)
        return self

    @on_snapshot
    def predict(self, X: MatrixLike) -> DenseOrSparse:
        """Predict the set of labels of each instance; of a 1-D y, the best class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.

        Returns
        -------
        {csr_matrix, ndarray, DataFrame} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator in the form and dtype of y; the best class for a 1-D y,
            whose sets :meth:`predict_set` gives.
        """
        if not self.target_form_.is_multilabel:
            return super().predict(X)
        self._check_room_for("predict", X)
        sets = self._sets(X, self.target_form_.dtype)
        return self._in_form_of_targets(
            sets if self.sparse_output_ else sets.toarray(), X
        )

    @on_snapshot
    def predict_set(self, X: MatrixLike) -> CSR:
        """Predict the set of labels of each instance, sparse whatever the form of y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.

        Returns
        -------
        csr_matrix of int64 of shape (n_samples, n_labels)
            Ones at the labels in the sets, columns in the order of ``classes_``; no
            label for an instance that is not answered.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit.
        """
        return align_sparse_type(self._sets(X, np.int64))

    @on_snapshot
    def answers(self, X: MatrixLike) -> np.ndarray:
        """Tell which instances are answered, as ``min_precision`` asks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or texts or \
                tables of n_samples rows
            Instances.

        Returns
        -------
        ndarray of bool of shape (n_samples,)
            Whether the best label is sure enough; all True without ``min_precision``.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit.
        """
        return self._is_answered(self._rank_blocks(X, self.n_retrieved_)[1])

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the model.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, {"estimator": self._model()})

    def _has_default_model(self):
        return self.estimator is None

    def _model(self):
        return (
            asking(XRLinearClassifier()) if self.estimator is None else self.estimator
        )

    def _check_model(self):
        super()._check_model()
        is_asked = self.frequency_bounds is not None and self.label_counts is None
        if is_asked and self._is_frozen():
            raise ValueError(
                "label_counts must be given for frequency_bounds with a frozen model, "
                "whose training data are not known here: np.bincount(Y.indices, "
                "minlength=Y.shape[1]) of its Y"
            )

    def _check_weights(self, data):
        """ValueError for weights that the bound of ``min_precision`` does not know."""
        weights = data.sample_weight
        if self.min_precision is None or weights is None:
            return
        if np.ptp(weights) > 0:
            raise ValueError(
                "sample_weight must be equal for all instances with min_precision, "
                f"found {weights.min()} to {weights.max()}: it counts right answers"
            )

    def _fit_model(self, data, more, rng):
        """Set the model; return what it has not seen, and its instances by label."""
        if self._is_frozen():
            self._check_unused(data, more)
            return data, None
        base = seeded(self._model(), rng)
        parameters = self._route(base, data, more)
        rest, held_out = held_out_split(data.n_samples, self.validation_size, rng)
        self.estimator_ = fit_model(base, data, parameters, rest)
        log_line(self, f"model: fitted on {len(rest)} instances")
        counts = np.bincount(data.Y[rest].indices, minlength=self.n_labels_)
        return data.rows(held_out), counts

    def _route(self, model, data, more):
        """What else the model's ``fit`` is given."""
        models = {"estimator": model}
        routed = route_fit(self, models, data, more, used=("sample_weight",))
        return routed["estimator"]

    def _bands(self, counts):
        """Band of each label, by its number of training instances."""
        if self.frequency_bounds is None:
            return np.zeros(self.n_labels_, dtype=np.int64)
        if self.label_counts is not None:
            counts = np.asarray(self.label_counts)
            if counts.shape != (self.n_labels_,) or counts.dtype.kind not in "iuf":
                raise ValueError(
                    f"label_counts must hold a number for each of the "
                    f"{self.n_labels_} labels, got {counts.dtype} of shape "
                    f"{counts.shape}"
                )
        return frequency_groups(counts, self.frequency_bounds, "frequency_bounds")

    def _rank_unseen(self, unseen):
        """What the model retrieves for instances that it has not seen."""
        self.n_retrieved_ = min(self.max_set_size, self.n_labels_)
        topk = self._rank_checked(unseen.X, self.n_retrieved_)
        return RankedTruth.of(*topk, unseen.Y, unseen.sample_weight)

    def _choose_confidence(self, ranked, rng):
        """Set what is answered, of half of the instances; return those of the rest."""
        self.confidence_threshold_ = -np.inf
        if self.min_precision is None:
            return ranked
        order = rng.permutation(len(ranked.labels))
        one, other = np.array_split(order, 2)
        part = ranked.rows(one)
        self.confidence_threshold_ = confidence_threshold(
            part.scores[:, 0], part.hits[:, 0], self.min_precision, self.delta
        )
        rest = ranked.rows(other)
        answered = self._is_answered(rest.scores)
        share = f"{answered.sum()} of {len(other)} instances"
        log_line(self, f"answers: above {self.confidence_threshold_:.4g}, {share}")
        if np.isposinf(self.confidence_threshold_):
            warnings.warn(
                f"min_precision={self.min_precision} is not reached for any share of "
                f"{len(one)} held-out instances, with probability {1 - self.delta:g}: "
                "no instance is answered. Lower it, or hold out more",
                UserWarning,
                stacklevel=2,
            )
        return rest.rows(np.flatnonzero(answered))

    def _choose_thresholds(self, ranked):
        """Set the threshold and the level of each band."""
        n_bands = 1 if self.frequency_bounds is None else len(self.frequency_bounds) + 1
        n_unknown = ranked.truth.shape[1] - self.n_labels_
        # Labels that a frozen model lacks are the rarest, and missed.
        bands = np.append(self.label_bands_, np.zeros(n_unknown, dtype=np.int64))
        found = ranked.thresholds(self.risk, self.alpha, bands, n_bands)
        self.thresholds_ = np.array([threshold.score for threshold in found])
        self.levels_ = np.array([threshold.level for threshold in found])
        shown = ", ".join(f"{score:.4g}" for score in self.thresholds_)
        log_line(self, f"sets: from {shown}, by {len(ranked.labels)} instances")

    def _warn_of_levels(self, Y):
        """Say where the level is out of reach, and what can be had."""
        if (self.levels_ <= self.alpha).all() or np.isposinf(
            self.confidence_threshold_
        ):
            return
        why = "there are too few held-out instances: sets are empty"
        if self.risk == "recall":
            why = (
                f"sets of all {self.n_retrieved_} labels that the model retrieves miss "
                "more, or too few held-out instances have a label. Raise max_set_size, "
                "and beam_size of a label tree"
            )
            unknown = np.mean(Y.indices >= self.n_labels_)
            if unknown:
                why += f". The model does not know {unknown:.1%} of the right labels"
        levels = np.array2string(self.levels_, precision=3, separator=", ")
        bands = ", from rare labels to frequent ones" if len(self.levels_) > 1 else ""
        warnings.warn(
            f"alpha={self.alpha} is out of reach: {why}. Levels that can be had: "
            f"{levels}{bands}",
            UserWarning,
            stacklevel=2,
        )

    def _sets(self, X, dtype):
        """Indicator of the sets."""
        labels, scores = self._rank_blocks(X, self.n_retrieved_)
        least = self.thresholds_[self.label_bands_[labels]]
        inside = (labels >= 0) & (scores >= least)
        inside &= self._is_answered(scores)[:, None]
        ones = np.ones(labels.shape, dtype=dtype)
        return csr_from_topk(np.where(inside, labels, -1), ones, self.n_labels_)

    def _is_answered(self, scores):
        return scores[:, 0] > self.confidence_threshold_

    def _rank(self, X, k):
        """The most probable labels and their probabilities, by the model."""
        clf, features = last_step(self.estimator_, X)
        if isinstance(clf, RankingClassifierMixin):
            return retrieved_probabilities(clf, features, k)
        return topk_of_scores(label_columns(clf, clf.predict_proba(features)), k)

    def _score_pairs(self, X, pairs):
        if pairs.nnz == 0:
            return np.empty(0, dtype=np.float32)
        return probabilities_at(self.estimator_, X, pairs)
