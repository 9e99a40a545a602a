"""Range, mean and variance of large arrays in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.data.source import Array, row_blocks

# A spread this small beside the values themselves is rounding, not information.
TINY = 1e-12


@dataclass(frozen=True)
class Summary:
    """What `summarise` found; arrays have shape (d,) per column, or (1,) over everything.

    Parameters
    ----------
    rows : int
        Number of rows.
    low, high : ndarray
        Smallest and largest value, float64.
    mean, deviation : ndarray
        Mean and standard deviation (divided by the number of values), float64; zeros where not asked for.
    zero_one, zero_full : bool
        Whether all values are 0 or 1, or 0 or 255.
    """

    rows: int
    low: Array
    high: Array
    mean: Array
    deviation: Array
    zero_one: bool
    zero_full: bool

    @property
    def flat(self) -> Array:
        """Whether the range is nothing beside the values."""
        return self.high - self.low <= TINY * np.maximum(np.abs(self.low), np.abs(self.high))


def summarise(array: Array, *, per_column: bool, moments: bool) -> Summary:
    """Return range and, if asked for, moments of `array`.

    Values are taken as differences from the first one, and blocks are merged by the update of Chan, Golub and LeVeque
    (1983). That stays accurate where a sum of squares does not: for values near 1e9 that differ by little.

    Parameters
    ----------
    array : ndarray of shape (n, d) or (n, H, W, C)
        Finite numbers; it may be a memory map.
    per_column : bool
        Whether to look at each column of (n, d) by itself.
    moments : bool
        Whether to compute mean and standard deviation.

    Returns
    -------
    Summary
        The findings, in float64.

    Examples
    --------
    >>> summarise(np.array([[1.0], [3.0]]), per_column=True, moments=True).deviation
    array([1.])
    """
    gatherer = _Gatherer(array.shape[1] if per_column else 1, 0 if per_column else None)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in row_blocks(len(array), array[:1].nbytes, 1 << 21):
            gatherer.add(array[rows], moments)
    return gatherer.summary(len(array))


class _Gatherer:
    """Running range and moments."""

    def __init__(self, width: int, axis: int | None) -> None:
        self.axis = axis
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.origin = np.zeros(width)
        self.count, self.mean, self.squares = 0, np.zeros(width), np.zeros(width)
        self.zero_one = self.zero_full = True

    def add(self, block: Array, moments: bool) -> None:
        low, high = np.min(block, axis=self.axis), np.max(block, axis=self.axis)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.zero_one = self.zero_one and _only_zero_or(block, 1, low, high)
        self.zero_full = self.zero_full and _only_zero_or(block, 255, low, high)
        if moments:
            self._add_moments(block.astype(np.float64))

    def _add_moments(self, block: Array) -> None:
        count = len(block) if self.axis == 0 else block.size
        if not self.count:
            self.origin = block[0].copy() if self.axis == 0 else block.ravel()[:1].copy()
        # Sums of differences from one of the values stay exact where sums of the values do not.
        block -= self.origin
        mean = np.mean(block, axis=self.axis)
        block -= mean
        np.square(block, out=block)
        total, shift = self.count + count, mean - self.mean
        self.squares = self.squares + np.sum(block, axis=self.axis) + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def summary(self, rows: int) -> Summary:
        deviation = np.sqrt(self.squares / max(1, self.count))
        return Summary(rows, self.low, self.high, self.origin + self.mean, deviation, self.zero_one, self.zero_full)


def _only_zero_or(block: Array, other: int, low: Array, high: Array) -> bool:
    # The range rules most arrays out without a look at each value.
    if np.min(low) < 0 or np.max(high) > other:
        return False
    return bool(np.all((block == 0) | (block == other)))
