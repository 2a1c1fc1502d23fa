"""The pipeline from texts: its features, its names, and what it brings."""

import numpy as np
import pytest

from sklearn_xmr import (
    LabelNamesClassifier,
    XRNeighborsClassifier,
    make_text_classifier,
    predict_topk,
    topk_predictor,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer


@pytest.fixture(scope="module")
def tate():
    data = load_tate_subjects(subset="train")
    return data.data[:4000], data.target[:4000]


@pytest.mark.parametrize("texts", ["short", "long"])
def test_one_text_as_many(tate, texts):
    X, Y = tate
    model = make_text_classifier(texts).fit(X[:1500], Y[:1500])
    best = topk_predictor(model, k=5)
    labels, scores = predict_topk(model, X[:60], 5)
    for text, row, values in zip(X[:60], labels, scores, strict=True):
        found, theirs = best(text)
        np.testing.assert_array_equal(found, row[row >= 0])
        np.testing.assert_allclose(theirs, values[row >= 0], rtol=1e-5)


def test_features_are_words_and_pairs_that_weigh_less(tate):
    X, Y = tate
    model = make_text_classifier().fit(X, Y)
    features = model["features"].transform(X[:50])
    words = TfidfVectorizer(min_df=2, sublinear_tf=True).fit(X)
    n_words = len(words.get_feature_names_out())
    np.testing.assert_allclose(
        features[:, :n_words].toarray(), words.transform(X[:50]).toarray(), rtol=1e-5
    )
    names = model["features"].get_feature_names_out()[n_words:]
    assert all(name.startswith("pairs__") and " " in name for name in names)
    lengths = np.sqrt(features[:, n_words:].power(2).sum(axis=1))
    np.testing.assert_allclose(lengths[lengths > 0], 0.4, rtol=1e-5)


def test_beginnings_of_words():
    texts = ["Bibliotheken und Bibliothekswesen", "Wesen der Bibliothek"]
    model = make_text_classifier("long", min_df=1, beside_min_df=1)
    model.fit(texts, [[1, 0], [0, 1]])
    names = model["features"].get_feature_names_out().tolist()
    assert names[-3:] == [
        "beginnings5__bibli",
        "beginnings5__wesen",
        "beginnings8__biblioth",
    ]


def test_other_classifiers_names_and_errors(tate):
    X, Y = tate
    clf = XRNeighborsClassifier()
    model = make_text_classifier(classifier=clf).fit(X[:500], Y[:500])
    assert model["classifier"] is clf and model.score(X[:500], Y[:500]) > 0.5
    names = [["sea", "ship"], ["sea"], ["town"]] * 5
    texts = ["a ship at sea", "waves", "smoke over the town"] * 5
    named = LabelNamesClassifier(make_text_classifier(beside_min_df=2)).fit(
        texts, names
    )
    assert named.predict(["smoke"])[0] == ["town"]
    with pytest.raises(ValueError, match=r"\['long', 'short'\], got 'medium'"):
        make_text_classifier("medium")
