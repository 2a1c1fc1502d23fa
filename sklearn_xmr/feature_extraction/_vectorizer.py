"""What the text vectorizers share: batches, vocabularies of arrays, kernels."""

from collections.abc import Iterable
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_xmr.feature_extraction._corpus_counter import CorpusCounter
from sklearn_xmr.feature_extraction._native import (
    COUNT_DTYPES,
    analyzer_of,
    dtype_among,
)
from sklearn_xmr.feature_extraction._row_function import RowFunction
from sklearn_xmr.feature_extraction._vocabulary import (
    as_matrix,
    check_vocabulary_size,
    chosen_terms,
    table_of,
)
from sklearn_xmr.feature_extraction._weighting import Weighting
from sklearn_xmr.utils._fitted_state import fit_in_one_step
from sklearn_xmr.utils._matrices import align_sparse_type, check_structure
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
from sklearn_xmr.utils._sklearn import fit_context
from sklearn_xmr.utils._typing import CSR, MatrixLike, Self

PACKAGE = __name__.rpartition(".")[0]
LEAST_N = 1000  # what a size of n-grams of a loaded vectorizer may lack to 0
BATCH = 65_536  # texts of an iterator that are held at a time


class TextsMixin:
    """What the three vectorizers share: texts in, matrices out."""

    def __setstate__(self, state):
        super().__setstate__(state)
        low = (*vars(self).get("ngram_range", ()), 1)[0]
        if isinstance(low, int) and low < -LEAST_N:
            # scikit-learn's loop from there would not end.
            raise ValueError(f"ngram_range must begin with 1 or more, got {low}")

    def row_function(self) -> RowFunction:
        """Make a function for single texts, which works in buffers that it keeps.

        It holds the settings and the vocabulary of this moment, and may be called from
        many threads at once.

        Returns
        -------
        RowFunction
            From a text (str or bytes) to ``(indices, values)``: the columns, ascending
            (ndarray of int32 of shape (n_terms,)), and the values in them (ndarray of
            float32 of the same shape).

        Raises
        ------
        NotFittedError
            If the vectorizer needs to be fitted first.
        """
        # A subclass may do more in its transform.
        is_ours = getattr(type(self).transform, "__module__", "").startswith(PACKAGE)
        counter = self._counter(COUNT_DTYPES) if is_ours else None
        return RowFunction(copy(self), counter)

    def read(self, document: Any) -> str:
        """Read a document as ``input``, ``encoding`` and ``decode_error`` say.

        Parameters
        ----------
        document : str, bytes, file name or file object
            The document.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If the document is NaN.
        AttributeError or TypeError
            If it is no text, as scikit-learn's analyzers raise them.
        """
        text = self.decode(document)
        if not isinstance(text, str):
            self.build_analyzer()(text)  # scikit-learn's error
            raise TypeError(f"texts must be strings, got {type(text).__name__}")
        return text

    def _matrix(self, counter, batches, dtype):
        """Rows of batches of strings."""
        parts = [
            as_matrix(
                counter.rows(texts, dtype, effective_n_threads()), counter.n_features
            )
            for texts in batches
        ]
        if len(parts) == 1:
            return align_sparse_type(parts[0])
        if not parts:
            empty = sparse.csr_matrix((0, counter.n_features), dtype=dtype)
            return align_sparse_type(empty)
        return align_sparse_type(sparse.vstack(parts, format="csr"))

    def _batches(self, raw_documents):
        """Lists of strings."""
        documents = iter(raw_documents)
        if self.input != "content":  # a generator may close each file behind it
            documents = map(self.read, documents)
        while batch := list(islice(documents, BATCH)):
            if all(type(text) is str for text in batch):
                yield batch
            else:
                yield [self.read(text) for text in batch]


