"""Shuffled, scaled batches of data larger than memory, read ahead by a thread in the background."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count, cycle
from math import prod
from threading import Event

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset_base import Dataset, changed
from isthmus.data.prepare import AnyPreprocessor
from isthmus.data.schedule import Schedule, Take, Window
from isthmus.data.source import Array
from isthmus.errors import ConfigError, DataError

# What the decoders of all open pieces may take together, and how many may be open however small they are.
OPEN_BYTES = 512 << 20
MOST_OPEN = 64

Rows = NDArray[np.float32]
_Filled = tuple[Rows, NDArray[np.int64]]


class Stream:
    """The rows of a dataset as a network sees them, in shuffled batches.

    Several pieces, spread over the whole, are open at once (see `isthmus.data.schedule.Schedule`); what a window takes of
    them is permuted. One window is being used while a thread fills the next. Only one window and its neighbours in the file
    are read anew when a run goes on in mid-epoch.

    Parameters
    ----------
    dataset : Dataset
        From `open_dataset`.
    preprocessor : Preprocessor or ColumnsPreprocessor
        Fitted on rows of the same kind.
    left_out : ndarray of shape (k,), optional
        Sorted positions of rows that are never given, such as those held out.
    buffer : int
        Bytes of the two windows together. The decoders of open Parquet files take up to half a gigabyte besides.

    Raises
    ------
    DataError
        If the rows are not those the preprocessor was fitted on, or none is left.
    ConfigError
        If the buffer or a position is impossible.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from isthmus.data import Preprocessor, Schema, open_dataset
    >>> file = Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(file, np.arange(10.0).reshape(5, 2))
    >>> data = open_dataset(file)
    >>> scaler = Preprocessor.fit(data.head().array, Schema.infer(data.head()), "none")
    >>> batches = Stream(data, scaler).batches(batch=2, seed=0)
    >>> next(batches).shape
    (2, 2)
    >>> batches.close()
    """

    def __init__(
        self, dataset: Dataset, preprocessor: AnyPreprocessor, left_out: NDArray[np.int64] | None = None, buffer: int = 128 << 20
    ) -> None:
        self._dataset, self._preprocessor = dataset, preprocessor
        self._left_out = np.zeros(0, np.int64) if left_out is None else np.asarray(left_out, np.int64)
        self._check()
        if buffer < 1:
            raise ConfigError(f"buffer must be a positive number of bytes, not {buffer!r}")
        self.shape = preprocessor.fields()[0].shape
        self._rows = max(1, buffer // (2 * 4 * prod(self.shape)))
        chunk = min(dataset.rows_a_chunk(), int(dataset.pieces.max())) * dataset.row_bytes
        # Of every open piece a chunk may be left over from the last window, while the next one is read.
        self._opened = max(1, min(MOST_OPEN, OPEN_BYTES // (dataset.held() + 2 * chunk)))

    def _check(self) -> None:
        data, schema, out = self._dataset, self._preprocessor.schema, self._left_out
        if (data.kind, data.shape) != (schema.kind, schema.shape) or (data.columns and schema.columns and data.columns != schema.columns):
            raise DataError(
                f"{data.name}: {data.kind} of shape {data.shape} are not the rows fitted on, {schema.kind} of shape {schema.shape}. "
                "Open the data with the model's columns, or its pictures' size and colour"
            )
        if len(out) and not (np.all(np.diff(out) > 0) and out[0] >= 0 and out[-1] < len(data)):
            raise ConfigError(f"left_out must be sorted, without repetition and within the {len(data)} rows of {data.name}")
        if len(self) < 1:
            raise DataError(f"{data.name}: all {len(data)} rows are left out. Hold out fewer")

    def __len__(self) -> int:
        return len(self._dataset) - len(self._left_out)

    def fingerprint(self) -> str:
        """Return a digest by which the same rows in the same order are recognised."""
        entry, arrays = self._preprocessor.state()
        facts = [self._dataset.fingerprint(), self._rows, self._opened, entry["schema"], entry["scale"]]
        found = hashlib.sha256(json.dumps(facts).encode())
        for array in (self._left_out, *arrays.values()):
            found.update(array.tobytes())
        return found.hexdigest()[:16]

    def batches(self, batch: int, seed: int, step: int = 0) -> Generator[Rows]:
        """Yield batches, epoch after epoch; the incomplete last one of an epoch is left out.

        Parameters
        ----------
        batch : int
            Rows of a batch.
        seed : int
            Decides the order.
        step : int
            How many batches of a run are over: what follows is the same as if they had been read.

        Yields
        ------
        ndarray of shape (batch, \\*shape)
            Scaled rows, contiguous. Closing the generator ends its thread.

        Raises
        ------
        ConfigError
            If there are fewer rows than a batch has.
        DataError
            If a file is broken, gone or changed, or holds text or gaps.
        """
        if not 1 <= batch <= len(self):
            raise ConfigError(f"batch must lie between 1 and the {len(self)} rows to train with, not {batch!r}")
        return _ahead(batch, partial(self._windows, batch, seed, step))

    def _windows(self, batch: int, seed: int, step: int, stop: Event) -> Generator[_Filled]:
        """Yield the scaled rows window by window, with the order in which to give them, less those of each epoch that fill no batch."""
        schedule = Schedule(self._dataset.pieces, self._left_out, seed, self._rows, self._opened)
        per_epoch = len(self) // batch
        start, end = step % per_epoch * batch, per_epoch * batch
        # Two buffers in turn: fresh memory would cost more than filling it.
        buffers = cycle([_Buffer(self.shape), _Buffer(self.shape)])
        try:
            for epoch in count(step // per_epoch):
                with closing(_Readers(self._dataset, stop)) as readers:
                    for window in schedule.epoch(epoch, start):
                        if window.first < end:
                            rows = next(buffers).room(window.rows)
                            self._fill(rows, window, readers)
                            yield rows, window.order[max(0, start - window.first) : end - window.first]
                start = 0
        finally:
            self._dataset.release()

    def _fill(self, out: Rows, window: Window, readers: _Readers) -> None:
        places = np.cumsum([0, *(take.stop - take.start for take in window.takes)])[:-1].tolist()
        if self._dataset.workers == 1:
            for entry in zip(window.takes, places):
                self._read(out, readers, *entry)
            return
        with ThreadPoolExecutor(self._dataset.workers, "isthmus-read") as pool:
            for done in [pool.submit(self._read, out, readers, *entry) for entry in zip(window.takes, places)]:
                done.result()

    def _read(self, out: Rows, readers: _Readers, take: Take, place: int) -> None:
        for chunk in readers.read(take):
            self._preprocessor.transform(chunk, out[place : place + len(chunk)])
            place += len(chunk)


class _Readers:
    """The pieces that are open, each read on from where the last window left it."""

    def __init__(self, dataset: Dataset, stop: Event) -> None:
        self.dataset, self.stop = dataset, stop
        self.open: dict[int, Generator[Array]] = {}
        self.left: dict[int, Array] = {}

    def read(self, take: Take) -> Generator[Array]:
        """Yield the rows of a take in chunks."""
        if take.piece not in self.open:
            self.open[take.piece] = self.dataset.open(take.piece, take.start, self.dataset.rows_a_chunk())
        place = take.start
        while place < take.stop:
            chunk = self.left.pop(take.piece, None)
            chunk = self._next(take.piece) if chunk is None else chunk
            fits = take.stop - place
            if len(chunk) > fits:
                self.left[take.piece] = chunk[fits:]
            yield chunk[:fits]
            place += min(fits, len(chunk))
        if take.stop == self.dataset.pieces[take.piece]:
            self._finish(take.piece)

    def _next(self, piece: int) -> Array:
        if self.stop.is_set():
            raise _StoppedError
        chunk = next(self.open[piece], None)
        if chunk is None:
            raise changed(self.dataset.name)
        return chunk

    def _finish(self, piece: int) -> None:
        # To its end, so that the file can say whether it is as long as it was.
        for _ in self.open[piece]:
            raise changed(self.dataset.name)
        del self.open[piece]

    def close(self) -> None:
        for reader in self.open.values():
            reader.close()


class _StoppedError(Exception):
    """Nobody waits for the rows any more."""


class _Buffer:
    """Memory for a window, used again and again."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rows = np.empty((0, *shape), np.float32)

    def room(self, rows: int) -> Rows:
        if rows > len(self.rows):
            self.rows = np.empty((rows, *self.rows.shape[1:]), np.float32)
        return self.rows[:rows]


def _ahead(batch: int, windows: Callable[[Event], Generator[_Filled]]) -> Generator[Rows]:
    """Yield the batches of the windows, which a thread fills one ahead."""
    stop = Event()
    with closing(windows(stop)) as source, ThreadPoolExecutor(1, "isthmus-stream") as pool:
        try:
            rest: Rows | None = None
            coming = pool.submit(next, source)
            while True:
                rows, order = coming.result()
                coming = pool.submit(next, source)
                rest = yield from _cut(rows, order, batch, rest)
        finally:
            stop.set()


def _cut(rows: Rows, order: NDArray[np.int64], batch: int, rest: Rows | None) -> Generator[Rows, None, Rows | None]:
    """Yield the batches that `rest` and the rows, in their order, fill, and return what is left."""
    first = 0 if rest is None else batch - len(rest)
    if rest is not None:
        rest = np.concatenate([rest, rows[order[:first]]])
        if len(rest) < batch:
            return rest
        yield rest
    end = len(order) - (len(order) - first) % batch
    for place in range(first, end, batch):
        yield np.take(rows, order[place : place + batch], axis=0, mode="clip")
    return rows[order[end:]] if end < len(order) else None
