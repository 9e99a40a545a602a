"""An ``.npy`` file, read block by block."""

from __future__ import annotations

from collections.abc import Generator
from io import FileIO
from math import prod
from pathlib import Path

import numpy as np

from isthmus.data.arrays import BROKEN, broken_array, chosen, mapped
from isthmus.data.checks import as_numbers
from isthmus.data.dataset_base import Chunk, Dataset, changed, digest, gone
from isthmus.data.options import ReadOptions
from isthmus.data.source import Array
from isthmus.errors import DataError

_PIECE = 1 << 18
_RUN = 1 << 14


class ArrayDataset(Dataset):
    """The rows of an ``.npy`` file; a piece is a short block of them.

    The file is read, not mapped: mapped pages would count as memory in use as long as the map is there.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        Its columns and drop (positions) and shape are heeded.

    Raises
    ------
    DataError
        If the file is broken or its array cannot be used.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self._path, self._options, self.name = path, options, path.name
        array = self._mapped()
        self._raw, self._raw_dtype, self._offset = array.shape, array.dtype, int(getattr(array, "offset", 0))
        self._turned = not array.flags.c_contiguous
        self._describe()
        values = max(1, prod(self._raw[1:]))
        rows = max(1, _PIECE // (values * self._raw_dtype.itemsize), _RUN // self._raw_dtype.itemsize if self._turned else 1)
        self.pieces = np.diff([*range(0, self._raw[0], rows), self._raw[0]])
        self._starts = np.cumsum(self.pieces) - self.pieces

    def _mapped(self) -> Array:
        try:
            return mapped(self._path)
        except DataError:
            raise
        except BROKEN as error:
            raise broken_array(self.name, error) from error

    def _describe(self) -> None:
        """Ask the reader of whole arrays what it makes of one of this shape; that one takes no memory."""
        self.dtype = as_numbers(np.empty((1,) * len(self._raw), self._raw_dtype), self.name).dtype.newbyteorder("=")
        subset = self._options.columns or self._options.drop
        shape = (min(1, self._raw[0]), *self._raw[1:]) if subset and self._raw else self._raw
        self.notes = []
        source = chosen(np.broadcast_to(np.zeros((), np.uint8), shape), self.name, self._options, self.notes)
        self.kind, self.columns, self.shape = source.kind, source.columns, source.array.shape[1:]

    def chunks(self, piece: int, start: int, rows: int, named: bool) -> Generator[Chunk]:  # noqa: ARG002
        """Yield the rows of a piece from row `start` on in chunks of at most `rows`; they have no names."""
        first = int(self._starts[piece])
        try:
            with self._path.open("rb", buffering=0) as stream:
                for place in range(first + start, first + int(self.pieces[piece]), rows):
                    count = min(rows, first + int(self.pieces[piece]) - place)
                    label = f"{self.name}, rows from {place} on,"
                    yield chosen(self._read(stream, place, count), label, self._options, []).array, ()
        except OSError as error:
            raise gone(self._path, error) from error

    def _read(self, stream: FileIO, start: int, count: int) -> Array:
        width, total, size = prod(self._raw[1:]), self._raw[0], self._raw_dtype.itemsize
        if not self._turned:
            found = np.empty((count, *self._raw[1:]), self._raw_dtype)
            self._read_into(stream, found, self._offset + start * width * size)
        else:
            found = np.empty((*self._raw[:0:-1], count), self._raw_dtype)
            for j, run in enumerate(found.reshape(width, count)):
                self._read_into(stream, run, self._offset + (j * total + start) * size)
            found = found.transpose()
        return found.astype(self.dtype, copy=False)

    def _read_into(self, stream: FileIO, found: Array, place: int) -> None:
        stream.seek(place)
        view = memoryview(found.data).cast("B")
        while len(view):
            count = stream.readinto(view)
            if not count:
                raise changed(self.name)
            view = view[count:]

    def fingerprint(self) -> str:
        """Return a digest by which the same data are recognised."""
        chosen_columns = (self._options.columns, self._options.drop)
        return digest((self._raw, str(self._raw_dtype), self._turned, self.shape, *chosen_columns), [(self.name, self._path)])
