"""Thesauri: from all sources, against slow sets; what is wrong is refused by name."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context, get_config

from sklearn_xmr import LabelNamesClassifier, Thesaurus, XRLinearClassifier, load_model
from sklearn_xmr.datasets import load_tate_subjects, load_tate_thesaurus
from sklearn_xmr.utils._matrices import as_csr_float32

ANIMALS = {
    "animal": None,
    "cat": ["pet", "feline"],
    "feline": "animal",
    "pet": ["animal"],
    "stone": [],
}
NAMES = {
    "en": ["animal", "cat", "feline", "pet", "stone"],
    "fi": ["eläin", "kissa", None, "", "kivi"],
    "sv": ["djur", "", "kattdjur", "", ""],
}
THESAURUS = Thesaurus.from_parents(ANIMALS, names=NAMES)
SKOS = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix : <http://example.org/> .
:animal a skos:Concept ; skos:prefLabel "animal"@en, "eläin"@fi ; skos:narrower :pet .
:cat a skos:Concept ; skos:prefLabel "cat"@en ; skos:altLabel "moggy"@en, "puss"@en ;
    skos:broader :pet, :animal .
:pet a skos:Concept ; skos:prefLabel "pet"@en, "animal companion"@en, "Haustier" .
"""


def ancestors_of(concept, parents):
    """All broader concepts, by walking."""
    found, left = set(), [concept]
    while left:
        above = parents[left.pop()] or []
        new = {above} if isinstance(above, str) else set(above)
        left.extend(new - found)
        found |= new
    return found


@st.composite
def hierarchies(draw):
    """Broader concepts of each; only those of larger numbers: no cycle."""
    n = draw(st.integers(1, 12))
    return {
        str(i): draw(st.lists(st.sampled_from(range(i + 1, n)).map(str), unique=True))
        if i + 1 < n
        else None
        for i in range(n)
    }


@given(hierarchies(), st.data())
@settings(max_examples=100, deadline=None)
def test_everything_equals_sets(parents, data):
    order = data.draw(st.permutations(list(parents)))
    parents = {one: parents[one] for one in order}
    thesaurus = Thesaurus.from_parents(parents)
    slow = {one: ancestors_of(one, parents) for one in order}
    for number, one in enumerate(order):
        row = thesaurus.ancestors()[[number]]
        assert {order[j] for j in row.indices} == slow[one]
        row = thesaurus.closure[[number]]
        assert {order[j] for j in row.indices} == slow[one] | {one}
        for above in slow[one]:
            assert thesaurus.heights[order.index(above)] > thesaurus.heights[number]
    sets = data.draw(st.lists(st.sets(st.sampled_from(order)), min_size=1))
    Y = np.array([[one in row for one in order] for row in sets]).astype(int)
    full = [set().union(row, *(slow[one] for one in row)) for row in sets]
    specific = [row - set().union(*(slow[one] for one in row)) for row in sets]
    for wanted, got in ((full, "with_ancestors"), (specific, "most_specific")):
        found = getattr(thesaurus, got)(Y)
        assert found.dtype == np.int64 and found.has_canonical_format
        expected = [[one in row for one in order] for row in wanted]
        np.testing.assert_array_equal(found.toarray(), expected)
    gone = data.draw(st.sets(st.sampled_from(order), max_size=len(order) - 1))
    left = thesaurus.without(sorted(gone))
    for number, one in enumerate(left.ids):
        above = left.ancestors()[[number]].indices
        assert set(left.ids[above]) == slow[one] - gone
    labels = data.draw(st.lists(st.sampled_from(order), min_size=1, unique=True))
    part = thesaurus.aligned_with(labels)
    assert part.ids[: len(labels)].tolist() == labels
    assert set(part.ids) == set(labels).union(*(slow[one] for one in labels))
    for number, one in enumerate(part.ids):
        assert set(part.ids[part.ancestors()[[number]].indices]) == slow[one]


