"""Docstrings of all public names: numpydoc's rules, and two of our own.

The rules are those that scikit-learn enforces on itself, with examples required of
functions too. Our own: what raises says so, and fitted attributes are listed.
"""

import ast
import functools
import importlib
import inspect
import textwrap

import pytest

numpydoc_validate = pytest.importorskip("numpydoc.validate")
docscrape = pytest.importorskip("numpydoc.docscrape")

MODULES = ["sklearn_xmr"] + [
    f"sklearn_xmr.{name}"
    for name in (
        "compose",
        "datasets",
        "indexing",
        "inspection",
        "linear",
        "metrics",
        "model_selection",
        "neighbors",
        "preprocessing",
        "transformer",
    )
]

# Codes of numpydoc that are not errors here. scikit-learn ignores the first three for
# all names, and the last three for methods and functions.
IGNORED = {
    "GL01",  # the summary starts on the line of the opening quotes
    "GL02",  # the closing quotes are on the line of a one-line docstring
    "RT02",  # a single returned value may have a name
    "ES01",  # an extended summary is optional
    "SA01",  # a See Also section is optional
    "EX01",  # examples are required of classes and functions, not of methods
}

# (name of the definition; code, error or attribute) -> why it is right as it is.
EXCEPTIONS = {}


# --- what is public -------------------------------------------------------------------


def is_ours(thing):
    """Whether a class or function is defined in the package."""
    return (getattr(thing, "__module__", None) or "").startswith("sklearn_xmr")


@functools.cache
def public_things():
    """Dotted name of the definition -> class or function, each once."""
    found = {}
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if (inspect.isclass(thing) or callable(thing)) and is_ours(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


def own_classes(cls):
    """The class and its bases that are defined in the package."""
    return [base for base in cls.__mro__ if is_ours(base)]


@functools.cache
def public_members():
    """Dotted name of the definition -> method or property of a public class."""
    found = {}
    for thing in public_things().values():
        if not inspect.isclass(thing):
            continue
        for base in own_classes(thing):
            for name in vars(base):
                # scikit-learn adds set_fit_request and the like to each class.
                if name.startswith("_") or name.endswith("_request"):
                    continue
                member = getattr(base, name)
                if callable(member) or isinstance(member, property):
                    found[f"{base.__module__}.{base.__qualname__}.{name}"] = member
    return found


# --- what a docstring and the code say ------------------------------------------------


def sections_of(thing):
    """The sections of a docstring, parsed."""
    return docscrape.NumpyDocString(inspect.getdoc(thing) or "")


def syntax_of(thing):
    """Syntax tree of a class, function or property; None for compiled ones."""
    if isinstance(thing, property):
        thing = thing.fget
    try:
        source = inspect.getsource(inspect.unwrap(thing))
    except (OSError, TypeError):
        return None
    return ast.parse(textwrap.dedent(source)).body[0]


def walk_body(node):
    """Nodes of a function's body, without functions defined inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from walk_body(child)


def raised_in(node):
    """Names of the exceptions that a function's own body raises for bad input."""
    for child in walk_body(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            error = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            if isinstance(error, ast.Name) and error.id in ("ValueError", "TypeError"):
                yield error.id


def fitted_attributes(cls):
    """Names ``name_`` that methods assign to ``self``, or that are properties."""
    for base in own_classes(cls):
        for name, member in vars(base).items():
            if is_fitted_name(name) and isinstance(member, property):
                yield name
        for node in ast.walk(syntax_of(base) or ast.Module([], [])):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
                and is_fitted_name(node.attr)
            ):
                yield node.attr


def is_fitted_name(name):
    """Whether scikit-learn's convention makes it a fitted attribute."""
    return name.endswith("_") and not name.startswith("_")


# --- the tests ------------------------------------------------------------------------


def broken_rules(name, ignored):
    """Lines of what numpydoc finds wrong."""
    errors = numpydoc_validate.validate(name)["errors"]
    return [
        f"{code}: {message}"
        for code, message in errors
        if code not in ignored and (name, code) not in EXCEPTIONS
    ]


@pytest.mark.parametrize("name", sorted(public_things()))
def test_classes_and_functions_follow_numpydoc(name):
    errors = broken_rules(name, IGNORED - {"EX01"})
    assert not errors, "\n".join([name, *errors])


@pytest.mark.parametrize("name", sorted(public_members()))
def test_methods_follow_numpydoc(name):
    ignored = set(IGNORED)
    if isinstance(public_members()[name], property):
        ignored |= {"PR02"}  # a property may return a function, with its parameters
    errors = broken_rules(name, ignored)
    assert not errors, "\n".join([name, *errors])


@pytest.mark.parametrize("name", sorted({**public_things(), **public_members()}))
def test_what_raises_says_so(name):
    thing = {**public_things(), **public_members()}[name]
    node = syntax_of(thing.__init__ if inspect.isclass(thing) else thing)
    raised = set(raised_in(node)) if node is not None else set()
    documented = {row.type or row.name for row in sections_of(thing)["Raises"]}
    missing = {
        error for error in raised - documented if (name, error) not in EXCEPTIONS
    }
    assert not missing, f"{name} has no Raises section for {sorted(missing)}"


@pytest.mark.parametrize(
    "name", sorted(n for n, thing in public_things().items() if inspect.isclass(thing))
)
def test_fitted_attributes_are_listed(name):
    cls = public_things()[name]
    listed = set()
    for row in sections_of(cls)["Attributes"]:
        listed |= {part.strip() for part in row.name.split(",")}
    missing = set(fitted_attributes(cls)) - listed
    missing = {attr for attr in missing if (name, attr) not in EXCEPTIONS}
    assert not missing, f"{name} does not list {sorted(missing)}"


def test_exceptions_are_of_public_names():
    known = {*public_things(), *public_members()}
    assert {name for name, _ in EXCEPTIONS} <= known
