"""Write a table block by block, whole or not at all: what is written need never be in memory as a whole."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from isthmus.data.source import Array, row_blocks
from isthmus.errors import ConfigError, DataError
from isthmus.extras import require
from isthmus.files import atomic_path

Ids = Sequence[str] | Array
ENDINGS = (".csv", ".tsv", ".parquet", ".npy")


@dataclass(frozen=True)
class Head:
    """What a table will be, before its first row is known.

    Parameters
    ----------
    columns : tuple of str
        Names of the columns.
    rows : int
        How many rows are to come.
    ids : str
        Name of a first column with names of the rows; none if empty. An ``.npy`` file holds none.
    about : mapping of str to str
        Kept in the footer of a Parquet file.
    """

    columns: tuple[str, ...]
    rows: int
    ids: str = ""
    about: Mapping[str, str] = field(default_factory=dict[str, str])


class Appender(ABC):
    """A file that grows by blocks of rows.

    Parameters
    ----------
    path : path
    head : Head
    """

    def __init__(self, path: Path, head: Head) -> None:
        self.path, self.head, self.rows = path, head, 0

    def add(self, values: Array | Mapping[str, Any], ids: Ids = ()) -> None:
        """Append rows, shape (n, ...) with one value for each column, or columns of them (`isthmus.data.to_table`), and their names.

        Raises
        ------
        ConfigError
            If there are not as many values a row as columns, or the format holds numbers only.
        """
        if not isinstance(values, np.ndarray):
            self._check_names(values)
            self._add_columns(values, ids)
            self.rows += len(next(iter(values.values())))
            return
        table = values.reshape(len(values), int(np.prod(values.shape[1:])))
        if table.shape[1] != len(self.head.columns):
            raise ConfigError(f"columns: {len(self.head.columns)} names for {table.shape[1]} columns; give one for each")
        self._add(values if isinstance(self, _Npy) else table.astype(np.uint8) if table.dtype == bool else table, ids)
        self.rows += len(values)

    def _check_names(self, columns: Mapping[str, Any]) -> None:
        if tuple(columns) != self.head.columns:
            raise ConfigError(f"columns: {list(columns)} are not those announced, {list(self.head.columns)}")

    @abstractmethod
    def _add(self, values: Array, ids: Ids) -> None: ...

    @abstractmethod
    def _add_columns(self, columns: Mapping[str, Any], ids: Ids) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


class _Parquet(Appender):
    """A row group for each block."""

    def __init__(self, path: Path, head: Head) -> None:
        super().__init__(path, head)
        self.pa = require("pyarrow", "table", "writing Parquet files")
        self.parquet = require("pyarrow.parquet", "table", "writing Parquet files")
        self.writer: Any = None

    def _add(self, values: Array, ids: Ids) -> None:
        self._write([self.pa.array(np.ascontiguousarray(values[:, j])) for j in range(values.shape[1])], ids)

    def _add_columns(self, columns: Mapping[str, Any], ids: Ids) -> None:
        self._write([self._typed(name, values) for name, values in columns.items()], ids)

    def _typed(self, name: str, values: Any) -> Any:
        # The first block has decided: a later one may hold no value to tell the type by.
        known = self.writer.schema.field(name).type if self.writer is not None else self._wanted(values)
        if isinstance(values, list) and known is not None:
            values = _as_told(cast("list[Any]", values), text=self.pa.types.is_string(known))
        try:
            return self.pa.array(values, type=known, from_pandas=True)
        except (self.pa.ArrowInvalid, self.pa.ArrowTypeError) as error:
            raise DataError(
                f"column {name!r} was written as {known} in the rows before, and now holds what is none ({error}). Write to a .csv file"
            ) from error

    def _wanted(self, values: Any) -> Any:
        """Return the type of a column, where it is not plain from the array: text where there are texts and other things."""
        if isinstance(values, np.ndarray):
            return None
        kinds: set[Any] = set(map(type, cast("list[Any]", values))) - {type(None)}
        if kinds in ({bool}, {int}):
            return None
        return self.pa.float64() if kinds and kinds <= {int, float} else self.pa.string()

    def _write(self, columns: list[Any], ids: Ids) -> None:
        names = list(self.head.columns)
        if self.head.ids:
            columns, names = [self.pa.array(ids), *columns], [self.head.ids, *names]
        table = self.pa.Table.from_arrays(columns, names=names)
        if self.writer is None:
            # Floats hardly repeat: a dictionary of them costs time and room.
            repeating = [entry.name for entry in table.schema if not self.pa.types.is_floating(entry.type)]
            schema = table.schema.with_metadata(dict(self.head.about) or None)
            self.writer = self.parquet.ParquetWriter(self.path, schema, use_dictionary=repeating or False)
        self.writer.write_table(table)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _as_told(values: list[Any], text: bool) -> list[Any]:
    """Return values of a column of text as text, and those of another column without text."""
    if text:
        return [None if value is None else str(value) for value in values]
    return [None if isinstance(value, str) else value for value in values]


class _Text(Appender):
    """A line for each row."""

    def __init__(self, path: Path, head: Head) -> None:
        super().__init__(path, head)
        self.stream = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        self.writer.writerow([*([head.ids] if head.ids else []), *head.columns])

    def _add(self, values: Array, ids: Ids) -> None:
        for rows in row_blocks(len(values), max(1, values.shape[1]) * 32):
            cells = _cells(values[rows])
            self.writer.writerows([[name, *row] for name, row in zip(ids[rows], cells)] if self.head.ids else cells)

    def _add_columns(self, columns: Mapping[str, Any], ids: Ids) -> None:
        cells = [_told(values) for values in columns.values()]
        self.writer.writerows(zip(ids, *cells) if self.head.ids else zip(*cells))

    def close(self) -> None:
        self.stream.close()


def _cells(block: Array) -> list[list[Any]]:
    # Python's floats are written as short as they can be read back; float32 needs its own shortest form.
    return (block.astype(str) if block.dtype == np.float32 else block).tolist()


def _told(values: Any) -> list[Any]:
    """Return a column as it is written in text: nothing where a value is missing, dates in ISO's form."""
    if not isinstance(values, np.ndarray):
        return ["" if value is None else _word(value) for value in values]
    array = cast("Array", values)
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array.astype("datetime64[s]") if array.dtype != "datetime64[D]" else array)
        return np.where(np.isnat(array), "", texts).tolist()
    if array.dtype.kind == "f":
        return ["" if value != value else value for value in array.tolist()]
    return [_word(value) for value in array.tolist()]


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class _Npy(Appender):
    """One array; its header needs the number of rows at once."""

    def __init__(self, path: Path, head: Head) -> None:
        super().__init__(path, head)
        self.stream = path.open("wb")

    def _add(self, values: Array, ids: Ids) -> None:  # noqa: ARG002
        if not self.rows:
            header = {"descr": values.dtype.str, "fortran_order": False, "shape": (self.head.rows, *values.shape[1:])}
            np.lib.format.write_array_header_1_0(self.stream, header)  # pyright: ignore[reportArgumentType]
        self.stream.write(np.ascontiguousarray(values).data)

    def _add_columns(self, columns: Mapping[str, Any], ids: Ids) -> None:  # noqa: ARG002
        raise ConfigError(f"cannot write {self.path.name}: an array holds numbers only. Give an ending for tables: .csv, .tsv or .parquet")

    def close(self) -> None:
        self.stream.close()


