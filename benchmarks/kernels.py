"""Micro-benchmarks of the kernels: seconds, or instructions under callgrind.

    python benchmarks/kernels.py                 # best of five runs, milliseconds
    python benchmarks/kernels.py --callgrind     # instructions, which noise cannot move

Each kernel runs alone on generated data, on one thread. With ``--callgrind`` every
kernel runs in a process of its own under valgrind, which counts the instructions of
the package's extension modules only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"


from sklearn_xmr import HierarchicalLabelClusterer, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.indexing._representation import pifa


def data(scale):
    """A problem of 2000 x scale labels."""
    n = int(2000 * scale)
    return make_xmr_classification(
        n_samples=3 * n, n_features=n, n_labels=n, random_state=0
    )


def kernels(scale):
    """Name -> (set-up, function)."""
    X, Y = data(scale)
    Y = Y.tocsr()
    tree = HierarchicalLabelClusterer(branching_factor=100, random_state=0).fit(X, Y)
    E = pifa(X, Y, 500)
    fitted = XRLinearClassifier(tree.tree_, random_state=0).fit(X, Y)
    best = fitted.topk_predictor(10)
    rows = [X[row] for row in range(200)]
    pairs = Y[:1000]

    def fit(**parameters):
        return lambda: XRLinearClassifier(tree.tree_, random_state=0, **parameters).fit(
            X, Y
        )

    return {
        "pifa": lambda: pifa(X, Y, 500),
        "balanced 2-means": lambda: HierarchicalLabelClusterer(random_state=0).fit(E),
        "solver, squared hinge": fit(),
        "solver, hinge": fit(loss="hinge"),
        "solver, logistic": fit(loss="logistic"),
        "search, batch": lambda: fitted.predict_topk(X, 10),
        "search, 200 single rows": lambda: [best(row) for row in rows],
        "search, given pairs": lambda: fitted.score_pairs(X[:1000], pairs),
    }


def milliseconds(function, repeats=5):
    """Best of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def instructions(name, scale):
    """Instructions of the extension modules, without those of the set-up."""
    counts = []
    for repeats in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "callgrind.out")
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
            command += [sys.executable, __file__, "--once", name, "--scale", str(scale)]
            command += ["--repeats", str(repeats)]
            subprocess.run(command, check=True, capture_output=True)
            report = subprocess.run(
                ["callgrind_annotate", "--threshold=100", str(out)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        own = re.findall(r"^\s*([\d,]+) .*sklearn_xmr/.*\.so", report, re.MULTILINE)
        counts.append(sum(int(count.replace(",", "")) for count in own))
    return counts[1] - counts[0]


def main():
    """Print a line per kernel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--once", help="run one kernel (used with valgrind)")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    scale = args.scale or (0.25 if args.callgrind or args.once else 2.0)
    functions = kernels(scale)
    if args.once:
        for _ in range(args.repeats):
            functions[args.once]()
        return
    unit = "million instructions" if args.callgrind else "ms"
    print(f"| kernel | {unit} |\n| --- | --- |")
    for name, function in functions.items():
        value = (
            instructions(name, scale) / 1e6
            if args.callgrind
            else milliseconds(function)
        )
        print(f"| {name} | {value:.1f} |", flush=True)


if __name__ == "__main__":
    main()
