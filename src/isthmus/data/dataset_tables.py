"""Tables in files of columns, Parquet or Arrow: one file or a folder of them, read piece by piece."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import numpy as np

from isthmus.data.arrays import refuse_other_size, reshaped
from isthmus.data.checks import check_finite, drop_mend, listing, refuse_empty, refuse_text
from isthmus.data.columns import missing_columns, select
from isthmus.data.dataset_base import Chunk, Dataset, changed, digest, gone
from isthmus.data.dataset_columns import Words, constant
from isthmus.data.options import ReadOptions
from isthmus.data.raw import Raw, assembled, from_arrow, type_of_arrow
from isthmus.data.source import Array, RawType, Source
from isthmus.data.tables import example, is_numeric, narrowest, visible
from isthmus.errors import ConfigError, DataError
from isthmus.extras import require

if TYPE_CHECKING:
    from isthmus.data.schema import Schema

_BROKEN = (ValueError, OSError, NotImplementedError, MemoryError)
# Fewer pieces than this of that many bytes together are told, for their rows are not mixed as far as they might be.
FEW = 8
LARGE = 256 << 20
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """Rows of a file that are read together: `rows` rows from `start` on of group `index`; the first is row `first` of the file."""

    file: int
    index: int
    start: int
    rows: int
    first: int


@dataclass
class TableFile:
    """A file, the types of its columns, the values that its path gives, and the rows of its groups."""

    path: Path
    label: str
    types: dict[str, Any] = field(default_factory=dict[str, Any])
    groups: list[int] = field(default_factory=list[int])

    @property
    def keys(self) -> dict[str, str]:
        """The columns of a Hive partition: folders called ``name=value``."""
        folders = [part.partition("=") for part in Path(self.label).parts[:-1] if "=" in part]
        return {unquote(name): unquote(value) for name, _, value in folders}


class TableDataset(Dataset):
    """A table in files of columns: of kind "table" if all of them are numbers, and "columns" otherwise or where values are missing.

    Parameters
    ----------
    files : sequence of TableFile
        Path and label of each; the rest is found out here.
    name : str
        What messages call the data.
    options : ReadOptions
        Its columns, drop and shape are heeded.
    ids : str, optional
        The column with the rows' names.

    Raises
    ------
    DataError
        If a file is broken or has other columns, a column holds lists or the like, or there are no rows.
    ConfigError
        If `ids` is also among the columns.
    """

    format: str

    def __init__(self, files: Sequence[TableFile], name: str, options: ReadOptions, ids: str | None) -> None:
        self._pa = require("pyarrow", "table", f"reading {self.format} files")
        self.kind, self.name, self.notes, self._ids = "table", name, [], ids
        self._files = [self._guarded_scan(file) for file in files]
        self._picture_shape: tuple[int, ...] | None = None
        self._names = self._choose(options)
        self._parts = [part for number in range(len(files)) for part in self._cut(number)]
        self.pieces = np.array([part.rows for part in self._parts], np.int64)
        self.columns, self.shape = tuple(self._names), (len(self._names),)
        refuse_empty((len(self), len(self._names)), name)
        mixed = options.shape is None and any(not self._is_number(name) for name in self._names)
        self.dtype = np.dtype(np.float64) if mixed else self._common_dtype()
        self._shape_as(options)
        self._note_few()
        if mixed or self.has_nulls():
            self._mix()

    def has_nulls(self) -> bool:
        """Say whether the files tell that values are missing."""
        return False

    def _is_number(self, name: str) -> bool:
        return all(is_numeric(self._pa, kind) for kind in self._plain_types(name))

    def _plain_types(self, name: str) -> list[Any]:
        """Return the types of a column in the files, nothing for one that is a folder's name and a number."""
        found = [self._plain(file.types[name]) for file in self._files if name in file.types]
        return found + [self._pa.string() for file in self._files if name not in file.types and isinstance(_as_value(name, file), str)]

    def _raw_types(self, name: str) -> set[Any]:
        kinds = [kind for kind in self._plain_types(name) if not self._pa.types.is_null(kind)]
        return {type_of_arrow(self._pa, kind) for kind in kinds}

    def _mix(self) -> None:
        """Become rows of mixed columns, which may have gaps."""
        if self._picture_shape is not None:
            return
        self.kind, self.dtype, self._words = "columns", np.dtype(np.float64), Words()
        types: list[RawType] = []
        for name in self._names:
            found = self._raw_types(name)
            if len(found) > 1:
                raise self._differing(name)
            types.append(cast("RawType", next(iter(found), "number")))
        self.types = tuple(types)

    def _differing(self, name: str) -> DataError:
        """Return the error for a column that is of one type in one file and of another in another."""
        kinds = {file.label: type_of_arrow(self._pa, file.types[name]) for file in self._files if name in file.types}
        first = next(iter(kinds))
        other = next((label for label, kind in kinds.items() if kind != kinds[first]), first)
        told = f"{kinds[first]} in {first}, but {kinds[other]} in {other}"
        return DataError(
            f"{self.name}: column {name!r} mixes types: {told}. Write the files alike, or leave it out with {drop_mend([name])}"
        )

    def with_gaps(self) -> Dataset:
        """Return the rows as mixed columns, which may have gaps; pictures have none."""
        if self.kind != "table":
            return self
        other = copy(self)
        other._mix()
        return other

    def coded(self, schema: Schema) -> Dataset:
        """Return the rows as the schema takes them: mixed columns as it aligns them, plain numbers without gaps."""
        if schema.kind != "table" or self.kind != "columns":
            return super().coded(schema)
        refuse_text(self._examples(self._files[0], [name for name in self._names if not self._is_number(name)]), self.name)
        other = copy(self)
        other.kind, other.types, other.dtype = "table", (), self._common_dtype()
        return other

    def only(self, schema: Schema) -> Dataset:
        """Return the rows with only the columns that the schema models, in its order."""
        missing = [name for name in schema.columns if name not in self._names]
        if missing:
            raise missing_columns(missing, self._names, self.name)
        other = copy(self)
        other._names, other._words = list(schema.columns), Words()
        other.columns, other.shape = schema.columns, schema.shape
        other.types = tuple(self.types[self._names.index(name)] for name in schema.columns)
        return other

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The texts met so far in each column of text."""
        return self._words.vocabularies if self.kind == "columns" else {}

    @abstractmethod
    def look_into(self, file: TableFile) -> None:
        """Find out the types and groups of a file."""

    @abstractmethod
    def batches(self, part: Part, names: list[str], start: int, rows: int) -> Generator[Any]:
        """Yield record batches of at most `rows` rows: those of `part` from its row `start` on."""

    def _cut(self, number: int) -> list[Part]:
        groups = self._files[number].groups
        firsts = np.cumsum([0, *groups])
        return [Part(number, i, 0, rows, int(firsts[i])) for i, rows in enumerate(groups) if rows]

    def _guarded_scan(self, file: TableFile) -> TableFile:
        try:
            self.look_into(file)
        except _BROKEN as error:
            raise self._broken(file, error) from error
        return file

    def _broken(self, file: TableFile, error: Exception) -> DataError:
        if isinstance(error, DataError):
            return error
        if isinstance(error, (FileNotFoundError, PermissionError)):
            return gone(file.path, error)
        told = str(error)[:300].rstrip(". ")
        return DataError(f"{file.label} cannot be read as {self.format}: {told}. The file may be cut off; write or fetch it again")

    def _choose(self, options: ReadOptions) -> list[str]:
        """Return the columns to read, after a look at every file's."""
        first = self._files[0]
        names, hidden = visible(list(first.types), options, self.notes)
        total = len(names) + hidden
        if self._ids is not None:
            names = self._without_ids(names, options)
        keys = [key for key in first.keys if key not in first.types]
        plain = ReadOptions(columns=options.columns, drop=tuple(entry for entry in options.drop if entry not in (*keys, self._ids)))
        names = [*names, *keys] if options.columns else names
        chosen = [names[j] for j in select(names, plain, self.name)]
        self._note_choice(len(chosen), total, options, keys)
        for file in self._files:
            self._check(file, chosen)
        if not options.columns:
            self._note_extra(first)
        return chosen

    def _without_ids(self, names: list[str], options: ReadOptions) -> list[str]:
        if self._ids not in names:
            raise missing_columns([str(self._ids)], names, self.name)
        if self._ids in (options.columns or ()):
            raise ConfigError(f"ids: {self._ids!r} is also in columns. A column is either the rows' name or a feature")
        kind = self._files[0].types[self._ids]
        self.ids_dtype = np.dtype(kind.to_pandas_dtype()) if self._pa.types.is_integer(kind) else None
        return [name for name in names if name != self._ids]

    def _note_choice(self, chosen: int, total: int, options: ReadOptions, keys: Sequence[str]) -> None:
        if len(self._files) > 1:
            self.notes.append(f"the rows lie in {len(self._files)} files")
        if options.columns and chosen < total:
            self.notes.append(f"read {chosen} of the {total} columns")
        elif options.drop and chosen < total:
            self.notes.append(f"left out {total - chosen} of the {total} columns")
        if keys and not options.columns:
            self.notes.append(f"the folders' names ({listing(keys)}) are not taken as columns; name them in columns if they shall be")

    def _check(self, file: TableFile, chosen: Sequence[str]) -> None:
        known = {**dict.fromkeys(file.keys), **file.types}
        missing = [name for name in (*chosen, *([self._ids] if self._ids else [])) if name not in known]
        if missing:
            raise missing_columns(missing, list(known), file.label)
        odd = [name for name in chosen if name in file.types and type_of_arrow(self._pa, file.types[name]) is None]
        refuse_text(self._examples(file, odd), file.label)
        for name in chosen:
            if name not in file.types:
                _as_value(name, file)

    def _plain(self, kind: Any) -> Any:
        return kind.value_type if self._pa.types.is_dictionary(kind) else kind

    def _examples(self, file: TableFile, names: list[str]) -> dict[str | int, object]:
        if not names or not any(file.groups):
            return dict.fromkeys(names, "")
        index = next(i for i, rows in enumerate(file.groups) if rows)
        with closing(self.batches(Part(self._files.index(file), index, 0, file.groups[index], 0), names, 0, 1024)) as batches:
            batch = next(batches)
        return {name: example(self._cast(batch.column(name))) for name in names}

    def _cast(self, column: Any) -> Any:
        return column.cast(column.type.value_type) if self._pa.types.is_dictionary(column.type) else column

    def _note_extra(self, first: TableFile) -> None:
        for file in self._files[1:]:
            extra = [name for name in file.types if name not in first.types]
            if extra:
                self.notes.append(f"{file.label} has columns that {first.label} has not; they are left out: {listing(extra)}")
                return

    def _note_few(self) -> None:
        size = len(self) * self.row_bytes
        if len(self.pieces) < FEW and size > LARGE:
            self.notes.append(
                f"the {size / 1e6:,.0f} MB lie in {len(self.pieces)} piece(s), and rows are shuffled well only where there are many: "
                "if they are sorted, write them in smaller row groups"
            )

    def _common_dtype(self) -> np.dtype[Any]:
        found = {name: {self._numpy_type(file, name) for file in self._files if any(file.groups)} for name in self._names}
        mixed = [name for name, kinds in found.items() if len(kinds) > 1]
        dtype = narrowest([kind for kinds in found.values() for kind in kinds])
        if mixed:
            self.notes.append(f"the files differ in the type of {listing(mixed)}; all are read as {dtype}")
        return dtype

    def _numpy_type(self, file: TableFile, name: str) -> np.dtype[Any]:
        if name not in file.types:
            return np.asarray(_as_value(name, file)).dtype
        kind, types = self._plain(file.types[name]), self._pa.types
        if types.is_decimal(kind) or types.is_null(kind):
            return np.dtype(np.float64)
        return np.dtype(np.float32 if types.is_float16(kind) else kind.to_pandas_dtype())

    def _shape_as(self, options: ReadOptions) -> None:
        if options.shape is not None:
            odd = [name for name in self._names if not self._is_number(name)]
            refuse_text(self._examples(self._files[0], odd), self.name)
            reshaped(np.empty((1, *self.shape)), options.shape, self.name, self.notes)
            self.kind, self.columns, self.shape, self._picture_shape = "pictures", (), options.shape, options.shape
        refuse_other_size(Source(self.kind, np.empty((0, *self.shape)), name=self.name), options)

    @property
    def named(self) -> bool:
        """Whether the rows have names."""
        return self._ids is not None

    def chunks(self, piece: int, start: int, rows: int, named: bool) -> Generator[Chunk]:
        """Yield the rows of a piece from row `start` on in chunks of at most `rows`, with their names if `named`."""
        with closing(self._read(piece, start, rows, named)) as batches:
            for batch, file, first in batches:
                ids = self._names_of(batch, file) if named else ()
                if self.kind != "columns":
                    yield self._values(batch, file, first), ids
                    continue
                found = self._raws(batch, file, first)
                columns = [self._words.numbered(name, raw) if raw.type == "text" else raw.values for name, raw in zip(self._names, found)]
                yield np.stack(columns, axis=1), ids

    def sources(self, piece: int, start: int, rows: int, named: bool) -> Generator[Source]:
        """Yield what `chunks` does with what the values are; texts are numbered anew in each."""
        if self.kind != "columns":
            yield from super().sources(piece, start, rows, named)
            return
        with closing(self._read(piece, start, rows, named)) as batches:
            for batch, file, first in batches:
                source = assembled(self._raws(batch, file, first), self._names, self._told(batch, file, first), [])
                yield replace(source, ids=self._names_of(batch, file) if named else ())

    def _read(self, piece: int, start: int, rows: int, named: bool) -> Generator[tuple[Any, TableFile, int]]:
        """Yield the batches of a piece, each with its file and the number of its first row there."""
        part = self._parts[piece]
        file = self._files[part.file]
        names = [name for name in self._names if name in file.types] + ([str(self._ids)] if named else [])
        place = start
        try:
            with closing(self.batches(part, names, start, rows)) as batches:
                for batch in batches:
                    yield batch, file, part.first + place
                    place += batch.num_rows
        except _BROKEN as error:
            raise self._broken(file, error) from error
        if place != max(start, part.rows):
            raise changed(file.label)

    def _told(self, batch: Any, file: TableFile, first: int) -> str:
        return f"{file.label}, rows {first} to {first + batch.num_rows - 1},"

    def _raws(self, batch: Any, file: TableFile, first: int) -> list[Raw]:
        """Return the columns of a batch as they were read."""
        there = set(file.types)
        found = [
            cast("Raw", from_arrow(self._pa, batch.column(name))) if name in there else constant(_as_value(name, file), batch.num_rows)
            for name in self._names
        ]
        numbers = [raw.values for raw in found if raw.type == "number"]
        if numbers:
            names = [name for name, raw in zip(self._names, found) if raw.type == "number"]
            check_finite(np.stack(numbers, axis=1), names, self._told(batch, file, first), first, gaps=True)
        return found

    def _values(self, batch: Any, file: TableFile, first: int) -> Array:
        columns = {name: self._cast(batch.column(name)) for name in self._names if name in file.types}
        label = self._told(batch, file, first)
        self._refuse_gaps({name: column for name, column in columns.items() if column.null_count}, label, first)
        # Column by column, as they lie in the file: rows are made of them once, when they are scaled.
        values = np.empty((len(self._names), batch.num_rows), self.dtype)
        for j, name in enumerate(self._names):
            values[j] = self._numbers(columns[name]) if name in columns else _as_value(name, file)
        check_finite(values.T, self._names, label, first)
        return values.T if self._picture_shape is None else np.ascontiguousarray(values.T).reshape(-1, *self._picture_shape)

    def _refuse_gaps(self, columns: dict[str, Any], label: str, first: int) -> None:
        if columns:
            gaps = [column.cast(self._pa.float64()).to_numpy(zero_copy_only=False) for column in columns.values()]
            check_finite(np.stack(gaps, axis=1), list(columns), label, first)

    def _numbers(self, column: Any) -> Array:
        if self._pa.types.is_decimal(column.type):
            column = column.cast(self._pa.float64())
        return column.to_numpy(zero_copy_only=False)

    def _names_of(self, batch: Any, file: TableFile) -> tuple[str, ...]:
        column = self._cast(batch.column(self._ids))
        if column.null_count:
            raise DataError(f"{file.label}: the column {self._ids!r} has rows without a name. Fill them, or choose other ids")
        return tuple(map(str, column.to_pylist()))

    def release(self) -> None:
        """Give memory that was kept for further reading back to the system."""
        self._pa.default_memory_pool().release_unused()

    def fingerprint(self) -> str:
        """Return a digest by which the same data are recognised."""
        facts = (self.format, self._names, self._ids, self.shape, str(self.dtype), self.pieces.tolist())
        return digest(facts, [(file.label, file.path) for file in self._files])


def _as_value(name: str, file: TableFile) -> int | float | str:
    """Return the value that a folder's name gives to a column, as a number if it is one."""
    value = file.keys[name]
    if value == _NO_VALUE:
        raise DataError(f"{file.label}: the folder gives {name!r} no value. Leave it out of columns, or those files out of the folder")
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value)
    return value
