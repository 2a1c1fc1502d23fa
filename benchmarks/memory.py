"""Bytes of a model and of its training, against what doc/performance.md predicts.

    python benchmarks/memory.py ../shared/data/tate-subjects 10000 100000

A folder is a data set, a number makes generated data of as many labels, as growth.py
does. Each runs in a process of its own: the peak is that of the process.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from compare_peers import prepare
from peer_worker import peak_mb
from scipy import sparse

MB = 1e6
COLUMNS = "rows, non-zeros, labels, weights, model MB, bytes a weight, peak MB, formula"


def predicted_peak(n_nonzero, n_bytes):
    """The formula of doc/performance.md, in bytes."""
    return 230 * MB + 20 * n_nonzero + 2.6 * n_bytes


def measure(folder):
    """Fit one model, and print a row of the table."""
    from sklearn_xmr import XRLinearClassifier

    X, Y = (
        sparse.csr_matrix(sparse.load_npz(folder / f"{which}.trn.npz"), dtype="f4")
        for which in "XY"
    )
    clf = XRLinearClassifier(random_state=0).fit(X, Y)
    peak = peak_mb() * 2**20
    n_weights = sum(level.to_csr().nnz for level in clf.weights_)
    values = [X.shape[0], X.nnz, Y.shape[1], n_weights, clf.nbytes_ / MB]
    values += [clf.nbytes_ / n_weights, peak / MB]
    values += [predicted_peak(X.nnz, clf.nbytes_) / MB]
    print(f"| {folder.name} | " + " | ".join(f"{v:.4g}" for v in values) + " |")


def data_of(name, work):
    """Folder of the matrices of a data set, or of generated ones."""
    if name.isdigit():
        import growth

        return growth.prepare(int(name), work, systems=())
    return prepare(Path(name), work)


def main():
    """Print a table, a process for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--work", type=Path, default=Path("~/.cache/xmr-compare-peers"))
    parser.add_argument("--fit", action="store_true", help="data are ready, fit here")
    args = parser.parse_args()
    if args.fit:
        measure(Path(args.data[0]))
        return
    names = COLUMNS.split(", ")
    print("| data | " + " | ".join(names) + " |")
    print("| --- " * (len(names) + 1) + "|", flush=True)
    for name in args.data:
        folder = data_of(name, args.work.expanduser())
        subprocess.run([sys.executable, __file__, str(folder), "--fit"], check=True)


if __name__ == "__main__":
    main()
