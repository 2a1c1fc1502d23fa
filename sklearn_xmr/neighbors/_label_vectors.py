"""Rank labels by the cosine between an instance and their own vectors.

:class:`XRLabelVectorsClassifier` has a vector for each label in the space of the
instances; :class:`XRLabelTextClassifier` makes vectors of the labels' names.
"""

from numbers import Integral, Real
from typing import Literal

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone

from sklearn_xmr.base import BlockwiseRankingMixin
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.indexing import label_representation
from sklearn_xmr.neighbors._index import ALGORITHMS, make_index
from sklearn_xmr.neighbors._votes import PRIOR_VOTE, label_shares, with_every_label
from sklearn_xmr.utils._fitted_state import fit_in_one_step
from sklearn_xmr.utils._matrices import as_csr_float32
from sklearn_xmr.utils._rankings import csr_from_topk, rows_of_pairs, topk_of_csr
from sklearn_xmr.utils._sklearn import HasMethods, Interval, StrOptions, fit_context
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._texts_and_names import check_texts
from sklearn_xmr.utils._typing import Estimator, MatrixLike, NameList, Self
from sklearn_xmr.utils._unit_rows import unit_rows
from sklearn_xmr.utils._validation import check_array

PAIRS_AT_ONCE = 1 << 14  # that are scored: each brings two rows


class LabelVectorsMixin(BlockwiseRankingMixin):
    """Rank labels by the cosine of their vectors, ``label_vectors_``.

    ``fit`` ends with ``_index_labels``. A subclass implements ``_vectors(X)``: unit
    vectors of instances, as the labels' are.
    """

    _search_breadth = None  # exact searches have none

    def _index_labels(self, vectors, Y, algorithm="exact"):
        """Set the fitted attributes, given unit vectors."""
        self.label_vectors_ = vectors
        self.class_prior_ = label_shares(Y)
        self.index_ = make_index(vectors, algorithm)

    def _rank(self, X, k):
        vectors = self._vectors(X)
        cosines, labels = self.index_.search(vectors, k, self._search_breadth)
        if self.target_form_.is_multilabel:
            return labels, cosines
        # Some class must be given, even to what has nothing in common with any.
        cosines = csr_from_topk(labels, cosines, self.n_labels_)
        return topk_of_csr(with_every_label(cosines, self.class_prior_), k)

    def _score_pairs(self, X, pairs):
        vectors, rows = self._vectors(X), rows_of_pairs(pairs)
        cosines = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            of_labels = self.label_vectors_[pairs.indices[part]]
            cosines[part] = _products_of_rows(vectors[rows[part]], of_labels)
        # Only what has something in common is similar, as in the search.
        cosines = np.maximum(cosines, 0)
        if self.target_form_.is_multilabel:
            return cosines
        return cosines + PRIOR_VOTE * self.class_prior_[pairs.indices]


