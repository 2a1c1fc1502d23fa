"""The three stages, each replaceable: group labels, match groups, rank labels."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import check_random_state, get_tags

from sklearn_xmr.base import BlockwiseRankingMixin, TrainingData
from sklearn_xmr.compose._fitting import (
    asking,
    fit_model,
    probabilities_of,
    refuse_settings,
    route_fit,
    router_of_fit,
)
from sklearn_xmr.compose._group_rankers import (
    LinearGroupRanker,
    PerGroupRanker,
    rows_of_groups,
)
from sklearn_xmr.compose._label_groups import LabelCopies, label_groups
from sklearn_xmr.compose._progress import log_line
from sklearn_xmr.indexing import HierarchicalLabelClusterer, LabelTree
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._checkpoint_folders import check_repeatable
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._matrices import align_sparse_type
from sklearn_xmr.utils._rankings import (
    csr_from_topk,
    rows_of_pairs,
    topk_of_csr,
    values_at,
    with_values,
)
from sklearn_xmr.utils._response import last_estimator, last_step, predict_topk
from sklearn_xmr.utils._seeding import seeded
from sklearn_xmr.utils._sklearn import HasMethods, Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import Estimator, MatrixLike, RandomState, Self
from sklearn_xmr.utils._validation import for_set_output

# What has no effect in a linear ranker, which has one level and is given its instances.
WITHOUT_LEVELS = (
    "clusterer",
    "negative_sampling",
    "n_hard_clusters",
    "path_weight",
    "beam_size",
    "label_weight",
    "cost_sensitive",
    "relevance_norm",
    "warm_start",
    "checkpoint_dir",
)


@storable
class XMRClassifier(
    BlockwiseRankingMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking in three stages of your own.

    The indexer groups the labels; the matcher finds the groups that fit an instance;
    the ranker finds the labels inside these groups that do. The score of a label is the
    product of both probabilities, and the best over its groups where it has several.

    Parameters
    ----------
    indexer : LabelTree, clusterer, array-like or sparse matrix, default=None
        The groups:

        - a label clusterer, whose ``fit(X, Y)`` sets ``tree_``:
          :class:`HierarchicalLabelClusterer` (None: with default parameters),
          :class:`RecursiveLabelClusterer`, or one of your own. Its own
          ``representation`` is what it groups labels by;
        - any other clusterer with ``fit_predict`` (KMeans, a pipeline that ends with
          one): fitted on the labels' PIFA vectors, see :func:`label_representation`;
        - a group number for each label; or a label x group matrix, in which a label
          may be in several groups;
        - a :class:`LabelTree`: its leaves.
    matcher : classifier, default=None
        Of many labels, here groups: fitted on the indicator of groups that hold a
        label of the instance. Any of this package, or of scikit-learn with
        ``predict_proba``; one that takes a single label is put into a
        OneVsRestClassifier. None means :class:`XRLinearClassifier`.
    ranker : classifier, default=None
        Of the labels of one group. An :class:`XRLinearClassifier` (None: with default
        parameters) is trained for all groups at once by the block solver; of any
        other classifier (as for ``matcher``), each group gets a clone.
    beam_size : int or None, default=10
        Groups that the matcher proposes for an instance; None for all.
    negative_sampling : {"tfn", "man", "tfn+man"}, default="tfn+man"
        Instances on which a group's ranker is trained:

        - "tfn", teacher forcing: those with a label in the group;
        - "man", matcher-aware: those that the fitted matcher sends to the group,
          together with each label's own positives. Only an
          :class:`XRLinearClassifier` can be trained so;
        - "tfn+man": both.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    random_state : int, RandomState instance or None, default=None
        Seeds the stages that have no seed of their own.
    verbose : int, default=0
        1 prints a line for each stage.

    Attributes
    ----------
    indexer_ : clusterer or None
        The fitted clusterer, where ``indexer`` is one.
    matcher_ : classifier or None
        The fitted matcher; None where there is one group only.
    ranker_ : object
        The fitted rankers of all groups.
    membership_ : csr_matrix of shape (n_labels, n_groups)
        Which labels are in which group.
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
    XRLinearClassifier : The same with linear models on all levels of a tree, faster.

    Notes
    -----
    ``beam_size``, ``top_k``, ``decision_threshold`` and ``min_labels`` take effect
    without a refit.
    With metadata routing enabled, ``matcher`` and ``ranker`` have to request
    ``sample_weight`` if it is given.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_xmr import XMRClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XMRClassifier(
    ...     indexer=KMeans(8, random_state=0), matcher=KNeighborsClassifier(20),
    ...     beam_size=3, random_state=0)
    >>> clf.fit(X[:400], Y[:400]).score(X[400:], Y[400:]) > 0.5
    True
    """

    _block_rows = 2048  # each has the labels of ten groups as candidates

    _parameter_constraints: dict = {
        "indexer": [
            LabelTree,
            HasMethods("fit"),
            "array-like",
            "sparse matrix",
            None,
        ],
        "matcher": [HasMethods(["fit", "predict_proba"]), None],
        "ranker": [HasMethods(["fit", "predict_proba"]), None],
        "beam_size": [Interval(Integral, 1, None, closed="left"), None],
        "negative_sampling": [StrOptions({"tfn", "man", "tfn+man"})],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _acting_parameters = ("beam_size", "top_k", "decision_threshold", "min_labels")

    def __init__(
        self,
        indexer: LabelTree | MatrixLike | Estimator | None = None,
        matcher: Estimator | None = None,
        ranker: Estimator | None = None,
        *,
        beam_size: int | None = 10,
        negative_sampling: Literal["tfn", "man", "tfn+man"] = "tfn+man",
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.indexer = indexer
        self.matcher = matcher
        self.ranker = ranker
        self.beam_size = beam_size
        self.negative_sampling = negative_sampling
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.random_state = random_state
        self.verbose = verbose

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Group the labels, fit the matcher, fit the rankers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a matcher and a ranker whose ``fit``
            takes them. An instance of weight 0 is left out.

        Returns
        -------
        self : XMRClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; if ``indexer`` does not give a group for each label; if
            ``negative_sampling`` does not suit the ranker; or if weights are given
            that neither matcher nor ranker takes.
        """
        check_repeatable(self)
        data = self._check_training(X, y, sample_weight)
        rng = check_random_state(self.random_state)
        indexer, matcher, ranker = self._stages(rng)
        self._check_sampling(ranker)
        refuse_settings(last_estimator(matcher), ("label_weight",), "matcher")
        if _is_linear(ranker):
            refuse_settings(ranker, WITHOUT_LEVELS, "ranker")
        given = route_fit(self, {"matcher": matcher, "ranker": ranker}, data)
        membership, self.indexer_ = label_groups(indexer, data.X, data.Y)
        self.membership_ = align_sparse_type(membership)
        self._copies = LabelCopies(membership)
        log_line(self, f"groups: {self._copies.n_groups} of {self.n_labels_} labels")
        teacher = _groups_of_instances(data.Y, membership)
        self.matcher_ = _fit_matcher(matcher, data, teacher, given["matcher"])
        log_line(self, f"matcher: {self.matcher_!r}")
        self.ranker_ = self._fit_rankers(ranker, data, teacher, given["ranker"], rng)
        log_line(self, f"rankers: {ranker!r} in each group")
        return self

    def _models(self):
        """Unfitted matcher and ranker by name."""
        given = {"matcher": self.matcher, "ranker": self.ranker}
        return {
            name: asking(XRLinearClassifier()) if one is None else _for_many_labels(one)
            for name, one in given.items()
        }

    def _stages(self, rng):
        """Unfitted indexer, matcher and ranker, with seeds where none are set."""
        indexer = self.indexer
        if indexer is None:
            indexer = HierarchicalLabelClusterer()
        if not isinstance(indexer, LabelTree) and hasattr(indexer, "fit"):
            indexer = seeded(indexer, rng)
        matcher, ranker = (seeded(model, rng) for model in self._models().values())
        return indexer, matcher, ranker

    def _check_sampling(self, ranker):
        if self.negative_sampling == "man" and not _is_linear(ranker):
            raise ValueError(
                "negative_sampling must be 'tfn' or 'tfn+man' for a ranker other than "
                "XRLinearClassifier, which alone can count an instance for its own "
                f"labels only, got 'man' for {type(ranker).__name__}"
            )

    def _fit_rankers(self, ranker, data, teacher, parameters, rng):
        matching = None
        if self.negative_sampling != "tfn":
            matching = self._matching(data.X)
        rows = rows_of_groups(self.negative_sampling, teacher, matching)
        kind = LinearGroupRanker if _is_linear(ranker) else PerGroupRanker
        return kind(ranker, self._copies).fit(data, teacher, rows, parameters, rng)

    def get_metadata_routing(self):
        """Which metadata of ``fit`` go to the matcher and to the ranker.

        Returns
        -------
        MetadataRouter
            See scikit-learn's user guide, "Metadata Routing".
        """
        return router_of_fit(self, self._models())

    @on_snapshot
    def transform(self, X: MatrixLike) -> Any:
        """Matching scores: which groups of labels fit each instance.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_groups)
            The matcher's scores of the ``beam_size`` best groups; a dense table where
            ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If X does not fit the data seen in fit.
        """
        return for_set_output(self, self._matching(self._check_instances(X)))

    def _matching(self, X):
        """CSR (n_samples, n_groups) of the best groups' scores, sorted indices."""
        n_groups = self._copies.n_groups
        k = n_groups if self.beam_size is None else min(self.beam_size, n_groups)
        if self.matcher_ is None:
            topk = np.zeros((X.shape[0], 1), int), np.ones((X.shape[0], 1), np.float32)
        else:
            groups, scores = predict_topk(self.matcher_, X, k)
            topk = groups, probabilities_of(last_estimator(self.matcher_), scores)
        return csr_from_topk(*topk, n_groups).astype(np.float32)

    def _matching_at(self, X, groups):
        """The matcher's scores at the pairs that a CSR (n_samples, n_groups) stores."""
        if self.matcher_ is None:
            return with_values(groups, np.ones(groups.nnz, dtype=np.float32))
        matcher, features = last_step(self.matcher_, X)
        if hasattr(matcher, "score_pairs"):
            scores = matcher.score_pairs(features, groups).data
            return with_values(groups, probabilities_of(matcher, scores))
        topk = predict_topk(self.matcher_, X, groups.shape[1])
        scores = csr_from_topk(*topk, groups.shape[1])
        return with_values(groups, values_at(scores, groups))

    def _rank(self, X, k):
        return topk_of_csr(self._score_labels(X, self._matching(X)), k)

    def _score_pairs(self, X, pairs):
        """Scores of pairs, through all groups of each label."""
        groups = _groups_of_instances(pairs.astype(np.float32), self.membership_)
        return values_at(self._score_labels(X, self._matching_at(X, groups)), pairs)

    def _score_labels(self, X, matching):
        """Score of each label of the groups that ``matching`` stores, as CSR."""
        copies, starts = self._copies.of_groups(matching.indices)
        sizes = np.diff(starts)
        scores = self.ranker_.score(X, matching, copies, starts)
        scores = scores * np.repeat(matching.data, sizes)
        rows = np.repeat(rows_of_pairs(matching), sizes)
        return self._copies.best_of_labels(rows, copies, scores, X.shape[0])

    @property
    def _n_features_out(self):
        return self.membership_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _is_linear(ranker):
    """Whether a ranker can be trained in all groups at once."""
    return hasattr(ranker, "solver_settings")


def _for_many_labels(classifier):
    """One classifier for each label, where it does not take many itself."""
    tags = get_tags(classifier).classifier_tags
    if tags is None or tags.multi_label:
        return classifier
    return OneVsRestClassifier(classifier)


def _groups_of_instances(Y, membership):
    """Groups that hold a label of each instance: CSR of ones, sorted indices."""
    groups = Y @ sparse.csr_matrix(membership)
    groups.sort_indices()
    groups.data[:] = 1
    return groups


def _fit_matcher(matcher, data, teacher, parameters):
    """The fitted matcher, or None where there is one group only."""
    if teacher.shape[1] == 1:
        return None
    groups = TrainingData(data.X, teacher, data.sample_weight)
    return fit_model(matcher, groups, parameters)
