"""Label representations: the vectors by which labels are grouped."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.indexing._balanced_kmeans import sum_of_rows
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils.validation import as_csr_float32, check_X_Y

METHODS = ("pifa", "pii")


def label_representation(X, Y, method="pifa"):
    """Represent each label by its positive instances.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Instances.
    Y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Label indicator, 0 or 1.
    method : {"pifa", "pii"}, default="pifa"
        - "pifa", positive instance feature aggregation: ``unit(unit(Y)' X)`` with
          ``unit`` scaling rows to length 1, so that an instance with many labels
          counts less for each.
        - "pii", positive instance indices: ``unit(Y')``, the set of instances itself.

    Returns
    -------
    {ndarray, csr_matrix} of float32
        (n_labels, n_features) for "pifa", dense for dense X; (n_labels, n_samples),
        sparse, for "pii". Rows have unit length; labels without a positive
        instance have zero rows.

    Raises
    ------
    ValueError
        If ``method`` is unknown, or X or Y is not as described.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).

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
    X, Y = check_X_Y(X, Y)
    if method == "pii":
        return normalize(Y.T.tocsr()).astype(np.float32)
    if sparse.issparse(X):
        return pifa(X, Y)
    return normalize(normalize(Y).T @ X)


def pifa(X, Y, max_entries=None):
    """PIFA of checked input: CSR float32 X and CSR Y with 0/1 values, sorted.

    With `max_entries`, only that many largest entries of each label, not rescaled.
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
