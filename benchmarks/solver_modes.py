"""Time of a node's training on its weights ("rows") and on its rows' products ("gram").

    python benchmarks/solver_modes.py

Nodes of 96 labels that differ in rows, sparse features per row and dense features; one
thread, medians of runs in turn. The last columns say what the cost model of
``_node_solver.pyx`` chooses and what that costs against the better mode.
"""

import argparse
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from scipy import sparse

from sklearn_xmr import LabelTree, XRLinearClassifier

N_LABELS = 96


def make_node(n_rows, n_sparse, n_dense, random_state=0):
    """Rows of a leaf: labels share words and directions, rows have three labels."""
    rng = np.random.RandomState(random_state)
    labels = rng.randint(N_LABELS, size=(n_rows, 3))
    indptr = np.arange(n_rows + 1)
    Y = sparse.csr_matrix(
        (np.ones(3 * n_rows), labels.ravel(), 3 * indptr), (n_rows, N_LABELS)
    )
    Y.sum_duplicates()
    Y.data[:] = 1
    words = (rng.zipf(1.3, size=(n_rows, n_sparse)) % 3000) + 10 * labels[:, :1]
    X = sparse.csr_matrix(
        (rng.rand(words.size) + 0.1, words.ravel(), n_sparse * indptr), (n_rows, 4000)
    )
    X.sum_duplicates()
    norms = np.sqrt(X.multiply(X).sum(axis=1)).A1 if n_sparse else np.ones(n_rows)
    X = sparse.diags(1 / norms) @ X
    dense = Y @ rng.randn(N_LABELS, n_dense) + 2 * rng.randn(n_rows, n_dense)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True) + 1e-9
    return sparse.csr_matrix(X, dtype=np.float32), dense.astype(np.float32), Y


def seconds(mode, node, repeats):
    """Of fits in a mode, without what is done once whatever the mode."""
    X, dense, Y = node
    clf = XRLinearClassifier(LabelTree.flat(N_LABELS), random_state=0)
    clf._solver_mode = mode
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        clf.fit((X, dense), Y)
        times.append(time.perf_counter() - start)
    return times


def main():
    """Print a line per node."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    print("| rows | sparse | dense | rows, ms | gram, ms | chosen, ms | loss |")
    print("| --- " * 7 + "|")
    for n_sparse, n_dense in (
        (15, 0),
        (100, 0),
        (0, 128),
        (0, 384),
        (100, 384),
        (0, 768),
    ):
        for n_rows in (30, 60, 120, 250, 500, 1000):
            node = make_node(n_rows, n_sparse, n_dense)
            times = {mode: [] for mode in ("rows", "gram", "auto")}
            for _ in range(args.repeats):
                for mode, own in times.items():
                    own += seconds(mode, node, 1)
            ms = {mode: 1e3 * np.median(own) for mode, own in times.items()}
            best = min(ms["rows"], ms["gram"])
            print(
                f"| {n_rows} | {n_sparse} | {n_dense} | {ms['rows']:.2f} | "
                f"{ms['gram']:.2f} | {ms['auto']:.2f} | {ms['auto'] / best:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
