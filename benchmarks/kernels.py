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
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
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
    """Name -> function that sets the kernel up and returns what to measure.

    What several share is made when first asked for: under valgrind it costs minutes.
    """
    X, Y = data(scale)
    Y = Y.tocsr()

    @cache
    def tree():
        clusterer = HierarchicalLabelClusterer(branching_factor=100, random_state=0)
        return clusterer.fit(X, Y).tree_

    @cache
    def fitted():
        return XRLinearClassifier(tree(), random_state=0).fit(X, Y)

    def means():
        vectors = pifa(X, Y, 500)
        return lambda: HierarchicalLabelClusterer(random_state=0).fit(vectors)

    def fit(loss):
        clf = XRLinearClassifier(tree(), loss=loss, random_state=0)
        return lambda: clf.fit(X, Y)

    def single_rows():
        best, rows = fitted().topk_predictor(10), [X[row] for row in range(200)]
        return lambda: [best(row) for row in rows]

    return {
        "pifa": lambda: lambda: pifa(X, Y, 500),
        "balanced 2-means": means,
        "solver, squared hinge": lambda: fit("squared_hinge"),
        "solver, hinge": lambda: fit("hinge"),
        "solver, logistic": lambda: fit("logistic"),
        "search, batch": lambda: partial(fitted().predict_topk, X, 10),
        "search, 200 single rows": single_rows,
        "search, given pairs": lambda: partial(
            fitted().score_pairs, X[:1000], Y[:1000]
        ),
    }


def milliseconds(function, repeats=5):
    """Best of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def count(name, scale, repeats):
    """Instructions of the extension modules in a process of its own."""
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
    return sum(int(number.replace(",", "")) for number in own)


def instructions(names, scale):
    """Of each kernel, without its set-up; two processes at a time."""
    with ThreadPoolExecutor(2) as pool:
        counts = [
            [pool.submit(count, name, scale, repeats) for repeats in (0, 1)]
            for name in names
        ]
        for name, (without, once) in zip(names, counts, strict=True):
            yield name, (once.result() - without.result()) / 1e6


def main():
    """Print a line per kernel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--once", help="run one kernel (used with valgrind)")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    scale = args.scale or (0.25 if args.callgrind or args.once else 2.0)
    set_ups = kernels(scale)
    if args.once:
        function = set_ups[args.once]()
        for _ in range(args.repeats):
            function()
        return
    if args.callgrind:
        unit, values = "million instructions", instructions(list(set_ups), scale)
    else:
        unit = "ms"
        values = ((name, milliseconds(set_up())) for name, set_up in set_ups.items())
    print(f"| kernel | {unit} |\n| --- | --- |")
    for name, value in values:
        print(f"| {name} | {value:.1f} |", flush=True)


if __name__ == "__main__":
    main()
