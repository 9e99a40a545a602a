"""Rows of mixed columns as people know them: real categories, dates, whole numbers, and nothing where a value is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from isthmus.data.dates import as_times
from isthmus.data.kinds import OTHER, UNSEEN, Column
from isthmus.data.schema import Schema
from isthmus.data.source import Array

Table = dict[str, Any]
_EXACT = 2.0**53


def to_table(matrix: Array, schema: Schema) -> Table:
    """Return rows as columns of values.

    Parameters
    ----------
    matrix : ndarray of shape (n, c)
        As `Schema.align` and `ColumnsPreprocessor.inverse_transform` return it.
    schema : Schema
        Of kind "columns".

    Returns
    -------
    dict of str to ndarray or list
        Numbers and dates as arrays, with NaN and NaT where one is missing; whole numbers, booleans and categories as an array if none
        is missing and as a list with None otherwise. A category never seen is "(unseen)", one of the rare ones that share a slot
        "(other)"; where there are such, categories that were numbers are text.

    Examples
    --------
    >>> schema = Schema.of([Column("age", "number", whole=True), Column("town", "category", ("Ulm", "Bonn"), "text")])
    >>> to_table(np.array([[31.0, 1.0], [np.nan, -1.0]]), schema)
    {'age': [31, None], 'town': ['Bonn', '(unseen)']}
    """
    return {column.name: _values(column, matrix[:, j]) for j, column in enumerate(schema.used)}


def _values(column: Column, values: Array) -> Any:
    if column.kind == "category":
        return _categories(column, values)
    if column.kind == "date":
        return as_times(values, column.whole)
    if column.kind == "boolean":
        return _with_gaps(values, values >= 0.5)
    if (column.whole or column.kind == "count") and np.all(np.isnan(values) | (np.abs(values) < _EXACT)):
        return _with_gaps(values, np.rint(np.where(np.isnan(values), 0.0, values)).astype(np.int64))
    return values.astype(np.float64)


def _with_gaps(values: Array, found: Array) -> Any:
    gaps = np.isnan(values)
    if not gaps.any():
        return found
    return [None if gap else value for gap, value in zip(gaps.tolist(), found.tolist())]


def _categories(column: Column, values: Array) -> list[Any]:
    names: list[Any] = [*column.categories, OTHER, None, UNSEEN]
    missing = len(column.categories) + 1
    codes = np.where(np.isnan(values), missing, values).astype(np.int64)
    codes[(codes > missing) | (codes < 0)] = missing + 1
    # A column of a frame is of one type: of text where some are no numbers.
    if column.type == "number" and not np.isin(codes, (missing - 1, missing + 1)).any():
        names = [_as_number(name) for name in names]
    return [names[code] for code in codes.tolist()]


def _as_number(name: str | None) -> Any:
    try:
        value = float(cast("str", name))
    except (TypeError, ValueError):
        return name
    return int(value) if value == int(value) and abs(value) < _EXACT else value


def like(given: Any, table: Mapping[str, Any]) -> Any:
    """Return a table as the kind of frame that was given.

    Parameters
    ----------
    given : Any
        What a caller gave: a frame of pandas (its row labels are kept), polars or Arrow, a list of dictionaries, or an array.
    table : mapping of str to array or list
        From `to_table`.

    Returns
    -------
    frame, list of dict or ndarray
        A frame where one was given; an array otherwise: of float64 with NaN if all columns are numbers, else of objects.

    Examples
    --------
    >>> like(np.zeros((2, 2)), {"a": [1, None], "b": np.array([0.5, 1.5])}).tolist()
    [[1.0, 0.5], [nan, 1.5]]
    """
    frame = _frame_like(given, table)
    if frame is not None:
        return frame
    columns = [_column(values) for values in table.values()]
    if isinstance(given, list) and given and isinstance(cast("list[Any]", given)[0], dict):
        return [dict(zip(table, row)) for row in zip(*(_plain(values) for values in table.values()))]
    if all(column.dtype.kind in "biuf" for column in columns):
        return np.stack([column.astype(np.float64) for column in columns], axis=1)
    return as_objects(table)


def as_objects(table: Mapping[str, Any]) -> Array:
    """Return a table as an array of Python's objects, shape (n, columns), None where a value is missing."""
    out = np.empty((len(next(iter(table.values()))), len(table)), dtype=object)
    for j, values in enumerate(table.values()):
        out[:, j] = _plain(values)
    return out


def _frame_like(given: Any, table: Mapping[str, Any]) -> Any:
    for name in ("pandas", "polars", "pyarrow"):
        module = sys.modules.get(name)
        kind = getattr(module, "Table" if name == "pyarrow" else "DataFrame", None)
        if kind is not None and isinstance(given, kind):
            if name == "pandas":
                return _pandas_like(kind, given, table)
            return kind(dict(table)) if name == "polars" else cast("Any", module).table(dict(table))
    return None


def _pandas_like(kind: Any, given: Any, table: Mapping[str, Any]) -> Any:
    days = [key for key, values in table.items() if str(getattr(values, "dtype", "")) == "datetime64[D]"]
    plain = {**table, **{key: table[key].astype("datetime64[s]") for key in days}}
    rows = len(next(iter(plain.values())))
    return kind(plain, index=given.index if len(given) == rows else None)


def _column(values: Any) -> Array:
    if isinstance(values, np.ndarray):
        return cast("Array", values)
    found = np.array([np.nan if value is None else value for value in values], dtype=object)
    numbers = all(isinstance(value, (int, float)) for value in found.tolist())
    return found.astype(np.float64) if numbers else found


def _plain(values: Any) -> list[Any]:
    """Return a column as Python's values, None where one is missing."""
    if not isinstance(values, np.ndarray):
        return list(values)
    array = cast("Array", values)
    gaps = np.isnat(array) if array.dtype.kind == "M" else array != array
    return [None if gap else value for gap, value in zip(gaps.tolist(), array.tolist())]
