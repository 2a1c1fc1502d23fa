"""The text vectorizers: equal to scikit-learn's, whatever the texts and settings."""

import io
import pickle
import random
import re
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as theirs
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union
from text_cases import (
    assert_same_matrix,
    compare,
    compare_at_random,
    outcome,
    random_text,
)

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    predict_topk,
    topk_predictor,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction import _vectorizer
from sklearn_xmr.feature_extraction import text as ours
from sklearn_xmr.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
)

TEXTS = ["Red bird, red fish", "the blue bird", "blue FISH", "", "a naïve Étude"]
BOTH = ("CountVectorizer", "TfidfVectorizer")
ALL = (*BOTH, "HashingVectorizer")


@pytest.fixture(scope="module")
def tate():
    data = load_tate_subjects(subset="train")
    return data.data[:4000], data.target[:4000]


# --- equal to scikit-learn's ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_equal_on_random_texts_and_settings(seed):
    rng = random.Random(seed)
    for _ in range(20):
        compare_at_random(rng)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=()), max_size=40), max_size=6),
    st.sampled_from(ALL),
    st.sampled_from(["word", "char", "char_wb"]),
    st.sampled_from([None, "unicode", "ascii"]),
    st.booleans(),
)
def test_equal_on_any_unicode(texts, kind, analyzer, strip_accents, lowercase):
    given = {"analyzer": analyzer, "strip_accents": strip_accents}
    texts = [*texts, "something 1"]
    compare(kind, {**given, "lowercase": lowercase}, texts, texts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=5), st.sampled_from(ALL))
def test_equal_on_any_bytes(texts, kind):
    texts = [*texts, b"some words"]
    for chosen in ({"decode_error": "replace"}, {"encoding": "latin-1"}, {}):
        mine, wanted = getattr(ours, kind)(**chosen), getattr(theirs, kind)(**chosen)
        X, error = outcome(lambda v=mine: v.fit_transform(texts))
        expected, expected_error = outcome(lambda v=wanted: v.fit_transform(texts))
        assert type(error) is type(expected_error)
        if error is None:
            assert_same_matrix(X, expected)


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("strip_accents", [None, "unicode", "ascii"])
def test_every_character_of_unicode(analyzer, strip_accents):
    everything = "".join(map(chr, range(0x110000)))
    texts = [everything[i : i + 997] for i in range(0, len(everything), 997)]
    texts += [f"x{c}ΣA" for c in everything[:0x3000:7]]
    given = {"analyzer": analyzer, "strip_accents": strip_accents}
    if analyzer == "word":
        given["token_pattern"] = r"\w+"
    mine = CountVectorizer(**given).fit_transform(texts)
    wanted = theirs.CountVectorizer(**given).fit_transform(texts)
    assert_same_matrix(mine, wanted)


def test_lower_case_needs_the_neighbours_for_two_characters_only():
    for code in range(0x110000):
        c = chr(code)
        if c not in "\u0130\u03a3":
            lower = c.lower()
            assert len(lower) == 1
            assert bool(re.match(r"\w", lower)) == bool(re.match(r"\w", c))
            assert lower.isspace() == c.isspace()


def test_accents_go_character_by_character():
    for strip in (theirs.strip_accents_unicode, theirs.strip_accents_ascii):
        for _ in range(200):
            text = random_text(random.Random(_))
            assert strip(text) == "".join(map(strip, text))


def test_real_texts(tate):
    for chosen in (
        {"min_df": 2, "sublinear_tf": True},
        {"ngram_range": (1, 2), "max_features": 5000, "stop_words": "english"},
        {"analyzer": "char_wb", "ngram_range": (3, 5), "min_df": 3},
    ):
        compare("TfidfVectorizer", chosen, tate[0][:2000], tate[0][2000:2200])


def test_long_texts_and_long_words(tate):
    texts = [
        " ".join(tate[0][:2000]),
        "x" * 100_000,
        "é" * 70_000 + " word",
        "中" * 999,
    ]
    for chosen in ({}, {"analyzer": "char", "ngram_range": (1, 3)}):
        compare("TfidfVectorizer", chosen, texts, texts)


