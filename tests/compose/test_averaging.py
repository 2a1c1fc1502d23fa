"""Ensembles of trees against the average made by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    HybridFeatures,
    XREnsembleClassifier,
    XRLinearClassifier,
    make_topk_scorer,
)
from sklearn_xmr.metrics import ndcg_at_k, precision_at_k

BASE = XRLinearClassifier(HierarchicalLabelClusterer(max_leaf_size=6), beam_size=30)


@pytest.mark.parametrize("post_processor", ["l3_hinge", "log_l3_hinge", "noop"])
def test_scores_are_the_mean_over_all_trees(post_processor, small):
    """With a full beam each tree scores each label."""
    X, Y = small
    base = clone(BASE).set_params(post_processor=post_processor, top_k=60)
    clf = XREnsembleClassifier(base, 3, random_state=0).fit(X, Y)
    proba = [model.predict_proba(X).toarray() for model in clf.estimators_]
    expected = np.mean(proba, axis=0)
    labels, scores = clf.predict_topk(X, k=60)
    np.testing.assert_allclose(
        scores, np.take_along_axis(expected, labels, axis=1), rtol=1e-4, atol=1e-7
    )
    assert len({model.tree_.to_text() for model in clf.estimators_}) == 3


def test_better_than_its_trees(small):
    X, Y = small
    clf = XREnsembleClassifier(BASE, 5, random_state=0).fit(X[:400], Y[:400])
    topk = clf.predict_topk(X[400:], k=3)
    alone = [
        precision_at_k(Y[400:], model.predict_topk(X[400:], k=3), k=3)
        for model in clf.estimators_
    ]
    assert precision_at_k(Y[400:], topk, k=3) > np.mean(alone)


def test_same_seed_same_ensemble(small):
    X, Y = small
    clf = XREnsembleClassifier(random_state=3)
    one, two = clf.fit(X, Y).predict_topk(X), clone(clf).fit(X, Y).predict_topk(X)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_weights_and_relevance_reach_the_trees(small):
    X, Y = small
    weight = np.ones(X.shape[0])
    weight[::2] = 0
    clf = XREnsembleClassifier(random_state=0)
    got = clf.fit(X, Y, sample_weight=weight, relevance=2 * Y).predict_topk(X)
    kept = weight > 0
    expected = clf.fit(X[kept], Y[kept], relevance=2 * Y[kept]).predict_topk(X)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-5)


def test_nested_parameters_are_tuned(small):
    X, Y = small
    search = GridSearchCV(
        XREnsembleClassifier(XRLinearClassifier(), 2, random_state=0),
        {"estimator__C": [1e-4, 1.0]},
        scoring=make_topk_scorer(ndcg_at_k, k=5),
        cv=2,
    ).fit(X, Y)
    assert search.best_params_ == {"estimator__C": 1.0}


def test_given_pairs_have_the_mean_probability(small):
    X, Y = small
    clf = XREnsembleClassifier(BASE, 2, random_state=0).fit(X, Y)
    clf._block_rows = 250
    got = clf.score_pairs(X, [3, 5, 8])
    expected = np.mean(
        [model.score_pairs(X, [3, 5, 8]).data for model in clf.estimators_], 0
    )
    np.testing.assert_array_equal(got.data, expected)
    _, scores = clf.predict_topk(X, k=2, candidates=[3, 5, 8])
    best = -np.sort(-got.data.reshape(600, 3), axis=1)[:, :2]
    np.testing.assert_array_equal(scores, best)
    weight = np.linspace(0.1, 3, 60)
    weighted = clf.set_params(label_weight=weight)
    scores = weighted.predict_topk(X, k=1, candidates=[3, 5, 8])[1]
    best = (got.data.reshape(600, 3) * weight[[3, 5, 8]]).max(axis=1)
    np.testing.assert_allclose(scores.ravel(), best, rtol=1e-6)


def test_features_are_checked_once(small):
    """Names are the ensemble's: its trees see none, and no one warns of them."""
    X, Y = small
    table = pd.DataFrame(X.toarray(), columns=[f"word{i}" for i in range(400)])
    clf = XREnsembleClassifier(BASE, 2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = clf.fit(table, Y).predict_topk(table)[0]
    assert list(clf.feature_names_in_[:2]) == ["word0", "word1"]
    np.testing.assert_array_equal(labels, clone(clf).fit(X, Y).predict_topk(X)[0])
    with pytest.raises(ValueError, match="feature names should match"):
        clf.fit(table, Y).predict_topk(table[table.columns[::-1]])


def test_sparse_and_dense_features_together(small, global_random_seed):
    X, Y = small
    rng = np.random.RandomState(global_random_seed)
    X = HybridFeatures(X, rng.randn(600, 5))
    clf = XREnsembleClassifier(BASE, 2, random_state=0).fit(X[:500], Y[:500])
    assert clf.n_features_in_ == 405 and clf.n_dense_features_ == 5
    assert clf.score(X[500:], Y[500:]) > 0.5
    with pytest.raises(TypeError, match="HybridFeatures"):
        clf.predict(X.sparse)


def test_known_negatives_reach_the_trees(small):
    X, Y = small
    wrong = (Y.toarray() == 0) & (np.arange(60) < 3)
    clf = XREnsembleClassifier(BASE, 2, random_state=0)
    got = clf.fit(X, Y, negatives=wrong).estimators_[0].predict_topk(X)
    (seed, _) = (model.random_state for model in clf.estimators_)
    alone = clone(BASE).set_params(random_state=seed).fit(X, Y, negatives=wrong)
    np.testing.assert_array_equal(got[1], alone.predict_topk(X)[1])


def test_a_line_for_each_tree(small, capsys):
    clf = XREnsembleClassifier(BASE, 2, random_state=0)
    clf.fit(*small)
    assert capsys.readouterr().out == ""
    clf.set_params(verbose=1).fit(*small)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:24] for line in lines] == [
        f"[XREnsemble] tree {i} of 2" for i in (1, 2)
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("n_candidates", 0), ("top_k", -1), ("label_weight", "rare")]
)
def test_parameters_are_checked_where_they_act(name, value, small):
    clf = XREnsembleClassifier(BASE, 2, random_state=0).fit(*small)
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        clf.set_params(**{name: value}).predict_topk(small[0])