def test_all_ways_to_say_the_same():
    matrix = np.zeros((5, 5))
    for narrow, broad in ((1, 3), (1, 2), (2, 0), (3, 0)):
        matrix[narrow, broad] = 7.0
    stored_zero = sparse.csr_matrix(([1, 0], ([1, 0], [0, 1])), shape=(2, 2))
    assert Thesaurus(["a", "b"], stored_zero).ancestors().nnz == 1
    ids = list(ANIMALS)
    for form in (matrix, sparse.csc_matrix(matrix), sparse.coo_array(matrix)):
        if not sparse.issparse(form):
            assert Thesaurus(ids, form, NAMES) == THESAURUS
        else:
            assert Thesaurus.from_parents(form, ids=ids, names=NAMES) == THESAURUS
    numbers = Thesaurus.from_parents([1, -1, 1])
    assert numbers.ids.tolist() == ["0", "1", "2"]
    assert numbers == Thesaurus.from_parents({"0": "1", "1": None, "2": "1"})
    paths = [["a", "b"], ["a"], ["c", "b"]]
    listed = Thesaurus.from_paths(paths)
    assert listed == Thesaurus.from_paths([" > ".join(path) for path in paths])
    assert listed == Thesaurus.from_paths(["a/b", " a ", "c / b"], separator="/")
    assert listed.ids.tolist() == ["a > b", "a", "c > b", "c"]
    assert listed.ancestors().toarray().tolist() == [
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
    ]


def test_names_in_languages():
    assert THESAURUS.languages == ["en", "fi", "sv"]
    assert THESAURUS.names() == NAMES["en"]
    assert THESAURUS.names("fi") == ["eläin", "kissa", "feline", "pet", "kivi"]
    assert THESAURUS.names(["fi", "sv"])[2] == "kattdjur"
    assert THESAURUS.path("cat", "fi") == "eläin > feline > kissa"
    assert THESAURUS.names_of([[4, 0, -1]], "sv") == [["stone", "djur"]]
    best = np.array([["cat", None]], dtype=object), np.ones((1, 2))
    assert THESAURUS.names_of(best, "fi") == [["kissa"]]
    with pytest.raises(ValueError, match=r"language must be of \['en', 'fi', 'sv'\]"):
        THESAURUS.names("de")
    without = Thesaurus.from_parents(ANIMALS)
    assert without.languages == [] and without.names() == list(ANIMALS)
    one = Thesaurus.from_parents([-1, 0], names=["a", np.nan])
    assert one.names() == ["a", "1"] and one.languages == [""]


