"""Time, memory and size as labels, rows and features grow together.

    python benchmarks/growth.py --labels 1000 10000 100000 1000000 --plot growth.png

Data come from ``make_xmr_classification``: as many features as labels up to 500,000,
three rows per label. Each system and size runs in a process of its own (the worker of
``compare_peers.py``); one that takes longer than ``--limit`` seconds is stopped and not
tried on larger sizes. Printed are the values and, from a line through the logarithms,
the exponent with which each grows.
"""

import argparse
import subprocess
from pathlib import Path

import compare_peers
import numpy as np

from sklearn_xmr.datasets import dump_xmc_file, make_xmr_classification

MEASURES = ("fit_s", "peak_mb", "model_mb", "batch_us", "single_us")


def prepare(n_labels, work, systems):
    """Write the data of one size, as ``compare_peers.prepare`` does."""
    import scipy.sparse as sp
    from sklearn.preprocessing import normalize

    target = work / "data" / f"growth-{n_labels}"
    if (target / "complete").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    n_rows, n_test = 3 * n_labels, min(5000, 3 * n_labels)
    X, Y = make_xmr_classification(
        n_samples=n_rows + n_test,
        n_features=min(n_labels, 500_000),
        n_labels=n_labels,
        random_state=0,
    )
    X = normalize(sp.csr_matrix(X, dtype=np.float32))
    Y = sp.csr_matrix(Y, dtype=np.float32)
    for part, rows in (("trn", slice(n_rows)), ("tst", slice(n_rows, None))):
        sp.save_npz(target / f"X.{part}.npz", X[rows], compressed=False)
        sp.save_npz(target / f"Y.{part}.npz", Y[rows], compressed=False)
    if "omikuji" in systems:
        dump_xmc_file(X[:n_rows], Y[:n_rows], target / "trn.txt")
    (target / "complete").touch()
    return target


def exponent(sizes, values):
    """Slope of log(value) over log(size)."""
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


def report(results):
    """Values by size, then exponents."""
    print("| system | labels | " + " | ".join(MEASURES) + " | P@1 |")
    print("| --- " * (len(MEASURES) + 3) + "|")
    for system, by_size in results.items():
        for n_labels, run in by_size.items():
            values = " | ".join(f"{run[m]:.3g}" for m in MEASURES)
            print(f"| {system} | {n_labels} | {values} | {run['P@1']:.2f} |")
    print("\n| system | " + " | ".join(f"exponent of {m}" for m in MEASURES) + " |")
    print("| --- " * (len(MEASURES) + 1) + "|")
    for system, by_size in results.items():
        if len(by_size) > 1:
            sizes = list(by_size)
            slopes = (exponent(sizes, [by_size[n][m] for n in sizes]) for m in MEASURES)
            print(f"| {system} | " + " | ".join(f"{s:.2f}" for s in slopes) + " |")


def plot(results, path):
    """One panel per measure, both axes logarithmic."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(MEASURES), figsize=(4 * len(MEASURES), 3.5))
    for axis, measure in zip(axes, MEASURES, strict=True):
        for system, by_size in results.items():
            values = [run[measure] for run in by_size.values()]
            axis.loglog(list(by_size), values, "o-", label=system)
        axis.set(xlabel="labels", title=measure)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    """Run all systems on all sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[1000, 10_000, 100_000]
    )
    parser.add_argument("--systems", default="sklearn_xmr,libpecos,omikuji")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds per run")
    parser.add_argument(
        "--peers-up-to",
        type=float,
        default=float("inf"),
        help="labels; for lack of time",
    )
    parser.add_argument("--plot", type=Path)
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    results = {system: {} for system in args.systems.split(",")}
    too_slow = set()
    for n_labels in args.labels:
        if n_labels > args.peers_up_to:
            too_slow |= set(results) - {"sklearn_xmr"}
        data = prepare(n_labels, args.work, set(results) - too_slow)
        for system, by_size in results.items():
            if system in too_slow:
                continue
            python = compare_peers.interpreter(system, args.work)
            try:
                run = compare_peers.run(
                    system, python, data, args.work, "{}", timeout=args.limit
                )
            except (subprocess.TimeoutExpired, RuntimeError) as error:
                last = str(error).replace("\r", "\n").splitlines()[-1]
                print(f"{system} at {n_labels}: {last}", flush=True)
                too_slow.add(system)
                continue
            by_size[n_labels] = run
            values = " ".join(f"{m}={run[m]:.4g}" for m in (*MEASURES, "P@1"))
            print(f"{system} {n_labels}: {values}", flush=True)
    report(results)
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
