"""Labels that mean the same: alike in name or instances, and rarely together."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from sklearn_xmr.base import indicator_and_names
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection._explanation import label_vectors_of
from sklearn_xmr.inspection._tables import Table
from sklearn_xmr.neighbors import XRNeighborsClassifier
from sklearn_xmr.utils._matrices import as_csr_float32
from sklearn_xmr.utils._rankings import csr_from_topk, topk_of_csr
from sklearn_xmr.utils._texts_and_names import check_names, well_formed
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList
from sklearn_xmr.utils._validation import check_count

VECTOR_LENGTH = 100  # largest weights of a label that are compared


@dataclass(eq=False)
class DuplicateLabels(Table):
    """Pairs of labels that may mean the same, the most alike first.

    What :func:`find_duplicate_labels` returns; slices are of the same kind.

    Parameters
    ----------
    first, second : ndarray of int64 of shape (n_pairs,)
        Columns of y; the first has the smaller number.
    score : ndarray of float64 of shape (n_pairs,)
        Mean of the similarities, times the share of the rarer label's instances that
        do not have the other.
    name_similarity, vector_similarity : ndarray of float64 of shape (n_pairs,) or None
        Cosine of the names' pieces of 2 to 4 characters, and of the labels' vectors.
    together : ndarray of int64 of shape (n_pairs,)
        Number of instances with both.
    counts : ndarray of int64 of shape (n_labels,)
        Number of instances of each label.
    label_names : list or None, default=None
        Names of the columns of y.

    Examples
    --------
    >>> from sklearn_xmr.inspection import find_duplicate_labels
    >>> Y = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> pairs = find_duplicate_labels(Y, label_names=["ship", "ships", "horse"])
    >>> pairs[:1].to_dict()["second_name"]
    ['ships']
    """

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray
    name_similarity: np.ndarray | None
    vector_similarity: np.ndarray | None
    together: np.ndarray
    counts: np.ndarray
    label_names: list | None = None

    _columns = (
        "first",
        "second",
        "score",
        "name_similarity",
        "vector_similarity",
        "together",
    )

    def __repr__(self) -> str:
        return f"DuplicateLabels({len(self):,} pairs)"

    def to_dict(self) -> dict[str, list]:
        """The columns of the table.

        Returns
        -------
        dict of str to list
            "first", "second", "first_name" and "second_name" where there are names,
            "score", the similarities, "first_count", "second_count" and "together".
        """
        both = {"first": self.first, "second": self.second}
        columns = {name: labels.tolist() for name, labels in both.items()}
        if self.label_names is not None:
            for name, labels in both.items():
                columns[f"{name}_name"] = self._named(labels)
        columns["score"] = self.score.tolist()
        for name in ("name_similarity", "vector_similarity"):
            if getattr(self, name) is not None:
                columns[name] = getattr(self, name).tolist()
        for name, labels in both.items():
            columns[f"{name}_count"] = self.counts[labels].tolist()
        columns["together"] = self.together.tolist()
        return columns


def find_duplicate_labels(
    y: MatrixLike,
    *,
    label_names: NameList | None = None,
    label_vectors: MatrixLike | Estimator | None = None,
    n_neighbors: int = 5,
) -> DuplicateLabels:
    """Rank pairs of labels that may mean the same.

    Such labels have names that are spelt alike, or the same kind of instances, and are
    rarely given together: each is what some people take.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples, n_labels), (n_samples,) or \
            list of lists of str
        Labels of instances.
    label_names : sequence of str, default=None
        Names of the columns of y; by default those that y has.
    label_vectors : {array-like, sparse matrix} of shape (n_labels, n_features) or \
            estimator, default=None
        What describes the labels, such as
        ``sklearn_xmr.label_representation(X, Y)``, or a fitted XRLinearClassifier (or
        a pipeline or search that ends in one), whose weights are compared. The
        hundred largest values of each label count.
    n_neighbors : int, default=5
        Number of labels to compare each label with: the nearest by name, and the
        nearest by vector.

    Returns
    -------
    DuplicateLabels
        Each pair once, the most alike first.

    Raises
    ------
    ValueError
        If there are neither names nor vectors, or not one for each label.

    See Also
    --------
    nearest_labels : Those of one label.

    Examples
    --------
    >>> from sklearn_xmr.inspection import find_duplicate_labels
    >>> Y = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> vectors = [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    >>> pairs = find_duplicate_labels(Y, label_vectors=vectors)
    >>> int(pairs.first[0]), int(pairs.second[0])
    (0, 1)
    """
    check_count(n_neighbors, "n_neighbors")
    Y, names = indicator_and_names(y)
    names = check_names(label_names, Y.shape[1], "label_names") or names
    spaces = _spaces(Y, names, label_vectors)
    pairs = _candidates([space for space in spaces if space is not None], n_neighbors)
    cosines = [None if s is None else _products(s, s, *pairs) for s in spaces]
    labels = sparse.csr_matrix(Y.T)
    together = np.rint(_products(labels, labels, *pairs)).astype(np.int64)
    counts = np.diff(labels.indptr)
    rarer = np.maximum(np.minimum(*(counts[side] for side in pairs)), 1)
    mean = np.mean([part for part in cosines if part is not None], axis=0)
    score = mean * (1 - together / rarer)
    order = np.lexsort((pairs[1], pairs[0], -score))
    out = DuplicateLabels(*pairs, score, *cosines, together, counts, names)
    return out[order]


def _spaces(Y, names, label_vectors):
    """Unit rows of names and of vectors, None for what is not known."""
    if names is None and label_vectors is None:
        raise ValueError(
            "label_names or label_vectors must be given to compare labels by, such as "
            "label_vectors=label_representation(X, y)"
        )
    by_name = None
    if names is not None:
        vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True
        )
        texts = [well_formed(str(name)) for name in names]
        by_name = as_csr_float32(vectorizer.fit_transform(texts))
    if label_vectors is None:
        return by_name, None
    vectors = label_vectors_of(label_vectors)
    if vectors.shape[0] != Y.shape[1]:
        raise ValueError(
            f"label_vectors must have a row for each of the {Y.shape[1]} labels, got "
            f"{vectors.shape[0]}"
        )
    return by_name, _short(vectors)


def _short(vectors):
    """The largest values of each row, as unit rows."""
    vectors = as_csr_float32(vectors)
    vectors.sum_duplicates()
    best = topk_of_csr(vectors, VECTOR_LENGTH)
    return as_csr_float32(normalize(csr_from_topk(*best, vectors.shape[1])))


def _candidates(spaces, n_neighbors):
    """Pairs of labels that are near in any space, each once: smaller numbers first."""
    keys = []
    for space in spaces:
        n_labels = space.shape[0]
        index = XRNeighborsClassifier().fit(space, np.zeros(n_labels, int))
        near = index.kneighbors(space, min(n_neighbors + 1, n_labels))[1]
        own = np.repeat(np.arange(n_labels), near.shape[1])
        near = near.ravel().astype(np.int64)
        kept = (near >= 0) & (near != own)
        low, high = np.minimum(own, near)[kept], np.maximum(own, near)[kept]
        keys.append(low * n_labels + high)
    return np.divmod(np.unique(np.concatenate(keys)), spaces[0].shape[0])


def _products(one, other, rows, columns, block=1 << 16):
    """Inner products of rows of sparse matrices."""
    out = np.zeros(len(rows))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        products = one[rows[part]].multiply(other[columns[part]])
        out[part] = np.asarray(products.sum(axis=1)).ravel()
    return out
