"""The package as a whole: its structure, what an import brings, threads, forks."""

import ast
import doctest
import importlib
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import sysconfig
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

import sklearn_xmr
from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.utils._openmp_helpers import effective_n_threads

ROOT = Path(sklearn_xmr.__file__).parent
MODULES = sorted(
    info.name for info in pkgutil.walk_packages([str(ROOT)], prefix="sklearn_xmr.")
)
# Each part may import those before it; metrics and datasets know no estimator.
ORDER = [
    "utils",
    "preprocessing",
    "metrics",
    "datasets",
    "feature_extraction",
    "base",
    "indexing",
    "linear",
    "neighbors",
    "compose",
    "transformer",
    "model_selection",
    "inspection",
    "persistence",
    "distributed",
]
FOR_ALL = ("utils", "base")
SOURCES = [path for end in ("py", "pyx", "pxd") for path in ROOT.rglob(f"*.{end}")]
each_source = pytest.mark.parametrize(
    "path", sorted(SOURCES), ids=lambda p: str(p.relative_to(ROOT))
)


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_modules(path):
    """Dotted names of the modules that a Python or Cython file imports."""
    if path.suffix != ".py":
        lines = path.read_text().splitlines()
        words = [line.split() for line in lines]
        yield from (w[1] for w in words if w[:1] in (["from"], ["import"], ["cimport"]))
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported_parts(path):
    for name in imported_modules(path):
        package, *rest = name.split(".")
        if package == "sklearn_xmr" and rest:
            yield rest


@each_source
def test_imports_point_up(path):
    part = part_of(path)
    if part not in ORDER:
        return
    allowed = set(ORDER[: ORDER.index(part) + 1])
    if part in ("metrics", "datasets"):
        allowed = {"utils", "preprocessing", part}
    parts = {rest[0] for rest in imported_parts(path)}
    assert parts & set(ORDER) <= allowed


@each_source
def test_no_module_imports_a_private_module_of_another_part(path):
    part = part_of(path)
    if part == "__init__":
        return  # the package itself
    for first, *rest in imported_parts(path):
        if first != part and first not in FOR_ALL:
            assert not [name for name in rest if name.startswith("_")], first


def test_no_circle_of_imports():
    graph = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        graph[name.removesuffix(".__init__")] = set(imported_modules(path))
    graph = {
        name: {m for n in names for m in (n, n.rpartition(".")[0]) if m in graph}
        for name, names in graph.items()
    }
    graph.pop("sklearn_xmr")  # imports the parts late
    TopologicalSorter(
        {name: names - {name, "sklearn_xmr"} for name, names in graph.items()}
    ).prepare()


def private_members_of_others(path):
    """`thing._member` where thing is neither self, cls nor super()."""
    own = {"self", "cls", "new", "out", "probe", "other"}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
            continue
        if node.attr.startswith("__") or (
            isinstance(node.value, ast.Name) and node.value.id in own
        ):
            continue
        if (
            isinstance(node.value, ast.Call)
            and getattr(node.value.func, "id", "") == "super"
        ):
            continue
        yield ast.unparse(node)


DEFINED = {
    path: {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    | {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    for path in ROOT.rglob("*.py")
}


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_no_private_member_of_another_part_is_used(path):
    """A private member that is used must be defined, or set, in the same part."""
    part = part_of(path)
    same_part = set().union(
        *(
            names
            for other, names in DEFINED.items()
            if part_of(other) in (part, *FOR_ALL)
        )
    )
    foreign = [
        use
        for use in private_members_of_others(path)
        if use.rpartition(".")[2] not in same_part
        and any(use.rpartition(".")[2] in names for names in DEFINED.values())
    ]
    assert not foreign


def test_private_names_of_sklearn_stand_in_one_module():
    allowed = {ROOT / "utils" / "_sklearn.py", ROOT / "utils" / "_callbacks.py"}
    for path in ROOT.rglob("*.py"):
        if path in allowed:
            continue
        for name in imported_modules(path):
            package, *rest = name.split(".")
            if package == "sklearn":
                assert not [r for r in rest if r.startswith("_")], (path, name)


def test_cython_imports_no_python_module_of_the_package():
    for source in ROOT.rglob("*.pyx"):
        for name in imported_modules(source):
            if name.startswith("sklearn_xmr."):
                module = ROOT.parent.joinpath(*name.split("."))
                compiled = (module.with_suffix(end) for end in (".pyx", ".pxd"))
                assert any(map(Path.exists, compiled)), (source, name)


def test_the_map_names_every_module():
    page = ROOT.parent / "CONTRIBUTING.md"
    if not page.exists():
        pytest.skip("an installed package has no such page")
    contributing = page.read_text()
    files = [path for end in ("py", "pyx", "h") for path in ROOT.rglob(f"*.{end}")]
    names = {path.name for path in files} - {"__init__.py", "_version.py"}
    missing = sorted(name for name in names if name not in contributing)
    assert not missing


def skip_without_torch(module):
    """The modules of transformer that train import torch at their top."""
    if module.startswith("sklearn_xmr.transformer."):
        pytest.importorskip("torch")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_and_says_what_it_holds(module):
    skip_without_torch(module)
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize("module", MODULES)
def test_doctests(module):
    skip_without_torch(module)
    if module.endswith(("_display", "_displays")):
        pytest.importorskip("matplotlib")
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def test_linear_parts_need_no_torch():
    code = (
        "import sys, sklearn_xmr, sklearn_xmr.datasets\n"
        "heavy = {'torch', 'transformers', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="Python has its global lock"
)
def test_importing_leaves_the_global_lock_off():
    code = (
        "import sys, numpy, sklearn\n"
        "before = sys._is_gil_enabled()\n"
        f"for name in {MODULES!r}:\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ImportError:\n"
        "        pass\n"
        "assert sys._is_gil_enabled() == before"
    )
    env = {name: v for name, v in os.environ.items() if name != "PYTHON_GIL"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_datasets_are_there_without_an_import():
    code = "import sklearn_xmr; sklearn_xmr.datasets.make_xmr_classification(9)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        _ = sklearn_xmr.dataset


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
