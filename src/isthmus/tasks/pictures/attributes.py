"""Which rows have an attribute: labels of a column, of an array, of a table that names files, or of the folders that pictures lie in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Source
from isthmus.errors import DataError
from isthmus.tasks.labels import read_columns

Array = NDArray[Any]
MISSING = ("", "?", "na", "n/a", "nan", "none", "null", "unknown")
SHOWN = 8


@dataclass(frozen=True, eq=False)
class Attribute:
    """What is known of one attribute of rows.

    Attributes
    ----------
    name : str
    has : array of bool, shape (n,)
        Whether a row has it; False where that is not known.
    known : array of bool, shape (n,)
        Whether its label is known.
    told : str
        How it was read, for people.
    """

    name: str
    has: Array
    known: Array
    told: str

    def of(self, rows: Array) -> Array:
        """Return 1 for the rows that have it and 0 for the others, of the rows numbered `rows`."""
        return self.has[rows].astype(np.int64)


def as_attribute(values: Any, name: str, value: str | None = None) -> Attribute:
    """Turn labels into an attribute.

    Parameters
    ----------
    values : array-like of shape (n,)
        Labels; empty texts, None and NaN are missing, and those rows are left aside.
    name : str
        What the attribute is called. Of two labels the one that is called so means that a row has it, else the larger one.
    value : str, optional
        The label that means so; then there may be more than two.

    Returns
    -------
    Attribute

    Raises
    ------
    DataError
        If the labels leave open which rows have it, or all are the same.

    Examples
    --------
    >>> as_attribute(["smile", "plain", "", "smile"], "smile").has.tolist()
    [True, False, False, True]
    """
    texts = np.array([_text(entry) for entry in np.asarray(values).tolist()], dtype=str)
    known = ~np.isin(np.char.lower(texts), MISSING)
    classes = _classes(texts[known])
    if not classes:
        raise DataError(f"{name}: no row has a label. Fill some in: 1 for rows that have the attribute, 0 for others")
    if value is None and len(classes) > 2:
        shown = _listed(classes)
        raise DataError(f"{name} has {len(classes)} different labels ({shown}); say which one is meant, such as {name}={classes[-1]}")
    if value is not None and value not in classes:
        raise DataError(f"{name}: no row has the label {value!r}. It has: {_listed(classes)}")
    chosen = value if value is not None else name if name in classes else classes[-1]
    has = (texts == chosen) & known
    if has.sum() == known.sum():
        all_of = f"all {int(known.sum()):,} labelled rows are {chosen!r}"
        raise DataError(f"{name}: {all_of}. A direction needs rows that have the attribute and rows that do not")
    return Attribute(name, has, known, _told(name, chosen, has, known))


def _told(name: str, chosen: str, has: Array, known: Array) -> str:
    """Say how many rows have it, and how many do not."""
    missing = int((~known).sum())
    left = f"; {missing:,} without a label are left aside" if missing else ""
    return f"{name}: {int(has.sum()):,} rows have it ({chosen!r}), {int((known & ~has).sum()):,} do not{left}"


def _text(entry: Any) -> str:
    """Return a label as text, whole numbers without a point."""
    if entry is None or entry != entry:
        return ""
    whole = isinstance(entry, (bool, float)) and float(entry).is_integer()
    return str(int(entry)) if whole else str(entry).strip()


def _classes(texts: Array) -> list[str]:
    """Return the different labels in order: numbers by size, text by the alphabet."""
    found = sorted(set(texts.tolist()))
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def read_attribute(name: str, source: Source, data: Path, labels: Path | None = None) -> Attribute:
    """Find the labels of an attribute.

    Parameters
    ----------
    name : str
        A column or an array of `labels` or else of the data; a label in one of them; or, of a folder of pictures, a folder within it.
        ``NAME=LABEL`` takes one of several labels of a column.
    source : Source
        The rows. Pictures are found by their file names where the labels name these, and by their order otherwise.
    data : path
        What they were read from.
    labels : path, optional
        File with labels.

    Returns
    -------
    Attribute

    Raises
    ------
    DataError
        If there are no such labels, not one for each row, or all are the same.
    """
    column, _, value = name.partition("=")
    file = labels or data
    if labels is None and source.ids and (data.is_dir() or not _is_table(data)):
        return _of_folders(name, source, data)
    columns = read_columns(file, len(source))
    if column in columns:
        return as_attribute(_in_order(columns, column, source, file), column, value or None)
    holders = [key for key, values in columns.items() if name in set(map(_text, values.tolist()))]
    if len(holders) != 1:
        more = f" It is a label of {_listed(holders)}: say which, such as {holders[0]}={name}" if holders else ""
        raise DataError(f"{file}: there are no labels called {name!r}. It has: {_listed(list(columns)) or 'none'}.{more}")
    return as_attribute(_in_order(columns, holders[0], source, file), name, name)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz", ".npy")


def _of_folders(name: str, source: Source, data: Path) -> Attribute:
    """Take the folders that pictures lie in as their labels."""
    parents = [PurePosixPath(entry).parent.parts for entry in source.ids]
    has = np.array([name in parts for parts in parents])
    if not has.any():
        folders = sorted({part for parts in parents for part in parts})
        told = f"its folders are {_listed(folders)}" if folders else "it has no folders within"
        raise DataError(f"{data}: no folder is called {name!r}; {told}. Sort the pictures into folders, or give --labels FILE")
    found = as_attribute(np.where(has, name, "other"), name, name)
    return Attribute(name, has, found.known, found.told.replace(f"({name!r})", "(by their folder)"))


def _in_order(columns: Mapping[str, Array], column: str, source: Source, file: Path) -> Array:
    """Return labels in the order of the rows: by the names of picture files where the table has them, by position otherwise."""
    values = columns[column]
    named = _names(columns, column, source)
    if named is not None:
        places = {str(key): place for place, key in enumerate(columns[named].tolist())}
        short = {PurePosixPath(key).name: place for key, place in places.items()}
        alone = Counter(PurePosixPath(entry).name for entry in source.ids)
        found = [places.get(entry, short.get(name) if alone[name := PurePosixPath(entry).name] == 1 else None) for entry in source.ids]
        return np.array(["" if place is None else _text(values[place]) for place in found])
    if len(values) != len(source):
        hint = ", or name each picture's file in a column" if source.ids else ""
        told = f"{column!r} has {len(values):,} labels, but the data have {len(source):,} rows"
        raise DataError(f"{file}: {told}. Give one for each, in the same order{hint}")
    return values


def _names(columns: Mapping[str, Array], column: str, source: Source) -> str | None:
    """Return the column that names the picture files, if one does."""
    known = {PurePosixPath(entry).name for entry in source.ids}
    for key, values in columns.items():
        if key != column and known & {PurePosixPath(str(entry)).name for entry in values.tolist()}:
            return key
    return None


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (" ..." if len(names) > SHOWN else "")
