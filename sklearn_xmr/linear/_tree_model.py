"""A fitted label tree: the weights of all levels, and all predictions from them."""

from collections.abc import Callable, Sequence
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from sklearn_xmr.indexing import LabelTree
from sklearn_xmr.linear._post_processor import PostProcessor, post_processor_of
from sklearn_xmr.linear._search._tree_search import TreeSearch
from sklearn_xmr.linear._weights._chunked_weights import ChunkedWeights
from sklearn_xmr.linear._weights._patched_weights import PatchedWeights
from sklearn_xmr.linear._weights._pruning import prune_weights
from sklearn_xmr.linear._weights._splicing import (
    append_nodes,
    keep_nodes,
    replace_children,
    take_parents,
)
from sklearn_xmr.preprocessing import HybridFeatures
from sklearn_xmr.utils._matrices import checked_csr
from sklearn_xmr.utils._memory import check_ranking_memory
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._rankings import csr_from_topk
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR, TopK
from sklearn_xmr.utils._validation import check_count, check_label_weight

FORMAT = 1  # of the saved state; increased with each change of the bytes


@storable
class TreeModel:
    """A label tree, the weights of its nodes, and the search over them.

    A model is immutable: each change makes a new one, so that a running search never
    sees half of a change. When a model is made or loaded, the types, sizes and offsets
    of all arrays are checked, but not each weight (see :meth:`verify`).

    Instances are passed as :class:`HybridFeatures` that have been checked.

    Parameters
    ----------
    tree : LabelTree
        The label tree.
    weights : sequence of ChunkedWeights or PatchedWeights
        Weights of each level, from the root down.

    Raises
    ------
    TypeError
        If ``tree`` is not a LabelTree, or ``weights`` are not ChunkedWeights.
    ValueError
        If the weights are not those of the tree's nodes.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).

    Examples
    --------
    >>> from sklearn_xmr import HybridFeatures, XRLinearClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> model = XRLinearClassifier(random_state=0).fit(X, Y).model_
    >>> labels, log_scores = model.topk(HybridFeatures(X), k=3)
    >>> labels.shape
    (500, 3)
    """

    def __init__(
        self, tree: LabelTree, weights: Sequence[ChunkedWeights | PatchedWeights]
    ) -> None:
        self._tree, self._levels = tree, tuple(weights)
        self._check()
        self._search = TreeSearch(list(self._levels), tree.label_order)

    @classmethod
    def of_one_level(cls, weights: ChunkedWeights) -> "TreeModel":
        """Make a model whose labels are the nodes of one level, under a root.

        Parameters
        ----------
        weights : ChunkedWeights
            Weights of the level, with any number of parents.

        Returns
        -------
        TreeModel
            Model with a flat tree.
        """
        n_chunks = len(weights.child_ptr) - 1
        flat = weights.replace(parent_ptr=np.array([0, n_chunks], dtype=np.int64))
        return cls(LabelTree.flat(weights.n_nodes), [flat])

    # --- contents --------------------------------------------------------------------

    @property
    def tree(self) -> LabelTree:
        """The label tree (LabelTree)."""
        return self._tree

    @property
    def weights(self) -> tuple[ChunkedWeights, ...]:
        """Weights of each level, from the root down (tuple of ChunkedWeights)."""
        return tuple(level.whole for level in self._levels)

    @property
    def levels(self) -> tuple[ChunkedWeights | PatchedWeights, ...]:
        """The same, patched where some chunks have been replaced (tuple)."""
        return self._levels

    @property
    def n_labels(self) -> int:
        """Number of labels (int)."""
        return self._tree.n_labels

    @property
    def n_features(self) -> int:
        """Number of sparse features (int)."""
        return self._levels[0].n_features

    @property
    def n_dense(self) -> int:
        """Number of dense features (int)."""
        return self._levels[0].dense.shape[1]

    @property
    def nbytes(self) -> int:
        """Size in memory and on disk, in bytes (int)."""
        levels = sum(weights.nbytes for weights in self._levels)
        return levels + self._tree.label_order.nbytes

    def child_weights(self, level: int, parents: ArrayLike) -> tuple[CSR, np.ndarray]:
        """Return the weights and intercepts of the children of some nodes.

        Parameters
        ----------
        level : int
            Level of the children: 0 for those of the root.
        parents : array-like of int
            Nodes of the level above; [0] for the root.

        Returns
        -------
        weights : csr_matrix of float32 of shape (n_children, n_features + n_dense)
            Weights of the children, parent by parent; dense features are the last
            columns.
        intercepts : ndarray of float32 of shape (n_children,)
            Intercepts of the same children.
        """
        part = take_parents(self.weights[level], np.asarray(parents))
        return _all_weights(part), part.intercept

    def label_weights(self) -> CSR:
        """Return the weights of the labels, each trained against its siblings.

        Returns
        -------
        csr_matrix of float32 of shape (n_labels, n_features + n_dense)
            A row for each label, by its number; dense features are the last columns.
        """
        place = np.argsort(self._tree.label_order)
        return _all_weights(self.weights[-1])[place]

    # --- predictions -----------------------------------------------------------------

    def topk(
        self,
        X: HybridFeatures,
        k: int,
        *,
        beam_size: int | None = 10,
        post_processor: str | PostProcessor = "l3_hinge",
        label_weight: ArrayLike | None = None,
        return_n_visited: bool = False,
    ) -> tuple[np.ndarray, ...]:
        """The best labels of each instance.

        Single instances are searched best node first, as all instances are in an exact
        search; otherwise they are searched together, level by level. Both ways give the
        same result.

        Parameters
        ----------
        X : HybridFeatures of shape (n_samples, n_features + n_dense)
            Instances.
        k : int
            Number of labels.
        beam_size : int or None, default=10
            Number of nodes kept on each level; None finds the exact best labels.
        post_processor : str or PostProcessor, default="l3_hinge"
            How margins become scores: a :class:`PostProcessor` or the name of one.
        label_weight : ndarray of float32 of shape (n_labels,), default=None
            Positive factors that multiply the scores.
        return_n_visited : bool, default=False
            Whether to return also how many nodes were opened for each instance.

        Returns
        -------
        labels : ndarray of int64 of shape (n_samples, min(k, n_labels))
            Best first; -1 where there are fewer.
        log_scores : ndarray of float32 of the same shape
            Logarithms of scores, or margins for "noop"; -inf where there are fewer.
        n_visited : ndarray of int64 of shape (n_samples,)
            Number of opened nodes; only with ``return_n_visited=True``.

        Raises
        ------
        ValueError
            If X has other features than the model, a parameter is out of its range, or
            ``post_processor="noop"`` is combined with ``label_weight`` or
            ``return_n_visited=True``.
        TypeError
            If X is no HybridFeatures.
        """
        rule, k, beam_size = self._checked(X, post_processor, k, beam_size)
        weights = self._prepared(label_weight, rule)
        n_threads = effective_n_threads()
        if len(X) == 1 and not return_n_visited:
            return self._topk_of_row(X, k, beam_size, rule, weights)
        exact = beam_size is None and k < self.n_labels
        if (exact or return_n_visited) and not rule.is_margin:
            found = self._search.search_best_first(
                X, beam_size, k, rule, n_threads, weights
            )
            return found if return_n_visited else found[:2]
        if return_n_visited:
            raise ValueError(
                "return_n_visited must be False with post_processor='noop', which "
                "allows no best-first search, got True"
            )
        check_ranking_memory(len(X), min(k, self.n_labels), 16)
        n_levels = self._tree.n_levels
        return self._search.search(X, n_levels, beam_size, k, rule, n_threads, weights)

    def _topk_of_row(self, X, k, beam_size, rule, weights):
        """The same for one instance: 7 microseconds instead of 19 on a small tree."""
        row = X.sparse
        found, log_scores = self._search.search_row(
            row.indices, row.data, X.dense[0], beam_size, k, rule, weights
        )
        k = min(k, self.n_labels)
        labels = np.full((1, k), -1, dtype=np.int64)
        scores = np.full((1, k), -np.inf, dtype=np.float32)
        labels[0, : len(found)], scores[0, : len(found)] = found, log_scores
        return labels, scores

    def row_search(
        self,
        k: int,
        *,
        beam_size: int | None,
        post_processor: str | PostProcessor,
        label_weight: ArrayLike | None = None,
    ) -> Callable[..., TopK]:
        """Return a search function for the arrays of one instance.

        Parameters
        ----------
        k : int
            Number of labels.
        beam_size : int or None
            Number of nodes kept on each level; None finds the exact best labels.
        post_processor : str or PostProcessor
            How margins become scores: a :class:`PostProcessor` or the name of one.
        label_weight : ndarray of float32 of shape (n_labels,), default=None
            Positive factors that multiply the scores.

        Returns
        -------
        callable
            ``search(indices, values, dense) -> (labels, log_scores)``, with at most k
            labels. The arrays must be valid: they are not checked.
        """
        rule, k = post_processor_of(post_processor), check_count(k, "k")
        beam_size = _checked_beam(beam_size)
        weights = self._prepared(label_weight, rule)
        search_row = self._search.search_row

        def search(indices, values, dense):
            return search_row(indices, values, dense, beam_size, k, rule, weights)

        return search

    def score_pairs(
        self,
        X: HybridFeatures,
        pairs: CSR,
        *,
        post_processor: str | PostProcessor = "l3_hinge",
    ) -> CSR:
        """Score (instance, label) pairs without a beam search.

        Parameters
        ----------
        X : HybridFeatures of shape (n_samples, n_features + n_dense)
            Instances.
        pairs : csr_matrix of shape (n_samples, n_labels)
            Canonical matrix that stores the pairs; its values are ignored.
        post_processor : str or PostProcessor, default="l3_hinge"
            How margins become scores: a :class:`PostProcessor` or the name of one.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_labels)
            Logarithms of scores, or margins for "noop", of the stored pairs.

        Raises
        ------
        ValueError
            If X has other features than the model, or ``pairs`` another shape or broken
            indices.
        TypeError
            If X is no HybridFeatures, or ``pairs`` no sparse matrix.
        """
        rule, _, _ = self._checked(X, post_processor)
        if not sparse.issparse(pairs):
            raise TypeError(f"pairs must be a CSR matrix, got {type(pairs).__name__}")
        if pairs.shape != (len(X), self.n_labels):
            raise ValueError(
                f"pairs must have shape {(len(X), self.n_labels)}, got {pairs.shape}"
            )
        pairs = checked_csr(pairs, "pairs")
        place = np.empty(self.n_labels, dtype=np.int32)
        place[self._tree.label_order] = np.arange(self.n_labels, dtype=np.int32)
        order = _order_in_rows(place[pairs.indices], pairs.indptr, self.n_labels)
        scores = np.empty(len(pairs.indices), dtype=np.float32)
        scores[order] = self._search.score_pairs(
            X,
            pairs.indptr.astype(np.int64),
            place[pairs.indices][order],
            rule,
            effective_n_threads(),
        )
        return sparse.csr_matrix(
            (scores, pairs.indices, pairs.indptr), shape=pairs.shape
        )

    def matching(
        self,
        X: HybridFeatures,
        *,
        beam_size: int | None = 10,
        post_processor: str | PostProcessor = "l3_hinge",
    ) -> CSR:
        """Score the clusters of labels that fit each instance best.

        Parameters
        ----------
        X : HybridFeatures of shape (n_samples, n_features + n_dense)
            Instances.
        beam_size : int or None, default=10
            Number of clusters; None for all.
        post_processor : str or PostProcessor, default="l3_hinge"
            How margins become scores: a :class:`PostProcessor` or the name of one.

        Returns
        -------
        csr_matrix of float32 of shape (n_samples, n_clusters)
            Probabilities of the clusters; all ones if the tree is flat.
        """
        rule, _, beam_size = self._checked(X, post_processor, beam_size=beam_size)
        n_above, n_clusters = self._tree.n_levels - 1, self._tree.n_clusters
        if n_above == 0:
            return sparse.csr_matrix(np.ones((len(X), 1), dtype=np.float32))
        k = n_clusters if beam_size is None else beam_size
        nodes, log_scores = self._search.search(
            X, n_above, beam_size, k, rule, effective_n_threads()
        )
        scores = rule.probabilities(log_scores)
        return csr_from_topk(nodes, scores, n_clusters)

    # --- changes: each makes a new model ---------------------------------------------

    def with_labels(self, clusters: np.ndarray, trained: ChunkedWeights) -> "TreeModel":
        """Return a model with more labels.

        Parameters
        ----------
        clusters : ndarray of int of shape (n_new,)
            Cluster that each new label joins.
        trained : ChunkedWeights
            Weights of the new labels; its parents are the clusters that gain a label,
            in ascending order.

        Returns
        -------
        TreeModel
            Model in which the new labels have the highest numbers.
        """
        tree = self._tree.with_labels(clusters)
        level = append_nodes(self.weights[-1], np.unique(clusters), trained)
        return TreeModel(tree, [*self.weights[:-1], level])

    def without_labels(self, labels: ArrayLike) -> "TreeModel":
        """Return a model without some labels.

        Parameters
        ----------
        labels : ndarray of int
            Labels to remove.

        Returns
        -------
        TreeModel
            Model of the other labels, which are renumbered in their order.

        Raises
        ------
        ValueError
            If a label is not known, or none would be left.
        """
        kept = self._tree.nodes_without(labels)
        above = [np.ones(1, dtype=bool), *kept[:-1]]
        weights = [
            keep_nodes(level, nodes, parents)
            for level, nodes, parents in zip(self.weights, kept, above, strict=True)
        ]
        return TreeModel(self._tree.without_labels(labels), weights)

    def with_children(
        self, level: int, parents: np.ndarray, trained: ChunkedWeights
    ) -> "TreeModel":
        """Return a model with other weights of all children of some nodes.

        Parameters
        ----------
        level : int
            Level of the children: 0 for those of the root.
        parents : ndarray of int
            Nodes of the level above.
        trained : ChunkedWeights
            The new weights, with a parent for each of ``parents``.

        Returns
        -------
        TreeModel
            Model with the same tree.
        """
        weights = list(self.weights)
        weights[level] = replace_children(weights[level], parents, trained)
        return TreeModel(self._tree, weights)

    def with_level(
        self, level: int, weights: ChunkedWeights | PatchedWeights
    ) -> "TreeModel":
        """Return a model with other weights of the nodes of a level.

        Parameters
        ----------
        level : int
            Level: 0 for the children of the root.
        weights : ChunkedWeights or PatchedWeights
            Weights of the same nodes.

        Returns
        -------
        TreeModel
            Model with the same tree.
        """
        levels = [*self._levels[:level], weights, *self._levels[level + 1 :]]
        return TreeModel(self._tree, levels)

    def pruned(
        self,
        *,
        threshold: float = 0.0,
        energy: float = 1.0,
        max_weights_per_label: int | None = None,
        dtype: Literal["float32", "float16", "int8"] | None = None,
    ) -> "TreeModel":
        """Return a model without its smallest weights.

        Parameters
        ----------
        threshold : float, default=0.0
            Minimum absolute value of a weight.
        energy : float in (0, 1], default=1.0
            Each label (and node) keeps its largest weights until their squares make
            this share of the sum of all its squares.
        max_weights_per_label : int or None, default=None
            Maximum number of weights of a label; nodes above are not limited.
        dtype : {"float32", "float16", "int8"}, default=None
            How weights are stored; None means as before.

        Returns
        -------
        TreeModel
            Model with the same tree.
        """
        last = len(self.weights) - 1
        pruned = [
            prune_weights(
                weights,
                threshold,
                energy,
                max_weights_per_label if level == last else None,
                dtype,
            )
            for level, weights in enumerate(self.weights)
        ]
        return TreeModel(self._tree, pruned)

    # --- checks ----------------------------------------------------------------------

    def verify(self) -> None:
        """Compare the contents of all arrays with the checksum of the saved model.

        This reads every byte, which loading a memory-mapped model does not.

        Raises
        ------
        ValueError
            If a byte has changed since the model was saved.
        """
        saved = getattr(self, "_checksum", None)
        if saved is not None and saved != self.checksum():
            raise ValueError(
                "the model's arrays are not those that were saved: their checksum is "
                f"{self.checksum()}, but {saved} was written; the file is damaged"
            )

    def checksum(self) -> int:
        """Return the checksum of the contents of all arrays.

        Returns
        -------
        int
            CRC-32 of the arrays of the tree and of all levels.
        """
        arrays = [*self._tree.offsets, self._tree.label_order]
        arrays += [a for weights in self.weights for a in weights.arrays().values()]
        total = 0
        for array in arrays:
            total = crc32(np.ascontiguousarray(array).view(np.uint8).data, total)
        return total

    def _check(self):
        """Raise an error unless the levels' weights are those of the tree's nodes."""
        tree, weights = self._tree, self._levels
        if not isinstance(tree, LabelTree):
            raise TypeError(f"tree must be a LabelTree, got {type(tree).__name__}")
        if len(weights) != tree.n_levels:
            raise ValueError(
                f"weights must hold the {tree.n_levels} levels of the tree, got "
                f"{len(weights)}"
            )
        for number, (level, offsets) in enumerate(
            zip(weights, tree.offsets, strict=True)
        ):
            if not isinstance(level, ChunkedWeights | PatchedWeights):
                raise TypeError(
                    f"weights[{number}] must be ChunkedWeights, got "
                    f"{type(level).__name__}"
                )
            if not np.array_equal(level.offsets, offsets):
                raise ValueError(
                    f"weights[{number}] must have the nodes of level {number} of the "
                    f"tree under their parents, got {level!r} for {tree!r}"
                )
            widths = level.n_features, level.dense.shape[1]
            if widths != (self.n_features, self.n_dense):
                raise ValueError(
                    f"weights[{number}] must have {self.n_features} sparse and "
                    f"{self.n_dense} dense features, as weights[0], got {widths}"
                )

    def _checked(self, X, post_processor, k=1, beam_size=1):
        """The post-processor, k and beam_size; these and X's width are checked."""
        if not isinstance(X, HybridFeatures):
            raise TypeError(f"X must be HybridFeatures, got {type(X).__name__}")
        if X.sparse.shape[1] != self.n_features or X.dense.shape[1] != self.n_dense:
            raise ValueError(
                f"X must have {self.n_features} sparse and {self.n_dense} dense "
                f"features, got {X.sparse.shape[1]} and {X.dense.shape[1]}"
            )
        rule = post_processor_of(post_processor)
        return rule, check_count(k, "k"), _checked_beam(beam_size)

    def _prepared(self, label_weight, rule):
        """Label weights in the form that the search takes, or None."""
        if label_weight is None:
            return None
        if rule.is_margin:
            raise ValueError(
                "label_weight multiplies probabilities: post_processor must not be "
                "'noop', whose scores are margins"
            )
        weights = check_label_weight(label_weight, self.n_labels)
        return self._search.label_weights(weights)

    def __repr__(self):
        return f"TreeModel({self._tree!r}, {self.nbytes / 2**20:.1f} MiB)"

    def __getstate__(self):
        return {
            "format": FORMAT,
            "tree": self._tree,
            "weights": list(self.weights),
            "checksum": self.checksum(),
        }

    def __setstate__(self, state):
        found = state.get("format")
        if found != FORMAT:
            raise ValueError(
                f"the saved model has format {found!r}, but this version of "
                f"sklearn_xmr reads format {FORMAT}: train it again, or load it with "
                "the version that saved it"
            )
        self.__init__(state["tree"], state["weights"])
        self._checksum = state["checksum"]


def _checked_beam(beam_size):
    return None if beam_size is None else check_count(beam_size, "beam_size")


def _all_weights(weights):
    """Weights of sparse features, and of dense ones as the last columns: CSR."""
    matrix = sparse.csr_matrix(weights.to_csr())
    if not weights.dense.shape[1]:
        return matrix
    return sparse.csr_matrix(sparse.hstack([matrix, weights.dense_weights()]))


def _order_in_rows(places, indptr, n_places):
    """Order that sorts the places of each row: five times as fast as lexsort."""
    numbered = sparse.csr_matrix(
        (np.arange(len(places)), places, indptr), shape=(len(indptr) - 1, n_places)
    )
    numbered.sort_indices()
    return numbered.data
