"""What is measured of the training rows of a column to make its coder, in one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from isthmus.data import dates
from isthmus.data.coders import Affine, Coder, Quantiles, Slots, Times, Truth, scores_of
from isthmus.data.kinds import Column
from isthmus.data.moments import TINY
from isthmus.data.sketch import Sketch
from isthmus.data.source import Array, row_blocks

# Beyond that many categories the rare ones share a slot.
MOST_SLOTS = 100
KNOTS = 1000
_BLOCK = 1 << 21
_YEAR = 365 * dates.DAY


class Measure(ABC):
    """Running figures of one column.

    Parameters
    ----------
    column : Column
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.low, self.high = np.inf, -np.inf
        self.notes: list[str] = []

    def look(self, values: Array) -> None:
        """Take in values that are there, float64 of shape (n,)."""
        if len(values):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self._look(values)

    @abstractmethod
    def _look(self, values: Array) -> None: ...

    @abstractmethod
    def coder(self) -> Coder:
        """Return the coder that the values seen ask for."""

    @property
    def flat(self) -> bool:
        """Whether the values seen do not differ."""
        return not self.high - self.low > TINY * max(abs(self.low), abs(self.high))


class _Moments:
    """Running mean and variance, as differences from the first value."""

    def __init__(self) -> None:
        self.count, self.origin, self.mean, self.squares = 0, 0.0, 0.0, 0.0

    def add(self, values: Array) -> None:
        with np.errstate(all="ignore"):
            self.origin = float(values[0]) if not self.count else self.origin
            shifted = values - self.origin
            mean = float(shifted.mean())
            squares = float(np.square(shifted - mean).sum())
            total, shift = self.count + len(values), mean - self.mean
            self.squares += squares + shift * shift * (self.count * len(values) / total)
            self.mean += shift * (len(values) / total)
            self.count = total

    @property
    def deviation(self) -> float:
        return float(np.sqrt(self.squares / max(1, self.count)))


class Scaled(Measure):
    """Mean and deviation, or median and interquartile range, of a number, a count or a date."""

    def __init__(self, column: Column, robust: bool = False) -> None:
        super().__init__(column)
        self.moments = _Moments()
        self.sketch = Sketch(1) if robust else None

    def _look(self, values: Array) -> None:
        values = np.copysign(np.log1p(np.abs(values)), values) if self.column.kind == "count" else values
        self.moments.add(values)
        for rows in row_blocks(len(values), 8, _BLOCK) if self.sketch else ():
            self.sketch.add(values[rows, None])  # pyright: ignore[reportOptionalMemberAccess]

    def scale(self) -> tuple[float, float]:
        """Return offset and divisor."""
        if not self.moments.count:
            self.notes.append(f"{self.column.name!r} has no value in the training rows")
            return 0.0, 1.0
        offset, divisor = self.moments.origin + self.moments.mean, self.moments.deviation
        if self.sketch and not self.flat:
            low, middle, high = self.sketch.quantiles((0.25, 0.5, 0.75))[:, 0].tolist()
            offset, divisor = (middle, high - low) if high - low > TINY * abs(middle) else (offset, divisor)
        if self.flat:
            self.notes.append(f"{self.column.name!r} has one value only in the training rows")
            return self._flat(offset), 1.0
        if not np.isfinite([offset, divisor]).all() or divisor <= 0:
            # Squares of the largest numbers are larger than any; halves of them are not.
            return self.low / 2 + self.high / 2, self.high / 4 - self.low / 4
        return offset, divisor

    def _flat(self, offset: float) -> float:
        return offset if np.isfinite(offset) else self.low

    def coder(self) -> Coder:
        """Return an affine coder."""
        offset, divisor = self.scale()
        return Affine(offset, divisor, self.column.kind == "count", self.column.whole)


