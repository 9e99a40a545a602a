"""By what the points of a map can be coloured: labels, the score, columns, code units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Column
from isthmus.data.dates import DAY
from isthmus.data.kinds import OTHER
from isthmus.errors import ConfigError
from isthmus.explorer.subject import Array, Subject

MOST_LEVELS = 50
YEAR = 365.2425 * DAY
LABEL, SCORE = "label", "score"
Floats32 = NDArray[np.float32]


def listed(subject: Subject) -> list[dict[str, Any]]:
    """Return the colours there are, each with its kind and, of categories, their names."""
    labels = subject.rows.labels
    found = [] if labels is None else [{"name": LABEL, **_label_kind(labels)}]
    found.append({"name": SCORE, "kind": "number", "levels": None})
    if subject.contents.kind == "table":
        found += [{"name": column["name"], "kind": column["kind"], "levels": column["levels"]} for column in columns(subject)]
    return found + [{"name": name, "kind": "number", "levels": None} for name in subject.unit_names()]


def columns(subject: Subject) -> list[dict[str, Any]]:
    """Return name, kind and levels of each column of a table."""
    schema = subject.contents.schema
    if schema.kind != "columns":
        return [{"name": name, "kind": "number", "unit": None, "levels": None} for name in schema.columns]
    return [_column(column) for column in schema.used]


def _column(column: Column) -> dict[str, Any]:
    levels = [*column.categories, OTHER] if column.kind == "category" else ["false", "true"] if column.kind == "boolean" else None
    unit = "year" if column.kind == "date" else None
    return {"name": column.name, "kind": "category" if levels else "number", "unit": unit, "levels": levels}


def values(subject: Subject, name: str) -> Floats32:
    """Return a colour's value of every row, shape (n,): a number, or the position of a category; NaN where one is missing.

    Raises
    ------
    ConfigError
        If there is no such colour.
    """
    labels, units = subject.rows.labels, subject.unit_names()
    if name == LABEL and labels is not None:
        return _labels(labels)
    if name == SCORE:
        return subject.scores.astype(np.float32)
    if name in subject.contents.schema.columns:
        return _of_column(subject, subject.contents.schema.columns.index(name))
    if name in units:
        return np.ascontiguousarray(subject.codes[:, units.index(name)], np.float32)
    raise ConfigError(f"there is no colour {name!r}: ask for one that /api/about lists")


def _of_column(subject: Subject, j: int) -> Floats32:
    found = subject.matrix[:, j].astype(np.float64)
    schema = subject.contents.schema
    if schema.kind == "columns" and schema.used[j].kind == "date":
        found = 1970.0 + found / YEAR
    if schema.kind == "columns" and schema.used[j].kind == "category":
        found = np.where((found < 0) | (found > len(schema.used[j].categories)), np.nan, found)
    return found.astype(np.float32)


def _label_kind(labels: Array) -> dict[str, Any]:
    levels = _levels(labels)
    return {"kind": "number", "levels": None} if levels is None else {"kind": "category", "levels": [str(level) for level in levels]}


def _levels(labels: Array) -> Array | None:
    """Return the classes of labels, or nothing if they are measures."""
    levels = np.unique(labels)
    return None if labels.dtype.kind == "f" or (labels.dtype.kind in "iu" and len(levels) > MOST_LEVELS) else levels


def _labels(labels: Array) -> Floats32:
    levels = _levels(labels)
    return labels.astype(np.float32) if levels is None else np.searchsorted(levels, labels).astype(np.float32)


def label_of(subject: Subject, row: int) -> str | None:
    """Return the label of a row as text, if there are labels."""
    labels = subject.rows.labels
    return None if labels is None else str(labels[row])
