"""Kernels without memory: MemoryError and an unchanged estimator, at every limit.

    python tests/helpers/memory_limits.py [--limits 27]

Children fit and predict under a limit of the address space (RLIMIT_AS), from 0.1 MB
above what is mapped to 250 MB. Prints how often each model ended in which way; exits
with 1 where a child died, an error was another, or an estimator had changed.
"""

import argparse
import ctypes
import os
import resource
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from sklearn_xmr import (
    HierarchicalLabelClusterer,
    LabelTree,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer

# Freed memory goes back to the system, so that the limit is felt.
MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TOP_PAD_": "0",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "OPENBLAS_NUM_THREADS": "1",
}
X, Y = make_xmr_classification(6000, 3000, 600, random_state=0)
TEXTS = [" ".join(f"w{i}" for i in row.indices) for row in X]
MODELS = {
    "tree": XRLinearClassifier(random_state=0),
    "flat": XRLinearClassifier(LabelTree.flat(600), weight_threshold=0, random_state=0),
    "neighbors": XRNeighborsClassifier(),
    "vectors": XRLabelVectorsClassifier(),
    "clusterer": HierarchicalLabelClusterer(random_state=0),
    "vectorizer": TfidfVectorizer(ngram_range=(1, 2)),
}
ENDS = ("done", "no memory to fit", "no memory to answer", "changed", "another error")


def mapped_bytes():
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def without_memory(model, call):
    """Whether a call ended for want of memory; "changed" if the model has."""
    before = dict(vars(model))
    try:
        call()
    except MemoryError:
        if vars(model) != before:
            raise ValueError("changed") from None
        return True
    return False


def end_of(model):
    """How fit and answer of a model end in this process (number in ENDS)."""
    is_text = isinstance(model, TfidfVectorizer)
    data = (TEXTS,) if is_text else (X, Y)
    if without_memory(model, lambda: model.fit(*data)):
        return 1
    answer = model.transform if is_text else getattr(model, "predict_topk", None)
    if answer is not None and without_memory(model, lambda: answer(data[0])):
        return 2
    return 0


def child(model, room):
    """The end under a limit, as the status of a forked child."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 4
    try:
        limit = mapped_bytes() + room
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        status = end_of(model)
    except ValueError as error:
        status = 3 if str(error) == "changed" else 4
    finally:
        os._exit(status)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--limits", type=int, default=27)
    n_limits = parser.parse_args().limits
    if not MALLOC.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
    warnings.simplefilter("ignore")
    is_well = True
    for name, model in MODELS.items():
        rooms = np.geomspace(1e5, 2.5e8, n_limits).astype(int).tolist()
        ends = Counter(child(model, room) for room in rooms)
        is_well &= ends.keys() <= {0, 1, 2}
        print(name, {ENDS[e] if e >= 0 else f"signal {-e}": n for e, n in ends.items()})
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
