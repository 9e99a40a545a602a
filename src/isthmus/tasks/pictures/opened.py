"""What is to be translated, or learned from: pictures or rows of a folder or a file, with their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact.restorer import as_pictures, white
from isthmus.data import read
from isthmus.data.options import Colour, OnError, ReadOptions
from isthmus.data.pictures import PICTURE_ENDINGS
from isthmus.errors import DataError
from isthmus.tasks.pictures.opening import Opening, matched, open_pictures, shelf_of
from isthmus.training.crops import Picture

Array = NDArray[Any]
COLOURS: dict[int | None, Colour] = {None: "auto", 1: "grey", 3: "rgb", 4: "rgba"}
DIFFERENT = 4 / 255  # between the channels of a picture that counts as coloured


@dataclass
class Opened:
    """What was opened.

    Attributes
    ----------
    path : path
    pictures : sequence of pictures (H, W, C)
        Of any sizes, decoded when they are looked at.
    names : list of str
        Paths within a folder; empty for arrays.
    notes : list of str
        What was done while reading.
    rows : ndarray of shape (n, d), optional
        Instead of pictures.
    """

    path: Path
    pictures: Sequence[Picture]
    names: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    rows: Array | None = None

    @property
    def named(self) -> list[str]:
        """What each is called: its file, or its number."""
        return self.names or [f"{i:05d}" for i in range(len(self.pictures))]


def open_any(path: Path, *, key: str | None = None, channels: int | None = None, on_error: OnError = "refuse") -> Opened:
    """Open a folder of pictures, a picture, or a file of arrays or rows.

    Parameters
    ----------
    path : path
        A folder of pictures of any sizes, which stay on the disk until they are looked at; a picture; an ``.npy`` or ``.npz`` file of
        pictures, shape (n, H, W) or (n, H, W, C), or of rows, shape (n, d); or a table.
    key : str, optional
        Which array of an ``.npz`` file.
    channels : {1, 3, 4}, optional
        Of picture files; by default 1 if all are grey, else 3.
    on_error : {"refuse", "skip"}
        What to do about unreadable pictures.

    Returns
    -------
    Opened

    Raises
    ------
    DataError
        If there is nothing that can be read.
    """
    if path.is_dir() or path.suffix.lower() in PICTURE_ENDINGS:
        found, notes = open_pictures(path, _how(key, channels, on_error))
        return Opened(path, found, list(getattr(found, "names", ())), notes)
    source = read(path, key=key)
    if source.kind == "columns":
        raise DataError(f"{path.name} holds text or gaps: what is translated must be numbers, or pictures")
    if source.kind == "table":
        return Opened(path, [], [], source.notes, source.array)
    return Opened(path, as_pictures(source.array, path.name), [], source.notes)


def _how(key: str | None, channels: int | None, on_error: OnError) -> Opening:
    return Opening(key, ReadOptions(colour=COLOURS[channels], on_error=on_error))


def open_both(inputs: Path, targets: Path, *, key: str | None = None, on_error: OnError = "refuse") -> tuple[Opened, Opened]:
    """Open inputs and what they are to become: files of the same names, whatever their endings, or arrays in the same order.

    Raises
    ------
    DataError
        If one has no partner, whose name is told, or there is nothing that can be read.
    """
    if inputs.is_dir() and targets.is_dir():
        how = _how(key, None, on_error)
        parts = [(files, *shelf_of(files, how)) for files in matched(inputs, targets, on_error == "skip")]
        first, second = (Opened(path, shelf, files.names, notes) for path, (files, shelf, notes) in zip((inputs, targets), parts))
        return first, second
    first, second = (open_any(path, key=key, on_error=on_error) for path in (inputs, targets))
    kinds = ["pictures" if found.rows is None else "rows" for found in (first, second)]
    if kinds[0] != kinds[1]:
        raise DataError(f"{inputs} holds {kinds[0]}, but {targets} {kinds[1]}: a pair is two of one kind")
    return first, second


def coloured(found: Opened) -> list[str]:
    """Return the names of pictures that are coloured; those saved as colour may be grey.

    Examples
    --------
    >>> coloured(Opened(Path("a"), [np.zeros((2, 2, 3)), np.eye(3)[None]], ["grey", "red"]))
    ['red']
    """
    return [name for name, picture in zip(found.named, found.pictures) if picture.shape[-1] >= 3 and _differs(np.asarray(picture))]


def _differs(picture: Array) -> bool:
    colour = picture[..., :3].astype(np.float32) / white(picture.dtype)
    return bool((colour.max(-1) - colour.min(-1)).max() > DIFFERENT)
