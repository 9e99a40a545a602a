"""Values of a table as people write them: numbers in their own units, categories, dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from isthmus.data import Schema, Source, to_table
from isthmus.tasks.layout import Array

Values = Mapping[str, Sequence[Any]]
MOST_LETTERS = 60


def values_of(schema: Schema, matrix: Array, source: Source | None = None) -> Values:
    """Return the columns of `matrix`, shape (n, c), as lists of plain values by name; None is missing.

    Parameters
    ----------
    schema : Schema
        Of a table.
    matrix : ndarray of shape (n, c)
        As `Schema.align` gives it.
    source : Source, optional
        Where it comes from: it knows the texts of categories that the schema does not.

    Returns
    -------
    dict of str to list

    Examples
    --------
    >>> values_of(Schema("table", ("a", "b"), (2,), "int64"), np.array([[1, 2], [3, 4]]))
    {'a': [1, 3], 'b': [2, 4]}
    """
    if schema.kind == "table":
        names = schema.columns or tuple(f"c{j}" for j in range(matrix.shape[1]))
        return {name: _plain(matrix[:, j]) for j, name in enumerate(names)}
    found = {name: _plain(values) for name, values in to_table(matrix, schema).items()}
    if source is not None:
        for j, column in enumerate(schema.used):
            if column.kind == "category":
                _name_unknown(found[column.name], matrix[:, j], len(column.categories), source, column.name)
    return found


def _plain(values: Any) -> list[Any]:
    if not isinstance(values, np.ndarray):
        return list(values)
    listed: list[Any] = values.tolist()
    return [None if value != value else value for value in listed]


def _name_unknown(values: list[Any], codes: Array, known: int, source: Source, name: str) -> None:
    """Put the texts of the data where the schema knows no category."""
    texts = source.vocabularies.get(name)
    if texts is None or name not in source.names:
        return
    raw = source.array[:, source.names.index(name)]
    for i in np.flatnonzero((codes < 0) | (codes >= known)).tolist():
        values[i] = texts[int(raw[i])]


def told(value: object) -> str:
    """Return a value as text for people.

    Examples
    --------
    >>> told(3.14159265), told(1234567.0), told(12), told(None), told("red"), told(True)
    ('3.142', '1234567', '12', 'missing', 'red', 'true')
    """
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes" if value.second == 0 else "seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return _number(value)
    text = str(value)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def _number(value: float) -> str:
    if not np.isfinite(value):
        return str(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