CASES = {
    "no texts": lambda v: v().fit_transform([]),
    "one string": lambda v: v().fit("a text"),
    "no strings": lambda v: v().fit(["a text", 3]),
    "no strings, as they are": lambda v: v(lowercase=False).fit(["a text", 3]),
    "NaN": lambda v: v().fit(["a text", np.nan]),
    "a missing value": lambda v: v().fit(["a text", None]),
    "not iterable": lambda v: v().fit(3),
    "wrong bytes": lambda v: v().fit_transform([b"\xff text"]),
    "an unknown encoding": lambda v: v(encoding="no").fit_transform([b"text"]),
    "an unknown analyzer": lambda v: v(analyzer="wrd").fit_transform(TEXTS),
    "no range": lambda v: v(ngram_range=(2, 1)).fit_transform(TEXTS),
    "a range from 0": lambda v: v(ngram_range=(0, 2)).fit_transform(TEXTS),
    "a list": lambda v: v(ngram_range=[1, 2]).fit_transform(TEXTS),
    "a pattern": lambda v: v(token_pattern=r"[a-d]+").fit_transform(TEXTS),
    "a pattern with a group": lambda v: v(token_pattern=r"(\w)\w+").fit_transform(
        TEXTS
    ),
    "a tokenizer": lambda v: v(tokenizer=str.split).fit_transform(TEXTS),
    "a preprocessor": lambda v: v(preprocessor=str.upper).fit_transform(TEXTS),
    "an analyzer": lambda v: v(analyzer=lambda t: t.split("e")).fit_transform(TEXTS),
    "accents of one's own": lambda v: v(strip_accents=str.upper).fit_transform(TEXTS),
    "a set of stop words": lambda v: v(stop_words={"red"}).fit(TEXTS),
    "another dtype": lambda v: v(dtype=np.uint8).fit_transform(TEXTS),
    "text files": lambda v: v(input="file").fit_transform(map(io.StringIO, TEXTS)),
    "files that are closed behind": lambda v: v(input="filename").fit_transform(
        iter([__file__])
    ),
    "numbers as stop words": lambda v: v(stop_words=[1, "red"]).fit_transform(TEXTS),
    "no dtype": lambda v: v(dtype=None).fit_transform(TEXTS),
    "the name of a dtype": lambda v: v(dtype="float32").fit_transform(TEXTS),
    "an iterator": lambda v: v().fit_transform(iter(TEXTS)),
    "an array": lambda v: v().fit_transform(np.array(TEXTS)),
    "a Series": lambda v: v().fit_transform(pd.Series(TEXTS, index=range(5, 10))),
}
OF_VOCABULARIES = {
    "numbers as terms": lambda v: v(analyzer=lambda t: [1, len(t)]).fit_transform(
        TEXTS
    ),
    "not fitted": lambda v: v().transform(TEXTS),
    "a vocabulary": lambda v: v(vocabulary=["red", "blue"]).fit_transform(TEXTS),
    "a vocabulary, not fitted": lambda v: v(vocabulary=["red"]).transform(TEXTS),
    "a vocabulary of floats": lambda v: v(vocabulary={"red": 0.0}).fit_transform(TEXTS),
    "a vocabulary with a number": lambda v: v(vocabulary={1: 0, "red": 1}).fit(TEXTS),
    "a vocabulary and no texts": lambda v: v(vocabulary=["red"]).fit_transform([]),
    "no vocabulary": lambda v: v(vocabulary=[]).fit(TEXTS),
    "a vocabulary with gaps": lambda v: v(vocabulary={"red": 0, "a": 2}).fit(TEXTS),
    "a term twice": lambda v: v(vocabulary=["red", "red"]).fit(TEXTS),
    "only rare terms": lambda v: v(min_df=4).fit(TEXTS),
    "min above max": lambda v: v(min_df=3, max_df=2).fit(TEXTS),
    "only stop words": lambda v: v(stop_words=["red"]).fit(["red", "red"]),
    "no features": lambda v: v(max_features=0).fit(TEXTS),
}


def _same_result(mine, wanted):
    with warnings.catch_warnings(record=True) as of_mine:
        warnings.simplefilter("always")
        X, error = outcome(mine)
    with warnings.catch_warnings(record=True) as of_wanted:
        warnings.simplefilter("always")
        expected, expected_error = outcome(wanted)
    assert type(error) is type(expected_error)
    assert str(error).startswith(str(expected_error))  # or says more
    assert [str(w.message) for w in of_mine] == [str(w.message) for w in of_wanted]
    if hasattr(expected, "indptr"):
        assert_same_matrix(X, expected)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("case", [*CASES, *OF_VOCABULARIES])
def test_same_errors_warnings_and_results(kind, case):
    use = {**CASES, **OF_VOCABULARIES}[case]
    _same_result(lambda: use(getattr(ours, kind)), lambda: use(getattr(theirs, kind)))


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"no texts"}))
def test_same_errors_warnings_and_results_of_hashes(case):
    use = CASES[case]
    _same_result(lambda: use(HashingVectorizer), lambda: use(theirs.HashingVectorizer))


