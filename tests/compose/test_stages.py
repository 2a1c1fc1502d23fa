"""Own stages: against XR-Linear where they are its own, against loops where not."""

import numpy as np
import pytest
from linear_oracle import EXACT
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import UnsetMetadataPassedError
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
    RecursiveLabelClusterer,
    XMRClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    make_topk_scorer,
)
from sklearn_xmr.metrics import precision_at_k

GROUPS = np.arange(60) % 7


@pytest.mark.parametrize("sampling", ["tfn", "man", "tfn+man"])
def test_linear_stages_equal_xr_linear(sampling, small):
    """Groups, flat matcher and ranker are the levels of a tree of two levels."""
    X, Y = small
    tree = LabelTree.from_labels(GROUPS)
    beam_size = 7 if sampling == "tfn" else 2
    whole = XRLinearClassifier(
        tree,
        beam_size=beam_size,
        negative_sampling=sampling,
        path_weight=1.0,
        **EXACT,
    ).fit(X, Y)
    staged = XMRClassifier(
        GROUPS,
        XRLinearClassifier(LabelTree.flat(7), **EXACT),
        XRLinearClassifier(**EXACT),
        beam_size=beam_size,
        negative_sampling=sampling,
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
        beam_size=2,
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
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # 200 epochs are enough here
def test_any_indexer_and_any_matcher(indexer, matcher, small):
    X, Y = small
    clf = XMRClassifier(indexer, matcher, beam_size=4, random_state=0)
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
    clf = XMRClassifier(GROUPS, None, ranker, beam_size=3, random_state=0)
    clf.fit(X[:500], Y[:500])
    assert clf.score(X[500:], Y[500:]) > 0.5


def test_hard_negatives_help(small):
    """The ranker has seen what the matcher gets wrong."""
    X, Y = small
    scores = {}
    for sampling in ("tfn", "tfn+man"):
        clf = XMRClassifier(
            GROUPS, KNeighborsClassifier(3), beam_size=3, negative_sampling=sampling
        ).fit(X[:400], Y[:400])
        scores[sampling] = precision_at_k(Y[400:], clf.predict_topk(X[400:], k=3), k=3)
    assert scores["tfn+man"] > scores["tfn"]


def test_nested_parameters_are_tuned(small):
    X, Y = small
    clf = XMRClassifier(GROUPS, XRLinearClassifier(), random_state=0)
    search = GridSearchCV(
        clf,
        {"matcher__C": [1e-4, 1.0], "beam_size": [2]},
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


# --- groups by any protocol, sampling, beam ------------------------------------------


def test_label_clusterers_group_labels_by_their_own_representation(small):
    """Label features count, not PIFA, for every clusterer that knows of them."""
    X, Y = small
    features = np.eye(6)[np.arange(60) % 6]
    tree = RecursiveLabelClusterer(
        KMeans(6, n_init=3, random_state=0),
        representation="lf",
        label_features=features,
        max_depth=1,
        max_leaf_size=10,
    )
    for indexer in (tree, make_pipeline(TruncatedSVD(5, random_state=0), tree)):
        clf = XMRClassifier(indexer, random_state=0).fit(X, Y)
        together = clf.membership_ @ clf.membership_.T
        np.testing.assert_array_equal(together.toarray(), features @ features.T)
    pifa = clone(tree).set_params(representation="pifa")
    other = XMRClassifier(pifa, random_state=0).fit(X, Y).membership_
    assert (other @ other.T != together).nnz > 0


class ByFrequency(ClusterMixin, BaseEstimator):
    """Sets a tree: labels grouped by their number of instances."""

    def fit(self, X, Y=None):
        counts = np.asarray(X.sum(axis=1) if Y is None else Y.sum(axis=0)).ravel()
        self.labels_ = np.argsort(np.argsort(counts, kind="stable")) // 20
        self.tree_ = LabelTree.from_labels(self.labels_)
        return self


class OnlyFit(BaseEstimator):
    """Sets a tree, or not."""

    def __init__(self, tree=None):
        self.tree = tree

    def fit(self, X, Y):
        self.tree_ = self.tree
        return self


def test_any_estimator_that_sets_a_tree_is_a_label_clusterer(small):
    X, Y = small
    clf = XMRClassifier(ByFrequency(), random_state=0).fit(X, Y)
    counts = np.asarray(Y.sum(axis=0)).ravel()
    groups = np.asarray(clf.membership_.argmax(axis=1)).ravel()
    ranked = groups[np.argsort(counts, kind="stable")].reshape(3, 20)
    assert (ranked == ranked[:, :1]).all()
    clf = XMRClassifier(OnlyFit(LabelTree.from_labels(GROUPS)), random_state=0)
    assert clf.fit(X, Y).membership_.shape == (60, 7)
    with pytest.raises(TypeError, match="OnlyFit set None"):
        XMRClassifier(OnlyFit()).fit(X, Y)


def test_man_is_for_linear_rankers(small):
    clf = XMRClassifier(GROUPS, ranker=LogisticRegression(), negative_sampling="man")
    with pytest.raises(ValueError, match="negative_sampling must be 'tfn' or 'tfn"):
        clf.fit(*small)


def test_no_beam_is_all_groups(small):
    X, Y = small
    clf = XMRClassifier(GROUPS, KNeighborsClassifier(5), beam_size=None, random_state=0)
    every = clf.fit(X, Y).transform(X)
    assert clf.ranker_.model_.n_labels == 60
    seven = clone(clf).set_params(beam_size=7).fit(X, Y)
    assert (every != seven.transform(X)).nnz == 0
    for beam_size in (7, 2**63):
        clf.set_params(beam_size=beam_size)
        np.testing.assert_array_equal(clf.predict_topk(X)[1], seven.predict_topk(X)[1])
    assert np.diff(clf.set_params(beam_size=2).transform(X).indptr).max() == 2


@pytest.mark.parametrize(
    ("name", "value"), [("beam_size", 0), ("top_k", -1), ("decision_threshold", 2)]
)
def test_parameters_are_checked_where_they_act(name, value, small):
    clf = XMRClassifier(GROUPS, random_state=0).fit(*small).set_params(**{name: value})
    for method in (clf.predict_topk, clf.transform, clf.predict):
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            method(small[0])


@pytest.mark.parametrize("matcher", [None, KNeighborsClassifier(10)])
@pytest.mark.parametrize("ranker", [None, LogisticRegression()])
def test_given_pairs_have_the_scores_of_all_groups(matcher, ranker, small):
    X, Y = small
    membership = np.eye(7)[GROUPS]
    membership[:10, :2] = 1
    clf = XMRClassifier(
        sparse.csr_matrix(membership), matcher, ranker, beam_size=None, random_state=0
    ).fit(X[:400], Y[:400])
    X = X[400:]
    labels, scores = clf.predict_topk(X, k=60)
    got = clf.set_params(beam_size=1).score_pairs(X, np.arange(60))
    found = np.take_along_axis(got.toarray(), labels, axis=1)
    np.testing.assert_allclose(found[labels >= 0], scores[labels >= 0], rtol=1e-5)
    some = clf.score_pairs(X, [0, 33])
    np.testing.assert_allclose(
        some.toarray()[:, [0, 33]], got.toarray()[:, [0, 33]], rtol=1e-5
    )
    ranked = clf.predict_topk(X, k=1, candidates=[0, 33])
    np.testing.assert_allclose(ranked[1].ravel(), some.toarray().max(axis=1))


def test_one_group_and_given_pairs(small):
    X, Y = small
    clf = XMRClassifier(np.zeros(60, dtype=int), random_state=0).fit(X, Y)
    assert clf.matcher_ is None
    labels, scores = clf.predict_topk(X, k=3)
    got = np.take_along_axis(clf.score_pairs(X, range(60)).toarray(), labels, axis=1)
    np.testing.assert_allclose(got, scores, rtol=1e-6)


def test_a_line_for_each_stage(small, capsys):
    clf = XMRClassifier(GROUPS, random_state=0).fit(*small)
    assert capsys.readouterr().out == ""
    clf.set_params(verbose=1).fit(*small)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[XMR] groups: 7 of 60 labels"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "[XMR] matcher",
        "[XMR] rankers",
    ]


def test_a_fit_that_fails_changes_nothing(small):
    X, Y = small
    clf = XMRClassifier(GROUPS, random_state=0).fit(X, Y)
    before = clf.predict_topk(X)

    class Broken(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        clf.set_params(indexer=np.arange(7) % 2, ranker=Broken()).fit(
            X[:, :9], Y[:, :7]
        )
    np.testing.assert_array_equal(clf.predict_topk(X)[1], before[1])
    assert clf.membership_.shape == (60, 7)


def test_metadata_are_routed(small):
    X, Y = small
    weight = (np.arange(600) % 3).astype(float)
    matcher, ranker = LogisticRegression(), XRLinearClassifier()
    clf = XMRClassifier(GROUPS, matcher, ranker, random_state=0)
    by_hand = clf.fit(X, Y, sample_weight=weight).predict_topk(X)[1]
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            clone(clf).fit(X, Y, sample_weight=weight)
        matcher.set_fit_request(sample_weight=True)
        ranker.set_fit_request(sample_weight=True)
        routed = clf.fit(X, Y, sample_weight=weight).predict_topk(X)[1]
        np.testing.assert_allclose(routed, by_hand, atol=1e-6)
        ranker.set_fit_request(sample_weight=False)
        other = clf.fit(X, Y, sample_weight=weight).predict_topk(X)[1]
        assert np.abs(other - by_hand).max() > 1e-3
    clf = XMRClassifier(GROUPS, KNeighborsClassifier(), KNeighborsClassifier())
    with pytest.raises(ValueError, match="sample_weight is given, but"):
        clf.fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize("name", ["l3_hinge", "log_l3_hinge", "log_sigmoid", "noop"])
def test_a_matcher_may_give_logarithms_or_margins(name, small):
    X, Y = small
    matcher = XRLinearClassifier(post_processor=name)
    clf = XMRClassifier(np.arange(60) % 6, matcher, random_state=0).fit(X, Y)
    assert clf.score(X, Y) > 0.8
    assert np.isfinite(clf.predict_proba(X).data).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"matcher": XRLinearClassifier(label_weight=np.ones(6))}, "of the matcher"),
        ({"ranker": XRLinearClassifier(label_weight=np.ones(60))}, "of the ranker"),
        ({"ranker": XRLinearClassifier(cost_sensitive="induce")}, "cost_sensitive"),
        ({"ranker": XRLinearClassifier(LabelTree.flat(9))}, "clusterer of the ranker"),
        ({"ranker": XRLinearClassifier(beam_size=None)}, "beam_size of the ranker"),
    ],
)
def test_settings_without_effect_are_refused(parameters, message, small):
    with pytest.raises(ValueError, match=message):
        XMRClassifier(np.arange(60) % 6, **parameters).fit(*small)
