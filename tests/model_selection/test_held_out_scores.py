"""Held-out scores of given, retrieved and random pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from sklearn_xmr import LabelNamesClassifier, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.model_selection import HeldOutScores, cross_val_score_pairs
from sklearn_xmr.model_selection._held_out_scores import random_pairs

WORDS = ["sea", "ship", "horse", "sky", "tree", "house"]
LINEAR = XRLinearClassifier(random_state=0)


@pytest.fixture(scope="module")
def data():
    return make_xmr_classification(200, 100, 20, random_state=0)


@pytest.fixture
def texts():
    """Texts, of which each has the labels of its words."""
    rng = np.random.default_rng(0)
    chosen = [rng.choice(WORDS, 2, replace=False).tolist() for _ in range(60)]
    return [" ".join(words) for words in chosen], chosen


def test_scores_are_those_of_models_of_the_other_folds(data):
    X, Y = data
    folds, clf = (
        KFold(3, shuffle=True, random_state=1),
        XRLinearClassifier(random_state=0),
    )
    scores = cross_val_score_pairs(clf, X, Y, k=4, cv=folds)
    assert (scores.given.toarray() > 0).sum() == Y.nnz == scores.given.nnz
    for train, test in folds.split(X):
        model = clf.fit(X[train], Y[train])
        expected = model.score_pairs(X[test], np.arange(20)).toarray()
        for part in (scores.retrieved, scores.given, scores.others):
            rows, labels = part[test].nonzero()
            np.testing.assert_array_equal(
                part[test].toarray()[rows, labels], expected[rows, labels]
            )
        labels = model.predict_topk(X[test], k=4)[0]
        found = scores.retrieved[test].indices.reshape(-1, 4)
        np.testing.assert_array_equal(found, np.sort(labels, axis=1))


def test_copies_stay_together_in_folds_of_groups(data):
    """A fold's models know nothing of a label that only copies of one instance have."""
    X, Y = data
    X = sparse.vstack([X, X[:1], X[:1]], "csr")
    own = np.array([row in (0, 200, 201) for row in range(202)], dtype=int)
    Y = sparse.hstack([sparse.vstack([Y, Y[:1], Y[:1]]), own[:, None]], "csr")
    best = []
    for of_last_two in ((200, 201), (0, 0)):
        folds = GroupKFold(10, shuffle=True, random_state=0)
        splits = folds.split(X, groups=np.append(np.arange(200), of_last_two))
        scores = cross_val_score_pairs(LINEAR, X, Y, k=20, cv=splits, random_state=0)
        best.append(scores.given[np.flatnonzero(own), -1].max())
    apart, together = best
    assert apart > 0.5 > together


def test_the_seed_decides_on_folds_and_pairs(data):
    X, Y = data
    one, same, other = (
        cross_val_score_pairs(
            XRLinearClassifier(random_state=0), X, Y, cv=2, random_state=seed
        )
        for seed in (0, 0, 1)
    )
    assert (one.others != same.others).nnz == 0 == (one.given != same.given).nnz
    assert (one.others != other.others).nnz > 0


def test_classes_that_a_fold_does_not_have_keep_their_columns():
    """The model of the second fold has two classes, the first of which is "b"."""
    X = np.repeat(np.eye(3), [2, 6, 6], axis=0)
    y = np.repeat(["a", "b", "c"], [2, 6, 6])
    first = np.r_[0, 1, 2:5, 8:11]
    cv = [(first, np.r_[5:8, 11:14]), (np.r_[5:8, 11:14], first)]
    scores = cross_val_score_pairs(LINEAR, X, y, k=1, cv=cv)
    best = np.asarray(scores.retrieved.argmax(axis=1)).ravel()
    assert best[[2, 8, 5, 11]].tolist() == [1, 2, 1, 2]
    assert scores.given[:2, 0].toarray().ravel().tolist() == [0, 0]


def test_names_and_texts(texts):
    texts, names = texts
    inside = make_pipeline(TfidfVectorizer(), XRLinearClassifier(random_state=0))
    of_names = cross_val_score_pairs(
        LabelNamesClassifier(inside), texts, names, k=3, cv=3, random_state=0
    )
    Y = sparse.csr_matrix(
        [[w in row for w in sorted(WORDS)] for row in names], dtype=int
    )
    of_columns = cross_val_score_pairs(inside, texts, Y, k=3, cv=3, random_state=0)
    for name in ("retrieved", "given", "others"):
        one, other = getattr(of_names, name), getattr(of_columns, name)
        assert (one != other).nnz == 0 and one.nnz == other.nnz


def test_without_score_pairs_unretrieved_ones_count_as_zero(data):
    X, Y = data
    clf = OneVsRestClassifier(GaussianNB())
    scores = cross_val_score_pairs(
        clf, X.toarray(), Y.toarray(), k=3, cv=2, random_state=0
    )
    retrieved, given = scores.retrieved.toarray(), scores.given.toarray()
    np.testing.assert_array_equal(given, np.where(Y.toarray(), retrieved, 0))
    assert 0 < (given > 0).sum() < Y.nnz


@pytest.mark.parametrize("form", ["pair", "dense", "sparse"])
def test_scores_of_another_source(form):
    y = np.array([[1, 0, 1], [0, 1, 0]])
    dense = np.array([[0.5, 0.25, 0.0], [-1.0, -2.0, 3.0]], dtype=np.float32)
    y_score = {
        "pair": (np.array([[0, 1, 2], [2, 0, 1]]), [[0.5, 0.25, 0], [3, -1, -2]]),
        "dense": dense.tolist(),
        "sparse": sparse.csr_matrix(dense),
    }[form]
    scores = HeldOutScores.from_retrieved(y, y_score, random_state=0)
    np.testing.assert_array_equal(scores.retrieved.toarray(), dense)
    # What the sparse matrix does not store counts as the smallest score.
    last = -2.0 if form == "sparse" else 0.0
    assert scores.given[0].toarray().tolist() == [[0.5, 0, last]]
    assert scores.given[1, 1] == -2


@given(st.integers(1, 12), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_random_pairs_are_none_of_the_given(n_rows, n_labels, share, seed):
    rng = np.random.RandomState(seed)
    Y = sparse.csr_matrix(rng.rand(n_rows, n_labels) < share, dtype=np.float32)
    pairs = random_pairs(Y, rng)
    assert pairs.has_canonical_format and pairs.nnz <= Y.nnz
    assert pairs.multiply(Y).nnz == 0
    rows = set(pairs.nonzero()[0].tolist())
    assert rows <= set(Y.nonzero()[0].tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be an integer of at least 1"),
        ({"cv": 1}, "cv must be at least 2 folds, got 1"),
        ({"cv": 500}, "cv must be at most the number of samples"),
        ({"cv": [(np.arange(50), np.arange(50, 100))]}, "hold out each of the 200"),
        ({"cv": GroupKFold(2)}, r"cv\.split\(X, groups=groups\)"),
    ],
)
def test_bad_arguments(data, options, message):
    X, Y = data
    with pytest.raises(ValueError, match=message):
        cross_val_score_pairs(LINEAR, X, Y, **options)
