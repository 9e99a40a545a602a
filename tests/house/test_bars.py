"""The bars the sources keep: short functions, short files, little repetition, nothing hidden."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PICKLERS = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
GLOBAL = ("manual_seed_all", "set_default_dtype", "set_num_threads", "use_deterministic_algorithms")
SOURCES = sorted((Path(__file__).resolve().parents[2] / "src" / "isthmus").rglob("*.py"))
WINDOW = 6


def code_lines(path: Path) -> dict[int, str]:
    """Line number -> text of the lines that are code: no comment, no docstring, no blank line."""
    text = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING}
    lines = text.splitlines()
    documented = {number for node in docstrings(ast.parse(text)) for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    found = {n for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped for n in _span(token)}
    return {number: lines[number - 1].strip() for number in sorted(found - documented)}


def _span(token: tokenize.TokenInfo) -> range:
    return range(token.start[0], token.end[0] + 1)


def docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                yield first


def function_lengths() -> dict[str, int]:
    """Code lines of every function's body."""
    found = {}
    for path in SOURCES:
        code = code_lines(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
                found[f"{path.name}:{node.lineno} {node.name}"] = sum(number in code for number in body)
    return found


def test_functions_are_short() -> None:
    lengths = function_lengths()
    values = sorted(lengths.values())
    longest = sorted(lengths.items(), key=lambda item: -item[1])[:5]
    assert statistics.median(values) <= 6
    assert values[int(0.95 * len(values))] <= 30, longest
    assert values[-1] <= 60, longest


def test_files_are_short() -> None:
    lengths = {path.name: len(code_lines(path)) for path in SOURCES}
    assert max(lengths.values()) <= 400, Counter(lengths).most_common(3)


def test_recipes_are_shorter_still() -> None:
    recipes = [p for p in SOURCES if p.parent.name == "families" and p.name not in ("__init__.py", "common.py", "table.py")]
    assert {p.name: len(code_lines(p)) for p in recipes if len(code_lines(p)) > 80} == {}


def test_little_is_written_twice() -> None:
    code = {path: list(code_lines(path).values()) for path in SOURCES}
    plain = {path: [line for line in lines if not line.startswith(("import ", "from ")) and len(line) > 3] for path, lines in code.items()}
    windows = Counter(tuple(lines[i : i + WINDOW]) for lines in plain.values() for i in range(len(lines) - WINDOW + 1))
    repeated = 0
    for lines in plain.values():
        marked = {i + k for i in range(len(lines) - WINDOW + 1) if windows[tuple(lines[i : i + WINDOW])] > 1 for k in range(WINDOW)}
        repeated += len(marked)
    assert repeated <= 0.03 * sum(map(len, plain.values()))


def test_nothing_hides() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{path.name}:{node.lineno} bare except")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                wrong.append(f"{path.name}:{node.lineno} print")
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{path.name} imports {name}" for name in names if name.split(".")[0] in PICKLERS]
            if isinstance(node, ast.Attribute) and node.attr in GLOBAL and path.name != "threads.py":
                wrong.append(f"{path.name}:{node.lineno} changes torch for the whole process ({node.attr})")
    assert wrong == []


def importers(module: str) -> set[str]:
    """Floors whose sources import `module` or something inside it."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if any(name == module or name.startswith(f"{module}.") for name in names):
                found.add(path.relative_to(SOURCES[0].parent).parts[0])
    return found


def test_one_importer_each() -> None:
    assert importers("torch.distributed") == {"training"}
    assert importers("sklearn.base") == {"estimators"}
    assert importers("typer") == {"cli"}
    assert importers("rich") == {"cli"}
    assert importers("matplotlib") == set()
