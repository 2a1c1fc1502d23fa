"""Names of columns of y in the model: into classes_, out with predictions."""

import numpy as np
import pytest
from estimators import each_classifier
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    XRCalibratedClassifier,
    XRLabelTextClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    load_model,
    predict_topk,
    save_model,
    topk_predictor,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.inspection import explain
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.model_selection import cross_validate
from sklearn_xmr.preprocessing import LabelNameBinarizer

pandas = pytest.importorskip("pandas")
X, Y = make_xmr_classification(200, 40, 12, random_state=0)
DENSE = Y.toarray().astype(np.int64)
NAMES = [f"label {number}" for number in range(12)]
TABLE = pandas.DataFrame(DENSE, columns=NAMES)


@each_classifier
def test_predictions_are_tables_as_y_was(clf):
    clf, plain = clone(clf).fit(X, TABLE), clone(clf).fit(X, DENSE)
    assert clf.classes_.tolist() == NAMES
    instances = pandas.DataFrame(X[:9].toarray(), index=list("abcdefghi"))
    for method in ("predict", "predict_proba"):
        expected = getattr(plain, method)(X[:9].toarray())
        table = getattr(clf, method)(instances)
        assert table.columns.tolist() == NAMES
        assert table.index.tolist() == list("abcdefghi")
        np.testing.assert_array_equal(table.to_numpy(), expected)
        assert (table.dtypes == expected.dtype).all()


def test_sparse_tables():
    frame = pandas.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(DENSE))
    frame.columns = NAMES
    table = XRLinearClassifier(random_state=0).fit(X, frame).predict(X)
    assert table.columns.tolist() == NAMES
    assert all(isinstance(dtype, pandas.SparseDtype) for dtype in table.dtypes)
    plain = XRLinearClassifier(random_state=0).fit(X, DENSE).predict(X)
    np.testing.assert_array_equal(table.sparse.to_dense().to_numpy(), plain)


def test_polars():
    polars = pytest.importorskip("polars")
    y = polars.DataFrame(DENSE, schema=NAMES)
    clf = XRLinearClassifier(random_state=0).fit(X, y)
    assert clf.predict(X[:3]).columns == NAMES
    assert clf.score(X, y) == XRLinearClassifier(random_state=0).fit(X, Y).score(X, Y)


def test_columns_without_names_of_their_own_are_numbers():
    clf = XRLinearClassifier().fit(X, pandas.DataFrame(DENSE))
    assert clf.classes_.tolist() == list(range(12))
    assert isinstance(clf.predict(X), np.ndarray)


def test_names_answer_everywhere(tmp_path):
    clf = XRLinearClassifier(random_state=0).fit(X, TABLE)
    labels, scores = predict_topk(clf, X[:1], 3)
    names, same = topk_predictor(clf, 3)(X[:1])
    assert names.tolist() == [NAMES[label] for label in labels[0]]
    np.testing.assert_array_equal(same, scores[0])
    assert explain(clf, X[:1], names[0]).to_dict()["name"] == names[0]
    save_model(clf, tmp_path / "model.xmr")
    loaded = load_model(tmp_path / "model.xmr")
    pandas.testing.assert_frame_equal(loaded.predict(X), clf.predict(X))


def test_tables_in_searches_and_metrics():
    grid = {"C": [0.1, 1.0]}
    search = GridSearchCV(XRLinearClassifier(), grid, scoring="f1_micro", cv=2)
    assert search.fit(X, TABLE).best_score_ > 0
    proba = search.predict_proba(X)
    assert precision_at_k(TABLE, proba) == precision_at_k(Y, proba.to_numpy())


def test_columns_in_another_order_are_refused():
    clf = XRLinearClassifier(random_state=0).fit(X, TABLE)
    with pytest.raises(ValueError, match="where that had 'label 0' it has 'label 11'"):
        clf.score(X, TABLE[NAMES[::-1]])
    with pytest.raises(ValueError, match="where that had 'label 0' it has 'label 11'"):
        clf.add_labels(X, TABLE[NAMES[::-1]].assign(new=1))


