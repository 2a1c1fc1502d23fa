"""Rankings: top-k lists, (n, k) with -1 for none, and sparse pairs with scores."""

import numpy as np
from scipy import sparse

from sklearn_xmr.utils._matrices import checked_csr, flat_keys
from sklearn_xmr.utils._validation import check_array

# Dense scores are searched in blocks of about this many values.
BLOCK_VALUES = 1 << 22


def csr_from_topk(columns, values, n_columns):
    """Convert a top-k list to a CSR matrix.

    Parameters
    ----------
    columns : ndarray of int of shape (n_rows, k)
        Columns of each row; -1 for none.
    values : ndarray of shape (n_rows, k)
        Values at these columns.
    n_columns : int
        Number of columns of the matrix.

    Returns
    -------
    csr_matrix of shape (n_rows, n_columns)
        The values, with sorted indices.
    """
    found = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    shape = (len(columns), n_columns)
    out = sparse.csr_matrix((values[found], columns[found], indptr), shape=shape)
    out.sort_indices()
    return out


def topk_of_csr(scores, k):
    """Find the k largest stored values of each row of a CSR matrix.

    Parameters
    ----------
    scores : csr_matrix of shape (n_rows, n_columns)
        Scores, with sorted indices.
    k : int
        Number of values.

    Returns
    -------
    columns : ndarray of int64 of shape (n_rows, min(k, n_columns))
        Columns, best first and ties in ascending order; -1 where a row stores fewer.
    values : ndarray of float32 of the same shape
        Their values; -inf where the column is -1.
    """
    n_rows = scores.shape[0]
    k = min(k, scores.shape[1])
    counts = np.diff(scores.indptr)
    rows = np.repeat(np.arange(n_rows), counts)
    order = np.lexsort((scores.indices, -scores.data, rows))
    rank = np.arange(len(order)) - np.repeat(scores.indptr[:-1], counts)
    order, rows, rank = order[rank < k], rows[rank < k], rank[rank < k]
    columns = np.full((n_rows, k), -1, dtype=np.int64)
    values = np.full((n_rows, k), -np.inf, dtype=np.float32)
    columns[rows, rank] = scores.indices[order]
    values[rows, rank] = scores.data[order]
    return columns, values


def rank_topk(y_score, k, shape):
    """Rank the labels of each row.

    Parameters
    ----------
    y_score : {array-like, sparse matrix} of shape (n_samples, n_labels), or pair
        Scores of all labels; sparse scores of the stored labels only; or a pair
        (labels, scores) of arrays of equal shape, with labels of -1 for none.
    k : int
        Number of labels.
    shape : (n_samples, n_labels)
        Shape of the true label indicator.

    Returns
    -------
    ndarray of int64 of shape (n_samples, k)
        Labels, best first and ties in ascending order; -1 where there are fewer.

    Raises
    ------
    ValueError
        If ``y_score`` does not have such a form, or does not fit ``shape``.
    """
    if isinstance(y_score, tuple):
        rows, labels, scores = _from_pair(y_score, shape)
    elif sparse.issparse(y_score):
        rows, labels, scores = _from_sparse(y_score, shape)
    else:
        rows, labels, scores = _from_dense(y_score, k, shape)
    order = np.lexsort((labels, -scores, rows))
    rows, labels = rows[order], labels[order]
    starts = np.searchsorted(rows, np.arange(shape[0]))
    rank = np.arange(len(rows)) - starts[rows]
    best = rank < k
    top = np.full((shape[0], k), -1, dtype=np.int64)
    top[rows[best], rank[best]] = labels[best]
    return top


