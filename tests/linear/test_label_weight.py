"""Label weights at prediction: the weighted search against weighing every label."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XREnsembleClassifier,
    XRLinearClassifier,
    XRStackingClassifier,
    make_topk_scorer,
)
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import (
    propensity_scores,
    psprecision_at_k,
)

TREE = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=4, random_state=0)


@pytest.fixture(scope="module")
def fitted(small):
    return XRLinearClassifier(TREE, random_state=0).fit(*small)


@pytest.fixture
def weight(global_random_seed):
    return np.exp(2 * np.random.RandomState(global_random_seed).randn(60))


def by_hand(clf, X, weight, k):
    """Every label scored without weights, then weighed and ranked."""
    clf.set_params(label_weight=None)
    scores = clf.score_pairs(X, np.arange(60)).toarray()
    scores = np.log(np.maximum(scores, 1e-37)) + np.log(weight)
    labels = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return labels, np.exp(np.take_along_axis(scores, labels, axis=1))


@pytest.mark.parametrize("post_processor", ["l3_hinge", "log_l2_hinge", "sigmoid"])
@pytest.mark.parametrize("way", ["exact", "full beam", "candidates", "predictor"])
def test_ranking_is_exact(way, post_processor, fitted, weight, small):
    X = small[0][:100]
    clf = fitted.set_params(post_processor=post_processor.removeprefix("log_"))
    labels, scores = by_hand(clf, X, weight, 5)
    clf.set_params(label_weight=weight, post_processor=post_processor)
    if way == "predictor":
        clf.set_params(beam_size=None)
        best = clf.topk_predictor(k=5)
        got = [np.array(part) for part in zip(*map(best, X), strict=True)]
    else:
        clf.set_params(beam_size=None if way == "exact" else 60)
        candidates = np.arange(60) if way == "candidates" else None
        got = clf.predict_topk(X, k=5, candidates=candidates)
    values = np.exp(got[1]) if post_processor.startswith("log_") else got[1]
    np.testing.assert_allclose(values, scores, rtol=1e-4, atol=1e-30)
    assert (got[0] == labels).mean() > 0.99  # scores that underflow tie
    clf.set_params(label_weight=None, beam_size=10)


def test_exact_search_still_opens_few_nodes(fitted, weight, small):
    clf = fitted.set_params(
        label_weight=weight, beam_size=None, post_processor="l3_hinge", path_weight=1.0
    )
    _, _, n_visited = clf.predict_topk(small[0], k=1, return_n_visited=True)
    n_inner = sum(len(offsets) - 1 for offsets in clf.tree_.offsets)
    assert n_visited.mean() < 0.7 * n_inner
    clf.set_params(label_weight=None, beam_size=10, path_weight="auto")


def test_equal_weights_change_nothing_but_the_scale(fitted, small):
    labels, scores = fitted.predict_topk(small[0])
    fitted.set_params(label_weight=np.full(60, 4.0))
    got = fitted.predict_topk(small[0])
    np.testing.assert_array_equal(got[0], labels)
    np.testing.assert_allclose(got[1], 4 * scores, rtol=1e-5)
    fitted.set_params(label_weight=None)


def test_inverse_propensities_raise_propensity_scored_precision():
    texts, Y = load_tate_subjects(return_X_y=True)
    X, Y = TfidfVectorizer().fit_transform(texts[:5000]), Y[:5000]
    propensities = propensity_scores(Y[:4000])
    clf = XRLinearClassifier(random_state=0).fit(X[:4000], Y[:4000])
    np.testing.assert_allclose(clf.propensities_, propensities, rtol=1e-6)
    plain = clf.predict_topk(X[4000:], k=5)
    clf.set_params(label_weight="inverse_propensity")
    weighted = clf.predict_topk(X[4000:], k=5)
    clf.set_params(label_weight=1 / propensities)
    np.testing.assert_array_equal(clf.predict_topk(X[4000:], k=5)[0], weighted[0])
    before, after = (
        psprecision_at_k(Y[4000:], topk, k=5, propensities=propensities)
        for topk in (plain, weighted)
    )
    assert after > before


def test_probabilities_and_pairs_know_no_weights(fitted, weight, small):
    X = small[0]
    proba, pairs = fitted.predict_proba(X), fitted.score_pairs(X, [3, 5])
    fitted.set_params(label_weight=weight)
    assert (fitted.predict_proba(X) != proba).nnz == 0
    assert (fitted.score_pairs(X, [3, 5]) != pairs).nnz == 0
    fitted.set_params(label_weight=None)


def test_weights_can_be_chosen_by_search_and_survive_pickling(small):
    X, Y = small
    scorer = make_topk_scorer(psprecision_at_k, k=3, propensities=propensity_scores(Y))
    search = GridSearchCV(
        XRLinearClassifier(TREE, path_weight=1.0, random_state=0),
        {"label_weight": [None, "inverse_propensity"]},
        scoring=scorer,
        cv=2,
    ).fit(X, Y)
    assert search.best_params_ == {"label_weight": "inverse_propensity"}
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    labels, _ = search.best_estimator_.predict_topk(X)
    np.testing.assert_array_equal(copy.predict_topk(X)[0], labels)


@pytest.mark.parametrize(
    "clf",
    [
        XREnsembleClassifier(
            XRLinearClassifier(TREE, beam_size=60), 2, n_candidates=60
        ),
        XRStackingClassifier(n_candidates=60),
    ],
)
def test_ensembles_and_stacks_weigh_their_candidates(clf, weight, small):
    X, Y = small
    clf = clone(clf).set_params(random_state=0).fit(X, Y)
    labels, scores = clf.predict_topk(X, k=60)
    weighted = np.where(labels >= 0, scores * weight[labels], -1)
    clf.set_params(label_weight=weight)
    got = clf.predict_topk(X, k=3)
    np.testing.assert_allclose(got[1], -np.sort(-weighted)[:, :3], rtol=1e-4, atol=1e-9)
    with pytest.raises(ValueError, match="one number for each"):
        clf.set_params(label_weight=[1.0]).predict_topk(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"label_weight": np.ones(3)}, "one number for each of the 60 labels"),
        ({"label_weight": np.zeros(60)}, "positive and finite"),
        ({"label_weight": np.full(60, np.inf)}, "positive and finite"),
        ({"label_weight": np.ones(60), "post_processor": "noop"}, "must not be"),
    ],
)
def test_bad_weights(parameters, message, small):
    clf = XRLinearClassifier(random_state=0).fit(*small).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        clf.predict_topk(small[0])
    with pytest.raises(ValueError, match=message):
        clf.predict_topk(small[0], candidates=[1, 2])
