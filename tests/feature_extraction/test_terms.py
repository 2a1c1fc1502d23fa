"""The kernels of the vectorizers against slow Python, and damaged tables."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.murmurhash import murmurhash3_32

from sklearn_xmr.feature_extraction._analyzer import Analyzer
from sklearn_xmr.feature_extraction._corpus_counter import CorpusCounter
from sklearn_xmr.feature_extraction._term_counts import TextCounter
from sklearn_xmr.feature_extraction._terms import TermTable
from sklearn_xmr.feature_extraction._weighting import Weighting

WORDS = Analyzer("word", (1, None), (1, 1), True, None, None)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANY_TEXT, unique=True, max_size=300), st.lists(ANY_TEXT, max_size=20))
def test_a_table_finds_its_terms_and_no_others(terms, others):
    table = TermTable.of(terms)
    numbers = {term: i for i, term in enumerate(terms)}
    assert len(table) == len(terms)
    assert table.numbers == numbers and table.terms == terms
    for term in [*terms, *others]:
        assert table.find(term) == numbers.get(term, -1)


def test_large_tables():
    terms = [f"term {i}" for i in range(100_000)]
    table = pickle.loads(pickle.dumps(TermTable.of(terms)))
    assert [table.find(t) for t in terms[::997]] == list(range(0, 100_000, 997))
    assert table.find("term 100000") == -1
    assert 1.33 * 4 <= table.slots.nbytes / 100_000 <= 2.67 * 4
    assert table.nbytes == sum(a.nbytes for a in table.__reduce__()[1])


def _damaged():
    """Tables that do not fit together, each with what is said."""
    whole = TermTable.of(["red", "green", "blue", "gold"])

    def changed(name, index, value):
        arrays = dict(
            zip(("bytes", "offsets", "slots"), whole.__reduce__()[1], strict=True)
        )
        arrays[name] = arrays[name].copy()
        arrays[name][index] = value
        return tuple(arrays.values())

    some = int(np.flatnonzero(whole.slots)[0])
    return {
        "descending": changed("offsets", 1, 200),
        "not from 0": changed("offsets", 0, 1),
        "beyond the bytes": changed("offsets", 3, 2**31),
        "no such term": changed("slots", some, whole.slots[some] | 7),
        "no term in a slot": changed("slots", some, (whole.slots[some] | 7) ^ 7 | 8),
        "few slots": (whole.bytes, whole.offsets, whole.slots[:2]),
        "three slots": (whole.bytes, whole.offsets, np.zeros(6, np.uint32)),
        "no offsets": (whole.bytes, whole.offsets[:0], whole.slots),
        "short bytes": (whole.bytes[:-1], whole.offsets, whole.slots),
        "another dtype": (whole.bytes, whole.offsets.astype(np.int64), whole.slots),
        "no arrays": (None, whole.offsets, whole.slots),
    }


@pytest.mark.parametrize("case", _damaged())
def test_damaged_tables_are_refused(case):
    with pytest.raises((ValueError, TypeError)):
        TermTable(*_damaged()[case])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_slots_are_safe(data):
    """Where slots and offsets are in range, a search ends and stays inside."""
    whole = TermTable.of(["red", "green", "blue"])
    n, n_bytes = len(whole.slots), len(whole.bytes) - 8
    slot = st.one_of(
        st.just(0),
        st.builds(
            lambda h, i: h << 2 | i, st.integers(0, 2**30 - 1), st.integers(1, 3)
        ),
        st.sampled_from(whole.slots.tolist()),
    )
    slots = data.draw(st.lists(slot, min_size=n, max_size=n))
    middle = sorted(
        data.draw(st.lists(st.integers(0, n_bytes), min_size=2, max_size=2))
    )
    offsets = np.array([0, *middle, n_bytes], np.uint32)
    table = TermTable(whole.bytes, offsets, np.array(slots, np.uint32))
    for term in ("red", "green", "blue", "", "x" * 50):
        assert -1 <= table.find(term) < 3


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from("abcdefgh"), max_size=60), min_size=1, max_size=30
    )
)
def test_counts_of_a_corpus_equal_a_loop(rows):
    # So many characters that every thread gets some.
    texts = [" ".join(row) + " " * 3000 for row in rows]
    for n_threads in (1, 3):
        corpus = CorpusCounter(
            Analyzer("word", (1, None), (1, 1), False, None, None), n_threads
        )
        for start in range(0, len(texts), 7):
            corpus.add(texts[start : start + 7])
        frequencies = corpus.merge()
        terms = corpus.sort(np.flatnonzero(frequencies).astype(np.int32))
        table = corpus.table(terms)
        expected = sorted({term for row in rows for term in row})
        assert table.terms == expected and corpus.n_rows == len(texts)
        assert frequencies[terms].tolist() == [
            sum(term in row for row in rows) for term in expected
        ]
        assert corpus.n_occurrences()[terms].tolist() == [
            sum(row.count(term) for row in rows) for term in expected
        ]
        first = [term for row in rows for term in row]
        data, indices, indptr = corpus.matrix(terms, Weighting(), np.dtype(np.int64))
        for i, row in enumerate(rows):
            stored = slice(*indptr[i : i + 2])
            in_order = sorted(set(row), key=first.index)
            assert [expected[c] for c in indices[stored]] == in_order
            assert data[stored].tolist() == [row.count(term) for term in in_order]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=30), max_size=9
    )
)
def test_hashes_equal_murmurhash(words):
    text = "\n".join(word.replace("\n", "") for word in words)
    analyzer = Analyzer("char", (1, None), (1, 3), False, None, None)
    counter = TextCounter(analyzer, Weighting(), None, 1000, True)
    data, indices, _ = counter.rows([text], np.dtype(np.float64), 1)
    expected = np.zeros(1000)
    for term in analyzer.analyze(text):
        hashed = murmurhash3_32(term.encode("utf-8"), seed=0)
        expected[abs(int(hashed)) % 1000] += 1 if hashed >= 0 else -1
    row = np.zeros(1000)
    row[indices] = data
    np.testing.assert_array_equal(row, expected)
    assert (np.diff(indices) > 0).all()


@pytest.mark.parametrize("n", [1, 39, 40, 41, 300, 70_000])
def test_rows_of_any_length_are_sorted(n):
    rng = np.random.RandomState(n)
    terms = [f"t{i}" for i in range(n)]
    text = " ".join(terms[i] for i in rng.randint(0, n, 2 * n))
    counter = TextCounter(
        Analyzer("word", (1, None), (1, 1), True, None, None),
        Weighting(),
        TermTable.of(terms),
    )
    data, indices, _ = counter.rows([text], np.dtype(np.int32), 1)
    columns, counts = np.unique([int(t[1:]) for t in text.split()], return_counts=True)
    np.testing.assert_array_equal(indices, columns)
    np.testing.assert_array_equal(data, counts)


def test_several_workers_number_and_merge_terms():
    rng = np.random.RandomState(0)
    texts = [" ".join(f"t{i}" for i in rng.zipf(1.3, 300) % 5000) for _ in range(400)]
    results = []
    for n_threads in (1, 2, 4):
        corpus = CorpusCounter(
            Analyzer("word", (1, None), (1, 2), True, None, None), n_threads
        )
        corpus.add(texts)
        frequencies = corpus.merge()
        assert corpus.merge() is frequencies
        terms = corpus.sort(np.flatnonzero(frequencies > 1).astype(np.int32))
        table = corpus.table(terms)
        results.append(
            (table.terms, corpus.matrix(terms, Weighting(), np.dtype(np.int64)))
        )
    for terms, arrays in results[1:]:
        assert terms == results[0][0]
        for mine, wanted in zip(arrays, results[0][1], strict=True):
            np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Analyzer("char", (1, None), (0, 2), True, None, None),
        lambda: Analyzer("char", (1, None), (2, 1), True, None, None),
        lambda: Analyzer("word", (3, 2), (1, 1), True, None, None),
        lambda: Analyzer("char", (1, None), (1, 2**31), True, None, None),
        lambda: Analyzer("word", (0, None), (1, 1), True, None, None),
        lambda: Analyzer("words", (1, None), (1, 1), True, None, None),
        lambda: Analyzer(
            "word", (1, None), (1, 1), True, None, TermTable.__new__(TermTable)
        ),
        lambda: TextCounter(WORDS, Weighting(), None, 0),
        lambda: TextCounter(WORDS, Weighting(), None, 2**31),
        lambda: TextCounter(WORDS, Weighting(idf=np.ones(1)), None, 2**30),
        lambda: TextCounter(WORDS, Weighting(idf=np.ones(3)), TermTable.of(["a"])),
        lambda: TextCounter(WORDS, Weighting(), TermTable.__new__(TermTable)),
        lambda: TermTable.__new__(TermTable).find("a"),
        lambda: TermTable.of_bytes(b"abcde", [5, -3]),
        lambda: TermTable.of_bytes(b"abcde", [5, 3]),
    ],
)
def test_settings_that_a_damaged_file_may_hold_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_an_analyzer_that_was_never_filled_reads_words():
    assert Analyzer.__new__(Analyzer).analyze("a b") == ["a", "b"]


def test_what_is_no_string_is_refused():
    analyzer = Analyzer("word", (1, None), (1, 1), True, None, None)
    with pytest.raises(TypeError, match="texts must be strings, got int"):
        analyzer.analyze(3)
    with pytest.raises(TypeError, match="texts must be strings, got bytes"):
        CorpusCounter(analyzer, 1).add(["a", b"b"])
