"""Range, mean and variance of large arrays in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from isthmus.data.sketch import Sketch
from isthmus.data.source import Array, row_blocks

# A spread this small beside the values themselves is rounding, not information.
TINY = 1e-12
QUARTERS = (0.25, 0.5, 0.75)


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
    quartiles : ndarray of shape (3, d) or (3, 1), optional
        A quarter, half and three quarters of the values are smaller, float64; only where asked for.
    rank_error : float
        By which share of the values the quartiles' ranks may be off (one standard deviation).
    """

    rows: int
    low: Array
    high: Array
    mean: Array
    deviation: Array
    zero_one: bool
    zero_full: bool
    quartiles: Array | None = None
    rank_error: float = 0.0

    @property
    def flat(self) -> Array:
        """Whether the range is nothing beside the values."""
        return self.high - self.low <= TINY * np.maximum(np.abs(self.low), np.abs(self.high))


def summarise(array: Array, *, per_column: bool, moments: bool, quartiles: bool = False) -> Summary:
    """Return range and, if asked for, moments and quartiles of `array`.

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
    quartiles : bool
        Whether to compute the quartiles.

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
    gatherer.look(array, moments)
    return replace(gatherer.summary(), quartiles=_quartiles(array, per_column)) if quartiles else gatherer.summary()


def summarise_blocks(blocks: Iterable[Array], *, width: int, per_column: bool, moments: bool, quartiles: bool = False) -> Summary:
    """Return what `summarise` does of rows that come in blocks, in one pass; quartiles are estimates for many rows.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n, d) or (n, H, W, C)
        Finite numbers.
    width : int
        The number of columns d, or 1 for everything together.
    per_column, moments, quartiles : bool
        As for `summarise`.

    Returns
    -------
    Summary
        The findings, in float64.

    Examples
    --------
    >>> blocks = iter([np.array([[1.0]]), np.array([[3.0]])])
    >>> summarise_blocks(blocks, width=1, per_column=True, moments=True).deviation
    array([1.])
    """
    gatherer = _Gatherer(width, 0 if per_column else None)
    sketch = Sketch(width)
    for block in blocks:
        gatherer.look(block, moments)
        for rows in row_blocks(len(block), block[:1].nbytes, 1 << 22) if quartiles else ():
            sketch.add(block[rows].reshape(-1, width))
    if not quartiles or not sketch.count:
        return gatherer.summary()
    return replace(gatherer.summary(), quartiles=sketch.quantiles(QUARTERS), rank_error=sketch.error)


def _quartiles(array: Array, per_column: bool) -> Array:
    columns = (array[:, j] for j in range(array.shape[1])) if per_column else (array.reshape(-1),)
    return np.stack([np.quantile(column, QUARTERS) for column in columns], axis=1).astype(np.float64)


class _Gatherer:
    """Running range and moments."""

    def __init__(self, width: int, axis: int | None) -> None:
        self.axis = axis
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.origin = np.zeros(width)
        self.rows, self.count, self.mean, self.squares = 0, 0, np.zeros(width), np.zeros(width)
        self.zero_one = self.zero_full = True

    def look(self, array: Array, moments: bool) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in row_blocks(len(array), array[:1].nbytes, 1 << 21):
                self.add(array[rows], moments)
        self.rows += len(array)

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

    def summary(self) -> Summary:
        deviation = np.sqrt(self.squares / max(1, self.count))
        return Summary(self.rows, self.low, self.high, self.origin + self.mean, deviation, self.zero_one, self.zero_full)


def _only_zero_or(block: Array, other: int, low: Array, high: Array) -> bool:
    # The range rules most arrays out without a look at each value.
    if np.min(low) < 0 or np.max(high) > other:
        return False
    return bool(np.all((block == 0) | (block == other)))
