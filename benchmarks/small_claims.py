"""Two claims of speed: reading the XMC text format, and importing the package.

    python benchmarks/small_claims.py

Prints how many times as fast as a loop in Python ``load_xmc_file`` reads a file of
20,000 rows, and how many times the time of ``import sklearn.linear_model`` the import
of ``sklearn_xmr`` takes. Both are ratios of the fastest of several runs, in turn.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sklearn_xmr.datasets import dump_xmc_file, load_xmc_file, make_xmr_classification


def python_loop(path):
    """What a reader would write first: lists of labels, features and values."""
    labels, features, values = [], [], []
    with open(path) as file:
        next(file)
        for line in file:
            head, *words = line.split(" ")
            labels.append([int(label) for label in head.split(",") if label])
            for word in words:
                feature, value = word.split(":")
                features.append(int(feature))
                values.append(float(value))
    return labels, features, values


def seconds(call):
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parser_ratio(folder):
    """Time of the loop by that of the parser."""
    X, Y = make_xmr_classification(
        20_000, 5000, 500, features_per_sample=60, random_state=0
    )
    path = Path(folder) / "big.txt"
    dump_xmc_file(X, Y, path)
    runs = [
        (seconds(lambda: python_loop(path)), seconds(lambda: load_xmc_file(path)))
        for _ in range(7)
    ]
    return min(slow for slow, _ in runs) / min(fast for _, fast in runs)


def import_seconds(module):
    """Time to import a module in a fresh interpreter."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    return float(subprocess.check_output([sys.executable, "-c", code]))


def import_ratio():
    """Import time of the package by that of scikit-learn's linear models."""
    runs = [
        (import_seconds("sklearn_xmr"), import_seconds("sklearn.linear_model"))
        for _ in range(7)
    ]
    return min(ours for ours, _ in runs) / min(theirs for _, theirs in runs)


def main():
    """Print both ratios."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"load_xmc_file: {parser_ratio(folder):.1f} times a Python loop")
    print(f"import sklearn_xmr: {import_ratio():.2f} times sklearn.linear_model")


if __name__ == "__main__":
    main()
