"""One pass over data larger than memory: all that must be known of them before training."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import AnyPreprocessor, Dataset, Preprocessor, Schema, fit_preprocessor
from isthmus.tasks.reading import SAMPLED, digest_of

Array = NDArray[Any]
Watch = Callable[[int], None]


@dataclass(frozen=True)
class Survey:
    """What one pass found.

    Attributes
    ----------
    preprocessor : Preprocessor or ColumnsPreprocessor
        Fitted on the rows to train with.
    held_out : array of shape (m, \\*shape)
        The rows held out, in the data's own units.
    some : array of shape (k, \\*shape)
        The first of the rows to train with, to measure on.
    known_by : str
        The digest by which the same values are recognised.
    mean, scatter : arrays of shape (d,) and (d, d), optional
        Mean of the scaled training rows and sum of the products of their differences from it, float64.
    """

    preprocessor: AnyPreprocessor
    held_out: Array
    some: Array
    known_by: str
    mean: Array | None = None
    scatter: Array | None = None


def survey(
    dataset: Dataset, schema: Schema, scale: str, held_out: NDArray[np.int64], some: int, moments: bool, watch: Watch | None = None
) -> Survey:
    """Read all rows once.

    Parameters
    ----------
    dataset : Dataset
    schema : Schema
    scale : str
        The scaling asked for.
    held_out : array of int
        Positions of the rows to hold out, in order: they do not count for the scaling.
    some : int
        How many of the first training rows to keep.
    moments : bool
        Whether mean and scatter are wanted.
    watch : callable, optional
        Called with the number of rows read so far.

    Returns
    -------
    Survey

    Raises
    ------
    DataError
        If the data cannot be used.
    """
    spread = np.arange(0, len(dataset), max(1, len(dataset) // SAMPLED))
    kept, known = _Picked(held_out), _Picked(spread)
    first: list[Array] = []
    products = _Products(prod(dataset.shape)) if moments else None

    def training_rows() -> Generator[Array]:
        place = 0
        for chunk in dataset.scan():
            known.look(chunk, place)
            left = kept.look(chunk, place)
            place += len(chunk)
            missing = some - sum(map(len, first))
            if missing > 0:
                first.append(left[:missing].copy())
            if products is not None:
                products.add(left)
            if len(left):
                yield left
            if watch:
                watch(place)

    preprocessor = fit_preprocessor(training_rows(), schema, scale)
    empty = np.empty((0, *dataset.shape), dataset.dtype)
    found = np.concatenate([empty, *kept.rows]), np.concatenate([empty, *first])
    known_by = digest_of((len(dataset), *dataset.shape), dataset.dtype, np.concatenate([empty, *known.rows]))
    return Survey(
        preprocessor,
        *found,
        known_by,
        *(products.scaled(preprocessor) if products and isinstance(preprocessor, Preprocessor) else (None, None)),
    )


class _Picked:
    """The rows at given positions, taken out of chunks as they pass."""

    def __init__(self, positions: NDArray[np.int64]) -> None:
        self.positions = positions
        self.rows: list[Array] = []

    def look(self, chunk: Array, start: int) -> Array:
        """Keep what is wanted of a chunk that starts at row `start`, and return the others."""
        low, high = np.searchsorted(self.positions, [start, start + len(chunk)])
        if low == high:
            return chunk
        here = self.positions[low:high] - start
        self.rows.append(chunk[here])
        left = np.ones(len(chunk), dtype=bool)
        left[here] = False
        return chunk[left]


class _Products:
    """Running sums and products of rows, as differences from the mean of the first ones, which loses no digits."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.origin, self.sum, self.products = np.zeros(width), np.zeros(width), np.zeros((width, width))

    def add(self, rows: Array) -> None:
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        if not len(flat):
            return
        if not self.count:
            self.origin = flat.mean(0)
        flat -= self.origin
        self.count += len(flat)
        self.sum += flat.sum(0)
        self.products += flat.T @ flat

    def scaled(self, preprocessor: Preprocessor) -> tuple[Array, Array]:
        """Return mean and scatter as the model sees the rows."""
        plan = preprocessor.state()[1]
        offset, divisor = (np.broadcast_to(plan[name], len(self.sum)) for name in ("offset", "divisor"))
        shift = self.sum / self.count
        scatter = self.products - self.count * np.outer(shift, shift)
        return (self.origin + shift - offset) / divisor, scatter / np.outer(divisor, divisor)
