"""The pixels of one picture file: turned upright, grey, coloured or with alpha, in 8 or 16 bits, of one size."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from isthmus.data.source import Array

FULL = 65535
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Formats whose further frames are pictures of their own; a camera's JPEG has previews as such.
_FRAMED = ("GIF", "PNG", "TIFF", "WEBP", "AVIF")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = range(5, 9)
# Pillow has no mode for several channels of 16 bits: it reads one byte of each pair. Read in the other order of bytes it is the other.
_DEEP_COLOURS = {"RGB": "RGB", "RGBA": "RGBA", "LA": "RGBA"}
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
# Shares of red, green and blue in grey, of 65536; Pillow's own for 8 bits.
_SHARES = np.array([19595, 38470, 7471], np.uint64)


@dataclass(frozen=True)
class Head:
    """What a picture's header says.

    Attributes
    ----------
    path : path
    height, width : int
        Once it is upright.
    grey, alpha : bool
        Whether it is grey, and whether it may be transparent.
    raw : str
        How pixels of 16 bits lie in the file, as Pillow calls it; empty for others.
    key : object
        The one grey value or colour that is transparent, of pixels of 16 bits.
    orientation : int
        By the camera, 1 to 8.
    framed : bool
        Whether there are more pictures in the file.
    """

    path: Path
    height: int
    width: int
    grey: bool
    alpha: bool
    raw: str = ""
    key: Any = None
    orientation: int = 1
    framed: bool = False

    @property
    def deep(self) -> bool:
        """Whether the pixels have 16 bits."""
        return bool(self.raw)


@dataclass(frozen=True)
class Form:
    """What every picture of a folder is brought to.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    channels : {1, 3, 4}
        Grey, coloured, or coloured with alpha.
    deep : bool
        Whether pixels have 16 bits.
    """

    size: tuple[int, ...]
    channels: int
    deep: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture: (H, W, C)."""
        return (*self.size, self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return np.dtype(np.uint16 if self.deep else np.uint8)


def read_head(path: Path, unreadable: tuple[type[Exception], ...]) -> Head:
    """Read a picture's header.

    Parameters
    ----------
    path : path
    unreadable : tuple of exception classes
        What Pillow raises on broken files; a broken entry of the camera counts as none.

    Returns
    -------
    Head

    Raises
    ------
    ValueError
        If its pixels are floating-point numbers.
    """
    with Image.open(path) as image:
        raw, (width, height) = _raw(image), image.size
        if image.mode == "F":
            raise ValueError("pixels are floating-point numbers; save them as an .npy array")
        framed = image.format in _FRAMED and bool(getattr(image, "is_animated", False))
        alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
        grey = image.mode in _GREY_MODES or raw.startswith("LA")
        key = image.info.get("transparency")
        turn = _orientation(image, unreadable)
        height, width = (width, height) if turn in _SIDEWAYS else (height, width)
        return Head(path, height, width, grey, alpha, raw, key if raw else None, turn, framed)


def _orientation(image: Image.Image, unreadable: tuple[type[Exception], ...]) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # it may stand after the pixels, and these may be broken
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except unreadable:
        return 1


def _raw(image: Any) -> str:
    """Return how pixels of 16 bits lie in the file; nothing for others, and for kinds that are reduced by Pillow."""
    if image.mode.startswith("I"):
        return "I"
    arguments: Any = image.tile[0][3] if getattr(image, "tile", None) else ""
    raw = str(cast("Any", arguments)[0] if isinstance(arguments, tuple) else arguments)
    kind, _, order = raw.partition(";")
    return raw if order in _OTHER_BYTE and _DEEP_COLOURS.get(kind) == image.mode else ""


def decode(head: Head, form: Form) -> Array:
    """Read a picture's pixels.

    Parameters
    ----------
    head : Head
    form : Form
        What they are brought to. Without alpha they are laid on white; 8 bits become 16 by the factor 257, and the other way round.

    Returns
    -------
    ndarray of shape `form.shape`
        Of `form.dtype`.

    Raises
    ------
    ValueError
        If whole numbers have more than 16 bits, and what Pillow raises on broken files.
    """
    if head.deep:
        pixels = _recoloured(_deep_pixels(head), form.channels)
        if form.deep:
            return _resized(pixels, form.size)
        reduced = (pixels / 257).round().astype(np.uint8)
        return _fitted(Image.fromarray(reduced[..., 0] if form.channels == 1 else reduced), form).astype(np.uint8)
    with Image.open(head.path) as opened:
        image = _turned(opened, head)
        image = _on_white(image) if head.alpha and form.channels < 4 else image
        found = _fitted(image.convert(_MODES[form.channels]), form)
    return found.astype(np.uint16) * np.uint16(257) if form.deep else found


def _turned(image: Image.Image, head: Head) -> Image.Image:
    return image.transpose(_TURNS[head.orientation]) if head.orientation in _TURNS else image


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _fitted(image: Image.Image, form: Form) -> Array:
    height, width = form.size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(form.shape)


def _deep_pixels(head: Head) -> Array:
    """Return pixels of 16 bits, shape (h, w, 1 to 4): grey or coloured, the last of two or four channels being alpha."""
    kind, _, order = head.raw.partition(";")
    if kind == "I":
        return _keyed(_whole(head), head.key)
    if kind == "LA":  # the bytes of both are read as if they were four channels
        pairs = _unpacked(head, "RGBA")
        return (pairs[..., ::2] << 8) | pairs[..., 1::2]
    high, low = _unpacked(head, head.raw), _unpacked(head, f"{kind};{_OTHER_BYTE[order]}")
    return _keyed((high << 8) | low, head.key)


def _whole(head: Head) -> Array:
    with Image.open(head.path) as image:
        image.load()
        values = np.asarray(_turned(image, head))
    if values.min() < 0 or values.max() > FULL:
        raise ValueError(f"pixels are whole numbers from {values.min()} to {values.max()}, beyond 16 bits; save them as an .npy array")
    return values.astype(np.uint16)[..., None]


def _unpacked(head: Head, raw: str) -> Array:
    with Image.open(head.path) as opened:
        image: Any = opened
        image.tile = [tile._replace(args=_as_raw(tile.args, raw)) for tile in image.tile]
        image.load()  # where it is broken, NumPy would hide why
        return np.asarray(_turned(image, head)).astype(np.uint16)


def _as_raw(arguments: Any, raw: str) -> Any:
    return (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw


def _keyed(pixels: Array, key: Any) -> Array:
    """Add alpha where one value or colour counts as transparent."""
    if key is None or pixels.shape[2] in (2, 4):
        return pixels
    seen = (pixels != np.asarray(key)).any(axis=2, keepdims=True)
    return np.concatenate([pixels, seen.astype(np.uint16) * np.uint16(FULL)], axis=2)


def _recoloured(pixels: Array, channels: int) -> Array:
    """Return pixels of 16 bits in 1, 3 or 4 channels."""
    colours = 3 if pixels.shape[2] > 2 else 1
    colour, alpha = pixels[..., :colours].astype(np.uint64), pixels[..., colours:].astype(np.uint64)
    if channels < 4 and alpha.size:
        colour = (colour * alpha + FULL * (FULL - alpha) + FULL // 2) // FULL
    if channels == 1 and colours == 3:
        colour = ((colour * _SHARES).sum(axis=2, keepdims=True) + 32768) >> np.uint64(16)
    if channels > 1:
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if channels == 4:
        alpha = alpha if alpha.size else np.full((*colour.shape[:2], 1), FULL, np.uint64)
        colour = np.concatenate([colour, alpha], axis=2)
    return colour.astype(np.uint16)


def _resized(pixels: Array, size: tuple[int, ...]) -> Array:
    """Resize pixels of 16 bits; colours count by how opaque they are."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    floats = pixels.astype(np.float32)
    if pixels.shape[2] == 4:
        floats[..., :3] *= floats[..., 3:] / FULL
    shape = (size[1], size[0])
    layers = [
        np.asarray(Image.fromarray(np.ascontiguousarray(layer)).resize(shape, Image.Resampling.LANCZOS))
        for layer in np.moveaxis(floats, 2, 0)
    ]
    found = np.stack(layers, axis=2)
    if pixels.shape[2] == 4:
        found[..., :3] *= FULL / np.maximum(found[..., 3:], 1.0)
    return np.rint(np.clip(found, 0, FULL)).astype(np.uint16)
