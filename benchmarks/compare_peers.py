"""Compare sklearn_xmr with libpecos, omikuji and napkinXC on the same data and cores.

    python benchmarks/compare_peers.py ../shared/data/tate-subjects \\
        ../shared/data/tibkat-gnd --repeats 3

Each peer gets its own virtual environment under ``--work``, made on first use; the
system ``baseline`` is the package itself from another checkout (``--baseline``).
Systems run one after another in every repeat, each in a fresh process with two
threads, so that noise of the machine affects them alike; the table gives medians, and
ratios to sklearn_xmr. Run nothing else at the same time.

A data folder holds ``X.trn.npz``, ``Y.trn.npz``, ``X.tst.npz``, ``Y.tst.npz``, or
belongs to a folder with a ``load.py`` whose ``load(name)`` returns ``X_train`` and so
on, or holds ``train.txt`` and ``test.txt`` in the text format of the Extreme
Classification Repository. Rows are scaled to unit length for all systems.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from sklearn_xmr.datasets import dump_xmc_file, load_xmc_file
from sklearn_xmr.metrics import precision_at_k

HERE = Path(__file__).resolve().parent

# libpecos asks for plain torch, which would bring gigabytes: the CPU build goes first.
REQUIREMENTS = {
    "libpecos": [["torch==2.13.0"], ["libpecos==1.2.8"]],
    "omikuji": [["omikuji==0.5.2", "scipy"]],
    "napkinxc": [["napkinxc==0.7.2"]],
}
COLUMNS = {
    "fit_s": "fit s",
    "peak_mb": "peak MB",
    "model_mb": "model MB",
    "load_s": "load s",
    "batch_us": "batch us/row",
    "single_us": "single us",
    "single_p99_us": "p99 us",
    "plain_us": "predict_topk us",
    "plain_p99_us": "p99 us",
}


def interpreter(system, work):
    """The Python that has this system, installing it on first use."""
    if system in ("sklearn_xmr", "baseline"):
        return sys.executable
    home = work / "venvs" / system
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        for packages in REQUIREMENTS[system]:
            install = [python, "-m", "pip", "install", "-q", *packages]
            subprocess.run(install, check=True)
        (home / "complete").touch()
    return str(python)


def load_folder(folder):
    """Load X and Y of the train and test part from any form of folder."""
    loader = folder.parent / "load.py"
    if loader.exists():
        spec = importlib.util.spec_from_file_location("benchmark_load", loader)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        data = module.load(folder.name)
        return (data.X_train, data.Y_train), (data.X_test, data.Y_test)
    if (folder / "train.txt").exists():
        return load_xmc_file(folder / "train.txt"), load_xmc_file(folder / "test.txt")
    return tuple(
        tuple(sp.load_npz(folder / f"{kind}.{part}.npz") for kind in "XY")
        for part in ("trn", "tst")
    )


def prepare(folder, work, n_rows=None, seed=0):
    """Write the data once in the forms that the systems read.

    With ``n_rows``, only so many random training rows.
    """
    name = folder.name if n_rows is None else f"{folder.name}-{n_rows}-{seed}"
    target = work / "data" / name
    if not (target / "complete").exists():
        target.mkdir(parents=True, exist_ok=True)
        for part, (X, Y) in zip(("trn", "tst"), load_folder(folder), strict=True):
            if part == "trn" and n_rows is not None:
                some = np.random.default_rng(seed).permutation(X.shape[0])[:n_rows]
                X, Y = X[some], Y[some]
            X = normalize(sp.csr_matrix(X, dtype=np.float32))
            Y = sp.csr_matrix(Y, dtype=np.float32)
            sp.save_npz(target / f"X.{part}.npz", X, compressed=False)
            sp.save_npz(target / f"Y.{part}.npz", Y, compressed=False)
            if part == "trn":
                some = np.diff(X.indptr) > 0  # omikuji cannot read rows without any
                dump_xmc_file(X[some], Y[some], target / "trn.txt")
        (target / "complete").touch()
    return target


def run(
    system,
    python,
    data,
    work,
    parameters,
    timeout=None,
    fit_only=False,
    baseline=None,
):
    """One process: fit, save, load, predict; the measured values."""
    settings = {"OMP_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2"}
    if fit_only:
        settings["XMR_FIT_ONLY"] = "1"
    if system == "baseline":  # the same package from another checkout
        settings["PYTHONPATH"], system = str(baseline), "sklearn_xmr"
    command = [python, str(HERE / "peer_worker.py"), system, str(data), str(work)]
    done = subprocess.run(
        [*command, parameters],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{system} failed on {data.name}:\n{done.stderr[-2000:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    if fit_only:
        return result
    labels = np.load(work / f"{system}-{data.name}.npy")
    Y = sp.load_npz(data / "Y.tst.npz")
    ranks = -np.arange(labels.shape[1], dtype=float)[None].repeat(len(labels), axis=0)
    for k in (1, 3, 5):
        result[f"P@{k}"] = 100 * precision_at_k(Y, (labels, ranks), k=k)
    return result


def print_table(name, results, columns=COLUMNS):
    """One line per system: medians, and in brackets how many times ours."""
    ours = results.get("sklearn_xmr")
    print(f"\n### {name}\n")
    print("| system | " + " | ".join(columns.values()) + " | P@1 | P@3 | P@5 | runs |")
    print("| --- " * (len(columns) + 5) + "|")
    for system, runs in results.items():
        cells = []
        for column in columns:
            value = median_of(runs, column)
            text = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
            if ours and system != "sklearn_xmr":
                text += f" ({value / median_of(ours, column):.1f}x)"
            cells.append(text)
        cells += [f"{median_of(runs, f'P@{k}'):.2f}" for k in (1, 3, 5)]
        print(f"| {system} | " + " | ".join(cells) + f" | {len(runs)} |")
    sys.stdout.flush()


# Targets: the value, the peers to beat, special factors by data set, the factor.
LARGE = ("yso-finna-en", "tibkat-gnd", "tate-subjects")
TARGETS = [
    ("fit, against libpecos", "fit_s", ["libpecos"], {"tibkat-gnd": 8}, 10),
    ("fit, against omikuji", "fit_s", ["omikuji"], {}, 4),
    ("peak memory of fit", "peak_mb", ["libpecos", "omikuji"], {}, 1 / 0.6),
    ("batch prediction", "batch_us", ["libpecos"], {}, 5),
    ("one row, predictor, median", "single_us", ["libpecos"], {}, 10),
    ("one row, predictor, p99", "single_p99_us", ["libpecos"], {}, 10),
    ("one row, predict_topk, median", "plain_us", ["libpecos"], {}, 3),
    ("one row, predict_topk, p99", "plain_p99_us", ["libpecos"], {}, 3),
    ("model on disk", "model_mb", ["libpecos"], {}, 3),
    ("load to first answer", "load_s", ["libpecos"], {}, 10),
]


def median_of(runs, column):
    """Median over the runs that measured it; a peer's plain call is its only one."""
    if not any(column in run for run in runs):
        column = column.replace("plain", "single")
    return np.median([run[column] for run in runs if column in run])


