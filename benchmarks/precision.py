"""The most precise recipes against the most precise peers, and their time.

    python benchmarks/precision.py ../shared/data/tate-subjects --seeds 3

One line per system and data set: precision and propensity-scored precision at 1, 3 and
5, seconds to fit and to predict; means over seeds of ours, one run of each peer.
Environments and data are those of ``compare_peers.py``.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from compare_peers import interpreter, prepare, read_runs, run

from sklearn_xmr.metrics import propensity_scores, psprecision_at_k

# Name in the table -> worker, its parameters, whether it has seeds.
SYSTEMS = {
    "XRLinearClassifier": ("sklearn_xmr", {}, True),
    "XREnsembleClassifier, 3 trees": ("ensemble", {}, True),
    "XRStackingClassifier": ("stacking", {}, True),
    "libpecos": ("libpecos", {}, False),
    "libpecos, tuned": ("libpecos-tuned", {}, False),
    "omikuji, 3 trees": ("omikuji", {"n_trees": 3}, False),
    "napkinXC": ("napkinxc", {}, False),
}
COLUMNS = ["P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "fit_s", "predict_s"]


def measure(name, data, work, seed):
    """One run: what the worker measured, with propensity-scored precision."""
    worker, parameters, seeded = SYSTEMS[name]
    if seeded:
        parameters = {**parameters, "random_state": seed}
    python = interpreter(environment(worker), work)
    result = run(worker, python, data, work, json.dumps(parameters))
    Y = sp.load_npz(data / "Y.tst.npz")
    labels = np.load(work / f"{worker}-{data.name}.npy")
    topk = labels, -np.arange(labels.shape[1], dtype=float)[None].repeat(len(labels), 0)
    propensities = propensity_scores(sp.load_npz(data / "Y.trn.npz"))
    for k in (1, 3, 5):
        result[f"PSP@{k}"] = 100 * psprecision_at_k(
            Y, topk, k=k, propensities=propensities
        )
    result["predict_s"] = result["batch_us"] * Y.shape[0] / 1e6
    return {"data": data.name, "system": name, "seed": seed, **result}


def environment(worker):
    """Whose virtual environment a worker needs."""
    if worker in ("stacking", "ensemble"):
        return "sklearn_xmr"
    return worker.partition("-")[0]


def print_tables(runs):
    """A table for each data set, the systems in the order above."""
    for data in dict.fromkeys(one["data"] for one in runs):
        print(f"\n### {data}\n\n| system | " + " | ".join(COLUMNS) + " | seeds |")
        print("| --- " * (len(COLUMNS) + 2) + "|")
        for name in SYSTEMS:
            own = [r for r in runs if (r["data"], r["system"]) == (data, name)]
            if own:
                means = [np.mean([r[column] for r in own]) for column in COLUMNS]
                cells = " | ".join(f"{mean:.2f}" for mean in means)
                print(f"| {name} | {cells} | {len(own)} |")


def main():
    """Parse arguments, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="data set folders")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--systems", help="names of the table, separated by ';'")
    parser.add_argument("--runs", type=Path, help="file to which runs are added")
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    systems = args.systems.split(";") if args.systems else list(SYSTEMS)
    runs = read_runs(args.runs)
    for folder in args.folders:
        data = prepare(folder.resolve(), args.work)
        for name in systems:
            for seed in range(args.seeds if SYSTEMS[name][2] else 1):
                try:
                    runs.append(measure(name, data, args.work, seed))
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    continue
                if args.runs:
                    with args.runs.open("a") as file:
                        file.write(json.dumps(runs[-1]) + "\n")
                print(data.name, name, seed, file=sys.stderr, flush=True)
    print_tables(runs)


if __name__ == "__main__":
    main()
