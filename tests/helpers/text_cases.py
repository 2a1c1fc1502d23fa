"""Texts and settings at random, to compare the vectorizers with scikit-learn's.

    python tests/helpers/text_cases.py --texts 200000 [--seed 0] [FOLDER ...]

compares that many texts, and all texts of data sets (folders beside a ``load.py``),
under settings drawn at random; it ends with an error at the first difference.
"""

import argparse
import importlib.util
import random
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.feature_extraction import text as theirs

from sklearn_xmr.feature_extraction import text as ours

# Cases that need care: letters with several or odd lower cases, combining marks,
# ligatures, digits of other scripts, joiners, all kinds of white space, astral planes,
# and surrogates alone.
CHARACTERS = [
    *"aAbB  \t\n_-.,1²½ßÀéÉœĲİıΣσςΑά́̈ﬁ™ℌ中日한가각ａ𝔸𐐀😀",
    *"\u00ad\u200d\u1680\x1c\x85\u00a0",
    *"'’ǅǰΐΰ٣५Ⅷⓐªº\u02b0\u0345·\u1e9e\ufb03",
    *("\ud800", "\udfff", "\U0010ffff"),
]
WORDS = (
    *("the", "The", "cat", "ΟΔΟΣ", "dog", "a", "I", "naïve", "Straße", "x1", "of"),
    *("été", "İstanbul"),
)
PATTERNS = (  # runs of word characters, and how words begin
    *(r"(?u)\b\w\w+\b", r"\w+", r"(?u)\b\w+\b", r"(?u)\b\w\w\w+\b", r"\w{3,}"),
    *(r"(?u)\b\w{3}", r"\b\w{2,5}", r"(?u)\b\w{1}"),
)
KINDS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def random_text(rng):
    """Characters or words, often none, sometimes many."""
    n = rng.choice([0, 1, 2, 5, 10, 30, 100])
    kind = rng.random()
    if kind < 0.2:
        limit = rng.choice([256, 0x3000, 0x110000])
        return "".join(chr(rng.randrange(limit)) for _ in range(n))
    if kind < 0.5:
        return "".join(rng.choice(CHARACTERS) for _ in range(n))
    return " ".join(rng.choice(WORDS) for _ in range(n))


def random_settings(rng, kind):
    """Parameters of a vectorizer."""
    settings = {
        "lowercase": rng.random() < 0.7,
        "strip_accents": rng.choice([None, "unicode", "ascii"]),
        "analyzer": rng.choice(["word", "word", "char", "char_wb"]),
        "ngram_range": rng.choice([(1, 1), (1, 1), (1, 2), (2, 3), (1, 4), (3, 3)]),
        "binary": rng.random() < 0.3,
        "dtype": rng.choice([np.float32, np.float64]),
    }
    if settings["analyzer"] == "word":
        settings["token_pattern"] = rng.choice(PATTERNS)
        settings["stop_words"] = rng.choice([None, "english", ["the", "cat", "i"]])
    if kind == "HashingVectorizer":
        settings["n_features"] = rng.choice([7, 100, 2**20])
        settings["alternate_sign"] = rng.random() < 0.5
        return {**settings, "norm": rng.choice(["l1", "l2", None])}
    settings["min_df"] = rng.choice([1, 1, 2, 0.1, 0.0])
    settings["max_df"] = rng.choice([1.0, 1.0, 0.8, 5])
    settings["max_features"] = rng.choice([None, None, 3, 20])
    if rng.random() < 0.15:
        settings["vocabulary"] = rng.choice(
            [
                ["a", "the", "b"],
                {"cat": 0, "dog": 1},
                {"dog": 1, "cat": 0},
                {"the", "of"},
            ]
        )
    if kind == "CountVectorizer":
        return {
            **settings,
            "dtype": rng.choice([np.int32, np.int64, settings["dtype"]]),
        }
    return {**settings, **random_weights(rng)}


