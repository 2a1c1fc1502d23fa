"""Annotations say what is true: of parameters, of compiled modules, of typical uses."""

import importlib
import importlib.util
import inspect
import re
import types
import typing
from importlib import resources
from numbers import Integral
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

import sklearn_xmr
from sklearn_xmr.preprocessing import LabelNameBinarizer
from sklearn_xmr.utils._sklearn import HasMethods, Interval, StrOptions
from sklearn_xmr.utils._typing import MatrixLike, PathOrStr, RandomState

ROOT = Path(sklearn_xmr.__file__).parent
USES = Path(__file__).with_name("uses.py")
PUBLIC = [getattr(sklearn_xmr, name) for name in sklearn_xmr.__all__]
ESTIMATORS = [
    thing
    for thing in [*PUBLIC, LabelNameBinarizer]
    if inspect.isclass(thing)
    and issubclass(thing, BaseEstimator)
    and hasattr(thing, "_parameter_constraints")
    and thing.__module__.startswith("sklearn_xmr")
]


def members(annotation):
    """The types that a union stands for."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return {m for part in typing.get_args(annotation) for m in members(part)}
    return {annotation}


def allows(annotation, constraint):
    """Whether an annotation has what a constraint of a parameter allows."""
    kinds = members(annotation)
    if typing.Any in kinds and not isinstance(constraint, StrOptions):
        return True
    if constraint is None:
        return type(None) in kinds
    if isinstance(constraint, StrOptions):
        options = [o for k in kinds for o in typing.get_args(k) if type(o) is str]
        return set(options) == constraint.options or (str in kinds and not options)
    if isinstance(constraint, Interval):
        kind = int if constraint.type is Integral else float
        return kind in kinds or (kind is int and float in kinds)
    if isinstance(constraint, HasMethods):
        return members(PathOrStr) <= kinds
    if constraint is Integral:
        return int in kinds
    if inspect.isclass(constraint):
        generic = {typing.get_origin(kind) for kind in kinds}
        return constraint in kinds | generic
    if constraint is callable:
        return any(typing.get_origin(kind) is not None for kind in kinds)
    matrix = members(MatrixLike) <= kinds
    return {
        "array-like": matrix or members(ArrayLike) <= kinds or np.ndarray in kinds,
        "sparse matrix": matrix,
        "boolean": bool in kinds,
        "verbose": int in kinds,
        "random_state": members(RandomState) <= kinds,
    }[constraint]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.__name__)
def test_parameters_are_annotated_as_they_are_checked(estimator):
    found = typing.get_type_hints(estimator.__init__)
    for name, constraints in estimator._parameter_constraints.items():
        for constraint in constraints:
            assert allows(found[name], constraint), (name, str(constraint))
        if type(None) in members(found[name]):
            allow_none = (None, "random_state", "cv_object")
            assert any(c in constraints for c in allow_none), name


def imported_from_python():
    """Compiled modules of which Python modules of the package import something."""
    texts = [path.read_text() for path in ROOT.rglob("*.py")]
    for path in ROOT.rglob("*.pyx"):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        if any(re.search(rf"from {re.escape(name)} import", text) for text in texts):
            yield path


def stub_of(path):
    """The stub of a compiled module, executed: its names, classes and signatures."""
    text = "from __future__ import annotations\n" + path.with_suffix(".pyi").read_text()
    stub = types.ModuleType("stub")
    exec(compile(text, str(path), "exec"), vars(stub))  # noqa: S102 - our own file
    return stub


@pytest.mark.parametrize("path", sorted(imported_from_python()), ids=lambda p: p.stem)
def test_stubs_agree_with_compiled_modules(path):
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    stub, module = stub_of(path), importlib.import_module(name)
    assert set(inspect.get_annotations(stub)) <= set(vars(module))
    things = {n: t for n, t in vars(stub).items() if is_defined_in(stub, t)}
    for thing_name, thing in things.items():
        check_alike(thing, getattr(module, thing_name), thing_name)


def is_defined_in(stub, thing):
    return getattr(thing, "__module__", None) == stub.__name__


def check_alike(stub, real, name):
    """Names of members and of parameters are the same."""
    if inspect.isfunction(stub):
        assert list(inspect.signature(stub).parameters) == list(
            inspect.signature(real).parameters
        ), name
    elif inspect.isclass(stub):
        for attribute in inspect.get_annotations(stub):
            assert hasattr(real, attribute), (name, attribute)
        public = {n for n in vars(real) if not n.startswith("_")}
        own = {n: m for n, m in vars(stub).items() if not n.startswith("__")}
        assert public <= {*own, *inspect.get_annotations(stub)}, name
        for member in own:
            check_alike(getattr(stub, member), getattr(real, member), member)


def test_the_marker_is_in_the_package():
    assert resources.files("sklearn_xmr").joinpath("py.typed").is_file()


def uses():
    spec = importlib.util.spec_from_file_location("uses", USES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_typical_uses_are_what_their_types_say(tmp_path):
    module = uses()
    module.fit_and_rank()
    module.look_inside()
    module.one_text_at_a_time(tmp_path)
    module.models_of_models()
