"""The C reader answers as Python does, and refuses what it cannot read."""

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline, make_union

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    LabelNamesClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    get_include,
    make_text_classifier,
    predict_topk,
    save_model,
)
from sklearn_xmr.datasets import load_tate_subjects, make_xmr_classification
from sklearn_xmr.feature_extraction.text import CountVectorizer, TfidfVectorizer

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
EXAMPLE = Path(__file__).parents[2] / "examples" / "c" / "tag.c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2")


def compiled(source, target, *flags):
    command = [COMPILER, *STRICT, *flags, f"-I{get_include()}", source, "-o", target]
    subprocess.run([*map(str, command), "-lm"], check=True)
    return target


@pytest.fixture(scope="module")
def tag(tmp_path_factory):
    """The example, compiled."""
    return compiled(EXAMPLE, tmp_path_factory.mktemp("c") / "tag")


class Ranked(ctypes.Structure):
    _fields_ = [("label", ctypes.c_int64), ("score", ctypes.c_float)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The reader as a shared library."""
    folder = tmp_path_factory.mktemp("c")
    source = folder / "reader.c"
    lines = ("#define _POSIX_C_SOURCE 200809L", "#define XMR_MODEL_IMPLEMENTATION")
    source.write_text("\n".join([*lines, '#include "xmr_model.h"', ""]))
    out = ctypes.CDLL(str(compiled(source, folder / "reader.so", "-shared", "-fPIC")))
    out.xmr_open.restype = ctypes.c_void_p
    out.xmr_open.argtypes = [
        ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t,
    ]  # fmt: skip
    out.xmr_close.argtypes, out.xmr_close.restype = [ctypes.c_void_p], None
    rest = [ctypes.c_int64, ctypes.POINTER(Ranked), ctypes.c_char_p, ctypes.c_size_t]
    out.xmr_rank_text.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, *rest,
    ]  # fmt: skip
    out.xmr_rank_row.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *rest,
    ]  # fmt: skip
    out.xmr_rank_text.restype = out.xmr_rank_row.restype = ctypes.c_int64
    return out


class Reader:
    """A model opened by the library."""

    def __init__(self, library, path):
        self.library, self.error = library, ctypes.create_string_buffer(300)
        self.model = library.xmr_open(str(path).encode(), 1, self.error, 300)
        if not self.model:
            raise ValueError(self.error.value.decode())

    def close(self):
        self.library.xmr_close(self.model)

    def row(self, row, k):
        best = (Ranked * k)()
        n = self.library.xmr_rank_row(
            self.model, row.indices.ctypes.data, row.data.ctypes.data, row.nnz, k, best,
            self.error, 300,
        )  # fmt: skip
        return [(one.label, one.score) for one in best[:n]] if n >= 0 else None

    def text(self, text, k):
        best, content = (Ranked * k)(), text.encode("utf-8", "surrogatepass")
        n = self.library.xmr_rank_text(
            self.model, content, len(content), k, best, self.error, 300
        )
        return [(one.label, one.score) for one in best[:n]] if n >= 0 else None


def assert_same(found, labels, scores, rtol=2e-5):
    """The same labels and scores; those of nearly equal scores in any order."""
    n = int((labels >= 0).sum())
    assert len(found) == n
    mine = np.array([score for _, score in found])
    np.testing.assert_allclose(mine, scores[:n], rtol=rtol, atol=1e-6)
    for (label, score), wanted, theirs in zip(found, labels, scores, strict=False):
        assert label == wanted or np.isclose(score, theirs, rtol=1e-4, atol=1e-6)
    last = scores[n - 1] if n else 0
    clear = {int(x) for x, s in zip(labels, scores, strict=True) if s > last * 1.0001}
    assert clear <= {label for label, _ in found}


LINEAR = [
    {},
    {"weight_dtype": "float16", "post_processor": "sigmoid"},
    {"weight_dtype": "float32", "post_processor": "noop", "beam_size": 3},
    {"post_processor": "log_l1_hinge", "beam_size": None},
    {"loss": "logistic", "post_processor": "l4_hinge", "weight_threshold": 0},
    # Settings as a grid of NumPy's numbers has them.
    {"beam_size": np.int64(4), "path_weight": np.float64(0.25)},
    {"beam_size": np.uint8(200), "path_weight": np.float32(0.5)},
    {"beam_size": np.int16(3), "path_weight": np.float16(0.75)},
    {"post_processor": np.str_("sigmoid"), "path_weight": np.int8(0)},
]


@pytest.mark.parametrize("parameters", LINEAR)
def test_rows(library, tmp_path, parameters):
    X, Y = make_xmr_classification(2500, 900, 300, random_state=0)
    tree = HierarchicalLabelClusterer(
        branching_factor=6, max_leaf_size=20, random_state=0
    )
    clf = XRLinearClassifier(tree, random_state=0, **parameters).fit(X, Y)
    save_model(clf, tmp_path / "model.xmr")
    reader = Reader(library, tmp_path / "model.xmr")
    labels, scores = clf.predict_topk(X, k=7)
    for i in range(X.shape[0]):
        assert_same(reader.row(X[i], 7), labels[i], scores[i])
    reader.close()


def test_the_beam_that_suits_few_instances(library, tmp_path):
    X, Y = make_xmr_classification(300, 900, 300, random_state=0)
    tree = HierarchicalLabelClusterer(max_leaf_size=6, random_state=0)
    clf = XRLinearClassifier(tree, random_state=0).fit(X, Y)
    assert clf.beam_size_ == 16 < clf.tree_.n_clusters
    narrow = clone(clf).set_params(beam_size=10).fit(X, Y).predict_topk(X, k=7)[0]
    save_model(clf, tmp_path / "model.xmr")
    reader = Reader(library, tmp_path / "model.xmr")
    labels, scores = clf.predict_topk(X, k=7)
    assert (labels != narrow).any()
    for i in range(X.shape[0]):
        assert_same(reader.row(X[i], 7), labels[i], scores[i])
    reader.close()


def test_texts_of_tate_and_the_example(library, tag, tmp_path):
    """10,000 rows and texts, by the library and by the example."""
    train = load_tate_subjects(subset="train")
    texts, Y = train.data[:10_000], train.target[:10_000]
    model = make_text_classifier("short").fit(texts, Y)
    path = tmp_path / "model.xmr"
    save_model(model, path)
    labels, scores = predict_topk(model, texts, 5)
    reader = Reader(library, path)
    X = sparse.csr_matrix(model[:-1].transform(texts))
    X.sort_indices()
    for i, text in enumerate(texts):
        assert_same(reader.text(text, 5), labels[i], scores[i])
        assert_same(reader.row(X[i], 5), labels[i], scores[i])
    reader.close()
    said = subprocess.run(
        [tag, path, "5"],
        input="\n".join(text.replace("\n", " ") for text in texts[:1000]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for line, *wanted in zip(said, labels[:1000], scores[:1000], strict=True):
        parts = line.split("\t")
        found = [
            (int(a), float(b)) for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
        assert_same(found, *wanted)


STRANGE = [
    *("", " ", "a", "the White House, the white house", "a\0b", "\ufffd", "x" * 5000),
    *(
        "ΟΔΟΣ ΟΔΟΣ. ΟΔΟΣ'Α ΣΟΦΙΑ Σ ΑΣ\u0300 Σ",
        "İstanbul ISTANBUL ıI",
        "Straße STRASSE ẞ",
    ),
    *(
        "e\u0301te\u0301 été",
        "日本語 テキスト",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐐀𐐨",
        "a_b __ 1_000",
        "٣ ٤٥ Ⅷ ²³",
    ),
    *(
        "\u200bzero\u200bwidth",
        "ＦＵＬＬ ｗｉｄｔｈ",
        "ǅ ǆ Ǆ",
        "naïve\u00a0café",
        "🙂 smile🙂s",
    ),
]


@pytest.mark.parametrize(
    "vectorizer",
    [
        TfidfVectorizer(),
        TfidfVectorizer(lowercase=False, norm="l1", ngram_range=(1, 3), binary=True),
        TfidfVectorizer(token_pattern=r"\w+", use_idf=False, sublinear_tf=True),
        TfidfVectorizer(token_pattern=r"(?u)\b\w{3,5}", norm=None, dtype=np.float32),
        CountVectorizer(token_pattern=r"\b\w{2}", dtype=np.float32),
        TfidfVectorizer(
            vocabulary=["οδος", "οδοσ", "été", "é"], token_pattern=r"\w{1,}"
        ),
        make_union(
            TfidfVectorizer(), CountVectorizer(ngram_range=(2, 2), dtype=np.float64)
        ).set_params(transformer_weights={"countvectorizer": 0.3}),
    ],
)
def test_strange_texts(library, tmp_path, vectorizer):
    texts = STRANGE * 2
    Y = np.eye(len(STRANGE), dtype=int).repeat(2, axis=0)
    model = make_pipeline(clone(vectorizer), XRLinearClassifier(weight_threshold=0))
    model.fit(
        [*texts, "a b c"],
        np.vstack([np.tile(np.eye(len(STRANGE), dtype=int), (2, 1)), Y[:1]]),
    )
    save_model(model, tmp_path / "model.xmr")
    reader = Reader(library, tmp_path / "model.xmr")
    labels, scores = predict_topk(model, STRANGE, 4)
    for text, *wanted in zip(STRANGE, labels, scores, strict=True):
        assert_same(reader.text(text, 4), *wanted)
    reader.close()


def test_names(tag, tmp_path):
    texts = ["a ship at sea", "waves", "smoke over the town"] * 5
    names = [["sea", "Schiff; groß"], ["sea"], ["town"]] * 5
    words = make_pipeline(TfidfVectorizer(), XRLinearClassifier())
    for model in (
        LabelNamesClassifier(words).fit(texts, names),
        clone(words).fit(texts, [row[-1] for row in names]),
    ):
        save_model(model, tmp_path / "model.xmr")
        said = subprocess.run(
            [tag, tmp_path / "model.xmr", "1"],
            input="a ship\nthe town\n", capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert [line.split("\t")[0] for line in said.stdout.splitlines()] == [
            str(row[0]) for row in model_names(model, ["a ship", "the town"])
        ]


def model_names(model, texts):
    labels, _ = predict_topk(model, texts, 1)
    return labels if labels.dtype == object else model.classes_[labels]


def test_what_it_cannot_read(library, tmp_path):
    X, Y = make_xmr_classification(100, 50, 20, random_state=0)
    texts = ["red bird", "blue fish"] * 5
    labels = [[1, 0], [0, 1]] * 5
    dense = HybridFeatures(X, np.ones((100, 2)))
    for model, reason in (
        (XRNeighborsClassifier().fit(X, Y), "only XRLinearClassifier"),
        (XRLinearClassifier().fit(dense, Y), "dense features"),
        (XRLinearClassifier(label_weight=np.ones(20)).fit(X, Y), "label_weight"),
        *(
            (make_pipeline(words, XRLinearClassifier()).fit(texts, labels), reason)
            for words, reason in (
                (TfidfVectorizer(analyzer="char"), "settings of its vectorizer"),
                (TfidfVectorizer(stop_words="english"), "settings of its vectorizer"),
                (TfidfVectorizer(strip_accents="ascii"), "settings of its vectorizer"),
            )
        ),
    ):
        save_model(model, tmp_path / "model.xmr")
        with pytest.raises(ValueError, match=reason):
            Reader(library, tmp_path / "model.xmr")
    with pytest.raises(ValueError, match="No such file"):
        Reader(library, tmp_path / "none.xmr")
    (tmp_path / "model.xmr").write_bytes(json.dumps(labels).encode())
    with pytest.raises(ValueError, match="does not begin"):
        Reader(library, tmp_path / "model.xmr")


def test_wrong_rows(library, tmp_path):
    X, Y = make_xmr_classification(100, 50, 20, random_state=0)
    save_model(XRLinearClassifier().fit(X, Y), tmp_path / "model.xmr")
    reader = Reader(library, tmp_path / "model.xmr")
    assert (
        reader.row(sparse.csr_matrix(([1.0], ([0], [50])), (1, 60), dtype="f4"), 3)
        is None
    )
    assert reader.row(sparse.csr_matrix([[np.nan]], dtype="f4"), 3) is None
    assert reader.text("a text", 3) is None and b"no vectorizer" in reader.error.value
    assert len(reader.row(sparse.csr_matrix((1, 50), dtype="f4"), 30)) == 20
    reader.close()
