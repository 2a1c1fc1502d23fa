"""One vocabulary: equal things have equal names, types and defaults everywhere."""

import inspect

import pytest
from sklearn.base import BaseEstimator

import sklearn_xmr
from sklearn_xmr import (
    FineTuning,
    XRLabelTextClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XTransformerClassifier,
)
from sklearn_xmr.base import RankingClassifierMixin

ESTIMATORS = [
    getattr(sklearn_xmr, name)
    for name in sklearn_xmr.__all__
    if inspect.isclass(getattr(sklearn_xmr, name))
    and issubclass(getattr(sklearn_xmr, name), BaseEstimator)
    and hasattr(getattr(sklearn_xmr, name), "_parameter_constraints")
    and getattr(sklearn_xmr, name).__module__.startswith("sklearn_xmr")
]
CLASSIFIERS = [e for e in ESTIMATORS if issubclass(e, RankingClassifierMixin)]

# Names that stand for different things, as they do in scikit-learn.
DIFFERENT = {
    "clusterer": "of labels into a tree, or of one split of it",
    "decision_threshold": "the calibrated classifier can also choose it ('f1')",
    "estimator": "the model that is put together, of another kind for each",
    "max_depth": "clusters of any size need a limit, equal ones need none",
    "max_iter": "of a split, and of the solver",
    "negative_sampling": "of a tree's labels, and of the groups of a level",
    "method": "of k-means, and of calibration",
    "beam_size": "only XRLinearClassifier makes its tree and its search of the data",
    "n_estimators": "few trees of labels, many trees of instances",
    "ranker": "of one group, or of all labels",
    "vectorizer": "a transformer can do without (None); label texts need one",
}
# They have a vector for each label, and no instance has a say in a ranking.
RANK_BY_LABELS = (XRLabelTextClassifier, XRLabelVectorsClassifier)


def described(constraints):
    return sorted(map(str, constraints))


def signature(estimator):
    return inspect.signature(estimator.__init__).parameters


def shared_parameters():
    by_name = {}
    for estimator in ESTIMATORS:
        for name in estimator._parameter_constraints:
            by_name.setdefault(name, []).append(estimator)
    return {name: found for name, found in by_name.items() if len(found) > 1}


@pytest.mark.parametrize("name", sorted(shared_parameters()))
def test_equal_names_have_equal_constraints_and_defaults(name):
    if name in DIFFERENT:
        return
    first, *others = shared_parameters()[name]
    for other in others:
        assert described(other._parameter_constraints[name]) == described(
            first._parameter_constraints[name]
        ), (first, other)
        assert signature(other)[name].default == signature(first)[name].default


def test_old_names_are_gone():
    gone = {
        "n_groups",
        "n_matched",
        "validation_fraction",
        "model_name_or_path",
        "pairs",
    }
    for estimator in ESTIMATORS:
        names = set(signature(estimator))
        for method in ("fit", "predict_topk", "score_pairs"):
            if hasattr(estimator, method):
                names |= set(inspect.signature(getattr(estimator, method)).parameters)
        assert not names & gone, estimator


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: c.__name__)
def test_all_classifiers_rank_and_score_pairs_alike(classifier):
    topk = list(inspect.signature(classifier.predict_topk).parameters)
    assert topk[:3] == ["self", "X", "k"] and "candidates" in topk
    pairs = list(inspect.signature(classifier.score_pairs).parameters)
    assert pairs == ["self", "X", "candidates"]
    fit = list(inspect.signature(classifier.fit).parameters)
    assert fit[:3] == ["self", "X", "y"]
    if classifier not in RANK_BY_LABELS:
        assert fit[3] == "sample_weight"


def test_few_parameters_and_bases():
    assert len(signature(XTransformerClassifier)) - 1 <= 15
    assert len(XRLinearClassifier.__bases__) <= 5
    assert issubclass(FineTuning, BaseEstimator)
