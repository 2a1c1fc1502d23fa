"""Typical uses, as editors and type checkers see them: mypy reads this file.

``test_typing.py`` runs it too, so that the types it asserts are those of the objects.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.pipeline import make_pipeline

import sklearn_xmr
from sklearn_xmr import (
    LabelTree,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    load_model,
    predict_topk,
    save_model,
    topk_predictor,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import Explanation, explain, top_features
from sklearn_xmr.linear import ChunkedWeights, TreeModel
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.model_selection import cross_val_predict_topk

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value, kind):
        """Whether a value is of a type; of generic types, the class is compared."""
        assert isinstance(value, getattr(kind, "__origin__", kind)), (value, kind)
        return value


TEXTS = ["red bird", "blue bird", "red fish", "blue fish", "green bird", "red frog"]
Y = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


def fit_and_rank() -> None:
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    X = vectorizer.fit_transform(TEXTS)
    assert_type(vectorizer.vocabulary_, dict[str, int])
    clf = XRLinearClassifier(C=2.0, loss="logistic", beam_size=None, random_state=0)
    assert_type(clf.fit(X, Y), XRLinearClassifier)
    labels, scores = clf.predict_topk(X, k=2)
    assert_type(precision_at_k(Y, (labels, scores), k=1), float)
    assert_type(clf.n_labels_, int)
    assert_type(clf.classes_, np.ndarray)
    print(clf.predict(X).sum(), clf.predict_proba(X).shape, clf.score(X, Y))


def look_inside() -> None:
    clf = XRLinearClassifier(LabelTree.from_labels([0, 0, 1])).fit(np.eye(6), Y)
    assert_type(clf.tree_, LabelTree)
    assert_type(clf.tree_.to_text(["red", "blue", "bird"]), str)
    assert_type(clf.weights_, list[ChunkedWeights])
    assert_type(clf.weights_[0].nnz, int)
    assert_type(clf.prune(threshold=0.1, dtype="float16"), XRLinearClassifier)
    assert_type(clf.model_.pruned(energy=0.9), TreeModel)


def one_text_at_a_time(folder: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    pipeline.fit(TEXTS, Y)
    save_model(pipeline, folder / "model.xmr")
    loaded = load_model(folder / "model.xmr")
    labels, scores = topk_predictor(loaded, k=1)("a red bird")
    assert_type(labels, np.ndarray)
    assert_type(scores, np.ndarray)
    labels, scores = predict_topk(loaded, TEXTS, k=2)
    assert_type(explain(loaded, TEXTS[:1], 0), Explanation)
    assert_type(explain(loaded, TEXTS[:1], 0).to_text(n_features=2), str)
    assert_type(top_features(loaded, 0), list[tuple[str, float]])


def models_of_models() -> None:
    members = [
        ("linear", XRLinearClassifier(random_state=0)),
        ("neighbors", XRNeighborsClassifier(n_neighbors=2)),
    ]
    stack = XRStackingClassifier(members, validation_size=2, random_state=0)
    assert_type(stack.set_params(n_candidates=5), XRStackingClassifier)
    late = sklearn_xmr.compose.XREnsembleClassifier(n_estimators=2, random_state=0)
    assert_type(late.fit(np.eye(6), Y), sklearn_xmr.XREnsembleClassifier)
    labels, scores = cross_val_predict_topk(late, np.eye(6), Y, k=2, cv=2)
    assert_type(labels, np.ndarray)
    assert_type(scores, np.ndarray)


def mistakes() -> None:
    """Never called. Each line is an error for the checker, or it says that none is."""
    XRLinearClassifier(loss="squared")  # type: ignore[arg-type]
    XRLinearClassifier(c=1.0)  # type: ignore[call-arg]
    XRLinearClassifier().fit(1.0, Y)  # type: ignore[arg-type]
    XRLinearClassifier(beam_size="all")  # type: ignore[arg-type]
    LabelTree.flat("five")  # type: ignore[arg-type]
    predict_topk(XRLinearClassifier(), TEXTS, k=None)  # type: ignore[arg-type]
    precision_at_k(Y, Y, k=1, sample_weights=[1])  # type: ignore[call-arg]
