"""XR-Linear: a linear ranker at every node of a label tree."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import check_random_state

from sklearn_xmr.base import TargetForm
from sklearn_xmr.indexing import HierarchicalLabelClusterer, LabelTree
from sklearn_xmr.linear._constants import VALUE_TYPES
from sklearn_xmr.linear._data_defaults import DataDefaults
from sklearn_xmr.linear._online_learning import OnlineLearningMixin
from sklearn_xmr.linear._post_processor import POST_PROCESSORS
from sklearn_xmr.linear._seen_data import SeenData
from sklearn_xmr.linear._solver._level_solver import SolverSettings
from sklearn_xmr.linear._solver._row_length import typical_row_length
from sklearn_xmr.linear._training import (
    TreeSettings,
    count_separate_levels,
    estimate_model_nbytes,
    matching_clusters,
    train_tree,
)
from sklearn_xmr.linear._tree_model import TreeModel
from sklearn_xmr.utils._callbacks import CallbackMixin
from sklearn_xmr.utils._checkpoint_folders import check_repeatable
from sklearn_xmr.utils._fitted_state import fit_in_one_step, on_snapshot
from sklearn_xmr.utils._seeding import draw_seed, seed_if_unset
from sklearn_xmr.utils._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    validate_parameter_constraints,
)
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import (
    Estimator,
    MatrixLike,
    PathOrStr,
    RandomState,
    Self,
)
from sklearn_xmr.utils._validation import for_set_output


@storable
class XRLinearClassifier(
    OnlineLearningMixin,
    CallbackMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Extreme multi-label ranking by linear models on a label tree (XR-Linear).

    Labels are grouped into a tree. At each node, one linear model per child scores
    how well the child fits an instance; it is trained against its siblings on the
    instances that reach the node. Prediction descends the tree by beam search, so
    that only a few of the labels are scored.

    Parameters
    ----------
    clusterer : LabelTree or estimator, default=None
        The label tree, or an unfitted estimator whose ``fit(X, Y)`` sets ``tree_``;
        None means a :class:`HierarchicalLabelClusterer` with leaves of 96 labels that
        have instances, and ``branching_factor=100`` or, where labels have fewer than
        five instances in the mean, 256: on trees of few levels, beam search misses
        less.
    C : float, default=1.0
        Inverse strength of the L2 regularisation.
    positive_cost : float, default=1.0
        Factor of C for positive instances of a label (or node).
    negative_cost : float, default=1.0
        Factor of C for negative instances.
    loss : {"squared_hinge", "hinge", "logistic"}, default="squared_hinge"
        Loss of the binary problems.
    negative_sampling : {"hard", "tfn", "man", "tfn+man"}, default="hard"
        The instances on which the children of a node are trained:

        - "hard": "tfn" for the nodes above the labels; each label learns also, at half
          the cost, from the instances for which the levels above rank its cluster among
          the ``n_hard_clusters`` best: those that would otherwise be taken for its own;
        - "tfn", teacher-forced: those with a label under the node. Fits in about half
          the time;
        - "man", matcher-aware: those for which beam search on the levels trained
          before reaches the node, together with each child's own positives;
        - "tfn+man": both.
    n_hard_clusters : int or "auto", default="auto"
        Number of clusters for which an instance is a hard negative, those of its own
        labels included; used with ``negative_sampling="hard"``. "auto" takes the larger
        of ``4 + 50 / (n + 5)``, where n is the mean number of instances of a label, and
        five thirds of the mean number of labels of an instance.
    beam_size : int, "auto" or None, default="auto"
        Number of nodes kept per level at prediction (and for matcher-aware negatives).
        "auto" takes 16 where labels have fewer than five instances in the mean, since
        clusters are told apart badly there, and 10 elsewhere. None finds the exact best
        labels, by best-first search until no other node can hold a better label.
    top_k : int, default=20
        Number of labels that ``predict_topk``, ``predict_proba`` and ``predict``
        retrieve.
    weight_threshold : float, default=0.09
        Weights that contribute less to a margin are dropped; intercepts are kept. What
        a weight contributes is its absolute value times the typical length of a row
        of X (``row_length_``): where rows have unit length, as those of tf-idf have,
        its absolute value. A weight whose feature no sibling uses takes twice the
        space, and is dropped below twice the threshold. A warning says where a level
        keeps no weight.
    weight_dtype : {"int8", "float16", "float32"}, default="int8"
        How weights are stored. "int8" stores multiples of 1/127 of the label's largest
        weight: a quarter of the memory of "float32", with rankings as good.
    post_processor : str, default="l3_hinge"
        Score s of a margin v, multiplied along the path: "sigmoid",
        ``1 / (1 + exp(-v))``, or "l1_hinge" to "l4_hinge",
        ``exp(-max(0, 1 - v) ** p)``. With the prefix ``"log_"`` scores are the
        logarithms. "noop" ranks labels by only their own margin.
    path_weight : float in [0, 1] or "auto", default="auto"
        How much the score of a level counts, by that of the level below: a label's own
        score counts in full, that of its cluster with this exponent, of the cluster
        above with its square. 1 is the product along the path. "auto" takes
        ``0.85 * n / (n + 6) * (1 - c) ** 4``. Clusters that were learnt from few
        instances are told apart badly: n is the mean number of instances of a label.
        Labels that know many other clusters' instances need them less: c is the share
        of ``n_hard_clusters`` in all clusters, at most a half; 0 without hard
        negatives.
    label_weight : array-like of shape (n_labels,) or "inverse_propensity", default=None
        ``predict_topk`` ranks labels by weight times score; the search takes weights
        into account on all levels, so that ``beam_size=None`` is exact.
        "inverse_propensity" favours rare labels as propensity-scored metrics do
        (``1 / propensities_``). ``predict_proba`` and ``predict`` ignore weights.
    cost_sensitive : {None, "induce", "ranker_only", "propensity"}, default=None
        How relevance weights the positives:

        - "induce": on every level; a node's relevance is the sum over its labels or,
          without a ``relevance`` in ``fit``, the number of its positive labels;
        - "ranker_only": on the level of the labels only;
        - "propensity": on the level of the labels only, each positive (or its
          relevance) divided by the label's propensity, so that rare labels are missed
          less often;
        - None: "induce" if ``fit`` is given a ``relevance``, otherwise no weights.
    relevance_norm : {None, "l1", "l2", "max"}, default=None
        Norm to which each instance's relevance is scaled, level by level.
    decision_threshold : float, default=0.5
        Threshold of ``predict``, which returns the labels with a larger probability.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    bias : float, default=1.0
        Value of a constant feature whose weight, regularised like the others, is
        the intercept; 0 trains without one. At most a million.
    tol : float, default=0.5
        Stopping tolerance of dual coordinate descent: the range of the projected
        gradients (squared hinge, hinge) or the largest gradient (logistic).
    max_iter : int, default=100
        Maximum number of iterations over a node's instances.
    warm_start : bool, default=False
        Whether ``fit`` keeps the label tree of the previous fit, for other settings or
        newer data, and trains only its weights. Labels of y that are new join the
        clusters to which the previous model assigns their instances.
    checkpoint_dir : path-like or None, default=None
        Folder that keeps each level when it has been trained: a ``fit`` that was killed
        goes on there when it is called again with the same data and parameters, and
        gives the same model. Needs a ``random_state``. The files stay when the fit is
        over; delete the folder then, for another fit's is refused. Meta-estimators of
        this package give each fit a folder of its own inside; scikit-learn's searches
        do not. None keeps nothing.
    random_state : int, RandomState instance or None, default=None
        Seed of the default clusterer and of the order in which the solver visits
        instances. The same seed gives the same model, whatever the number of threads.
    verbose : int, default=0
        1 prints a line for the tree and for each of its levels. Progress bars are
        available through ``set_callbacks`` (scikit-learn 1.9).

    Attributes
    ----------
    model_ : TreeModel
        The label tree with the weights of its nodes, and the search over them.
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
    target_form_ : TargetForm
        The form of y.
    nbytes_ : int
        Size of the model in memory and on disk, in bytes.
    propensities_ : ndarray of float32 of shape (n_labels,)
        Probability that a relevant label is observed, estimated from its frequency by
        :func:`sklearn_xmr.metrics.propensity_scores`.
    path_weight_ : float
        The ``path_weight`` that "auto" takes.
    n_hard_clusters_ : int
        The ``n_hard_clusters`` that "auto" takes.
    beam_size_ : int
        The ``beam_size`` that "auto" takes.
    n_iter_ : int
        Largest number of iterations that a node needed.
    seen_ : SeenData
        Counts and means of the instances so far, by which ``partial_fit`` goes on.
    row_length_ : float
        Median length of the rows of sparse features in ``fit``, empty ones left out;
        1 after :meth:`from_model`.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices, as for a
        sparse y.
    n_features_in_ : int
        Number of features seen during fit.
    n_dense_features_ : int
        Number of these that were a dense block: 0 unless X was HybridFeatures.
    feature_names_in_ : ndarray of str
        Names of features seen during fit, if X has them.

    See Also
    --------
    HierarchicalLabelClusterer : The default tree.
    sklearn_xmr.metrics.make_topk_scorer : Scorers for model selection.

    Notes
    -----
    Threads follow OpenMP's settings and threadpoolctl. ``beam_size``, ``top_k``,
    ``post_processor``, ``path_weight``, ``label_weight`` and ``decision_threshold``
    take effect without a refit.
    No array of the size features x labels is created: each node is solved on its own
    features, and writes its weights in the layout that the search reads.

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

    # Of models that were saved before this was a parameter.
    path_weight: float | Literal["auto"] = 1.0
    _solver_mode = "auto"  # tests and benchmarks choose; the results are the same

    _parameter_constraints: dict = {
        "clusterer": [LabelTree, HasMethods("fit"), None],
        "C": [Interval(Real, 0, None, closed="neither")],
        "positive_cost": [Interval(Real, 0, None, closed="neither")],
        "negative_cost": [Interval(Real, 0, None, closed="neither")],
        "loss": [StrOptions({"squared_hinge", "hinge", "logistic"})],
        "negative_sampling": [StrOptions({"tfn", "hard", "man", "tfn+man"})],
        "n_hard_clusters": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "beam_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "weight_threshold": [Interval(Real, 0, None, closed="left")],
        "weight_dtype": [StrOptions(set(VALUE_TYPES))],
        "post_processor": [StrOptions(set(POST_PROCESSORS))],
        "path_weight": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "label_weight": ["array-like", StrOptions({"inverse_propensity"}), None],
        "cost_sensitive": [StrOptions({"induce", "ranker_only", "propensity"}), None],
        "relevance_norm": [StrOptions({"l1", "l2", "max"}), None],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "bias": [Interval(Real, 0, 1e6, closed="both")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint_dir": [str, HasMethods("__fspath__"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        clusterer: LabelTree | Estimator | None = None,
        *,
        C: float = 1.0,
        positive_cost: float = 1.0,
        negative_cost: float = 1.0,
        loss: Literal["squared_hinge", "hinge", "logistic"] = "squared_hinge",
        negative_sampling: Literal["hard", "tfn", "man", "tfn+man"] = "hard",
        n_hard_clusters: int | Literal["auto"] = "auto",
        beam_size: int | Literal["auto"] | None = "auto",
        top_k: int = 20,
        weight_threshold: float = 0.09,
        weight_dtype: Literal["int8", "float16", "float32"] = "int8",
        post_processor: str = "l3_hinge",
        path_weight: float | Literal["auto"] = "auto",
        label_weight: ArrayLike | Literal["inverse_propensity"] | None = None,
        cost_sensitive: Literal["induce", "ranker_only", "propensity"] | None = None,
        relevance_norm: Literal["l1", "l2", "max"] | None = None,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        bias: float = 1.0,
        tol: float = 0.5,
        max_iter: int = 100,
        warm_start: bool = False,
        checkpoint_dir: PathOrStr | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.clusterer = clusterer
        self.C = C
        self.positive_cost = positive_cost
        self.negative_cost = negative_cost
        self.loss = loss
        self.negative_sampling = negative_sampling
        self.n_hard_clusters = n_hard_clusters
        self.beam_size = beam_size
        self.top_k = top_k
        self.weight_threshold = weight_threshold
        self.weight_dtype = weight_dtype
        self.post_processor = post_processor
        self.path_weight = path_weight
        self.label_weight = label_weight
        self.cost_sensitive = cost_sensitive
        self.relevance_norm = relevance_norm
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.bias = bias
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_model(cls, model, **parameters):
        """Make a fitted estimator of a tree and its weights.

        Parameters
        ----------
        model : TreeModel
            The label tree with the weights of its nodes.
        **parameters
            Parameters of the estimator. Those of the training act when it changes:
            when labels are added, for example. ``path_weight="auto"`` takes 1 and
            ``beam_size="auto"`` 10.

        Returns
        -------
        XRLinearClassifier
            Fitted estimator of a multilabel task. ``propensities_`` are NaN, for
            nothing is known of the training data, and ``n_iter_`` does not exist.

        Raises
        ------
        TypeError
            If ``model`` is not a TreeModel, or a parameter is not known.
        ValueError
            If a parameter is out of its range.

        See Also
        --------
        sklearn_xmr.load_libpecos_model : Models that libpecos has saved.
        sklearn_xmr.linear.ChunkedWeights.from_csr : Weights of a matrix.

        Examples
        --------
        >>> from sklearn_xmr import XRLinearClassifier
        >>> from sklearn_xmr.datasets import make_xmr_classification
        >>> X, Y = make_xmr_classification(
        ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
        >>> clf = XRLinearClassifier(random_state=0).fit(X, Y)
        >>> exact = XRLinearClassifier.from_model(clf.model_, beam_size=None)
        >>> exact.predict_topk(X, k=3)[0].shape
        (500, 3)
        """
        if not isinstance(model, TreeModel):
            raise TypeError(f"model must be a TreeModel, got {type(model).__name__}")
        made = cls(**parameters)
        validate_parameter_constraints(
            cls._parameter_constraints, made.get_params(deep=False), cls.__name__
        )
        made.model_ = model
        made.target_form_ = TargetForm.unknown(model.n_labels)
        made.n_features_in_ = model.n_features + model.n_dense
        made.n_dense_features_ = model.n_dense
        made.row_length_ = made.path_weight_ = 1.0
        made.beam_size_ = 10
        return made

    # --- fit -----------------------------------------------------------------------

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        relevance: MatrixLike | None = None,
        negatives: MatrixLike | None = None,
    ) -> Self:
        """Build the label tree and train its nodes.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances. They are converted to CSR of float32; float32 CSR with sorted
            indices is not copied. Sparse and dense features together are passed as
            :class:`HybridFeatures` or as a pair (sparse, dense); the label tree is
            then built on the sparse features, if there are any.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights that multiply C of each instance. Instances of weight
            0 are ignored, also when the label tree is built; in training, an instance
            of weight 2 counts as two.
        relevance : {array-like, sparse matrix} of shape (n_samples, n_labels), \
                default=None
            Cost of missing each positive label: non-negative, zero outside the
            positives of y. ``cost_sensitive`` decides how it is used.
        negatives : sparse matrix of shape (n_samples, n_labels), default=None
            Non-zeros are pairs known to be wrong, such as labels that users rejected.
            The instance is then a negative for the label and for the nodes above it,
            even where ``negative_sampling`` would leave it out. A pair must not be
            positive in y.

        Returns
        -------
        self : XRLinearClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; or if ``checkpoint_dir`` holds the levels of another fit, or a
            damaged file.
        TypeError
            If ``clusterer`` does not set a LabelTree ``tree_`` in its ``fit``.
        OSError
            If ``checkpoint_dir`` cannot be written; the levels that it holds stay.
        """
        tasks, given = self._begin_tasks(2), (X, y)
        check_repeatable(self)
        data = self._check_training(X, y, sample_weight, relevance, negatives)
        rng = check_random_state(self.random_state)
        with tasks.task("label tree"):
            tree = self._make_tree(data, rng)
        self._take_suited(DataDefaults(data.Y), tree.n_clusters)
        self.seen_ = SeenData.of(data)
        self._log(f"label tree: {tree!r}")
        self.row_length_ = typical_row_length(data.X, data.sample_weight)
        settings, folder = self._settings(rng), self.checkpoint_dir
        n_tasks = count_separate_levels(tree, settings, folder)
        with tasks.task("levels", n_tasks) as levels:
            self.model_, self.n_iter_ = train_tree(
                data, tree, settings, levels, self._log, folder
            )
        tasks.end(*given)
        return self

    def _encode_targets(self, y, table=None):
        declared = vars(self).pop("_declared_classes", None)
        if declared is not None:
            self.target_form_, Y = TargetForm.of_classes(declared, y)
            return Y
        is_numbered = self._keeps_tree() and self.target_form_.names is None
        if not self._keeps_tree() or is_numbered:
            return super()._encode_targets(y, table)
        form, Y = self.target_form_.extended(y, table)
        self.target_form_ = form.recounted(Y)
        return Y

    def _keeps_tree(self):
        return self.warm_start and hasattr(self, "model_")

    def _take_suited(self, suited, n_clusters):
        """Set what "auto" takes."""
        self.n_hard_clusters_ = suited.n_hard_clusters
        self.beam_size_ = suited.beam_size
        is_hard = self.negative_sampling == "hard"
        coverage = self._effective_hard() / n_clusters if is_hard else 0
        self.path_weight_ = suited.path_weight(coverage)

    def _effective_hard(self):
        if self.n_hard_clusters == "auto":
            return getattr(self, "n_hard_clusters_", 8)  # no model of before has it
        return self.n_hard_clusters

    def _make_tree(self, data, rng):
        if self._keeps_tree():
            return self._kept_tree(data)
        if isinstance(self.clusterer, LabelTree):
            tree = self.clusterer
        else:
            tree = self._clustered_tree(data, draw_seed(rng))
        if tree.n_labels != data.Y.shape[1]:
            raise ValueError(
                f"clusterer gives a tree of {tree.n_labels} labels, but y has "
                f"{data.Y.shape[1]}: each label must be in the tree once"
            )
        return tree

    def _clustered_tree(self, data, seed):
        """The tree of the default clusterer, or of a clone of the user's."""
        if self.clusterer is None:
            # 100 against 16: tate P@1 75.9 -> 76.3, tibkat P@3 29.9 -> 30.1, at the
            # same training time (benchmarks/RESULTS.md).
            suited = DataDefaults(data.Y)
            self.clusterer_ = HierarchicalLabelClusterer(
                branching_factor=suited.branching_factor,
                max_leaf_size=suited.max_leaf_size,
                random_state=seed,
            )
        else:
            self.clusterer_ = clone(self.clusterer)
            seed_if_unset(self.clusterer_, seed)
        # The sparse features, or the dense ones if there are only these.
        X = data.X.sparse if data.X.sparse.shape[1] else data.X.dense
        tree = getattr(self.clusterer_.fit(X, data.Y), "tree_", None)
        if not isinstance(tree, LabelTree):
            raise TypeError(
                f"clusterer must set tree_, a LabelTree, in fit(X, Y), but "
                f"{type(self.clusterer_).__name__} set {tree!r}; use "
                "LabelTree.from_labels for the flat clusters of another clusterer"
            )
        return tree

    def _kept_tree(self, data):
        """The tree of the previous fit, with clusters for new labels."""
        tree, model = self.model_.tree, self.model_
        n_new = data.Y.shape[1] - tree.n_labels
        if n_new < 0:
            raise ValueError(
                f"y must have a column for each of the {tree.n_labels} labels of "
                f"the tree that warm_start=True keeps, got {data.Y.shape[1]}; "
                "use remove_labels to remove labels"
            )
        if n_new == 0:
            return tree
        known = model.n_features, model.n_dense
        if known != (data.X.sparse.shape[1], data.X.dense.shape[1]):
            raise ValueError(
                f"X must have the {sum(known)} features of the fit before, by which "
                f"warm_start=True places the {n_new} new labels, got {data.X.shape[1]}"
            )
        new = data.Y[:, -n_new:]
        clusters = matching_clusters(model, data.X, new, self._tree_settings())
        return tree.with_labels(clusters)

    def _settings(self, rng):
        """Settings of the training."""
        return self._tree_settings(self.solver_settings(rng))

    def _tree_settings(self, solver=None):
        weighs = self.cost_sensitive == "propensity"
        return TreeSettings(
            solver=solver or SolverSettings(),
            negative_sampling=self.negative_sampling,
            n_hard_clusters=self._effective_hard(),
            beam_size=self.effective_beam_size,
            post_processor=self.scoring_rule,
            cost_sensitive=self.cost_sensitive,
            relevance_norm=self.relevance_norm,
            propensities=self._known_propensities() if weighs else None,
        )

    def solver_settings(self, rng: np.random.RandomState) -> SolverSettings:
        """Return the settings of the node solver, for models that contain this one.

        Parameters
        ----------
        rng : RandomState
            Random state from which the seed is drawn.

        Returns
        -------
        SolverSettings
            Settings given by the parameters and, after a fit, its rows' length.
        """
        return SolverSettings(
            loss=self.loss,
            positive_cost=self.C * self.positive_cost,
            negative_cost=self.C * self.negative_cost,
            bias=self.bias,
            tol=self.tol,
            max_iter=self.max_iter,
            weight_threshold=self.weight_threshold,
            row_length=getattr(self, "row_length_", None),
            weight_dtype=self.weight_dtype,
            seed=draw_seed(rng),
            mode=self._solver_mode,
        )

    def _log(self, message):
        if self.verbose:
            print(f"[XRLinear] {message}")

    def estimate_model_size(
        self, X: MatrixLike, y: MatrixLike, *, share: float = 0.1
    ) -> int:
        """Estimate the size that the model would have after ``fit(X, y)``, in bytes.

        Builds the label tree and trains a random share of its nodes. The estimate is
        within about a tenth of the size for trees of some dozens of clusters.

        Parameters
        ----------
        X : {array-like, sparse matrix, HybridFeatures} of shape \
                (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        share : float in (0, 1], default=0.1
            Share of the nodes to train.

        Returns
        -------
        int
            Estimated size in bytes.

        Raises
        ------
        ValueError
            If ``share`` is out of its range, or the data would be refused by ``fit``.
        """
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
        probe = clone(self)
        data = probe._check_training(X, y)
        rng = check_random_state(probe.random_state)
        tree = probe._make_tree(data, rng)
        probe._take_suited(DataDefaults(data.Y), tree.n_clusters)
        return estimate_model_nbytes(data, tree, probe._settings(rng), share)

    # set_output wraps what the class itself defines.
    @on_snapshot
    def transform(self, X: MatrixLike) -> Any:
        """Score how well clusters of labels fit each instance.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_clusters)
            Probabilities of the ``beam_size`` best clusters (parents of labels), or of
            all clusters with ``beam_size=None``; all ones for a flat tree. A dense
            table if ``set_output`` requests one.
        """
        matching = self.model_.matching(
            self._check_instances(X),
            beam_size=self.effective_beam_size,
            post_processor=self.scoring_rule,
        )
        return for_set_output(self, matching)

    # --- protocol ------------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
