"""Picture files as one array: oriented, of one size, grey or coloured."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from isthmus.data.checks import LISTED
from isthmus.data.options import ReadOptions
from isthmus.data.source import Array, Source
from isthmus.errors import DataError

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_TURNED = range(5, 9)  # EXIF orientations that swap height and width
_ORIENTATION = 0x0112
# What Pillow raises on broken files, format by format.
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, struct.error, zlib.error)


@dataclass(frozen=True)
class Head:
    """What a picture's header says."""

    path: Path
    height: int
    width: int
    mode: str
    alpha: bool


def read_folder(path: Path, options: ReadOptions) -> Source:
    """Read all pictures below a folder, sorted by their path.

    Parameters
    ----------
    path : Path
        The folder.
    options : ReadOptions
        Its size, colour and on_error are heeded.

    Returns
    -------
    Source
        Pictures (n, H, W, C) of uint8, named by their path within the folder.

    Raises
    ------
    DataError
        If there is no picture, or one cannot be read and is not to be skipped.
    """
    files, ids, notes = find_pictures(path)
    return _read_files(files, ids, path.name, options, notes)


def find_pictures(path: Path) -> tuple[list[Path], list[str], list[str]]:
    """Return the pictures below a folder, their paths within it, and notes.

    Raises
    ------
    DataError
        If there is no picture.
    """
    found = sorted(
        (f for f in path.rglob("*") if f.is_file() and not _hidden(f.relative_to(path))), key=lambda f: f.relative_to(path).as_posix()
    )
    files = [f for f in found if f.suffix.lower() in PICTURE_ENDINGS]
    if not files:
        raise DataError(f"{path}: no pictures in this folder. Give one with files that end in {', '.join(PICTURE_ENDINGS)}")
    notes = [f"left {len(found) - len(files)} other files in the folder alone"] if len(found) > len(files) else []
    return files, [f.relative_to(path).as_posix() for f in files], notes


def read_picture(path: Path, options: ReadOptions) -> Source:
    """Read a single picture as a source of one; else as `read_folder`."""
    return _read_files([path], [path.name], path.name, options, [])


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_files(files: Sequence[Path], ids: Sequence[str], name: str, options: ReadOptions, notes: list[str]) -> Source:
    names = dict(zip(files, ids))
    troubles: dict[str, str] = {}
    heads = read_heads(files, names, troubles)
    refuse_troubles(troubles, name, options, bool(heads))
    size = options.size or median_size(heads)
    grey = all_grey(heads, options)
    array, kept = decode_all(heads, size, grey, names, troubles)
    refuse_troubles(troubles, name, options, bool(kept))
    notes += notes_on([heads[i] for i in kept], size, options, troubles)
    array = _as_grey_if_equal(array, options, notes)
    return Source("pictures", array, (), tuple(names[heads[i].path] for i in kept), notes, name)


def all_grey(heads: Sequence[Head], options: ReadOptions) -> bool:
    """Return whether one channel is read: where that is asked for, or every file says that it is grey."""
    return options.colour == "grey" or (options.colour == "auto" and all(head.mode in _GREY_MODES for head in heads))


def read_heads(files: Sequence[Path], names: dict[Path, str], troubles: dict[str, str]) -> list[Head]:
    """Return the headers of the files that have one; `troubles` takes the reason for the others."""
    heads: list[Head] = []
    with warnings.catch_warnings():
        # Pillow only warns of a moderate bomb; here it counts as unreadable.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for file in files:
            try:
                heads.append(_read_head(file))
            except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                troubles[names[file]] = f"it has more than {Image.MAX_IMAGE_PIXELS} pixels, far beyond a usual picture"
            except _UNREADABLE as error:
                troubles[names[file]] = _reason(error)
    return heads


def _read_head(path: Path) -> Head:
    with Image.open(path) as image:
        width, height = image.size
        if image.mode == "F":
            raise ValueError("pixels are floating-point numbers; save them as an .npy array")
        if image.getexif().get(_ORIENTATION, 1) in _TURNED:
            width, height = height, width
        return Head(path, height, width, image.mode, image.mode in _ALPHA_MODES or "transparency" in image.info)


def _reason(error: BaseException) -> str:
    return (
        "it is no picture that can be recognised"
        if isinstance(error, Image.UnidentifiedImageError)
        else str(error)[:120] or type(error).__name__
    )


