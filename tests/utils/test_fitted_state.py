"""Whatever fails, no estimator is half changed; each answer is of one model."""

import os
import pickle
import threading

import numpy as np
import pytest
from faults import Fault, fault_at_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelTree,
    RecursiveLabelClusterer,
    XMRClassifier,
    XRBanditClassifier,
    XRCalibratedClassifier,
    XRConformalClassifier,
    XREnsembleClassifier,
    XRForestClassifier,
    XRHierarchyClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.linear import TreeModel
from sklearn_xmr.preprocessing import LabelNameBinarizer

N_FAULTS = int(os.environ.get("XMR_TEST_FAULTS", "12"))  # places of each fit
SMALL_TREE = HierarchicalLabelClusterer(branching_factor=3, max_leaf_size=6)
LINEAR = XRLinearClassifier(SMALL_TREE, random_state=0)
CLASSIFIERS = {
    "linear": LINEAR,
    "linear, matched": XRLinearClassifier(
        SMALL_TREE, negative_sampling="tfn+man", random_state=0
    ),
    "ensemble": XREnsembleClassifier(LINEAR, 2, random_state=0),
    "neighbors": XRNeighborsClassifier(n_neighbors=5),
    "forest": XRForestClassifier(n_estimators=3, random_state=0),
    "stages": XMRClassifier(SMALL_TREE, LINEAR, random_state=0),
    "bandit": XRBanditClassifier(LINEAR, random_state=0),
    "calibrated": XRCalibratedClassifier(LINEAR, random_state=0),
    "hierarchy": XRHierarchyClassifier(LINEAR, random_state=0),
    "sets": XRConformalClassifier(LINEAR, alpha=0.4, random_state=0),
    "stack": XRStackingClassifier(
        [("tree", LINEAR), ("neighbors", XRNeighborsClassifier(5))],
        XRLinearClassifier(random_state=0),
        random_state=0,
    ),
}
each_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


def problem(n_features, n_labels, n_samples=90):
    X, Y = make_xmr_classification(
        n_samples, n_features, n_labels, random_state=n_labels
    )
    return X, Y


# Widths, numbers of labels and forms of y that no two have in common.
DATA = {
    "sparse": problem(40, 30),
    "wide": problem(70, 20),
    "dense": (problem(50, 12)[0].toarray(), problem(50, 12)[1].toarray().astype(int)),
    "classes": (problem(30, 10)[0], np.arange(90) % 7),
}


def state_of(estimator):
    return dict(vars(estimator))


def assert_same_state(estimator, state):
    now = vars(estimator)
    assert now.keys() == state.keys()
    assert all(now[name] is state[name] for name in state)


def assert_consistent(clf):
    """A fitted classifier agrees with itself, an unfitted one says that it is not."""
    if not hasattr(clf, "classes_"):
        with pytest.raises(NotFittedError):
            clf.predict_topk(np.zeros((1, 3)))
        return
    n = clf.n_features_in_
    X = sparse.random(5, n, 0.5, "csr", np.float32, random_state=0)
    assert len(clf.classes_) == clf.n_labels_ == len(clf.propensities_)
    labels, scores = clf.predict_topk(X, k=3)
    assert labels.shape == scores.shape == (5, min(3, clf.n_labels_))
    assert labels.max() < clf.n_labels_
    proba = clf.predict_proba(X)
    assert proba.shape == (5, clf.n_labels_)
    if sparse.issparse(proba) and proba.nnz:
        assert proba.indices.max() < clf.n_labels_
    assert len(clf.predict(X)) == 5 if not sparse.issparse(proba) else True
    if hasattr(clf, "transform"):
        assert clf.transform(X).shape == (5, len(clf.get_feature_names_out()))
    for wrong in (n + 1, n - 1):
        with pytest.raises(ValueError, match="features"):
            clf.predict_topk(sparse.csr_matrix((2, wrong), dtype=np.float32))
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_topk(X, k=3)[0], labels)


def count_calls(call, make):
    """Calls of a step on what ``make()`` gives, the second time: caches are filled."""
    call(make())
    thing = make()
    with fault_at_call(None) as calls:
        call(thing)
    return calls[0]


@each_classifier
def test_a_fit_that_fails_anywhere_changes_nothing(name):
    X, Y = DATA["sparse"]
    new = clone(CLASSIFIERS[name])
    n_calls = count_calls(lambda clf: clf.fit(X, Y), lambda: clone(new))
    fitted = clone(new).fit(*DATA["wide"])
    for number in np.unique(np.linspace(1, n_calls - 1, N_FAULTS).astype(int)):
        for clf in (new, fitted):
            before = state_of(clf)
            with pytest.raises(Fault), fault_at_call(number):
                clf.fit(X, Y)
            assert_same_state(clf, before)
    assert_consistent(new)
    assert_consistent(fitted)


