"""Label representations: the vectors by which labels are grouped."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds
from sklearn.utils import check_random_state, check_scalar

from sklearn_xmr.indexing._pifa import sum_of_rows
from sklearn_xmr.utils._matrices import aligns_sparse, as_csr_float32
from sklearn_xmr.utils._memory import check_memory
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._typing import DenseOrSparse, MatrixLike, RandomState
from sklearn_xmr.utils._unit_rows import unit_rows
from sklearn_xmr.utils._validation import (
    check_array,
    check_count,
    check_X_Y,
)

METHODS = ("pifa", "pii", "lf", "pifa+lf", "pifa_lf_convex", "spectral", "label_graph")
SMALL = 50  # a side up to which all singular vectors are computed
NEED_FEATURES = ("lf", "pifa+lf", "pifa_lf_convex", "label_graph")


@aligns_sparse
def label_representation(
    X: MatrixLike,
    Y: MatrixLike,
    method: str | Callable[..., Any] = "pifa",
    *,
    label_features: MatrixLike | None = None,
    feature_share: float = 0.5,
    n_components: int = 64,
    random_state: RandomState = 0,
) -> DenseOrSparse:
    """Represent each label by its instances, its own features, or a graph.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Instances.
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator, 0 or 1.
    method : str, default="pifa"
        With ``unit`` scaling rows to length 1:

        - "pifa", positive instance feature aggregation: ``unit(unit(Y)' X)``, so that
          an instance with many labels counts less for each;
        - "pii", positive instance indices: ``unit(Y')``, the set of instances itself;
        - "lf": ``unit(label_features)``, such as tf-idf of the labels' names;
        - "pifa+lf": both side by side, ``feature_share`` of the squared length being
          the label features';
        - "pifa_lf_convex": ``unit((1 - feature_share) pifa + feature_share lf)``; label
          features are columns of the same vocabulary as X;
        - "spectral": co-clustering of the graph of instances and labels: the
          leading singular vectors, but the first, of Y with both degrees normalised;
        - "label_graph": the same of a graph of labels, ``label_features`` being its
          symmetric, non-negative adjacency matrix.
    label_features : {array-like, sparse matrix} of shape (n_labels, any), default=None
        Features of the labels, or their graph, for the methods that say so.
    feature_share : float in [0, 1], default=0.5
        Share of the label features in "pifa+lf" and "pifa_lf_convex".
    n_components : int, default=64
        Columns of "spectral" and "label_graph"; fewer where there are fewer labels.
    random_state : int, RandomState instance or None, default=0
        Draws the starting vector of "spectral" and "label_graph".

    Returns
    -------
    {ndarray, csr_matrix} of float32
        A row for each label, of unit length, or zero where nothing is known of the
        label (no instance, no feature). Sparse, but dense for "spectral",
        "label_graph", "pifa" of dense X, and "lf" of dense features.

    Raises
    ------
    ValueError
        If ``method`` is unknown, or an argument is not as described.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).
    I. Dhillon. "Co-clustering documents and words using bipartite spectral graph
    partitioning", KDD 2001.

    Examples
    --------
    >>> from sklearn_xmr import label_representation
    >>> X = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> label_representation(X, [[1, 0], [0, 1], [1, 0]])
    array([[0.70710677, 0.70710677],
           [0.        , 1.        ]], dtype=float32)
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    check_scalar(feature_share, "feature_share", Real, min_val=0, max_val=1)
    check_count(n_components, "n_components")
    X, Y = check_X_Y(X, Y)
    if method in NEED_FEATURES:
        if label_features is None:
            raise ValueError(
                f"label_features must be given for the representation {method!r}"
            )
        label_features = check_label_features(label_features, Y.shape[1])
    if method == "pifa":
        return _unit_pifa(X, Y)
    if method == "pii":
        return unit_rows(Y.T.tocsr()).astype(np.float32)
    if method == "lf":
        return unit_rows(label_features)
    if method == "spectral":
        return _spectral(Y.T.tocsr(), n_components, random_state, bipartite=True)
    if method == "label_graph":
        graph = _check_graph(label_features)
        return _spectral(graph, n_components, random_state, bipartite=False)
    return _beside_or_mixed(X, Y, method, label_features, feature_share)


def _beside_or_mixed(X, Y, method, label_features, feature_share):
    """PIFA and label features, as two blocks or as their weighted sum."""
    both = as_csr_float32(_unit_pifa(X, Y)), as_csr_float32(unit_rows(label_features))
    if method == "pifa+lf":
        shares = np.sqrt([1 - feature_share, feature_share]).astype(np.float32)
        parts = [share * part for share, part in zip(shares, both, strict=True)]
        return unit_rows(sparse.hstack(parts).tocsr())
    if both[0].shape != both[1].shape:
        raise ValueError(
            "label_features must have the columns of X for 'pifa_lf_convex', "
            f"{X.shape[1]}, got {label_features.shape[1]}"
        )
    mixed = (
        np.float32(1 - feature_share) * both[0] + np.float32(feature_share) * both[1]
    )
    return as_csr_float32(unit_rows(mixed))


def _unit_pifa(X, Y):
    if sparse.issparse(X):
        return pifa(X, Y)
    check_memory(
        "the dense vectors of the labels",
        (Y.shape[1], X.shape[1]),
        ("labels", "features"),
        "give X as a sparse matrix, or reduce it, with PCA for instance",
        n_bytes=12,
    )
    return unit_rows(unit_rows(Y).T @ X)


def check_label_features(features, n_labels, name="label_features"):
    """Features of the labels as float32.

    Parameters
    ----------
    features : {array-like, sparse matrix} of shape (n_labels, any)
        A row for each label.
    n_labels : int
        Number of labels.
    name : str, default="label_features"
        What errors call them.

    Returns
    -------
    {ndarray, csr_matrix} of float32

    Raises
    ------
    ValueError
        Unless there is a finite row for each label.
    """
    features = check_array(
        features, accept_sparse="csr", dtype=np.float32, input_name=name
    )
    if features.shape[0] != n_labels:
        raise ValueError(
            f"{name} must have a row for each of the {n_labels} labels, got "
            f"{features.shape[0]}"
        )
    return features


def _check_graph(graph):
    graph = sparse.csr_matrix(graph)
    if graph.shape[0] != graph.shape[1]:
        raise ValueError(
            "label_features must be a square adjacency matrix for 'label_graph', got "
            f"shape {graph.shape}"
        )
    if graph.nnz and graph.data.min() < 0:
        raise ValueError(
            "label_features must not be negative, being an adjacency matrix for "
            f"'label_graph', found {graph.data.min()}"
        )
    if abs(graph - graph.T).max() > 1e-6 * max(abs(graph).max(), 1):
        raise ValueError(
            "label_features must be symmetric, being an adjacency matrix for "
            "'label_graph'"
        )
    return graph


def _spectral(links, n_components, random_state, bipartite):
    """Leading left singular vectors, but the first, of degree-normalised links.

    Row l is scaled by ``degree(l) ** -0.5``, as in normalised cuts, and then to unit
    length.
    """
    left = np.asarray(links.sum(axis=1), dtype=np.float64).ravel()
    right = np.asarray(links.sum(axis=0), dtype=np.float64).ravel()
    scale_left, scale_right = (
        np.where(degree > 0, np.maximum(degree, 1e-30) ** -0.5, 0)
        for degree in (left, right)
    )
    scaled = sparse.diags(scale_left) @ links @ sparse.diags(scale_right)
    n_wanted = min(n_components + 1, min(links.shape))
    if not bipartite:
        # Eigenvalues near -1 part nothing: shifted, they are the smallest.
        scaled = (scaled + sparse.identity(links.shape[0])) / 2
    U = _left_singular_vectors(scaled.tocsr(), n_wanted, random_state)
    vectors = scale_left[:, None] * U[:, min(1, U.shape[1] - 1) :]
    return unit_rows(vectors).astype(np.float32)


def _left_singular_vectors(matrix, n_wanted, random_state):
    """Of the largest singular values, which come first."""
    if min(matrix.shape) <= max(n_wanted, SMALL):
        return np.linalg.svd(matrix.toarray(), full_matrices=False)[0][:, :n_wanted]
    start = check_random_state(random_state).uniform(-1, 1, min(matrix.shape))
    U, values, _ = svds(matrix, n_wanted, v0=start)
    return U[:, np.argsort(-values)]


def pifa(X, Y, max_entries=None):
    """PIFA of checked input: CSR float32 X and CSR Y with 0/1 values, sorted.

    With `max_entries`, each label keeps only that many entries, the largest ones,
    which are not rescaled.
    """
    X = as_csr_float32(X)
    counts = np.diff(Y.indptr)
    Yt = sparse.csc_matrix(
        (
            np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32),
            Y.indices,
            Y.indptr,
        ),
        shape=Y.shape[::-1],
    ).tocsr()
    indptr, indices, values = sum_of_rows(
        X.indptr.astype(np.int64),
        X.indices,
        X.data,
        X.shape[1],
        Yt.indptr.astype(np.int64),
        Yt.indices.astype(np.int32),
        Yt.data,
        X.shape[1] if max_entries is None else max_entries,
        effective_n_threads(),
    )
    return sparse.csr_matrix((values, indices, indptr), shape=(Y.shape[1], X.shape[1]))
