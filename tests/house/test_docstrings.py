"""Docstrings: everything public has one, what is exported has numpydoc's sections, and every example runs."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import isthmus

SECTIONS = {"Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes", "References", "Examples"}
DESCRIBED_ELSEWHERE = {
    "isthmus.estimators.BaseAutoencoder",  # not used itself; its subclasses describe all parameters
    "isthmus.training.Step",  # a protocol: nothing is constructed
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_names():
    found = [module.name for module in pkgutil.walk_packages(isthmus.__path__, "isthmus.")]
    return ["isthmus", *(name for name in found if not name.endswith("__main__"))]


def owned(module):
    """Public classes and functions defined in `module`, with their public methods, by dotted name."""
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__ or getattr(item, "__name__", "") == "<lambda>":
            continue
        if inspect.isfunction(item):
            yield f"{module.__name__}.{name}", item
        elif inspect.isclass(item):
            yield f"{module.__name__}.{name}", item
            yield from methods(f"{module.__name__}.{name}", item)


def methods(prefix, cls):
    for name, item in vars(cls).items():
        function = item.__func__ if isinstance(item, (classmethod, staticmethod)) else item.fget if isinstance(item, property) else item
        if not name.startswith("_") and inspect.isfunction(function):
            yield f"{prefix}.{name}", function


def exported():
    """Classes and functions named by a package's __all__, by dotted name."""
    found = {}
    for package in module_names():
        module = importlib.import_module(package)
        names = getattr(module, "__all__", []) if hasattr(module, "__path__") and package != "isthmus" else []
        found |= {f"{package}.{name}": getattr(module, name) for name in names if callable(getattr(module, name))}
    return {name: item for name, item in found.items() if item.__module__.startswith("isthmus") and not is_error(item)}


def is_error(item):
    return inspect.isclass(item) and issubclass(item, Exception)


def is_written(function, module):
    """Whether the function stands in the module's own file: dataclasses and protocols write constructors of their own."""
    return inspect.unwrap(function).__code__.co_filename == module.__file__


def sections(item):
    """Split a docstring into numpydoc's sections."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(item) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def entries(text):
    """Names a section describes: those at the line's start, before a colon."""
    heads = [line.split(" : ")[0].rstrip(" :") for line in text.splitlines() if line and not line.startswith(" ")]
    return {name.strip().lstrip("*\\") for head in heads for name in head.split(",")}


def parameters(item):
    return {name for name in inspect.signature(item).parameters if name not in ("self", "cls") and not name.startswith("_")}


def raised(function):
    """Names of errors that the body of `function` itself raises, outside of a try that may catch them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    caught = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Try) for part in node.body for inner in ast.walk(part)}
    raises = [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and id(node) not in caught]
    calls = [node.exc for node in raises if isinstance(node.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name) and call.func.id.endswith("Error")}


def overrides(name):
    """Whether a method of that dotted name has one of the same name in a base class of isthmus, which is documented there."""
    module, cls, method = name.rsplit(".", 2)
    owner = getattr(importlib.import_module(module), cls, None) if cls[:1].isupper() else None
    return owner is not None and any(method in vars(base) for base in owner.__mro__[1:] if base.__module__.startswith("isthmus"))


def documented_errors(name, function):
    text = inspect.getdoc(function) or ""
    if text.startswith("Raise ") or "errors as for" in text.partition("\n")[0]:
        return raised(inspect.unwrap(function))
    named = set(sections(function).get("Raises", "").replace(",", " ").split())
    if function.__name__ in ("__init__", "__post_init__") or overrides(name):
        owner = getattr(importlib.import_module(name.rsplit(".", 2)[0]), name.rsplit(".", 2)[1])
        named |= {word for base in owner.__mro__ for word in sections(base).get("Raises", "").replace(",", " ").split()}
    return named


def functions_of(module):
    """Public functions and methods of `module`, and the constructors of its public classes. Docstrings of commands are their help."""
    for name, item in owned(module) if not module.__name__.startswith("isthmus.cli") else ():
        if inspect.isfunction(item):
            yield name, item
        else:
            own = [vars(item).get(method) for method in ("__init__", "__post_init__")]
            yield from ((f"{name}.{f.__name__}", f) for f in own if inspect.isfunction(f) and is_written(f, module))


@pytest.mark.parametrize("name", module_names())
def test_everything_public_has_a_docstring_with_known_sections(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for dotted, item in owned(module):
        text = inspect.getdoc(item) or ""
        assert text, f"{dotted} has no docstring"
        unknown = set(sections(item)) - SECTIONS
        assert not unknown, f"{dotted} has unknown sections: {unknown}"


@pytest.mark.parametrize("name", module_names())
def test_sections_name_real_parameters(name):
    for dotted, item in owned(importlib.import_module(name)):
        told = entries(sections(item).get("Parameters", ""))
        if told:
            assert told <= parameters(item), f"{dotted} describes parameters it does not take: {told - parameters(item)}"


@pytest.mark.parametrize("name", module_names())
def test_errors_a_function_raises_are_told(name):
    for dotted, function in functions_of(importlib.import_module(name)):
        untold = raised(inspect.unwrap(function)) - documented_errors(dotted, function)
        assert not untold, f"{dotted} raises {untold}, which its docstring does not say"


@pytest.mark.parametrize("name", sorted(exported().keys() - DESCRIBED_ELSEWHERE))
def test_what_is_exported_is_documented_in_full(name):
    item = exported()[name]
    found = sections(item)
    told = entries(found.get("Parameters", "")) | (entries(found.get("Attributes", "")) if dataclasses.is_dataclass(item) else set())
    own = not inspect.isclass(item) or any("__init__" in vars(base) for base in item.__mro__ if base.__module__.startswith("isthmus"))
    missing = parameters(item) - told if own and not getattr(item, "_is_protocol", False) else set()
    assert not missing, f"{name} does not describe {missing}"
    if inspect.isfunction(item) and inspect.signature(item).return_annotation not in ("None", None, inspect.Signature.empty):
        told_so = re.match(r"(Return|Say|Write|Give|Choose|Build)", inspect.getdoc(item))
        assert "Returns" in found or "Yields" in found or told_so, f"{name} does not say what it returns"


def doctests():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in module_names():
        module = importlib.import_module(name)
        yield from ((test.name, test) for test in finder.find(module, name) if test.examples)


@pytest.mark.parametrize("test", [pytest.param(test, id=name) for name, test in doctests()])
def test_examples_run(test):
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_the_walk_finds_the_package():
    assert len(module_names()) > 60
    assert len(list(doctests())) > 50
    assert len(exported()) > 60
