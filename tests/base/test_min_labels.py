"""``predict`` returns as many labels as it promises, the best ones."""

import numpy as np
import pytest
from estimators import each_classifier
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XRLinearClassifier,
    predict_topk,
    topk_predictor,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

X, Y = make_xmr_classification(200, 40, 12, random_state=0)
TEXTS = ["red bird", "blue bird", "red fish", "blue fish"] * 5
NAMES = [text.split() for text in TEXTS]


@each_classifier
@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_predict_returns_so_many_labels_at_least(clf, form):
    if isinstance(clf, XRConformalClassifier):
        pytest.skip("its sets have no least size")
    y = form(Y.toarray())
    clf = clone(clf).set_params(decision_threshold=0.99).fit(X, y)
    few = clf.predict(X)
    labels, _ = clf.predict_topk(X, k=2)
    expected = sparse.lil_matrix(few)
    for row, best in enumerate(labels):
        expected[row, best[best >= 0]] = 1
    more = clf.set_params(min_labels=2).predict(X)
    assert type(more) is type(few) and more.dtype == few.dtype
    np.testing.assert_array_equal(sparse.csr_matrix(more).toarray(), expected.toarray())


def test_one_class_of_each_instance_stays_one():
    y = np.array(["bird", "bird", "fish", "fish"] * 50)
    clf = XRLinearClassifier(min_labels=3).fit(X, y)
    assert clf.predict(X).shape == (200,)


PIPELINE = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
MODELS = {
    "names": LabelNamesClassifier(PIPELINE),
    "calibrated": LabelNamesClassifier(XRCalibratedClassifier(PIPELINE)),
    "calibrated names": LabelNamesClassifier(
        make_pipeline(TfidfVectorizer(), XRCalibratedClassifier(XRLinearClassifier()))
    ),
    "names behind": make_pipeline(
        TfidfVectorizer(), LabelNamesClassifier(XRLinearClassifier(random_state=0))
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_texts_that_say_nothing_get_no_label_on_request(model):
    model = clone(model).fit(TEXTS, NAMES)
    texts = ["", "unknown words", "red bird", "  "]
    usual, scores = predict_topk(model, texts, 2)
    assert None not in usual
    labels, skipped_scores = predict_topk(model, texts, 2, skip_empty=True)
    assert labels[[0, 1, 3]].tolist() == [[None, None]] * 3
    assert labels[2].tolist() == usual[2].tolist()
    np.testing.assert_array_equal(skipped_scores, scores * [[0], [0], [1], [0]])
    best = topk_predictor(model, 2, skip_empty=True)
    assert [len(best(text)[0]) for text in texts] == [0, 0, 2, 0]
    assert best("red bird")[0].tolist() == labels[2].tolist()


@pytest.mark.parametrize("model", ["names", "names behind"])
def test_texts_are_skipped_in_microseconds(model, monkeypatch):
    model = clone(MODELS[model]).fit(TEXTS, NAMES)
    # The way of all other estimators, which takes 20 times as long.
    monkeypatch.setattr("sklearn_xmr.utils._response.predict_topk", None)
    best = topk_predictor(model, 2, skip_empty=True)
    assert [len(best(text)[0]) for text in ("", "unknown", "red bird")] == [0, 0, 2]


def test_rows_that_say_nothing_get_no_label_on_request():
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    rows = sparse.vstack([X[:2], sparse.csr_matrix((1, 40))]).tocsr()
    rows.data[: rows.indptr[1]] = 0  # stored zeros
    for instances in (rows, rows.toarray()):
        labels, scores = predict_topk(clf, instances, 3, skip_empty=True)
        assert (labels[[0, 2]] == -1).all() and (scores[[0, 2]] == 0).all()
        np.testing.assert_array_equal(labels[1], predict_topk(clf, instances, 3)[0][1])
    best = topk_predictor(clf, 3, skip_empty=True)
    assert len(best(rows[2:])[0]) == 0 and len(best(rows[1:2])[0]) == 3
