"""The table of scores and alarms, written as the rows come: text or Parquet, whole or not at all."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import DataError
from isthmus.extras import require
from isthmus.files import atomic_path

ENDINGS = (".csv", ".tsv", ".parquet")
COLUMNS = ("row", "score", "p_value", "alarm", "reasons")
Array = NDArray[Any]
_SPECIAL = re.compile(r'["\n\r]')


@dataclass(frozen=True, eq=False)
class Lines:
    """Some lines of the table.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        Positions in the data.
    scores, p_values : ndarray of shape (n,)
    alarms : ndarray of bool of shape (n,)
    reasons : sequence of str
        Empty where there is nothing to say.
    ids : sequence of str
        The rows' names, or empty.
    """

    rows: Array
    scores: Array
    p_values: Array
    alarms: Array
    reasons: Sequence[str]
    ids: Sequence[str] = ()

    def take(self, chosen: Array) -> Lines:
        """Return some of the lines, by a mask."""
        places = np.flatnonzero(chosen).tolist()
        ids = [self.ids[i] for i in places] if self.ids else ()
        reasons = [self.reasons[i] for i in places]
        return Lines(self.rows[chosen], self.scores[chosen], self.p_values[chosen], self.alarms[chosen], reasons, ids)

    def columns(self) -> list[Any]:
        """Return the columns of the table, without the names."""
        return [self.rows, self.scores, self.p_values, self.alarms, self.reasons]


class AlarmTable(ABC):
    """A table that grows; made by `alarm_table`.

    Parameters
    ----------
    path : path
    ids : str
        Name of the column with the rows' names; there is none if empty.
    """

    def __init__(self, path: Path, ids: str) -> None:
        self.path, self.ids = path, ids
        self.names = [*([ids] if ids else []), *COLUMNS]

    @abstractmethod
    def add(self, lines: Lines) -> None:
        """Append lines."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


class _Text(AlarmTable):
    def __init__(self, path: Path, ids: str) -> None:
        super().__init__(path, ids)
        self.sign = "\t" if path.suffix.lower() == ".tsv" else ","
        self.stream = path.open("w", newline="", encoding="utf-8")
        self.stream.write(self.sign.join(map(self._cell, self.names)) + "\n")

    def add(self, lines: Lines) -> None:
        # Written out, for a million lines take three times as long by the csv module.
        form = self.sign.join(("%d", "%.9g", "%.9g", "%d", ""))
        columns = (lines.rows.tolist(), lines.scores.tolist(), lines.p_values.tolist(), lines.alarms.tolist())
        found = [form % row for row in zip(*columns)]
        for i, reason in enumerate(lines.reasons):
            if reason:
                found[i] += self._cell(reason)
        if self.ids:
            found = [f"{self._cell(name)}{self.sign}{line}" for name, line in zip(lines.ids, found)]
        self.stream.write("".join([f"{line}\n" for line in found]))

    def _cell(self, text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) or self.sign in text else text

    def close(self) -> None:
        self.stream.close()


class _Parquet(AlarmTable):
    def __init__(self, path: Path, ids: str) -> None:
        super().__init__(path, ids)
        self.pa = require("pyarrow", "table", "writing Parquet files")
        parquet = require("pyarrow.parquet", "table", "writing Parquet files")
        types = [self.pa.int64(), self.pa.float64(), self.pa.float64(), self.pa.bool_(), self.pa.string()]
        self.schema = self.pa.schema(list(zip(self.names, [*([self.pa.string()] if ids else []), *types])))
        self.writer = parquet.ParquetWriter(path, self.schema, use_dictionary=["reasons"])

    def add(self, lines: Lines) -> None:
        columns = [*([list(lines.ids)] if self.ids else []), *lines.columns()]
        arrays = [self.pa.array(column, type=field.type) for column, field in zip(columns, self.schema)]
        self.writer.write_table(self.pa.Table.from_arrays(arrays, schema=self.schema))

    def close(self) -> None:
        self.writer.close()


@contextmanager
def alarm_table(path: Path, ids: str = "") -> Generator[AlarmTable]:
    """Lend a table that takes the place of `path` when it is whole.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` or ``.parquet``.
    ids : str
        Name of a first column with the rows' names; none if empty.

    Yields
    ------
    AlarmTable

    Raises
    ------
    DataError
        If the ending is another, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "alarms.csv"
    >>> with alarm_table(file) as table:
    ...     table.add(Lines(np.array([7]), np.array([2.5]), np.array([0.01]), np.array([True]), ["age: 140 (expected 38)"]))
    >>> file.read_text().splitlines()
    ['row,score,p_value,alarm,reasons', '7,2.5,0.01,1,age: 140 (expected 38)']
    """
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"cannot write {path.name}: alarms go to a file that ends in one of {', '.join(ENDINGS)}")
    with atomic_path(path) as temporary:
        table = (_Parquet if path.suffix.lower() == ".parquet" else _Text)(temporary, ids)
        try:
            yield table
        finally:
            table.close()
