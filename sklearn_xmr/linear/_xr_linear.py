"""XR-Linear: a linear ranker at every node of a label tree."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_X_y, validate_data

from sklearn_xmr.indexing import HierarchicalLabelClusterer, LabelTree
from sklearn_xmr.linear._chunked_weights import VALUE_TYPES
from sklearn_xmr.linear._compression import CompressionMixin
from sklearn_xmr.linear._incremental import IncrementalMixin
from sklearn_xmr.linear._prediction import (
    POST_PROCESSORS,
    TreePredictionMixin,
    root_rows,
)
from sklearn_xmr.linear._training import (
    SolverSettings,
    level_targets,
    make_level_problem,
    solve_levels,
)
from sklearn_xmr.linear._tree_search import TreeSearch
from sklearn_xmr.utils.callbacks import CallbackMixin
from sklearn_xmr.utils.hybrid import HybridFeatures, as_hybrid
from sklearn_xmr.utils.seeding import draw_seed, seed_if_unset
from sklearn_xmr.utils.topk import csr_from_topk
from sklearn_xmr.utils.validation import (
    as_csr_float32,
    check_negatives,
    check_relevance,
    check_weights,
    for_set_output,
    rows_of_weight,
)

DEFAULT_BRANCHING_FACTOR = 100
DEFAULT_LEAF_SIZE = 96  # three blocks of 32 labels, which the solver takes at once


class XRLinearClassifier(
    TreePredictionMixin,
    CompressionMixin,
    IncrementalMixin,
    CallbackMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking by linear models on a label tree (XR-Linear).

    Labels are grouped into a tree. At each node a linear model per child tells
    which children fit an instance; it is trained against its siblings on the
    instances that reach the node. Prediction descends the tree with a beam, so that
    only a few of the labels are ever scored.

    Parameters
    ----------
    clusterer : LabelTree or estimator, default=None
        The label tree, or an unfitted estimator whose ``fit(X, Y)`` sets ``tree_``;
        None means a :class:`HierarchicalLabelClusterer` with ``branching_factor=100``
        and ``max_leaf_size=96``: trees of few levels lose less on the way down.
    C : float, default=1.0
        Inverse strength of the L2 regularisation.
    positive_cost : float, default=1.0
        Multiplies C for positive instances of a label (or node).
    negative_cost : float, default=1.0
        Multiplies C for negative instances.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of the binary problems.
    negative_sampling : {"tfn", "man", "tfn+man"}, default="tfn"
        The instances on which the children of a node are trained:

        - "tfn", teacher forcing: those with a label under the node;
        - "man", matcher-aware: those whose beam reaches the node, given the levels
          trained before, together with each child's own positives;
        - "tfn+man": both.
    beam_size : int or None, default=10
        Nodes kept per level at prediction (and for matcher-aware negatives). None
        finds the exact best labels, by opening the best node first until no other can
        hold a better label.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    weight_threshold : float, default=0.09
        Weights of smaller absolute value are dropped; intercepts are kept. A weight
        that no sibling shares its feature with takes twice the space, and is dropped
        below twice the threshold.
    weight_dtype : {"int8", "float16", "float32"}, default="int8"
        How weights are stored: "int8" as one of 255 steps up to the largest of its
        label, which costs no precision and a quarter of the memory of "float32".
    post_processor : str, default="l3_hinge"
        Score s of a margin v, multiplied along the path: "sigmoid",
        ``1 / (1 + exp(-v))``, or "l1_hinge" to "l4_hinge",
        ``exp(-max(0, 1 - v) ** p)``. With the prefix ``"log_"`` scores are the
        logarithms. "noop" ranks labels by their own margin alone.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks labels by weight times score; the search takes weights
        into account on all levels, so that ``beam_size=None`` is exact.
        "inverse_propensity" favours rare labels as propensity-scored metrics do
        (``1 / propensities_``). ``predict_proba`` and ``predict`` know no weights.
    cost_sensitive : {None, "induce", "ranker_only", "propensity"}, default=None
        How relevance weighs the positives. "induce": a node's relevance is the sum
        over its labels, at every level; without a ``relevance`` given to ``fit``, the
        number of its positive labels. "ranker_only": on the label level only.
        "propensity": there too, each positive (or its relevance) divided by the
        label's propensity, so that rare labels are missed less. None means "induce"
        where ``fit`` gets a relevance, and no weights otherwise.
    relevance_norm : {None, "l1", "l2", "max"}, default=None
        Norm by which each instance's relevance is scaled, level by level.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    bias : float, default=1.0
        Value of a constant feature whose weight, regularised like the others, is
        the intercept; 0 trains without one.
    tol : float, default=0.5
        Stopping tolerance of dual coordinate descent: the range of the projected
        gradients (squared hinge, hinge) or the largest gradient (logistic).
    max_iter : int, default=100
        Most passes over a node's instances.
    warm_start : bool, default=False
        Whether ``fit`` keeps the label tree of the fit before, for other settings or
        newer data, and trains its weights only. Labels that y has more join the
        clusters that the model sends their instances to.
    random_state : int, RandomState instance or None, default=None
        Seeds the default clusterer and the order of the passes. The same seed gives
        the same model, whatever the number of threads.
    verbose : int, default=0
        1 prints a line for the tree and for each of its levels. Progress bars come
        from ``set_callbacks`` (scikit-learn 1.9).

    Attributes
    ----------
    tree_ : LabelTree
        The label tree.
    clusterer_ : estimator
        The fitted clusterer, unless ``clusterer`` is a LabelTree.
    weights_ : list of ChunkedWeights
        Weights of each level, from the root down.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    propensities_ : ndarray of float32 of shape (n_labels,)
        How likely a relevant label was observed, by its frequency; see
        :func:`sklearn_xmr.metrics.propensity_scores`.
    n_iter_ : int
        Most passes that any node needed.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices: for a
        sparse Y.
    n_features_in_ : int
        Number of features seen during fit.
    n_dense_features_ : int
        How many of them were a dense block: 0 unless X was HybridFeatures.
    feature_names_in_ : ndarray of str
        Names of features, where X has them.

    See Also
    --------
    HierarchicalLabelClusterer : The default tree.
    sklearn_xmr.metrics.make_topk_scorer : Scorers for model selection.

    Notes
    -----
    Threads follow OpenMP's settings and threadpoolctl. ``beam_size``, ``top_k``,
    ``post_processor``, ``label_weight`` and ``decision_threshold`` take effect without
    a refit.
    Nothing of the size of features x labels is made: each node is solved on its
    own features and writes the chunk that the search reads.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).
    C.-J. Hsieh et al. "A dual coordinate descent method for large-scale linear
    SVM", ICML 2008. H.-F. Yu, F.-L. Huang, C.-J. Lin, "Dual coordinate descent
    methods for logistic regression and maximum entropy models", Machine Learning
    2011.

    Examples
    --------
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLinearClassifier(random_state=0).fit(X[:400], Y[:400])
    >>> labels, scores = clf.predict_topk(X[400:], k=3)
    >>> labels.shape
    (100, 3)
    >>> clf.score(X[400:], Y[400:]) > 0.5
    True
    """

    _solver_mode = "auto"  # tests and benchmarks choose; the results are the same

    _parameter_constraints: dict = {
        "clusterer": [LabelTree, HasMethods("fit"), None],
        "C": [Interval(Real, 0, None, closed="neither")],
        "positive_cost": [Interval(Real, 0, None, closed="neither")],
        "negative_cost": [Interval(Real, 0, None, closed="neither")],
        "loss": [StrOptions({"squared_hinge", "hinge", "logistic"})],
        "negative_sampling": [StrOptions({"tfn", "man", "tfn+man"})],
        "beam_size": [Interval(Integral, 1, None, closed="left"), None],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "weight_threshold": [Interval(Real, 0, None, closed="left")],
        "weight_dtype": [StrOptions(set(VALUE_TYPES))],
        "post_processor": [StrOptions(set(POST_PROCESSORS))],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "cost_sensitive": [StrOptions({"induce", "ranker_only", "propensity"}), None],
        "relevance_norm": [StrOptions({"l1", "l2", "max"}), None],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "bias": [Interval(Real, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        clusterer=None,
        *,
        C=1.0,
        positive_cost=1.0,
        negative_cost=1.0,
        loss="squared_hinge",
        negative_sampling="tfn",
        beam_size=10,
        top_k=20,
        weight_threshold=0.09,
        weight_dtype="int8",
        post_processor="l3_hinge",
        label_weight=None,
        cost_sensitive=None,
        relevance_norm=None,
        decision_threshold=0.5,
        bias=1.0,
        tol=0.5,
        max_iter=100,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.clusterer = clusterer
        self.C = C
        self.positive_cost = positive_cost
        self.negative_cost = negative_cost
        self.loss = loss
        self.negative_sampling = negative_sampling
        self.beam_size = beam_size
        self.top_k = top_k
        self.weight_threshold = weight_threshold
        self.weight_dtype = weight_dtype
        self.post_processor = post_processor
        self.label_weight = label_weight
        self.cost_sensitive = cost_sensitive
        self.relevance_norm = relevance_norm
        self.decision_threshold = decision_threshold
        self.bias = bias
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # --- fit -----------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, relevance=None, negatives=None):
        """Build the label tree and train its nodes.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances. Sparse is what the engine works on; float32 CSR with sorted
            indices is taken without a copy. Sparse and dense features together go in
            as :class:`HybridFeatures`, or as a pair (sparse, dense); the label tree is
            then built on the sparse ones, where there are any.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights that multiply C of each instance. An instance of
            weight 0 takes no part, in the label tree neither; one of weight 2 counts
            in training as if it stood there twice.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y. See ``cost_sensitive``.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Pairs known to be wrong, such as labels that users rejected: its non-zeros.
            Their instances are negatives for the nodes on the way to the label, and
            for the label, also where ``negative_sampling`` would leave them out. No
            positive of y may be among them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree.
        """
        tasks, given = self._begin_tasks(2), (X, y)
        X, Y = self._check_fit_data(X, y)
        relevance = check_relevance(relevance, Y)
        negatives = check_negatives(negatives, Y)
        sample_weight = check_weights(sample_weight, Y.shape[0])
        sample_weight, X, Y, relevance, negatives = rows_of_weight(
            sample_weight, X, Y, relevance, negatives
        )
        rng = check_random_state(self.random_state)
        with tasks.task("label tree"):
            self.tree_ = self._make_tree(X, Y, rng)
        self._log(f"label tree: {self.tree_!r}")
        with tasks.task("levels", self._n_training_tasks()) as levels:
            self.weights_, self.n_iter_ = self._train(
                X, Y, sample_weight, relevance, negatives, rng, levels
            )
        self._tree_search = TreeSearch(self.weights_, self.tree_.label_order)
        tasks.end(*given)
        return self

    def _check_fit_data(self, X, y):
        """Canonical CSR X and Y."""
        X, y = self._check_blocks(X, y)
        return X, self._encode_targets(y)

    def _check_blocks(self, X, y):
        """X as CSR or HybridFeatures, and checked y."""
        self.n_dense_features_ = 0
        if not isinstance(X, (tuple, HybridFeatures)):
            X, y = validate_data(
                self, X, y, accept_sparse="csr", multi_output=True, dtype=np.float32
            )
            return as_csr_float32(X), y
        X = X if isinstance(X, HybridFeatures) else HybridFeatures(*X)
        rows = np.zeros((len(X), 1), dtype=np.float32)
        _, y = check_X_y(rows, y, accept_sparse="csr", multi_output=True)
        self.n_features_in_ = X.shape[1]
        self.n_dense_features_ = X.dense.shape[1]
        return X, y

    def _encode_classes(self, y):
        if self._keeps_tree() and not self._multilabel:
            check_classification_targets(y)
            return self._encode_known_classes(y)
        return super()._encode_classes(y)

    def _keeps_tree(self):
        return self.warm_start and hasattr(self, "weights_")

    def _make_tree(self, X, Y, rng):
        if self._keeps_tree():
            return self._kept_tree(X, Y)
        if isinstance(self.clusterer, LabelTree):
            tree = self.clusterer
        else:
            seed = draw_seed(rng)
            if self.clusterer is None:
                # Against 16: tate P@1 75.9 -> 76.3, tibkat P@3 29.9 -> 30.1, at the
                # same training time (benchmarks/RESULTS.md).
                self.clusterer_ = HierarchicalLabelClusterer(
                    branching_factor=DEFAULT_BRANCHING_FACTOR,
                    max_leaf_size=DEFAULT_LEAF_SIZE,
                    random_state=seed,
                )
            else:
                self.clusterer_ = clone(self.clusterer)
                seed_if_unset(self.clusterer_, seed)
            tree = getattr(self.clusterer_.fit(_tree_features(X), Y), "tree_", None)
        if not isinstance(tree, LabelTree):
            raise TypeError(
                f"clusterer must set tree_, a LabelTree, in fit(X, Y), but "
                f"{type(self.clusterer_).__name__} set {tree!r}; use "
                "LabelTree.from_labels for the flat clusters of another clusterer"
            )
        if tree.n_labels != Y.shape[1]:
            raise ValueError(
                f"clusterer gives a tree of {tree.n_labels} labels, but y has "
                f"{Y.shape[1]}: every label needs its place in the tree"
            )
        return tree

    def _n_training_tasks(self):
        """With teacher-forced negatives all levels are trained at the same time."""
        return 0 if self.negative_sampling == "tfn" else self.tree_.n_levels

    def _train(self, X, Y, sample_weight, relevance, negatives, rng, tasks):
        """Weights of all levels; with matcher-aware negatives, level by level."""
        targets, weighted = self._level_targets(Y, relevance)
        known = None if negatives is None else level_targets(negatives, self.tree_)
        settings = self._solver_settings(rng)
        if self.negative_sampling == "tfn":
            problems = self._level_problems(X, targets, weighted, known)
            weights, n_iter = solve_levels(
                as_hybrid(X), problems, settings, sample_weight
            )
            for level, new in enumerate(weights):
                self._log(f"level {level + 1} of {len(weights)}: {new!r}")
            return weights, n_iter
        weights, n_iter = [], 0
        for level, target in enumerate(targets):
            with tasks.task(f"level {level + 1}"):
                teacher = targets[level - 1] if level else root_rows(X.shape[0])
                matched = self._matched(X, weights, teacher) if level else None
                if level and known:
                    matched = matched + known[level - 1]
                offsets = self.tree_.offsets[level]
                problem = make_level_problem(
                    target, teacher, matched, offsets, weighted
                )
                new, passes = solve_levels(
                    as_hybrid(X), [problem], settings, sample_weight
                )
            weights, n_iter = weights + new, max(n_iter, passes)
            self._log(f"level {level + 1} of {len(targets)}: {new[0]!r}")
        return weights, n_iter

    def _level_problems(self, X, targets, weighted, known=None):
        """Teacher-forced problems of all levels, with known negatives of each node."""
        problems = []
        for level, (target, offsets) in enumerate(
            zip(targets, self.tree_.offsets, strict=True)
        ):
            teacher = targets[level - 1] if level else root_rows(X.shape[0])
            rows = teacher + known[level - 1] if level and known else None
            problems.append(
                make_level_problem(target, teacher, rows, offsets, weighted)
            )
        return problems

    def _level_targets(self, Y, relevance):
        """Positives of each level with their costs, and whether these count."""
        mode = self.cost_sensitive
        if mode == "propensity":
            values = Y if relevance is None else relevance
            relevance = values @ sparse.diags(1 / self.propensities_)
            relevance, mode = sparse.csr_matrix(relevance), "ranker_only"
        if mode is None and relevance is not None:
            mode = "induce"
        if mode is None:
            return level_targets(Y, self.tree_), False
        values = Y if relevance is None else relevance
        targets = level_targets(values, self.tree_, induce=mode == "induce")
        first = 0 if mode == "induce" else len(targets) - 1
        if self.relevance_norm is not None:
            for target in targets[first:]:
                normalize(target, norm=self.relevance_norm, copy=False)
        return targets, True

    def _matched(self, X, weights, teacher):
        """Rows whose beam reaches each parent of the next level."""
        search = TreeSearch(weights, np.arange(weights[-1].n_nodes))
        nodes, scores = self._search(search, X, len(weights), self.beam_size)
        matched = csr_from_topk(nodes, np.ones_like(scores), teacher.shape[1])
        return matched + teacher if self.negative_sampling == "tfn+man" else matched

    def _solver_settings(self, rng):
        return SolverSettings(
            loss=self.loss,
            positive_cost=self.C * self.positive_cost,
            negative_cost=self.C * self.negative_cost,
            bias=self.bias,
            tol=self.tol,
            max_iter=self.max_iter,
            weight_threshold=self.weight_threshold,
            weight_dtype=self.weight_dtype,
            seed=draw_seed(rng),
            mode=self._solver_mode,
        )

    def _log(self, message):
        if self.verbose:
            print(f"[XRLinear] {message}")

    # --- protocol ------------------------------------------------------------------

    def transform(self, X):
        """Matching scores: which clusters of labels fit each instance.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_clusters)
            Probability of the ``beam_size`` best clusters (parents of labels), as
            the levels above the labels see it; all ones for a flat tree. A dense table
            where ``set_output`` asks for one.
        """
        return for_set_output(self, self._matching(self._check_predict_data(X)))

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_tree_search", None)  # points into weights_
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if hasattr(self, "weights_"):
            self._tree_search = TreeSearch(self.weights_, self.tree_.label_order)

    @property
    def _n_features_out(self):
        return self.tree_.n_clusters

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _tree_features(X):
    """What the clusterer sees: the sparse features, or the dense ones alone."""
    if not isinstance(X, HybridFeatures):
        return X
    return X.sparse if X.sparse.shape[1] else X.dense
