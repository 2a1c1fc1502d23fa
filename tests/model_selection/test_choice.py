"""A pipeline chosen by held-out texts, within a time."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline

from sklearn_xmr import (
    LabelNamesClassifier,
    XRLabelTextClassifier,
    XRLinearClassifier,
    predict_topk,
)
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.model_selection import choose_text_classifier

WORDS = make_pipeline(TfidfVectorizer(), XRLinearClassifier())


def problem(n_texts=300, n_labels=12, seed=0):
    """Texts whose words are the names of their labels, and noise."""
    rng = np.random.RandomState(seed)
    Y = (rng.rand(n_texts, n_labels) < 0.2).astype(int)
    Y[np.arange(n_texts), rng.randint(n_labels, size=n_texts)] = 1
    noise = rng.randint(50, size=(n_texts, 5))
    texts = [
        " ".join([f"topic{j}" for j in np.flatnonzero(row)] + [f"w{n}" for n in extra])
        for row, extra in zip(Y, noise, strict=True)
    ]
    names = [[f"topic{j}" for j in np.flatnonzero(row)] for row in Y]
    return texts, names, Y


class Useless(XRLinearClassifier):
    """A classifier that learns from nothing."""

    def fit(self, X, y):
        """Fit to an empty matrix."""
        return super().fit(X * 0, y)


class Broken(BaseEstimator):
    """A classifier that cannot be trained."""

    n_tried = 0

    def fit(self, X, y):
        """Fail."""
        Broken.n_tried += 1
        raise RuntimeError("is broken")

    def predict(self, X):
        """Never."""


def test_the_best_candidate_is_fitted_on_all_texts():
    texts, _, Y = problem()
    candidates = {
        "useless": make_pipeline(TfidfVectorizer(), Useless()),
        "words": WORDS,
        "noise": make_pipeline(TfidfVectorizer(vocabulary=["w1"]), Useless()),
    }
    choice = choose_text_classifier(texts, Y, candidates=candidates, random_state=0)
    assert choice.name == "words"
    assert choice.results["candidate"] == list(candidates)
    best = np.argmax(choice.results["precision_at_1"])
    assert choice.results["candidate"][best] == "words"
    whole = clone(WORDS).fit(texts, Y)
    vocabulary = choice.classifier[0].vocabulary_
    assert vocabulary == whole[0].vocabulary_  # of all texts
    found = predict_topk(choice.classifier, texts, k=1)
    assert precision_at_k(Y, found, k=1) > 0.9


@pytest.mark.parametrize("scoring", ["precision_at_1", "macro_f1_at_3"])
def test_the_table_tells_quality_size_and_time(scoring):
    texts, _, Y = problem()
    choice = choose_text_classifier(
        texts, Y, candidates={"words": WORDS}, scoring=scoring, random_state=0
    )
    assert 0 < choice.results[scoring][0] <= 1
    for column in ("fit_s", "size_mb", "answer_us"):
        assert choice.results[column][0] > 0
    lines = str(choice).splitlines()
    assert lines[0].startswith("| candidate | ") and scoring in lines[0]
    assert lines[2].startswith("| words | ") and len(lines) == 3


def test_what_fails_is_told_and_not_chosen():
    texts, _, Y = problem()
    candidates = {"broken": Broken(), "words": WORDS}
    with pytest.warns(FitFailedWarning, match="'broken' failed: RuntimeError: is br"):
        choice = choose_text_classifier(texts, Y, candidates=candidates)
    assert choice.name == "words"
    assert np.isnan(choice.results["precision_at_1"]).tolist() == [True, False]
    with pytest.warns(FitFailedWarning), pytest.raises(ValueError, match="is broken"):
        choose_text_classifier(texts, Y, candidates={"broken": Broken()})


def test_what_would_not_end_in_time_is_not_tried(capsys):
    (texts, _, Y), before = problem(), Broken.n_tried
    choice = choose_text_classifier(
        texts,
        Y,
        candidates={"words": WORDS, "slow": Broken()},
        time_budget=1e-9,
        random_state=0,
        verbose=1,
    )
    assert choice.name == "words" and Broken.n_tried == before
    assert np.isnan(choice.results["fit_s"]).tolist() == [False, True]
    assert "slow: precision_at_1 nan" in capsys.readouterr().out


@pytest.mark.filterwarnings("error::sklearn.exceptions.FitFailedWarning")
@pytest.mark.parametrize("form", ["names", "indicator"])
def test_defaults_from_names_or_an_indicator(form):
    texts, names, Y = problem(120, 8)
    y = names if form == "names" else Y
    choice = choose_text_classifier(texts, y, time_budget=None, random_state=0)
    assert choice.results["candidate"][:2] == ["words, fast", "words"]
    assert np.isfinite(choice.results["fit_s"]).all()
    assert ("labels' names" in choice.results["candidate"]) == (form == "names")
    if form == "names":
        assert isinstance(choice.classifier, LabelNamesClassifier)
        assert choice.classifier.predict_topk(["topic3 w1"], k=1)[0][0][0] == "topic3"
    else:
        assert choice.classifier.predict(texts).shape == Y.shape


def test_texts_of_labels_for_an_indicator():
    texts, _, Y = problem(120, 8)
    label_texts = [f"topic{j}" for j in range(8)]
    choice = choose_text_classifier(
        texts, Y, label_texts=label_texts, time_budget=2, random_state=0
    )
    assert "labels' names" in choice.results["candidate"]


def test_the_same_seed_chooses_the_same():
    texts, _, Y = problem()
    candidates = {"words": WORDS, "names": XRLabelTextClassifier(["topic1"] * 12)}
    one, two = (
        choose_text_classifier(texts, Y, candidates=candidates, random_state=7)
        for _ in range(2)
    )
    assert one.results["precision_at_1"] == two.results["precision_at_1"]
    for a, b in zip(
        predict_topk(one.classifier, texts),
        predict_topk(two.classifier, texts),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"time_budget": 0}, ValueError, "time_budget must be a number of seconds"),
        ({"time_budget": "long"}, ValueError, "time_budget must be a number"),
        ({"time_budget": float("nan")}, ValueError, "time_budget must be a number"),
        ({"scoring": "accuracy"}, ValueError, "accuracy"),
        ({"candidates": [WORDS]}, TypeError, "candidates must be a dict"),
        ({"candidates": {}}, TypeError, "candidates must be a dict"),
        ({"texts": ["a"] * 3}, ValueError, "texts must be at least 10"),
        ({"texts": [1] * 12}, TypeError, "texts must hold texts only"),
    ],
)
def test_bad_arguments(changed, error, message):
    texts, _, Y = problem(12, 4)
    arguments = {"texts": texts, "y": Y, **changed}
    with pytest.raises(error, match=message):
        choose_text_classifier(**arguments)
