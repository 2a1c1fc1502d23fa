"""The three stages, each replaceable: group labels, match groups, rank labels."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sklearn_xmr.compose._base import BlockwiseRankingMixin, fit_weighted, targets_for
from sklearn_xmr.compose._candidates import rows_of_pairs
from sklearn_xmr.compose._group_rankers import LinearGroupRanker, PerGroupRanker
from sklearn_xmr.compose._label_groups import LabelCopies, label_groups
from sklearn_xmr.indexing import HierarchicalLabelClusterer, LabelTree
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.metrics import predict_topk
from sklearn_xmr.utils.seeding import seeded
from sklearn_xmr.utils.topk import csr_from_topk, topk_of_csr
from sklearn_xmr.utils.validation import (
    check_weights,
    for_set_output,
    rows_of_weight,
)


class XMRClassifier(
    BlockwiseRankingMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking in three stages of your own.

    The indexer groups the labels; the matcher tells which groups fit an instance; the
    ranker tells which labels inside these groups do. The score of a label is the
    product of both probabilities, and the best over its groups where it has several.

    Parameters
    ----------
    indexer : LabelTree, clusterer, array-like or sparse matrix, default=None
        The groups:

        - :class:`HierarchicalLabelClusterer`, fitted on ``(X, Y)``; None means one
          with default parameters;
        - any clusterer with ``fit_predict`` (KMeans, a pipeline that ends with one):
          fitted on the labels' PIFA vectors, see :func:`label_representation`;
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
    n_groups : int, default=10
        Groups that the matcher proposes for an instance.
    negative_sampling : {"tfn", "tfn+man"}, default="tfn+man"
        Instances on which a group's ranker is trained: those with a label in the group
        (teacher forcing), or also those that the fitted matcher sends there, as hard
        negatives.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    random_state : int, RandomState instance or None, default=None
        Seeds the stages that have no seed of their own.

    Attributes
    ----------
    indexer_ : clusterer or None
        The fitted clusterer, where ``indexer`` is one.
    matcher_ : classifier
        The fitted matcher.
    ranker_ : object
        The fitted rankers of all groups.
    membership_ : csr_matrix of shape (n_labels, n_groups)
        Which labels are in which group.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    XRLinearClassifier : The same with linear models on all levels of a tree, faster.

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
    ...     n_groups=3, random_state=0)
    >>> clf.fit(X[:400], Y[:400]).score(X[400:], Y[400:]) > 0.5
    True
    """

    _block_rows = 2048  # each has the labels of ten groups as candidates

    _parameter_constraints: dict = {
        "indexer": [
            LabelTree,
            HasMethods("fit_predict"),
            "array-like",
            "sparse matrix",
            None,
        ],
        "matcher": [HasMethods(["fit", "predict_proba"]), None],
        "ranker": [HasMethods(["fit", "predict_proba"]), None],
        "n_groups": [Interval(Integral, 1, None, closed="left")],
        "negative_sampling": [StrOptions({"tfn", "tfn+man"})],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        indexer=None,
        matcher=None,
        ranker=None,
        *,
        n_groups=10,
        negative_sampling="tfn+man",
        top_k=20,
        decision_threshold=0.5,
        random_state=None,
    ):
        self.indexer = indexer
        self.matcher = matcher
        self.ranker = ranker
        self.n_groups = n_groups
        self.negative_sampling = negative_sampling
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Group the labels, fit the matcher, fit the rankers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of instances, for a matcher and a ranker whose ``fit``
            takes them. An instance of weight 0 takes no part at all.

        Returns
        -------
        self
        """
        X, Y = self._check_training(X, y)
        weight = check_weights(sample_weight, Y.shape[0])
        weight, X, Y = rows_of_weight(weight, X, Y)
        rng = check_random_state(self.random_state)
        indexer, matcher, ranker = self._stages(rng)
        self.membership_, self.indexer_ = label_groups(indexer, X, Y)
        self._copies = LabelCopies(self.membership_)
        teacher = Y @ self.membership_
        teacher.sort_indices()
        teacher.data[:] = 1
        self.matcher_ = _fit_matcher(matcher, X, teacher, weight)
        matched = self._matching(X) if self.negative_sampling == "tfn+man" else None
        linear = isinstance(ranker, XRLinearClassifier)
        kind = LinearGroupRanker if linear else PerGroupRanker
        self.ranker_ = kind(ranker, self._copies).fit(
            X, Y, teacher, matched, weight, rng
        )
        return self

    def _stages(self, rng):
        """Unfitted indexer, matcher and ranker, with seeds where none are set."""
        indexer = self.indexer
        if indexer is None:
            indexer = HierarchicalLabelClusterer()
        if not isinstance(indexer, LabelTree) and hasattr(indexer, "fit"):
            indexer = seeded(indexer, rng)
        default = XRLinearClassifier()
        matcher = seeded(default if self.matcher is None else self.matcher, rng)
        ranker = seeded(default if self.ranker is None else self.ranker, rng)
        return indexer, _for_many_labels(matcher), _for_many_labels(ranker)

    def transform(self, X):
        """Matching scores: which groups of labels fit each instance.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_groups)
            The matcher's scores of the ``n_groups`` best groups; a dense table where
            ``set_output`` asks for one.
        """
        return for_set_output(self, self._matching(self._check_instances(X)))

    def _matching(self, X):
        """CSR (n_samples, n_groups) of the best groups' scores, sorted indices."""
        if self.matcher_ is None:
            n_rows = X.shape[0]
            topk = np.zeros((n_rows, 1), int), np.ones((n_rows, 1), np.float32)
        else:
            topk = predict_topk(self.matcher_, X, self.n_groups)
        return csr_from_topk(*topk, self._copies.n_groups).astype(np.float32)

    def _rank(self, X, k, weight):
        matching = self._matching(X)
        copies, starts = self._copies.of_groups(matching.indices)
        sizes = np.diff(starts)
        scores = self.ranker_.score(X, matching, copies, starts)
        scores = scores * np.repeat(matching.data, sizes)
        rows = rows_of_pairs(matching)
        best = self._copies.best_of_labels(
            np.repeat(rows, sizes), copies, scores, X.shape[0]
        )
        return topk_of_csr(best, k)

    @property
    def _n_features_out(self):
        return self.membership_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _for_many_labels(classifier):
    """One classifier for each label, where it does not take many itself."""
    tags = get_tags(classifier).classifier_tags
    if tags is None or tags.multi_label:
        return classifier
    return OneVsRestClassifier(classifier)


def _fit_matcher(matcher, X, teacher, weight):
    """The fitted matcher, or None where there is one group only."""
    if teacher.shape[1] == 1:
        return None
    return fit_weighted(matcher, X, targets_for(matcher, teacher), weight)
