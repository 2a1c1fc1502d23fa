"""Labels ranked by their names: against scikit-learn's cosines, and inside a stack."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from sklearn_xmr import (
    HybridFeatures,
    XRLabelTextClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    make_topk_scorer,
    predict_topk,
)
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.utils._rankings import csr_from_topk

NAMES = ["Whales", "Birds of prey", "Railway stations", "", "Railways"]
TEXTS = ["the railway museum", "a whale and a bird", "stations", "xyz"]
Y = np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]])


@pytest.mark.parametrize(
    "vectorizer", [None, CountVectorizer(), TfidfVectorizer(analyzer="char")]
)
def test_scores_are_cosines(vectorizer):
    clf = XRLabelTextClassifier(NAMES, vectorizer).fit(TEXTS, Y)
    labels, scores = clf.predict_topk(TEXTS, k=5)
    vectors = clf.vectorizer_.transform(TEXTS)
    cosines = cosine_similarity(vectors, clf.vectorizer_.transform(NAMES))
    for row in range(4):
        order = np.argsort(-cosines[row], kind="stable")
        order = order[cosines[row, order] > 0]
        np.testing.assert_array_equal(labels[row, : len(order)], order)
        np.testing.assert_allclose(scores[row, : len(order)], cosines[row, order], 1e-5)
        assert (labels[row, len(order) :] == -1).all()


def test_given_pairs_have_their_cosines():
    clf = XRLabelTextClassifier(NAMES).fit(TEXTS, Y)
    scores = clf.score_pairs(TEXTS, np.arange(5)).toarray()
    vectors = clf.vectorizer_.transform(TEXTS)
    cosines = cosine_similarity(vectors, clf.vectorizer_.transform(NAMES))
    np.testing.assert_allclose(scores, cosines, atol=1e-6)
    labels, _ = clf.predict_topk(TEXTS, k=1, candidates=[0, 2])
    assert labels.ravel().tolist() == [2, 0, 2, 0]


def test_a_fit_that_fails_changes_nothing():
    clf = XRLabelTextClassifier(NAMES).fit(TEXTS, Y)
    before = clf.predict_topk(TEXTS)[1]
    with pytest.raises(ValueError, match="a text for each of the 2 labels"):
        clf.fit(TEXTS, Y[:, 3:])
    np.testing.assert_array_equal(clf.predict_topk(TEXTS)[1], before)


def test_texts_without_a_name_get_the_most_frequent_class():
    clf = XRLabelTextClassifier(["birds", "fish"]).fit(list("abc"), ["b", "f", "f"])
    assert clf.predict(["nothing alike", "a bird"]).tolist() == ["f", "b"]


def test_forms_of_targets_and_texts():
    for texts in (TEXTS, np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS)):
        clf = XRLabelTextClassifier(NAMES).fit(texts, sparse.csr_matrix(Y))
        assert clf.predict_topk(texts, k=1)[0].ravel().tolist() == [4, 0, 2, -1]
        assert clf.predict_proba(texts).shape == (4, 5)
    names = ["birds", "fish"]
    clf = XRLabelTextClassifier(names).fit(["a", "b", "c"], ["bird", "fish", "fish"])
    assert clf.predict(["a fish", "some birds"]).tolist() == ["fish", "bird"]
    assert clf.predict_proba(["nothing alike"]).sum() == pytest.approx(1)


def test_errors_teach():
    with pytest.raises(ValueError, match="a text for each of the 5 labels"):
        XRLabelTextClassifier(NAMES[:3]).fit(TEXTS, Y)
    with pytest.raises(ValueError, match="inconsistent"):
        XRLabelTextClassifier(NAMES).fit(TEXTS[:2], Y)
    with pytest.raises(TypeError, match="put it into a list"):
        XRLabelTextClassifier(NAMES).fit(TEXTS, Y).predict("one text")
    with pytest.raises(ValueError, match="vectorizer before XRStackingClassifier"):
        XRStackingClassifier().fit(TEXTS, Y)


# --- a stack of pipelines ------------------------------------------------------------


@pytest.fixture(scope="module")
def named():
    """Texts that mention half of their labels by name; 50 of 250 labels come late.

    Instances of labels that come late are test instances; every tenth of the others
    as well. In the training part, too, some labels are rare.
    """
    rng = np.random.RandomState(0)
    syllables = [a + b for a in "bdfglmnprst" for b in "aeiou"]
    names = ["".join(rng.choice(syllables, 4)) for _ in range(250)]
    share = np.r_[np.full(150, 0.01), np.full(50, 0.001), np.full(50, 0.001)]
    targets = rng.rand(4000, 250) < share
    said = targets & (rng.rand(4000, 250) < 0.5)
    noise = [
        " ".join("".join(rng.choice(syllables, 3)) for _ in range(4)) for _ in said
    ]
    texts = [
        " ".join([names[i] + "s" for i in np.flatnonzero(row)] + [other])
        for row, other in zip(said, noise, strict=True)
    ]
    test = targets[:, 200:].any(axis=1) | (np.arange(4000) % 10 == 0)
    return np.array(texts), sparse.csr_matrix(targets.astype(np.float32)), names, test


def words(model):
    return make_pipeline(HashingVectorizer(), model)


def test_names_find_labels_without_instances(named):
    texts, targets, names, test = named
    seen = [
        ("trees", words(XRLinearClassifier())),
        ("neighbors", words(XRNeighborsClassifier())),
    ]
    both = [*seen, ("names", XRLabelTextClassifier(names))]
    late, found, precision = targets[test][:, 200:].toarray() > 0, {}, {}
    assert late.sum() > 100 and targets[~test][:, 200:].nnz == 0
    for key, models in (("seen", seen), ("both", both)):
        clf = XRStackingClassifier(models, random_state=0, validation_size=0.3)
        topk = clf.fit(texts[~test], targets[~test]).predict_topk(texts[test], k=5)
        ranked = csr_from_topk(*topk, 250)[:, 200:].toarray() > 0
        found[key] = ranked[late].mean()
        precision[key] = precision_at_k(targets[test], topk, k=1)
    assert found["seen"] < 0.1
    assert found["both"] > 0.4  # half of them are said
    assert precision["both"] > precision["seen"] + 0.05


def test_pipelines_equal_features_made_before(small_texts):
    texts, targets = small_texts
    inside = XRStackingClassifier(
        [("a", words(XRLinearClassifier())), ("b", words(XRNeighborsClassifier()))],
        LogisticRegression(),
        validation_size=0.5,
        random_state=0,
    )
    got = predict_topk(inside.fit(texts, targets), texts, k=3)
    models = [("a", XRLinearClassifier()), ("b", XRNeighborsClassifier())]
    outside = words(clone(inside).set_params(estimators=models))
    want = predict_topk(outside.fit(texts, targets), texts, k=3)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


@pytest.fixture(scope="module")
def small_texts():
    rng = np.random.RandomState(0)
    targets = sparse.csr_matrix((rng.rand(300, 12) < 0.2).astype(np.float32))
    words = [[f"word{label}" for label in row.indices] for row in targets]
    return [" ".join(["any", *row]) for row in words], targets


def test_tables_searches_and_parameters_of_parameters(small_texts):
    texts, targets = small_texts
    table = pd.DataFrame({"text": texts, "year": np.arange(300) % 7})
    columns = make_column_transformer(
        (TfidfVectorizer(), "text"), ("passthrough", ["year"])
    )
    model = make_pipeline(columns, XRLinearClassifier())
    stack = XRStackingClassifier(
        [("linear", model)], LogisticRegression(), validation_size=0.3, random_state=0
    )
    search = GridSearchCV(
        stack,
        {"linear__xrlinearclassifier__C": [1e-6, 1.0]},
        scoring=make_topk_scorer(precision_at_k, k=1),
        cv=2,
    ).fit(table, targets)
    assert search.best_params_ == {"linear__xrlinearclassifier__C": 1.0}
    assert search.score(table, targets) > 0.8


def test_hybrid_features_go_to_the_models(small, global_random_seed):
    X, targets = small
    dense = np.random.RandomState(global_random_seed).randn(600, 5)
    X = HybridFeatures(X, dense)
    models = [("a", XRLinearClassifier()), ("b", XRLinearClassifier(C=0.1))]
    clf = XRStackingClassifier(models, validation_size=0.3, random_state=0)
    assert clf.fit(X[:400], targets[:400]).score(X[400:], targets[400:]) > 0.4


@pytest.mark.parametrize(
    "name",
    [
        "check_estimator_cloneable",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_mixin_order",
        "check_estimators_unfitted",
        "check_param_validation",
    ],
)
def test_sklearn_checks_that_apply_to_texts(name):
    check = getattr(estimator_checks, name)
    check("XRLabelTextClassifier", XRLabelTextClassifier(["a", "b"]))
