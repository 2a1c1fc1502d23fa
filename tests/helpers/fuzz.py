"""Generated input of every kind; nothing may crash, hang or break a promise.

    python tests/helpers/fuzz.py KIND --runs 100000
    python tests/helpers/fuzz.py KIND --first 4711 --runs 1 --keep FOLDER

Runs happen in child processes, some thousand in each, with a limit on memory. What must
not happen is reported with the number of its run, which the same ``--seed`` repeats;
``--keep`` writes the files that made it happen into a folder.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import resource
import tempfile
import time
import traceback
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the inputs are small

SECONDS = 60  # in which a run must have ended
START = 300  # further seconds for imports and seeds, on a busy machine
CHUNK = 2000  # runs of a child
ROOM = 2 << 30  # bytes of memory that a child may ask for beyond those at its start
REPORT = 50  # runs between two reports of a child
MOST_SHOWN = 3  # runs with the same finding
KINDS = {  # where the class is
    "model": "model_files.ModelFiles",
    "skops": "model_files.SkopsFiles",
    "libpecos": "model_files.LibpecosFolders",
    "xmc": "readers.XmcFiles",
    "texts": "readers.TextFiles",
    "parquet": "readers.ParquetFiles",
    "archives": "readers.Archives",
    "caches": "caches.Caches",
    "trees": "trees.Trees",
    "pages": "pages.Pages",
    "api": "calls.Calls",
}


def kind_named(name):
    """The class of a kind."""
    module, _, attribute = KINDS[name].partition(".")
    return getattr(import_module(f"fuzzing.{module}"), attribute)


def limit_memory():
    """MemoryError, instead of a machine that swaps."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(name, seed, first, last, keep, now, results):
    """Do the runs first .. last - 1 in this process; report now and then."""
    outcomes, findings = Counter(), []
    warnings.simplefilter("ignore")  # of versions and numbers, which are mutated too
    with tempfile.TemporaryDirectory() as folder:
        kind = kind_named(name)(folder)
        limit_memory()
        for number in range(first, last):
            now.value = number
            try:
                outcomes[kind.try_one(random.Random(f"{seed} {number}"))] += 1
            except AssertionError as finding:
                findings.append((number, str(finding)))
                keep_case(finding, keep, name, number)
            if number % REPORT == 0 or number == last - 1:
                results.send((outcomes, findings))
                outcomes, findings = Counter(), []


def keep_case(finding, keep, name, number):
    """Write the file of a finding; print where it came from."""
    if keep is None:
        return
    traceback.print_exception(finding)
    case = getattr(finding, "case", None)
    if case is not None:
        path = Path(keep) / name / f"{number}-{case.name.replace('/', '_')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content)


def try_chunk(name, seed, first, last, keep, report):
    """Report outcomes and findings; where to go on, for a child can end early."""
    context = multiprocessing.get_context("spawn")
    now = context.Value("q", first)
    results, to_results = context.Pipe(duplex=False)
    arguments = (name, seed, first, last, keep, now, to_results)
    child = context.Process(target=run, args=arguments)
    child.start()
    to_results.close()  # the child's end of it: closed when the child ends
    seen, since = first, time.monotonic()
    while True:
        try:
            if results.poll(1):
                report(*results.recv())
        except EOFError:
            break
        if now.value != seen:
            seen, since = now.value, time.monotonic()
        if time.monotonic() - since > SECONDS + START * (seen == first):
            child.kill()
            child.join()
            report({}, [(seen, "hangs")])
            return seen + 1
    child.join()
    if child.exitcode:
        report({}, [(now.value, f"exit {child.exitcode}")])
        return now.value + 1
    return last


def main():
    """Do all runs, or those until Ctrl-C, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--runs", type=int, default=CHUNK)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default=None)
    args = parser.parse_args()
    outcomes, findings = Counter(), {}
    with contextlib.suppress(KeyboardInterrupt):
        run_all(args, outcomes, findings)
    for outcome, count in outcomes.most_common():
        print(f"{count:9,}  {outcome}")
    n_found = sum(map(len, findings.values()))
    n_runs = sum(outcomes.values()) + n_found
    print(f"{args.kind}: {n_runs:,} runs, {n_found} findings of {len(findings)} kinds")
    raise SystemExit(bool(findings))


def run_all(args, outcomes, findings):
    """Add outcomes, and the numbers of runs by finding."""

    def report(some, found):
        outcomes.update(some)
        for which, message in found:
            like = message.partition(" | ")[0]  # without the details of this run
            findings.setdefault(like, []).append(which)
            if len(findings[like]) <= MOST_SHOWN:
                print(f"run {which} of seed {args.seed}: {message}", flush=True)

    number, end = args.first, args.first + args.runs
    while number < end:
        last = min(number + CHUNK, end)
        number = try_chunk(args.kind, args.seed, number, last, args.keep, report)


if __name__ == "__main__":
    main()