@storable
class XRLabelVectorsClassifier(LabelVectorsMixin, BaseEstimator):
    """Rank labels by the cosine between an instance and the labels' vectors.

    The vector of a label is, by default, the mean of its instances (PIFA): the nearest
    centroid, for many labels and sparse features. Labels are found exactly, through an
    inverted index, or approximately in a graph.

    Nothing is optimised, so that rare labels are ranked as well as frequent ones.
    Useful beside other models in an :class:`XRStackingClassifier`.

    Parameters
    ----------
    vectors : "pifa", array-like or sparse matrix of shape (n_labels, n_features), \
            default="pifa"
        "pifa": the sum of the label's training instances, each divided by the root of
        its number of labels, see :func:`label_representation`. Or vectors of your own,
        with the features of the instances.
    algorithm : {"exact", "hnsw"}, default="exact"
        "exact" is made for sparse vectors. "hnsw" is for dense ones, such as
        embeddings: approximate search in a graph, by the package faiss (``pip install
        'sklearn-xmr[ann]'``).
    search_breadth : int, default=128
        Candidates that "hnsw" keeps in a search, at least as many as labels are asked
        for: more find more of the true nearest labels and take longer.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose cosine exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.

    Attributes
    ----------
    label_vectors_ : {csr_matrix, ndarray} of float32 of shape (n_labels, n_features)
        The labels' vectors, scaled to unit length.
    index_ : InvertedIndex or HNSWIndex
        The labels' vectors for the search.
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
    XRNeighborsClassifier : Searches training instances, which vote for their labels.
    XRLabelTextClassifier : Labels' vectors from their names.
    sklearn.neighbors.NearestCentroid : For few classes.

    Notes
    -----
    ``search_breadth``, ``top_k``, ``decision_threshold`` and ``min_labels`` take effect
    without a refit.

    References
    ----------
    H.-F. Yu, K. Zhong, J. Zhang, W.-C. Chang, I. Dhillon. "PECOS: Prediction for
    enormous and correlated output spaces", JMLR 23, 2022 (arXiv 2010.05878).

    Examples
    --------
    >>> from sklearn_xmr import XRLabelVectorsClassifier
    >>> from sklearn_xmr.datasets import make_xmr_classification
    >>> X, Y = make_xmr_classification(
    ...     n_samples=500, n_features=300, n_labels=50, random_state=0)
    >>> clf = XRLabelVectorsClassifier().fit(X[:400], Y[:400])
    >>> labels, cosines = clf.predict_topk(X[400:], k=3)
    >>> labels.shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "vectors": [StrOptions({"pifa"}), "array-like", "sparse matrix"],
        "algorithm": [StrOptions(set(ALGORITHMS))],
        "search_breadth": [Interval(Integral, 1, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
    }

    _acting_parameters = ("search_breadth", "top_k", "decision_threshold", "min_labels")

    def __init__(
        self,
        vectors: MatrixLike | Literal["pifa"] = "pifa",
        *,
        algorithm: Literal["exact", "hnsw"] = "exact",
        search_breadth: int = 128,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
    ) -> None:
        self.vectors = vectors
        self.algorithm = algorithm
        self.search_breadth = search_breadth
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: MatrixLike, y: MatrixLike) -> Self:
        """Index the labels' vectors.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances; rows are scaled to unit length inside.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance.

        Returns
        -------
        self : XRLabelVectorsClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y values other than 0 and 1, or shapes
            disagree; if ``vectors`` is not of shape (n_labels, n_features); or if
            vectors are sparse with many features and ``algorithm`` is "hnsw".
        """
        data = self._check_training(X, y)
        if isinstance(self.vectors, str):
            vectors = label_representation(unit_rows(data.X), data.Y, "pifa")
        else:
            vectors = _check_vectors(self.vectors, (data.Y.shape[1], data.X.shape[1]))
        self._index_labels(vectors, data.Y, self.algorithm)
        return self

    def _vectors(self, X):
        return unit_rows(X)

    @property
    def _search_breadth(self):
        return self.search_breadth


@storable
class XRLabelTextClassifier(LabelVectorsMixin, BaseEstimator):
    """Rank labels by the cosine between an instance's text and their own.

    It learns nothing from pairs, so that a label without any training instance is
    ranked like every other: zero-shot. Together with models that do learn, in an
    :class:`XRStackingClassifier`, the final estimator finds out how far to trust names.

    Parameters
    ----------
    label_texts : array-like of str of shape (n_labels,)
        Name of each label, with synonyms or a description if there are any; an empty
        text is similar to none.
    vectorizer : transformer, default=None
        From texts to sparse vectors, fitted on ``label_texts``. None means tf-idf of
        character n-grams of length 3 to 5 within words, which meet inflected and
        compound words.
    top_k : int, default=20
        Labels that ``predict_topk``, ``predict_proba`` and ``predict`` retrieve.
    decision_threshold : float, default=0.5
        ``predict`` returns the labels whose cosine exceeds it.
    min_labels : int, default=0
        Number of labels that ``predict`` returns at least: the best ones, where fewer
        exceed the threshold.

    Attributes
    ----------
    vectorizer_ : transformer
        Fitted on the labels' texts.
    label_vectors_ : csr_matrix of float32 of shape (n_labels, n_text_features)
        The labels' vectors, scaled to unit length.
    index_ : InvertedIndex
        The labels' vectors for the search.
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

    See Also
    --------
    XRLabelVectorsClassifier : Labels' vectors from their instances.
    XRLinearClassifier.add_labels : For labels that have got their first instances.

    Notes
    -----
    On tibkat-gnd, 36 in 100 labels without a training instance are among the ten best
    of all 41,218 by character n-grams, 30 by words (benchmarks/RESULTS.md).

    Examples
    --------
    >>> from sklearn_xmr import XRLabelTextClassifier
    >>> names = ["Whales", "Birds of prey", "Railways"]
    >>> texts, Y = ["the railway museum", "a whale"], [[0, 0, 1], [1, 0, 0]]
    >>> clf = XRLabelTextClassifier(names).fit(texts, Y)
    >>> labels, scores = clf.predict_topk(["birds on the coast"], k=1)
    >>> names[labels[0, 0]]
    'Birds of prey'
    """

    _block_rows = 4096

    _parameter_constraints: dict = {
        "label_texts": ["array-like"],
        "vectorizer": [HasMethods(["fit", "transform"]), None],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "decision_threshold": [Interval(Real, 0, 1, closed="both")],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        label_texts: NameList,
        vectorizer: Estimator | None = None,
        *,
        top_k: int = 20,
        decision_threshold: float = 0.5,
        min_labels: int = 0,
    ) -> None:
        self.label_texts = label_texts
        self.vectorizer = vectorizer
        self.top_k = top_k
        self.decision_threshold = decision_threshold
        self.min_labels = min_labels

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: MatrixLike, y: MatrixLike) -> Self:
        """Index the labels' texts.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Texts; only their number is looked at.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance: gives the number of
            labels, and the form of answers.

        Returns
        -------
        self : XRLabelTextClassifier
            Fitted estimator.

        Raises
        ------
        ValueError
            If there is not one text for each label, or X is a table.
        TypeError
            If something in X or ``label_texts`` is no text.
        """
        Y = self._check_targets(check_texts(X), y)
        texts = check_texts(self.label_texts, "label_texts")
        if len(texts) != self.n_labels_:
            raise ValueError(
                f"label_texts must hold a text for each of the {self.n_labels_} labels "
                f"of y, got {len(texts)}"
            )
        self.vectorizer_ = clone(self.vectorizer or default_vectorizer())
        vectors = as_csr_float32(self.vectorizer_.fit_transform(texts))
        self._index_labels(unit_rows(vectors), Y)
        return self

    def _check_instances(self, X):
        return check_texts(X)

    def _vectors(self, X):
        return unit_rows(as_csr_float32(self.vectorizer_.transform(X)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def default_vectorizer():
    """Tf-idf of the character n-grams of words (TfidfVectorizer)."""
    return TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 5),
        sublinear_tf=True,
        strip_accents="unicode",
        dtype=np.float32,
    )


def _check_vectors(vectors, shape):
    """Own vectors of labels as unit vectors of float32."""
    vectors = check_array(
        vectors, accept_sparse="csr", dtype=np.float32, input_name="vectors"
    )
    if vectors.shape != shape:
        raise ValueError(
            f"vectors must have a row for each of the {shape[0]} labels and a column "
            f"for each of the {shape[1]} features of X, got shape {vectors.shape}"
        )
    vectors = as_csr_float32(vectors) if sparse.issparse(vectors) else vectors
    return unit_rows(vectors)


def _products_of_rows(one, two):
    """Inner product of each row with the row of the same number."""
    if sparse.issparse(two):
        return np.asarray(one.multiply(two).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", one.toarray(), two)
