"""The label trees of an X-Transformer: before and after fine-tuning."""

from scipy import sparse
from sklearn.base import clone

from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    label_representation,
)
from sklearn_xmr.utils.seeding import seed_if_unset


def first_tree(clusterer, X, Y, seed):
    """The tree over which the encoder is fine-tuned.

    Parameters
    ----------
    clusterer : LabelTree, estimator or None
    X : {csr_matrix, ndarray} of shape (n_samples, n_features)
        Sparse features; embeddings where there are none.
    Y : csr_matrix of shape (n_samples, n_labels)
    seed : int

    Returns
    -------
    LabelTree
    """
    if isinstance(clusterer, LabelTree):
        return clusterer
    return _made(clusterer, seed, 16, 100).fit(X, Y).tree_


def refined_tree(clusterer, X, Y, seed):
    """A tree of the labels' PIFA vectors of sparse and dense features, side by side.

    Parameters
    ----------
    clusterer : LabelTree, estimator or None
    X : HybridFeatures
    Y : csr_matrix of shape (n_samples, n_labels)
    seed : int

    Returns
    -------
    LabelTree
    """
    if isinstance(clusterer, LabelTree):
        return clusterer
    blocks = [X.sparse, X.dense] if X.sparse.shape[1] else [X.dense]
    clusterer = _made(clusterer, seed, 100, 96)
    if isinstance(clusterer, HierarchicalLabelClusterer):
        vectors = [label_representation(block, Y, "pifa") for block in blocks]
        vectors = [sparse.csr_matrix(part) for part in vectors]
        clusterer.set_params(representation=sparse.hstack(vectors, format="csr"))
    return clusterer.fit(blocks[0], Y).tree_


def _made(clusterer, seed, branching_factor, max_leaf_size):
    """The clusterer with a seed, or the default one."""
    if clusterer is None:
        clusterer = HierarchicalLabelClusterer(
            branching_factor=branching_factor, max_leaf_size=max_leaf_size
        )
    clusterer = clone(clusterer)
    seed_if_unset(clusterer, seed)
    return clusterer