def _from_pair(pair, shape):
    if len(pair) != 2:
        raise ValueError(
            f"y_score must be scores or a pair (labels, scores), got {len(pair)} items"
        )
    labels = check_array(pair[0], dtype=None, input_name="y_score[0] (labels)")
    scores = check_array(
        pair[1],
        dtype="numeric",
        ensure_all_finite=False,
        input_name="y_score[1] (scores)",
    )
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"y_score[0] must hold label numbers (integers), got dtype {labels.dtype}"
        )
    if labels.shape != scores.shape or len(labels) != shape[0]:
        raise ValueError(
            f"y_score's labels and scores must have the same shape and {shape[0]} "
            f"rows, as y_true, got {labels.shape} and {scores.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError("y_score[1] (scores) must not hold NaN")
    rows, places = np.nonzero(labels >= 0)
    labels, scores = labels[rows, places].astype(np.int64), scores[rows, places]
    if len(labels) and labels.max() >= shape[1]:
        raise ValueError(
            f"y_score's labels must be below {shape[1]}, the number of columns of "
            f"y_true, found {labels.max()}"
        )
    keys = np.sort(rows * np.int64(shape[1]) + labels)
    if (keys[1:] == keys[:-1]).any():
        raise ValueError("y_score[0] (labels) must not have duplicates in a row")
    return rows, labels, scores


def _from_sparse(y_score, shape):
    _check_shape(y_score, shape)
    scores = checked_csr(y_score, "y_score")
    scores = check_array(scores, accept_sparse="csr", input_name="y_score")
    if not scores.has_canonical_format:
        scores = scores.copy()
        scores.sum_duplicates()
    rows = np.repeat(np.arange(shape[0]), np.diff(scores.indptr))
    return rows, scores.indices.astype(np.int64), scores.data


def _from_dense(y_score, k, shape):
    """Labels that reach the k-th best score of their row."""
    scores = check_array(y_score, dtype="numeric", input_name="y_score")
    _check_shape(scores, shape)
    if k >= shape[1]:
        rows, labels = np.divmod(np.arange(scores.size), shape[1])
        return rows, labels, scores.ravel()
    step = max(1, BLOCK_VALUES // shape[1])
    found = []
    for start in range(0, shape[0], step):
        block = scores[start : start + step]
        bar = np.partition(block, shape[1] - k, axis=1)[:, shape[1] - k]
        rows, labels = np.nonzero(block >= bar[:, None])
        found.append((rows + start, labels, block[rows, labels]))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _check_shape(y_score, shape):
    if y_score.shape != shape:
        raise ValueError(
            f"y_score must have the shape of y_true, {shape}, got {y_score.shape}"
        )


def scores_at(y_score, labels):
    """Look up the scores of the labels of a ranking.

    Parameters
    ----------
    y_score : sparse matrix or array-like of shape (n_samples, n_labels)
        Scores of all labels.
    labels : ndarray of int of shape (n_samples, k)
        Labels of each row; -1 for none.

    Returns
    -------
    ndarray of shape (n_samples, k)
        Scores of the labels; 0 where the label is -1.
    """
    rows = np.arange(len(labels))[:, None]
    if sparse.issparse(y_score):
        values = sparse.csr_matrix(y_score)[rows, labels].toarray()
    else:
        values = np.asarray(y_score)[rows, labels]
    return np.where(labels >= 0, values, 0)


def union_of_rankings(rankings, n_labels):
    """Collect the (instance, label) pairs that occur in any ranking.

    Parameters
    ----------
    rankings : list of ndarray of int of shape (n_samples, k)
        Labels of each row; -1 for none.
    n_labels : int
        Number of labels.

    Returns
    -------
    csr_matrix of bool of shape (n_samples, n_labels)
        Canonical matrix that stores the pairs.
    """
    labels = np.concatenate(rankings, axis=1)
    pairs = csr_from_topk(labels, np.ones(labels.shape, dtype=bool), n_labels)
    pairs.sum_duplicates()
    return pairs


def rows_of_pairs(pairs):
    """Row of each pair."""
    return np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))


def values_at(matrix, pairs):
    """Look up the values of a CSR matrix at given pairs.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_samples, n_labels)
        Canonical matrix of the values.
    pairs : csr_matrix of shape (n_samples, n_labels)
        Canonical matrix that stores the pairs.

    Returns
    -------
    ndarray of float32 of shape (pairs.nnz,)
        Values in the order of the pairs; 0 where the matrix stores none.
    """
    stored, wanted = flat_keys(matrix), flat_keys(pairs)
    values = np.zeros(len(wanted), dtype=np.float32)
    if len(stored):
        places = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
        same = stored[places] == wanted
        values[same] = matrix.data[places[same]]
    return values


def with_values(pairs, values):
    """The pairs as CSR with these values."""
    return sparse.csr_matrix((values, pairs.indices, pairs.indptr), shape=pairs.shape)
