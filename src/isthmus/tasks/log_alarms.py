"""What there is to say about a strange window: its lines and templates, what was expected, and tables of all windows."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import IO, Any

from isthmus.errors import DataError
from isthmus.extras import require
from isthmus.files import atomic_path
from isthmus.tasks.log_windows import Window, moment

SHOWN = 12
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
COLUMNS = ("window", "start", "end", "first_line", "last_line", "lines", "score", "p_value", "alarm", "partial", "reasons", "shown_lines")
APPENDED = (".csv", ".tsv", ".jsonl")
_GROUP = 5_000
_LONGEST_HEAD = 1000
_Write = Callable[[Sequence[dict[str, Any]]], None]


@dataclass(frozen=True)
class Cause:
    """Something that made a window strange.

    Attributes
    ----------
    text : str
        A template, or what is unusual otherwise.
    seen, expected : float
        How often, or how much.
    share : float
        Of the window's strangeness, between 0 and 1.
    keys : tuple of int
        The templates it is about.
    """

    text: str
    seen: float
    expected: float
    share: float
    keys: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.text}: {_told(self.seen)} (expected {_told(self.expected)})"


@dataclass(frozen=True)
class Verdict:
    """How strange a window is, and why if it is an alarm.

    Attributes
    ----------
    window : Window
    score : float
        The higher, the stranger.
    p_value : float
        The share of healthy windows that are at least as strange.
    alarm : bool
    causes : tuple of Cause
        The strongest first; empty where there is no alarm.
    """

    window: Window
    score: float
    p_value: float
    alarm: bool = False
    causes: tuple[Cause, ...] = ()

    def lines(self, most: int = SHOWN) -> list[tuple[int, str]]:
        """Return the first lines of the templates that made the window strange, in their order, as (line number, text)."""
        chosen = [line for cause in self.causes for key in cause.keys for line in self.window.samples.get(key, [])]
        rest = [] if chosen else [line for lines in self.window.samples.values() for line in lines]
        return sorted(set(chosen[:most] or sorted(rest)[:most]))

    def row(self) -> dict[str, Any]:
        """Return all as a row of a table."""
        window = self.window
        reasons = "; ".join(map(str, self.causes))
        shown = "\n".join(f"{number}: {text}" for number, text in self.lines()) if self.alarm else ""
        place = (window.name, moment(window.start), moment(window.end), window.first, window.last, window.lines)
        return dict(zip(COLUMNS, (*place, self.score, self.p_value, self.alarm, window.partial, reasons, shown)))

    def told(self) -> str:
        """Return all as some lines of text."""
        window = self.window
        times = " .. ".join(dict.fromkeys(text for text in (moment(window.start), moment(window.end)) if text))
        name = "" if window.name in ("", times.partition(" .. ")[0]) else f"{window.name}, "
        head = f"{name}{times}{', ' if times else ''}lines {window.first:,}-{window.last:,}: score {self.score:.3g}, p = {self.p_value:.2g}"
        why = [f"  {cause}" for cause in self.causes]
        shown = [f"    {number:>8}  {text}" for number, text in self.lines()]
        return "\n".join(map(_visible, [head, *why, *shown]))


def _visible(text: str) -> str:
    """Return text with what a terminal would obey escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "    " if c == "\t" else repr(c)[1:-1] for c in text)


def _told(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}"


class Table:
    """A file of windows that is being written."""

    def __init__(self, add: _Write) -> None:
        self._write = add
        self._held: list[dict[str, Any]] = []

    def add(self, verdict: Verdict) -> None:
        """Add a row."""
        self._held.append(verdict.row())
        if len(self._held) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        self._write(self._held)
        self._held = []


