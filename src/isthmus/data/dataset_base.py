"""Rows that are too many for memory: what every kind of them offers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.source import Array, RawType, Source, SourceKind
from isthmus.errors import DataError

if TYPE_CHECKING:
    from isthmus.data.schema import Schema

ROWS = 16384
CHUNK_BYTES = 4 << 20
_SAMPLED_FILES = 1024
_SAMPLES = 16
_SAMPLE_BYTES = 4096
_TAIL_BYTES = 1 << 16

Chunk = tuple[Array, tuple[str, ...]]


class Dataset(ABC):
    """Rows in files, read piece by piece; nothing is read until it is asked for.

    A piece is what can be read by itself at little cost: a row group of a Parquet file, a record batch of an Arrow file, a
    block of an ``.npy`` file, a few pictures. Made by `open_dataset`.

    Attributes
    ----------
    kind : {"table", "pictures", "columns"}
        What one row is.
    columns : tuple of str
        Names of a table's columns; empty where it has none, and for pictures.
    shape : tuple of int
        Shape of one row: (d,) or (H, W, C).
    dtype : numpy.dtype
        The narrowest that holds all values in their own units.
    name : str
        What messages call the data.
    notes : list of str
        One sentence for each decision made while opening.
    pieces : ndarray of shape (p,)
        Rows of each piece.
    types : tuple of {"number", "boolean", "text", "date"}
        What the columns are, if `kind` is "columns"; see `Source`.
    vocabularies : mapping of str to sequence of str
        The texts met so far in each column of text.
    ids_dtype : numpy.dtype or None
        What the rows' names are in the file, if they are whole numbers.
    workers : int
        How many pieces may usefully be read at the same time.
    """

    kind: SourceKind
    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str
    notes: list[str]
    pieces: NDArray[np.int64]
    types: tuple[RawType, ...] = ()
    vocabularies: Mapping[str, Sequence[str]] = MappingProxyType({})
    ids_dtype: np.dtype[Any] | None = None
    workers: int = 1

    def __len__(self) -> int:
        return int(self.pieces.sum())

    @abstractmethod
    def chunks(self, piece: int, start: int, rows: int, named: bool) -> Generator[Chunk]:
        """Yield the rows of a piece from row `start` on in chunks of at most `rows`, with their names if `named`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest by which the same data are recognised: of what is read, sizes of the files, and samples of their bytes."""

    def sources(self, piece: int, start: int, rows: int, named: bool) -> Generator[Source]:
        """Yield what `chunks` does with what the values are; texts may be numbered anew in each."""
        with closing(self.chunks(piece, start, rows, named)) as chunks:
            for array, ids in chunks:
                yield self._source(array, ids)

    def coded(self, schema: Schema) -> Dataset:
        """Return the rows as `schema` aligns them, if it is of mixed columns; the dataset itself otherwise.

        Raises
        ------
        DataError
            If columns are missing.
        """
        if schema.kind != "columns":
            return self
        from isthmus.data.dataset_coded import CodedDataset

        return CodedDataset(self.with_gaps(), schema)

    def only(self, schema: Schema) -> Dataset:  # noqa: ARG002 (most kinds have no names)
        """Return the rows with only the columns that the schema models, where the kind of file can leave others unread."""
        return self

    def with_gaps(self) -> Dataset:
        """Return the rows with missing values allowed, where the kind of file may have some; the dataset itself otherwise."""
        return self

    @property
    def named(self) -> bool:
        """Whether the rows have names."""
        return False

    def held(self) -> int:
        """Return about how many bytes of memory a piece takes while it is open, besides the rows read."""
        return 0

    def release(self) -> None:  # noqa: B027 (most kinds keep nothing)
        """Give memory that was kept for further reading back to the system."""

    def pick(self, piece: int, positions: NDArray[np.int64]) -> Chunk:
        """Return the rows of a piece at the sorted `positions` within it, with their names."""
        found: list[Chunk] = []
        place, last = int(positions[0]), int(positions[-1])
        with closing(self.chunks(piece, place, self.rows_a_chunk(), self.named)) as chunks:
            for array, ids in chunks:
                low, high = np.searchsorted(positions, [place, place + len(array)])
                here: list[int] = (positions[low:high] - place).tolist()
                found.append((array[here], tuple(ids[i] for i in here) if ids else ()))
                place += len(array)
                if place > last:
                    break
        return _joined(found)

    def rows_a_chunk(self) -> int:
        """Return how many rows make a chunk of a few megabytes."""
        return max(1, min(ROWS, CHUNK_BYTES // self.row_bytes))

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return max(1, prod(self.shape) * self.dtype.itemsize)

    def open(self, piece: int, start: int = 0, rows: int = ROWS) -> Generator[Array]:
        """Yield the rows of a piece.

        Parameters
        ----------
        piece : int
            Which of `pieces`.
        start : int
            First row, counted within the piece.
        rows : int
            Most rows of a chunk.

        Yields
        ------
        ndarray of shape (at most rows, \\*shape)
            Consecutive rows in their own units.

        Raises
        ------
        DataError
            If a file is broken, gone or changed, or holds text or gaps.
        """
        with closing(self.chunks(piece, start, rows, False)) as chunks:
            for array, _ in chunks:
                yield array

    def head(self, rows: int = 1000) -> Source:
        """Return the first `rows` rows in memory; errors as for `open`."""
        return self.take(np.arange(min(rows, len(self)), dtype=np.int64))

    def take(self, positions: NDArray[np.int64]) -> Source:
        """Return some rows in memory.

        Parameters
        ----------
        positions : ndarray of int
            Positions in the whole, sorted.

        Returns
        -------
        Source
            These rows.

        Raises
        ------
        DataError
            As for `open`, and if a position is not there.
        """
        if len(positions) and not (positions[0] >= 0 and positions[-1] < len(self) and np.all(np.diff(positions) >= 0)):
            raise DataError(f"{self.name}: positions must be sorted and lie within the {len(self)} rows")
        starts = np.cumsum(self.pieces) - self.pieces
        cuts = np.searchsorted(positions, [*starts, len(self)])
        wanted = [(int(i), positions[cuts[i] : cuts[i + 1]] - starts[i]) for i in np.flatnonzero(np.diff(cuts))]
        return self._source(*_joined([self.pick(*entry) for entry in wanted] or [(np.empty((0, *self.shape), self.dtype), ())]))

    def blocks(self, rows: int = 65536, start: int = 0) -> Generator[Source]:
        """Yield all rows in order, in blocks of exactly `rows` (the last may have fewer), with names where there are some.

        Parameters
        ----------
        rows : int
            Rows of a block.
        start : int
            The first row.

        Yields
        ------
        Source
            The next rows.

        Raises
        ------
        DataError
            As for `open`.
        """
        with closing(self._from(start, min(rows, self.rows_a_chunk()), self.named)) as chunks:
            for array, ids in _in_blocks(chunks, rows):
                yield self._source(array, ids)

    def scan(self) -> Generator[Array]:
        """Yield all rows in order, in chunks of a few megabytes: the quickest way to see every row once; errors as for `open`."""
        try:
            with closing(self._from(0, self.rows_a_chunk(), False)) as chunks:
                for array, _ in chunks:
                    yield array
        finally:
            self.release()

    def _from(self, start: int, rows: int, named: bool) -> Generator[Chunk]:
        ends = np.cumsum(self.pieces)
        for piece in range(int(np.searchsorted(ends, start, side="right")), len(self.pieces)):
            skipped = max(0, start - int(ends[piece] - self.pieces[piece]))
            yield from self.chunks(piece, skipped, rows, named)

    def _source(self, array: Array, ids: tuple[str, ...]) -> Source:
        words = {name: tuple(known) for name, known in self.vocabularies.items()}
        return Source(self.kind, array, self.columns, ids, list(self.notes), self.name, self.types, words)


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate([array for array, _ in chunks]), tuple(name for _, ids in chunks for name in ids)


def _in_blocks(chunks: Iterable[Chunk], rows: int) -> Generator[Chunk]:
    """Yield the rows of `chunks`, none of them longer than `rows`, in blocks of exactly `rows`, and what is left."""
    waiting: list[Chunk] = []
    count = 0
    for array, ids in chunks:
        fits = rows - count
        waiting.append((array[:fits], ids[:fits]))
        count += len(array)
        if count >= rows:
            yield _joined(waiting)
            waiting, count = ([(array[fits:], ids[fits:])], count - rows) if count > rows else ([], 0)
    if waiting:
        yield _joined(waiting)


def digest(facts: Sequence[object], files: Sequence[tuple[str, Path]]) -> str:
    """Return a digest of facts and of files, told apart by name, size and samples of their bytes; errors as for `Dataset.open`."""
    found = hashlib.sha256(repr(list(facts)).encode())
    step = max(1, -(-len(files) // _SAMPLED_FILES))
    for i, (name, path) in enumerate(files):
        try:
            size = path.stat().st_size
            found.update(f"{name} {size}".encode())
            if i % step == 0:
                _add_samples(found, path, size)
        except OSError as error:
            raise gone(path, error) from error
    return found.hexdigest()[:16]


def _add_samples(found: Any, path: Path, size: int) -> None:
    with path.open("rb") as stream:
        # Parquet keeps the range of every column at the end of the file.
        for place in [*range(0, size, max(1, size // _SAMPLES)), max(0, size - _TAIL_BYTES)]:
            stream.seek(place)
            found.update(stream.read(_TAIL_BYTES if place + _TAIL_BYTES >= size else _SAMPLE_BYTES))


def gone(path: Path, error: Exception) -> DataError:
    """Return the error for a file that cannot be opened any more."""
    return DataError(f"cannot open {path}: {error}. Check that it is there and may be read")


def changed(name: str) -> DataError:
    """Return the error for a file that is not what it was when the data were opened."""
    return DataError(f"{name} has changed since the data were opened. Leave files alone while they are read, and start again")
