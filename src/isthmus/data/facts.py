"""What is seen of the columns of a mixed table in one pass, as far as it decides what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from isthmus.data.sketch import Sketch
from isthmus.data.source import Array, RawType, Source, row_blocks

# Texts beyond this number are counted together, and numbers beyond it are not looked at for repetitions.
MOST_TEXTS = 100_000
LOOKED_AT = 10_000
SURE = 20
_QUANTILES = (0.005, 0.25, 0.5, 0.75, 0.995)
_BLOCK = 1 << 21


@dataclass
class Facts:
    """What was seen of one column.

    Attributes
    ----------
    name : str
    type : {"number", "boolean", "text", "date"}
    labelled : bool
        Whether numbers are counted one by one as well.
    declared : bool
        Whether the data themselves say that it is one of categories.
    rows, missing : int
    texts : dict of str to list of int
        How often each text (or number, where it is to be a category) was there, and in which row first.
    over : int
        Rows with texts that are not counted one by one.
    low, high : float
        Range of numbers and seconds.
    whole : bool
        Whether all numbers are whole, or all dates whole days.
    some : ndarray
        The first values.
    sketch : Sketch
        Of their quantiles.
    """

    name: str
    type: RawType
    labelled: bool = False
    declared: bool = False
    rows: int = 0
    missing: int = 0
    texts: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    over: int = 0
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True
    some: Array = field(default_factory=lambda: np.zeros(0))
    sketch: Sketch = field(default_factory=lambda: Sketch(1))

    @property
    def present(self) -> int:
        """Rows that are not missing."""
        return self.rows - self.missing

    @property
    def quantiles(self) -> Array:
        """The quantiles 0.005, 0.25, 0.5, 0.75 and 0.995."""
        return self.sketch.quantiles(_QUANTILES)[:, 0]

    @property
    def all_different(self) -> bool:
        """Whether no value was seen twice among the first ones."""
        return len(np.unique(self.some)) == len(self.some)

    @property
    def counts_rows(self) -> bool:
        """Whether the numbers are consecutive whole ones, each there once, in any order."""
        return self.whole and self.high - self.low == self.present - 1 and self.all_different

    @property
    def decimals(self) -> int | None:
        """Digits after the point that the first numbers do with; nothing if they are whole, few, or have more than 4."""
        if self.whole or len(self.some) < SURE:
            return None
        return next((digits for digits in range(1, 5) if np.array_equal(np.round(self.some, digits), self.some)), None)

    def look(self, values: Array, vocabulary: Sequence[str]) -> None:
        """Take in the next values; text as positions in `vocabulary`."""
        there = np.flatnonzero(~np.isnan(values))
        if self.type == "text":
            self._look_at_texts(values, there, vocabulary)
        elif len(there):
            self._look_at_numbers(values[there])
            if self.labelled:
                found, first, count = np.unique(values[there], return_index=True, return_counts=True)
                self._count([label(value) for value in found.tolist()], there[first], count)
        self.missing += len(values) - len(there)
        self.rows += len(values)

    def _look_at_texts(self, values: Array, there: Array, vocabulary: Sequence[str]) -> None:
        codes = values[there].astype(np.int64)
        self.missing += int((codes < 0).sum())
        there, codes = there[codes >= 0], codes[codes >= 0]
        found, first, count = np.unique(codes, return_index=True, return_counts=True)
        self._count([vocabulary[int(code)] for code in found], there[first], count)

    def _count(self, texts: Sequence[str], first: Array, count: Array) -> None:
        for text, place, times in zip(texts, first.tolist(), count.tolist()):
            entry = self.texts.get(text)
            if entry is not None:
                entry[0] += times
            elif len(self.texts) < MOST_TEXTS:
                self.texts[text] = [times, self.rows + place]
            else:
                self.over += times

    def _look_at_numbers(self, values: Array) -> None:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        unit = 86400.0 if self.type == "date" else 1.0
        self.whole = self.whole and bool(np.all(np.mod(values, unit) == 0)) and max(abs(self.low), abs(self.high)) < 2.0**53 * unit
        if len(self.some) < LOOKED_AT:
            self.some = np.concatenate([self.some, values[: LOOKED_AT - len(self.some)]])
        for rows in row_blocks(len(values), 8, _BLOCK):
            self.sketch.add(values[rows, None])


def label(value: float) -> str:
    """Return a number as the name of a category.

    Examples
    --------
    >>> label(3.0), label(0.5)
    ('3', '0.5')
    """
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


class Gathered:
    """The facts of all columns, of rows that may come in blocks.

    Parameters
    ----------
    names : sequence of str
    types : sequence of {"number", "boolean", "text", "date"}
    kinds : mapping of str to str
        What is already decided of some columns.
    declared : sequence of str
        The columns that the data themselves declare as categories.
    """

    def __init__(self, names: Sequence[str], types: Sequence[RawType], kinds: Mapping[str, str], declared: Sequence[str] = ()) -> None:
        self.columns = [Facts(name, kind, kinds.get(name) == "category", name in declared) for name, kind in zip(names, types)]

    def look(self, source: Source) -> None:
        """Take in the rows of a source."""
        places = {name: j for j, name in enumerate(source.names)}
        for facts in self.columns:
            facts.look(source.array[:, places[facts.name]].astype(np.float64, copy=False), source.vocabularies.get(facts.name, ()))
