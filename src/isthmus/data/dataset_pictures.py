"""A folder of pictures, decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset_base import Chunk, Dataset, digest
from isthmus.data.options import ReadOptions
from isthmus.data.pictures import (
    SAVED_AS_COLOUR,
    decode_all,
    equal_channels,
    find_pictures,
    form_of,
    notes_on,
    read_heads,
    refuse_troubles,
)
from isthmus.data.pixels import Head
from isthmus.data.source import Array

# Pictures read together: few, for neighbours in a folder are often alike.
_MOST = 16
_PIECE = 1 << 20
_CHECKED = 64


class PictureDataset(Dataset):
    """The pictures below a folder, sorted by their path; a piece is a few of them.

    Parameters
    ----------
    path : Path
        The folder.
    options : ReadOptions
        Its size, colour, bits and on_error are heeded. Whether pictures saved as colour are all grey is looked up when the
        folder is opened, up to the first that is not.

    Raises
    ------
    DataError
        If there is no picture, or one cannot be read and is not to be skipped.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.kind, self.columns, self.name, self._options = "pictures", (), path.name, options
        files, ids, self.notes = find_pictures(path)
        self._ids = dict(zip(files, ids))
        troubles: dict[str, str] = {}
        self._heads: list[Head] = read_heads(files, self._ids, troubles)
        refuse_troubles(troubles, self.name, options, bool(self._heads))
        self._form = form_of(self._heads, options)
        self.shape, self.dtype, self._channels = self._form.shape, self._form.dtype, self._form.channels
        if options.on_error == "skip":
            self._heads = self._readable(troubles)
        self.notes += notes_on(self._heads, self._form, options, troubles)
        self._keep_one_if_grey()
        rows = max(1, min(_MOST, _PIECE // (4 * prod(self.shape))))
        self.pieces = np.diff([*range(0, len(self._heads), rows), len(self._heads)])
        self._starts = np.cumsum(self.pieces) - self.pieces
        self.workers = min(4, os.cpu_count() or 1)

    def _readable(self, troubles: dict[str, str]) -> list[Head]:
        left: list[Head] = []
        for i in range(0, len(self._heads), _CHECKED):
            heads = self._heads[i : i + _CHECKED]
            left += [heads[k] for k in decode_all(heads, self._form, self._ids, troubles)[1]]
        refuse_troubles(troubles, self.name, self._options, bool(left))
        return left

    def _keep_one_if_grey(self) -> None:
        """Keep one channel where all pictures, though saved as colour, have three equal ones."""
        blocks = (self._heads[i : i + _MOST] for i in range(0, len(self._heads), _MOST))
        if self._options.colour != "auto" or self._channels == 1:
            return
        if all(equal_channels(picture) for heads in blocks for picture in self._decoded(heads)):
            self.notes.append(SAVED_AS_COLOUR)
            self._channels, self.shape = 1, (*self._form.size, 1)

    def _decoded(self, heads: Sequence[Head]) -> Array:
        troubles: dict[str, str] = {}
        array = decode_all(heads, self._form, self._ids, troubles)[0]
        refuse_troubles(troubles, self.name, ReadOptions(), False)
        return array if array.shape[3] == self._channels else np.ascontiguousarray(array[..., : self._channels])

    @property
    def named(self) -> bool:
        """Whether the rows have names: the pictures' paths."""
        return True

    def chunks(self, piece: int, start: int, rows: int, named: bool) -> Generator[Chunk]:
        """Yield the pictures of a piece from the `start`-th on in chunks of at most `rows`, with their names if `named`."""
        first = int(self._starts[piece])
        yield from self._between(first + start, first + int(self.pieces[piece]), rows, named)

    def _between(self, start: int, stop: int, rows: int, named: bool) -> Generator[Chunk]:
        for place in range(start, stop, rows):
            heads = self._heads[place : min(place + rows, stop)]
            yield self._decoded(heads), tuple(self._ids[head.path] for head in heads) if named else ()

    def _from(self, start: int, rows: int, named: bool) -> Generator[Chunk]:
        # Not piece by piece: many pictures at a time keep all decoding threads busy.
        return self._between(start, len(self), min(rows, max(self.rows_a_chunk(), self.workers)), named)

    def pick(self, piece: int, positions: NDArray[np.int64]) -> Chunk:
        """Return the pictures of a piece at `positions` within it, with their names."""
        heads = [self._heads[int(i)] for i in self._starts[piece] + positions]
        return self._decoded(heads), tuple(self._ids[head.path] for head in heads)

    def fingerprint(self) -> str:
        """Return a digest by which the same data are recognised."""
        deep = [self.dtype.name] if self._form.deep else []
        return digest((self.shape, len(self), *deep), [(self._ids[head.path], head.path) for head in self._heads])
