"""Learning part by part, and correction by correction, against one fit of all.

    python benchmarks/learning.py FOLDER [--parts 20] [--corrections 1000] [--seeds 3]
    python benchmarks/learning.py FOLDER --methods

FOLDER has X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz, as ``compare_peers.py`` writes
them. Labels come into the stream with their first instance. ``--methods`` compares
ways to learn on held-out training rows.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.linear import _tree_updates
from sklearn_xmr.metrics import precision_at_k


class Stream:
    """Training rows in random order, labels in the order in which they appear."""

    def __init__(self, X, Y, seed):
        rows = np.random.RandomState(seed).permutation(X.shape[0])
        X, Y = X[rows], Y[rows]
        first = np.full(Y.shape[1], Y.shape[0])
        places = Y.tocoo()
        np.minimum.at(first, places.col, places.row)
        self.order = np.argsort(first, kind="stable")
        self.X, self.Y, self._first = X, Y[:, self.order], first[self.order]

    def part(self, start, end):
        """Rows from start to end, with the labels until then."""
        n_labels = np.searchsorted(self._first, end)
        return self.X[start:end], self.Y[start:end, :n_labels]


def precisions(clf, X, Y, order):
    """P@1, P@3, P@5 in percent; columns of Y in the model's order."""
    Y = Y[:, order[: clf.n_labels_]]
    topk = clf.predict_topk(X, k=5)
    return [100 * precision_at_k(Y, topk, k=k) for k in (1, 3, 5)]


def learn_in_parts(stream, n_parts, seed, n_rehearsed=0, **parameters):
    """A model of all parts, and the seconds that each took.

    With ``n_rehearsed``, so many random earlier rows come with each row of a part.
    """
    clf, seconds = XRLinearClassifier(random_state=seed, **parameters), []
    bounds = np.linspace(0, stream.X.shape[0], n_parts + 1).astype(int)
    rng = np.random.RandomState(seed)
    for start, end in itertools.pairwise(bounds):
        X, Y = stream.part(start, end)
        if n_rehearsed and start:
            n_old = min(start, n_rehearsed * (end - start))
            old = rng.choice(start, n_old, replace=False)
            X = sparse.vstack([X, stream.X[old]], format="csr")
            Y = sparse.vstack([Y, stream.Y[old, : Y.shape[1]]], format="csr")
        began = time.perf_counter()
        clf.partial_fit(X, Y)
        seconds.append(time.perf_counter() - began)
    return clf, seconds


def correct(clf, X, Y):
    """Median and 95th percentile of the milliseconds of corrections, one by one."""
    seconds = []
    for row in range(X.shape[0]):
        x, y = X[row], Y[row]
        began = time.perf_counter()
        clf.partial_fit(x, y)
        seconds.append(time.perf_counter() - began)
    return 1e3 * np.percentile(seconds, [50, 95])


def compare(data, n_parts, n_corrections, seed):
    """Figures of one seed: precisions of the first part, of all parts, of one fit."""
    X, Y, X_test, Y_test = data
    stream = Stream(X, Y, seed)
    order = stream.order
    began = time.perf_counter()
    whole = XRLinearClassifier(random_state=seed).fit(stream.X, stream.Y)
    fit_seconds = time.perf_counter() - began
    clf, seconds = learn_in_parts(stream, n_parts, seed)
    n_first = X.shape[0] // n_parts
    first = XRLinearClassifier(random_state=seed).fit(*stream.part(0, n_first))
    for name, model in (("first part", first), ("parts", clf), ("one fit", whole)):
        values = precisions(model, X_test, Y_test, order)
        print(f"{seed} {name:12}", *(f"{v:.2f}" for v in values), model, flush=True)
    print(f"{seed} seconds: fit {fit_seconds:.2f}, parts {sum(seconds):.2f}", end=", ")
    print(f"ratio {sum(seconds) / fit_seconds:.2f}; ", end="")
    print(f"megabytes {whole.nbytes_ / 1e6:.1f}, {clf.nbytes_ / 1e6:.1f}")
    with threadpool_limits(1):
        for name, model in (("one fit", whole), ("parts", clf)):
            n = min(n_corrections, X_test.shape[0])
            times = correct(model, X_test[:n], Y_test[:n, order[: model.n_labels_]])
            print(
                f"{seed} {n} corrections of {name}: median {times[0]:.2f} ms, 95 % "
                f"below {times[1]:.2f} ms",
                flush=True,
            )


def compare_methods(X, Y, n_parts):
    """Ways to learn, on rows that are held out of the training rows."""
    rows = np.random.RandomState(0).permutation(X.shape[0])
    n_held_out = min(3000, len(rows) // 5)
    held_out, rest = rows[:n_held_out], rows[n_held_out:]
    stream = Stream(X[rest], Y[rest], 0)
    evidence, kept = _tree_updates.EVIDENCE, _tree_updates.KEPT
    methods = {
        "as it is": {},
        "old weights as prior, without evidence": {"EVIDENCE": 0.0},
        **{f"evidence times {f}": {"EVIDENCE": f * evidence} for f in (0.4, 2, 5)},
        **{f"threshold times {f}": {"KEPT": f} for f in (1.0, 0.0)},
        "as many old rows again": {"n_rehearsed": 1},
        "three times as many": {"n_rehearsed": 3},
        "teacher-forced negatives": {"negative_sampling": "tfn"},
        "C=0.7": {"C": 0.7},
    }
    for name, changes in methods.items():
        changes = dict(changes)
        _tree_updates.EVIDENCE = changes.pop("EVIDENCE", evidence)
        _tree_updates.KEPT = changes.pop("KEPT", kept)
        clf, _ = learn_in_parts(stream, n_parts, 0, **changes)
        values = precisions(clf, X[held_out], Y[held_out], stream.order)
        print(
            f"| {name} |", *(f"{v:.2f} |" for v in values), f"{clf.nbytes_ / 1e6:.1f} |"
        )
    whole = XRLinearClassifier(random_state=0).fit(stream.X, stream.Y)
    values = precisions(whole, X[held_out], Y[held_out], stream.order)
    print(
        "| one fit |", *(f"{v:.2f} |" for v in values), f"{whole.nbytes_ / 1e6:.1f} |"
    )


def main():
    """Compare for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("--corrections", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", action="store_true")
    args = parser.parse_args()
    data = [
        sparse.csr_matrix(sparse.load_npz(args.folder / f"{which}.{part}.npz"))
        for part in ("trn", "tst")
        for which in "XY"
    ]
    if args.methods:
        compare_methods(data[0], data[1], args.parts)
        return
    for seed in range(args.seeds):
        compare(data, args.parts, args.corrections, seed)


if __name__ == "__main__":
    main()
