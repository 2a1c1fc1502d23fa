"""Tate's labels with and without their thesaurus: sets, fallbacks, rankings, time.

    python benchmarks/hierarchy.py
    python benchmarks/hierarchy.py --held-out   # on a tenth of the training rows
    python benchmarks/hierarchy.py --concepts 1000000   # time of a large thesaurus

"labels alone" is a calibrated tree, whose sets are extended by their ancestors
afterwards. The other two are ``XRHierarchyClassifier``, with broader labels combined of
the narrow ones or learnt. All retrieve ``--top-k`` labels.
"""

import argparse
import time

import numpy as np
from scipy import sparse

from sklearn_xmr import (
    Thesaurus,
    XRCalibratedClassifier,
    XRHierarchyClassifier,
    XRLinearClassifier,
)
from sklearn_xmr.datasets import load_tate_subjects, load_tate_thesaurus
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.metrics import (
    ece_at_k,
    hierarchical_f1_at_k,
    hierarchical_precision_at_k,
    hierarchical_recall_at_k,
    precision_at_k,
)

THRESHOLDS = (0.3, 0.5, 0.7)
THESAURUS = load_tate_thesaurus()
N_LABELS = 8046  # concepts behind them are broader


def load(held_out):
    """Features and label indicators with all ancestors, to train and to test."""
    texts, Y = load_tate_subjects(subset="train", return_X_y=True)
    if held_out:
        order = np.random.RandomState(0).permutation(len(texts))
        test, train = np.split(order, [len(texts) // 10])
        parts = [([texts[i] for i in rows], Y[rows]) for rows in (train, test)]
    else:
        parts = [(texts, Y), load_tate_subjects(subset="test", return_X_y=True)]
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    X = vectorizer.fit_transform(parts[0][0])
    X_test = vectorizer.transform(parts[1][0])
    return X, X_test, *(THESAURUS.with_ancestors(Y) for _, Y in parts)


def models(top_k, seed):
    """The three, by name."""
    tree = XRLinearClassifier(top_k=top_k, random_state=seed)
    alone = XRCalibratedClassifier(tree, top_k=top_k, random_state=seed)
    found = {"labels alone": alone}
    for name, broader in (("combined", "combine"), ("learnt", "learn")):
        # Twice the labels: broader ones come on top, and cut none of the narrow ones.
        found[name] = XRHierarchyClassifier(
            alone, thesaurus=THESAURUS, broader=broader, top_k=2 * top_k
        )
    return found


def set_figures(answers, truth):
    """Of label sets: hP, hR, hF; narrow answers and fallbacks a row, and precisions."""
    pair = answers, sparse.csr_matrix(answers, dtype=float)
    k = int(np.diff(answers.indptr).max(initial=1))
    out = [
        100 * metric(truth, pair[1], k, thesaurus=THESAURUS)
        for metric in (
            hierarchical_precision_at_k,
            hierarchical_recall_at_k,
            hierarchical_f1_at_k,
        )
    ]
    specific = THESAURUS.most_specific(answers)
    for part in (slice(N_LABELS), slice(N_LABELS, None)):
        given = sparse.csr_matrix(specific[:, part])
        right = given.multiply(truth[:, part]).sum()
        out += [given.nnz / len(truth.indptr[1:]), 100 * right / max(given.nnz, 1)]
    return [*out, 100 * np.mean(np.diff(answers.indptr) == 0)]


def evaluate(name, model, X, X_test, Y, Y_test, seed):
    """Print a line for each threshold, then one of the ranking and of the time."""
    start = time.process_time(), time.perf_counter()
    model.fit(X, THESAURUS.most_specific(Y) if name == "labels alone" else Y)
    fit_s = time.process_time() - start[0]
    start = time.process_time()
    proba = sparse.csr_matrix(model.predict_proba(X_test))
    batch = 1e6 * (time.process_time() - start) / len(Y_test.indptr[1:])
    for threshold in THRESHOLDS:
        answers = sparse.csr_matrix(proba > threshold, dtype=np.int64)
        figures = set_figures(THESAURUS.with_ancestors(answers), Y_test)
        shown = " | ".join(f"{value:.2f}" for value in figures)
        print(f"sets | {name} | {seed} | {threshold} | {shown}", flush=True)
    narrow = sparse.csr_matrix(proba[:, :N_LABELS])
    truth = sparse.csr_matrix(Y_test[:, :N_LABELS])
    ranking = [100 * precision_at_k(truth, narrow, k) for k in (1, 3, 5)]
    ranking += [100 * hierarchical_f1_at_k(truth, narrow, 5, thesaurus=THESAURUS)]
    wide = sparse.csr_matrix(proba[:, N_LABELS:])
    if name != "labels alone":
        ranking += [100 * ece_at_k(Y_test[:, N_LABELS:], wide, 20)]
    shown = " | ".join(f"{value:.2f}" for value in ranking)
    print(f"rank | {name} | {seed} | {shown} | {fit_s:.1f} s, {batch:.0f} us a row")


def large(n_concepts):
    """Print the seconds that a random tree and a chain of a 300th of it take."""
    rng = np.random.RandomState(0)
    parents = rng.randint(0, np.maximum(np.arange(n_concepts), 1))
    parents[0] = -1
    for shape, of in (("tree", parents), ("chain", np.arange(n_concepts // 300) - 1)):
        start = time.perf_counter()
        thesaurus = Thesaurus.from_parents(of)
        made = time.perf_counter()
        n_pairs = thesaurus.closure.nnz
        closed = time.perf_counter() - made
        print(f"{shape} of {thesaurus.n_concepts}: made in {made - start:.1f} s,")
        print(f"  its {n_pairs} pairs in {closed:.1f} s")


def main():
    """Fit and evaluate all models for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--top-k", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--concepts", type=int)
    args = parser.parse_args()
    if args.concepts:
        large(args.concepts)
        return
    X, X_test, Y, Y_test = load(args.held_out)
    print(
        "sets | model | seed | threshold | hP | hR | hF | narrow | right % | ", end=""
    )
    print("fell back | right % | rows without")
    print("rank | model | seed | P@1 | P@3 | P@5 | hF@5 | ECE broader % | time")
    for seed in args.seeds:
        for name, model in models(args.top_k, seed).items():
            evaluate(name, model, X, X_test, Y, Y_test, seed)


if __name__ == "__main__":
    main()
