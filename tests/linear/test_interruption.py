"""Signals end long work soon, and limits of the system do not end the process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sklearn_xmr import LabelTree, XRLinearClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.datasets._xmc_format_fast import parse_lines
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.utils._sorted_rows import sorted_rows

LONG = {"tol": 1e-9, "max_iter": 10_000, "weight_threshold": 0, "random_state": 0}


class Stopped(Exception):
    """What the handler raises."""


@pytest.fixture
def alarm():
    """Let a handler raise Stopped some seconds from now."""

    def stop(*_):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
@pytest.mark.parametrize("tree", ["flat", "grown"])
def test_fit_ends_and_changes_nothing(alarm, loss, tree):
    X, Y = make_xmr_classification(20_000, 20_000, 500, random_state=0)
    clusterer = LabelTree.flat(500) if tree == "flat" else None
    clf = XRLinearClassifier(clusterer=clusterer, loss=loss, **LONG)
    clf.set_params(max_iter=3, tol=0.5).fit(X[:100], Y[:100])
    before = clf.predict_topk(X[:50], k=3)
    clf.set_params(max_iter=10_000, tol=1e-9)
    alarm(1)
    with pytest.raises(Stopped):
        clf.fit(X, Y)
    for ours, theirs in zip(before, clf.predict_topk(X[:50], k=3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_other_threads_are_not_asked(alarm):
    """Handlers run in the main thread: a fit in another one goes on."""
    X, Y = make_xmr_classification(3000, 2000, 100, random_state=0)
    fitted = []
    clf = XRLinearClassifier(tol=1e-6, weight_threshold=0, random_state=0)
    thread = threading.Thread(target=lambda: fitted.append(clf.fit(X, Y)))
    thread.start()
    alarm(0.1)
    with pytest.raises(Stopped):
        time.sleep(60)
    thread.join()
    assert fitted


# --- other kernels -------------------------------------------------------------------


def long_fit_of_words():
    text = " ".join(f"word{i % 5000}" for i in range(100_000))
    return lambda: TfidfVectorizer().fit([text] * 200)


def long_transform():
    vectorizer = TfidfVectorizer().fit(["some words"])
    text = "some words and others " * 30_000
    return lambda: vectorizer.transform([text] * 300)


def long_file():
    lines = b"0 " + b"1:0.25 " * 100 + b"\n"
    text = np.frombuffer(lines * 80_000, dtype=np.uint8)
    return lambda: parse_lines(text, 0, 80_000, 2, 1)


def long_sort():
    columns = np.arange(12_000_000, dtype=np.int32)[::-1].copy() % 500
    values, ends = np.ones(len(columns)), np.arange(0, len(columns) + 1, 500)
    return lambda: sorted_rows(ends.astype(np.int32), columns, values, 1)


LONG_CALLS = {
    "_corpus_counter.pyx": long_fit_of_words,
    "_term_counts.pyx": long_transform,
    "_xmc_format_fast.pyx": long_file,
    "_sorted_rows.pyx": long_sort,
}


@pytest.mark.parametrize("kernel", LONG_CALLS)
def test_signals_are_heard_within_kernels(alarm, kernel):
    """Not only when they have returned: the error comes from inside."""
    call = LONG_CALLS[kernel]()
    alarm(0.05)
    with pytest.raises(Stopped) as stopped:
        call()
    names = [Path(entry.path).name for entry in stopped.traceback]
    assert kernel in names


NO_THREADS = """
import resource
from sklearn_xmr import XRLinearClassifier, XRNeighborsClassifier
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.utils._openmp_helpers import effective_n_threads
X, Y = make_xmr_classification(300, 200, 40, random_state=0)
XRLinearClassifier().fit(X[:40], Y[:40])
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + (6 << 20), resource.RLIM_INFINITY))
for model in XRLinearClassifier(random_state=0), XRNeighborsClassifier():
    try:
        model.fit(X, Y).predict_topk(X, k=3)
    except MemoryError:
        print("no memory")
try:
    TfidfVectorizer().fit_transform(["a text", "another"] * 50)
except MemoryError:
    print("no memory")
print("alive", effective_n_threads())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="of Linux")
def test_threads_that_cannot_be_made_are_done_without():
    environment = {**os.environ, "OMP_NUM_THREADS": "64", "OMP_STACKSIZE": "64M"}
    ended = subprocess.run(
        [sys.executable, "-c", NO_THREADS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "alive" in ended.stdout, ended.stderr


def test_a_forked_child_works_with_one_thread():
    X, Y = make_xmr_classification(300, 200, 40, random_state=0)
    expected = XRLinearClassifier(random_state=0).fit(X, Y).predict_topk(X, k=3)
    child = os.fork()
    if child == 0:
        found = XRLinearClassifier(random_state=0).fit(X, Y).predict_topk(X, k=3)
        os._exit(int((found[0] != expected[0]).any()))
    assert os.waitpid(child, 0)[1] == 0
