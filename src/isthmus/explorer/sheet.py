"""Thumbnails: one by one, and many on a sheet."""

from __future__ import annotations

from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.explorer.contents import png
from isthmus.explorer.subject import Array, Subject

SIDE, TILES, COLUMNS = 32, 4_096, 64


class Sheet:
    """Thumbnails of the pictures of a subject.

    Parameters
    ----------
    subject : Subject
    side : int
        The longer side of a tile at most, in pixels.
    most : int
        Tiles at most: those of the first rows.
    """

    def __init__(self, subject: Subject, side: int = SIDE, most: int = TILES) -> None:
        self.subject, self.side = subject, side
        self.count = min(len(subject), most)
        height, width = subject.contents.schema.shape[:2]
        ratio = min(1.0, side / max(height, width))
        self.size = max(1, round(height * ratio)), max(1, round(width * ratio))

    def one(self, row: int) -> bytes:
        """Return the picture of a row as PNG, in its own size."""
        return png(self.subject.contents.pixels(self.subject.matrix[row][None])[0])

    @cached_property
    def whole(self) -> bytes:
        """The sheet as PNG, rows from left to right and from top to bottom."""
        return png(self.pixels)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The sheet's pixels."""
        tiles = self._tiles()
        height, width, channels = tiles.shape[1:]
        lines = ceil(self.count / COLUMNS)
        room = np.zeros((lines * COLUMNS, height, width, channels), np.uint8)
        room[: self.count] = tiles
        laid = room.reshape(lines, COLUMNS, height, width, channels).swapaxes(1, 2)
        return laid.reshape(lines * height, COLUMNS * width, channels)

    def told(self, url: str) -> dict[str, Any]:
        """Return how the sheet is laid out, and where it is."""
        return {"size": list(self.size), "columns": COLUMNS, "count": self.count, "url": url}

    def _tiles(self) -> Array:
        pixels = self.subject.contents.pixels(self.subject.matrix[: self.count])
        if pixels.shape[1:3] == self.size:
            return pixels
        small = [_image(picture).resize((self.size[1], self.size[0]), Image.Resampling.BOX) for picture in pixels]
        return np.stack([np.asarray(picture) for picture in small]).reshape(len(small), *self.size, pixels.shape[-1])


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
