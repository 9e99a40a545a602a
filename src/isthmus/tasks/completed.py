"""Tables whose gaps have been filled: the columns as they came, and a file of them written block by block."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from isthmus.artifact import Artifact
from isthmus.data import Column, Dataset, Schema, Source, dates, to_table
from isthmus.data.append import Appender, Head, append
from isthmus.data.facts import label
from isthmus.data.infer import TRUTHS
from isthmus.data.kinds import ColumnKind
from isthmus.errors import ConfigError
from isthmus.tasks.impute import Array, Imputed, as_columns, impute

ROWS = 16_384
EXACT = 2.0**53  # whole numbers below are told apart
LARGEST = 2.0**64  # whole numbers are kept below
ENDINGS = (".csv", ".tsv", ".parquet")
_KINDS: dict[str, ColumnKind] = {"number": "number", "boolean": "boolean", "text": "category", "date": "date"}


def raw_table(source: Source, schema: Schema) -> dict[str, Any]:
    """Return every column of `source` as `isthmus.data.to_table` does, gaps and all: also those that a model leaves out."""
    source = as_columns(source)
    whole = {column.name: column.whole for column in schema.types}
    words = source.vocabularies
    columns = [
        Column(
            name, _KINDS[kind], tuple(words.get(name, ())) if kind == "text" else (), kind, whole.get(name, False) and _whole(kind, values)
        )
        for name, kind, values in zip(source.names, source.types, source.array.T)
    ]
    return to_table(source.array, Schema.of(columns, source.name))


def completed(source: Source, schema: Schema, found: Imputed, draw: int | None = None) -> dict[str, Any]:
    """Return the columns of `source` with their gaps filled, in their order and types.

    Parameters
    ----------
    source : Source
    schema : Schema
        The model's.
    found : Imputed
        What `isthmus.tasks.impute.impute` gave for `source`.
    draw : int, optional
        Number of the draw to fill with; the likeliest values by default.

    Returns
    -------
    dict of str to ndarray or list
        Columns that the model leaves out keep their gaps.
    """
    table = raw_table(source, schema)
    values = found.values if draw is None else found.draws[draw]
    filled = to_table(values, schema)
    for j, column in enumerate(schema.used):
        gaps = found.gaps[:, j]
        if gaps.any():
            place = source.names.index(column.name) if source.columns else _place(schema, j)
            name = source.names[place]
            new = _as_read(column, source, place, values[gaps, j])
            table[name] = _exactly(column, values[:, j], filled[column.name]) if new is None else _put(table[name], gaps, new)
    for place, value in _constants(source, schema).items():
        gaps, name = np.isnan(source.array[:, place]), source.names[place]
        if gaps.any():
            table[name] = _put(table[name], gaps, [value] * int(gaps.sum()))
    return table


def _place(schema: Schema, used: int) -> int:
    return [j for j, column in enumerate(schema.types) if column.used][used]


def _put(values: Any, gaps: Array, new: Iterable[Any]) -> list[Any]:
    """Return a column with new values in its gaps, one after the other."""
    more = iter(new)
    return [next(more) if gap else old for gap, old in zip(gaps.tolist(), values)]


def _whole(kind: str, values: Array) -> bool:
    """Say whether all numbers are whole, or all dates whole days."""
    return not np.mod(values[~np.isnan(values)], dates.DAY if kind == "date" else 1.0).any()


def _exactly(column: Column, values: Array, filled: Any) -> Any:
    """Return `filled`, or where that rounds what was observed, because a model knows whole numbers or days only, the values."""
    if not (column.whole or column.kind == "count") or _whole(column.kind, values):
        return filled
    return dates.as_times(values, whole=False) if column.kind == "date" else values


def _as_read(column: Column, source: Source, place: int, values: Array) -> list[Any] | None:
    """Return what fills gaps as the column was read, say a date as text of the same form; nothing if it was read as what it is."""
    read, words = source.types[place], source.vocabularies.get(source.names[place], ())
    if column.kind == "category":
        names = [column.categories[int(code)] for code in values.tolist()]
        return [_number(name) for name in names] if read == "number" else names
    if read == "text":
        return _texts(column, values, words)
    if read == "number" and column.kind in ("date", "boolean"):
        return (dates.numbered(values, column.format) if column.kind == "date" else values).tolist()
    return None


def _texts(column: Column, values: Array, words: Sequence[str]) -> list[str]:
    if column.kind == "date":
        like = next(iter(words), "")
        return [dates.written(value, like, column.format) for value in values.tolist()]
    if column.kind == "boolean":
        known = {truth: word for word in reversed(words) if (truth := TRUTHS.get(word.strip().lower())) is not None}
        return [known.get(value, "true" if value else "false") for value in values.tolist()]
    return [label(value) for value in values.tolist()]


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def _constants(source: Source, schema: Schema) -> dict[int, Any]:
    """Return the value of each column that held a single one, by its position."""
    places = {name: place for place, name in enumerate(source.names)} if source.columns else {}
    found: dict[int, Any] = {}
    for j, column in enumerate(schema.types):
        place = places.get(column.name) if source.columns else j
        if column.kind == "constant" and column.categories and place is not None:
            found[place] = _constant(column.categories[0], source.types[place])
    return found


def _constant(text: str, read: str) -> Any:
    if read == "text":
        return text
    if read == "date":
        return dates.as_times(np.array([float(text)]), whole=False)[0]
    return bool(float(text)) if read == "boolean" else _number(text)


@dataclass
class Tally:
    """How many gaps were filled in each column, and how sure.

    Attributes
    ----------
    columns : dict of str to list
        Name to the number of gaps and the sum of their spread (see `Imputed`).
    rows : int
    left : dict of str to int
        Columns that are left out, and how many gaps they keep.
    rounded : dict of str to None
        Columns with whole numbers so large that their last digits are lost.
    """

    columns: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    rows: int = 0
    left: dict[str, int] = field(default_factory=dict[str, int])
    rounded: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, source: Source, schema: Schema, found: Imputed) -> None:
        """Take in a block."""
        self.rows += len(source)
        gaps, spread = found.gaps.sum(0).tolist(), np.where(found.gaps, found.spread, 0.0).sum(0).tolist()
        for name, *more in zip(schema.columns, gaps, spread):
            entry = self.columns.setdefault(name, [0, 0.0])
            self.columns[name] = [old + new for old, new in zip(entry, more)]
        self.rounded |= dict.fromkeys(_beyond_exact(source))
        known = set(schema.columns)
        known |= {source.names[place] for place in _constants(source, schema)}
        for j, name in enumerate(source.names if source.columns else ()):
            gaps = int(np.isnan(source.array[:, j]).sum()) if name not in known else 0
            if gaps:
                self.left[name] = self.left.get(name, 0) + gaps

    def told(self, schema: Schema) -> list[tuple[str, int, str]]:
        """Return name, gaps and sureness of every column that had some."""
        kinds = {column.name: column.kind for column in schema.used}
        found: list[tuple[str, int, str]] = []
        for name, (gaps, spread) in self.columns.items():
            if gaps:
                found.append((name, int(gaps), _sureness(kinds[name], spread / gaps)))
        return found


def _beyond_exact(source: Source) -> list[str]:
    """Return the names of the columns of numbers that are all whole, some of them too large to be told apart."""
    types = source.types or ("number",) * len(source.names)
    found: list[str] = []
    for name, kind, values in zip(source.names, types, source.array.T):
        there = values[~np.isnan(values)] if kind == "number" else values[:0]
        if there.size and EXACT <= np.abs(there).max() < LARGEST and not np.mod(there, 1.0).any():
            found.append(name)
    return found


def _sureness(kind: str, mean: float) -> str:
    if kind in ("category", "boolean"):
        return f"chosen with probability {mean:.0%} on average"
    if kind == "date":
        return f"± {mean / 86_400:.3g} days"
    return f"± {mean:.4g}"


def write(
    artifact: Artifact,
    data: Source | Dataset,
    out: str | Path,
    *,
    draws: int = 0,
    seed: int = 0,
    watch: Callable[[int], None] | None = None,
) -> Tally:
    """Write `data` with their gaps filled, without holding them in memory.

    Parameters
    ----------
    artifact : Artifact
        A model of mixed columns.
    data : Source or Dataset
    out : path
        ``.parquet``, ``.csv`` or ``.tsv``; it appears when it is whole.
    draws : int
        0 writes the likeliest values; otherwise each row is written so many times, its gaps filled at random, under a first column
        ``draw`` that counts them from 1.
    seed : int
        Decides the draws.
    watch : callable, optional
        Called with the number of rows done.

    Returns
    -------
    Tally

    Raises
    ------
    ConfigError
        If the ending is another, or the data have a column called ``draw`` where draws are written.
    DataError
        If the data do not fit the model, or the file cannot be written.
    """
    path = Path(out).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"filled columns are written to {', '.join(ENDINGS)} only, not to {path}")
    names = _names(data)
    if draws and "draw" in names:
        raise ConfigError("the data have a column called 'draw', as that of the draws is to be called: rename it, or ask for no draws")
    tally = Tally()
    head = Head(("draw", *names) if draws else names, len(data) * max(1, draws))
    with append(path, head) as table:
        for block, source in enumerate(_blocks(data)):
            found = impute(artifact, source, draws, seed + block)
            _add(table, source, artifact.schema, found)
            tally.add(source, artifact.schema, found)
            if watch is not None:
                watch(tally.rows)
    return tally


def _names(data: Source | Dataset) -> tuple[str, ...]:
    if isinstance(data, Source):
        return data.names
    return data.columns or tuple(f"c{j}" for j in range(data.shape[0]))


def _add(table: Appender, source: Source, schema: Schema, found: Imputed) -> None:
    if not len(found.draws):
        table.add(completed(source, schema, found))
        return
    made = [completed(source, schema, found, number) for number in range(len(found.draws))]
    rows = len(source)
    # All draws of a row stand together.
    columns: dict[str, Any] = {"draw": np.tile(np.arange(1, len(made) + 1), rows)}
    for name in made[0]:
        columns[name] = _interleaved([one[name] for one in made])
    table.add(columns)


def _interleaved(values: list[Any]) -> Any:
    if all(isinstance(one, np.ndarray) for one in values):
        return np.stack(values, 1).reshape(-1)
    lists: list[list[Any]] = [cast("Array", one).tolist() if isinstance(one, np.ndarray) else list(one) for one in values]
    return [value for row in zip(*lists) for value in row]


def _blocks(data: Source | Dataset) -> Generator[Source]:
    if isinstance(data, Source):
        yield from (data.take(slice(i, i + ROWS)) for i in range(0, len(data), ROWS))
    else:
        yield from data.with_gaps().blocks(ROWS)
