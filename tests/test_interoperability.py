"""At home beside pandas, polars, skops and scikit-learn's tools."""

import pickle

import numpy as np
import pytest
from estimators import CLASSIFIERS, SKLEARN_1_7, SKLEARN_BEFORE_1_9
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import estimator_html_repr

import sklearn_xmr
from sklearn_xmr import (
    FineTuning,
    HierarchicalLabelClusterer,
    LabelNamesClassifier,
    XMRClassifier,
    XRBanditClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XREnsembleClassifier,
    XRForestClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    XTransformerClassifier,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.preprocessing import LabelNameBinarizer

TEXTS = ["red bird", "blue bird", "red fish", "blue fish"] * 5
Y = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]] * 5)


def series(kind):
    """The texts as a Series."""
    library, _, dtype = kind.partition("-")
    library = pytest.importorskip(library)
    return library.Series(TEXTS, dtype=dtype) if dtype else library.Series(TEXTS)


SERIES = ["pandas", "pandas-string", "pandas-category", "polars"]


@pytest.mark.parametrize("kind", SERIES)
def test_series_of_texts(kind):
    texts = series(kind)
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier()).fit(texts, Y)
    np.testing.assert_array_equal(model.predict(texts), Y)
    static = XTransformerClassifier(count_letters).fit(texts, Y)
    np.testing.assert_array_equal(static.predict(texts), Y)


def count_letters(texts):
    """An embedding that needs no model."""
    return np.array([[len(text), text.count("r") + 1.0] for text in texts])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_through_a_column_transformer(library):
    if library == "polars" and SKLEARN_1_7:
        pytest.skip("ColumnTransformer does not join polars and sparse columns")
    table = pytest.importorskip(library).DataFrame(
        {"title": TEXTS, "year": np.arange(20.0)}
    )
    columns = make_column_transformer(
        (TfidfVectorizer(), "title"), remainder="passthrough"
    )
    model = make_pipeline(columns, XRLinearClassifier(random_state=0)).fit(table, Y)
    assert model.score(table, Y) == 1
    numbers = table[["year"]]
    clf = XRLinearClassifier(random_state=0).fit(numbers, Y)
    assert clf.feature_names_in_.tolist() == ["year"]


THEIRS = OneVsRestClassifier(LogisticRegression())
SCALED = make_pipeline(MaxAbsScaler(), XRLinearClassifier())
NAMED = CLASSIFIERS | {
    "label vectors": XRLabelVectorsClassifier(),
    "stack of others": XRStackingClassifier(
        [("theirs", THEIRS), ("scaled", SCALED)],
        LogisticRegression(max_iter=1000),
        random_state=0,
    ),
    "bandit of others": XRBanditClassifier(THEIRS, random_state=0),
    "calibrated others": XRCalibratedClassifier(THEIRS, random_state=0),
    "sets of others": XRConformalClassifier(THEIRS, alpha=0.4, random_state=0),
    "calibrated pipeline": XRCalibratedClassifier(SCALED, random_state=0),
    "names": LabelNamesClassifier(XRStackingClassifier(random_state=0)),
}
METHODS = ("predict", "predict_proba", "predict_topk", "transform", "score")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("clf", NAMED.values(), ids=NAMED)
@pytest.mark.filterwarnings("error:.*feature names")
def test_nobody_inside_warns_of_feature_names(clf, library):
    frame = pytest.importorskip(library).DataFrame
    X, targets = make_xmr_classification(90, 20, 6, random_state=0)
    table = frame({f"word {i}": column for i, column in enumerate(X.toarray().T)})
    if isinstance(clf, LabelNamesClassifier):
        targets = [[f"label {label}" for label in row.indices] for row in targets]
    clf = clone(clf).fit(table, targets)
    assert clf.feature_names_in_[0] == "word 0"
    for method in METHODS:
        if hasattr(clf, method):
            getattr(clf, method)(*([table, targets] if method == "score" else [table]))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_targets_in_tables(library):
    frame = pytest.importorskip(library).DataFrame
    X = TfidfVectorizer().fit_transform(TEXTS)
    clf = XRLinearClassifier(random_state=0).fit(X, frame(Y))
    np.testing.assert_array_equal(clf.predict(X), Y)
    if library == "pandas":
        wide = frame.sparse.from_spmatrix(sparse.csr_matrix(Y))
        assert XRLinearClassifier().fit(X, wide).score(X, Y) == 1


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(small, library):
    frame = pytest.importorskip(library).DataFrame
    X, targets = small
    tree = HierarchicalLabelClusterer(branching_factor=4, max_leaf_size=5)
    clf = XRLinearClassifier(tree, random_state=0).fit(X, targets)
    expected = clf.transform(X)
    assert sparse.issparse(expected)
    table = clf.set_output(transform=library).transform(X)
    assert isinstance(table, frame)
    assert list(table.columns)[:2] == ["xrlinearclassifier0", "xrlinearclassifier1"]
    np.testing.assert_array_equal(table.to_numpy(), expected.toarray())
    stages = XMRClassifier(KMeans(3), LogisticRegression(), LogisticRegression())
    stages.fit(X, targets)
    expected = stages.transform(X).toarray()
    table = stages.set_output(transform=library).transform(X)
    assert isinstance(table, frame)
    np.testing.assert_array_equal(table.to_numpy(), expected)
    static = XTransformerClassifier(count_letters).fit(TEXTS, Y)
    assert isinstance(static.set_output(transform=library).transform(TEXTS), frame)


