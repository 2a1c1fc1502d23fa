"""What a fit in tasks costs as labels grow, and what it would on many machines.

    python benchmarks/growth_tasks.py --labels 100000 1000000

Data as in ``growth.py``: three rows for each label, as many features as labels up to
500,000. The plan, each stage and the assembly run one after another in processes of
their own, on all cores; printed are seconds, peak memory, and what is written. What it
says of a hundred million labels stands in ``RESULTS.md``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sklearn_xmr import XRLinearClassifier, save_model
from sklearn_xmr.datasets import make_xmr_classification, write_csr
from sklearn_xmr.distributed import FitPlan, assemble_fit, plan_fit, run_fit_task


def n_bytes(folder):
    """Bytes of the files in a folder."""
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


def part(what, work, *args):
    """Run a part in its own process: what it printed, with seconds and peak memory."""
    call = [sys.executable, __file__, "--part", what, str(work), *map(str, args)]
    return json.loads(subprocess.run(call, capture_output=True, check=True).stdout)


def measured(function):
    begin, cpu = time.perf_counter(), time.process_time()
    result = function() or {}
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = time.perf_counter() - begin, time.process_time() - cpu
    peak = used.ru_maxrss / 1024
    return {"seconds": took[0], "cpu": took[1], "peak_mb": peak, **result}


def generate(work, n_labels):
    X, Y = make_xmr_classification(
        3 * n_labels, min(n_labels, 500_000), n_labels, random_state=0
    )
    write_csr(X, work / "X")
    write_csr(Y, work / "Y")
    return {"values_per_row": X.nnz / X.shape[0]}


def plan(work, n_tasks):
    clf = XRLinearClassifier(random_state=0)
    plan_fit(clf, work / "X", work / "Y", work / "plan", n_tasks=n_tasks)


def stage(work, number):
    times = [
        (task.training.kind, run_fit_task(work / "plan", task.number)["seconds"])
        for task in FitPlan(work / "plan").stages[number]
    ]
    seconds = [took for _, took in times]
    return {"kind": times[0][0], "tasks": len(times), "longest": max(seconds)}


def assemble(work):
    save_model(assemble_fit(work / "plan"), work / "model.xmr")


PARTS = {"generate": generate, "plan": plan, "stage": stage, "assemble": assemble}


def one_size(n_labels, n_tasks):
    """Rows of the table: each part, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = part("generate", work, n_labels)
        yield "data", {**made, "gb": (n_bytes(work) / 1e9)}
        yield (
            "plan",
            {**part("plan", work, n_tasks), "gb": n_bytes(work / "plan") / 1e9},
        )
        stages = FitPlan(work / "plan").stages
        for number in range(len(stages)):
            before = n_bytes(work / "plan")
            found = part("stage", work, number)
            grown = (n_bytes(work / "plan") - before) / 1e9
            yield f"stage {number + 1}: {found['kind']}", {**found, "gb": grown}
        found = part("assemble", work)
        yield "assembly", {**found, "gb": (work / "model.xmr").stat().st_size / 1e9}


def main():
    """Print a table for each number of labels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", nargs="+", type=int, default=[100_000])
    parser.add_argument("--n-tasks", type=int, default=64)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        what, work, *more = args.part
        found = measured(lambda: PARTS[what](Path(work), *map(int, more)))
        print(json.dumps(found))
        return
    for n_labels in args.labels:
        print(f"\n### {n_labels} labels, {3 * n_labels} rows\n")
        print("| part | tasks | s | longest task | cpu s | peak MB | GB written |")
        print("| --- " * 7 + "|")
        for name, f in one_size(n_labels, args.n_tasks):
            longest = f"{f['longest']:.1f}" if "longest" in f else ""
            print(
                f"| {name} | {f.get('tasks', '')} | {f['seconds']:.1f} | {longest} | "
                f"{f['cpu']:.1f} | {f['peak_mb']:.0f} | {f['gb']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
