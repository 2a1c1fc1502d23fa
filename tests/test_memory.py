"""Results that do not fit into memory: an early error with the estimate, and advice."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults import forked, of_unix
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sklearn_xmr import (
    HybridFeatures,
    LabelTree,
    XMRClassifier,
    XREnsembleClassifier,
    XRLabelVectorsClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
    XRStackingClassifier,
    label_representation,
)
from sklearn_xmr.datasets import make_xmr_classification
from sklearn_xmr.utils import _memory
from sklearn_xmr.utils._memory import available_bytes, check_memory

X, Y = make_xmr_classification(200, 100, 30, random_state=0)
DENSE = Y.toarray().astype(int)
CLASSES = np.asarray(Y.argmax(axis=1)).ravel()
TABLE = np.random.RandomState(0).rand(200, 50).astype(np.float32)
LINEAR = XRLinearClassifier(random_state=0).fit(X, Y)


@pytest.fixture
def no_memory(monkeypatch):
    """As if there were no byte left, and each were worth a look."""
    monkeypatch.setattr(_memory, "available_bytes", lambda: 0)
    monkeypatch.setattr(_memory, "FEW_BYTES", 1)


def own_stages():
    tree, each = DecisionTreeClassifier(), LogisticRegression()
    return XMRClassifier(KMeans(3, n_init=1), tree, each, random_state=0)


# What to do in two steps (the second without memory), and what the error names.
CALLS = {
    "predict_proba": (
        lambda: LINEAR.__class__(random_state=0).fit(X, DENSE),
        lambda clf: clf.predict_proba(X),
        r"predict_proba would need about 24 kB \(200 instances x 30 labels, 4 bytes",
    ),
    "predict": (
        lambda: XRNeighborsClassifier().fit(X, DENSE),
        lambda clf: clf.predict(X),
        "the dense result of predict would need .*: predict_topk gives the best",
    ),
    "classes": (
        lambda: XRLinearClassifier(random_state=0).fit(X, CLASSES),
        lambda clf: clf.predict_proba(X),
        r"predict_proba would need about 120 kB \(200 instances x 25 labels, 24 bytes",
    ),
    "ranking": (
        lambda: LINEAR,
        lambda clf: clf.predict_topk(X, 30),
        r"the ranking would need about 96 kB \(200 instances x 30 labels, 16 bytes",
    ),
    "ranking in blocks": (
        lambda: XREnsembleClassifier(n_estimators=1, random_state=0).fit(X, Y),
        lambda clf: clf.predict_topk(X, 30),
        "ask for a smaller k, or rank fewer instances at a time",
    ),
    "candidates": (
        lambda: LINEAR,
        lambda clf: clf.score_pairs(X, np.arange(30)),
        "200 instances x 30 candidates",
    ),
    "table": (
        lambda: clone(LINEAR).set_output(transform="pandas").fit(X, Y),
        lambda clf: clf.transform(X),
        "leave set_output at its default",
    ),
    "sklearn's targets": (
        lambda: XRStackingClassifier([("t", DecisionTreeClassifier())], random_state=0),
        lambda clf: clf.fit(X, Y),
        "dense targets of DecisionTreeClassifier would need .* use a model that takes",
    ),
    "groups": (
        own_stages,
        lambda clf: clf.fit(X, Y),
        "dense targets of (DecisionTreeClassifier|group 0)",
    ),
    "votes": (
        lambda: XRNeighborsClassifier().fit(X, CLASSES),
        lambda clf: clf.predict(X),
        "(a vote for each class|the ranking) would need",
    ),
    "weights": (
        lambda: XRLinearClassifier(LabelTree.flat(30), random_state=0),
        lambda clf: clf.fit(HybridFeatures(X, TABLE), Y),
        "the weights of dense features would need .*30 nodes x 50 features",
    ),
    "label vectors": (
        lambda: XRLabelVectorsClassifier(),
        lambda clf: label_representation(TABLE, Y),
        "the dense vectors of the labels would need .*30 labels x 50 features",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_an_early_error_with_advice(name, request):
    make, call, message = CALLS[name]
    estimator = make()
    before = dict(vars(estimator))
    request.getfixturevalue("no_memory")
    with pytest.raises(MemoryError, match=message):
        call(estimator)
    assert vars(estimator) == before


def test_sparse_results_need_none_of_it(no_memory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_memory, "FEW_BYTES", 200 * 20 * 16 + 1)  # the ranking itself
        assert sparse.issparse(LINEAR.predict_proba(X))
        assert sparse.issparse(LINEAR.predict(X))


def test_the_estimate_is_readable(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 8 << 30)
    shape, axes = (1_000_000, 100_000), ("rows", "labels")
    with pytest.raises(MemoryError) as error:
        check_memory("a table", shape, axes, "do without")
    assert str(error.value) == (
        "a table would need about 400 GB (1,000,000 rows x 100,000 labels, 4 bytes "
        "each), but 8.59 GB of memory are free: do without"
    )
    check_memory("a table", (1000, 100_000), axes, "do without")


def test_nothing_is_refused_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: None)
    check_memory("a table", (10**9, 10**9), ("rows", "labels"), "do without")


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


MACHINE = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 2000 kB\nSwapFree: 48 kB\n"}
VERSION_2 = {
    "proc/self/cgroup": "0::/user/mine\n",
    "sys/fs/cgroup/user/memory.max": "1000000\n",
    "sys/fs/cgroup/user/memory.current": "900000\n",
    "sys/fs/cgroup/user/memory.stat": "anon 5\ninactive_file 70\nactive_file 8\n",
    "sys/fs/cgroup/user/mine/memory.max": "max\n",
    "sys/fs/cgroup/user/mine/memory.current": "900000\n",
}
VERSION_1 = {
    "proc/self/cgroup": "3:cpu:/a\n4:memory:/outside/of/this\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "500000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (MACHINE, 2048 << 10),
        (MACHINE | VERSION_2, 100_078),
        (MACHINE | VERSION_1, 0),
        (VERSION_2, 100_078),
    ],
    ids=["silent", "machine", "groups", "groups of version 1", "groups only"],
)
def test_the_least_of_all_limits_counts(files, free, tmp_path, monkeypatch):
    monkeypatch.setattr(_memory, "resource", None)
    write(tmp_path, files)
    assert available_bytes(tmp_path) == free


@of_unix
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="of Linux")
def test_a_limit_of_the_process_counts():
    import resource

    clf = XRLabelVectorsClassifier().fit(
        sparse.random(3000, 50, 0.1, format="csr", random_state=0),
        np.eye(3000, dtype=np.int8),
    )
    many = sparse.csr_matrix((200_000, 50), dtype=np.float32)

    def limited():
        mapped = int(Path("/proc/self/statm").read_text().split()[0])
        limit = mapped * resource.getpagesize() + (1 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        free = available_bytes()
        try:
            clf.predict_proba(many)
        except MemoryError as error:
            return free, str(error)

    free, message = forked(limited)
    assert 0 < free <= 1 << 30
    assert "about 2.4 GB (200,000 instances x 3,000 labels" in message


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="of Linux")
def test_kernels_without_memory_change_nothing():
    script = Path(__file__).parent / "helpers" / "memory_limits.py"
    command = [sys.executable, script, "--limits", "8"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no memory to fit" in ended.stdout
