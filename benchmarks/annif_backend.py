"""The backend of examples/annif beside Annif's own for omikuji, in Annif's hands.

    .ci/annif /tmp/annif-venv      # makes the environment, and runs the tests
    /tmp/annif-venv/bin/python benchmarks/annif_backend.py \\
        ../shared/data/yso-finna-en ../shared/data/tibkat-gnd --rows 100000

A data folder belongs to a folder with a ``load.py`` whose ``load(name, text=True)``
returns texts, targets and names of labels. Vocabulary and corpora are written as files
of Annif; both backends get the same words from the same analyzer. Training and
suggestions are processes of their own, one after another, in every repeat. Seconds of
``train`` contain reading and analysing the texts, which is Python's and NLTK's work and
the same for both, and counting their words; those of ``cached`` are the training after
that, from what each backend has stored. The model is on
disk without the cached documents. Suggestions are Annif's 100; F1 and nDCG are
computed by Annif. "CPU" is processor time of all threads, which says more than the
clock where the machine has other work.
"""

import argparse
import csv
import importlib.util
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SYSTEMS = {  # lines of the project's configuration
    "xmr": ["backend=xmr"],
    "xmr, 1 tree": ["backend=xmr", "trees=1"],
    "omikuji": ["backend=omikuji"],
    # Trees as Bonsai has them: wide, flat and unbalanced.
    "omikuji Bonsai": [
        "backend=omikuji",
        "cluster_balanced=False",
        "cluster_k=100",
        "max_depth=3",
    ],
}
COLUMNS = {
    "train_s": "train s",
    "train_cpu": "CPU",
    "cached_s": "cached s",
    "cached_cpu": "CPU",
    "peak_mb": "peak MB",
    "model_mb": "model MB",
    "load_s": "load s",
    "batch_ms": "batch ms/text",
    "batch_cpu": "CPU",
    "single_ms": "single ms",
    "single_cpu": "CPU",
    "F1@5": "F1@5",
    "NDCG@10": "nDCG@10",
    "NDCG": "nDCG@100",
}
METRICS = ["F1@5", "NDCG", "NDCG@10"]
URI = "http://example.org/"


# --- files of Annif ----------------------------------------------------------------


def prepare(folder, work, n_rows, n_test, analyzer):
    """Write vocabulary, corpora and projects of a data set once."""
    target = work / f"{folder.name}-{n_rows or 'all'}-{n_test}"
    if not (target / "complete").exists():
        target.mkdir(parents=True, exist_ok=True)
        data = load_texts(folder)
        write_vocabulary(target / "vocabulary.csv", data.label_names)
        write_corpus(target / "train.tsv", data.text_train, data.Y_train, n_rows)
        write_corpus(target / "test.tsv", data.text_test, data.Y_test, n_test)
        (target / "complete").touch()
    projects = [project(name, lines, analyzer) for name, lines in SYSTEMS.items()]
    (target / "projects.cfg").write_text("\n".join(projects), encoding="utf-8")
    return target


def load_texts(folder):
    """The data set by the ``load.py`` beside its folder."""
    spec = importlib.util.spec_from_file_location("load", folder.parent / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(folder.name, text=True)


def write_vocabulary(path, names):
    """A subject for each label."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "label_en"])
        rows.writerows(
            [f"{URI}{i}", name or f"label {i}"] for i, name in enumerate(names)
        )


def write_corpus(path, texts, Y, n_rows):
    """Annif's format for short texts: all of them, or so many random ones."""
    chosen = np.random.default_rng(0).permutation(len(texts))[:n_rows]
    with open(path, "w", encoding="utf-8") as file:
        for i in chosen:
            uris = " ".join(f"<{URI}{label}>" for label in Y[i].indices)
            file.write(f"{' '.join(texts[i].split())}\t{uris}\n")


def project(name, lines, analyzer):
    """A section of projects.cfg."""
    common = ["language=en", "vocab=benchmark", f"analyzer={analyzer}"]
    return "\n".join([f"[{name}]", f"name={name}", *common, *lines, ""])


def provide_tokenizer(folder):
    """A sentence tokenizer for NLTK without abbreviations, where there is no other.

    Annif would download NLTK's, which differs only where a sentence may end.
    """
    import nltk.data
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    english = folder / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True, exist_ok=True)
    save_punkt_params(PunktParameters(), dir=str(english))
    nltk.data.path.append(str(folder))


# --- what is measured, in a process of its own -------------------------------------


def open_project(folder, system):
    """A project of Annif."""
    from annif.registry import AnnifRegistry

    logging.getLogger("annif").setLevel(logging.WARNING)
    provide_tokenizer(folder.parent / "nltk")
    sys.path.insert(0, str(HERE.parent / "examples" / "annif"))
    import annif_xmr  # noqa: F401, registers the backend

    config, data = folder / "projects.cfg", folder / "data"
    return AnnifRegistry(str(config), str(data), False).get_project(system)


def measure_vocabulary(folder, system):
    """Load the vocabulary, which all projects share; nothing is measured."""
    project = open_project(folder, system)
    from annif.vocab import VocabFileCSV  # fails before annif.registry (1.4.3)

    if not (folder / "data" / "vocabs").exists():
        source = VocabFileCSV(str(folder / "vocabulary.csv"))
        project.vocab.load_vocabulary(source)
    return {}