_APPENDERS: dict[str, type[Appender]] = {".csv": _Text, ".tsv": _Text, ".parquet": _Parquet, ".npy": _Npy}


def opened(path: Path, head: Head) -> closing[Appender]:
    """Open `path`, by its ending, for blocks of rows; the file is finished when the block ends."""
    return closing(_APPENDERS[path.suffix.lower()](path, head))


@contextmanager
def append(path: Path, head: Head) -> Generator[Appender]:
    """Lend a table that grows by blocks of rows and takes the place of `path` when it is whole.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.parquet`` or ``.npy``.
    head : Head

    Yields
    ------
    Appender

    Raises
    ------
    DataError
        If the ending is another, the file cannot be written, or other than the announced number of rows came.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "codes.csv"
    >>> with append(file, Head(("z0", "z1"), rows=2, ids="name")) as table:
    ...     table.add(np.zeros((1, 2)), ["a"])
    ...     table.add(np.ones((1, 2)), ["b"])
    >>> file.read_text().splitlines()
    ['name,z0,z1', 'a,0.0,0.0', 'b,1.0,1.0']
    """
    if path.suffix.lower() not in _APPENDERS:
        raise DataError(f"cannot write {path.name} block by block: it must end in one of {', '.join(ENDINGS)}, or be a folder (no ending)")
    with atomic_path(path) as temporary:
        with opened(temporary, head) as table:
            yield table
        if table.rows != head.rows:
            raise DataError(f"{path} was to have {head.rows:,} rows, but {table.rows:,} came. Check that the data do not change meanwhile")
