"""Names in, names out, as one object."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_xmr import (
    LabelNamesClassifier,
    XREnsembleClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    XTransformerClassifier,
    predict_topk,
    topk_predictor,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import LabelTreeDisplay, explain
from sklearn_xmr.metrics import get_topk_scorer, make_topk_scorers, precision_at_k

RANKERS = [
    XRLinearClassifier(random_state=0),
    XRNeighborsClassifier(),
    XREnsembleClassifier(n_estimators=2, random_state=0),
]


@pytest.fixture(scope="module")
def tate():
    data = load_tate_subjects(subset="train")
    texts, Y = data.data[:1200], data.target[:1200]
    names = np.array(data.target_names, dtype=object)
    rows = [names[c].tolist() for c in np.split(Y.indices, Y.indptr[1:-1])]
    return texts, rows


def text_classifier(ranker=RANKERS[0], **settings):
    return LabelNamesClassifier(
        make_pipeline(TfidfVectorizer(min_df=2), ranker), **settings
    )


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda r: type(r).__name__)
def test_equals_a_binarizer_and_a_classifier(ranker, tate):
    texts, rows = tate
    clf = text_classifier(ranker, min_count=2).fit(texts[:1000], rows[:1000])
    Y = clf.binarizer_.transform(
        [[n for n in row if n in set(clf.classes_)] for row in rows[:1000]]
    ).astype(np.float32)
    plain = clone(clf.estimator).fit(texts[:1000], Y)
    labels, scores = predict_topk(plain, texts[1000:], k=4)
    best, best_scores = clf.predict_topk(texts[1000:], k=4)
    np.testing.assert_array_equal(best_scores, scores)
    for mine, numbers in zip(best, labels, strict=True):
        assert mine.tolist() == [None if n < 0 else clf.classes_[n] for n in numbers]
    predicted = plain.predict(texts[1000:])
    assert clf.predict(texts[1000:]).tolist() == clf.binarizer_.inverse_transform(
        predicted
    )
    assert clf.predict_proba(texts[1000:]).shape == (200, len(clf.classes_))
    assert clf.n_labels_ == len(clf.classes_)


def test_forms_of_names(tate):
    texts, rows = tate
    joined = [" ; ".join(row) if row else np.nan for row in rows]
    expected = text_classifier().fit(texts, rows).predict_topk(texts[:50], 3)[0]
    for y, separator in (
        ([set(row) for row in rows], None),
        (pd.Series(rows, index=range(5, 1205)), None),
        (joined, ";"),
        (pd.Series(joined), ";"),
        (pd.DataFrame({"names": joined}), ";"),
        (np.array(joined, dtype=object), ";"),
    ):
        clf = text_classifier(separator=separator).fit(texts, y)
        np.testing.assert_array_equal(clf.predict_topk(texts[:50], 3)[0], expected)
        assert clf.score(texts, y) == clf.score(texts, rows if separator is None else y)


def test_score_counts_names_that_training_lacks(tate):
    texts, rows = tate
    clf = text_classifier().fit(texts[:1000], rows[:1000])
    truth = [[*row, "a new name"] for row in rows[1000:]]
    Y = clf.indicator(truth)
    assert Y.shape == (
        200,
        clf.n_labels_ + len({n for r in truth for n in r} - set(clf.classes_)),
    )
    topk = predict_topk(clf.estimator_, texts[1000:], 5)
    assert clf.score(texts[1000:], truth) == precision_at_k(Y, topk, 1)
    recall = get_topk_scorer("recall_at_5")
    assert recall(clf, texts[1000:], truth) < recall(clf, texts[1000:], rows[1000:])
    several = make_topk_scorers(["precision_at_1", "psprecision_at_1"])
    found = several(clf, texts[1000:], truth)
    assert found["precision_at_1"] == clf.score(texts[1000:], truth)
    assert 0 < found["psprecision_at_1"] < 1


def test_tuned_cross_validated_and_saved(tate):
    texts, rows = tate
    search = GridSearchCV(
        text_classifier(),
        {"estimator__xrlinearclassifier__C": [1e-6, 1.0]},
        cv=2,
        scoring=get_topk_scorer("precision_at_1"),
    ).fit(texts, rows)
    assert search.cv_results_["mean_test_score"].min() > 0.1
    assert (
        search.best_estimator_.estimator[-1].C
        == search.best_params_["estimator__xrlinearclassifier__C"]
    )
    assert cross_val_score(text_classifier(), texts, rows, cv=2).min() > 0.1
    assert len(cross_val_predict(text_classifier(), texts, rows, cv=2)) == 1200
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(
        again.predict_topk(texts[:9])[0],
        search.best_estimator_.predict_topk(texts[:9])[0],
    )
    names, scores = topk_predictor(search, k=3)(texts[0])
    best, best_scores = predict_topk(search, texts[:1], k=3)
    assert names.tolist() == best[0].tolist()
    np.testing.assert_allclose(scores, best_scores[0], rtol=1e-5)


def test_candidates_are_names(tate):
    texts, rows = tate
    clf = text_classifier().fit(texts, rows)
    some = sorted(clf.classes_)[:7]
    names, _ = clf.predict_topk(texts[:20], 3, candidates=some)
    assert set(names.ravel()) <= set(some)
    with pytest.raises(ValueError, match="'no such name'"):
        clf.predict_topk(texts[:20], 3, candidates=["no such name"])


def test_explanations_and_displays_have_names(tate):
    pytest.importorskip("matplotlib")
    texts, rows = tate
    clf = text_classifier().fit(texts, rows)
    best = clf.predict_topk(texts[:1], 1)[0][0, 0]
    told = str(explain(clf, texts[:1], best))
    assert best in told and "intercept" in told
    assert told == str(
        explain(clf.estimator_, texts[:1], best, label_names=clf.classes_)
    )
    assert LabelTreeDisplay.from_estimator(clf) is not None


def test_a_name_once_and_few_names():
    clf = LabelNamesClassifier(OneVsRestClassifier(LogisticRegression()))
    clf.fit(np.eye(4), [["a"], ["b"], ["a", "b"], []])
    names, scores = clf.predict_topk(np.eye(4), k=9)
    assert names.shape == scores.shape == (4, 2)
    with pytest.raises(ValueError, match="candidates must be None"):
        clf.predict_topk(np.eye(4), candidates=["a"])
    with pytest.raises(ValueError, match="at least two names"):
        clf.fit(np.eye(4), [["a"], [], ["a"], []])
    assert clf.classes_.tolist() == ["a", "b"] and hasattr(clf, "predict_proba")
    assert not hasattr(
        LabelNamesClassifier(OneVsRestClassifier(LinearSVC())), "predict_proba"
    )
    few = LabelNamesClassifier(XRNeighborsClassifier(n_neighbors=1))
    few.fit(np.eye(4), [["a"], ["b"], ["a", "b"], ["c"]])
    assert few.predict_topk(np.eye(4)[:1], k=3)[0][0, 2] is None
    function = topk_predictor(make_pipeline("passthrough", few), k=3)
    assert function(np.eye(4)[0])[0].tolist() == ["a"]


@pytest.mark.parametrize(
    "fit, error, told",
    [
        (lambda c, t, y: c.fit(t, [";".join(r) for r in y]), TypeError, "separator="),
        (lambda c, t, y: c.fit(t, y[:-1]), ValueError, "1200 and 1199"),
        (lambda c, t, y: c.fit(t, "names"), TypeError, "got str"),
        (
            lambda c, t, y: c.set_params(classes=["sea"]).fit(t, y),
            ValueError,
            "no column",
        ),
        (lambda c, t, y: c.fit(t, [[None]] * len(t)), ValueError, "missing value"),
        (
            lambda c, t, y: c.fit(t, pd.DataFrame({"a": y, "b": y})),
            ValueError,
            "2 columns",
        ),
        (lambda c, t, y: c.set_params(min_count=0).fit(t, y), ValueError, "min_count"),
        (
            lambda c, t, y: c.fit(t, y, sample_weight=[1] * len(t)),
            ValueError,
            "takes it",
        ),
    ],
)
def test_bad_input_changes_nothing(fit, error, told, tate):
    texts, rows = tate
    clf = text_classifier().fit(texts, rows)
    state = vars(clf)
    with pytest.raises(error, match=told):
        fit(clf, texts, rows)
    assert all(vars(clf)[name] is state[name] for name in ("estimator_", "binarizer_"))


def test_weights_reach_the_classifier():
    X, y = np.eye(6)[[0, 0, 1, 1, 2, 2]], [["a"], ["b"], ["a"], ["b"], ["a"], ["b"]]
    clf = LabelNamesClassifier(XRLinearClassifier(random_state=0))
    names, _ = clf.fit(X, y, sample_weight=[1, 9] * 3).predict_topk(X, 1)
    assert set(names[:, 0]) == {"b"}
    with sklearn.config_context(enable_metadata_routing=True):
        inner = XRLinearClassifier(random_state=0).set_fit_request(sample_weight=True)
        clf = LabelNamesClassifier(inner).fit(X, y, sample_weight=[9, 1] * 3)
        assert set(clf.predict_topk(X, 1)[0][:, 0]) == {"a"}
        assert "sample_weight" in str(clf.get_metadata_routing())


@pytest.mark.parametrize(
    "clf",
    [*RANKERS, XRStackingClassifier(), XTransformerClassifier(fine_tuning=None)],
    ids=lambda c: type(c).__name__,
)
def test_plain_classifiers_point_here(clf):
    X = ["a b", "b c"] if isinstance(clf, XTransformerClassifier) else np.eye(2)
    table = [["red", "a"]] * 2
    for y in (
        [["red"], []],
        [("red",), ("blue", "red")],
        np.array(table),
        pd.DataFrame(table),
    ):
        with pytest.raises(ValueError, match="LabelNamesClassifier"):
            clf.fit(X, y)


# --- names that come and go ---------------------------------------------------------


def of_texts(separator=None):
    """Texts that hold their names, in lists or in strings."""
    rng = np.random.RandomState(0)
    words = np.array([f"topic{i}" for i in range(12)])
    names = [sorted(rng.choice(words, 3, replace=False)) for _ in range(300)]
    texts = [" ".join([*row, f"noise{i % 7}"]) for i, row in enumerate(names)]
    return texts, [separator.join(row) for row in names] if separator else names


def without(y, gone, separator=None):
    if separator:
        rows = without([row.split(separator) for row in y], gone)
        return [separator.join(row) for row in rows]
    return [[name for name in row if name not in gone] for row in y]


@pytest.mark.parametrize("separator", [None, ";"])
def test_new_names_are_added_through_a_pipeline(separator):
    texts, y = of_texts(separator)
    gone = ("topic3", "topic11")
    pipeline = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    clf = LabelNamesClassifier(pipeline, separator=separator)
    clf.fit(texts, without(y, gone, separator))
    old, best = clf.classes_.tolist(), clf.predict_topk(texts, 3)[0]
    estimator, untouched = clf.estimator_, clf.estimator_[-1].n_labels_
    clf.add_labels(texts, y)
    assert clf.classes_.tolist() == [*old, "topic11", "topic3"]
    assert (
        estimator[-1].n_labels_ == untouched
    )  # who holds the old one is not surprised
    assert clf.score(texts, y) > 0.95
    found = clf.predict_topk(["topic3"], 1)[0]
    assert found[0, 0] == "topic3"
    np.testing.assert_array_equal(
        clf.remove_labels(gone).predict_topk(texts, 3)[0], best
    )
    assert clf.classes_.tolist() == old


def test_names_are_added_or_nothing_is():
    texts, y = of_texts()
    clf = LabelNamesClassifier(make_pipeline(TfidfVectorizer(), XRLinearClassifier()))
    clf.fit(texts, without(y, ("topic3",)))
    before = dict(vars(clf))
    with pytest.raises(ValueError, match="names that the model does not have"):
        clf.add_labels(texts, without(y, ("topic3",)))
    with pytest.raises(ValueError):
        clf.add_labels(texts[:-1], y)
    with pytest.raises(ValueError, match="members of classes_, got 'topic3'"):
        clf.remove_labels(["topic3"])
    with pytest.raises(TypeError, match="got the string 'topic1'"):
        clf.remove_labels("topic1")
    with pytest.raises(ValueError):
        clf.remove_labels(list(clf.classes_))
    assert vars(clf) == before
    assert clf.estimator_[-1].n_labels_ == 11


def test_only_classifiers_that_add_labels_add_names():
    clf = LabelNamesClassifier(XRNeighborsClassifier())
    assert not hasattr(clf, "add_labels") and not hasattr(clf, "remove_labels")
