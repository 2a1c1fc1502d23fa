"""``predict_proba(X, k=...)``: the number of labels comes with the call."""

import numpy as np
import pytest
from estimators import each_classifier
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_xmr import LabelNamesClassifier, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

X, Y = make_xmr_classification(200, 40, 30, random_state=0)


@each_classifier
def test_so_many_labels_as_asked_for(clf):
    clf = clone(clf).set_params(top_k=4).fit(X, Y)
    for k in (1, 3, 7):
        labels, _ = clf.predict_topk(X, k=k)
        proba = clf.predict_proba(X, k=k)
        for row, best in enumerate(labels):
            found = proba.indices[proba.indptr[row] : proba.indptr[row + 1]]
            assert sorted(best[best >= 0]) == found.tolist()
    usual, four = clf.predict_proba(X), clf.predict_proba(X, k=4)
    assert (usual != four).nnz == 0
    assert (clf.set_params(top_k=7).predict_proba(X, k=4) != four).nnz == 0


def test_through_pipelines_and_names():
    texts = ["red bird", "blue bird", "red fish", "blue fish"] * 5
    model = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    names = LabelNamesClassifier(model).fit(texts, [text.split() for text in texts])
    assert names.predict_proba(texts, k=1).nnz == len(texts)
    assert names.estimator_.predict_proba(texts, k=3).nnz == 3 * len(texts)


def test_numbers_that_make_no_sense():
    clf = XRLinearClassifier().fit(X, Y)
    for k in (0, -1, 1.5):
        with pytest.raises((ValueError, TypeError), match="k must be"):
            clf.predict_proba(X, k=k)
    assert clf.predict_proba(X, k=1000).shape == Y.shape
    of_classes = XRLinearClassifier().fit(X, np.arange(200) % 3)
    with pytest.raises(ValueError, match="k must be None where y has one class"):
        of_classes.predict_proba(X, k=2)
