"""A table as a folder of Parquet parts: each is whole or not there, and a run that was cut off writes only what is missing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from isthmus.data.append import Appender, Head, append
from isthmus.data.source import Array
from isthmus.errors import DataError
from isthmus.extras import require
from isthmus.files import hold

PART_BYTES = 64 << 20
LARGEST_PART = 1_000_000
_KEY = "isthmus"
_NAME = re.compile(r"part-\d{5,}\.parquet")
_STRAY = ".part-*.tmp.parquet"


@dataclass(frozen=True)
class Parts:
    """A folder ``part-00000.parquet``, ``part-00001.parquet`` ... that holds one table in order.

    Every part says in its footer what it belongs to, so that a folder needs no other file and every reader of Parquet
    folders can read it.

    Parameters
    ----------
    folder : path
    head : Head
        Columns and rows of the whole table.
    made_of : mapping of str to str
        What decides the values, such as the digests of a model and of the data: a part that was made of something else is
        refused.
    size : int
        Rows of a part; the last one may have fewer.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> parts = Parts(Path(tempfile.mkdtemp()) / "codes", Head(("z0",), rows=5), {"model": "m"}, size=2)
    >>> with parts.held() as missing, parts.part(1) as table:
    ...     table.add(np.ones((2, 1)))
    >>> missing, parts.check()
    ([0, 1, 2], [0, 2])
    """

    folder: Path
    head: Head
    made_of: Mapping[str, str] = field(default_factory=dict[str, str])
    size: int = LARGEST_PART

    @property
    def count(self) -> int:
        """How many parts the table has."""
        return -(-self.head.rows // self.size)

    def rows(self, number: int) -> range:
        """Return the rows that part `number` holds."""
        return range(number * self.size, min((number + 1) * self.size, self.head.rows))

    def path(self, number: int) -> Path:
        """Return the file of part `number`."""
        return self.folder / f"part-{number:05d}.parquet"

    def check(self) -> list[int]:
        """Return the numbers of the parts that are missing; nothing is changed.

        Raises
        ------
        DataError
            If the folder holds anything but parts of this very table.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"cannot write parts to {self.folder}: it is a file. Choose another name, or an ending such as .parquet")
        found = {item.name: item for item in self.folder.iterdir()} if self.folder.exists() else {}
        ours = {self.path(number).name: number for number in range(self.count)}
        parts = {name: _about(item) for name, item in found.items() if _NAME.fullmatch(name)}
        self._refuse_others(parts)
        foreign = sorted(name for name, item in found.items() if name not in ours and not item.match(_STRAY))
        if foreign:
            told = ", ".join(foreign[:3])
            raise DataError(f"{self.folder} holds what is no part of this output ({told}): it is left as it is; choose another folder")
        return [number for name, number in ours.items() if name not in parts]

    def _refuse_others(self, parts: Mapping[str, Mapping[str, str]]) -> None:
        """Refuse parts that say that they belong to something else, or say nothing."""
        for name, about in sorted(parts.items()):
            ours = self._about(int(name[5:-8]))
            if about == ours:
                continue
            others = sorted(key for key in ours if about.get(key) != ours[key])
            why = f"other {', '.join(others)}" if about.keys() == ours.keys() else "its footer does not say that it is one"
            raise DataError(
                f"{self.folder / name} is no part of this output ({why}): it is left as it is; choose another folder, or remove this one"
            )

    def _about(self, number: int) -> dict[str, str]:
        table = {"columns": json.dumps([self.head.ids, *self.head.columns]), "number of rows": str(self.head.rows)}
        return {**self.made_of, **table, "part size": str(self.size), "part": str(number)}

    @contextmanager
    def held(self) -> Generator[list[int]]:
        """Hold the folder against other processes, and clear away what killed ones left half-written.

        Yields
        ------
        list of int
            Numbers of the parts that are missing.

        Raises
        ------
        DataError
            If another process writes to the folder, it is not ours, or it cannot be made.
        """
        self.check()
        handle = self._hold()
        try:
            missing = self.check()
            for stray in self.folder.glob(_STRAY):
                with suppress(OSError):
                    stray.unlink()
            yield missing
        finally:
            if handle is not None:
                os.close(handle)

    def _hold(self) -> int | None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return hold(self.folder)
        except BlockingIOError as error:
            raise DataError(f"another process is writing to {self.folder}. Wait for it, or choose another folder") from error
        except OSError as error:
            raise DataError(f"cannot write to {self.folder}: {error.strerror or error}. Choose another place") from error

    @contextmanager
    def part(self, number: int) -> Generator[Appender]:
        """Lend part `number`, to be filled with its rows; it appears in the folder when it is whole.

        Raises
        ------
        DataError
            If it cannot be written, or other than its rows came.
        """
        about = {_KEY: json.dumps(self._about(number))}
        with append(self.path(number), Head(self.head.columns, len(self.rows(number)), self.head.ids, about)) as table:
            yield table

    def read(self, number: int) -> Generator[tuple[Array, list[str]]]:
        """Yield values and names of the rows of part `number`, block by block."""
        parquet = require("pyarrow.parquet", "table", "reading Parquet files")
        with parquet.ParquetFile(self.path(number)) as file:
            for batch in file.iter_batches():
                values = np.stack([batch.column(name).to_numpy() for name in self.head.columns], axis=1)
                yield values, list(map(str, batch.column(self.head.ids).to_pylist())) if self.head.ids else []


def part_size(row_bytes: int, block: int) -> int:
    """Return how many rows of `row_bytes` bytes a part should have, in whole blocks of `block` rows.

    Examples
    --------
    >>> part_size(row_bytes=48, block=65536)
    983040
    """
    return max(1, min(LARGEST_PART, PART_BYTES // max(1, row_bytes)) // block) * block


def _about(path: Path) -> dict[str, str]:
    """Return what a part's footer says; nothing if the file is broken or none of ours."""
    parquet = require("pyarrow.parquet", "table", "writing Parquet files")
    try:
        with parquet.ParquetFile(path) as file:
            entries = cast("Any", file.metadata.metadata or {})
        found: Any = json.loads(entries.get(_KEY.encode(), b"{}"))
    except (ValueError, OSError):
        return {}
    return cast("dict[str, str]", found) if isinstance(found, dict) else {}
