"""Where batches come from: files, a folder that is watched, or lines of text on a stream."""

from __future__ import annotations

import csv
import json
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, time
from typing import Any, TextIO, cast

from isthmus.data import Dataset, Schema, Source
from isthmus.data.sniff import is_number
from isthmus.errors import DataError
from isthmus.tasks.monitor_state import digest
from isthmus.tasks.opening import open_for
from isthmus.tasks.reading import read_for

ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".npy", ".npz")
# A file that was written to within this many seconds may not be whole yet.
SETTLED = 1.0
WAITING = 1 << 16


@dataclass(frozen=True)
class Batch:
    """Rows that came together.

    Parameters
    ----------
    name : str
    time : float
        When they came, in seconds since 1970.
    open : callable
        Returns the rows; a `DataError` says that they cannot be read.
    digest : str
        By which they are recognised; empty for lines of a stream.
    """

    name: str
    time: float
    open: Callable[[], Source | Dataset]
    digest: str = ""


def files(paths: Iterable[Path], schema: Schema, fitted: Mapping[str, Any] | None = None) -> Generator[Batch]:
    """Yield a batch for each file, in the order given; a folder's files in the order of their times.

    Parameters
    ----------
    paths : iterable of path
    schema : Schema
        Of the detector.
    fitted : mapping, optional
        The options with which the data it was fitted on were opened.

    Yields
    ------
    Batch

    Raises
    ------
    DataError
        If a path is not there, or a folder holds no tables.
    """
    for path in paths:
        if not path.exists():
            raise DataError(f"there is no file or folder {path}. Check the path")
        found = tables(path) if path.is_dir() else [path]
        if not found:
            raise DataError(f"the folder {path} holds no tables: {', '.join(ENDINGS)}")
        for file in found:
            yield of_file(file, schema, fitted)


def of_file(path: Path, schema: Schema, fitted: Mapping[str, Any] | None = None) -> Batch:
    """Return the batch that a file is."""
    return Batch(path.name, path.stat().st_mtime, lambda: open_for(schema, path, fitted), digest(path))


def tables(folder: Path) -> list[Path]:
    """Return the tables in a folder, the oldest first; hidden files are left out."""
    found: list[tuple[float, str, Path]] = []
    for path in folder.iterdir():
        if path.suffix.lower() in ENDINGS and not path.name.startswith((".", "_")) and path.is_file():
            found.append((path.stat().st_mtime, path.name, path))
    return [path for *_, path in sorted(found)]


def follow(folder: Path, schema: Schema, every: float, fitted: Mapping[str, Any] | None = None) -> Generator[Batch]:
    """Yield the files of a folder as they come, without end; each is read when it has not changed for a second.

    Parameters
    ----------
    folder : path
    schema : Schema
    every : float
        Seconds between two looks.
    fitted : mapping, optional
        As for `files`.

    Yields
    ------
    Batch

    Raises
    ------
    DataError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}. Check the path")
    done: dict[Path, tuple[float, int]] = {}
    while True:
        for path in tables(folder):
            try:
                state = (path.stat().st_mtime, path.stat().st_size)
                if done.get(path) == state or time() - state[0] < SETTLED:
                    continue
                batch = of_file(path, schema, fitted)
            except (FileNotFoundError, DataError):
                continue  # taken away meanwhile
            done[path] = state
            yield batch
        sleep(every)


def lines(stream: TextIO, schema: Schema, rows: int, wait: float) -> Generator[Batch]:
    """Yield batches of lines: CSV with a header, or a JSON object a line.

    Parameters
    ----------
    stream : text stream
    schema : Schema
    rows : int
        Lines a batch.
    wait : float
        Seconds after which a batch that is not full is taken as it is.

    Yields
    ------
    Batch

    Raises
    ------
    DataError
        If there is no line.
    """
    waiting = _reader(stream)
    first = waiting.get()
    if first is None:
        raise DataError("nothing came on the standard input. Send CSV with a header, or a JSON object a line")
    parse, head = (_objects, None) if first.lstrip().startswith("{") else (_cells, next(csv.reader([first])))
    names = schema.columns or tuple(f"c{j}" for j in range(schema.shape[0]))
    early = [first]
    if head is not None and not all(is_number(cell) for cell in head if cell.strip()):
        names, early = tuple(name.strip() for name in head), []
    number = 0
    while True:
        found, over = _gather(waiting, early, rows, wait)
        early = []
        if found:
            name = f"lines {number + 1}-{number + len(found)}"
            yield Batch(name, time(), _opener(found, parse, names, schema, name))
        number += len(found)
        if over:
            return


def _reader(stream: TextIO) -> queue.Queue[str | None]:
    waiting: queue.Queue[str | None] = queue.Queue(WAITING)

    def read() -> None:
        for line in stream:
            if line.strip():
                waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def _gather(waiting: queue.Queue[str | None], found: list[str], rows: int, wait: float) -> tuple[list[str], bool]:
    """Return the lines of the next batch, and whether they were the last."""
    end: float | None = monotonic() + wait if found else None
    while len(found) < rows:
        try:
            # Without a limit an interruption would not be heard on every system.
            line = waiting.get(timeout=0.2 if end is None else max(0.0, min(0.2, end - monotonic())))
        except queue.Empty:
            if end is not None and monotonic() >= end:
                return found, False
            continue
        if line is None:
            return found, True
        found.append(line)
        end = end or monotonic() + wait
    return found, False


def _opener(found: Sequence[str], parse: Callable[..., Any], names: Sequence[str], schema: Schema, name: str) -> Callable[[], Source]:
    def read_lines() -> Source:
        head, table = parse(found, names)
        with TemporaryDirectory() as folder:
            # Through a file, so that values mean the same as in one.
            path = Path(folder) / f"{name}.csv"
            with path.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([head, *table])
            source = read_for(schema, path)
        source.name = name
        return source

    return read_lines


def _cells(found: Sequence[str], names: Sequence[str]) -> tuple[Sequence[str], list[list[str]]]:
    rows = list(csv.reader(found))
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise DataError(f"line {i + 1} of these has {len(row)} values for {len(names)} columns. Send lines that fit the header")
    return names, rows


def _objects(found: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[list[Any]]]:  # noqa: ARG001
    entries = [_object(line, i) for i, line in enumerate(found)]
    head = list(dict.fromkeys(name for entry in entries for name in entry))
    return head, [[_cell(entry.get(name)) for name in head] for entry in entries]


def _object(line: str, i: int) -> dict[str, Any]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"line {i + 1} of these is no JSON ({error}). Send a JSON object a line") from error
    if not isinstance(entry, dict):
        raise DataError(f'line {i + 1} of these is no JSON object. Send an object a line, such as {{"temperature": 20.5}}')
    return cast("dict[str, Any]", entry)


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise DataError(f"a value is {str(cast('Any', value))[:40]!r}: send numbers, text, true, false or null")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def sources(batch: Source | Dataset, rows: int) -> Iterator[Source]:
    """Return the rows of a batch: as they are, or those of a dataset in blocks."""
    if isinstance(batch, Source):
        yield batch
        return
    done = 0
    for block in batch.blocks(rows):
        yield replace(block, name=f"{batch.name} {done + 1}-{done + len(block)}")
        done += len(block)