class VocabularyMixin(TextsMixin):
    """Vectorizers whose vocabulary is a table of arrays instead of a dict."""

    @property
    def vocabulary_(self) -> dict[str, int]:
        """Column of each term (dict of str to int), made on request.

        It cannot be changed in place: assign another dict.
        """
        state = vars(self)
        if "_vocabulary" in state:
            return state["_vocabulary"]
        if "terms_" in state:
            return state["terms_"].numbers
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute 'vocabulary_'"
        )

    @vocabulary_.deleter
    def vocabulary_(self) -> None:
        state = vars(self)
        del state["_vocabulary" if "_vocabulary" in state else "terms_"]

    @vocabulary_.setter
    def vocabulary_(self, vocabulary: Any) -> None:
        terms = table_of(vocabulary)
        if terms is None:  # terms of a user's analyzer need not be strings
            self._vocabulary = vocabulary
            vars(self).pop("terms_", None)
        else:
            self.terms_ = terms
            vars(self).pop("_vocabulary", None)

    def inverse_transform(self, X: MatrixLike) -> list[np.ndarray]:
        """Terms of each row, in no order.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            As ``transform`` returns it.

        Returns
        -------
        list of ndarray of shape (n_terms,)
            For each row, the terms with values other than 0.

        Raises
        ------
        ValueError
            If X is no valid matrix.
        """
        check_structure(X, "X")
        return super().inverse_transform(X)

    def _has_vocabulary(self):
        return "terms_" in vars(self) or "_vocabulary" in vars(self)

    def fit(self, raw_documents: Iterable[Any], y: Any = None) -> Self:
        """Learn the vocabulary.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects
            Texts, as ``input`` says.
        y : object, default=None
            Ignored.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            If a parameter is out of range, the texts have no term, or too few or too
            many texts have each.
        TypeError
            If ``raw_documents`` cannot be iterated over.
        """
        self._learn(raw_documents, None)
        return self

    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> CSR:
        """Learn the vocabulary and return the matrix of the texts, reading them once.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects
            Texts, as ``input`` says.
        y : object, default=None
            Ignored.

        Returns
        -------
        csr_matrix of shape (n_samples, n_features)
            In each row in the order in which the corpus has the terms first, as
            scikit-learn returns it.

        Raises
        ------
        ValueError
            If a parameter is out of range, the texts have no term, or too few or too
            many texts have each.
        TypeError
            If ``raw_documents`` cannot be iterated over.
        """
        results: list[CSR] = []
        self._learn(raw_documents, results)
        return results[0]

    def transform(self, raw_documents: Iterable[Any]) -> CSR:
        """Return the matrix of texts; terms that ``fit`` did not see are ignored.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects
            Texts, as ``input`` says.

        Returns
        -------
        csr_matrix of shape (n_samples, n_features)
            With ascending columns in each row.

        Raises
        ------
        NotFittedError
            If there is no vocabulary.
        ValueError
            If ``raw_documents`` is one string.
        TypeError
            If ``raw_documents`` cannot be iterated over.
        """
        dtype, counter = self._native_dtype(), self._counter(self._dtypes)
        if counter is None or dtype is None:
            return super().transform(raw_documents)
        check_documents(raw_documents)
        X = self._matrix(counter, self._batches(raw_documents), dtype)
        # Of no texts, what scikit-learn makes: an empty matrix, or an error.
        return X if X.shape[0] else super().transform([])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the terms in the order of the columns.

        Parameters
        ----------
        input_features : object, default=None
            Ignored.

        Returns
        -------
        ndarray of object of shape (n_features,)

        Raises
        ------
        NotFittedError
            If there is no vocabulary.
        """
        if "terms_" not in vars(self):
            return super().get_feature_names_out(input_features)
        return np.array(self.terms_.terms, dtype=object)

    @fit_in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def _learn(self, raw_documents, results):
        """``fit``; the matrix goes into the list of results, if there is one."""
        analyzer = analyzer_of(self)
        if analyzer is None or self._native_dtype() is None:
            self._learn_by_sklearn(raw_documents, results)
            return
        check_documents(raw_documents)
        self._check_settings()
        if self.fixed_vocabulary_ and "terms_" not in vars(self):
            self._learn_by_sklearn(raw_documents, results)
        elif self.fixed_vocabulary_:
            self._learn_weights_only(raw_documents, results)
        else:
            self._learn_vocabulary(analyzer, raw_documents, results)

    def _learn_by_sklearn(self, raw_documents, results):
        X = super().fit_transform(raw_documents)
        if results is not None:
            results.append(X)

    def _native_dtype(self):
        """The dtype as an object, None for one that only scikit-learn's code has."""
        return dtype_among(self.dtype, self._dtypes)

    def _check_settings(self):
        """scikit-learn's errors and warnings."""
        self._validate_ngram_range()
        self._warn_for_unused_params()
        self._validate_vocabulary()
        self.build_analyzer()  # warns of stop words that no text can contain

    def _learn_vocabulary(self, analyzer, raw_documents, results):
        corpus = CorpusCounter(analyzer, effective_n_threads())
        for texts in self._batches(raw_documents):
            corpus.add(texts)
        terms, frequencies = chosen_terms(self, corpus)
        self.terms_ = corpus.table(terms)
        vars(self).pop("_vocabulary", None)
        self._learn_weights(frequencies, corpus.n_rows)
        if results is not None:
            arrays = corpus.matrix(terms, self._weighting(), np.dtype(self.dtype))
            results.append(align_sparse_type(as_matrix(arrays, len(terms))))

    def _counter(self, dtypes):
        """The counter of known terms, the same for the same state; None: Python."""
        state = vars(self)  # of one moment: a fit replaces all of it
        parts = self._parts(dtypes, state)
        known = state.get("_last_counter")
        if known is not None and known.is_made_of(parts):
            return known.counter
        if not self._has_vocabulary():
            self._check_vocabulary()  # one that was given, or scikit-learn's error
            state = vars(self)
        terms, analyzer = state.get("terms_"), analyzer_of(self)
        if terms is None or analyzer is None or dtype_among(self.dtype, dtypes) is None:
            return None
        check_vocabulary_size(terms)
        self.build_analyzer()  # warns of stop words that no text can contain
        counter = self._new_counter(analyzer, terms, *self._weights(state))
        known = _KnownCounter(counter, parts)
        if known.is_made_of(self._parts(dtypes, vars(self))):  # nobody changed it since
            self._last_counter = known
        return counter

    def _parts(self, dtypes, state):
        """What a counter depends on, as objects."""
        return (dtypes, *map(state.get, _ANALYSIS), *self._weights(state))

    def _weighting(self):
        return Weighting(*self._weights(vars(self)))

    def __getstate__(self):
        state = super().__getstate__()
        return {name: v for name, v in state.items() if name != "_last_counter"}


class _KnownCounter:
    """A counter, and the objects that it was made of."""

    def __init__(self, counter, made_of):
        self.counter, self._made_of = counter, made_of
        # What is in a list or set of stop words can change without a trace.
        self._is_sure = not any(isinstance(part, list | set) for part in made_of)

    def is_made_of(self, parts):
        """Whether the parts are the same objects."""
        known = zip(self._made_of, parts, strict=True)
        return self._is_sure and all(one is other for one, other in known)


_ANALYSIS = (
    *("analyzer", "binary", "dtype", "lowercase", "ngram_range", "preprocessor"),
    *("stop_words", "strip_accents", "token_pattern", "tokenizer", "terms_"),
)


def check_documents(raw_documents):
    if isinstance(raw_documents, str):
        raise ValueError(  # noqa: TRY004 - as scikit-learn's
            "Iterable over raw text documents expected, string object received. Put "
            "one text into a list."
        )
