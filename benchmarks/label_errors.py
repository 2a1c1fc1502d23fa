"""Errors planted among the labels of data sets: how many are found, and how fast.

    python benchmarks/label_errors.py FOLDER --seeds 0 1

Of the training part, 5 % of the given labels are dropped ("dropped"), or replaced by
any other label ("swapped") or by one of the same leaf of a label tree ("swapped,
near"). Prints the share of the planted errors among as many proposals and among twice
as many, and the precision of the first tenth, in percent: by chance, by held-out
scores, by scores against the mean score of each label (confident learning), and by
``find_label_errors``; and the seconds of processor time of cross-validation and of the
ranking. Real data
have errors of their own, which count as wrong proposals here. First, half of the
instances of 300 labels get new labels, which ``find_duplicate_labels`` has to pair:
the share among 300 and 600 pairs and among all.

    python benchmarks/label_errors.py FOLDER --copies

Instead, what copies of an instance do on both sides of the folds, or together on one:
P@5 of the held-out scores, and the share of dropped labels found, where each instance
lost its own and where all copies lost the same.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from compare_peers import load_folder
from scipy import sparse
from sklearn.model_selection import GroupKFold

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    XRLinearClassifier,
    label_representation,
)
from sklearn_xmr.inspection import find_duplicate_labels, find_label_errors
from sklearn_xmr.metrics import precision_at_k
from sklearn_xmr.model_selection import cross_val_score_pairs

SHARE = 0.05
N_SPLIT = 300


def siblings(X, Y, labels, rng):
    """For each of some labels another one of its leaf, or any."""
    tree = HierarchicalLabelClusterer(random_state=0).fit(X, Y).tree_
    place = np.empty(tree.n_labels, dtype=int)
    place[tree.label_order] = np.arange(tree.n_labels)
    starts = tree.offsets[-1]
    leaf = np.searchsorted(starts, place[labels], side="right") - 1
    drawn = starts[leaf] + rng.integers(0, np.diff(starts)[leaf])
    return tree.label_order[drawn]


def plant(X, Y, kind, rng):
    """The damaged Y, and keys of the labels that are missing and wrong in it."""
    rows, labels = Y.nonzero()
    n_labels = Y.shape[1]
    keys = rows * np.int64(n_labels) + labels
    gone = rng.choice(len(keys), round(SHARE * len(keys)), replace=False)
    new = np.empty(0, dtype=np.int64)
    if kind != "dropped":
        taken = rng.integers(0, n_labels, len(gone))
        if kind == "swapped, near":
            taken = siblings(X, Y, labels[gone], rng)
        new = np.setdiff1d(rows[gone] * np.int64(n_labels) + taken, keys)
    kept = np.union1d(np.delete(keys, gone), new)
    damaged = sparse.csr_matrix(
        (np.ones(len(kept), np.float32), np.divmod(kept, n_labels)), shape=Y.shape
    )
    return damaged, keys[gone], new


def shares(order, is_planted, n):
    """Planted errors among the first n and 2 n in percent, precision of a tenth."""
    hits = is_planted[order]
    found = [hits[: times * n].sum() / n for times in (1, 2)]
    return [f"{100 * value:.1f}" for value in (*found, hits[: n // 10].mean())]


def rankings(errors, Y, scores, rng):
    """Orders of the same proposals by other rules, and ours."""
    sign = 1 if errors.kind == "missing" else -1
    counts = np.maximum(np.bincount(Y.indices, minlength=Y.shape[1]), 1)
    mean = np.bincount(Y.indices, scores.given.data, Y.shape[1]) / counts
    against = errors.held_out_scores - mean[errors.labels]
    return {
        "chance": rng.permutation(len(errors)),
        "score": np.argsort(-sign * errors.held_out_scores, kind="stable"),
        "score - mean of label": np.argsort(-sign * against, kind="stable"),
        "find_label_errors": np.arange(len(errors)),
    }


def planted_errors(name, X, Y, kind, seed):
    """Plant errors, look for them, and print a row for each rule."""
    rng = np.random.default_rng(seed)
    damaged, dropped, wrong = plant(X, Y, kind, rng)
    start = time.process_time()
    clf = XRLinearClassifier(random_state=0)
    scores = cross_val_score_pairs(clf, X, damaged, random_state=0)
    fit_s = time.process_time() - start
    for what, planted in (("missing", dropped), ("wrong", wrong)):
        if not len(planted):
            continue
        start = time.process_time()
        errors = find_label_errors(damaged, scores, kind=what, random_state=0)
        find_s = time.process_time() - start
        keys = errors.rows * np.int64(Y.shape[1]) + errors.labels
        is_planted, n = np.isin(keys, planted), len(planted)
        for rule, order in rankings(errors, damaged, scores, rng).items():
            cells = [name, kind, seed, what, n, rule, *shares(order, is_planted, n)]
            cells += [f"{fit_s:.0f}", f"{find_s:.1f}"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def copies_in_folds(name, X, Y, seed):
    """Drop labels by instance or from all copies, and look with both kinds of folds."""
    X = sparse.csr_matrix(X)
    parts = (np.split(part, X.indptr[1:-1]) for part in (X.indices, X.data))
    contents = [(i.tobytes(), v.tobytes()) for i, v in zip(*parts, strict=True)]
    number = {content: at for at, content in enumerate(contents)}
    of_copies = np.array([number[content] for content in contents])
    rows, labels = Y.nonzero()
    for who, groups in (("each", np.arange(Y.shape[0])), ("all copies", of_copies)):
        pairs = groups[rows] * np.int64(Y.shape[1]) + labels
        of_pair = np.unique(pairs, return_inverse=True)[1]
        lost = (np.random.default_rng(seed).random(len(rows)) < SHARE)[of_pair]
        kept = (rows[~lost], labels[~lost])
        damaged = sparse.csr_matrix((np.ones(len(kept[0])), kept), shape=Y.shape)
        planted = (rows * np.int64(Y.shape[1]) + labels)[lost]
        for where, units in (("apart", np.arange(Y.shape[0])), ("together", of_copies)):
            folds = GroupKFold(5, shuffle=True, random_state=0).split(X, groups=units)
            clf = XRLinearClassifier(random_state=0)
            scores = cross_val_score_pairs(clf, X, damaged, cv=folds, random_state=0)
            errors = find_label_errors(damaged, scores, random_state=0)
            keys = errors.rows * np.int64(Y.shape[1]) + errors.labels
            order, n = np.arange(len(errors)), len(planted)
            found = shares(order, np.isin(keys, planted), n)
            p_at_5 = 100 * precision_at_k(damaged, scores.retrieved, k=5)
            cells = [name, seed, who, n, where, f"{p_at_5:.1f}", *found]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def split_labels(name, X, Y, seed):
    """Give half of the instances of some labels to new ones, and look for the pairs."""
    rng = np.random.default_rng(seed)
    rows, labels = Y.nonzero()
    counts = np.bincount(labels, minlength=Y.shape[1])
    chosen = rng.choice(np.flatnonzero(counts >= 6), N_SPLIT, replace=False)
    new, twins = np.arange(Y.shape[1]), Y.shape[1] + np.arange(N_SPLIT)
    new[chosen] = twins
    labels = np.where(rng.random(len(labels)) < 0.5, new[labels], labels)
    shape = (Y.shape[0], Y.shape[1] + N_SPLIT)
    ones = np.ones(len(rows), np.float32)
    split = sparse.csr_matrix((ones, (rows, labels)), shape=shape)
    clf = XRLinearClassifier(random_state=0).fit(X, split)
    for what, vectors in (("pifa", label_representation(X, split)), ("weights", clf)):
        start = time.process_time()
        pairs = find_duplicate_labels(split, label_vectors=vectors)
        seconds = time.process_time() - start
        hits = np.isin(pairs.first * shape[1] + pairs.second, chosen * shape[1] + twins)
        by_cosine = np.argsort(-pairs.vector_similarity, kind="stable")
        for rule, found in (("cosine", hits[by_cosine]), ("score", hits)):
            some = [f"{found[:n].sum() / N_SPLIT:.0%}" for n in (300, 600, len(found))]
            cells = [name, what, rule, *some, f"{seconds:.1f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--copies", action="store_true", help="copies in folds only")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        X, Y = load_folder(folder.resolve())[0]
        Y = sparse.csr_matrix(Y)
        for seed in arguments.seeds:
            if arguments.copies:
                copies_in_folds(folder.name, X, Y, seed)
                continue
            split_labels(folder.name, X, Y, seed)
            for kind in ("dropped", "swapped", "swapped, near"):
                planted_errors(folder.name, X, Y, kind, seed)


if __name__ == "__main__":
    main()
