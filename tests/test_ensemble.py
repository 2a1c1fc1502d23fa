"""Ensembles of trees against the average made by hand."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_xmr import (
    HierarchicalLabelClusterer,
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
