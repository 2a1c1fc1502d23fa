"""The most precise recipes against the most precise peers, and their time.

    python benchmarks/precision.py ../shared/data/tate-subjects --seeds 3
    python benchmarks/precision.py ../shared/data/tibkat-gnd --rows 20000 --systems ...

One line per system and data set: precision, propensity-scored precision and nDCG,
megabytes of the model, seconds to fit and to predict; means over seeds of ours, one run
of each peer. With ``--rows``, each seed draws its own training rows, for peers as well.
Environments and data are those of ``compare_peers.py``.
"""

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from compare_peers import interpreter, prepare, read_runs, run

from sklearn_xmr.metrics import (
    frequency_breakdown,
    ndcg_at_k,
    propensity_scores,
    psprecision_at_k,
)

# Name in the table -> worker, its parameters, whether it has seeds.
SYSTEMS = {
    "XRLinearClassifier": ("sklearn_xmr", {}, True),
    "XRLinearClassifier, fast": (
        "sklearn_xmr",
        {"negative_sampling": "tfn", "path_weight": 1.0, "beam_size": 10},
        True,
    ),
    # The default until 2026-11-26: issue 19 measures from it.
    "XRLinearClassifier, before": (
        "sklearn_xmr",
        {
            "negative_sampling": "tfn",
            "path_weight": 1.0,
            "beam_size": 10,
            "clusterer": {"branching_factor": 100, "max_leaf_size": 96},
        },
        True,
    ),
    "XRLinearClassifier, precise": (
        "sklearn_xmr",
        {"beam_size": 20},
        True,
    ),
    "XRLinearClassifier, flat": ("sklearn_xmr", {"clusterer": "flat"}, True),
    "XREnsembleClassifier, 3 trees": ("ensemble", {}, True),
    # On few rows more precise than three Bonsai trees in an eighth of their time.
    "XREnsembleClassifier, 3 fast trees": (
        "ensemble",
        {"estimator": {"n_hard_clusters": 3, "path_weight": 0.5}},
        True,
    ),
    "XRStackingClassifier": ("stacking", {}, True),
    "libpecos": ("libpecos", {}, False),
    "libpecos, tuned": ("libpecos-tuned", {}, False),
    "omikuji, 3 trees": ("omikuji", {"n_trees": 3}, False),
    "omikuji, 3 Bonsai trees": (
        "omikuji",
        {"n_trees": 3, "cluster_balanced": False, "cluster_k": 100, "max_depth": 3},
        False,
    ),
    "napkinXC": ("napkinxc", {}, False),
}
ON_REQUEST = "XRLinearClassifier, before", "XRLinearClassifier, flat"
ON_REQUEST += "omikuji, 3 Bonsai trees", "XREnsembleClassifier, 3 fast trees"
DEFAULT = [name for name in SYSTEMS if name not in ON_REQUEST]
FREQUENCIES = (1, 6, 51)  # training instances of a label: bounds of the groups
COLUMNS = [f"{metric}@{k}" for metric in ("P", "PSP") for k in (1, 3, 5)]
COLUMNS += ["nDCG@10", "model_mb", "fit_s", "predict_s"]


def measure(name, data, work, seed):
    """One run of a system of the table."""
    worker, parameters, seeded = SYSTEMS[name]
    if seeded:
        parameters = {**parameters, "random_state": seed}
    return {
        "system": name,
        "seed": seed,
        **measure_system(worker, parameters, data, work),
    }


def measure_system(worker, parameters, data, work):
    """What the worker measured, with propensity-scored precision and nDCG."""
    python = interpreter_of(worker, work)
    result = run(worker, python, data, work, json.dumps(parameters))
    Y = sp.load_npz(data / "Y.tst.npz")
    labels = np.load(work / f"{worker}-{data.name}.npy")
    topk = labels, -np.arange(labels.shape[1], dtype=float)[None].repeat(len(labels), 0)
    Y_train = sp.load_npz(data / "Y.trn.npz")
    propensities = propensity_scores(Y_train)
    groups = frequency_breakdown(Y, topk, Y_train, k=5, bounds=FREQUENCIES)
    for column in ("recall", "macro_f1"):
        result[column] = groups[column].tolist()
    for k in (1, 3, 5):
        result[f"PSP@{k}"] = 100 * psprecision_at_k(
            Y, topk, k=k, propensities=propensities
        )
    result["nDCG@10"] = 100 * ndcg_at_k(Y, topk, k=10)
    result["predict_s"] = result["batch_us"] * Y.shape[0] / 1e6
    return result


def print_frequencies(runs):
    """By labels' training instances: recall and macro F1 at 5, labels of the group."""
    names = ["0", *(f"{a} to {b - 1}" for a, b in pairwise(FREQUENCIES))]
    names.append(f"{FREQUENCIES[-1]} and more")
    print("\nRecall@5 / macro F1@5 of labels by their number of training instances:\n")
    print("| system | " + " | ".join(names) + " |\n" + "| --- " * 5 + "|")
    for name, own in by_system(runs):
        recall, f1 = (
            np.mean([r[c] for r in own], axis=0) for c in ("recall", "macro_f1")
        )
        pairs = zip(recall, f1, strict=True)
        cells = " | ".join(f"{100 * a:.1f} / {100 * b:.1f}" for a, b in pairs)
        print(f"| {name} | {cells} |")


def by_system(runs):
    """Runs of each system, in the order above."""
    for name in SYSTEMS:
        own = [r for r in runs if r["system"] == name]
        if own:
            yield name, own


def interpreter_of(worker, work):
    """The Python of the virtual environment that a worker needs."""
    ours = worker in ("stacking", "ensemble")
    return interpreter("sklearn_xmr" if ours else worker.partition("-")[0], work)


def print_tables(runs):
    """A table for each data set, the systems in the order above."""
    for data in dict.fromkeys(one["data"] for one in runs):
        print(f"\n### {data}\n\n| system | " + " | ".join(COLUMNS) + " | seeds |")
        print("| --- " * (len(COLUMNS) + 2) + "|")
        of_data = [one for one in runs if one["data"] == data]
        for name, own in by_system(of_data):
            means = [np.mean([r[column] for r in own]) for column in COLUMNS]
            cells = " | ".join(f"{mean:.2f}" for mean in means)
            print(f"| {name} | {cells} | {len(own)} |")
        print_frequencies([one for one in of_data if "recall" in one])


def wanted(systems, args):
    """Systems and seeds, the systems in turn."""
    for seed in range(args.seeds):
        for name in systems:
            if seed == 0 or SYSTEMS[name][2] or args.rows is not None:
                yield name, seed


def main():
    """Parse arguments, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="data set folders")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="random training rows; all by default")
    parser.add_argument("--systems", help="names of the table, separated by ';'")
    parser.add_argument("--runs", type=Path, help="file to which runs are added")
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    systems = args.systems.split(";") if args.systems else DEFAULT
    runs = read_runs(args.runs)
    for folder in args.folders:
        title = folder.name if args.rows is None else f"{folder.name}, {args.rows} rows"
        for name, seed in wanted(systems, args):
            data = prepare(folder.resolve(), args.work, args.rows, seed)
            try:
                runs.append({"data": title, **measure(name, data, args.work, seed)})
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            if args.runs:
                with args.runs.open("a") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
            print(title, name, seed, file=sys.stderr, flush=True)
    print_tables(runs)


if __name__ == "__main__":
    main()
