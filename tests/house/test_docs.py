"""The documentation: the examples in its pages run, and its tables are made from all there is."""

from __future__ import annotations

import ast
import doctest
import importlib
import sys
from pathlib import Path

import pytest

from isthmus import spec
from isthmus.families import FAMILIES
from isthmus.tasks.config import Config

DOCS = Path(__file__).resolve().parents[2] / "docs"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted(path for path in DOCS.glob("*.rst") if ">>>" in path.read_text(encoding="utf-8"))


@pytest.fixture
def own_registers(monkeypatch):
    """Let pages import the examples and register parts without leaving them to other tests."""
    monkeypatch.setattr(spec, "_TYPES", dict(spec._TYPES))
    before = dict(FAMILIES)
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    monkeypatch.syspath_prepend(str(DOCS))
    yield
    FAMILIES.clear()
    FAMILIES.update(before)
    for path in (DOCS / "examples").glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("own_registers")
def test_examples_in_pages_run(page):
    result = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.usefixtures("own_registers")
def test_the_bottleneck_of_the_page_runs_its_own_example():
    result = doctest.testmod(importlib.import_module("binary"), optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.usefixtures("own_registers")
def test_tables_name_every_command_setting_and_family():
    from isthmus.cli.app import app

    tables = importlib.import_module("make_tables")
    commands, settings, parts = tables.commands(), tables.settings(), tables.parts()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"isthmus {name}\n" in commands
    for name in Config.help():
        assert f"``{name}``" in settings
        assert f"--{name.replace('_', '-')}" in commands
    for name in FAMILIES:
        assert f"``{name}``" in parts


def test_pages_include_only_outputs_that_are_made_by_the_script():
    used = {
        line.split("outputs/")[1].strip()
        for page in DOCS.glob("*.rst")
        for line in page.read_text("utf-8").splitlines()
        if "outputs/" in line
    }
    tree = ast.parse((DOCS / "make_outputs.py").read_text("utf-8"))
    run = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "RUN")
    made = {f"{ast.literal_eval(key)}.txt" for key in run.keys}
    assert used
    assert used <= made
    assert all((DOCS / "outputs" / name).is_file() for name in used)
