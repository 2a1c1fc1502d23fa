"""Which settings of a vectorizer the kernels know, and objects of the kernels for them.

What only Python can do (a callable, another token pattern, an overridden method) has no
analyzer here: the vectorizers then use scikit-learn's own code.
"""

import re
from functools import lru_cache
from numbers import Integral

import numpy as np
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    strip_accents_ascii,
    strip_accents_unicode,
)

from sklearn_xmr.feature_extraction._analyzer import UNITS, Analyzer
from sklearn_xmr.feature_extraction._terms import TermTable

# Runs of \w: their shortest length is the number of \w, or of the braces.
_RUNS = re.compile(r"(?:\(\?u\))?(\\b)?((?:\\w)+\+|\\w\{(\d+),\})(?(1)(?:\\b)?)")
# How words begin: the first characters, of words that have so many.
_BEGINNINGS = re.compile(r"(?:\(\?u\))?\\b\\w\{(\d+)(?:,(\d+))?\}")
_REPEATS = 2**16  # beyond, Python's re may refuse the pattern
_STRIP = {None: None, "unicode": strip_accents_unicode, "ascii": strip_accents_ascii}
_METHODS = (
    "_count_vocab",
    "_get_hasher",
    "_limit_features",
    "_sort_features",
    "build_analyzer",
    "build_preprocessor",
    "build_tokenizer",
    "decode",
    "get_stop_words",
    "_char_ngrams",
    "_char_wb_ngrams",
    "_word_ngrams",
)
_COUNTS = (np.dtype(t) for t in (np.int32, np.int64, np.float32, np.float64))
COUNT_DTYPES = frozenset(_COUNTS)
FLOAT_DTYPES = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


def analyzer_of(vectorizer):
    """Analyzer for the settings of a vectorizer.

    Parameters
    ----------
    vectorizer : CountVectorizer, TfidfVectorizer or HashingVectorizer
        The vectorizer, fitted or not.

    Returns
    -------
    Analyzer or None
        The same object for the same settings; None where only Python can do it.
    """
    if not _is_native(vectorizer):
        return None
    v, is_word = vectorizer, vectorizer.analyzer == "word"
    try:
        return _analyzer(
            v.analyzer,
            _lengths(v.token_pattern) if is_word else (1, None),
            v.ngram_range,
            bool(v.lowercase),
            v.strip_accents,
            _stop_words(v) if is_word else None,
        )
    except (TypeError, ValueError):  # not hashable, another pattern, no strings
        return None


@lru_cache(maxsize=64)
def _lengths(pattern):
    """Shortest word that a pattern matches, and what it keeps of one (None: all).

    ValueError for other patterns.
    """
    run = _RUNS.fullmatch(pattern)
    if run:
        shortest = run[2].count("w") if run[3] is None else int(run[3])
        if shortest >= 1:
            return shortest, None
    beginning = _BEGINNINGS.fullmatch(pattern)
    if beginning:
        shortest, longest = int(beginning[1]), int(beginning[2] or beginning[1])
        if 1 <= shortest <= longest < _REPEATS:
            return shortest, longest
    raise ValueError(f"no analysis of {pattern!r}")


def dtype_among(dtype, known):
    """The dtype as an object if it is one of the known ones, otherwise None."""
    try:
        dtype = None if dtype is None else np.dtype(dtype)
    except TypeError:
        return None
    return dtype if dtype in known else None


def _is_native(vectorizer):
    v, plain = vectorizer, vars(vectorizer).keys().isdisjoint(_METHODS)
    return (
        plain
        and _overrides_nothing(type(v))
        and isinstance(v.analyzer, str)
        and v.analyzer in UNITS
        and v.preprocessor is None
        and (v.tokenizer is None or v.analyzer != "word")
        and (v.strip_accents is None or isinstance(v.strip_accents, str))
        and _is_range(v.ngram_range)
    )


@lru_cache(maxsize=256)
def _overrides_nothing(cls):
    """Whether the methods that make terms and counts are scikit-learn's."""
    theirs = (
        HashingVectorizer if issubclass(cls, HashingVectorizer) else CountVectorizer
    )
    return all(getattr(cls, m, None) is getattr(theirs, m, None) for m in _METHODS)


def _is_range(ngram_range):
    return (
        isinstance(ngram_range, tuple)
        and len(ngram_range) == 2
        and all(isinstance(n, Integral) for n in ngram_range)
        and 1 <= ngram_range[0] <= ngram_range[1] < 2**31
    )


def _stop_words(vectorizer):
    words = vectorizer.stop_words
    if words is None or isinstance(words, str):
        return words
    return tuple(words)


@lru_cache(maxsize=64)
def _analyzer(unit, lengths, ngram_range, lowercase, strip_accents, stop_words):
    if stop_words is not None:
        words = CountVectorizer(stop_words=stop_words).get_stop_words()
        stop_words = TermTable.of(sorted(w for w in words if isinstance(w, str)))
    strip = _STRIP[strip_accents]
    return Analyzer(unit, lengths, ngram_range, lowercase, strip, stop_words)