@contextmanager
def opened(path: Path) -> Generator[Table]:
    """Write windows to a file whose ending decides the format: whole, or not at all.

    Parameters
    ----------
    path : path
        Ending in .csv, .tsv, .json, .jsonl or .parquet.

    Yields
    ------
    Table

    Raises
    ------
    DataError
        If the ending is another.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(f"cannot write {path}: the name must end in one of {', '.join(ENDINGS)}")
    with atomic_path(path) as temporary, _WRITERS[ending](temporary) as write:
        table = Table(write)
        yield table
        table.flush()


@contextmanager
def appended(path: Path) -> Generator[Table]:
    """Go on with a file of windows line by line; what is written stays, whatever comes after.

    Parameters
    ----------
    path : path
        Ending in .csv, .tsv or .jsonl.

    Yields
    ------
    Table

    Raises
    ------
    DataError
        If the ending is another, or the file cannot be written.
    """
    if path.suffix.lower() not in APPENDED:
        raise DataError(f"cannot append to {path}: the name must end in one of {', '.join(APPENDED)}")
    try:
        fresh = not path.exists() or not path.stat().st_size
        if not fresh:
            _check_table(path)
        with path.open("a", newline="", encoding="utf-8") as file:
            write = _LinesOfJson(file, False).write if path.suffix.lower() == ".jsonl" else _csv_writer(file, path, fresh)
            table = Table(write)
            yield table
            table.flush()
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}. Check the place and that its disk has room") from error


def _check_table(path: Path) -> None:
    """Refuse to go on with a file that holds something else."""
    with path.open("rb") as file:
        head = file.readline(_LONGEST_HEAD).strip()
    separator = b"\t" if path.suffix.lower() == ".tsv" else b","
    same = head.startswith(b'{"window": ') if path.suffix.lower() == ".jsonl" else head == separator.join(map(str.encode, COLUMNS))
    if not same:
        raise DataError(f"{path} is there and holds something else than windows of a log: name another file with --out, or remove it")


def _csv_writer(file: IO[str], path: Path, fresh: bool = True) -> _Write:
    writer: csv.DictWriter[str] = csv.DictWriter(
        file, COLUMNS, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n"
    )
    if fresh:
        writer.writeheader()
    return writer.writerows


@contextmanager
def _separated(path: Path) -> Generator[_Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        yield _csv_writer(file, path)


@contextmanager
def _json(path: Path) -> Generator[_Write]:
    """Write a JSON array, or a line for each window."""
    with path.open("w", encoding="utf-8") as file:
        yield _LinesOfJson(file, whole := path.suffix.lower() == ".json").write
        file.write(("[\n]\n" if not file.tell() else "\n]\n") if whole else "")


@dataclass
class _LinesOfJson:
    file: IO[str]
    whole: bool

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            text = json.dumps(row, allow_nan=False)
            self.file.write(f"{',' if self.file.tell() else '['}\n{text}" if self.whole else f"{text}\n")


@contextmanager
def _parquet(path: Path) -> Generator[_Write]:
    arrow = require("pyarrow", "table", "writing Parquet")
    parquet = require("pyarrow.parquet", "table", "writing Parquet")
    kinds = [arrow.string()] * 3 + [arrow.int64()] * 3 + [arrow.float64()] * 2 + [arrow.bool_()] * 2 + [arrow.string()] * 2
    schema = arrow.schema(list(zip(COLUMNS, kinds)))
    with parquet.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(arrow.Table.from_pylist(list(rows), schema))


_WRITERS = {".csv": _separated, ".tsv": _separated, ".json": _json, ".jsonl": _json, ".parquet": _parquet}


def report(title: str, facts: Iterable[str], alarms: Sequence[Verdict], page: bool = False) -> str:
    """Return a report: what was read, and every alarm with its reasons and lines.

    Parameters
    ----------
    title : str
    facts : iterable of str
        A line each.
    alarms : sequence of Verdict
    page : bool
        Whether it shall be an HTML page instead of plain text.

    Returns
    -------
    str
    """
    body = [verdict.told() for verdict in alarms] or ["no alarm"]
    if not page:
        return "\n".join([title, "=" * len(title), "", *facts, "", "\n\n".join(body), ""])
    parts = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(fact)}</p>" for fact in facts), *(f"<pre>{escape(text)}</pre>" for text in body)]
    style = (
        ":root{color-scheme:light dark} body{font:15px/1.4 sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid #c33;padding-left:1rem}"
    )
    view = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8">{view}<title>{escape(title)}</title><style>{style}</style></head>'
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def strangest(values: Iterable[tuple[float, Any]], most: int) -> list[Any]:
    """Return what belongs to the largest values that are not zero.

    Examples
    --------
    >>> strangest([(0.5, "a"), (0.0, "b"), (2.0, "c")], 2)
    ['c', 'a']
    """
    return [item for value, item in sorted(values, key=lambda pair: -pair[0])[:most] if value > 0 and math.isfinite(value)]