def test_files(tmp_path):
    names = []
    for i, text in enumerate(TEXTS):
        names.append(tmp_path / f"{i}.txt")
        names[-1].write_text(text, encoding="utf-8")
    mine = TfidfVectorizer(input="filename").fit_transform(names)
    assert_same_matrix(mine, TfidfVectorizer().fit_transform(TEXTS))


def test_stop_words_that_no_text_can_contain_are_told():
    vectorizer = TfidfVectorizer(stop_words=["we've"])
    with pytest.warns(UserWarning, match="stop_words may be inconsistent"):
        vectorizer.fit(TEXTS)


# --- parameters and attributes --------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_parameters_that_act_without_a_refit(kind):
    mine, wanted = getattr(ours, kind)().fit(TEXTS), getattr(theirs, kind)().fit(TEXTS)
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))
    stop_words = ["red"]
    for chosen in (
        {"lowercase": False},
        {"binary": True},
        {"stop_words": stop_words},
        {"dtype": np.float32},
        {"token_pattern": r"[a-d]+"},
    ):
        for vectorizer in (mine, wanted):
            vectorizer.set_params(**chosen)
        assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))
    for vectorizer in (mine, wanted):
        vectorizer.set_params(token_pattern=r"\w+")
    stop_words.append("blue")  # in place
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))


def test_idf_can_be_set():
    mine, wanted = TfidfVectorizer().fit(TEXTS), theirs.TfidfVectorizer().fit(TEXTS)
    mine.transform(TEXTS)
    mine.idf_ = wanted.idf_ = np.arange(1.0, 1 + len(wanted.idf_))
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))


@pytest.mark.parametrize("kind", BOTH)
def test_vocabulary_can_be_set(kind):
    mine, wanted = getattr(ours, kind)().fit(TEXTS), getattr(theirs, kind)().fit(TEXTS)
    turned = {
        term: len(wanted.vocabulary_) - 1 - i for term, i in wanted.vocabulary_.items()
    }
    mine.vocabulary_, wanted.vocabulary_ = turned, dict(turned)
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))
    assert mine.vocabulary_ == turned


def test_idf_of_another_vocabulary_is_told():
    mine, wanted = TfidfVectorizer().fit(TEXTS), theirs.TfidfVectorizer().fit(TEXTS)
    for vocabulary in ({"red": 0}, {f"x{i}": i for i in range(5000)}):
        for vectorizer in (mine, wanted):
            vectorizer.vocabulary_ = dict(vocabulary)
            with pytest.raises(ValueError, match="features, but TfidfTransformer"):
                vectorizer.transform(TEXTS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_idf_changed_in_place(dtype):
    mine = TfidfVectorizer(dtype=dtype, norm=None).fit(TEXTS)
    assert mine.transform(TEXTS).sum() > 0
    mine.idf_[:] = 0
    assert mine.transform(TEXTS).sum() == 0


def test_vocabulary_cannot_be_changed_in_place():
    vectorizer = CountVectorizer().fit(TEXTS)
    for change in (
        lambda v: v.pop("red"),
        lambda v: v.update(a=1),
        lambda v: v.__setitem__("zebra", 9),
        lambda v: v.clear(),
    ):
        with pytest.raises(TypeError, match="assign it"):
            change(vectorizer.vocabulary_)
    copied = pickle.loads(pickle.dumps(vectorizer.vocabulary_))
    assert type(copied) is dict and copied == vectorizer.vocabulary_
    del vectorizer.vocabulary_
    assert not hasattr(vectorizer, "vocabulary_")
    with pytest.raises(NotFittedError):
        vectorizer.transform(TEXTS)


def test_stop_words_in_a_set_can_change():
    mine, wanted = CountVectorizer().fit(TEXTS), theirs.CountVectorizer().fit(TEXTS)
    words = {"red"}
    for vectorizer in (mine, wanted):
        vectorizer.set_params(stop_words=words)
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))
    words.add("blue")
    assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))


def test_attributes_before_and_after_fit():
    vectorizer = TfidfVectorizer()
    assert not hasattr(vectorizer, "vocabulary_")
    for use in (vectorizer.transform, lambda x: vectorizer.row_function()):
        with pytest.raises(NotFittedError):
            use(TEXTS)
    with pytest.raises(NotFittedError):
        vectorizer.get_feature_names_out()
    vectorizer.fit(TEXTS)
    assert vectorizer.vocabulary_["bird"] == vectorizer.terms_.find("bird")
    assert vectorizer.terms_.find("birds") == -1
    found = vectorizer.inverse_transform(vectorizer.transform(["red fish"]))
    assert sorted(found[0]) == ["fish", "red"]
    assert clone(vectorizer).get_params() == vectorizer.get_params()
    assert isinstance(vectorizer, theirs.TfidfVectorizer)


