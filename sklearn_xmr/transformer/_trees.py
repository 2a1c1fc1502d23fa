"""The label trees of an X-Transformer: before and after fine-tuning."""

from scipy import sparse
from sklearn.base import clone

from sklearn_xmr.indexing import (
    HierarchicalLabelClusterer,
    LabelTree,
    label_representation,
)
from sklearn_xmr.utils._seeding import seed_if_unset


def first_tree(clusterer, X, Y, seed):
    """The tree over which the encoder is fine-tuned.

    Parameters
    ----------
    clusterer : LabelTree, estimator or None
        As the user gave it.
    X : {csr_matrix, ndarray} of shape (n_samples, n_features)
        Sparse features; embeddings where there are none.
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator.
    seed : int
        Of a clusterer without one.

    Returns
    -------
    LabelTree
    """
    if isinstance(clusterer, LabelTree):
        return _checked(clusterer, Y)
    clusterer = _prepared(clusterer, seed, branching_factor=16, max_leaf_size=100)
    return _fitted_tree(clusterer, X, Y)


def refined_tree(clusterer, X, Y, seed):
    """The tree of the ranker, on sparse and dense features.

    Label vectors are PIFA vectors of both, side by side, unless the clusterer's
    ``representation`` says otherwise: then its ``fit`` gets the sparse features, or the
    dense ones where there are no others.

    Parameters
    ----------
    clusterer : LabelTree, estimator or None
        As the user gave it.
    X : HybridFeatures of shape (n_samples, n_features)
        Sparse features and embeddings.
    Y : csr_matrix of shape (n_samples, n_labels)
        Label indicator.
    seed : int
        Of a clusterer without one.

    Returns
    -------
    LabelTree
    """
    if isinstance(clusterer, LabelTree):
        return _checked(clusterer, Y)
    blocks = [X.sparse, X.dense] if X.sparse.shape[1] else [X.dense]
    clusterer = _prepared(clusterer, seed, branching_factor=100, max_leaf_size=96)
    if _has_pifa_vectors(clusterer):
        vectors = [label_representation(block, Y, "pifa") for block in blocks]
        vectors = [sparse.csr_matrix(part) for part in vectors]
        clusterer.set_params(representation=sparse.hstack(vectors, format="csr"))
    return _fitted_tree(clusterer, blocks[0], Y)


def _prepared(clusterer, seed, **default):
    """A clone of the clusterer with a seed, or the default one."""
    if clusterer is None:
        clusterer = HierarchicalLabelClusterer(**default)
    clusterer = clone(clusterer)
    seed_if_unset(clusterer, seed)
    return clusterer


def _has_pifa_vectors(clusterer):
    """Whether a clusterer makes PIFA vectors of the instances that it is given."""
    representation = clusterer.get_params(deep=False).get("representation")
    return isinstance(representation, str) and representation == "pifa"


def _fitted_tree(clusterer, X, Y):
    tree = getattr(clusterer.fit(X, Y), "tree_", None)
    if not isinstance(tree, LabelTree):
        raise TypeError(
            "clusterer must set tree_, a LabelTree, in fit(X, Y), but "
            f"{type(clusterer).__name__} set {tree!r}; use LabelTree.from_labels for "
            "the flat clusters of another clusterer"
        )
    return _checked(tree, Y)


def _checked(tree, Y):
    if tree.n_labels != Y.shape[1]:
        raise ValueError(
            f"clusterer gives a tree of {tree.n_labels} labels, but y has "
            f"{Y.shape[1]}: every label needs its place in the tree"
        )
    return tree
