"""Times beside busy processes, against an idle machine.

    python benchmarks/busy.py
    OMP_WAIT_POLICY=passive python benchmarks/busy.py --busy 2

Fits and predictions of Tate's artworks, first alone, then beside so many processes that
do nothing but count. Printed are seconds (median) and their ratio. Run it on an idle
machine.
"""

import argparse
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np

from sklearn_xmr import XRLinearClassifier, XRStackingClassifier, predict_topk
from sklearn_xmr.datasets import load_tate_subjects
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

SMALL = 6000  # instances


@contextmanager
def busy_processes(n):
    """So many processes that count, until the end of a ``with`` block."""
    count = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(count) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def seconds(function, repeats):
    """Median seconds of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def tasks():
    """What is timed: function and number of repeats by name."""
    texts, Y = load_tate_subjects(subset="train", return_X_y=True)
    X = TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    small = X[:SMALL], Y[:SMALL, np.flatnonzero(np.diff(Y[:SMALL].tocsc().indptr))]
    linear, stack = (
        XRLinearClassifier(random_state=0),
        XRStackingClassifier(random_state=0),
    )
    few, all_rows = linear.fit(*small), XRLinearClassifier(random_state=0).fit(X, Y)
    return {
        f"fit, {SMALL} rows": (lambda: linear.fit(*small), 7),
        f"batch, {SMALL} rows": (lambda: predict_topk(few, small[0]), 9),
        "fit, all rows": (lambda: XRLinearClassifier(random_state=0).fit(X, Y), 3),
        "batch, all rows": (lambda: predict_topk(all_rows, X), 5),
        f"stack, {SMALL} rows": (lambda: stack.fit(*small), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=1, help="busy processes")
    n_busy = parser.parse_args().busy
    todo = tasks()
    alone = {name: seconds(*task) for name, task in todo.items()}
    with busy_processes(n_busy):
        beside = {name: seconds(*task) for name, task in todo.items()}
    print(f"| what | alone, s | beside {n_busy} busy, s | ratio |")
    print("| --- | --- | --- | --- |")
    for name, one in alone.items():
        print(f"| {name} | {one:.3f} | {beside[name]:.3f} | {beside[name] / one:.2f} |")


if __name__ == "__main__":
    main()