def random_weights(rng):
    """Parameters of tf-idf."""
    return {
        "norm": rng.choice(["l1", "l2", None]),
        "use_idf": rng.random() < 0.7,
        "smooth_idf": rng.random() < 0.7,
        "sublinear_tf": rng.random() < 0.5,
    }


def assert_same_matrix(ours, theirs):
    """The same structure to the last bit, in the same order; values to rounding."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    for name in ("indptr", "indices"):
        mine, wanted = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == wanted.dtype
        np.testing.assert_array_equal(mine, wanted)
    rtol = 1e-6 if ours.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(ours.data, theirs.data, rtol=rtol)


def outcome(function):
    """The result and no error, or no result and the error."""
    try:
        return function(), None
    except Exception as error:  # noqa: BLE001 - to compare it
        return None, error


def assert_same_outcome(mine, wanted):
    """The same matrix, or errors of the same type; whether there was a matrix."""
    (X, error), (expected, expected_error) = outcome(mine), outcome(wanted)
    assert type(error) is type(expected_error), (error, expected_error)
    if error is None:
        assert_same_matrix(X, expected)
    return error is None


def compare(kind, settings, texts, new_texts):
    """Fit both vectorizers on texts, and let both read new ones."""
    mine, wanted = getattr(ours, kind)(**settings), getattr(theirs, kind)(**settings)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if not assert_same_outcome(
            lambda: mine.fit_transform(texts), lambda: wanted.fit_transform(texts)
        ):
            return
        if kind != "HashingVectorizer":
            assert mine.vocabulary_ == wanted.vocabulary_
            names = mine.get_feature_names_out()
            np.testing.assert_array_equal(names, wanted.get_feature_names_out())
        if not assert_same_outcome(
            lambda: mine.transform(new_texts), lambda: wanted.transform(new_texts)
        ):
            return
        assert_same_rows(mine.row_function(), new_texts, wanted.transform(new_texts))


def assert_same_rows(row, texts, expected):
    """Rows one at a time equal the rows of the matrix."""
    for i, text in enumerate(texts):
        indices, values = row(text)
        stored = slice(*expected.indptr[i : i + 2])
        np.testing.assert_array_equal(indices, expected.indices[stored])
        np.testing.assert_allclose(values, expected.data[stored], rtol=1e-5)


def compare_at_random(rng):
    """Compare some texts under some settings; how many texts it were."""
    kind = rng.choice(KINDS)
    texts = [random_text(rng) for _ in range(rng.choice([1, 3, 10, 40]))]
    new_texts = [random_text(rng) for _ in range(10)]
    settings = random_settings(rng, kind)
    try:
        compare(kind, settings, texts, new_texts)
    except AssertionError:
        print(kind, settings, texts, new_texts, file=sys.stderr)
        raise
    return len(texts) + len(new_texts)


def compare_data_set(folder):
    """Compare all texts of a data set under the settings that people use."""
    spec = importlib.util.spec_from_file_location("load", folder.parent / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = module.load(folder.name, text=True)
    for settings in (
        {"min_df": 2, "sublinear_tf": True},
        {"token_pattern": r"(?u)\b\w+\b", "strip_accents": "unicode"},
        {"ngram_range": (1, 2), "max_features": 100_000, "stop_words": "english"},
        {
            "analyzer": "char_wb",
            "ngram_range": (3, 4),
            "min_df": 3,
            "dtype": np.float32,
        },
        {"analyzer": "char", "ngram_range": (2, 3), "strip_accents": "ascii"},
    ):
        compare("TfidfVectorizer", settings, data.text_train, data.text_test)
        print(f"{folder.name}: {settings}: equal", flush=True)
    compare("HashingVectorizer", {}, data.text_train, data.text_test)
    print(f"{folder.name}: hashed: equal", flush=True)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, n_texts = random.Random(args.seed), 0
    while n_texts < args.texts:
        n_texts += compare_at_random(rng)
    print(f"{n_texts} texts: equal", flush=True)
    for folder in args.folders:
        compare_data_set(folder.resolve())


if __name__ == "__main__":
    main()
