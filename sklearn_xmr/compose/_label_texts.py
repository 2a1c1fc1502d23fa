"""Rank labels by what their names share with a text: no training instance is needed."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.compose._base import BlockwiseRankingMixin
from sklearn_xmr.compose._neighbors import InvertedIndex
from sklearn_xmr.utils.topk import csr_from_topk, topk_of_csr
from sklearn_xmr.utils.validation import as_csr_float32


class XRLabelTextClassifier(BlockwiseRankingMixin, BaseEstimator):
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
        ``predict`` returns the labels whose similarity exceeds it.

    Attributes
    ----------
    vectorizer_ : transformer
        Fitted on the labels' texts.
    index_ : InvertedIndex
        The labels' vectors by feature.
    classes_ : ndarray of shape (n_labels,)
        Class labels of a 1-D y; label numbers for an indicator.
    n_labels_ : int
        Number of labels.
    sparse_output_ : bool
        Whether ``predict`` and ``predict_proba`` return sparse matrices.

    See Also
    --------
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
    }

    def __init__(
        self, label_texts, vectorizer=None, *, top_k=20, decision_threshold=0.5
    ):
        self.label_texts = label_texts
        self.vectorizer = vectorizer
        self.top_k = top_k
        self.decision_threshold = decision_threshold

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Index the labels' texts.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Texts; only their number is looked at.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels) or (n_samples,)
            Label indicator of 0 and 1, or one class per instance: tells the number of
            labels, and the form of answers.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is not one text for each label.
        """
        self._check_targets(X, y)
        texts = list(self.label_texts)
        if len(texts) != self.n_labels_:
            raise ValueError(
                f"label_texts must hold a text for each of the {self.n_labels_} labels "
                f"of y, got {len(texts)}"
            )
        self.vectorizer_ = clone(self.vectorizer or default_vectorizer())
        vectors = as_csr_float32(self.vectorizer_.fit_transform(texts))
        self.index_ = InvertedIndex(normalize(vectors))
        return self

    def _check_instances(self, X):
        check_is_fitted(self)
        if isinstance(X, str):
            raise TypeError(
                f"X must be a list of texts, got the one text {X[:40]!r}: put it into "
                "a list"
            )
        return X

    def _rank(self, X, k, weight):
        vectors = normalize(as_csr_float32(self.vectorizer_.transform(X)))
        cosines, labels = self.index_.search(vectors, k)
        if self._multilabel:
            return labels, cosines
        # One class must be given, even for a text that has nothing in common.
        found = csr_from_topk(labels, cosines, self.n_labels_).toarray()
        return topk_of_csr(as_csr_float32(found + np.float32(1e-6)), k)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def default_vectorizer():
    """Character n-grams of words."""
    return TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 5),
        sublinear_tf=True,
        strip_accents="unicode",
        dtype=np.float32,
    )
