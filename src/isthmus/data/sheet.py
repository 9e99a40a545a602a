"""Arrays of pictures as pixels: single ones, and many on one sheet."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from isthmus.data.source import Array
from isthmus.errors import DataError

# What a viewer opens without trouble.
LARGEST_SHEET = 1 << 26


def as_pictures(array: Array) -> Array:
    """Return one picture or many as (n, H, W, C).

    Parameters
    ----------
    array : ndarray of shape (H, W, C), (n, H, W), (n, H, W, C) or (rows, steps, H, W, C)
        With 1, 3 or 4 channels.

    Returns
    -------
    ndarray of shape (n, H, W, C)
        The same values; rows come one after the other.

    Raises
    ------
    DataError
        If the shape is none of these.
    """
    if array.ndim == 3:
        array = array[None] if array.shape[2] in (1, 3, 4) else array[..., None]
    if array.ndim not in (4, 5) or array.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"an array of shape {array.shape} is no picture. Give (H, W, C), (n, H, W, C) or (rows, steps, H, W, C) "
            "with 1, 3 or 4 channels, or write it to .csv, .parquet, .npy or .npz"
        )
    if array.size == 0:
        raise DataError(f"an array of shape {array.shape} holds no picture. Give at least one")
    return array.reshape(-1, *array.shape[-3:])


def as_bytes(pictures: Array) -> NDArray[np.uint8]:
    """Return pictures as bytes.

    Floats in [0, 1] and zeros and ones span the full range; floats slightly outside are clipped; bytes stay; any other
    range is stretched from its smallest to its largest value.
    """
    low, high = float(np.min(pictures)), float(np.max(pictures))
    if pictures.dtype.kind == "f" and low >= -0.5 and high <= 1.5:
        return _bytes(pictures, 0.0, 1.0)
    if pictures.dtype.kind != "f" and low >= 0 and high <= 1:
        return pictures.astype(np.uint8) * np.uint8(255)
    if pictures.dtype.kind != "f" and low >= 0 and high <= 255:
        return pictures.astype(np.uint8)
    return _bytes(pictures, low, high)


def as_pixels(pictures: Array) -> Array:
    """Return pictures of uint16 as they are, which is 16 bits a pixel, and all others as `as_bytes` does."""
    return pictures if pictures.dtype == np.uint16 else as_bytes(pictures)


def _bytes(pictures: Array, low: float, high: float) -> NDArray[np.uint8]:
    scaled = (pictures.astype(np.float64) - low) / ((high - low) or 1.0)
    return np.rint(np.clip(scaled, 0.0, 1.0) * 255).astype(np.uint8)


def contact_sheet(pictures: Array, across: int | None = None) -> Array:
    """Lay pictures out on one sheet with small gaps.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W, C)
        Of uint8 or uint16.
    across : int, optional
        How many in a row; by default so many that the sheet is about square.

    Returns
    -------
    ndarray of shape (sheet height, sheet width, C)
        The sheet, white where there is no picture.

    Raises
    ------
    DataError
        If the sheet would be too large to look at.

    Examples
    --------
    >>> contact_sheet(np.zeros((6, 8, 8, 1), np.uint8), across=3).shape
    (19, 28, 1)
    """
    n, height, width, channels = pictures.shape
    columns = across if across else min(n, max(1, round(sqrt(n * height / width))))
    down, gap = ceil(n / columns), max(1, min(height, width) // 16)
    tall, broad = down * (height + gap) + gap, columns * (width + gap) + gap
    if tall * broad > LARGEST_SHEET:
        raise DataError(
            f"a sheet of {n} pictures would have {tall} x {broad} pixels. Write them to a folder (a path without an ending) or to .npy"
        )
    sheet = np.full((tall, broad, channels), np.iinfo(pictures.dtype).max, pictures.dtype)
    for i, picture in enumerate(pictures):
        y, x = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet
