"""In which order the rows of many pieces are read, so that every window of them is a fair sample of the whole."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Take:
    """The rows `start` to `stop` of a piece."""

    piece: int
    start: int
    stop: int


@dataclass(frozen=True)
class Window:
    """Rows that are in memory together.

    Parameters
    ----------
    first : int
        How many rows of the epoch are given before.
    takes : tuple of Take
        What is read, in this order.
    order : ndarray of int
        In which order to give the rows, each by its place among those read; places of rows left out do not occur.
    """

    first: int
    takes: tuple[Take, ...]
    order: Positions

    @property
    def rows(self) -> int:
        """How many rows are read."""
        return sum(take.stop - take.start for take in self.takes)


@dataclass(frozen=True)
class Schedule:
    """The windows of every epoch: a pure function of the arguments.

    The pieces are cut into as many strata as may be open at once, neighbours together; a group takes one piece of each
    stratum, at random, and a window takes the same share of each piece of a group. So a window is a stratified sample of
    the whole even where the rows are sorted. The rows of a window are permuted.

    Where m of P equal pieces are open at once, the mean of a window deviates from the mean of all rows, for rows sorted by a
    uniform value of deviation s, by s m^-1.5 (root of the mean square), plus at most 1.73 s / P; a batch of b rows adds
    s b^-0.5 like any random one.

    Parameters
    ----------
    sizes : ndarray of shape (p,)
        Rows of each piece.
    left_out : ndarray of shape (k,)
        Sorted positions, in the whole, of rows that are never given.
    seed : int
        Decides the order.
    rows : int
        Rows of a window.
    opened : int
        Most pieces that are open at once.

    Examples
    --------
    >>> plan = Schedule(np.array([4, 4, 4]), np.array([5]), seed=0, rows=6, opened=3)
    >>> [(window.rows, len(window.order)) for window in plan.epoch(0)]
    [(6, 5), (6, 6)]
    """

    sizes: Positions
    left_out: Positions
    seed: int
    rows: int
    opened: int

    @property
    def total(self) -> int:
        """Rows of an epoch."""
        return int(self.sizes.sum()) - len(self.left_out)

    def epoch(self, number: int, start: int = 0) -> Generator[Window]:
        """Yield the windows of an epoch, from the one with its `start`-th row on."""
        first = 0
        starts = np.cumsum(self.sizes) - self.sizes
        for index, takes in enumerate(self._takes(np.random.default_rng([self.seed, number]))):
            places = [starts[take.piece] + [take.start, take.stop] for take in takes]
            cuts = np.searchsorted(self.left_out, np.array(places))
            kept = int(np.diff(places).sum() - np.diff(cuts).sum())
            # Also one that gives no row: its pieces must be read on, for the next window begins behind it.
            if first + kept > start:
                rng = np.random.default_rng([self.seed, number, index + 1])
                yield Window(first, takes, rng.permutation(self._kept(places, cuts)))
            first += kept

    def _kept(self, places: Sequence[Positions], cuts: Positions) -> Positions:
        """Return the places, among rows read from `places`, of those that are not left out."""
        before: Positions = np.cumsum([0, *np.diff(places).ravel()])
        out = [self.left_out[a:b] - low + shift for (a, b), (low, _), shift in zip(cuts, places, before)]
        return np.delete(np.arange(int(before[-1])), np.concatenate(out))

    def _takes(self, rng: np.random.Generator) -> Generator[tuple[Take, ...]]:
        for group in self._groups(rng):
            count = -(-int(self.sizes[group].sum()) // self.rows)
            cuts = self.sizes[group][:, None] * np.arange(count + 1) // count
            for k in range(count):
                entries = zip(group.tolist(), cuts[:, k].tolist(), cuts[:, k + 1].tolist())
                yield tuple(Take(*entry) for entry in entries if entry[1] < entry[2])

    def _groups(self, rng: np.random.Generator) -> Generator[Positions]:
        """Yield the pieces that are read together: one of each stratum, in random order."""
        pieces = np.flatnonzero(self.sizes)
        groups = max(1, -(-len(pieces) // self._together(len(pieces))))
        slots = np.concatenate([rng.permutation(groups) for _ in range(0, len(pieces), groups)])[: len(pieces)]
        # A random second key: a group's pieces are read in no order of their own.
        sequence = np.lexsort((rng.random(len(pieces)), slots))
        ends = np.cumsum(np.bincount(slots, minlength=groups))
        for group in np.split(pieces[sequence], ends[:-1]):
            yield from self._fitting(group)

    def _together(self, pieces: int) -> int:
        """Return how many pieces make a group: as many as may be open, or, where they are small, as fill a window."""
        mean = max(1, int(self.sizes.sum()) // pieces)
        return max(min(self.opened, self.rows), self.rows // mean)

    def _fitting(self, group: Positions) -> Sequence[Positions]:
        """Cut a group of more pieces than may be open, unless each is read to its end in one window."""
        if len(group) <= self.opened:
            return [group]
        found: list[list[int]] = [[]]
        rows = 0
        for piece, size in zip(group.tolist(), self.sizes[group].tolist()):
            if len(found[-1]) >= self.opened and rows + size > self.rows:
                found.append([])
                rows = 0
            found[-1].append(piece)
            rows += size
        return [np.array(pieces) for pieces in found if pieces]