def test_a_fit_that_fails_changes_nothing(small):
    X, Y = small
    clf = XREnsembleClassifier(BASE, 2, random_state=0).fit(X, Y)
    before = clf.predict_topk(X)
    with pytest.raises(ValueError, match="tree of 60 labels"):
        tree = clf.estimators_[0].tree_
        clf.set_params(estimator__clusterer=tree).fit(X[:, :9], Y[:, :7])
    after = clf.predict_topk(X)
    np.testing.assert_array_equal(before[1], after[1])
    assert clf.n_features_in_ == 400 and clf.n_labels_ == 60


def test_metadata_are_routed(small):
    X, Y = small
    weight = np.arange(600) % 3
    clf = XREnsembleClassifier(clone(BASE), 2, random_state=0)
    by_hand = clf.fit(X, Y, sample_weight=weight).predict_topk(X)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            clone(clf).fit(X, Y, sample_weight=weight)
        clf = clone(clf)
        clf.estimator.set_fit_request(sample_weight=True)
        routed = clf.fit(X, Y, sample_weight=weight).predict_topk(X)
        np.testing.assert_array_equal(routed[1], by_hand[1])
        clf.estimator.set_fit_request(sample_weight=False)
        ignored = clf.fit(X, Y, sample_weight=np.arange(600) % 3 + 1).predict_topk(X)
        plain = clf.fit(X, Y).predict_topk(X)
        np.testing.assert_array_equal(ignored[1], plain[1])
        XREnsembleClassifier(n_estimators=1).fit(X, Y, sample_weight=weight)


def test_weights_of_labels_belong_to_the_ensemble(small):
    tree = XRLinearClassifier(label_weight="inverse_propensity")
    with pytest.raises(ValueError, match="label_weight of the estimator must be left"):
        XREnsembleClassifier(tree).fit(*small)
