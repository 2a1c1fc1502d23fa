"""From texts to labels: sklearn_xmr beside peers with their own ways to read texts.

    python benchmarks/end_to_end.py ../shared/data/tate-subjects \\
        ../shared/data/tibkat-gnd --repeats 3

Systems run one after another in every repeat, each in a fresh process with two threads
and in its own virtual environment (as in ``compare_peers.py``, which makes them); the
table gives medians, and ratios to sklearn_xmr. Run nothing else at the same time.

A data folder belongs to a folder with a ``load.py`` whose ``load(name, text=True)`` has
``text_train``, ``Y_train``, ``text_test`` and ``Y_test``. ``--rows`` takes the first
rows only, for one-versus-rest, which needs hours otherwise.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from compare_peers import interpreter, print_table

from sklearn_xmr.metrics import precision_at_k

HERE = Path(__file__).resolve().parent
COLUMNS = {
    "fit_words_s": "words s",
    "fit_s": "fit s",
    "peak_mb": "peak MB",
    "disk_mb": "disk MB",
    "load_s": "load s",
    "batch_words_us": "words us/text",
    "batch_us": "batch us/text",
    "single_us": "one text us",
    "single_p99_us": "p99 us",
}


def load_texts(folder):
    """What the ``load.py`` beside the folder makes of it, with texts."""
    spec = importlib.util.spec_from_file_location("load", folder.parent / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(folder.name, text=True)


def prepare(folder, work, min_df, rows):
    """Write the texts once in the form that all systems read."""
    name = folder.name if rows is None else f"{folder.name}-{rows}"
    target = work / "texts" / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text(json.dumps({"min_df": min_df}))
    if not (target / "complete").exists():
        data = load_texts(folder)
        (target / "trn.json").write_text(json.dumps(data.text_train[:rows]))
        (target / "tst.json").write_text(json.dumps(data.text_test))
        for part, Y in (("trn", data.Y_train[:rows]), ("tst", data.Y_test)):
            sp.save_npz(target / f"Y.{part}.npz", sp.csr_matrix(Y, dtype=np.float32))
        (target / "complete").touch()
    return target


def run(system, data, work):
    """One process: fit, save, load, predict; the measured values."""
    python = interpreter(system.split(",")[0], work)
    settings = {"OMP_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2"}
    done = subprocess.run(
        [python, str(HERE / "text_worker.py"), system, str(data), str(work)],
        env={**os.environ, **settings},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{system} failed on {data.name}:\n{done.stderr[-2000:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    labels = np.load(work / f"text-{system}-{data.name}.npy")
    Y = sp.load_npz(data / "Y.tst.npz")
    ranks = -np.arange(labels.shape[1], dtype=float)[None].repeat(len(labels), axis=0)
    for k in (1, 3, 5):
        result[f"P@{k}"] = 100 * precision_at_k(Y, (labels, ranks), k=k)
    return result


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--systems", default="sklearn_xmr,libpecos,omikuji")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--min-df", type=int, default=2)
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"))
    args = parser.parse_args()
    work = args.work.resolve()
    systems = [
        "sklearn_xmr, scikit-learn's words" if s == "before" else s
        for s in args.systems.split(",")
    ]
    for folder in args.folders:
        data = prepare(folder.resolve(), work, args.min_df, args.rows)
        results = {system: [] for system in systems}
        for _ in range(args.repeats):
            for system in systems:
                results[system].append(run(system, data, work))
                fit = results[system][-1]["fit_s"]
                print(f"{folder.name}: {system}: fit {fit:.2f} s", file=sys.stderr)
        print_table(data.name, results, COLUMNS)


if __name__ == "__main__":
    main()
