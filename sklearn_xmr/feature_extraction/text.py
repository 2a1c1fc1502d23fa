"""scikit-learn's text vectorizers, at the speed of the models behind them.

The same names, parameters and results as in :mod:`sklearn.feature_extraction.text`:
only the import changes.
"""

from collections.abc import Iterable
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.feature_extraction import text as sklearn_text
from sklearn.utils.validation import check_is_fitted

from sklearn_xmr.feature_extraction._native import (
    COUNT_DTYPES,
    FLOAT_DTYPES,
    analyzer_of,
    dtype_among,
)
from sklearn_xmr.feature_extraction._row_function import has_surrogates
from sklearn_xmr.feature_extraction._term_counts import TextCounter
from sklearn_xmr.feature_extraction._vectorizer import (
    TextsMixin,
    VocabularyMixin,
    check_documents,
)
from sklearn_xmr.feature_extraction._vocabulary import check_vocabulary_size
from sklearn_xmr.feature_extraction._weighting import Weighting
from sklearn_xmr.utils._doc_links import DocLinkMixin
from sklearn_xmr.utils._matrices import INT32_MAX
from sklearn_xmr.utils._saved_version import SavedVersionMixin
from sklearn_xmr.utils._storable import storable
from sklearn_xmr.utils._typing import CSR

__all__ = ["CountVectorizer", "HashingVectorizer", "TfidfVectorizer"]


@storable
class CountVectorizer(
    SavedVersionMixin, DocLinkMixin, VocabularyMixin, sklearn_text.CountVectorizer
):
    """Counts of terms, as :class:`sklearn.feature_extraction.text.CountVectorizer`.

    The parameters, the vocabulary and the matrix are scikit-learn's: only the import
    changes. Texts are read once, on all threads, and the vocabulary is a table of
    arrays, which ``joblib.load(..., mmap_mode="r")`` maps. Callables, other token
    patterns than runs of ``\\w``, other dtypes than int32, int64, float32 and float64,
    and overridden methods work too, through scikit-learn's own code.

    Parameters
    ----------
    input, encoding, decode_error, strip_accents, lowercase, preprocessor, tokenizer, \
            stop_words, token_pattern, ngram_range, analyzer, max_df, min_df, \
            max_features, vocabulary, binary, dtype
        As scikit-learn's.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Column of each term; made on request.
    terms_ : TermTable
        The vocabulary as arrays.
    fixed_vocabulary_ : bool
        Whether ``vocabulary`` was given.

    See Also
    --------
    TfidfVectorizer : Weights terms by how rare they are.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction.text import CountVectorizer
    >>> vectorizer = CountVectorizer()
    >>> X = vectorizer.fit_transform(["red bird red", "blue bird"])
    >>> vectorizer.get_feature_names_out()
    array(['bird', 'blue', 'red'], dtype=object)
    >>> X.toarray()
    array([[1, 0, 2],
           [1, 1, 0]])
    """

    _dtypes = COUNT_DTYPES

    def _learn_weights(self, frequencies, n_texts):
        pass

    def _learn_weights_only(self, raw_documents, results):
        check_vocabulary_size(self.vocabulary_)
        if results is not None:
            results.append(self.transform(raw_documents))
        else:
            for _ in self._batches(raw_documents):  # what cannot be read is an error
                pass

    def _weights(self, state):
        return (state["binary"],)

    def _new_counter(self, analyzer, terms, binary):
        return TextCounter(analyzer, Weighting(binary), terms)