def refuse_troubles(troubles: dict[str, str], name: str, options: ReadOptions, any_left: bool) -> None:
    """Raise a `DataError` for the files in `troubles`, unless they are to be skipped and others are left."""
    if not troubles or (options.on_error == "skip" and any_left):
        return
    told = "; ".join(f"{file!r}: {reason}" for file, reason in list(troubles.items())[:LISTED])
    more = f"; and {len(troubles) - LISTED} more" if len(troubles) > LISTED else ""
    mend = (
        "No readable picture is left"
        if options.on_error == "skip"
        else "Mend or remove them, or leave them out with on_error='skip' (command line: --on-error skip)"
    )
    raise DataError(f"{name}: {len(troubles)} picture(s) cannot be read: {told}{more}. {mend}")


def median_size(heads: Sequence[Head]) -> tuple[int, int]:
    """Return the median height and width."""
    return int(np.median([head.height for head in heads])), int(np.median([head.width for head in heads]))


def decode_all(
    heads: Sequence[Head], size: tuple[int, ...], grey: bool, names: dict[Path, str], troubles: dict[str, str]
) -> tuple[Array, list[int]]:
    """Decode every picture into one array; return it with the positions of those that could be read."""
    out = np.empty((len(heads), *size, 1 if grey else 3), np.uint8)

    def decode(i: int) -> str:
        try:
            out[i] = _decode(heads[i], size, grey)
        except _UNREADABLE as error:
            return _reason(error)
        return ""

    reasons = _in_threads(decode, len(heads))
    troubles.update({names[head.path]: reason for head, reason in zip(heads, reasons) if reason})
    kept = [i for i, reason in enumerate(reasons) if not reason]
    return out if len(kept) == len(heads) else out[kept], kept


def _in_threads(work: Callable[[int], str], count: int) -> list[str]:
    if count == 1:
        return [work(0)]
    # Pillow decodes outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, range(count)))


def _decode(head: Head, size: tuple[int, ...], grey: bool) -> Array:
    with Image.open(head.path) as opened:
        image = _to_bytes(ImageOps.exif_transpose(opened)).convert("L" if grey else "RGB")
    height, width = size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(height, width, -1)


def _to_bytes(image: Image.Image) -> Image.Image:
    """Return a picture of 16 bits in 8; Pillow's own conversion would cut off the bright part."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.clip(np.asarray(image).astype(np.float64), 0, 65535) / 257).round().astype(np.uint8))


def notes_on(heads: Sequence[Head], size: tuple[int, ...], options: ReadOptions, troubles: dict[str, str]) -> list[str]:
    """Return a sentence on everything that was done to the pictures."""
    notes: list[str] = []
    resized = sum((head.height, head.width) != tuple(size) for head in heads)
    if resized:
        why = "the size asked for" if options.size else "the median size"
        notes.append(f"resized {resized} of {len(heads)} pictures to {size[0]} x {size[1]} (height x width, {why})")
    if alpha := sum(head.alpha for head in heads):
        notes.append(f"dropped the transparency of {alpha} pictures")
    if deep := sum(head.mode.startswith("I") for head in heads):
        notes.append(f"reduced {deep} pictures of 16 bits to 8")
    greys = sum(head.mode in _GREY_MODES for head in heads)
    if options.colour == "auto" and 0 < greys < len(heads):
        notes.append(f"{greys} of {len(heads)} pictures are grey; all are read as colour (RGB)")
    if troubles:
        told = ", ".join(list(troubles)[:LISTED])
        notes.append(f"left out {len(troubles)} unreadable picture(s): {told}{' ...' if len(troubles) > LISTED else ''}")
    return notes


def _as_grey_if_equal(array: Array, options: ReadOptions, notes: list[str]) -> Array:
    """Return one channel where all pictures, though saved as colour, have three equal ones."""
    if options.colour != "auto" or array.shape[3] == 1 or not all(equal_channels(picture) for picture in array):
        return array
    notes.append("all pictures are grey, though saved as colour; one channel is kept")
    return np.ascontiguousarray(array[..., :1])


def equal_channels(picture: Array) -> bool:
    """Return whether a coloured picture is grey."""
    return np.array_equal(picture[..., 0], picture[..., 1]) and np.array_equal(picture[..., 0], picture[..., 2])