WORDS = pandas.DataFrame(X.toarray()).add_prefix("word ")
TWICE = {
    "X": WORDS.rename(columns={"word 9": "word 0"}),
    "y": TABLE.rename(columns={"label 9": "label 0"}),
}


@each_classifier
def test_columns_of_one_name_are_refused(clf):
    with pytest.raises(ValueError, match="y must .* found 2 columns 'label 0'; give"):
        clone(clf).fit(X, TWICE["y"])
    with pytest.raises(ValueError, match="X must .* found 2 columns 'word 0'; give"):
        clone(clf).fit(TWICE["X"], Y)
    clf = clone(clf).fit(WORDS, TABLE)
    with pytest.raises(ValueError, match="X must .* found 2 columns 'word 0'; give"):
        clf.predict(TWICE["X"])
    with pytest.raises(ValueError, match="y must .* found 2 columns 'label 0'; give"):
        clf.score(WORDS, TWICE["y"])


HYBRID = (X, np.ones((200, 1)))
THEIRS = XRCalibratedClassifier(make_pipeline(StandardScaler(), XRLinearClassifier()))
WITH_TEXTS = TWICE["X"].assign(text="a text")
BINARIZER = LabelNameBinarizer(classes=NAMES).fit([])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("X", lambda: XRLabelVectorsClassifier().fit(TWICE["X"], Y)),
        ("X", lambda: HierarchicalLabelClusterer().fit(TWICE["X"], Y)),
        ("X", lambda: THEIRS.fit(WITH_TEXTS, Y)),
        ("X", lambda: cross_validate(XRLinearClassifier(), TWICE["X"], Y)),
        ("dense", lambda: HybridFeatures(X, TWICE["X"])),
        ("y", lambda: XRLinearClassifier().fit(HYBRID, TWICE["y"])),
        ("y", lambda: XRLinearClassifier().fit(X, TABLE).add_labels(X, TWICE["y"])),
        ("y", lambda: XRLabelTextClassifier(NAMES).fit(["text"] * 200, TWICE["y"])),
        ("y", lambda: cross_validate(XRLinearClassifier(), X, TWICE["y"])),
        ("relevance", lambda: XRLinearClassifier().fit(X, Y, relevance=TWICE["y"])),
        ("Y", lambda: BINARIZER.inverse_transform(TWICE["y"])),
        ("y_true", lambda: precision_at_k(TWICE["y"], DENSE * 1.0)),
    ],
)
def test_columns_of_one_name_are_refused_everywhere(name, call):
    with pytest.raises(ValueError, match=f"^{name} must name its columns dif"):
        call()


def test_a_column_may_be_called_as_an_attribute():
    y = TABLE.rename(columns={"label 0": "column_names", "label 1": "columns"})
    assert XRLinearClassifier().fit(X, y).classes_[:2].tolist() == list(y)[:2]


def test_arrow_targets_point_to_pandas():
    arrow = pytest.importorskip("pyarrow").Table.from_pandas(TABLE)
    with pytest.raises(ValueError, match=r"pyarrow.lib.Table; try y.to_pandas\(\)"):
        XRLinearClassifier().fit(X, arrow)
    with pytest.raises(ValueError, match="found 2 columns 'label 0'"):
        XRLinearClassifier().fit(X, arrow.append_column("label 0", arrow.column(0)))


def test_labels_are_added_and_removed_by_name():
    clf = XRLinearClassifier(random_state=0).fit(X, TABLE[NAMES[:10]])
    with pytest.raises(ValueError, match="names its new columns, .* got ndarray"):
        clf.add_labels(X, DENSE)
    clf.add_labels(X, TABLE)
    assert clf.classes_.tolist() == NAMES
    clf.remove_labels(["label 3"])
    assert clf.predict(X).columns.tolist() == NAMES[:3] + NAMES[4:]


def test_a_warm_start_takes_new_columns():
    clf = XRLinearClassifier(warm_start=True, random_state=0)
    clf.fit(X, TABLE[NAMES[:10]]).fit(X, TABLE)
    assert clf.classes_.tolist() == NAMES
    assert len(clf.propensities_) == 12
