"""Models of parts of the instances: each is fitted anew, so none may be frozen."""

import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_xmr import (
    XRLinearClassifier,
    XRStackingClassifier,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.model_selection import cross_val_predict_topk, cross_val_score_pairs


@pytest.mark.parametrize(
    "run",
    [
        lambda model, X, Y: XRStackingClassifier([("tree", model)]).fit(X, Y),
        cross_val_predict_topk,
        cross_val_score_pairs,
    ],
    ids=["stack", "rankings", "pairs"],
)
def test_a_frozen_model_cannot_hold_out_instances(run):
    X, Y = make_xmr_classification(100, 50, 10, random_state=0)
    model = FrozenEstimator(XRLinearClassifier(random_state=0).fit(X, Y))
    with pytest.raises(TypeError, match=r"fitted anew.*FrozenEstimator\(XRLinear"):
        run(model, X, Y)
