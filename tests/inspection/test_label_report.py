"""Reports of labels, their duplicates, and the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import precision_recall_fscore_support

from sklearn_xmr import XRLinearClassifier, label_representation
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.inspection import (
    LabelReportDisplay,
    find_duplicate_labels,
    label_report,
)
from sklearn_xmr.metrics import macro_f1_at_k
from sklearn_xmr.model_selection import cross_val_score_pairs
from sklearn_xmr.utils._hits import ranked_hits

NAMES = ["ship", "ships", "horse", "tree"]


@given(st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_report_equals_slow_counts(seed, k):
    rng = np.random.default_rng(seed)
    y_true, y_score = rng.integers(0, 2, (15, 6)), rng.random((15, 6))
    y_true[0, 0] = 1
    report = label_report(y_true, y_score, k=k, n_confused=2)
    labels = ranked_hits(y_true, y_score, k).labels
    predicted = np.zeros_like(y_true)
    predicted[np.arange(15)[:, None], labels] = 1
    expected = precision_recall_fscore_support(y_true, predicted, zero_division=0)
    found = (report.precision, report.recall, report.f1, report.support)
    np.testing.assert_allclose(found, expected)
    for label in range(6):
        counts = np.zeros(6, int)
        for truth, taken in zip(y_true, predicted, strict=True):
            if truth[label] and not taken[label]:
                counts += taken & ~truth & 1
        best = np.argsort(-counts, kind="stable")[:2]
        expected = [(int(o), int(counts[o])) for o in best if counts[o]]
        pairs = zip(report.confused_with[label], report.n_confused[label], strict=True)
        assert [(int(o), int(n)) for o, n in pairs if o >= 0] == expected


def test_report_of_held_out_scores():
    X, Y = make_xmr_classification(300, 100, 20, random_state=0)
    scores = cross_val_score_pairs(XRLinearClassifier(), X, Y, random_state=0)
    report = label_report(Y, scores, k=3)
    seen = (report.support > 0) | (report.predicted > 0)
    assert report.f1[seen].mean() == macro_f1_at_k(Y, scores.retrieved, k=3)
    assert len(report[report.support > 5]) == (report.support > 5).sum()
    worst = report.sorted_by("f1")
    assert (np.diff(worst.f1) >= 0).all()
    assert worst[::-1].sorted_by("labels").labels.tolist() == list(range(20))
    with pytest.raises(ValueError, match="column must be one of"):
        report.sorted_by("size")


def test_table_of_a_report_has_names_and_duplicates():
    y, y_score = np.eye(4, dtype=int), np.roll(np.eye(4), 1, axis=1)
    report = label_report(y, y_score, k=1, label_names=NAMES)
    table = report.to_frame()
    assert table["confused_with"].tolist() == [*NAMES[1:], NAMES[0]]
    assert table["similar"].tolist()[:2] == ["ships", "ship"]
    assert (table["similarity"][:2] > 0.5).all()
    assert str(report).count("\n") == 5 and "k=1" in repr(report)


def test_names_that_are_alike_are_duplicates_unless_they_are_given_together():
    apart = find_duplicate_labels(np.eye(4, dtype=int), label_names=NAMES)
    assert (int(apart.first[0]), int(apart.second[0])) == (0, 1)
    Y = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    together = find_duplicate_labels(Y, label_names=NAMES)
    pair = (together.first == 0) & (together.second == 1)
    assert together.score[pair] == 0 and together.together[pair] == 1
    assert together.name_similarity[pair] == apart.name_similarity[0]


def test_labels_that_were_split_are_found_by_their_instances():
    """Halves of ten labels' instances get a new label: the ten pairs come first."""
    X, Y = make_xmr_classification(2000, 300, 40, random_state=0)
    rng, dense = np.random.default_rng(0), Y.toarray()
    moved = dense[:, :10] * rng.integers(0, 2, (len(dense), 10))
    dense[:, :10] -= moved
    split = sparse.csr_matrix(np.hstack([dense, moved]))
    vectors = label_representation(X, split)
    pairs = find_duplicate_labels(split, label_vectors=vectors)
    first = set(zip(pairs.first[:10].tolist(), pairs.second[:10].tolist(), strict=True))
    planted = {(label, 40 + label) for label in range(10)}
    assert len(first & planted) >= 8
    clf = XRLinearClassifier(random_state=0).fit(X, split)
    weights = find_duplicate_labels(split, label_vectors=clf)
    assert set(weights.to_dict()) == set(pairs.to_dict())


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_similarities_equal_dense_cosines(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.random((7, 5)) * (rng.random((7, 5)) < 0.7)
    Y = (rng.random((9, 7)) < 0.4).astype(int)
    Y[0, 0] = 1
    pairs = find_duplicate_labels(Y, label_vectors=vectors, n_neighbors=7)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines, both = unit @ unit.T, Y.T @ Y
    expected = {(a, b) for a in range(7) for b in range(a + 1, 7) if cosines[a, b] > 0}
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert set(found) == expected and len(found) == len(expected)
    for (a, b), cosine, together, score in zip(
        found, pairs.vector_similarity, pairs.together, pairs.score, strict=True
    ):
        assert cosine == pytest.approx(cosines[a, b], abs=1e-5)
        assert together == both[a, b]
        rarer = max(min(both[a, a], both[b, b]), 1)
        assert score == pytest.approx(cosine * (1 - both[a, b] / rarer), abs=1e-6)


def test_picture():
    pytest.importorskip("matplotlib").use("Agg")
    y, y_score = np.eye(4, dtype=int), np.roll(np.eye(4), 1, axis=1)
    display = LabelReportDisplay.from_predictions(
        y, y_score, k=1, label_names=NAMES, n_named=2
    )
    assert [text.get_text() for text in display.texts_] == [
        "ship → ships",
        "ships → horse",
    ]
    assert display.points_.get_offsets().shape == (4, 2)
    X, Y = make_xmr_classification(100, 50, 10, random_state=0)
    clf = XRLinearClassifier().fit(X, Y)
    display = LabelReportDisplay.from_estimator(clf, X, Y, k=2, color="red")
    assert len(display.figure_.axes) == 1
    with pytest.raises(ValueError, match="columns"):
        LabelReportDisplay.from_estimator(clf, X, Y[:, :5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "label_names or label_vectors must be given"),
        ({"label_names": ["a"]}, "label_names must hold a name for each of the 4"),
        (
            {"label_vectors": np.eye(3)},
            "label_vectors must have a row for each of the 4",
        ),
        ({"label_names": NAMES, "n_neighbors": 0}, "n_neighbors must be an integer"),
    ],
)
def test_bad_arguments_of_duplicates(options, message):
    with pytest.raises(ValueError, match=message):
        find_duplicate_labels(np.eye(4, dtype=int), **options)


def test_bad_arguments_of_a_report():
    with pytest.raises(ValueError, match="k must be an integer"):
        label_report([[1, 0]], [[0.5, 0.1]], k=0)
    with pytest.raises(ValueError, match="shape"):
        label_report([[1, 0]], [[0.5, 0.1, 0.2]])
