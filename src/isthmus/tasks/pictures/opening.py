"""Pictures to learn from: folders, single pictures and arrays, and pairs of them matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact.restorer import as_pictures
from isthmus.data import read
from isthmus.data.options import ReadOptions
from isthmus.data.pictures import PICTURE_ENDINGS, equal_channels, form_of
from isthmus.errors import DataError
from isthmus.tasks.pictures.denoise_files import Files, is_array, look
from isthmus.tasks.pictures.shelf import ROOM, Shelf
from isthmus.training.crops import Picture

Array = NDArray[Any]
LISTED = 5


@dataclass(frozen=True)
class Opening:
    """How pictures are opened.

    Parameters
    ----------
    key : str, optional
        Which array of an ``.npz`` file.
    options : ReadOptions
        Its colour, bits and on_error are heeded.
    room : int
        Bytes of pixels of picture files that are kept in memory.

    Examples
    --------
    >>> Opening().options.bits
    'auto'
    """

    key: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    room: int = ROOM


def open_pictures(path: Path, how: Opening | None = None) -> tuple[Sequence[Picture], list[str]]:
    """Open pictures to learn from.

    Parameters
    ----------
    path : path
        A folder, a picture, or an ``.npy`` or ``.npz`` file with an array of pictures.
    how : Opening, optional

    Returns
    -------
    pictures : sequence of pictures of shape (H, W, C)
        A `Shelf` of files, which are decoded when they are looked at, or arrays.
    notes : list of str

    Raises
    ------
    DataError
        If there are no pictures, or some cannot be read.
    """
    how = how or Opening()
    if is_array(path):
        source = read(path, key=how.key)
        if source.kind != "pictures":
            raise DataError(f"{path.name} holds a table of shape {source.array.shape}, no pictures: give (n, H, W) or (n, H, W, C)")
        return as_pictures(source.array, path.name), list(source.notes)
    check_there(path)
    files = look(path, how.options.on_error == "skip")
    return shelf_of(files, how)


def check_there(path: Path) -> None:
    """Refuse what is neither a folder, nor a picture or a file of arrays by its ending.

    Raises
    ------
    DataError
        If there is nothing, or something else.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}. Check the path")
    if not path.is_dir() and path.suffix.lower() not in (*PICTURE_ENDINGS, ".npy", ".npz"):
        raise DataError(
            f"{path.name} is no picture by its ending. Give a folder of pictures, a file that ends in {', '.join(PICTURE_ENDINGS)}, "
            "or .npy or .npz"
        )


def shelf_of(files: Files, how: Opening) -> tuple[Shelf, list[str]]:
    """Return files as pictures of one type and one number of channels: those asked for, else grey or 16 bits if all are."""
    form = form_of(files.heads, how.options)
    shelf = Shelf(files.heads, form.channels, form.deep, files.names, how.room)
    notes = list(files.notes)
    if how.options.colour == "auto" and form.channels > 1 and all(equal_channels(np.asarray(picture)) for picture in shelf):
        shelf = Shelf(files.heads, 1, form.deep, files.names, how.room)
        notes.append("all pictures are grey, though saved as colour; one channel is learned from")
    alpha = sum(head.alpha for head in files.heads)
    notes += [f"laid {alpha} picture(s) that may be transparent on white"] if alpha else []
    return shelf, notes


def open_pairs(noisy: Path, clean: Path, how: Opening | None = None) -> tuple[Sequence[Picture], Sequence[Picture], list[str]]:
    """Open noisy pictures and their clean ones: files of the same names, whatever their endings, or arrays in the same order.

    Raises
    ------
    DataError
        If some have no partner, whose names are told, or pictures cannot be used.
    """
    how = how or Opening()
    if is_array(noisy) or is_array(clean) or not (noisy.is_dir() and clean.is_dir()):
        (first, one), (second, two) = open_pictures(noisy, how), open_pictures(clean, how)
        return first, second, one + two
    one, two = matched(noisy, clean, how.options.on_error == "skip")
    form = form_of([*one.heads, *two.heads], how.options)
    shelves = [Shelf(part.heads, form.channels, form.deep, part.names, how.room // 2) for part in (one, two)]
    return shelves[0], shelves[1], one.notes + two.notes


def matched(first: Path, second: Path, skip: bool = False) -> tuple[Files, Files]:
    """Return the pictures of two folders in one order, each called as both are but for the endings.

    Raises
    ------
    DataError
        If some have no partner, whose names are told, or one cannot be read and is not to be skipped.
    """
    files = [look(folder, skip) for folder in (first, second)]
    one, two = (_by_stem(found, folder) for found, folder in zip(files, (first, second)))
    alone = {first: sorted(one.keys() - two.keys()), second: sorted(two.keys() - one.keys())}
    lonely = [f"only in {folder}: {listed(names)}" for folder, names in alone.items() if names]
    if lonely:
        raise DataError(
            f"pictures without a partner of the same name, {'; '.join(lonely)}. Add what is missing, or remove what is left over"
        )
    stems = sorted(one)
    return tuple(Files([part[stem] for stem in stems], stems, found.notes) for part, found in zip((one, two), files))  # pyright: ignore[reportReturnType]


def listed(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _by_stem(files: Files, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for head, name in zip(files.heads, files.names):
        stem = Path(name).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{folder}: several pictures are called {stem}; give them different names: it is unclear which are partners")
        found[stem] = head
    return found
