"""Curves: against scikit-learn's, and the temperature against a grid."""

import sys

import numpy as np
import pytest
import sklearn
from scipy.special import expit, logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sklearn_xmr import (
    XRCalibratedClassifier,
    XRLinearClassifier,
    load_model,
    save_model,
)
from sklearn_xmr.compose._curves import (
    TIE_BREAK,
    IsotonicCurve,
    SigmoidCurve,
    TemperatureScaling,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.metrics import ece_at_k


def pairs(n=4000, factor=0.4, seed=0):
    """Probabilities whose log-odds are too large by 1 / factor, and what was right."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 3, n)
    return expit(odds), rng.random(n) < expit(factor * odds)


@pytest.mark.parametrize("weighted", [False, True])
def test_curves_are_those_of_scikit_learn(weighted):
    scores, hits = pairs()
    weight = np.random.default_rng(1).uniform(0, 2, len(hits)) if weighted else None
    new = np.r_[0, np.linspace(0.001, 0.999, 500), 1]
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, hits, weight)
    found = IsotonicCurve.fit(scores, hits, weight).predict(new)
    expected = (1 - TIE_BREAK) * theirs.predict(new) + TIE_BREAK * new
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (np.diff(found) > 0).all()
    logs = np.log(scores)[:, None]
    theirs = LogisticRegression(C=1e6).fit(logs, hits, weight)
    found = SigmoidCurve.fit(scores, hits, weight).predict(new[1:])
    expected = theirs.predict_proba(np.log(new[1:])[:, None])[:, 1]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_calibrators_of_models_of_before(method):
    X, Y = make_xmr_classification(500, 100, 20, random_state=1)
    clf = XRCalibratedClassifier(method=method, random_state=0).fit(X, Y)
    expected = clf.predict_proba(X).toarray()
    curve, scores = clf.calibrator_, np.linspace(0.01, 0.99, 200)
    if method == "isotonic":
        old = IsotonicRegression(out_of_bounds="clip").fit(curve.scores, curve.shares)
    else:
        old = LogisticRegression(C=1e6).fit(np.log(scores)[:, None], scores > 0.5)
        old.coef_[0, 0], old.intercept_[0] = curve.slope, curve.intercept
    clf.calibrator_ = old
    np.testing.assert_allclose(clf.predict_proba(X).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid", "temperature"])
def test_model_files_hold_curves_without_skops(method, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    X, Y = make_xmr_classification(500, 100, 20, random_state=1)
    clf = XRCalibratedClassifier(method=method, random_state=0).fit(X, Y)
    save_model(clf, tmp_path / "model.xmr")
    again = load_model(tmp_path / "model.xmr", verify=True)
    assert repr(again.calibrator_) == repr(clf.calibrator_)
    found, expected = again.predict_proba(X), clf.predict_proba(X)
    np.testing.assert_array_equal(found.toarray(), expected.toarray())


@pytest.mark.parametrize("factor", [0.1, 0.4, 1.0, 3.0])
def test_the_factor_of_least_log_loss_is_found(factor):
    proba, hits = pairs(factor=factor)
    weight = np.random.default_rng(1).uniform(0.1, 2, len(proba))
    found = TemperatureScaling.fit(proba, hits, weight).factor
    grid = found * np.linspace(0.5, 2, 301)
    scaled = expit(grid[:, None] * logit(proba))
    losses = -np.average(
        np.log(np.where(hits, scaled, 1 - scaled)), axis=1, weights=weight
    )
    assert abs(grid[losses.argmin()] / found - 1) < 0.006
    assert found == pytest.approx(factor, rel=0.15)


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8),
    reason="scikit-learn scales no temperatures",
)
def test_equal_to_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3))
    y = rng.random(2000) < expit(X @ [2.0, -1.0, 0.5])
    base = LogisticRegression(C=1e4).fit(X[:40], y[:40])
    theirs = CalibratedClassifierCV(FrozenEstimator(base), method="temperature")
    theirs.fit(X[40:], y[40:])
    proba = base.predict_proba(X[40:])[:, 1]
    ours = TemperatureScaling.fit(proba, y[40:]).predict(proba)
    np.testing.assert_allclose(ours, theirs.predict_proba(X[40:])[:, 1], atol=2e-4)


def test_certain_probabilities_stay_finite():
    proba = np.array([0.0, 1.0, 1e-45, 0.5], dtype=np.float32)
    found = TemperatureScaling.fit(proba, np.array([False, True, True, False]))
    assert np.isfinite(found.factor)
    assert ((found.predict(proba) >= 0) & (found.predict(proba) <= 1)).all()


def test_rankings_stay_and_probabilities_improve(tmp_path):
    X, Y = make_xmr_classification(3000, 400, 60, random_state=1)
    clf = XRCalibratedClassifier(method="temperature", random_state=0)
    clf.fit(X[:2000], Y[:2000])
    labels, _ = clf.predict_topk(X[2000:], k=5)
    np.testing.assert_array_equal(labels, clf.estimator_.predict_topk(X[2000:], k=5)[0])
    model = XRLinearClassifier(random_state=0).fit(X[:2000], Y[:2000])
    proba = clf.predict_proba(X[2000:])
    assert ece_at_k(Y[2000:], proba) < ece_at_k(Y[2000:], model.predict_proba(X[2000:]))
    save_model(clf, tmp_path / "model.xmr")
    loaded = load_model(tmp_path / "model.xmr")
    assert (loaded.predict_proba(X[2000:]) != proba).nnz == 0