def test_answers_of_a_model_of_identifiers_in_a_language():
    X = np.eye(3)
    clf = LabelNamesClassifier(XRLinearClassifier(), classes=THESAURUS.ids)
    clf.fit(X, [["cat"], ["stone"], ["pet"]])
    assert THESAURUS.names_of(clf.predict_topk(X, k=1), "fi") == [
        ["kissa"],
        ["kivi"],
        ["pet"],
    ]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Thesaurus.from_parents({"a": "b", "b": "c", "c": "b"}),
            ValueError,
            "broader than itself.*'b' > 'c' > 'b'|'c' > 'b' > 'c'",
        ),
        (lambda: Thesaurus.from_parents([0]), ValueError, "itself.*'0' > '0'"),
        (
            lambda: Thesaurus.from_parents({"a": ["b", "x"], "b": None}),
            ValueError,
            r"'a' has the broader concept 'x', which is not known \(1",
        ),
        (lambda: Thesaurus.from_parents([1, 5]), ValueError, "-1 to 1, found 5 for"),
        (lambda: Thesaurus.from_parents([-2]), ValueError, "found -2 for concept 0"),
        (lambda: Thesaurus.from_parents([0.5]), ValueError, "parents must be a 1-D"),
        (lambda: Thesaurus.from_parents({1: None}), TypeError, "found 1 .int.*by str"),
        (lambda: Thesaurus.from_parents({}), ValueError, "at least one concept"),
        (
            lambda: Thesaurus.from_parents({"a": None}, ids=["a"]),
            ValueError,
            "ids must be None for a dict",
        ),
        (
            lambda: Thesaurus.from_parents({"a": None}, handle_unknown="skip"),
            ValueError,
            "handle_unknown must be",
        ),
        (
            lambda: Thesaurus.from_parents([-1], names=["a", "b"]),
            ValueError,
            "names must hold a name for each of the 1 concepts, got 2",
        ),
        (lambda: Thesaurus.from_parents([-1], names=[3]), TypeError, "found 3"),
        (lambda: Thesaurus.from_parents([-1], names={3: ["a"]}), TypeError, "got 3"),
        (lambda: Thesaurus("ab", np.eye(2)), TypeError, "ids must be a sequence"),
        (lambda: Thesaurus(["a", ""], np.eye(2)), ValueError, "an empty identifier"),
        (lambda: Thesaurus(["a", "a"], np.eye(2)), ValueError, "'a' occurs 2 times"),
        (lambda: Thesaurus(["a"], np.eye(2)), ValueError, "row and a column for each"),
        (
            lambda: Thesaurus(["a"], [[0]], None, {"en": [[1]]}),
            ValueError,
            "other_names must hold a list of strings",
        ),
        (lambda: Thesaurus.from_paths(["a > > b"]), ValueError, "no empty term"),
        (lambda: Thesaurus.from_paths(["a", "a"]), ValueError, "'a' occurs 2 times"),
        (lambda: THESAURUS.positions(["cat", "dog"]), ValueError, "1 of 2.*'dog'"),
        (lambda: THESAURUS.aligned_with(["cat"] * 2), ValueError, "'cat' occurs 2"),
        (lambda: THESAURUS.without(THESAURUS.ids), ValueError, "leave at least one"),
        (lambda: THESAURUS.names_of([1]), ValueError, "labels must be a 2-D array"),
        (lambda: THESAURUS.names_of([[9]]), ValueError, "-1 to 4, found 9"),
        (lambda: THESAURUS.other_names("en"), ValueError, "language must be one of"),
        (
            lambda: THESAURUS.with_ancestors(np.ones((1, 6))),
            ValueError,
            "Y must have at most 5 columns.*got 6",
        ),
        (lambda: THESAURUS.with_ancestors([[2.0]]), ValueError, "only 0 and 1"),
    ],
)
def test_what_is_wrong_is_said(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_long_cycle_is_cut_and_unknown_ones_are_ignored_on_request():
    with pytest.raises(ValueError, match="and 12 more"):
        Thesaurus.from_parents([*range(1, 20), 0])
    some = Thesaurus.from_parents({"a": ["b", "x"], "b": "y"}, handle_unknown="ignore")
    assert some.ancestors().nnz == 1
    broken = sparse.csr_matrix(np.eye(2))
    broken.indices[0] = 7
    with pytest.raises(ValueError, match="broader is not a valid CSR"):
        Thesaurus(["a", "b"], broken)


def test_deep_ones_take_no_longer_than_their_result():
    chain = Thesaurus.from_parents(np.arange(1500) - 1)
    np.testing.assert_array_equal(chain.closure.getnnz(axis=1), np.arange(1, 1501))
    np.testing.assert_array_equal(chain.heights, np.arange(1500)[::-1])


def test_it_is_never_changed(tmp_path):
    before = copy.deepcopy(THESAURUS)
    assert before is THESAURUS
    for part in (THESAURUS.ids, THESAURUS.heights, THESAURUS.broader.data):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = part[0]
    again = pickle.loads(pickle.dumps(THESAURUS))
    assert again == THESAURUS and again is not THESAURUS
    assert again != Thesaurus.from_parents(ANIMALS)
    state = THESAURUS.__getstate__()
    loop = as_csr_float32(np.roll(np.eye(5), 1, axis=1))
    with pytest.raises(ValueError, match="broader than itself"):
        Thesaurus.__new__(Thesaurus).__setstate__({**state, "_broader": loop})


def test_sparse_interface():
    if "sparse_interface" not in get_config():
        pytest.skip("not in this version of scikit-learn")
    with config_context(sparse_interface="sparray"):
        assert isinstance(THESAURUS.closure, sparse.sparray)
        assert isinstance(THESAURUS.with_ancestors([[1]]), sparse.sparray)
        assert isinstance(THESAURUS.most_specific([[1]]), sparse.sparray)
        assert THESAURUS.ancestors().nnz == 5


def write(tmp_path, text, name="concepts.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_tables(tmp_path):
    text = """\ufeffid,broader,name_en,name_fi,note
animal,,animal,eläin,x
cat,pet; feline,"cat, small",kissa,
feline,animal,feline,,
pet,animal,pet,,
stone,,,kivi,
"""
    found = Thesaurus.from_csv(write(tmp_path, text))
    assert (found.closure != THESAURUS.closure).nnz == 0
    assert found.names("en")[1] == "cat, small" and found.names("en")[4] == "kivi"
    tabs = "id\tname\tbroader\na\tA\tb|x\nb\tB\t\n"
    options = {"delimiter": "\t", "separator": "|", "handle_unknown": "ignore"}
    found = Thesaurus.from_csv(write(tmp_path, tabs), **options)
    assert found.names() == ["A", "B"] and found.ancestors().nnz == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,broader\na,b\n", "concepts.csv.*column 'id'"),
        ("", "concepts.csv.*column 'id'"),
        ("id,broader\na,\n ,a\n", "concepts.csv.*line 3 has no id"),
        ("id,broader\na,,c\n", "concepts.csv.*line 2 has more columns"),
        ("id,broader\na,b\n", "concepts.csv is no thesaurus.*'b', which"),
        ("id,broader\na,\na,\n", "concepts.csv is no thesaurus.*'a' occurs 2"),
        ("id\n", "concepts.csv is no thesaurus.*at least one"),
        ("id,broader\na,b\nb,a\n", "concepts.csv is no thesaurus.*broader than itself"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        Thesaurus.from_csv(write(tmp_path, text))


@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('id,broadernm_\n";ab ', max_size=60).map(str.encode),
        st.lists(st.sampled_from(["a", "b", ",", "\n", ";", '"']), max_size=20).map(
            lambda parts: b"id,broader,name\n" + "".join(parts).encode()
        ),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_file_is_a_thesaurus_or_an_error_that_names_it(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        found = Thesaurus.from_csv(path)
    except ValueError as error:
        assert "any.csv" in str(error)
    else:
        assert found.closure.nnz >= found.n_concepts == len(found.names())


def test_a_table_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Thesaurus.from_csv(tmp_path / "nowhere.csv")
    (tmp_path / "latin.csv").write_bytes("id\nä\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.csv cannot be read as a table"):
        Thesaurus.from_csv(tmp_path / "latin.csv")


def test_skos(tmp_path):
    rdflib = pytest.importorskip("rdflib")
    path = write(tmp_path, SKOS, "animals.ttl")
    found = Thesaurus.from_skos(path)
    at = "http://example.org/"
    assert found.ids.tolist() == [at + "animal", at + "cat", at + "pet"]
    assert found.broader.toarray().tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    assert found.languages == ["en", "", "fi"]
    assert found.names("en") == ["animal", "cat", "animal companion"]
    assert found.names(["fi", ""]) == ["eläin", "cat", "Haustier"]
    assert found.other_names("en") == found.other_names() == [[], ["moggy", "puss"], []]
    part = found.aligned_with([at + "cat"])
    assert part.other_names() == [["moggy", "puss"], [], []]
    graph = rdflib.Graph().parse(path)
    for format, end in (("xml", "rdf"), ("nt", "nt"), ("json-ld", "jsonld")):
        graph.serialize(tmp_path / f"animals.{end}", format=format)
        assert Thesaurus.from_skos(tmp_path / f"animals.{end}") == found
    assert pickle.loads(pickle.dumps(found)) == found


def test_bad_skos(tmp_path):
    pytest.importorskip("rdflib")
    external = SKOS + ":pet skos:broader <http://other.org/thing> ."
    path = write(tmp_path, external, "external.ttl")
    with pytest.raises(ValueError, match="external.ttl.*http://other.org/thing"):
        Thesaurus.from_skos(path)
    assert Thesaurus.from_skos(path, handle_unknown="ignore").n_concepts == 3
    with pytest.raises(ValueError, match="format must be given for .*data.bin"):
        Thesaurus.from_skos(write(tmp_path, SKOS, "data.bin"))
    assert Thesaurus.from_skos(tmp_path / "data.bin", format="turtle").n_concepts == 3
    with pytest.raises(ValueError, match="bad.ttl cannot be read as RDF"):
        Thesaurus.from_skos(write(tmp_path, "this is : no turtle", "bad.ttl"))
    empty = "<http://a> <http://b> <http://c> ."
    with pytest.raises(ValueError, match=r"none.ttl must hold concepts.* 1 statements"):
        Thesaurus.from_skos(write(tmp_path, empty, "none.ttl"))
    with pytest.raises(FileNotFoundError):
        Thesaurus.from_skos(tmp_path / "nowhere.ttl")


def test_skos_without_rdflib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdflib", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-xmr\[skos\]'"):
        Thesaurus.from_skos(tmp_path / "animals.ttl")


def test_tate():
    thesaurus = load_tate_thesaurus()
    tate = load_tate_subjects(subset="test")
    names = zip(tate.target_paths, tate.target_names, strict=True)
    for label, (above, name) in enumerate(names):
        if name != "Currie":
            assert thesaurus.ids[label] == f"{above} > {name}"
    assert thesaurus.names("en")[:2] == tate.target_names[:2]
    Y = thesaurus.with_ancestors(tate.target)
    assert Y.shape == (11795, 8220)
    assert (Y[:, :8046] != tate.target).nnz == 0
    assert (thesaurus.most_specific(Y)[:, :8046] != tate.target).nnz == 0
    assert Y[:, 8046:].sum(axis=1).min() >= 2  # both levels above a label


def test_model_files_hold_it(tmp_path):
    from sklearn_xmr import XRHierarchyClassifier, save_model

    clf = XRHierarchyClassifier(XRLinearClassifier(), thesaurus=THESAURUS)
    clf.fit(np.eye(5), np.eye(5, dtype=int))
    save_model(clf, tmp_path / "model.xmr")
    assert load_model(tmp_path / "model.xmr").thesaurus == THESAURUS
