"""Conditions of rows read from files: columns of the data, or a file of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data import Source
from isthmus.errors import DataError
from isthmus.tasks.labels import read_labels


def file_of(names: Sequence[str]) -> Path | None:
    """Return the file that holds the conditions, if `names` is one file and no column."""
    path = Path(names[0]).expanduser() if len(names) == 1 else None
    return path if path is not None and path.is_file() else None


def columns_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of the data that hold the conditions, which are no features."""
    return () if not names or file_of(names) else tuple(names)


def with_condition(source: Source, path: Path, names: Sequence[str] | None) -> Source:
    """Return `source` with the condition of every row.

    Parameters
    ----------
    source : Source
    path : path
        The data.
    names : sequence of str, optional
        Columns of the data, or one file with a value for each row; None: nothing is done.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If a column or file is not there, or does not have a value for each row.
    """
    if not names:
        return source
    file = file_of(names)
    read = [read_labels(file, rows=len(source))] if file else [read_labels(path, name, rows=len(source)) for name in names]
    found = [_numbers(values) for values in read]
    if any(len(values) != len(source) for values in found):
        raise DataError(f"{source.name} has {len(source):,} rows, but {len(found[0]):,} conditions were read: give one for each row")
    kinds = {values.dtype.kind for values in found}
    return replace(source, condition=found[0] if len(found) == 1 else np.stack(found, 1) if len(kinds) == 1 else _mixed(found))


def _numbers(values: Any) -> Any:
    """Return text that is numbers throughout as numbers."""
    try:
        return values.astype(np.float64) if values.dtype.kind == "U" else values
    except ValueError:
        return values


def _mixed(found: Sequence[Any]) -> Any:
    """Return columns of different types as one array of objects."""
    table = np.empty((len(found[0]), len(found)), dtype=object)
    for place, values in enumerate(found):
        table[:, place] = values.tolist()
    return table


def known_columns(fitted: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return the columns that held the conditions of the data fitted on, if they were columns."""
    names = (fitted or {}).get("condition")
    return columns_of([names] if isinstance(names, str) else names) or None
