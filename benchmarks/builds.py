"""Builds of the package against each other: compilers, flags, the stable ABI.

    python benchmarks/builds.py gcc=FOLDER clang=FOLDER --repeats 9

A FOLDER has the package in it, as ``pip install --no-deps --target FOLDER WHEEL`` makes
it; the packages that it needs are those of the Python that runs this. The builds take
turns, each in a fresh process with one thread, and the table gives medians of processor
time, which other programs disturb less than time, and in brackets their ratios to the
first build. ``scores`` is a hash of labels and scores: the same where builds give the
same bits.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


def seconds(function):
    """Processor time of a call, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(loss):
    """Fit, batches and single rows of Tate's data."""
    import sklearn_xmr
    from sklearn_xmr import XRLinearClassifier
    from sklearn_xmr.datasets import load_tate_subjects
    from sklearn_xmr.feature_extraction.text import TfidfVectorizer

    train = load_tate_subjects(subset="train")
    test = load_tate_subjects(subset="test")
    words = TfidfVectorizer(sublinear_tf=True)
    texts, X = seconds(lambda: words.fit_transform(train.data))
    X_test = words.transform(test.data)
    ranker = XRLinearClassifier(random_state=0, loss=loss)
    fit, fitted = seconds(lambda: ranker.fit(X, train.target))
    batch, (labels, scores) = seconds(lambda: fitted.predict_topk(X_test, 10))
    best, rows = fitted.topk_predictor(10), [X_test[row] for row in range(2000)]
    single = median(seconds(lambda row=row: best(row))[0] for row in rows)
    modules = Path(sklearn_xmr.__file__).parent.rglob("*.so")
    return {
        "fit s": fit,
        "texts s": texts,
        "batch us/row": 1e6 * batch / X_test.shape[0],
        "single us": 1e6 * single,
        "modules MB": sum(module.stat().st_size for module in modules) / 1e6,
        "scores": hashlib.sha256(labels.tobytes() + scores.tobytes()).hexdigest()[:8],
    }


def run(folder, loss):
    """The same in a process of its own, with the package of a folder."""
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", loss]
    out = subprocess.run(command, env=env, check=True, capture_output=True, cwd="/")
    return json.loads(out.stdout)


def cell(name, runs, base):
    """The text of a column: the median, and its ratio to that of the first build."""
    values = [run[name] for run in runs]
    if isinstance(values[0], str):
        return "/".join(sorted(set(values)))
    middle = median(values)
    ratio = middle / median(run[name] for run in base)
    return f"{middle:.3g}" if runs is base else f"{middle:.3g} ({ratio:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("builds", nargs="*", metavar="NAME=FOLDER")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--loss", default="squared_hinge")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    folders = dict(build.split("=", 1) for build in args.builds)
    runs = {name: [] for name in folders}
    for _ in range(args.repeats):
        for name, folder in folders.items():
            runs[name].append(run(Path(folder).resolve(), args.loss))
    base = next(iter(runs.values()))
    print("| build |", *(f"{column} |" for column in base[0]))
    print("| --- |", *("--- |" for _ in base[0]))
    for name, of_build in runs.items():
        print(
            f"| {name} |", *(f"{cell(column, of_build, base)} |" for column in base[0])
        )


if __name__ == "__main__":
    main()