def measure_training(folder, system):
    """Seconds of the training from texts, and of that from cached documents."""
    from annif.corpus import DocumentFileTSV

    project = open_project(folder, system)
    corpus = DocumentFileTSV(str(folder / "train.tsv"), project.subjects)
    train_s, train_cpu = seconds(lambda: project.train(corpus))
    peak_mb = peak_memory()
    cached_s, cached_cpu = seconds(lambda: project.train("cached"))
    return {
        "train_s": train_s,
        "train_cpu": train_cpu,
        "cached_s": cached_s,
        "cached_cpu": cached_cpu,
        "peak_mb": peak_mb,
        "model_mb": size_of(Path(project.datadir)) / 1e6,
    }


def measure_suggestions(folder, system, n_single=300):
    """Time to load, in batches and one by one, and the quality of the suggestions."""
    from annif.corpus import DocumentFileTSV

    project = open_project(folder, system)
    documents = list(
        DocumentFileTSV(str(folder / "test.tsv"), project.subjects).documents
    )
    batches = [documents[i : i + 32] for i in range(0, len(documents), 32)]
    load_s, _ = seconds(project.initialize)
    found = [project.suggest(batches[0])]
    batch = seconds(lambda: found.extend(map(project.suggest, batches[1:])))
    single = [seconds(lambda d=d: project.suggest([d])) for d in documents[:n_single]]
    n = len(documents) - len(batches[0])
    return {
        "load_s": load_s,
        "batch_ms": 1e3 * batch[0] / n,
        "batch_cpu": 1e3 * batch[1] / n,
        "single_ms": 1e3 * statistics.median(wall for wall, _ in single),
        "single_cpu": 1e3 * statistics.median(cpu for _, cpu in single),
        **quality(project, batches, found),
    }


def quality(project, batches, found):
    """Annif's own metrics."""
    from annif.eval import EvaluationBatch

    evaluation = EvaluationBatch(project.subjects)
    for documents, suggestions in zip(batches, found, strict=True):
        evaluation.evaluate_many(suggestions, [d.subject_set for d in documents])
    return {n: float(v) for n, v in evaluation.results(metrics=METRICS).items()}


def seconds(function):
    """Seconds of a call by the clock, and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - cpu


def peak_memory():
    """Megabytes that this process had at most; ru_maxrss contains its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1e3


def size_of(folder):
    """Bytes of the files that are not cached documents."""
    files = [f for f in folder.rglob("*") if f.is_file() and "-train" not in f.name]
    return sum(f.stat().st_size for f in files)


# --- processes and tables ----------------------------------------------------------


def run(what, folder, system):
    """Measure in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--measure", what]
    done = subprocess.run(
        [*command, "--systems", system],
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{system} failed on {folder.name}:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1].removeprefix("RESULT "))


def print_table(name, results):
    """One line for each system: medians."""
    loads = [run["load"] for runs in results.values() for run in runs]
    print(
        f"\n### {name}\n\nLoad of the machine: {min(loads):.1f} to {max(loads):.1f}\n"
    )
    print("| backend | " + " | ".join(COLUMNS.values()) + " | runs |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    for system, runs in results.items():
        medians = [statistics.median(run[column] for run in runs) for column in COLUMNS]
        cells = [f"{m:.4f}" if m < 0.995 else f"{m:.4g}" for m in medians]
        print(f"| {system} | " + " | ".join(cells) + f" | {len(runs)} |", flush=True)


def compare(folder, systems, repeats, runs):
    """All systems in turn, so often; each run is added to a file."""
    run("vocabulary", folder, systems[0])
    for _ in range(repeats):
        for system in systems:
            measured = run("training", folder, system)
            measured |= run("suggestions", folder, system)
            load = os.getloadavg()[0]
            one = {"data": folder.name, "system": system, "load": load, **measured}
            with runs.open("a") as file:
                print(json.dumps(one), file=file)
            train_s, f1 = measured["train_s"], measured["F1@5"]
            said = f"{folder.name}: {system}: {train_s:.1f} s, F1@5 {f1:.4f}"
            print(said, file=sys.stderr, flush=True)


def grouped(runs, name):
    """Runs of a data set by system."""
    results = {}
    for line in runs.read_text().splitlines():
        one = json.loads(line)
        if one["data"] == name:
            results.setdefault(one["system"], []).append(one)
    return results


def main():
    """Read the command line; measure, or run what measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="data set folders")
    parser.add_argument("--rows", type=int, help="so many random training texts")
    parser.add_argument("--test", type=int, default=2000, help="random test texts")
    parser.add_argument("--analyzer", default="simple", help="as in projects.cfg")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--systems", default=";".join(SYSTEMS), help="with ; between")
    parser.add_argument("--measure", choices=["vocabulary", "training", "suggestions"])
    cache = Path.home() / ".cache" / "xmr-annif"
    parser.add_argument("--work", type=Path, default=cache)
    args = parser.parse_args()
    systems = args.systems.split(";")
    if args.measure:
        measure = globals()[f"measure_{args.measure}"]
        print("RESULT", json.dumps(measure(args.folders[0], *systems)))
        return
    for folder in args.folders:
        files = prepare(
            folder.resolve(), args.work, args.rows, args.test, args.analyzer
        )
        runs = args.work / "runs.jsonl"
        compare(files, systems, args.repeats, runs)
        print_table(files.name, grouped(runs, files.name))


if __name__ == "__main__":
    main()