@pytest.mark.parametrize(
    "clusterer",
    [HierarchicalLabelClusterer(max_leaf_size=9), RecursiveLabelClusterer()],
    ids=["hierarchical", "recursive"],
)
def test_a_clustering_that_fails_anywhere_changes_nothing(clusterer):
    X, Y = DATA["sparse"]
    n_calls = count_calls(lambda c: c.fit(X, Y), lambda: clone(clusterer))
    fitted = clone(clusterer).fit(DATA["wide"][0])
    before = state_of(fitted)
    for number in range(1, n_calls):
        with pytest.raises(Fault), fault_at_call(number):
            fitted.fit(X, Y)
        assert_same_state(fitted, before)


def test_label_names_that_fail_anywhere_change_nothing():
    binarizer = LabelNameBinarizer().fit([["a"], ["b", "c"]])
    before = state_of(binarizer)
    names = [["d"], ["e"]]
    n_calls = count_calls(lambda b: b.fit(names), lambda: clone(binarizer))
    for number in range(1, n_calls + 1):
        with pytest.raises(Fault), fault_at_call(number):
            binarizer.fit(names)
        assert_same_state(binarizer, before)


def grow(clf):
    X, Y = DATA["sparse"]
    n = clf.n_labels_
    return clf.add_labels(X, sparse.csr_matrix(sparse.hstack([Y[:, :n], Y[:, :2]])))


CHANGES = {
    "add_labels": grow,
    "remove_labels": lambda clf: clf.remove_labels(clf.classes_[[1, 4]]),
    "refit_branch": lambda clf: clf.refit_branch(*DATA["sparse"], 0, 1),
    "prune": lambda clf: clf.prune(energy=0.8),
}


CHANGED = [("linear, matched", change) for change in CHANGES]
CHANGED += [("calibrated", change) for change in ("add_labels", "remove_labels")]


@pytest.mark.parametrize(("name", "change"), CHANGED)
def test_a_change_that_fails_anywhere_changes_nothing(name, change):
    clf = clone(CLASSIFIERS[name]).fit(*DATA["sparse"])
    n_calls = count_calls(CHANGES[change], lambda: pickle.loads(pickle.dumps(clf)))
    before = state_of(clf)
    faults = Fault, AttributeError  # what available_if makes of any
    for number in np.unique(np.linspace(1, n_calls - 1, N_FAULTS).astype(int)):
        with pytest.raises(faults), fault_at_call(number):
            CHANGES[change](clf)
        assert_same_state(clf, before)
    assert CHANGES[change](clf) is clf
    assert_consistent(clf)


STEPS = st.one_of(
    st.tuples(st.just("fit"), st.sampled_from(sorted(DATA))),
    st.tuples(st.just("failing fit"), st.sampled_from(sorted(DATA)), st.floats(0, 1)),
    st.tuples(st.just("change"), st.sampled_from(sorted(CHANGES)), st.floats(0, 2)),
    st.tuples(
        st.just("set_params"),
        st.sampled_from(
            [
                {"beam_size": 1},
                {"beam_size": None},
                {"top_k": 2},
                {"top_k": 2**63},
                {"post_processor": "noop"},
                {"post_processor": "log_sigmoid"},
                {"warm_start": True},
                {"warm_start": False},
                {"clusterer": LabelTree.flat(5)},  # fits no data
                {"clusterer": SMALL_TREE},
                {"label_weight": None},
            ]
        ),
    ),
)


@given(steps=st.lists(STEPS, max_size=8), start=st.sampled_from(["linear", "matched"]))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_sequence_of_steps_makes_a_contradiction(steps, start):
    clf = clone(CLASSIFIERS["linear" if start == "linear" else "linear, matched"])
    for kind, *what in steps:
        before = state_of(clf)
        try:
            take_step(clf, kind, *what)
        except (Fault, ValueError, NotFittedError, AttributeError) as error:
            if isinstance(error, AttributeError):
                assert not hasattr(clf, "classes_")  # a change asked of no model
            assert_same_state(clf, before)
        assert_consistent(clf)


