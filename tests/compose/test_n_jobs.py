"""Independent fits at a time, by joblib: the same models as one after another."""

import pytest
from joblib import parallel_config

from sklearn_xmr import XREnsembleClassifier, XRLinearClassifier, XRStackingClassifier
from sklearn_xmr.datasets import make_xmr_classification

TREES = XREnsembleClassifier(n_estimators=2)
MODELS = {
    "ensemble": XREnsembleClassifier(n_estimators=3, random_state=0),
    "stack": XRStackingClassifier([("trees", TREES)], random_state=0),
    "folds": XRStackingClassifier(
        [("tree", XRLinearClassifier())], cv=3, random_state=0
    ),
}


@pytest.fixture(scope="module")
def problem():
    return make_xmr_classification(400, 200, 40, random_state=0)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_the_same(name, backend, problem):
    model = MODELS[name]
    in_turn = model.fit(*problem)
    expected = in_turn.predict_topk(problem[0])
    with parallel_config(backend, n_jobs=2):
        at_a_time = type(model)(**model.get_params(deep=False)).fit(*problem)
    for one, other in zip(at_a_time.predict_topk(problem[0]), expected, strict=True):
        assert (one == other).all()


def test_the_parameter_says_so_too(problem, monkeypatch):
    from sklearn_xmr.compose import _averaging

    asked = []
    parallel = _averaging.Parallel

    def watched(n_jobs):
        asked.append(n_jobs)
        return parallel(n_jobs=n_jobs)

    monkeypatch.setattr(_averaging, "Parallel", watched)
    model = XREnsembleClassifier(n_estimators=2, random_state=0, n_jobs=2)
    model.fit(*problem)
    assert asked == [2]
    model.set_params(n_jobs=None).fit(*problem)
    assert asked == [2]
