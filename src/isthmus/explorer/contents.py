"""Rows as a page shows them: pictures, cards of columns, or bare numbers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.data import Schema, Source
from isthmus.data.provenance import png_info
from isthmus.reports.pictures import to_bytes
from isthmus.tasks.values import Values, told, values_of

Array = NDArray[Any]
Kind = Literal["picture", "table", "numbers"]
Content = dict[str, Any]
NUMERIC = ("number", "heavy", "count")
RED, BLUE = (220, 38, 38), (37, 99, 235)


def png(pixels: Array, xmp: bytes = b"") -> bytes:
    """Return a picture of shape (H, W, 1 or 3 or 4), uint8, as the bytes of a PNG: small pictures in a fraction of a millisecond."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.save(buffer, "PNG", compress_level=1, pnginfo=png_info(xmp))
    return buffer.getvalue()


def data_url(found: bytes) -> str:
    """Return a PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(found).decode("ascii")


def kind_of(schema: Schema) -> Kind:
    """Return how rows of a schema are shown."""
    if schema.kind == "pictures":
        return "picture"
    return "table" if schema.columns else "numbers"


def numeric(schema: Schema) -> NDArray[np.bool_]:
    """Return which columns of a table are numbers, which may be taken from each other."""
    if schema.kind != "columns":
        return np.ones(schema.shape[0], np.bool_)
    return np.array([column.kind in NUMERIC for column in schema.used])


@dataclass(frozen=True, eq=False)
class Contents:
    """Shows rows of one schema.

    Attributes
    ----------
    schema : Schema
    limits : ndarray of shape (2, c)
        Smallest and largest value of each column; empty for pictures.
    brightness : callable, optional
        From pictures in the data's own units to floats in [0, 1].
    xmp : bytes
        What the metadata of pictures that the model made say; empty for nothing.
    """

    schema: Schema
    limits: Array = field(default_factory=lambda: np.zeros((2, 0)))
    brightness: Callable[[Array], Array] | None = None
    xmp: bytes = b""

    @property
    def kind(self) -> Kind:
        """How rows are shown."""
        return kind_of(self.schema)

    def of(self, rows: Array, source: Source | None = None, made: bool = False) -> list[Content]:
        """Return rows, in the data's own units, as contents.

        Parameters
        ----------
        rows : ndarray of shape (n, \\*shape)
        source : Source, optional
            Where they come from: it knows texts that the schema does not.
        made : bool
            Whether a model made them.
        """
        if self.kind == "picture":
            return [_picture(pixels, self.xmp if made else b"") for pixels in self.pixels(rows)]
        if self.kind == "numbers":
            return [{"kind": "numbers", "values": _plain(row), "names": None} for row in rows]
        values = values_of(self.schema, rows, source)
        return [self._card(values, rows[i], i) for i in range(len(rows))]

    def pixels(self, rows: Array) -> Array:
        """Return pictures in the data's own units as uint8, shape (n, H, W, 1 or 3 or 4)."""
        assert self.brightness is not None
        return to_bytes(self.brightness(rows))

    def difference(self, observed: Array, rebuilt: Array) -> Content:
        """Return what a row, shape (\\*shape), has more or less than its reconstruction."""
        if self.kind == "picture":
            assert self.brightness is not None
            both = self.brightness(np.stack([observed, rebuilt])).astype(np.float32).mean(-1)
            return _picture(_tinted(both[0] - both[1]))
        apart = np.asarray(observed, np.float64) - np.asarray(rebuilt, np.float64)
        if self.kind == "numbers":
            return {"kind": "numbers", "values": _plain(apart), "names": None}
        return self._apart(observed, rebuilt, apart)

    def _card(self, values: Values, row: Array, i: int) -> Content:
        numbers = numeric(self.schema)
        cells = [
            {
                "name": name,
                "text": told(values[name][i]),
                "number": _finite(row[j]) if numbers[j] else None,
                "low": _finite(self.limits[0, j]) if numbers[j] else None,
                "high": _finite(self.limits[1, j]) if numbers[j] else None,
            }
            for j, name in enumerate(self.schema.columns)
        ]
        return {"kind": "table", "cells": cells}

    def _apart(self, observed: Array, rebuilt: Array, apart: Array) -> Content:
        numbers = numeric(self.schema)
        here, there = (values_of(self.schema, row[None]) for row in (observed, rebuilt))
        cells: list[dict[str, Any]] = []
        for j, name in enumerate(self.schema.columns):
            number = _finite(apart[j]) if numbers[j] else None
            a, b = told(here[name][0]), told(there[name][0])
            text = f"{'+' if number >= 0 else ''}{told(number)}" if number is not None else "same" if a == b else f"{a}, not {b}"
            cells.append({"name": name, "text": text, "number": number, "low": None, "high": None})
        return {"kind": "table", "cells": cells}


def _picture(pixels: Array, xmp: bytes = b"") -> Content:
    return {"kind": "picture", "png": data_url(png(pixels, xmp)), "width": pixels.shape[1], "height": pixels.shape[0]}


def _tinted(apart: Array) -> Array:
    """Return differences in [-1, 1], shape (H, W), as red and blue that are the stronger the larger they are."""
    colours = np.where((apart > 0)[..., None], np.array(RED, np.uint8), np.array(BLUE, np.uint8))
    strength = np.rint(255 * np.clip(np.abs(np.nan_to_num(apart)), 0, 1)).astype(np.uint8)
    return np.concatenate([colours, strength[..., None]], axis=-1)


def _plain(row: Array) -> list[float | None]:
    return [_finite(value) for value in np.asarray(row, np.float64).ravel().tolist()]


def _finite(value: Any) -> float | None:
    """Return a number as JSON knows it."""
    found = float(value)
    return found if np.isfinite(found) else None