def take_step(clf, kind, what, share=2.0):
    """One step; those with a share below 1 fail after that share of their calls."""
    if kind == "set_params":
        clf.set_params(**what)
        return
    call = clf.fit if kind in ("fit", "failing fit") else CHANGES[what]
    args = DATA[what] if kind in ("fit", "failing fit") else (clf,)
    number = None
    if share < 1:
        number = 1 + int(share * 120)  # somewhere among the first calls
    with fault_at_call(number):
        call(*args)


BAD_ACTING = {
    "beam_size": [0, -1, 1.5, "10", "wide"],
    "top_k": [0, -1, 2.5, None],
    "post_processor": ["l5_hinge", "log_noop", None],
    "path_weight": [-0.1, 1.5, "half", None],
    "decision_threshold": [-0.1, 1.1, "high"],
    "min_labels": [-1, 1.5, "one"],
    "label_weight": ["rare", [1.0, 2.0], -1],
    "most_specific": [2, "yes", None],
    "n_neighbors": [0, -3, 2.5],
    "power": [-1, "2"],
    "n_candidates": [0, -1],
    "n_explored": [-1, 1.5],
    "n_alternatives": [-1, 1.5],
    "gamma": [-1, "much", None],
    "search_breadth": [0, 1.5],
}


@each_classifier
def test_parameters_that_act_without_a_refit_are_checked_where_they_act(name):
    X, Y = DATA["sparse"]
    clf = clone(CLASSIFIERS[name]).fit(X, Y)
    acting = type(clf)._acting_parameters
    assert acting
    answers = ["predict_topk", "predict_proba", "predict"]
    answers += [
        m for m in ("transform", "topk_predictor", "kneighbors") if hasattr(clf, m)
    ]
    for parameter in acting:
        for value in BAD_ACTING[parameter]:
            changed = clone(clf).set_params(**{parameter: value})
            vars(changed).update(
                {k: v for k, v in vars(clf).items() if k.endswith("_")}
            )
            for answer in answers:
                if parameter == "label_weight" and answer not in (
                    "predict_topk",
                    "topk_predictor",
                ):
                    continue
                method = getattr(changed, answer)
                with pytest.raises((ValueError, TypeError), match=parameter):
                    method() if answer == "topk_predictor" else method(X)


@each_classifier
@pytest.mark.parametrize("k", [0, -1, 2.0, True, "5"])
def test_k_is_checked_by_all(name, k):
    X, Y = DATA["sparse"]
    clf = clone(CLASSIFIERS[name]).fit(X, Y)
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        clf.predict_topk(X, k=k)


@each_classifier
def test_a_huge_k_means_all_labels(name):
    X, Y = DATA["sparse"]
    clf = clone(CLASSIFIERS[name]).fit(X, Y)
    labels, _ = clf.predict_topk(X[:3], k=2**63)
    assert labels.shape == (3, 30)
    huge = {
        p: 2**63 for p in ("beam_size", "n_neighbors", "n_candidates") if p in vars(clf)
    }
    assert clf.set_params(top_k=2**63, **huge).predict_topk(X[:3])[0].shape == (3, 30)


