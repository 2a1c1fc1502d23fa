"""Which terms a vocabulary has, and matrices over it."""

from functools import lru_cache
from numbers import Integral

import numpy as np
from scipy import sparse

from sklearn_xmr.feature_extraction._terms import TermTable
from sklearn_xmr.utils._matrices import INT32_MAX
from sklearn_xmr.utils._storable import storable

storable(TermTable)  # a class of Cython, which takes no decorator


def chosen_terms(vectorizer, corpus):
    """Places and frequencies of the terms that the settings keep, sorted."""
    frequencies = corpus.merge()
    if not frequencies.any():
        raise ValueError(
            "empty vocabulary; perhaps the documents only contain stop words"
        )
    low, high = (
        limit if isinstance(limit, Integral) else limit * corpus.n_rows
        for limit in (vectorizer.min_df, vectorizer.max_df)
    )
    if high < low:
        raise ValueError("max_df corresponds to < documents than min_df")
    kept = (frequencies > 0) & (frequencies >= low) & (frequencies <= high)
    terms = corpus.sort(np.flatnonzero(kept).astype(np.int32))
    if vectorizer.max_features is not None:
        terms = _most_frequent(vectorizer, corpus, frequencies, terms)
    if not len(terms):
        raise ValueError(
            "After pruning, no terms remain. Try a lower min_df or a higher max_df."
        )
    return terms, frequencies[terms]


def _most_frequent(vectorizer, corpus, frequencies, terms):
    """Those that occur most often, in the same order; ties as scikit-learn's."""
    total = frequencies if vectorizer.binary else corpus.n_occurrences()
    dtype = np.promote_types(vectorizer.dtype, np.float32)
    if np.dtype(vectorizer.dtype).kind == "i":
        dtype = np.int64
    chosen = (-total[terms].astype(dtype)).argsort()[: vectorizer.max_features]
    return terms[np.sort(chosen)]


def check_vocabulary_size(vocabulary):
    if not len(vocabulary):
        raise ValueError("Vocabulary is empty")


def table_of(vocabulary):
    """A dict from strings to 0, 1, ... as arrays; None for any other."""
    terms = [None] * len(vocabulary)
    for term, column in vocabulary.items():
        if not (isinstance(term, str) and isinstance(column, Integral)):
            return None
        if not 0 <= column < len(terms):
            return None
        terms[column] = str(term)
    return None if None in terms else TermTable.of(terms)


def as_matrix(arrays, n_columns):
    """CSR of arrays that need no check; SciPy's take 15 to 40 microseconds."""
    data, indices, indptr = arrays
    shape = len(indptr) - 1, n_columns
    X = (
        _one_row(n_columns)
        if shape[0] == 1
        else sparse.csr_matrix(shape, dtype=data.dtype)
    )
    wide = np.int64 if indptr[-1] > INT32_MAX else np.int32
    X.data, X.indices, X.indptr = (
        data,
        indices.astype(wide, copy=False),
        indptr.astype(wide),
    )
    return X


def _one_row(n_columns):
    """A new matrix of one row, whose arrays are to be replaced."""
    X = object.__new__(sparse.csr_matrix)
    X.__dict__ = dict(_row_attributes(n_columns))
    return X


@lru_cache(maxsize=64)
def _row_attributes(n_columns):
    return vars(sparse.csr_matrix((1, n_columns)))
