"""The package as a whole: import order, import cost, docstrings, threads, forks."""

import ast
import doctest
import importlib
import inspect
import multiprocessing
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn_xmr.utils._openmp_helpers import effective_n_threads

import sklearn_xmr
from sklearn_xmr import XRLinearClassifier

ROOT = Path(sklearn_xmr.__file__).parent
MODULES = sorted(
    info.name for info in pkgutil.walk_packages([str(ROOT)], prefix="sklearn_xmr.")
)
PUBLIC = ["sklearn_xmr"] + [
    f"sklearn_xmr.{name}"
    for name in (
        "compose",
        "datasets",
        "indexing",
        "inspection",
        "linear",
        "metrics",
        "model_selection",
        "preprocessing",
        "transformer",
    )
]
# Each part may import those before it; metrics and datasets know no estimator.
ORDER = [
    "utils",
    "preprocessing",
    "metrics",
    "datasets",
    "indexing",
    "linear",
    "compose",
    "transformer",
    "model_selection",
    "inspection",
]


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "sklearn_xmr" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_point_down(path):
    part = path.relative_to(ROOT).parts[0]
    if part not in ORDER:
        return
    allowed = set(ORDER[: ORDER.index(part) + 1])
    if part in ("metrics", "datasets"):
        allowed = {"utils", "preprocessing", part}
    assert set(imported_parts(path)) <= allowed


def test_cython_imports_no_python_module_of_the_package():
    sources = list(Path(__file__).parent.parent.glob("sklearn_xmr/**/*.pyx"))
    for source in sources:
        for line in source.read_text().splitlines():
            words = line.split()
            assert not (
                words[:1] in (["import"], ["from"])
                and "import" in words
                and "sklearn_xmr" in line
                and "cimport" not in words
            ), source


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_and_says_what_it_holds(module):
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize("module", MODULES)
def test_doctests(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_documented(module):
    module = importlib.import_module(module)
    for name in module.__all__:
        thing = getattr(module, name)
        if not callable(thing) or isinstance(thing, str):
            continue
        assert "Examples\n" in thing.__doc__ or name == "ChunkedWeights", name
        documented = thing.__doc__
        members = []
        if inspect.isclass(thing):
            members = [
                getattr(thing, m)
                for m in vars(thing)
                if not m.startswith("_") and m not in ("set_fit_request",)
            ]
        for member in members:
            if callable(member) or isinstance(member, property):
                assert member.__doc__, f"{name}.{member}"
        parameters = [
            p
            for p in inspect.signature(thing).parameters
            if p not in ("self", "args", "kwargs")
        ]
        for parameter in parameters:
            assert parameter in documented, f"{name}: {parameter} is not documented"


def test_linear_parts_need_no_torch():
    code = (
        "import sys, sklearn_xmr, sklearn_xmr.datasets\n"
        "heavy = {'torch', 'transformers', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_datasets_are_there_without_an_import():
    code = "import sklearn_xmr; sklearn_xmr.datasets.make_xmr_classification(9)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        _ = sklearn_xmr.dataset


def import_time(module):
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    run = [
        float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(4)
    ]
    return min(run)


def test_import_costs_little_more_than_linear_model():
    assert import_time("sklearn_xmr") < 1.5 * import_time("sklearn.linear_model")


def fit_in_child(queue):
    X = np.eye(40)
    queue.put(
        (effective_n_threads(), XRLinearClassifier().fit(X, X.astype(int)).n_labels_)
    )


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork here"
)
def test_a_forked_child_works_with_one_thread():
    X = np.eye(40)
    XRLinearClassifier().fit(X, X.astype(int))  # the parent opens its threads
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=fit_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == (1, 40)
    child.join(timeout=60)
    assert child.exitcode == 0
