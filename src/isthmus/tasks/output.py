"""Write codes, reconstructions or scores of any number of rows, block by block: to a folder of parts, or to one file."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source, to_table
from isthmus.data import write as write_array
from isthmus.data.append import Appender, Head, Ids, append
from isthmus.data.parts import Parts, part_size
from isthmus.data.source import row_blocks
from isthmus.errors import ConfigError
from isthmus.extras import require
from isthmus.files import atomic_path
from isthmus.tasks import codes as coding
from isthmus.tasks.provenance import fingerprint, provenance

Array = NDArray[Any]
What = Literal["codes", "reconstructions", "scores"]
BLOCK_BYTES = 16 << 20
BLOCK = 65536
STRANGEST = 5
PROGRESS = ".isthmus.json"
_MAKERS: dict[str, Callable[[Artifact, Source], Array]] = {
    "codes": coding.encode,
    "reconstructions": coding.reconstruct,
    "scores": coding.scores,
}


@dataclass
class Summary:
    """What is told of scores that are too many to look at.

    Attributes
    ----------
    rows : int
    sums : array of shape (2,)
        Sum of the scores and of the errors.
    strangest : list of (float, int, str)
        The lowest scores, negated, with row number and name.
    """

    rows: int = 0
    sums: Array = field(default_factory=lambda: np.zeros(2))
    strangest: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])

    def add(self, found: Array, start: int, ids: Ids) -> None:
        """Take in the scores of rows from number `start` on."""
        self.rows += len(found)
        self.sums = self.sums + found.sum(0, dtype=np.float64)
        for i in np.argsort(found[:, 0], kind="stable")[:STRANGEST].tolist():
            entry = (-float(found[i, 0]), -(start + i), str(ids[i]) if len(ids) else str(start + i))
            (heapq.heappush if len(self.strangest) < STRANGEST else heapq.heappushpop)(self.strangest, entry)

    @property
    def means(self) -> tuple[float, float]:
        """Mean score and mean error."""
        score, error = (self.sums / max(1, self.rows)).tolist()
        return score, error

    @property
    def told(self) -> list[str]:
        """The strangest rows, the strangest first, each with its score."""
        return [f"{name} ({-score:.4g})" for score, _, name in sorted(self.strangest, reverse=True)]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : path
    shape : tuple of int
        Of all rows together.
    parts, kept : int
        Parts of the folder, and how many of them were there before; 0 for a file.
    summary : Summary
        Of scores; empty otherwise.
    """

    path: Path | None
    shape: tuple[int, ...]
    parts: int
    kept: int
    summary: Summary


