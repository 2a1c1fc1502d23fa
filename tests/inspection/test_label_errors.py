"""Labels that are missing or wrong: found where they were planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.inspection import find_label_errors
from sklearn_xmr.inspection._pair_evidence import PairEvidence
from sklearn_xmr.model_selection import HeldOutScores, cross_val_score_pairs


def planted(kind, share=0.05, seed=0):
    """Instances, labels of which some were dropped or swapped, and the planted ones."""
    X, Y = make_xmr_classification(1500, 400, 60, random_state=seed)
    rng = np.random.default_rng(seed)
    damaged, rows, labels = Y.toarray(), *Y.nonzero()
    chosen = rng.choice(len(rows), round(share * len(rows)), replace=False)
    errors = [(int(rows[i]), int(labels[i])) for i in chosen]
    damaged[rows[chosen], labels[chosen]] = 0
    if kind == "wrong":
        errors = [
            (row, int(rng.choice(np.flatnonzero(~Y[row].toarray()[0].astype(bool)))))
            for row, _ in errors
        ]
        damaged[tuple(zip(*errors, strict=True))] = 1
    return X, sparse.csr_matrix(damaged), set(errors)


def found(rows, labels, errors):
    """Share of the planted errors among as many proposals."""
    first = zip(
        rows[: len(errors)].tolist(), labels[: len(errors)].tolist(), strict=True
    )
    return len(errors & set(first)) / len(errors)


@pytest.mark.parametrize("kind", ["missing", "wrong"])
def test_planted_errors_are_found_and_better_than_by_scores(kind):
    X, Y, errors = planted(kind)
    scores = cross_val_score_pairs(
        XRLinearClassifier(random_state=0), X, Y, random_state=0
    )
    proposals = find_label_errors(Y, scores, kind=kind, random_state=0)
    sign = 1 if kind == "wrong" else -1
    by_score = np.argsort(sign * proposals.held_out_scores, kind="stable")
    plain = found(proposals.rows[by_score], proposals.labels[by_score], errors)
    ours = found(proposals.rows, proposals.labels, errors)
    at_random = len(errors) / len(proposals)
    assert ours > plain and ours > 5 * at_random


def small_case(seed, n_rows=12, n_labels=5):
    rng = np.random.RandomState(seed)
    Y = sparse.csr_matrix(rng.rand(n_rows, n_labels) < 0.4, dtype=np.float32)
    y_score = np.where(rng.rand(n_rows, n_labels) < 0.6, rng.rand(n_rows, n_labels), 0)
    scores = HeldOutScores.from_retrieved(
        Y + sparse.csr_matrix(Y.shape), sparse.csr_matrix(y_score), random_state=rng
    )
    return Y, scores, rng


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_features_equal_those_of_slow_loops(seed):
    Y, scores, rng = small_case(seed)
    evidence = PairEvidence(Y, scores, rng)
    dense, retrieved = Y.toarray(), scores.retrieved.toarray()
    given_scores = scores.given.toarray()
    for pairs in (scores.retrieved, scores.given, scores.others):
        for row, label, score, values in zip(
            *pairs.tocoo().coords, pairs.data, evidence.features(pairs), strict=True
        ):
            rest = evidence.group != evidence.group[row]
            others = [o for o in np.flatnonzero(dense[row]) if o != label]
            n = {o: dense[rest, o].sum() for o in [*others, label]}
            both = [(dense[rest, o] * dense[rest, label]).sum() for o in others]
            shares = [b / (n[o] + 1) for b, o in zip(both, others, strict=True)]
            expected = [
                score,
                (retrieved[row] > score).sum(),
                retrieved[row].sum() - retrieved[row, label],
                sum(given_scores[row, o] for o in others) / (len(others) + 1),
                len(others),
                n[label],
                max(shares, default=0),
            ]
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_features_of_a_pair_do_not_tell_whether_it_is_given(seed):
    """Else a classifier would learn what is given, not what belongs."""
    Y, scores, _ = small_case(seed)
    rows, labels = scores.others.nonzero()
    if not len(rows):
        return
    row, label = rows[0], labels[0]
    pair = sparse.csr_matrix(([0.5], ([row], [label])), shape=Y.shape, dtype=np.float32)
    with_it = HeldOutScores(scores.retrieved, scores.given + pair, scores.others)
    one = PairEvidence(Y, scores, np.random.RandomState(1))
    other = PairEvidence((Y + (pair > 0)).tocsr(), with_it, np.random.RandomState(1))
    np.testing.assert_allclose(one.features(pair), other.features(pair), atol=1e-6)


def test_one_row_and_no_pair_to_learn_from():
    for kind in ("missing", "wrong"):
        errors = find_label_errors([[1, 1]], [[0.9, 0.4]], kind=kind)
        assert len(errors) == (0 if kind == "missing" else 2)


def test_classes_of_one_label_each_and_their_names():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 3, 300)
    X = np.eye(3)[right] + 0.1 * rng.random((300, 3))
    y = np.array(["ant", "bee", "cat"])[right]
    damaged = np.arange(0, 300, 30)
    y[damaged] = np.array(["bee", "cat", "ant"])[right[damaged]]
    scores = cross_val_score_pairs(
        XRLinearClassifier(random_state=0), X, y, random_state=0
    )
    errors = find_label_errors(y, scores, kind="wrong", random_state=0)
    assert set(errors.rows[:10].tolist()) == set(damaged.tolist())
    table = errors[:10].to_frame()
    assert table["name"].tolist() == y[errors.rows[:10]].tolist()
    names = np.array(["ant", "bee", "cat"])[right[errors.rows[:10]]]
    assert table["instead"].tolist() == names.tolist()
    assert len(errors[0]) == 1 and "LabelErrors(300 pairs" in repr(errors)
    assert str(errors).count("\n") == 11


def test_the_seed_decides():
    Y, scores, _ = small_case(3, 200, 8)
    one, same = (find_label_errors(Y, scores, random_state=0) for _ in range(2))
    np.testing.assert_array_equal(one.probability, same.probability)


def test_proposals_are_all_pairs_in_question_and_sorted():
    Y, scores, _ = small_case(5, 200, 8)
    missing = find_label_errors(Y, scores, random_state=0)
    wrong = find_label_errors(Y, scores, kind="wrong", random_state=0)
    assert len(wrong) == Y.nnz
    assert len(missing) == scores.retrieved.nnz - scores.retrieved.multiply(Y).nnz
    for errors, given_or_not in ((missing, 0), (wrong, 1)):
        assert (np.diff(errors.probability) <= 0).all()
        assert (np.asarray(Y[errors.rows, errors.labels]) == given_or_not).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "both"}, "kind must be one of"),
        ({"label_names": ["a"]}, "label_names must hold a name for each of the 5"),
        ({"y": np.ones((3, 5), int)}, "scores must have the shape of y"),
        ({"y": np.ones((12, 5), int)}, "scores must be of the same y"),
    ],
)
def test_bad_arguments(change, message):
    Y, scores, _ = small_case(0)
    arguments = {"y": Y, "scores": scores, **change}
    with pytest.raises(ValueError, match=message):
        find_label_errors(**arguments)