@each_classifier
@pytest.mark.parametrize("huge", [10**30, -(10**30)])
def test_integers_of_more_than_64_bits_act_or_are_refused_by_name(name, huge):
    X, Y = problem(20, 9)
    of_integers = [
        parameter
        for parameter, value in CLASSIFIERS[name].get_params(deep=False).items()
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    assert of_integers
    for parameter in set(of_integers) - {"n_estimators"}:  # so many would be made
        clf = clone(CLASSIFIERS[name]).set_params(**{parameter: huge})
        try:
            clf.fit(X, Y)
        except ValueError as error:
            assert parameter in str(error)
        else:
            assert huge > 0 or parameter == "verbose"


def test_an_integer_of_more_than_64_bits_where_the_default_is_none():
    X, Y = problem(20, 9)
    with pytest.raises(ValueError, match="max_features must be at most"):
        HierarchicalLabelClusterer(max_features=10**30).fit(X, Y)


def test_label_weight_changed_in_place_acts():
    X, Y = DATA["sparse"]
    weight = np.ones(30)
    clf = clone(LINEAR).set_params(label_weight=weight).fit(X, Y)
    plain, _ = clf.predict_topk(X)
    weight[7] = 1e6
    expected = clone(LINEAR).fit(X, Y).set_params(label_weight=weight.copy())
    labels, _ = clf.predict_topk(X)
    np.testing.assert_array_equal(labels, expected.predict_topk(X)[0])
    assert (labels != plain).any()


@pytest.mark.parametrize("negative_sampling", ["tfn", "man", "tfn+man"])
def test_exact_search_works_everywhere(negative_sampling):
    X, Y = DATA["sparse"]
    clf = XRLinearClassifier(
        SMALL_TREE, beam_size=None, negative_sampling=negative_sampling, random_state=0
    ).fit(X, Y[:, :25])
    assert clf.transform(X).shape == (90, clf.tree_.n_clusters)
    assert (clf.transform(X).getnnz(axis=1) == clf.tree_.n_clusters).all()
    clf.add_labels(X, Y)
    wide = clone(clf).set_params(beam_size=30).fit(X, Y[:, :25]).add_labels(X, Y)
    for exact, beam in zip(clf.predict_topk(X), wide.predict_topk(X), strict=True):
        np.testing.assert_array_equal(exact, beam)


@pytest.mark.parametrize("answer", ["predict_proba", "score_pairs", "predict", "score"])
def test_threads_that_answer_see_one_model(answer):
    """Old or new, never a mixture, while another thread changes the labels."""
    X, Y = DATA["sparse"]
    clf = clone(LINEAR).fit(X, Y[:, :20])
    old = clf.n_labels_
    stop, problems = threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                if answer == "score_pairs":
                    out = clf.score_pairs(X[:9], np.arange(20))
                elif answer == "score":
                    clf.score(X[:9], Y[:9, :20])
                    continue
                else:
                    out = getattr(clf, answer)(X[:9])
            except ValueError as error:
                # The only complaint that is right: y has the columns of another model.
                if answer != "score":
                    problems.append(error)
                continue
            if out.shape[1] not in (old, 30) or (
                out.nnz and out.indices.max() >= out.shape[1]
            ):
                problems.append(out.shape)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        clf.add_labels(X, Y)
        clf.remove_labels(np.arange(20, 30))
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems


def test_a_predictor_made_before_a_change_answers_as_before():
    X, Y = DATA["sparse"]
    clf = clone(LINEAR).fit(X, Y)
    best = clf.topk_predictor(k=4)
    before = best(X[3])
    clf.fit(*DATA["wide"])
    for predictor in (best, pickle.loads(pickle.dumps(best))):
        for old, new in zip(before, predictor(X[3]), strict=True):
            np.testing.assert_array_equal(old, new)


def test_parameters_set_while_a_fit_runs_stay():
    class Slow(HierarchicalLabelClusterer):
        def fit(self, X, y=None):
            clf.set_params(top_k=7)
            return super().fit(X, y)

    clf = XRLinearClassifier(random_state=0)
    clf.set_params(clusterer=Slow())
    clf.fit(*DATA["sparse"])
    assert clf.top_k == 7 and clf.n_labels_ == 30


def test_a_refit_forgets_attributes_of_the_fit_before():
    X, Y = DATA["sparse"]
    clf = clone(LINEAR).fit(X, Y)
    assert hasattr(clf, "clusterer_")
    clf.set_params(clusterer=LabelTree.flat(20)).fit(*DATA["wide"])
    assert not hasattr(clf, "clusterer_")


class Waiting(HierarchicalLabelClusterer):
    """Lets another thread go first, once."""

    def fit(self, X, y=None):
        go_first = Waiting.others.pop() if Waiting.others else lambda: None
        go_first()
        return super().fit(X, y)


@pytest.mark.parametrize("warm_start", [False, True])
def test_of_two_fits_one_wins_whole(warm_start):
    """The numbers of features are small ints, which are the same objects everywhere."""
    clf = XRLinearClassifier(Waiting(), random_state=0, warm_start=warm_start)
    Waiting.others = []
    first, second = DATA["sparse"], problem(70, 30)
    if not warm_start:
        clf.fit(*first)
    Waiting.others = [lambda: clf.fit(*second)]
    clf.fit(*first)
    assert clf.n_features_in_ == clf.model_.n_features == 40
    assert_consistent(clf)


def test_a_change_that_another_one_overtakes_starts_again(monkeypatch):
    X, Y = DATA["sparse"]
    clf = clone(LINEAR).fit(X, Y)
    pruned, others = TreeModel.pruned, [lambda: clf.remove_labels(np.arange(20))]

    def slow(model, **limits):
        if others:
            others.pop()()
        return pruned(model, **limits)

    monkeypatch.setattr(TreeModel, "pruned", slow)
    clf.prune(energy=0.9)
    assert clf.n_labels_ == clf.model_.n_labels == 10
    assert clf.nbytes_ < clone(LINEAR).fit(X, Y).remove_labels(np.arange(20)).nbytes_
    assert_consistent(clf)
