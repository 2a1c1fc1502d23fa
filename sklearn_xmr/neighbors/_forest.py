"""Trees that divide instances, not labels; each leaf's instances vote."""

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import normalize
from sklearn.random_projection import GaussianRandomProjection
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from sklearn_xmr.neighbors._votes import VotingMixin, count_votes, label_shares
from sklearn_xmr.utils._fitted_state import fit_in_one_step
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._seeding import draw_seed, seed_if_unset
from sklearn_xmr.utils._sklearn import Interval, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import MatrixLike, RandomState, Self


@storable
class XRForestClassifier(VotingMixin, BaseEstimator):
    """Rank labels by the votes of training instances that share leaves of a forest.

    Each tree divides the instances by their features, so that those of a leaf have
    similar labels. A tree of scikit-learn would take time in proportion to the number
    of labels for each split: here each tree sees the labels through a few random
    projections of its own. The training instances in an instance's leaf vote for their
    labels, with equal shares; all trees count alike.

    For few features (hundreds to a few thousand), many labels for each instance, and
    as a model beside linear ones in :class:`XRStackingClassifier`: it sees features
    that matter together, where a linear model adds their weights.

    Parameters
    ----------
    estimator : DecisionTreeRegressor or ExtraTreeRegressor, default=None
        How a tree is grown. None means
        ``DecisionTreeRegressor(max_features=0.1, min_samples_leaf=3)``.
    n_estimators : int, default=200
        Number of trees.
    n_components : int, default=8
        Random projections of the labels that a tree sees. More cost time and memory.
        Fewer labels than that are seen as they are.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose probability exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.
    random_state : int, RandomState instance or None, default=None
        Draws the projections, and seeds the trees.

    Attributes
    ----------
    estimators_ : list of DecisionTreeRegressor
        The fitted trees.
    leaves_ : csr_matrix of float32 of shape (n_nodes, n_samples)
        Share of the vote that each training instance has in each leaf; nodes of all
        trees one after the other.
    targets_ : csr_matrix of shape (n_samples, n_labels)
        Labels of the training instances of positive weight.
    class_prior_ : ndarray of float32 of shape (n_labels,)
        Share of the training instances that have each label.
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
    XRNeighborsClassifier : Votes of the instances of highest cosine.
    sklearn.ensemble.ExtraTreesClassifier : For tens of labels.

    Notes
    -----
    All training instances go through each tree; trees differ by the features that a
    split may choose from, and by their projections. Trees are fitted in as many
    threads as OpenMP may use.

    References
    ----------
    A. Joly, P. Geurts, L. Wehenkel. "Random forests with random projections of the
    output space for high dimensional multi-label classification", ECML PKDD 2014.

    Y. Lin, Y. Jeon. "Random forests and adaptive nearest neighbors", Journal of the
    American Statistical Association 101, 2006.

    Examples
    --------
    >>> from sklearn_xmr import XRForestClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRForestClassifier(n_estimators=20, random_state=0).fit(X[:400], Y[:400])
    >>> labels, scores = clf.predict_topk(X[400:], k=3)
    >>> labels.shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "estimator": [DecisionTreeRegressor, None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }
    # Each row meets a few voters in each of hundreds of trees.
    _block_rows = 2048

    def __init__(
        self,
        estimator: DecisionTreeRegressor | None = None,
        n_estimators: int = 200,
        *,
        n_components: int = 8,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_components = n_components
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels
        self.random_state = random_state

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the trees, and send the instances through them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each instance in the trees and in the votes. An
            instance of weight 0 is left out.

        Returns
        -------
        self : XRForestClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree.
        """
        data = self._check_training(X, y, sample_weight)
        self.estimators_ = self._fit_trees(data)
        self.leaves_ = _shares_of_leaves(self._leaves(data.X), data.sample_weight)
        self.targets_ = data.Y
        self.class_prior_ = label_shares(data.Y, data.sample_weight)
        return self

    def _fit_trees(self, data):
        """The trees, each on projections of its own."""
        rng = check_random_state(self.random_state)
        base = self.estimator
        if base is None:
            base = DecisionTreeRegressor(max_features=0.1, min_samples_leaf=3)
        X = data.X.tocsc()  # as trees are grown
        seeds = [draw_seed(rng) for _ in range(self.n_estimators)]
        with Parallel(effective_n_threads(), prefer="threads") as parallel:
            return parallel(
                delayed(_fit_tree)(
                    base, X, data.Y, data.sample_weight, self.n_components, seed
                )
                for seed in seeds
            )

    def _votes(self, X):
        voters = (self._leaves(X) @ self.leaves_) / np.float32(len(self.estimators_))
        return count_votes(voters, self.targets_, self._prior())

    def _leaves(self, X):
        """Leaf of each instance in each tree: CSR of ones, of shape (n, n_nodes)."""
        n_nodes = [tree.tree_.node_count for tree in self.estimators_]
        ends = np.cumsum(n_nodes)
        leaves = np.column_stack([tree.apply(X) for tree in self.estimators_])
        columns = (leaves + (ends - n_nodes)).ravel()
        indptr = np.arange(len(leaves) + 1) * len(n_nodes)
        ones = np.ones(len(columns), dtype=np.float32)
        return sparse.csr_matrix((ones, columns, indptr), (len(leaves), ends[-1]))


def _fit_tree(base, X, Y, sample_weight, n_components, seed):
    """A clone of the tree, fitted on random projections of the labels."""
    tree = clone(base)
    seed_if_unset(tree, seed)
    return tree.fit(X, _projected(Y, n_components, seed), sample_weight=sample_weight)


def _projected(Y, n_components, seed):
    """Random projections of the rows of Y, or Y where it is no larger; dense."""
    if Y.shape[1] <= n_components:
        return Y.toarray()
    projection = GaussianRandomProjection(n_components, random_state=seed)
    return projection.fit_transform(Y)


def _shares_of_leaves(leaves, sample_weight):
    """Share of each instance in the weight of each leaf: CSR (n_nodes, n_samples)."""
    if sample_weight is not None:
        leaves = sparse.diags(sample_weight) @ leaves
    return sparse.csr_matrix(normalize(leaves.T.tocsr(), "l1"), dtype=np.float32)
