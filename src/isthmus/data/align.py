"""Bring the columns of a source to what a schema says they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from isthmus.data import dates
from isthmus.data.checks import as_numbers
from isthmus.data.columns import missing_columns
from isthmus.data.facts import label
from isthmus.data.infer import TRUTHS
from isthmus.data.kinds import OTHER, Column
from isthmus.data.source import Array, RawType, Source
from isthmus.errors import DataError


def places(types: Sequence[Column], source: Source) -> list[int]:
    """Return where the columns that are modelled stand in a source: by name, or in the order of all columns where it has no names.

    Raises
    ------
    DataError
        If columns are missing.
    """
    width = source.array.shape[1]
    if not source.columns:
        if width != len(types):
            raise DataError(
                f"{source.name} has {width} features, but the model expects {len(types)} features. Give the same columns as at fitting"
            )
        return [j for j, column in enumerate(types) if column.used]
    known = {name: j for j, name in enumerate(source.columns)}
    missing = [column.name for column in types if column.used and column.name not in known]
    if missing:
        raise missing_columns(missing, source.columns, source.name)
    return [known[column.name] for column in types if column.used]


def aligned(types: Sequence[Column], source: Source) -> Array:
    """Return the values of a source as the columns that are modelled take them, float64 of shape (n, columns).

    Numbers and counts are as they are; booleans 0 and 1; categories positions in the column's, and -1 where a category is none of
    them; dates seconds since 1970; missing values NaN.

    Raises
    ------
    DataError
        If columns are missing, or hold what cannot be converted.
    """
    found, columns = places(types, source), [column for column in types if column.used]
    out = np.empty((len(source), len(columns)), np.float64)
    for i, (column, j) in enumerate(zip(columns, found)):
        out[:, i] = _converted(column, source, j)
    return out


def _converted(column: Column, source: Source, j: int) -> Array:
    values = as_numbers(source.array[:, j], source.name).astype(np.float64, copy=False)
    kind: RawType = source.types[j] if source.types else "boolean" if source.array.dtype == bool else "number"
    vocabulary = source.vocabularies.get(source.names[j], ()) if kind == "text" else ()
    if column.kind == "category":
        return _categories(column, values, kind, vocabulary)
    if kind == "text":
        return _from_texts(column, values, vocabulary, source.name)
    if column.kind == "boolean":
        _refuse_odd(column, values, ~(np.isnan(values) | (values == 0) | (values == 1)), "neither true nor false", source.name)
        return values
    if column.kind == "date":
        return _dates(column, values, kind, source.name)
    if kind == "date" and column.type != "date":
        _refuse_odd(column, values, ~np.isnan(values), "a date", source.name)
    return values


def _categories(column: Column, values: Array, kind: RawType, vocabulary: Sequence[str]) -> Array:
    codes = {text: float(code) for code, text in enumerate((*column.categories, OTHER))}
    if kind == "text":
        return _looked_up(values, [codes.get(text, -1.0) for text in vocabulary])
    found, inverse = np.unique(values, return_inverse=True)
    names = {0.0: "false", 1.0: "true"} if kind == "boolean" and not {"0", "1"} & set(column.categories) else {}
    digits = _digits(column.categories)
    table = [np.nan if np.isnan(value) else codes.get(names.get(value, label(value).zfill(digits)), -1.0) for value in found.tolist()]
    return np.array(table, np.float64)[inverse.reshape(-1)]


def _digits(categories: Sequence[str]) -> int:
    """Return how many digits all categories have, 0 if they differ: numbers that lost their leading zeros are given them back."""
    lengths = {len(text) if text.isdigit() else 0 for text in categories}
    return lengths.pop() if len(lengths) == 1 else 0


def _looked_up(values: Array, table: Sequence[float]) -> Array:
    """Return what stands for each code: -1 stays, and so does NaN."""
    gaps = np.isnan(values)
    codes = np.where(gaps, -1, values).astype(np.int64)
    found = np.array([*table, -1.0], np.float64)[codes]
    found[gaps] = np.nan
    return found


def _from_texts(column: Column, values: Array, vocabulary: Sequence[str], name: str) -> Array:
    read = _reader(column)
    table = [read(text) for text in vocabulary]
    found = _looked_up(values, [np.nan if value is None else value for value in table])
    known = np.array([value is not None for value in [*table, 0.0]], bool)
    codes = np.where(np.isnan(values), -1, values).astype(np.int64)
    wanted = {"date": "no date that can be read", "boolean": "neither true nor false"}.get(column.kind, "text where numbers belong")
    _refuse_odd(column, values, ~known[codes], wanted, name, vocabulary)
    return found


def _reader(column: Column) -> Callable[[str], float | None]:
    if column.kind == "boolean":
        return lambda text: TRUTHS.get(text.strip().lower())
    if column.kind == "date":
        return lambda text: _date(text, column.format)
    return _number


def _date(text: str, order: str) -> float | None:
    """Return seconds since 1970; nothing if the text is no date, or one of which nobody said whether day or month comes first."""
    if order not in ("dmy", "mdy") and dates.form(text) == "numbers":
        return None
    value = dates.parse(text, order)
    return None if np.isnan(value) else value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _dates(column: Column, values: Array, kind: RawType, name: str) -> Array:
    if kind == "date":
        return values
    found = dates.from_numbers(values, column.format) if column.format in ("ymd", "s", "ms") else np.full(len(values), np.nan)
    _refuse_odd(column, values, np.isnan(found) & ~np.isnan(values), "no date that can be read", name)
    return found


def _refuse_odd(column: Column, values: Array, odd: Array, what: str, name: str, vocabulary: Sequence[str] = ()) -> None:
    """Raise if some values cannot be what the column is."""
    if not odd.any():
        return
    row = int(np.flatnonzero(odd)[0])
    told = repr(vocabulary[int(values[row])])[:60] if vocabulary else f"{values[row]:g}"
    more = f", and {int(odd.sum()) - 1} rows more" if odd.sum() > 1 else ""
    mend = "Write all dates as YYYY-MM-DD, or empty those cells" if column.kind == "date" else "Mend or empty those cells"
    raise DataError(
        f"{name}: column {column.name!r} ({column.kind}) holds {what}: {told} in row {row} (counted from 0){more}. {mend}, or fit with "
        "another kind for the column"
    )
