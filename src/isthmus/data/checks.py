"""What is wrong with values, said so that a person can mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from isthmus.data.source import Array, row_blocks
from isthmus.errors import DataError

LISTED = 5


class NotNumbersError(DataError, TypeError):
    """Objects stand where numbers belong."""


class GapsError(DataError):
    """Values are missing where they may not be."""


def listing(names: Sequence[object], most: int = LISTED) -> str:
    """Return the first `most` of `names`, quoted, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def drop_mend(names: Sequence[str | int]) -> str:
    """Return how to leave the columns `names` out."""
    flags = " ".join(f"--drop {name!r}" if " " in str(name) else f"--drop {name}" for name in names[:LISTED])
    kept = list(names[:LISTED]) if len(names) <= LISTED else [*names[:LISTED], "..."]
    return f"drop={kept!r} (command line: {flags}{' ...' if len(names) > LISTED else ''})"


def kind_mend(name: str, kind: str) -> str:
    """Return how to say what kind a column is."""
    flag = f"--kind {name}={kind}" if name.isidentifier() else f'--kind "{name}={kind}"'
    return f"kinds={{{name!r}: {kind!r}}} (command line: {flag})"


def refuse_text(found: Mapping[str | int, object], name: str) -> None:
    """Raise for the columns in `found` (name -> an example value) that hold no numbers."""
    if not found:
        return
    examples = "; ".join(f"column {column!r} holds {str(value)[:40]!r}" for column, value in list(found.items())[:LISTED])
    more = f"; and {len(found) - LISTED} more columns" if len(found) > LISTED else ""
    it = "it" if len(found) == 1 else "them"
    plain = all(isinstance(value, (str, date)) for value in found.values())
    what = "text where numbers belong" if plain else "neither numbers nor text, dates, true or false"
    raise DataError(f"{name}: {what}: {examples}{more}. Leave {it} out with {drop_mend(list(found))}")


def refuse_empty(shape: Sequence[int], name: str) -> None:
    """Raise if data of this shape have no rows or no columns."""
    if shape[0] == 0:
        raise DataError(f"{name}: no rows: 0 sample(s) (shape={tuple(shape)}) while a minimum of 1 is required. Give at least one row")
    if min(shape[1:], default=1) == 0:
        raise DataError(
            f"{name}: nothing in the rows: 0 feature(s) (shape={tuple(shape)}) while a minimum of 1 is required. Give at least one column"
        )


def as_numbers(array: Array, name: str) -> Array:
    """Return `array` with a dtype that can be computed with: booleans, integers, float32 or float64.

    Raises
    ------
    DataError
        If it holds text, dates, records, complex numbers or other objects.
    """
    kind = array.dtype.kind
    if kind in "biu" or array.dtype.name in ("float32", "float64"):
        return array
    if kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if kind == "O":
        return _from_objects(array, name)
    raise DataError(f"{name}: {_KINDS.get(kind, 'no numbers')} (dtype {array.dtype}). Convert to numbers, or leave those columns out")


_KINDS = {
    "c": "Complex data not supported",
    "U": "text where numbers belong",
    "S": "text where numbers belong",
    "M": "dates where numbers belong",
    "m": "time spans where numbers belong",
    "V": "records where a plain array of numbers belongs",
}


def _from_objects(array: Array, name: str) -> Array:
    flat = array.ravel()
    for value in flat:
        if isinstance(value, (str, bytes)):
            raise DataError(f"{name}: text where numbers belong, such as {value!r}. Leave such columns out, or turn them into numbers")
    try:
        return array.astype(np.float64)
    except TypeError as error:
        raise NotNumbersError(f"{name}: objects where numbers belong ({error}). Give an array of numbers") from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name}: objects where numbers belong ({error}). Give an array of numbers") from error


def has_gaps(array: Array) -> bool:
    """Return whether some values are NaN."""
    if array.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        total = np.sum(array)
    return not np.isfinite(total) and any(bool(np.isnan(array[rows]).any()) for rows in row_blocks(len(array), array[:1].nbytes))


def check_finite(array: Array, columns: Sequence[str], name: str, start: int = 0, gaps: bool = False) -> None:
    """Raise a `DataError` that names the columns with NaN or infinite values, if there are any.

    Parameters
    ----------
    array : ndarray of shape (n, d) or (n, H, W, C)
        Numbers.
    columns : sequence of str
        Names of the columns, or empty: then they are named by their position.
    name : str
        What to call the data.
    start : int
        Number of the first row.
    gaps : bool
        Whether NaN is allowed, as a missing value.
    """
    if array.dtype.kind != "f":
        return
    # One sum tells nearly always; it can also overflow on finite values, so the slow look decides.
    with np.errstate(all="ignore"):
        total = np.sum(array)
    if np.isfinite(total) or (gaps and not any(bool(np.isinf(array[rows]).any()) for rows in row_blocks(len(array), array[:1].nbytes))):
        return
    flaws = _Flaws(array, start, gaps)
    if flaws.any():
        kind = DataError if flaws.infs.any() else GapsError
        raise kind(f"{name} contains {flaws.kinds()}: {flaws.where(columns)}")


class _Flaws:
    """Which columns of an array have how many NaN (unless they may) and infinite values, and where first."""

    def __init__(self, array: Array, start: int, gaps: bool = False) -> None:
        self.gaps = gaps
        self.pictures = array.ndim > 2
        self.width = 1 if self.pictures else array.shape[1]
        self.nans = np.zeros(self.width, np.int64)
        self.infs = np.zeros(self.width, np.int64)
        self.first = np.full(self.width, -1, np.int64)
        for rows in row_blocks(len(array), array[:1].nbytes):
            self._look(array[rows], start + rows.start)

    def _look(self, block: Array, start: int) -> None:
        infs = np.isinf(block)
        nans = np.zeros_like(infs) if self.gaps else np.isnan(block)
        axes = tuple(range(1, block.ndim))
        if self.pictures:
            nans, infs = nans.sum(axes)[:, None], infs.sum(axes)[:, None]
        bad = (nans + infs) > 0
        fresh = bad.any(0) & (self.first < 0)
        self.first[fresh] = start + bad.argmax(0)[fresh]
        self.nans += nans.sum(0)
        self.infs += infs.sum(0)

    def any(self) -> bool:
        return bool((self.first >= 0).any())

    def kinds(self) -> str:
        words = ["NaN (missing values)"] if self.nans.any() else []
        return " and ".join([*words, "infinity"] if self.infs.any() else words)

    def where(self, columns: Sequence[str]) -> str:
        if self.pictures:
            total, first = int(self.nans[0] + self.infs[0]), int(self.first[0])
            return f"{total} values, the first in picture {first} (counted from 0). Leave those pictures out or mend them"
        named: list[str | int] = [columns[j] if columns else j for j in np.flatnonzero(self.first >= 0).tolist()]
        told = [self._column(j, name) for j, name in list(zip(np.flatnonzero(self.first >= 0).tolist(), named))[:LISTED]]
        more = f"; and {len(named) - LISTED} more columns" if len(named) > LISTED else ""
        mend = f"Mend those values, leave the rows out, or fit without the columns: {drop_mend(named)}"
        return f"{'; '.join(told)}{more}. {mend}"

    def _column(self, j: int, name: Any) -> str:
        counts = [f"{self.nans[j]} missing (NaN)"] if self.nans[j] else []
        counts += [f"{self.infs[j]} infinite"] if self.infs[j] else []
        return f"column {name!r} has {' and '.join(counts)}, the first in row {self.first[j]} (counted from 0)"
