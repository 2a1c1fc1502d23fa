"""Labels added to a fitted model against a fit of the whole: time and precision.

    python benchmarks/incremental.py ~/.cache/xmr-compare-peers/data/tibkat-gnd

Of the labels with an instance, a share is left out of the first fit and added later
(five labels in a hundred by default). Data as ``compare_peers.py`` writes them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.metrics import precision_at_k


def timed(call, *args, **kwargs):
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    out = call(*args, **kwargs)
    return time.perf_counter() - start, out


def describe(name, seconds, clf, X, Y, order):
    """One line of the table; columns of Y in the model's order."""
    labels, scores = clf.predict_topk(X, k=5)
    topk = np.where(labels >= 0, order[labels], -1), scores
    values = " | ".join(f"{100 * precision_at_k(Y, topk, k=k):.2f}" for k in (1, 3, 5))
    print(f"| {name} | {seconds:.2f} | {values} |", flush=True)


def main():
    """Fit all labels; fit a part, add the rest, remove it again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    args = parser.parse_args()
    X, Y, X_test, Y_test = (
        sparse.csr_matrix(
            sparse.load_npz(args.data / f"{which}.{part}.npz"), dtype="f4"
        )
        for part in ("trn", "tst")
        for which in "XY"
    )
    n_labels = Y.shape[1]
    order = np.random.RandomState(0).permutation(n_labels)
    n_new = int(args.share * n_labels)
    Y_order = Y[:, order]
    print("| what | seconds | P@1 | P@3 | P@5 |")
    print("| --- " * 5 + "|")
    seconds, whole = timed(XRLinearClassifier(random_state=0).fit, X, Y_order)
    describe("fit of all labels", seconds, whole, X_test, Y_test, order)
    first = XRLinearClassifier(random_state=0)
    seconds, _ = timed(first.fit, X, Y_order[:, :-n_new])
    describe(f"fit without {n_new} labels", seconds, first, X_test, Y_test, order)
    for n in (1, n_new):
        last = n_labels - n_new + n
        seconds, _ = timed(first.add_labels, X, Y_order[:, :last])
        describe(f"add_labels, {n}", seconds, first, X_test, Y_test, order)
        seconds, _ = timed(first.remove_labels, np.arange(n_labels - n_new, last))
        print(f"| remove_labels, {n} | {seconds:.2f} | | | |", flush=True)
    seconds, _ = timed(first.refit_branch, X, Y_order[:, :-n_new], 0, 0)
    print(
        f"| refit_branch, one of {first.tree_.level_sizes[0]} | {seconds:.2f} | | | |"
    )
    warm = XRLinearClassifier(random_state=0, warm_start=True).fit(X, Y_order)
    seconds, _ = timed(warm.fit, X, Y_order)
    print(f"| fit, warm_start | {seconds:.2f} | | | |")


if __name__ == "__main__":
    main()
