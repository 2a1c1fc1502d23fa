"""Own stages: against XR-Linear where they are its own, against loops where not."""

import numpy as np
import pytest
from linear_oracle import EXACT
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelTree,
    XMRClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    make_topk_scorer,
)
from sklearn_xmr.metrics import precision_at_k

GROUPS = np.arange(60) % 7


def test_linear_stages_equal_xr_linear(small):
    """Groups, flat matcher and ranker are the levels of a tree of two levels."""
    X, Y = small
    tree = LabelTree.from_labels(GROUPS)
    whole = XRLinearClassifier(tree, beam_size=7, **EXACT).fit(X, Y)
    staged = XMRClassifier(
        GROUPS,
        XRLinearClassifier(LabelTree.flat(7), **EXACT),
        XRLinearClassifier(**EXACT),
        n_groups=7,
        negative_sampling="tfn",
    ).fit(X, Y)
    labels, scores = whole.predict_topk(X, k=10)
    got = staged.predict_topk(X, k=10)
    np.testing.assert_allclose(got[1], scores, atol=1e-3)
    assert (got[0] == labels).mean() > 0.98
    np.testing.assert_allclose(
        staged.transform(X).toarray(), whole.transform(X).toarray(), atol=1e-3
    )


@pytest.mark.parametrize("sampling", ["tfn", "tfn+man"])
def test_rankers_of_groups_equal_loops(sampling, small):
    """Groups 0 and 1 share labels 0 to 9: their better copy counts."""
    X, Y = small
    membership = np.eye(7)[GROUPS]
    membership[:10, :2] = 1
    base = OneVsRestClassifier(LogisticRegression(C=3))
    clf = XMRClassifier(
        sparse.csr_matrix(membership),
        base,
        base,
        n_groups=2,
        negative_sampling=sampling,
    ).fit(X, Y)
    teacher = (Y @ membership) > 0
    matcher = clone(base).fit(X, teacher.astype(int))
    match = matcher.predict_proba(X)
    reached = np.argsort(-match, axis=1, kind="stable")[:, :2]
    expected = np.zeros((X.shape[0], 60))
    for group in range(7):
        here = (reached == group).any(axis=1)
        rows = teacher[:, group] | (here if sampling == "tfn+man" else False)
        for label in np.flatnonzero(membership[:, group]):
            y = Y[rows][:, [label]].toarray().ravel()
            model = LogisticRegression(C=3).fit(X[rows], y)
            score = match[:, group] * model.predict_proba(X)[:, 1] * here
            expected[:, label] = np.maximum(expected[:, label], score)
    labels, scores = clf.predict_topk(X, k=4)
    np.testing.assert_allclose(scores, -np.sort(-expected)[:, :4], atol=1e-6)
    found = np.take_along_axis(expected, labels, axis=1)
    np.testing.assert_allclose(scores, found, atol=1e-6)


@pytest.mark.parametrize(
    "indexer",
    [
        None,
        HierarchicalLabelClusterer(max_leaf_size=10),
        KMeans(6),
        make_pipeline(TruncatedSVD(8), KMeans(6)),
        DBSCAN(eps=0.1),
        LabelTree.from_labels(GROUPS),
        GROUPS.tolist(),
    ],
)
@pytest.mark.parametrize(
    "matcher",
    [None, XRNeighborsClassifier(10), KNeighborsClassifier(10), MLPClassifier((20,))],
)
def test_any_indexer_and_any_matcher(indexer, matcher, small):
    X, Y = small
    clf = XMRClassifier(indexer, matcher, n_groups=4, random_state=0)
    clf.fit(X[:500], Y[:500])
    assert clf.score(X[500:], Y[500:]) > 0.6
    again = clone(clf).fit(X[:500], Y[:500])
    np.testing.assert_array_equal(
        clf.predict_topk(X, k=3)[1], again.predict_topk(X, k=3)[1]
    )
    assert clf.membership_.sum() == 60
    assert clf.transform(X).shape == (600, clf.membership_.shape[1])


@pytest.mark.parametrize(
    "ranker", [KNeighborsClassifier(5), DecisionTreeClassifier(), LogisticRegression()]
)
def test_any_ranker(ranker, small):
    X, Y = small
    clf = XMRClassifier(GROUPS, None, ranker, n_groups=3, random_state=0)
    clf.fit(X[:500], Y[:500])
    assert clf.score(X[500:], Y[500:]) > 0.5


def test_hard_negatives_help(small):
    """The ranker has seen what the matcher gets wrong."""
    X, Y = small
    scores = {}
    for sampling in ("tfn", "tfn+man"):
        clf = XMRClassifier(
            GROUPS, KNeighborsClassifier(3), n_groups=3, negative_sampling=sampling
        ).fit(X[:400], Y[:400])
        scores[sampling] = precision_at_k(Y[400:], clf.predict_topk(X[400:], k=3), k=3)
    assert scores["tfn+man"] > scores["tfn"]


def test_nested_parameters_are_tuned(small):
    X, Y = small
    clf = XMRClassifier(GROUPS, XRLinearClassifier(), random_state=0)
    search = GridSearchCV(
        clf,
        {"matcher__C": [1e-4, 1.0], "n_groups": [2]},
        scoring=make_topk_scorer(precision_at_k, k=1),
        cv=2,
    ).fit(X, Y)
    assert search.best_params_["matcher__C"] == 1.0


def test_labels_without_instances_and_rows_without_labels():
    X = sparse.csr_matrix(np.eye(6, dtype=np.float32))
    Y = sparse.csr_matrix(np.diag([1, 1, 1, 1, 0, 0]))
    clf = XMRClassifier([0, 0, 1, 1, 2, 2], OneVsRestClassifier(LogisticRegression()))
    with pytest.warns(UserWarning):  # scikit-learn's: a group without instances
        clf.fit(X, Y)
    labels, scores = clf.predict_topk(X, k=6)
    assert np.isfinite(scores).all() and labels.shape == (6, 6)


@pytest.mark.parametrize(
    ("indexer", "message"),
    [
        ([0, 1], "a group number for each of the 60 labels"),
        (np.zeros(60), "a group number for each of the 60 labels"),
        (sparse.eye(5), "a row for each of the 60 labels"),
        (sparse.csr_matrix((60, 3)), "label 0 is in none"),
    ],
)
def test_bad_indexers(indexer, message, small):
    with pytest.raises(ValueError, match=message):
        XMRClassifier(indexer).fit(*small)
