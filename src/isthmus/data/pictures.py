"""Picture files as one array: oriented, of one size, grey or coloured."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.data.checks import LISTED
from isthmus.data.options import ReadOptions
from isthmus.data.pixels import Form, Head, decode, read_head
from isthmus.data.source import Array, Source
from isthmus.errors import DataError

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".avif")
SAVED_AS_COLOUR = "all pictures are grey, though saved as colour; one channel is kept"
# What Pillow raises on broken files, format by format.
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, RuntimeError),
    struct.error,
    zlib.error,
)


def read_folder(path: Path, options: ReadOptions) -> Source:
    """Read all pictures below a folder, sorted by their path.

    Parameters
    ----------
    path : Path
        The folder.
    options : ReadOptions
        Its size, colour, bits and on_error are heeded.

    Returns
    -------
    Source
        Pictures (n, H, W, C) of uint8 or uint16, named by their path within the folder.

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
        text = [f.name for f in found if f.suffix.lower() in (".csv", ".tsv", ".txt")]
        tables = f". Text tables such as {text[0]} are read one by one; a folder of tables is one of Parquet or Arrow files" if text else ""
        raise DataError(f"{path}: no pictures in this folder. Give one with files that end in {', '.join(PICTURE_ENDINGS)}{tables}")
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
    form = form_of(heads, options)
    array, kept = decode_all(heads, form, names, troubles)
    refuse_troubles(troubles, name, options, bool(kept))
    notes += notes_on([heads[i] for i in kept], form, options, troubles)
    array = _as_grey_if_equal(array, options, notes)
    return Source("pictures", array, (), tuple(names[heads[i].path] for i in kept), notes, name)


def form_of(heads: Sequence[Head], options: ReadOptions) -> Form:
    """Return what pictures with these headers are brought to: what is asked for, else their median size, grey or 16 bits if all are."""
    auto = 1 if all(head.grey for head in heads) else 3
    channels = {"auto": auto, "grey": 1, "rgb": 3, "rgba": 4}[options.colour]
    deep = all(head.deep for head in heads) if options.bits == "auto" else options.bits == 16
    return Form(options.size or _median_size(heads), channels, deep)


def read_heads(files: Sequence[Path], names: dict[Path, str], troubles: dict[str, str]) -> list[Head]:
    """Return the headers of the files that have one; `troubles` takes the reason for the others."""
    heads: list[Head] = []
    with warnings.catch_warnings():
        # Pillow only warns of a moderate bomb; here it counts as unreadable.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # of what the camera wrote
        for file in files:
            try:
                heads.append(read_head(file, UNREADABLE))
            except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                troubles[names[file]] = f"it has more than {Image.MAX_IMAGE_PIXELS} pixels, far beyond a usual picture"
            except UNREADABLE as error:
                troubles[names[file]] = unreadable_reason(error)
    return heads


def unreadable_reason(error: BaseException) -> str:
    """Return why a picture cannot be read, from what Pillow raised."""
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


def _median_size(heads: Sequence[Head]) -> tuple[int, int]:
    """Return the median height and width."""
    return int(np.median([head.height for head in heads])), int(np.median([head.width for head in heads]))


def decode_all(heads: Sequence[Head], form: Form, names: dict[Path, str], troubles: dict[str, str]) -> tuple[Array, list[int]]:
    """Decode every picture into one array; return it with the positions of those that could be read."""
    out = np.empty((len(heads), *form.shape), form.dtype)

    def one(i: int) -> str:
        try:
            out[i] = decode(heads[i], form)
        except UNREADABLE as error:
            return unreadable_reason(error)
        return ""

    reasons = _in_threads(one, len(heads))
    troubles.update({names[head.path]: reason for head, reason in zip(heads, reasons) if reason})
    kept = [i for i, reason in enumerate(reasons) if not reason]
    return out if len(kept) == len(heads) else out[kept], kept


def _in_threads(work: Callable[[int], str], count: int) -> list[str]:
    if count == 1:
        return [work(0)]
    # Pillow decodes outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, range(count)))


def notes_on(heads: Sequence[Head], form: Form, options: ReadOptions, troubles: dict[str, str]) -> list[str]:
    """Return a sentence on everything that was done to the pictures."""
    resized = sum((head.height, head.width) != tuple(form.size) for head in heads)
    why = "the size asked for" if options.size else "the median size"
    told = ", ".join(list(troubles)[:LISTED]) + (" ..." if len(troubles) > LISTED else "")
    greys = sum(head.grey for head in heads) if options.colour == "auto" and form.channels == 3 else 0
    alpha = sum(head.alpha for head in heads) if form.channels < 4 else 0
    deep = sum(head.deep for head in heads)
    hint = "; bits=16 keeps them" if options.bits == "auto" else ""
    framed = sum(head.framed for head in heads)
    notes = {
        f"resized {resized} of {len(heads)} pictures to {form.size[0]} x {form.size[1]} (height x width, {why})": resized,
        f"laid {alpha} pictures that may be transparent on white; colour='rgba' keeps their alpha": alpha,
        f"reduced {deep} pictures of 16 bits to 8{hint}": 0 if form.deep else deep,
        f"brought {len(heads) - deep} pictures of 8 bits to 16 (times 257)": len(heads) - deep if form.deep else 0,
        f"{greys} of {len(heads)} pictures are grey; all are read as colour (RGB)": greys,
        f"took the first of several pictures in {framed} animated or many-page files": framed,
        f"left out {len(troubles)} unreadable picture(s): {told}": len(troubles),
    }
    return [note for note, count in notes.items() if count]


def _as_grey_if_equal(array: Array, options: ReadOptions, notes: list[str]) -> Array:
    """Return one channel where all pictures, though saved as colour, have three equal ones."""
    if options.colour != "auto" or array.shape[3] == 1 or not all(equal_channels(picture) for picture in array):
        return array
    notes.append(SAVED_AS_COLOUR)
    return np.ascontiguousarray(array[..., :1])


def equal_channels(picture: Array) -> bool:
    """Return whether a coloured picture is grey."""
    return np.array_equal(picture[..., 0], picture[..., 1]) and np.array_equal(picture[..., 0], picture[..., 2])
