"""How a text table is written: its delimiter, decimal sign, encoding and column names."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from pathlib import Path

from isthmus.data.checks import drop_mend, listing
from isthmus.errors import DataError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE_LINES = 30
LONGEST_LINE = 1 << 26
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b]")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Parameters
    ----------
    delimiter, decimal, encoding : str
        The sign between fields, the sign before decimals, and the encoding of the text.
    names : tuple of str
        Names of all columns, made up where the file gives none.
    header : bool
        Whether the first row holds names.
    blank : int
        Number of blank lines before the first row.
    longest : int
        Length of the longest line seen, in bytes.
    notes : list of str
        The decisions that are worth telling.
    """

    delimiter: str
    decimal: str
    encoding: str
    names: tuple[str, ...]
    header: bool
    blank: int
    longest: int
    notes: list[str] = field(default_factory=list[str])


def sniff(path: Path) -> Dialect:
    """Look at the first lines of the text table at `path`.

    Raises
    ------
    DataError
        If the file is empty or no text.
    """
    lines = _first_lines(path)
    text, encoding, notes = _decode(b"".join(lines), path.name)
    blank = len(text) - len(text.lstrip("\r\n"))
    blank = len(text[:blank].splitlines())
    if not text.strip():
        raise DataError(f"{path.name} is empty. Give a table with at least one row")
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter)
    if not rows:
        raise DataError(f"{path.name} cannot be read as a table: its first lines do not fall into fields. Check the file")
    decimal = _decimal(rows, delimiter)
    header = not _all_numbers(rows[0], decimal)
    if decimal == ",":
        notes.append("numbers are read with a decimal comma")
    names = _names(rows[0], header, notes)
    return Dialect(delimiter, decimal, encoding, names, header, blank, max(map(len, lines)), notes)


def _first_lines(path: Path) -> list[bytes]:
    with path.open("rb") as stream:
        lines = list(islice(iter(lambda: stream.readline(LONGEST_LINE), b""), SAMPLE_LINES))
    if not lines:
        raise DataError(f"{path.name} is empty. Give a table with at least one row")
    return lines


def _decode(sample: bytes, name: str) -> tuple[str, str, list[str]]:
    """Return the sample as text, its encoding, and notes on it."""
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return sample[: len(sample) // 2 * 2].decode("utf-16", "replace"), "utf-16", ["the text is UTF-16"]
    try:
        text, encoding = sample.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = sample.decode("latin-1"), "latin-1"
    if _CONTROL.search(text):
        raise DataError(f"{name} is no text table: it holds binary data. Check the file, or give it the ending of what it is")
    return text, encoding, [] if encoding == "utf-8" else ["the text is no UTF-8; it is read as Latin-1"]


def _delimiter(text: str) -> str:
    """Return the sign that cuts most lines into as many fields as the first."""
    scores = {sign: _agreement(text, sign) for sign in (";", "\t", "|", ",")}
    best = max(scores, key=lambda sign: scores[sign])
    return best if scores[best] > 0 else ","


def _agreement(text: str, sign: str) -> float:
    counts = [len(row) for row in _rows(text, sign)]
    return counts.count(counts[0]) / len(counts) if counts and counts[0] > 1 else 0.0


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """Return the rows of the sample that are not blank; none where it cannot be cut into fields."""
    try:
        return [row for row in csv.reader(StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return []


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    cells = [cell.strip() for row in rows for cell in row]
    comma = any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    point = any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)
    return "," if comma and not point and delimiter != "," else "."


def _all_numbers(cells: Sequence[str], decimal: str) -> bool:
    """Return whether the cells are numbers or empty, and at least one is a number."""
    full = [cell.strip().replace(decimal, ".") for cell in cells if cell.strip()]
    return bool(full) and all(map(is_number, full))


def is_number(cell: str) -> bool:
    """Return whether the text `cell` is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _names(first: Sequence[str], header: bool, notes: list[str]) -> tuple[str, ...]:
    if not header:
        notes.append(f"no header: the first row is all numbers, so the columns are called c0 to c{len(first) - 1}")
        return tuple(f"c{j}" for j in range(len(first)))
    names = [cell.strip() for cell in first]
    nameless = [f"c{j}" for j, cell in enumerate(names) if not cell]
    if nameless:
        mend = f"if one only counts the rows, leave it out with {drop_mend(nameless[:1])}"
        notes.append(f"columns without a name in the header are called {listing(nameless)}; {mend}")
    return tuple(cell or f"c{j}" for j, cell in enumerate(names))