@pytest.mark.parametrize("kind", BOTH)
def test_a_fit_that_fails_changes_nothing(kind):
    vectorizer = getattr(ours, kind)().fit(TEXTS)
    before = dict(vars(vectorizer))
    vectorizer.set_params(min_df=4)
    with pytest.raises(ValueError, match="no terms remain"):
        vectorizer.fit(TEXTS)
    with pytest.raises(AttributeError):
        vectorizer.set_params(min_df=1).fit([*TEXTS, 3])
    assert vars(vectorizer) == before


def test_subclasses_that_override_a_part_of_the_analysis():
    class Halves(CountVectorizer):
        def build_tokenizer(self):
            return lambda text: re.findall(r"\w{1,2}", text)

    class TheirHalves(theirs.CountVectorizer):
        build_tokenizer = Halves.build_tokenizer

    assert_same_matrix(
        Halves().fit_transform(TEXTS), TheirHalves().fit_transform(TEXTS)
    )


@pytest.mark.parametrize("kind", ALL)
def test_subclasses_that_read_or_answer_differently(kind):
    def sub(base):
        class Reads(base):
            def decode(self, doc):
                return super().decode(doc).replace("red", "green")

        class Answers(base):
            def transform(self, texts):
                return super().transform(texts) * 2

        return Reads, Answers

    pairs = zip(sub(getattr(ours, kind)), sub(getattr(theirs, kind)), strict=True)
    for my_class, their_class in pairs:
        mine, wanted = my_class().fit(TEXTS), their_class().fit(TEXTS)
        assert_same_matrix(mine.transform(TEXTS), wanted.transform(TEXTS))
        indices, values = mine.row_function()(TEXTS[1])
        expected = wanted.transform(TEXTS[1:2])
        np.testing.assert_array_equal(indices, expected.indices)
        np.testing.assert_allclose(values, expected.data, rtol=1e-6)


def test_refits_while_others_transform():
    vectorizer, wrong, stop = TfidfVectorizer().fit(TEXTS), [], threading.Event()
    vocabularies = [TEXTS, ["other words", "here"]]
    widths = {len(CountVectorizer().fit(texts).vocabulary_) for texts in vocabularies}

    def read():
        while not stop.is_set():
            X = vectorizer.transform(TEXTS)
            if X.shape[1] not in widths or (X.nnz and X.indices.max() >= X.shape[1]):
                wrong.append(X.shape)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(100):
        vectorizer.fit(vocabularies[i % 2])
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


# --- threads, batches, files ----------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_one_thread_equals_many(kind, tate, monkeypatch):
    texts = tate[0]
    results = []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(_vectorizer, "effective_n_threads", lambda n=n_threads: n)
        vectorizer = getattr(ours, kind)()
        results.append((vectorizer.fit_transform(texts), vectorizer.transform(texts)))
    for X, again in results[1:]:
        assert_same_matrix(X, results[0][0])
        np.testing.assert_array_equal(X.data, results[0][0].data)
        assert_same_matrix(again, results[0][1])


@pytest.mark.parametrize("kind", ALL)
def test_texts_come_in_batches(kind, tate, monkeypatch):
    texts = tate[0][:500]
    expected = getattr(ours, kind)().fit_transform(texts)
    monkeypatch.setattr(_vectorizer, "BATCH", 64)
    vectorizer = getattr(ours, kind)()
    assert_same_matrix(vectorizer.fit_transform(texts), expected)
    assert_same_matrix(
        vectorizer.transform(iter(texts)),
        getattr(theirs, kind)().fit(texts).transform(texts),
    )


def test_many_threads_use_one_vectorizer(tate):
    vectorizer = TfidfVectorizer().fit(tate[0])
    expected, row = vectorizer.transform(tate[0][:400]), vectorizer.row_function()
    wrong = []

    def work():
        for i in range(400):
            indices, _ = row(tate[0][i])
            if not np.array_equal(indices, expected[i].indices):
                wrong.append(i)
        if abs(vectorizer.transform(tate[0][:400]) - expected).max():
            wrong.append("matrix")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", BOTH)
