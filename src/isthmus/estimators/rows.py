"""From what a caller gives to a source, and results back to the caller's shape and type."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Source, from_any
from isthmus.data.arrays import from_array
from isthmus.errors import DataError

Array = NDArray[Any]


def as_pictures(source: Source, shape: tuple[int, ...] | None) -> Source:
    """Return the rows of a table as pictures of `shape` (H, W, C); pictures are checked, and without a shape all stays as it is."""
    if shape is None:
        return source
    found = from_array(source.array, name=source.name, columns=source.columns, shape=shape, notes=source.notes)
    return replace(found, condition=source.condition)


def row_shape(X: Any) -> tuple[int, ...]:
    """Return the shape of one row of `X` as the caller sees it: (d,), (H, W), (H, W, C) or (C, H, W)."""
    values = X.array if isinstance(X, Source) else X
    return tuple(int(n) for n in (values if hasattr(values, "shape") else np.asarray(values)).shape[1:])


def laid_out(rows: Array, shape: tuple[int, ...]) -> Array:
    """Return rows of shape (n, d) or (n, H, W, C) as (n, \\*shape).

    Examples
    --------
    >>> laid_out(np.zeros((5, 8, 9, 3)), (3, 8, 9)).shape
    (5, 3, 8, 9)
    """
    if rows.ndim == 4 and len(shape) == 3 and rows.shape[1:] != shape:
        return np.moveaxis(rows, 3, 1)
    return rows.reshape(len(rows), *shape)


def typed(values: Any, like: np.dtype[Any]) -> Any:
    """Return floats in the float type `like`; integers (pixels), frames and whatever `like` is no float type for stay as they are."""
    if not isinstance(values, np.ndarray):
        return values
    array = cast("Array", values)
    return array.astype(like, copy=False) if array.dtype.kind == "f" and like.kind == "f" else array


def read_codes(Z: Any, latent: int) -> Array:
    """Return codes as an array of shape (n, latent), float32 or float64.

    Raises
    ------
    DataError
        If they have another width; the message names both.
    """
    array = from_any(Z).array
    if array.ndim != 2 or array.shape[1] != latent:
        width = "x".join(map(str, array.shape[1:]))
        raise DataError(f"codes have {width} values a row, but the model's code is {latent} wide. Give what transform returns")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
