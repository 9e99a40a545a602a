"""A schema of mixed columns as a file that people can read and correct."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from isthmus.data.kinds import KINDS, Column
from isthmus.errors import ConfigError

_HEAD = """# What each column is. Correct a kind where it is wrong: {kinds}.
# Identifiers and constants are left out of the model, and so is a column that does not stand here.
# Categories that do not stand in a list count as never seen; without a list they are found in the data.
"""


def as_toml(columns: Sequence[Column]) -> str:
    """Return columns as TOML.

    Examples
    --------
    >>> as_toml([Column("age", "count", whole=True)]).splitlines()[-4:]
    ['[[columns]]', 'name = "age"', 'kind = "count"', 'whole = true']
    """
    blocks = [_HEAD.format(kinds=", ".join(KINDS))]
    for column in columns:
        entry = column.to_json()
        lines = [f"{name} = {_quoted(entry[name])}" for name in ("name", "kind")]
        lines += [f"type = {_quoted(column.type)}"] if column.type != "number" else []
        lines += [f"whole = {json.dumps(column.whole)}"] if column.whole else []
        lines += [f"decimals = {column.decimals}"] if column.decimals else []
        lines += [f"format = {_quoted(column.format)}"] if column.format else []
        lines += [f"categories = {_quoted(entry['categories'])}"] if column.categories else []
        note = "".join(sign if sign.isprintable() else " " for sign in column.note)
        blocks.append("\n".join(["[[columns]]" + (f"  # {note}" if note else ""), *lines]) + "\n")
    return "\n".join(blocks)


def _quoted(value: object) -> str:
    # JSON's texts are TOML's, but for one sign.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(path: str | Path) -> list[Column]:
    """Read the columns of a file that `as_toml` wrote and a person may have corrected.

    Raises
    ------
    ConfigError
        If it cannot be read, is no TOML, or an entry is missing, unknown or wrong.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the schema file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no schema file: it is not valid TOML ({error}). {_mend(path)}") from error
    return _columns(found, path)


def _mend(path: Path) -> str:
    return f"`isthmus schema DATA -o {path.name}` writes one"


def _columns(found: dict[str, Any], path: Path) -> list[Column]:
    entries: Any = found.get("columns")
    unknown = sorted(set(found) - {"columns"})
    if not isinstance(entries, list) or not entries or unknown:
        why = f"it has the entries {', '.join(unknown)}" if unknown else "it has no [[columns]]"
        raise ConfigError(f"{path} is no schema file: {why}. {_mend(path)}")
    columns: list[Column] = []
    for entry in cast("list[Any]", entries):
        try:
            columns.append(Column.from_json(entry))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    names = [column.name for column in columns]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ConfigError(f"{path}: the column {twins[0]!r} stands there twice. Leave one of them out")
    return columns


def as_text(columns: Sequence[Column]) -> str:
    """Return columns as lines of text: name, kind and what was seen.

    Examples
    --------
    >>> print(as_text([Column("age", "count", note="0 to 9"), Column("id", "identifier")]))
    column  kind        seen
    age     count       0 to 9
    id      identifier
    """
    rows = [("column", "kind", "seen"), *((column.name, column.kind, column.note) for column in columns)]
    wide = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return "\n".join(f"{name:<{wide[0]}}  {kind:<{wide[1]}}  {note}".rstrip() for name, kind, note in rows)