def test_saved_and_memory_mapped(kind, tate, tmp_path):
    vectorizer = getattr(ours, kind)(min_df=2).fit(tate[0])
    expected = vectorizer.transform(tate[0][:50])
    assert_same_matrix(
        pickle.loads(pickle.dumps(vectorizer)).transform(tate[0][:50]), expected
    )
    joblib.dump(vectorizer, tmp_path / "words.joblib")
    mapped = joblib.load(tmp_path / "words.joblib", mmap_mode="r")
    assert isinstance(mapped.terms_.slots, np.memmap)
    assert_same_matrix(mapped.transform(tate[0][:50]), expected)
    assert mapped.vocabulary_ == vectorizer.vocabulary_
    row = pickle.loads(pickle.dumps(mapped.row_function()))
    np.testing.assert_array_equal(row(tate[0][0])[0], expected[0].indices)


# --- one text to the best labels ------------------------------------------------------


def _unions():
    words, letters = (
        TfidfVectorizer(min_df=2),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=3),
    )
    weighted = make_union(words, letters)
    return {
        "words": words,
        "words and letters": make_union(words, letters),
        "weighted": weighted.set_params(transformer_weights={"tfidfvectorizer-2": 0.5}),
        "hashes": HashingVectorizer(n_features=2**14),
        "unweighted": make_union(words, letters).set_params(
            transformer_weights={"tfidfvectorizer-1": None}
        ),
        "dropped": make_union(words, letters).set_params(
            **{"tfidfvectorizer-2": "drop"}
        ),
        "scikit-learn's": theirs.TfidfVectorizer(),
        "of a tokenizer": TfidfVectorizer(tokenizer=str.split, token_pattern=None),
    }


@pytest.mark.parametrize("features", _unions())
def test_topk_predictor_equals_predict_topk(features, tate):
    texts, Y = tate
    clf = XRLinearClassifier(random_state=0)
    model = make_pipeline(_unions()[features], clf).fit(texts[:1500], Y[:1500])
    best = topk_predictor(model, k=4)
    for function in (best, pickle.loads(pickle.dumps(best))):
        for text in texts[1500:1520]:
            labels, scores = function(text)
            expected, expected_scores = predict_topk(model, [text], k=4)
            np.testing.assert_array_equal(labels, expected[0])
            np.testing.assert_allclose(scores, expected_scores[0], rtol=1e-4)


def test_topk_predictor_names_classes():
    texts, y = ["red bird", "blue bird", "red fish", "blue fish"], ["b", "b", "f", "f"]
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, y)
    labels, scores = topk_predictor(model, k=2)("a fish")
    assert labels[0] == "f" and scores[0] == scores.max()
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        topk_predictor(model, k=0)


def test_topk_predictor_of_other_classifiers():
    texts, y = ["red bird", "blue bird", "red fish", "blue fish"], ["b", "b", "f", "f"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    assert topk_predictor(model, k=1)("a fish")[0].tolist() == ["f"]
    for nothing in (None, make_pipeline(TfidfVectorizer())):
        with pytest.raises(TypeError, match="estimator must have predict_topk"):
            topk_predictor(nothing)
    names = [["red", "bird"], ["blue", "bird"], ["red", "fish"], ["blue", "fish"]]
    for ranker in (OneVsRestClassifier(LogisticRegression()), XRNeighborsClassifier()):
        inner = LabelNamesClassifier(ranker)
        model = make_pipeline(TfidfVectorizer(), inner).fit(texts, names)
        found, scores = topk_predictor(model, k=2)("red bird")
        expected, expected_scores = predict_topk(model, ["red bird"], k=2)
        assert found.tolist() == expected[0].tolist()
        np.testing.assert_allclose(scores, expected_scores[0])


def test_files_of_a_generator(tmp_path):
    for i, text in enumerate(TEXTS):
        (tmp_path / f"{i}.txt").write_text(text, encoding="utf-8")

    def files():
        for i in range(len(TEXTS)):
            with (tmp_path / f"{i}.txt").open(encoding="utf-8") as file:
                yield file

    mine = TfidfVectorizer(input="file").fit_transform(files())
    assert_same_matrix(mine, TfidfVectorizer().fit_transform(TEXTS))


def test_surrogates_have_no_hash():
    vectorizer = HashingVectorizer(analyzer="char")
    for use in (lambda t: vectorizer.transform([t]), vectorizer.row_function()):
        with pytest.raises(UnicodeEncodeError):
            use("a\ud800")


def test_topk_predictor_takes_rows_without_a_pipeline(tate):
    X = TfidfVectorizer().fit_transform(tate[0])
    clf = XRLinearClassifier(random_state=0).fit(X, tate[1])
    labels, _ = topk_predictor(clf, k=3)(X[5])
    np.testing.assert_array_equal(labels, clf.predict_topk(X[5:6], k=3)[0][0])
