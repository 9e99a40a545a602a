"""Batches of Arrow's as rows of mixed columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from isthmus.data.facts import MOST_TEXTS
from isthmus.data.raw import Raw
from isthmus.data.source import Array

# Stands for every text of a column that has too many different ones to be a category.
MORE = "(more)"


class Words:
    """The texts of the columns, numbered in the order in which they are met; at most 100,000 of each are told apart."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, int]] = {}
        self._lock = Lock()

    def __deepcopy__(self, memo: Any) -> Words:
        return Words()

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """The texts of each column, in order."""
        with self._lock:
            return {name: tuple(words) for name, words in self.known.items()}

    def numbered(self, name: str, raw: Raw) -> Array:
        """Return the texts of a column by the numbers they have in all batches."""
        with self._lock:
            words = self.known.setdefault(name, {})
            table = [float(self._number(words, text)) for text in raw.vocabulary]
        gaps = np.isnan(raw.values)
        return np.array([*table, np.nan])[np.where(gaps, len(table), raw.values).astype(np.int64)]

    @staticmethod
    def _number(words: dict[str, int], text: str) -> int:
        known = words.get(text)
        if known is not None:
            return known
        return words.setdefault(text if len(words) < MOST_TEXTS else MORE, len(words))


def constant(value: int | float | str, rows: int) -> Raw:
    """Return a column of which all rows have the same value."""
    if isinstance(value, str):
        return Raw("text", np.zeros(rows), (value,))
    return Raw("number", np.full(rows, float(value)))
