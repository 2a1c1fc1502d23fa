"""Tune each peer with the same number of tries on held-out rows; then the test part.

    python benchmarks/tune_peers.py ../shared/data/tate-subjects --tries 8

A try is a setting drawn from the ranges that the peer's pages suggest; the first one is
what its authors or users publish as most precise. Each is trained on training rows
(``--rows`` of them at most) and judged by the sum of P@1 and P@5 on 5,000 others. The
best is trained on all training rows and measured on the test part, beside our stack
with its defaults. Environments and data are those of ``compare_peers.py``.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from compare_peers import prepare, read_runs, run
from precision import interpreter_of, measure_system

N_HELD_OUT = 5000

# Peer -> settings that are drawn, from lists; dicts among them are taken apart.
BONSAI = {"cluster_balanced": False, "cluster_k": 100, "max_depth": 3}
SPACES = {
    "libpecos": {
        "Cp": [4.0, 1.0, 2.0, 8.0],
        "threshold": [0.001, 0.03, 0.1],
        "indexer": [{"max_leaf_size": n} for n in (16, 50, 100, 400)],
        "negative_sampling_scheme": ["tfn+man", "tfn"],
        "relevance": [{"rel_mode": "induce", "rel_norm": "l1"}, {}],
        "beam_size": [100, 10, 30],
    },
    "omikuji": {
        "n_trees": [3],
        "tree": [
            BONSAI,
            {"cluster_balanced": True, "cluster_k": 2, "max_depth": 20},
            {"cluster_balanced": True, "cluster_k": 16, "max_depth": 20},
        ],
        "linear_c": [1.0, 0.5, 2.0, 4.0],
        "linear_weight_threshold": [0.1, 0.03, 0.01],
        "min_branch_size": [100, 50, 400],
    },
    "napkinxc": {
        "arity": [2, 16, 100],
        "max_leaves": [100, 20, 400],
        "liblinear_c": [10.0, 1.0, 4.0, 32.0],
        "loss": ["logistic", "squaredHinge"],
        "weights_threshold": [0.1, 0.03, 0.01],
        "ensemble": [3],
    },
}


def drawn(space, n, seed):
    """So many different settings; the first takes the first of each list."""
    rng, found = random.Random(seed), []
    while len(found) < n:
        settings = {}
        for name, values in space.items():
            value = rng.choice(values) if found else values[0]
            taken_apart = isinstance(value, dict) and name != "indexer"
            settings.update(value if taken_apart else {name: value})
        if settings not in found:
            found.append(settings)
    return found


def held_out_part(data, work, n_rows, seed):
    """A data folder whose test part are training rows."""
    parts = {kind: sp.load_npz(data / f"{kind}.trn.npz").tocsr() for kind in "XY"}
    order = np.random.default_rng(seed).permutation(parts["X"].shape[0])
    held_out, kept = order[:N_HELD_OUT], order[N_HELD_OUT:][:n_rows]
    folder = work / "sources" / f"{data.name}-held-out-{n_rows}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, matrix in parts.items():
        sp.save_npz(folder / f"{kind}.trn.npz", matrix[kept], compressed=False)
        sp.save_npz(folder / f"{kind}.tst.npz", matrix[held_out], compressed=False)
    return prepare(folder, work)


def tuned(peer, data, work, args, runs):
    """The best of the tries (dict), or None where all failed; each is written down."""
    python, tries = interpreter_of(peer, work), []
    for settings in drawn(SPACES[peer], args.tries, args.seed):
        try:
            text = json.dumps(settings)
            found = run(peer, python, data, work, text, timeout=args.timeout)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{peer} {settings}: {str(error)[-300:]}", file=sys.stderr)
            continue
        tries.append((found["P@1"] + found["P@5"], settings))
        record(args, runs, data, f"{peer}, try", settings, found)
    return max(tries, key=lambda each: each[0])[1] if tries else None


def record(args, runs, data, system, settings, found):
    """Write a run down, and say so."""
    runs.append({"data": data.name, "system": system, "settings": settings, **found})
    if args.runs:
        with args.runs.open("a") as file:
            file.write(json.dumps(runs[-1]) + "\n")
    shown = {key: round(found[key], 2) for key in ("P@1", "P@5", "fit_s")}
    print(data.name, system, settings, shown, file=sys.stderr, flush=True)


def print_tables(runs):
    """Each data set's peers with their settings, and the means of our stack."""
    for data in dict.fromkeys(one["data"] for one in runs):
        print(f"\n### {data}\n\n| system | P@1 | P@3 | P@5 | fit s | runs | settings |")
        print("| --- " * 7 + "|")
        own = [one for one in runs if one["data"] == data]
        for system in dict.fromkeys(one["system"] for one in own):
            if system.endswith("try"):
                continue
            some = [one for one in own if one["system"] == system]
            columns = "P@1", "P@3", "P@5", "fit_s"
            cells = [f"{np.mean([one[c] for one in some]):.2f}" for c in columns]
            cells += [str(len(some)), json.dumps(some[0]["settings"])]
            print(f"| {system} | " + " | ".join(cells) + " |")


def main():
    """Tune on each folder, and measure what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="data set folders")
    parser.add_argument("--tries", type=int, default=8)
    parser.add_argument("--rows", type=int, default=100_000, help="of a try, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3, help="of our stack")
    parser.add_argument("--timeout", type=float, default=900, help="seconds of a try")
    parser.add_argument("--peers", default=";".join(SPACES), help="separated by ';'")
    parser.add_argument("--runs", type=Path, help="file to which runs are added")
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    runs = read_runs(args.runs)
    for folder in args.folders:
        data = prepare(folder.resolve(), args.work)
        part = held_out_part(data, args.work, args.rows, args.seed)
        for peer in args.peers.split(";"):
            settings = tuned(peer, part, args.work, args, runs)
            if settings is None:
                print(f"{peer}: no try ended within the limits", file=sys.stderr)
                continue
            found = measure_system(peer, settings, data, args.work)
            record(args, runs, data, f"{peer}, tuned", settings, found)
        for seed in range(args.seeds):
            settings = {"random_state": seed}
            found = measure_system("stacking", settings, data, args.work)
            record(args, runs, data, "XRStackingClassifier", settings, found)
    print_tables(runs)


if __name__ == "__main__":
    main()
