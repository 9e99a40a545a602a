"""Arrays of pictures as PNG: strips, grids and one sheet of thumbnails."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus import __version__
from isthmus.data import Provenance
from isthmus.data.provenance import TRAINED, png_info
from isthmus.reports.markup import Markup, tag
from isthmus.tasks.evidence import Array

Bytes = NDArray[np.uint8]
MIN_SIDE, MAX_SIDE = 32, 128
PIXELATED_UP_TO = 40
THUMBNAIL_SIDE, THUMBNAILS, SHEET_PIXELS = 32, 2000, 1_200_000


def to_bytes(pictures: Array) -> Bytes:
    """Turn pictures into 8-bit grey or colour.

    Parameters
    ----------
    pictures : array of shape (..., H, W, C)
        Floats in [0, 1] (clipped; not-a-number becomes black), or 8-bit integers, which stay. One channel is grey, three are red,
        green and blue, four have transparency as well; of any other number the mean is shown.

    Returns
    -------
    array of uint8, shape (..., H, W, 1 or 3 or 4)

    Examples
    --------
    >>> to_bytes(np.ones((2, 4, 4, 1))).max()
    np.uint8(255)
    """
    if pictures.dtype != np.uint8:
        floats = np.nan_to_num(np.asarray(pictures, np.float32), nan=0.0, posinf=1.0, neginf=0.0)
        pictures = np.rint(np.clip(floats, 0.0, 1.0) * 255)
    if pictures.shape[-1] not in (1, 3, 4):
        pictures = pictures.mean(axis=-1, keepdims=True)
    return pictures.astype(np.uint8)


def _smaller(pictures: Bytes, side: int) -> Bytes:
    """Shrink pictures of shape (n, H, W, C) so that neither side is longer than `side`."""
    height, width = pictures.shape[1:3]
    ratio = side / max(height, width)
    if ratio >= 1 or not len(pictures):
        return pictures
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    resized = [np.asarray(_image(picture).resize(size, Image.Resampling.BOX)) for picture in pictures]
    return np.stack(resized).reshape(len(pictures), size[1], size[0], pictures.shape[-1])


def _larger(pictures: Bytes, side: int) -> Bytes:
    """Repeat the pixels of small pictures, so that they stay crisp also where a viewer smooths."""
    times = math.ceil(side / max(pictures.shape[1:3]))
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _image(pixels: Bytes) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _with_alpha(pictures: Bytes) -> Bytes:
    if pictures.shape[-1] == 4:
        return pictures
    return np.concatenate([pictures, np.full_like(pictures[..., :1], 255)], axis=-1)


def _tile(pictures: Bytes, columns: int, gap: int) -> Bytes:
    """Lay pictures (n, H, W, C) out row by row; gaps and missing ones are zero."""
    count, height, width, channels = pictures.shape
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows, height + gap, columns, width + gap, channels), np.uint8)
    for index, picture in enumerate(pictures):
        sheet[index // columns, :height, index % columns, :width] = picture
    merged = sheet.reshape(rows * (height + gap), columns * (width + gap), channels)
    return merged[: merged.shape[0] - gap, : merged.shape[1] - gap]


def data_uri(image: Image.Image, made_by: str = "") -> str:
    """Write an image into a ``data:`` address as PNG.

    Parameters
    ----------
    image : PIL.Image.Image
    made_by : str
        The model that made it, which its metadata say then; empty for originals.

    Returns
    -------
    str
    """
    buffer = io.BytesIO()
    made = Provenance(TRAINED, f"isthmus {__version__}", f"isthmus {made_by}", operation="report") if made_by else None
    image.save(buffer, "PNG", optimize=True, pnginfo=png_info(made.to_xmp() if made else b""))
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def grid(pictures: Array, columns: int, description: str, made_by: str = "") -> Markup:
    """Show pictures in rows of `columns` as one ``<img>``; small ones keep crisp pixels.

    Parameters
    ----------
    pictures : array of shape (n, H, W, C)
        Floats in [0, 1], n >= 1.
    columns : int
        Pictures a row.
    description : str
        For those who cannot see the picture.
    made_by : str
        The model that made them, which their metadata say then; empty for originals.

    Returns
    -------
    Markup

    Examples
    --------
    >>> grid(np.zeros((4, 8, 8, 1)), 2, "four black squares")[:4]
    '<img'
    """
    side = max(pictures.shape[1:3])
    sized = _larger(_smaller(to_bytes(pictures), MAX_SIDE), MIN_SIDE)
    pixels = _tile(_with_alpha(sized), columns, max(2, round(max(sized.shape[1:3]) / 14)))
    image = Image.fromarray(pixels)
    crisp = "crisp" if side <= PIXELATED_UP_TO else None
    style = f"--columns:{columns}"
    return tag("img", src=data_uri(image, made_by), alt=description, width=image.width, height=image.height, class_=crisp, style=style)


@dataclass(frozen=True)
class Sheet:
    """Thumbnails of every `stride`-th row on one picture, row by row.

    Attributes
    ----------
    uri : str
        The picture as a ``data:`` address.
    columns, width, height : int
        Thumbnails a row, and the size of each in pixels.
    stride : int
        Distance of the rows that have a thumbnail.
    """

    uri: str
    columns: int
    width: int
    height: int
    stride: int


def sheet(thumbnails: Array) -> Sheet:
    """Put thumbnails on one sheet of bounded size: of many rows only some get one, large pictures are shrunk.

    Parameters
    ----------
    thumbnails : array of shape (n, H, W, C)
        Floats in [0, 1], n >= 1.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> sheet(np.zeros((5000, 8, 8, 1))).stride
    3
    """
    height, width = thumbnails.shape[1:3]
    shrink = min(1.0, THUMBNAIL_SIDE / max(height, width)) ** 2
    room = min(THUMBNAILS, max(1, int(SHEET_PIXELS / (height * width * shrink))))
    stride = math.ceil(len(thumbnails) / room)
    sized = _smaller(to_bytes(thumbnails[::stride]), THUMBNAIL_SIDE)
    columns = math.ceil(math.sqrt(len(sized)))
    image = _image(_tile(sized, columns, 0))
    if image.mode == "RGB":  # a palette is a third of the bytes, and enough for a thumbnail
        image = image.quantize(256)
    return Sheet(data_uri(image), columns, sized.shape[2], sized.shape[1], stride)


def same(first: Array | None, second: Array | None) -> bool:
    """Tell whether two arrays show the same, where they are there at all."""
    if first is None or second is None:
        return first is second
    return first is second or (first.shape == second.shape and bool(_equal(first, second)))


def _equal(first: Array, second: Array) -> Any:
    return np.array_equal(first, second, equal_nan=first.dtype.kind == "f" and second.dtype.kind == "f")
