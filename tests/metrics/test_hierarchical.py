"""Hierarchical metrics: a published example, and slow sets on every form of scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_xmr import Thesaurus, XRLinearClassifier, make_topk_scorer, metrics
from sklearn_xmr.metrics import (
    hierarchical_f1_at_k,
    hierarchical_precision_at_k,
    hierarchical_recall_at_k,
    make_topk_scorers,
)

METRICS = {
    "precision": hierarchical_precision_at_k,
    "recall": hierarchical_recall_at_k,
    "f1": hierarchical_f1_at_k,
}


def test_example_of_the_paper():
    """S. Kiritchenko, S. Matwin, A. F. Famili. "Functional Annotation of Genes Using
    Hierarchical Text Categorization", 2005, section 3.3: the class is G, below E, which
    is below B and C; F, below C, is predicted. The root A does not count. The extended
    sets are {B, C, E, G} and {C, F}, so that hP = 1/2 and hR = 1/4.
    """
    parents = {"B": None, "C": None, "E": ["B", "C"], "F": "C", "G": "E"}
    thesaurus = Thesaurus.from_parents(parents)
    y_true, y_score = [[0, 0, 0, 0, 1]], [[0, 0, 0, 1, 0]]
    given = {"k": 1, "thesaurus": thesaurus}
    assert hierarchical_precision_at_k(y_true, y_score, **given) == 1 / 2
    assert hierarchical_recall_at_k(y_true, y_score, **given) == 1 / 4
    assert hierarchical_f1_at_k(y_true, y_score, **given) == pytest.approx(1 / 3)
    rooted = {"A": None, **{c: above or "A" for c, above in parents.items()}}
    rooted = Thesaurus.from_parents(rooted).without(["A"])
    given["thesaurus"] = rooted
    assert hierarchical_recall_at_k(y_true, y_score, **given) == 1 / 4


def test_examples_of_another_package():
    """The cases of globality-corp/sklearn-hierarchical-classification (test_metrics.py
    at commit 0dd8462): a path 0 > 1 > 2 > 3, whose root counts.
    """
    thesaurus = Thesaurus.from_parents([-1, 0, 1, 2])
    y_true = [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    y_pred = sparse.csr_matrix([[0, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]])
    given = {"k": 4, "thesaurus": thesaurus}
    assert hierarchical_recall_at_k(y_true, y_pred, **given) == 6 / 9
    assert hierarchical_precision_at_k(y_true, y_pred, **given) == 1
    assert hierarchical_f1_at_k(y_true, y_pred, **given) == pytest.approx(0.8)
    y_true[2], y_pred = [1, 0, 0, 0], y_pred.tolil()
    y_pred[2] = [0, 0, 0, 1]
    assert hierarchical_recall_at_k(y_true, y_pred, **given) == 5 / 6
    assert hierarchical_precision_at_k(y_true, y_pred, **given) == 5 / 8
    assert hierarchical_f1_at_k(y_true, y_pred, **given) == pytest.approx(10 / 14)


def slow_extended(labels, above):
    """The labels and all that are broader, by walking."""
    out, left = set(), list(labels)
    while left:
        label = left.pop()
        out.add(label)
        left.extend(above[label])
    return out


def slow_metrics(truth, scores, stored, k, above, weight):
    """All metrics by sets, as the paper defines them, and their means over rows."""
    sums, rows = np.zeros(3), {name: [] for name in METRICS}
    for y, s, present, w in zip(truth, scores, stored, weight, strict=True):
        order = sorted(np.flatnonzero(present), key=lambda label: (-s[label], label))
        predicted = slow_extended(order[:k], above)
        true = slow_extended(np.flatnonzero(y), above)
        shared = len(predicted & true)
        sums += w * np.array([shared, len(predicted), len(true)])
        rows["precision"].append(shared / len(predicted) if predicted else 0)
        rows["recall"].append(shared / len(true) if true else 0)
        total = len(predicted) + len(true)
        rows["f1"].append(2 * shared / total if total else 0)
    shared, predicted, true = sums
    micro = {
        "precision": shared / predicted if predicted else 0,
        "recall": shared / true if true else 0,
        "f1": 2 * shared / (predicted + true) if predicted + true else 0,
    }
    means = {name: np.average(values, weights=weight) for name, values in rows.items()}
    return {"micro": micro, "samples": means}


@given(st.integers(0, 2**31 - 1), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_all_forms_equal_the_slow_version(seed, k):
    rng = np.random.RandomState(seed)
    n, n_labels, n_more = rng.randint(1, 6), rng.randint(1, 8), rng.randint(0, 4)
    n_concepts = n_labels + n_more
    rank = rng.permutation(n_concepts)  # broader ones rank higher: no cycle
    linked = (rng.rand(n_concepts, n_concepts) < 0.3) & (rank[:, None] < rank)
    above = {i: np.flatnonzero(row).tolist() for i, row in enumerate(linked)}
    thesaurus = Thesaurus.from_parents(sparse.csr_matrix(linked))
    truth = (rng.rand(n, n_labels) < rng.rand()).astype(int)
    scores = rng.randint(-2, 3, size=(n, n_labels)).astype(float)
    stored = rng.rand(n, n_labels) < rng.rand()
    weight = rng.randint(1, 4, n).astype(float)
    expected = slow_metrics(truth, scores, stored, k, above, weight)
    rows, labels = np.nonzero(stored)
    as_csr = sparse.csr_matrix((scores[stored], (rows, labels)), shape=truth.shape)
    pair = np.where(stored, np.arange(n_labels), -1), scores
    extended = thesaurus.with_ancestors(truth)
    wide = sparse.csr_matrix((n, n_more))
    for y_true, y_score in (
        (truth, as_csr),
        (sparse.csr_array(truth), pair),
        (extended, sparse.hstack([as_csr, wide], format="csr")),
        (extended, pair),
    ):
        for name, metric in METRICS.items():
            for average in ("micro", "samples"):
                value = metric(
                    y_true,
                    y_score,
                    k,
                    thesaurus=thesaurus,
                    average=average,
                    sample_weight=weight,
                )
                wanted = expected[average][name]
                assert value == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_without_relations_they_are_the_plain_ones():
    rng = np.random.RandomState(0)
    truth, scores = rng.rand(30, 9) < 0.3, rng.rand(30, 9)
    given = {"thesaurus": Thesaurus.from_parents([-1] * 9), "average": "samples"}
    for name, metric in METRICS.items():
        plain = getattr(metrics, f"{name}_at_k")(truth, scores, 4)
        assert metric(truth, scores, 4, **given) == pytest.approx(plain)


def test_wrong_arguments():
    thesaurus = Thesaurus.from_parents([-1, 0])
    y = [[1, 0]]
    with pytest.raises(TypeError, match=r"sklearn_xmr.Thesaurus, got list; .*parents"):
        hierarchical_f1_at_k(y, y, thesaurus=[[0, 1]])
    with pytest.raises(ValueError, match="average must be 'micro' or 'samples'"):
        hierarchical_f1_at_k(y, y, thesaurus=thesaurus, average="macro")
    with pytest.raises(ValueError, match="at most 2 columns.*got 3"):
        hierarchical_f1_at_k([[1, 0, 1]], [[1, 0, 1]], thesaurus=thesaurus)
    with pytest.raises(ValueError, match="sample_weight"):
        hierarchical_f1_at_k(y, y, thesaurus=thesaurus, sample_weight=[np.inf])
    with pytest.raises(ValueError, match="k must be an integer"):
        hierarchical_f1_at_k(y, y, 0, thesaurus=thesaurus)


def test_as_scorers(small):
    X, Y = small
    thesaurus = Thesaurus.from_parents(np.arange(60) // 4 - 1)
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    one = make_topk_scorer(hierarchical_f1_at_k, k=3, thesaurus=thesaurus)
    value = one(clf, X, Y)
    topk = clf.predict_topk(X, 3)
    assert value == hierarchical_f1_at_k(Y, topk, 3, thesaurus=thesaurus)
    weight = np.arange(600.0)
    several = make_topk_scorers({"hF": one})
    assert several(clf, X, Y, sample_weight=weight)["hF"] != value