class Ranked(Measure):
    """Quantiles of a number with heavy tails."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.sketch = Sketch(1)

    def _look(self, values: Array) -> None:
        for rows in row_blocks(len(values), 8, _BLOCK):
            self.sketch.add(values[rows, None])

    def coder(self) -> Coder:
        """Return a coder that maps quantiles."""
        if self.flat:
            one = Scaled(self.column)
            one.look(np.array([self.low] if np.isfinite(self.low) else []))
            made = one.coder()
            self.notes += one.notes
            return made
        count = max(2, min(KNOTS, self.sketch.count))
        shares = (np.arange(count) + 0.5) / count
        with np.errstate(over="ignore"):
            values = self.sketch.quantiles([0.0, *shares.tolist(), 1.0])[1:-1, 0]
        values[0], values[-1] = self.low, self.high
        knots, first, times = np.unique(np.clip(values, self.low, self.high), return_index=True, return_counts=True)
        scores = scores_of(np.clip((first + times / 2) / count, 0.5 / count, 1 - 0.5 / count))
        return Quantiles(knots, scores, _slopes(knots, scores), self.column.whole)


def _slopes(knots: Array, scores: Array) -> Array:
    """Return the slopes of the outer tenths, by which it goes on beyond the knots."""
    inner = min(len(knots) - 2, len(knots) // 10) + 1 if len(knots) > 1 else 0
    pairs = ((0, inner), (-1 - inner, -1))
    with np.errstate(over="ignore", divide="ignore"):  # knots so close that the slope is beyond all numbers
        found = [(scores[b] - scores[a]) / 2 / (knots[b] / 2 - knots[a] / 2) for a, b in pairs]
    return np.clip(np.array(found), np.finfo(np.float64).tiny, np.finfo(np.float64).max)


class Flag(Measure):
    """Nothing: a boolean needs no scale."""

    def _look(self, values: Array) -> None:
        pass

    def coder(self) -> Coder:
        """Return the coder of booleans."""
        return Truth()


class Tally(Measure):
    """How often each category is there."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.counts = np.zeros(len(column.categories), np.int64)

    def _look(self, values: Array) -> None:
        known = values[(values >= 0) & (values < len(self.counts))].astype(np.int64)
        self.counts += np.bincount(known, minlength=len(self.counts))

    def coder(self) -> Coder:
        """Return a coder with a slot for each of the frequent categories that were seen."""
        order = np.argsort(-self.counts, kind="stable")
        seen = order[self.counts[order] > 0]
        shared = len(seen) > MOST_SLOTS
        own = seen[:MOST_SLOTS]
        slots = np.zeros(len(self.counts), np.int64)
        slots[own] = np.arange(1, len(own) + 1)
        if shared:
            slots[seen[MOST_SLOTS:]] = len(own) + 1
            self.notes.append(f"{self.column.name!r} has {len(seen):,} categories; all but the {MOST_SLOTS} most frequent share one slot")
        return Slots(slots, max(2, 1 + len(own) + int(shared)), shared)


class Calendar(Scaled):
    """Range of dates, and which of their parts vary."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.range = dict.fromkeys(dates.CYCLES, (np.inf, -np.inf))

    def _look(self, values: Array) -> None:
        super()._look(values)
        for cycle, (low, high) in self.range.items():
            found = dates.phase(values, cycle)
            self.range[cycle] = min(low, float(found.min())), max(high, float(found.max()))

    def coder(self) -> Coder:
        """Return the coder of dates: of what comes again each cycle counts that the dates go through once."""
        spans = {"hour of day": dates.DAY, "weekday": 7 * dates.DAY, "day of year": _YEAR}
        varied = [cycle for cycle, (low, high) in self.range.items() if high > low and self.high - self.low >= spans[cycle]]
        offset, divisor = self.scale()
        return Times(offset, divisor, tuple(varied), self.column.whole)


def measure(column: Column, robust: bool) -> Measure:
    """Return what measures a column of this kind."""
    if column.kind in ("number", "count"):
        return Scaled(column, robust and column.kind == "number")
    return {"heavy": Ranked, "boolean": Flag, "category": Tally, "date": Calendar}[column.kind](column)