@storable
class TfidfVectorizer(
    SavedVersionMixin, DocLinkMixin, VocabularyMixin, sklearn_text.TfidfVectorizer
):
    """tf-idf of terms, as :class:`sklearn.feature_extraction.text.TfidfVectorizer`.

    The parameters, the vocabulary and the matrix are scikit-learn's: only the import
    changes. Texts are read once, on all threads, and the vocabulary is a table of
    arrays, which ``joblib.load(..., mmap_mode="r")`` maps. Callables, other token
    patterns than runs of ``\\w``, other dtypes than float32 and float64, and overridden
    methods work too, through scikit-learn's own code.

    Parameters
    ----------
    input, encoding, decode_error, strip_accents, lowercase, preprocessor, tokenizer, \
            analyzer, stop_words, token_pattern, ngram_range, max_df, min_df, \
            max_features, vocabulary, binary, dtype, norm, use_idf, smooth_idf, \
            sublinear_tf
        As scikit-learn's.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Column of each term; made on request.
    terms_ : TermTable
        The vocabulary as arrays.
    idf_ : ndarray of shape (n_features,)
        Inverse document frequencies, if ``use_idf``.
    fixed_vocabulary_ : bool
        Whether ``vocabulary`` was given.

    See Also
    --------
    CountVectorizer : Counts only.
    HashingVectorizer : For streams of texts; has no vocabulary.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_xmr import XRLinearClassifier
    >>> from sklearn_xmr.feature_extraction.text import TfidfVectorizer
    >>> texts = ["red bird", "blue bird", "red fish", "blue fish"]
    >>> Y = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
    >>> model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, Y)
    >>> model.predict(["red bird"])
    array([[1, 0, 1, 0]])
    """

    _dtypes = FLOAT_DTYPES

    def _native_dtype(self):
        # scikit-learn warns of any other way to write these two.
        is_known = any(self.dtype == dtype for dtype in (np.float32, np.float64))
        return np.dtype(self.dtype) if is_known else None

    def _check_settings(self):
        super()._check_settings()
        self._tfidf = sklearn_text.TfidfTransformer(
            norm=self.norm,
            use_idf=self.use_idf,
            smooth_idf=self.smooth_idf,
            sublinear_tf=self.sublinear_tf,
        )

    def _learn_weights(self, frequencies, n_texts):
        self._tfidf.n_features_in_ = len(frequencies)
        if self.use_idf:
            self._tfidf.idf_ = _idf(
                frequencies.astype(self.dtype), n_texts, self.smooth_idf
            )

    def _learn_weights_only(self, raw_documents, results):
        """Document frequencies of the terms of a given vocabulary."""
        check_vocabulary_size(self.vocabulary_)
        counter = TextCounter(analyzer_of(self), Weighting(self.binary), self.terms_)
        batches = self._batches(raw_documents)
        counts = self._matrix(counter, batches, np.dtype(self.dtype))
        self._tfidf.fit(counts)
        if results is not None:
            results.append(self._tfidf.transform(counts, copy=False))

    def _counter(self, dtypes):
        if "_tfidf" not in vars(self) or not self._has_vocabulary():
            check_is_fitted(self, msg="The TF-IDF vectorizer is not fitted")
        return super()._counter(dtypes)

    def _weights(self, state):
        tfidf = state["_tfidf"]
        idf = tfidf.idf_ if tfidf.use_idf else None
        return state["binary"], tfidf.sublinear_tf, idf, tfidf.norm

    def _new_counter(self, analyzer, terms, binary, sublinear_tf, idf, norm):
        if self._tfidf.n_features_in_ != len(terms) or (
            idf is not None and not (len(idf) == len(terms) and np.isfinite(idf).all())
        ):
            return None  # another vocabulary, a term that no text had: errors
        return TextCounter(analyzer, Weighting(binary, sublinear_tf, idf, norm), terms)


@storable
class HashingVectorizer(
    SavedVersionMixin, DocLinkMixin, TextsMixin, sklearn_text.HashingVectorizer
):
    """Hashed terms, as :class:`sklearn.feature_extraction.text.HashingVectorizer`.

    The parameters and the matrix are scikit-learn's: only the import changes. For
    streams: it learns nothing and holds no vocabulary.

    Parameters
    ----------
    input, encoding, decode_error, strip_accents, lowercase, preprocessor, tokenizer, \
            stop_words, token_pattern, ngram_range, analyzer, n_features, binary, \
            norm, alternate_sign, dtype
        As scikit-learn's.

    See Also
    --------
    TfidfVectorizer : Learns a vocabulary and weights.

    Examples
    --------
    >>> from sklearn_xmr.feature_extraction.text import HashingVectorizer
    >>> X = HashingVectorizer(n_features=2**10).transform(["red bird", "blue bird"])
    >>> X.shape
    (2, 1024)
    """

    def transform(self, X: Iterable[Any]) -> CSR:
        """Return the matrix of texts.

        Parameters
        ----------
        X : iterable of str, bytes, file names or file objects
            Texts, as ``input`` says.

        Returns
        -------
        csr_matrix of shape (n_samples, n_features)
            With ascending columns in each row.

        Raises
        ------
        ValueError
            If ``X`` is one string.
        TypeError
            If ``X`` cannot be iterated over.
        """
        counter = self._counter(FLOAT_DTYPES)
        if counter is None:
            return super().transform(X)
        check_documents(X)
        self.build_analyzer()  # warns of stop words that no text can contain
        batches = self._batches(X)
        if self.analyzer != "word":
            batches = list(batches)
            if has_surrogates(chain.from_iterable(batches)):
                of_strings = {**self.get_params(), "input": "content"}
                theirs = sklearn_text.HashingVectorizer(**of_strings)
                return theirs.transform(chain.from_iterable(batches))
        return self._matrix(counter, batches, np.dtype(self.dtype))

    def _counter(self, dtypes):
        analyzer, n = analyzer_of(self), self.n_features
        if (
            analyzer is None
            or dtype_among(self.dtype, dtypes & FLOAT_DTYPES) is None
            or not (isinstance(n, Integral) and 1 <= n <= INT32_MAX)
            or self.norm not in (None, "l1", "l2")
        ):
            return None
        weighting = Weighting(self.binary, False, None, self.norm)
        return TextCounter(analyzer, weighting, None, n, bool(self.alternate_sign))


def _idf(frequencies, n_texts, smooth):
    """Inverse document frequencies as scikit-learn computes them, in their dtype."""
    frequencies += float(smooth)
    idf = np.full_like(frequencies, n_texts + int(smooth))
    idf /= frequencies
    np.log(idf, out=idf)
    return idf + 1.0
