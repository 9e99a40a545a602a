"""What Arrow's reader takes text tables for too soon: codes with leading zeros for numbers, numbers with a decimal comma for text."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isthmus.data.checks import listing
from isthmus.data.sniff import Dialect
from isthmus.extras import require

# After a sign: digits alone, the first a zero, as in 01067, but neither in 0 nor in 0.5 nor in 08:30.
_LEADING_ZERO = rb"""%s *0\d+ *(?:[\r\n,;\t|"]|\Z)"""
_CODE = r"^\s*0\d+\s*$"
# 12,5 and 1.234,5, but not 1,234 alone, which may be a thousand.
_COMMA = r"^\s*[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?\s*$"
_SURE = r",(\d{1,2}|\d{4,})\s*$|^\s*[+-]?(\d{4,}|0),|\.\d{3},"


def codes(path: Path, dialect: Dialect, columns: Sequence[Any], again: Callable[[list[int]], Sequence[Any]]) -> list[Any]:
    """Return the columns of a file with those of whole numbers that have leading zeros, such as postal codes, as text.

    Parameters
    ----------
    path : Path
    dialect : Dialect
    columns : sequence of pyarrow.ChunkedArray
        As Arrow took them.
    again : callable
        Reads the columns at some positions anew, as text.

    Returns
    -------
    list of pyarrow.ChunkedArray
    """
    pa = require("pyarrow", "table", "reading text tables")
    whole = [j for j, column in enumerate(columns) if pa.types.is_integer(column.type)]
    found = list(columns)
    if not whole or not _has_leading_zeros(path, dialect):
        return found
    for j, column in zip(whole, again(whole)):
        if _any(column, _CODE):
            found[j] = column
    return found


def _has_leading_zeros(path: Path, dialect: Dialect) -> bool:
    """Say whether there may be some."""
    if dialect.encoding == "utf-16":
        return True
    # One sign at a time: a pattern that begins with a fixed one is searched ten times as fast.
    signs = (dialect.delimiter.encode(), b"\n", b"\r", b'"')
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return any(re.search(_LEADING_ZERO % re.escape(sign), view) for sign in signs)


def _any(column: Any, pattern: str) -> bool:
    compute = require("pyarrow.compute", "table", "reading text tables")
    return bool(compute.any(compute.match_substring_regex(column, pattern)).as_py())


def decimal_commas(columns: Sequence[Any], names: Sequence[str], notes: list[str]) -> list[Any]:
    """Return columns with those of text in which every value is a number with a decimal comma as numbers, and note which.

    Parameters
    ----------
    columns : sequence of pyarrow.ChunkedArray
    names : sequence of str
    notes : list of str
        Is added to.

    Returns
    -------
    list of pyarrow.ChunkedArray
    """
    pa = require("pyarrow", "table", "reading text tables")
    found = [_as_points(pa, column) if pa.types.is_string(column.type) else column for column in columns]
    read = [name for name, before, after in zip(names, columns, found) if before is not after]
    if read:
        notes.append(f"numbers with a decimal comma are read in {listing(read)}")
    return found


def _as_points(pa: Any, column: Any) -> Any:
    compute = require("pyarrow.compute", "table", "reading text tables")
    # A look at some first: columns of other text are the rule.
    if not len(column) or not all(_every(compute, some, _COMMA) for some in (column[:100], column)) or not _any(column, _SURE):
        return column
    plain = compute.replace_substring(compute.replace_substring(compute.utf8_trim_whitespace(column), ".", ""), ",", ".")
    return compute.cast(plain, pa.float64())


def _every(compute: Any, words: Any, pattern: str) -> bool:
    return bool(compute.all(compute.match_substring_regex(words, pattern)).as_py())
