"""Known classes of rows, read for measuring only."""

from __future__ import annotations

import csv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.sniff import Dialect, sniff
from isthmus.errors import DataError
from isthmus.extras import require

Array = NDArray[Any]


def read_labels(path: str | Path, key: str | None = None, rows: int | None = None) -> Array:
    """Read one label per row.

    Parameters
    ----------
    path : path
        ``.npy``, ``.npz``, ``.parquet``, or a text table: the only array or column, or the one called `key`. The first line of a
        text file with a single column is a heading if the others are numbers and it is none, or if there is one line more than `rows`.
    key : str, optional
        Array or column that holds the labels.
    rows : int, optional
        How many labels there must be.

    Returns
    -------
    array of shape (n,)
        Whole numbers where all labels are such, text or numbers otherwise.

    Raises
    ------
    DataError
        If the file holds anything else, or not `rows` labels.
    """
    path = Path(path).expanduser()
    readers = {".npy": _npy, ".npz": _npz, ".parquet": _parquet, ".pq": _parquet}
    with _reading(path):
        found = readers[path.suffix.lower()](path, key) if path.suffix.lower() in readers else _text(path, key, rows)
    return _checked(found, path, rows)


def read_columns(path: str | Path, rows: int | None = None) -> dict[str, Array]:
    """Read everything in a file that may be labels: its columns, or its arrays with one entry for each row; what is missing stays.

    Parameters
    ----------
    path : path
        ``.npz``, ``.parquet``, a text table, or ``.npy``, whose one column is called ``label``.
    rows : int, optional
        How many there are, by which a text file with one column tells a heading from a label.

    Returns
    -------
    dict of str to array of shape (n,)

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    path = Path(path).expanduser()
    readers = {".npy": _npy_columns, ".npz": _npz_columns, ".parquet": _parquet_columns, ".pq": _parquet_columns}
    with _reading(path):
        return readers[path.suffix.lower()](path) if path.suffix.lower() in readers else _text_columns(path, rows)


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """Say which file of labels it is that is not there or cannot be read."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path} with labels. Check the path") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read labels from {path}: {error}") from error


def _npy_columns(path: Path) -> dict[str, Array]:
    found = _npy(path, None)
    if found.ndim != 1:
        raise DataError(f"{path}: labels must be one number or text per row, not an array of shape {found.shape}")
    return {"label": found}


def _npz_columns(path: Path) -> dict[str, Array]:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: values for name in archive.files if (values := archive[name]).ndim == 1}


def _parquet_columns(path: Path) -> dict[str, Array]:
    parquet = require("pyarrow.parquet", "table", "reading labels from Parquet")
    with parquet.ParquetFile(path) as file:
        return {name: np.asarray(file.read(columns=[name]).column(name).to_pylist()) for name in file.schema_arrow.names}


def _text_columns(path: Path, rows: int | None) -> dict[str, Array]:
    lines, dialect = _lines(path)
    if any(len(line) != len(dialect.names) for line in lines):
        raise DataError(f"{path}: its lines do not all have {len(dialect.names)} column(s). Give one label a line, or a table")
    cells = [[line[place].strip() for line in lines] for place in range(len(dialect.names))]
    if len(cells) == 1:
        kept = _without_heading(cells[0], dialect, rows)
        return {dialect.names[0] if len(kept) < len(lines) else "label": as_labels(kept)}
    return {name: as_labels(column[int(dialect.header) :]) for name, column in zip(dialect.names, cells)}


def read_names(path: str | Path, column: str, rows: int) -> tuple[str, ...]:
    """Read the names of the rows of a text table, an ``.npz`` or a Parquet file, as they are written there.

    Raises
    ------
    DataError
        If there is no such column or array, it has gaps, or it does not have `rows` entries.
    """
    path = Path(path).expanduser()
    readers = {".npz": _npz, ".parquet": _parquet, ".pq": _parquet}
    if path.suffix.lower() in readers:
        found = readers[path.suffix.lower()](path, column).tolist()
    else:
        lines, dialect = _lines(path)
        place = dialect.names.index(_one(path, list(dialect.names), column, "column"))
        found = [line[place].strip() for line in lines[int(dialect.header) :]]
    if len(found) != rows or any(name in (None, "") for name in found):
        raise DataError(f"{path}: the column {column!r} does not name all {rows:,} rows. Fill its gaps, or leave the ids out")
    return tuple(map(str, found))


def _checked(found: Array, path: Path, rows: int | None) -> Array:
    if found.ndim != 1:
        raise DataError(f"{path}: labels must be one number or text per row, not an array of shape {found.shape}")
    if found.dtype == object or (found.dtype.kind == "f" and not np.isfinite(found).all()) or (found.dtype.kind == "U" and not found.all()):
        raise DataError(f"{path}: some labels are missing, or are neither numbers nor text. Give one for each row")
    if rows is not None and len(found) != rows:
        raise DataError(f"{path} has {len(found):,} labels, but the data have {rows:,} rows. Give one for each, in the same order")
    return found


def _one(path: Path, names: list[str], key: str | None, what: str) -> str:
    """Return the name of the array or column that holds the labels."""
    told = ", ".join(map(repr, names[:8])) + (" ..." if len(names) > 8 else "")
    if key is not None and key not in names:
        raise DataError(f"{path}: there is no {what} {key!r}. It has: {told}")
    if key is None and len(names) != 1:
        raise DataError(f"{path} has the {what}s {told}. Say which one holds the labels (command line: --labels-key NAME)")
    return names[0] if key is None else key


def _npy(path: Path, key: str | None) -> Array:  # noqa: ARG001
    return np.load(path, allow_pickle=False)


def _npz(path: Path, key: str | None) -> Array:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return archive[_one(path, list(archive.files), key, "array")]


def _parquet(path: Path, key: str | None) -> Array:
    parquet = require("pyarrow.parquet", "table", "reading labels from Parquet")
    with parquet.ParquetFile(path) as file:
        name = _one(path, list(file.schema_arrow.names), key, "column")
        return np.asarray(file.read(columns=[name]).column(name).to_pylist())


def _lines(path: Path) -> tuple[list[list[str]], Dialect]:
    dialect = sniff(path)
    with path.open(encoding=dialect.encoding, newline="") as stream:
        return [line for line in csv.reader(stream, delimiter=dialect.delimiter) if line], dialect


def _text(path: Path, key: str | None, rows: int | None) -> Array:
    lines, dialect = _lines(path)
    width = len(dialect.names)
    if any(len(line) != width for line in lines):
        raise DataError(f"{path}: its lines do not all have {width} column(s). Give one label a line, or a table")
    if width > 1 or key is not None:
        place = dialect.names.index(_one(path, list(dialect.names), key, "column"))
        return as_labels([line[place].strip() for line in lines[int(dialect.header) :]])
    return as_labels(_without_heading([line[0].strip() for line in lines], dialect, rows))


def _without_heading(labels: list[str], dialect: Dialect, rows: int | None) -> list[str]:
    numbers = dialect.header and len(labels) > 1 and all(map(_is_whole, labels[1:]))
    more = dialect.header and rows is not None and len(labels) == rows + 1
    return labels[1:] if numbers or more else labels


def _is_whole(label: str) -> bool:
    return label.removeprefix("-").isdecimal()


def as_labels(labels: list[str]) -> Array:
    """Return texts as an array, as whole numbers where all of them are such."""
    return np.asarray(labels).astype(np.int64) if labels and all(map(_is_whole, labels)) else np.asarray(labels)