def print_targets(all_results):
    """Each target with what was measured: how many times better than the peer."""
    print("\n### Targets\n\n| what | set | ours | best peer | ratio | target | met |")
    print("| --- " * 7 + "|")
    for what, column, peers, special, target in TARGETS:
        for name, results in all_results.items():
            against = [results[p] for p in peers if p in results]
            if name not in LARGE or not against or "sklearn_xmr" not in results:
                continue
            ours = median_of(results["sklearn_xmr"], column)
            best = min(median_of(runs, column) for runs in against)
            factor = special.get(name, target)
            met = "yes" if best / ours >= factor else "NO"
            print(
                f"| {what} | {name} | {ours:.3g} | {best:.3g} | {best / ours:.2f} | "
                f"{factor:.3g} | {met} |"
            )
    for k in (1, 3, 5):
        for name, results in all_results.items():
            peers = [
                runs for p, runs in results.items() if p in ("libpecos", "omikuji")
            ]
            if name not in LARGE or not peers or "sklearn_xmr" not in results:
                continue
            ours = median_of(results["sklearn_xmr"], f"P@{k}")
            best = max(median_of(runs, f"P@{k}") for runs in peers)
            met = "yes" if ours >= best - 0.1 else "NO"
            print(
                f"| P@{k} | {name} | {ours:.2f} | {best:.2f} | {ours - best:+.2f} | "
                f"-0.10 | {met} |"
            )


def main():
    """Parse arguments, run all systems in turn, print a table for each data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="data set folders")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--systems",
        default="sklearn_xmr,libpecos,omikuji,napkinxc",
        help="which to run",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        help="checkout of another commit, compiled in place: the system 'baseline'",
    )
    parser.add_argument(
        "--parameters", default="{}", help="JSON for sklearn_xmr's estimator"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        help="file to which runs are added; tables are of all in it",
    )
    parser.add_argument(
        "--predict-once",
        default="omikuji",
        help="systems so slow at prediction that only the first repeat predicts",
    )
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    systems = args.systems.split(",")
    pythons = {system: interpreter(system, args.work) for system in systems}
    runs = read_runs(args.runs)
    for folder in args.folders:
        data = prepare(folder.resolve(), args.work)
        for repeat in range(args.repeats):
            for system in systems:
                fit_only = repeat > 0 and system in args.predict_once.split(",")
                ours = system in ("sklearn_xmr", "baseline")
                given = args.parameters if ours else "{}"
                try:
                    measured = run(
                        system,
                        pythons[system],
                        data,
                        args.work,
                        given,
                        fit_only=fit_only,
                        baseline=args.baseline,
                    )
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    continue
                runs.append({"data": folder.name, "system": system, **measured})
                if args.runs:
                    with args.runs.open("a") as file:
                        file.write(json.dumps(runs[-1]) + "\n")
                fit = f"fit {measured['fit_s']:.2f} s"
                print(f"{folder.name}: {system}: {fit}", file=sys.stderr, flush=True)
    results = grouped(runs)
    for name, by_system in results.items():
        print_table(name, by_system)
    print_targets(results)


def read_runs(path):
    """Runs of earlier calls."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def grouped(runs):
    """Data set -> system -> runs."""
    results = {}
    for one in runs:
        by_system = results.setdefault(one["data"], {})
        by_system.setdefault(one["system"], []).append(one)
    return results


if __name__ == "__main__":
    main()
