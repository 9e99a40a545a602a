"""A column as it was read: numbers, booleans, text or dates, with gaps."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import numpy as np

from isthmus.data.checks import check_finite
from isthmus.data.facts import label
from isthmus.data.source import Array, RawType, Source

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, eq=False)
class Raw:
    """One column as it was read.

    Parameters
    ----------
    type : {"number", "boolean", "text", "date"}
    values : ndarray of shape (n,), float64
        Numbers, 0 and 1, positions in the vocabulary, or seconds since 1970; NaN where one is missing.
    vocabulary : tuple of str
        The texts.
    """

    type: RawType
    values: Array
    vocabulary: tuple[str, ...] = ()


def type_of_arrow(pa: Any, kind: Any) -> RawType | None:
    """Return what a column of an Arrow type is read as; nothing if it is no column of ours, such as lists.

    Parameters
    ----------
    pa : module
        pyarrow.
    kind : pyarrow.DataType

    Returns
    -------
    {"number", "boolean", "text", "date"} or None
    """
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view":
        return "text"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "date"
    numeric = (types.is_integer, types.is_floating, types.is_decimal, types.is_null, types.is_time, types.is_duration)
    return "number" if any(test(kind) for test in numeric) else None


def from_arrow(pa: Any, column: Any) -> Raw | None:
    """Return an Arrow column (or array) as it was read; nothing if its type holds what is no column of ours, such as lists.

    Parameters
    ----------
    pa : module
        pyarrow.
    column : pyarrow.Array or pyarrow.ChunkedArray

    Returns
    -------
    Raw or None
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    found = type_of_arrow(pa, kind)
    if found == "text":
        return _texts_of_arrow(pa, column)
    if found == "boolean":
        return Raw("boolean", _floats(pa, column.cast(pa.int8())))
    if found == "date":
        micros = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        return Raw("date", _floats(pa, micros) / 1e6)
    if found is None:
        return None
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        whole = column.cast(pa.int32()) if kind.bit_width == 32 else column
        return Raw("number", _floats(pa, whole.cast(pa.int64())) * _UNITS[str(kind).partition("[")[2][:-1]])
    return Raw("number", _floats(pa, column))


_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def _floats(pa: Any, column: Any) -> Array:
    found = column.cast(pa.float64(), safe=False)
    return found.to_numpy() if isinstance(found, pa.ChunkedArray) else found.to_numpy(zero_copy_only=False)


def _texts_of_arrow(pa: Any, column: Any) -> Raw:
    chunks = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = chunks.dictionary_encode()
    return texts(coded.dictionary.to_pylist(), _floats(pa, coded.indices))


def texts(words: Sequence[str], codes: Array) -> Raw:
    """Return a column of text from its words and their positions; blank ones are missing."""
    kept = [word for word in words if word.strip()]
    if len(kept) == len(words):
        return Raw("text", codes, tuple(words))
    places = {word: float(i) for i, word in enumerate(kept)}
    table = np.array([*(places.get(word, np.nan) for word in words), np.nan])
    return Raw("text", table[np.where(np.isnan(codes), len(words), codes).astype(np.int64)], tuple(kept))


def from_objects(values: Sequence[Any]) -> Raw | None:
    """Return Python's objects as a column: of numbers, booleans or dates if all are such, else of text; nothing if some are none of these.

    Time spans and times of day are seconds.

    Examples
    --------
    >>> from_objects([1, 2.5, None]).type, from_objects([True, None]).type, from_objects(["a", 1]).vocabulary
    ('number', 'boolean', ('a', '1'))
    """
    try:
        # Each value is looked at once, however often it is there.
        known = list(dict.fromkeys(values))
    except TypeError:
        return None
    there = [value for value in known if not _is_gap(value)]
    kind = _type_of(there)
    if kind is None:
        return None
    words = list(dict.fromkeys(map(_as_text, there))) if kind == "text" else []
    places = {word: float(i) for i, word in enumerate(words)}
    table: dict[Any, float] = dict.fromkeys(known, np.nan)
    for value in there:
        table[value] = places[_as_text(value)] if kind == "text" else _as_number(value)
    found = np.fromiter(map(table.__getitem__, values), np.float64, len(values))
    return texts(words, found) if kind == "text" else Raw(kind, found)


def _type_of(there: Sequence[Any]) -> RawType | None:
    """Return what values that are not missing are."""
    if there and all(isinstance(value, (bool, np.bool_)) for value in there):
        return "boolean"
    numbers = (int, float, Decimal, np.number, np.bool_)
    if any(all(isinstance(value, kinds) for value in there) for kinds in (numbers, datetime.timedelta, datetime.time)):
        return "number"
    if all(isinstance(value, (datetime.date, np.datetime64)) for value in there):
        return "date"
    return "text" if all(isinstance(value, (str, *numbers)) for value in there) else None


def _is_gap(value: Any) -> bool:
    plain: Any = cast("Any", value).item() if isinstance(value, np.generic) else value
    if plain is None or type(plain).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(plain, float) and plain != plain


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(bool(value)) if type(value).__name__.startswith("bool") else label(float(value))


def _as_number(value: Any) -> float:
    """Return a number as it is, and a date, a time of day or a time span as seconds."""
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return _seconds(value) if isinstance(value, (datetime.date, np.datetime64)) else float(value)


def _seconds(value: Any) -> float:
    if isinstance(value, np.datetime64):
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).__sub__(_EPOCH).total_seconds()


def assembled(columns: Sequence[Raw], names: Sequence[str], name: str, notes: list[str]) -> Source:
    """Return columns as a source of kind "columns".

    Parameters
    ----------
    columns : sequence of Raw
    names : sequence of str
        Their names; empty where they have none.
    name : str
        What messages call the data.
    notes : list of str

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If a column of numbers has infinite values.
    """
    array = np.empty((len(columns[0].values), len(columns)), np.float64)
    for j, column in enumerate(columns):
        array[:, j] = column.values
    check_finite(array, names, name, gaps=True)
    source = Source("columns", array, tuple(names), (), notes, name, tuple(column.type for column in columns))
    source.vocabularies = {key: column.vocabulary for key, column in zip(source.names, columns) if column.type == "text"}
    return source