@pytest.mark.parametrize(
    "model",
    [
        XRLinearClassifier(random_state=0),
        XREnsembleClassifier(n_estimators=2, random_state=0),
        XRNeighborsClassifier(),
        XRForestClassifier(n_estimators=5, random_state=0),
        XRStackingClassifier(random_state=0),
    ],
)
def test_skops_keeps_what_it_is_given(small, model, tmp_path):
    skops_io = pytest.importorskip("skops.io")
    X, targets = small
    model = clone(model).fit(X, targets)
    path = tmp_path / "model.skops"
    skops_io.dump(model, path)
    unknown = skops_io.get_untrusted_types(file=path)
    strange = ("sklearn_xmr.", "sklearn.", "numpy.dtype", "scipy.sparse.")
    assert all(name.startswith(strange) for name in unknown)
    again = skops_io.load(path, trusted=unknown)
    for ours, theirs in zip(
        model.predict_topk(X, k=5), again.predict_topk(X, k=5), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_notebook_pictures_show_what_was_learned(small, monkeypatch):
    monkeypatch.delenv("SKLEARN_XMR_DOC_URL", raising=False)
    clf = XRLinearClassifier(random_state=0).fit(*small)
    page = estimator_html_repr(clf)
    for name in ("tree_", "weights_", "LabelTree"):
        assert name in page or SKLEARN_BEFORE_1_9  # which shows parameters only
    assert "https://scikit-learn.org" not in page and clf._get_doc_link() == ""
    monkeypatch.setenv("SKLEARN_XMR_DOC_URL", "file:///doc/")
    link = "file:///doc/generated/sklearn_xmr.XRLinearClassifier.html"
    assert clf._get_doc_link() == link
    assert link in estimator_html_repr(clf)
    assert LabelNameBinarizer()._get_doc_link() == (
        "file:///doc/generated/sklearn_xmr.preprocessing.LabelNameBinarizer.html"
    )
    assert HierarchicalLabelClusterer()._get_doc_link().startswith("file:///doc/gen")


def test_pickles_say_which_version_wrote_them():
    vectorizer = sklearn_xmr.feature_extraction.text.TfidfVectorizer().fit(TEXTS)
    model = XRLinearClassifier().fit(vectorizer.transform(TEXTS), Y)
    for estimator in (vectorizer, model, LabelNameBinarizer(), FineTuning()):
        state = estimator.__getstate__()
        assert state["_sklearn_xmr_version"] == sklearn_xmr.__version__
        loaded = pickle.loads(pickle.dumps(estimator))
        assert set(vars(loaded)) == set(vars(estimator)) - {"_last_counter"}


def test_what_a_newer_version_pickled_is_told():
    state = XRLinearClassifier().__getstate__() | {"_sklearn_xmr_version": "99.0"}
    with pytest.warns(UserWarning, match="saved by sklearn_xmr 99.0, newer than"):
        XRLinearClassifier().__setstate__(state)
