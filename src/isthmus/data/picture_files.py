"""Picture files, in the format that the ending names, with what is known of their making."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from isthmus.data.provenance import PNG_KEYWORD, png_info
from isthmus.data.source import Array
from isthmus.errors import DataError

QUALITY = 95
_PNG_COLOURS = {1: 0, 3: 2, 4: 6}
_BANDS = 4 << 20


def save_picture(path: Path, pixels: Array, xmp: bytes = b"") -> None:
    """Write one picture.

    Parameters
    ----------
    path : path
        Ends in .png, .jpg, .jpeg, .webp or .avif.
    pixels : ndarray of shape (H, W, C)
        Of uint8, or of uint16, which only PNG keeps; with 1, 3 or 4 channels. JPEG leaves out the fourth.
    xmp : bytes
        An XMP packet to go with it, or none.

    Raises
    ------
    DataError
        If the format cannot be written here, or the picture is too large for it.
    """
    ending = path.suffix.lower()
    if pixels.dtype == np.uint16 and ending == ".png":
        _save_deep(path, pixels, xmp)
        return
    pixels = (pixels / 257).round().astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    pixels = pixels[..., :3] if ending in (".jpg", ".jpeg") else pixels
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    try:
        image.save(path, **PICTURE_OUTPUTS[ending](xmp))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"cannot write {ending} here ({str(error)[:120]}). Write .png, or install a newer Pillow with this format"
        ) from error


def _png(xmp: bytes) -> dict[str, Any]:
    return {"pnginfo": png_info(xmp)}


def _with_quality(xmp: bytes) -> dict[str, Any]:
    return {"quality": QUALITY, **({"xmp": xmp} if xmp else {})}


PICTURE_OUTPUTS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    ".png": _png,
    ".jpg": _with_quality,
    ".jpeg": _with_quality,
    ".webp": _with_quality,
    ".avif": _with_quality,
}


def _save_deep(path: Path, pixels: Array, xmp: bytes) -> None:
    """Write a PNG of 16 bits, which Pillow does for grey ones only: each row as differences from the row above."""
    height, width, channels = pixels.shape
    text = PNG_KEYWORD.encode() + b"\0\0\0\0\0" + xmp
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)))
        file.write(_chunk(b"iTXt", text) if xmp else b"")
        packer, above = zlib.compressobj(6), np.zeros((1, width * channels * 2), np.uint8)
        step = max(1, _BANDS // above.size)
        for start in range(0, height, step):
            rows = np.ascontiguousarray(pixels[start : start + step], ">u2").view(np.uint8).reshape(-1, above.size)
            filtered = np.empty((len(rows), above.size + 1), np.uint8)
            filtered[:, 0] = 2
            filtered[:, 1:] = rows - np.concatenate([above, rows[:-1]])
            file.write(_chunk(b"IDAT", packer.compress(filtered.tobytes())))
            above = rows[-1:]
        file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