@dataclass(frozen=True)
class _Job:
    artifact: Artifact
    data: Source | Dataset
    what: What
    ids: str
    watch: Callable[[int], None]
    summary: Summary
    marked: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return {"codes": (self.artifact.model.latent,), "reconstructions": self.artifact.schema.shape, "scores": (2,)}[self.what]

    @property
    def columns(self) -> tuple[str, ...]:
        width = prod(self.shape)
        rows = self.artifact.schema.columns or tuple(f"c{j}" for j in range(width))
        return {"codes": tuple(f"z{j}" for j in range(width)), "reconstructions": rows, "scores": ("score", "error")}[self.what]

    @property
    def block(self) -> int:
        size = BLOCK_BYTES // (4 * max(prod(self.shape), prod(self.artifact.schema.shape)))
        return max(1, min(BLOCK, size // 4096 * 4096 or size))

    def made(self, rows: range) -> Generator[tuple[Any, Ids]]:
        """Yield values and names of the rows, block by block."""
        place = rows.start
        for source in _blocks(self.data, rows, self.block):
            found = _MAKERS[self.what](self.artifact, source)
            if self.what == "scores":
                self.summary.add(found, place, source.ids)
            place += len(source)
            mixed = self.what == "reconstructions" and self.artifact.schema.kind == "columns"
            yield to_table(found, self.artifact.schema) if mixed else found, _typed(source.ids, self.data) if self.ids else ()
            self.watch(place)

    def fill(self, table: Appender, rows: range) -> None:
        with closing(self.made(rows)) as made:
            for found, ids in made:
                table.add(found, ids)


def write(
    artifact: Artifact,
    data: Source | Dataset,
    what: What,
    out: str | Path | None,
    *,
    ids: str = "id",
    watch: Callable[[int], None] | None = None,
    marked: bool = True,
) -> Written:
    """Write what a model makes of every row, in the rows' order and beside their names, without holding it in memory.

    Parameters
    ----------
    artifact : Artifact
    data : Source or Dataset
    what : {"codes", "reconstructions", "scores"}
        Scores are two columns: the log likelihood in nats, and the squared reconstruction error.
    out : path, optional
        A path without an ending is a folder of Parquet parts: each appears when it is whole, and the same call writes only what is
        missing after it was cut off. ``.parquet``, ``.csv``, ``.tsv`` and ``.npy`` are single files, written whole or not at all.
        Nothing is written if None.
    ids : str
        Name of the column with the rows' names, where they have some.
    watch : callable, optional
        Called with the number of rows done.
    marked : bool
        Whether pictures say in their metadata that a model made them.

    Returns
    -------
    Written

    Raises
    ------
    DataError
        If the data do not fit the model, the place cannot be written to, or the folder holds parts of something else.
    ConfigError
        If the name of the ids is that of a column of the output.
    """
    named = bool(data.ids) if isinstance(data, Source) else data.named
    job = _Job(artifact, data, what, ids if named else "", watch or _ignore, Summary(), marked)
    if job.ids in job.columns:
        raise ConfigError(f"the ids are called {ids!r}, as a column of the output is. Rename that column of the data, or leave the ids out")
    path = Path(out).expanduser() if out is not None else None
    parts, kept = _write(job, path)
    return Written(path, (len(data), *job.shape), parts, kept, job.summary)


def _ignore(done: int) -> None:
    del done


def _write(job: _Job, out: Path | None) -> tuple[int, int]:
    everything = range(len(job.data))
    if out is None:
        for _ in job.made(everything):
            pass
        return 0, 0
    if out.suffix and not out.is_dir():
        with append(out, Head(job.columns, len(everything), job.ids)) as table:
            job.fill(table, everything)
        return 0, 0
    if job.what == "reconstructions" and job.artifact.schema.kind == "pictures":
        _write_pictures(job, out)
        return 0, 0
    return _write_parts(job, out)


def _made_of(job: _Job) -> dict[str, str]:
    return {"output": job.what, "model": fingerprint(job.artifact), "data": _known_by(job.data)}


def _write_pictures(job: _Job, folder: Path) -> None:
    """Write a PNG file for each row; a hidden file says how far it came, until all are there."""
    made_of, progress = _made_of(job), folder / PROGRESS
    made_by = provenance(job.artifact, "reconstruct") if job.marked else None
    try:
        found = json.loads(progress.read_text(encoding="utf-8"))
        done = int(found["done"]) if found["made of"] == made_of else 0
    except (OSError, ValueError, KeyError, TypeError):
        done = 0
    for values, ids in job.made(range(done, len(job.data))):
        names = [name if name.lower().endswith(".png") else f"{name}.png" for name in map(str, ids)]
        write_array(folder, values, ids=names or [f"{done + i:08d}.png" for i in range(len(values))], provenance=made_by)
        done += len(values)
        with atomic_path(progress) as beside:
            beside.write_text(json.dumps({"made of": made_of, "done": done}), encoding="utf-8")
    with suppress(OSError):
        progress.unlink(missing_ok=True)


def _write_parts(job: _Job, folder: Path) -> tuple[int, int]:
    size = part_size(4 * prod(job.shape), job.block)
    parts = Parts(folder, Head(job.columns, len(job.data), job.ids), _made_of(job), size)
    with parts.held() as missing:
        for number in range(parts.count):
            if number in missing:
                with parts.part(number) as table:
                    job.fill(table, parts.rows(number))
            elif job.what == "scores":
                _look_again(job.summary, parts, number)
    return parts.count, parts.count - len(missing)


def _look_again(summary: Summary, parts: Parts, number: int) -> None:
    """Take in the scores of a part that was written before."""
    place = parts.rows(number).start
    for values, ids in parts.read(number):
        summary.add(values, place, ids)
        place += len(values)


def _known_by(data: Source | Dataset) -> str:
    if not isinstance(data, Source):
        return data.fingerprint()
    facts = [data.columns, data.ids, data.array.shape, str(data.array.dtype)]
    words = [data.types, {name: list(known) for name, known in data.vocabularies.items()}] if data.types else []
    found = hashlib.sha256(json.dumps([*facts, *words]).encode())
    for rows in row_blocks(len(data), data.array[:1].nbytes):
        found.update(np.ascontiguousarray(data.array[rows]).data)
    return found.hexdigest()[:16]


def _blocks(data: Source | Dataset, rows: range, size: int) -> Iterable[Source]:
    """Yield the rows `rows` in blocks of at most `size`."""
    if isinstance(data, Source):
        yield from (data.take(slice(i, min(i + size, rows.stop))) for i in range(rows.start, rows.stop, size))
        return
    place = rows.start
    with closing(_ahead(data.blocks(size, rows.start))) as blocks:
        for source in blocks:
            left = rows.stop - place
            yield source if len(source) <= left else source.take(slice(0, left))
            place += len(source)
            if place >= rows.stop:
                return


def _ahead(blocks: Generator[Source]) -> Generator[Source]:
    """Yield what `blocks` yields; a thread reads the next one meanwhile."""
    with closing(blocks), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _typed(ids: Sequence[str], data: Source | Dataset) -> Ids:
    """Give names that were whole numbers in the data their type back."""
    dtype = None if isinstance(data, Source) else data.ids_dtype
    if dtype is None:
        return ids
    pa = require("pyarrow", "table", "reading ids")
    return pa.array(ids).cast(pa.from_numpy_dtype(dtype)).to_numpy()
