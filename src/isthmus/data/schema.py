"""What one row of the data is: remembered with a model, and asked of data that come later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from isthmus.data.align import aligned
from isthmus.data.checks import GapsError, check_finite, kind_mend, listing, refuse_text
from isthmus.data.columns import missing_columns
from isthmus.data.facts import Gathered
from isthmus.data.infer import propose
from isthmus.data.kinds import Column, ColumnKind, check_kind
from isthmus.data.schema_file import as_text, as_toml, read_toml
from isthmus.data.source import Array, Source, SourceKind
from isthmus.errors import ConfigError, DataError
from isthmus.files import atomic_path

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@dataclass(frozen=True)
class Schema:
    """Kind, column names, shape and dtype of the rows a model was fitted on.

    Parameters
    ----------
    kind : {"table", "pictures", "columns"}
        What one row is.
    columns : tuple of str
        Column names of a table; empty where it has none, and for pictures. Of kind "columns" those that are modelled.
    shape : tuple of int
        Shape of one row: (d,) or (H, W, C).
    dtype : str
        NumPy's name of the dtype, such as ``"uint8"``.
    types : tuple of Column
        Every column of kind "columns", also those that are left out; empty otherwise.

    Raises
    ------
    ConfigError
        If an entry is not one of these.

    Examples
    --------
    >>> import numpy as np
    >>> Schema.infer(Source("table", np.eye(3), ("a", "b", "c"))).shape
    (3,)
    """

    kind: SourceKind
    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    types: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(SourceKind):
            raise ConfigError(f"schema: kind must be one of {get_args(SourceKind)}, not {self.kind!r}")
        if self.dtype not in DTYPES:
            raise ConfigError(f"schema: dtype must be one of {DTYPES}, not {self.dtype!r}")
        self._check_shape()
        self._check_columns()
        if tuple(column.name for column in self.used) != (self.columns if self.kind == "columns" else ()):
            raise ConfigError("schema: the columns are not those of its types that are modelled")

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns of kind "columns" that are modelled."""
        return tuple(column for column in self.types if column.used)

    @property
    def complete(self) -> bool:
        """Whether every category that is modelled has its list of categories."""
        return all(column.categories for column in self.used if column.kind == "category")

    def describe(self) -> str:
        """Return the columns as lines of text: name, kind and what was seen."""
        return as_text(self._mixed("describe"))

    def to_toml(self, path: str | Path | None = None) -> str:
        """Return the columns as TOML to be read and corrected by people, and write it to `path` if there is one.

        Raises
        ------
        ConfigError
            If the schema is not of mixed columns.
        DataError
            If the file cannot be written.
        """
        text = as_toml(self._mixed("write"))
        if path is not None:
            with atomic_path(Path(path).expanduser()) as beside:
                beside.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_toml(cls, path: str | Path) -> Schema:
        """Read what `to_toml` wrote.

        Raises
        ------
        ConfigError
            If the file cannot be read, is no schema, or an entry is wrong; the message names file, column and entry.
        DataError
            If no column of it is modelled.
        """
        return cls.of(read_toml(path), Path(path).name)

    def _mixed(self, what: str) -> tuple[Column, ...]:
        if self.kind != "columns":
            raise ConfigError(f"schema: cannot {what} {self.kind}: only mixed columns have kinds")
        return self.types

    def _check_shape(self) -> None:
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in cast("tuple[object, ...]", self.shape))
        if len(self.shape) != (3 if self.kind == "pictures" else 1) or not whole:
            raise ConfigError(f"schema: the shape {self.shape} does not fit the kind {self.kind!r}")

    def _check_columns(self) -> None:
        if not all(isinstance(name, str) for name in cast("tuple[object, ...]", self.columns)):
            raise ConfigError(f"schema: column names must be text, not {listing(self.columns)}")
        if self.columns and (self.kind == "pictures" or len(set(self.columns)) != self.shape[0] or len(self.columns) != self.shape[0]):
            raise ConfigError(f"schema: {len(self.columns)} column names do not fit {self.kind} of shape {self.shape}")

    @classmethod
    def infer(cls, source: Source | Iterable[Source], kinds: Mapping[str, ColumnKind] | None = None, given: Schema | None = None) -> Schema:
        """Return the schema of `source`, and propose what each column of a mixed table is.

        A column of text is a *category*; an *identifier* if it has more than 20 different texts and more than half as many as rows; a
        number or a date where all texts are such. A column of numbers is an identifier if no whole number is there twice and they
        count the rows or the column is called so (id, user_id, index ...); a category if it holds 0 and 1 only; a *count* if they are
        whole, begin at 0 or 1 and lean to the right; *heavy* if the middle 99 % are more than 8 times as wide as the middle half, or
        one lies 100 times that far out; else a *number*. What is true or false is *boolean*, what has one value or none *constant*.
        Identifiers and constants are left out.

        Parameters
        ----------
        source : Source, or iterable of Source
            Rows; blocks of a mixed table may come one by one.
        kinds : mapping of str to str, optional
            Kinds of columns that are decided, by name; a table of numbers is taken as a mixed one if there are some.
        given : Schema, optional
            One of mixed columns, such as a person has corrected: only its columns are taken, with its kinds and categories. Where it
            names no categories they are found in the data.

        Returns
        -------
        Schema

        Raises
        ------
        DataError
            If a column mixes types or formats of dates, or no column is left to model.
        ConfigError
            If a kind is none, its column is not there, or cannot be of it.

        Examples
        --------
        >>> from isthmus.data import from_any
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"age": [31.5, 47.0, None, 18.5], "town": ["Ulm", "Ulm", "Bonn", None]})
        >>> [column.kind for column in Schema.infer(from_any(frame)).types]
        ['number', 'category']
        """
        if isinstance(source, Source):
            if source.kind == "pictures" or (source.kind == "table" and not kinds and given is None):
                return cls(source.kind, source.columns, tuple(int(n) for n in source.array.shape[1:]), source.array.dtype.name)
            source = [source]
        decided: dict[str, ColumnKind] = {**({column.name: column.kind for column in given.types} if given else {}), **(kinds or {})}
        gathered: Gathered | None = None
        name = "X"
        for block in source:
            name = block.name
            gathered = _begun(block, decided, given) if gathered is None else gathered
            gathered.look(block)
        if gathered is None or gathered.columns[0].rows < 2:
            raise DataError(
                f"{name}: {'one row (1 sample)' if gathered else 'no rows'} to tell the columns' kinds by. Give at least 2 rows"
            )
        return cls.of([_as_given(column, given) for column in propose(gathered, decided, name)], name)

    @classmethod
    def of(cls, types: Sequence[Column], name: str = "schema") -> Schema:
        """Return the schema of a mixed table with these columns.

        Raises
        ------
        DataError
            If none of them is modelled.
        """
        used = tuple(column.name for column in types if column.used)
        if not used:
            told = "; ".join(f"{column.name!r} is {column.kind} ({column.note})" for column in types[:5])
            named = next((column.name for column in types if column.kind == "identifier"), None)
            mend = "Give columns with values that differ" if named is None else f"Give other columns, or {kind_mend(named, 'category')}"
            raise DataError(f"{name}: no column is left to model: {told}. {mend}")
        return cls("columns", used, (len(used),), "float64", tuple(types))

    def align(self, source: Source) -> Array:
        """Return the values of `source` in this schema's column order and shape.

        Parameters
        ----------
        source : Source
            Data to be used with the model. Columns that are not needed are ignored, with a note added to `source.notes`.

        Returns
        -------
        ndarray of shape (n, \\*shape)
            The values, in their own dtype; not copied where the order is right.

        Raises
        ------
        DataError
            If columns are missing or the shape is another.
        """
        if (source.kind == "pictures") != (self.kind == "pictures"):
            raise DataError(self._other_kind(source))
        if self.kind == "columns":
            return self._as_coded(source) if source.kind == "columns" and not source.types else self._align_columns(source)
        if self.kind == "pictures":
            return self._align_pictures(source)
        found = self._align_named(source) if self.columns and source.columns else self._align_unnamed(source)
        if source.kind == "columns":
            _refuse_mixed(self.columns, source, found)
        return found

    def coded(self, source: Source) -> Source:
        """Return `source` with the values that `align` gives, once and for all; it is returned as it is if it is no mixed table.

        Such a source has no types: it is recognised by that, and `align` gives its values back.
        """
        if self.kind != "columns" or (source.kind == "columns" and not source.types):
            return source
        array = self.align(source)
        return replace(source, kind="columns", array=array, columns=self.columns, types=(), vocabularies={}, notes=source.notes)

    def _as_coded(self, source: Source) -> Array:
        if source.array.shape[1:] != self.shape or source.columns != self.columns:
            raise DataError(f"{source.name}: rows of {source.array.shape[1:]} were coded by another schema. Align them as they were read")
        return source.array

    def _align_columns(self, source: Source) -> Array:
        found = aligned(self.types, source)
        extra = [name for name in source.columns if name not in {column.name for column in self.types}]
        if extra:
            source.notes.append(f"ignored {len(extra)} columns that the model does not use: {listing(extra)}")
        return found

    def _other_kind(self, source: Source) -> str:
        needs = f"{self.kind} of shape {self.shape}"
        mend = f"Read it with shape={'x'.join(map(str, self.shape))}" if self.kind == "pictures" else "Give a table with these columns"
        return f"{source.name} holds {source.kind} of shape {source.array.shape[1:]}; the model needs {needs}. {mend}"

    def _align_pictures(self, source: Source) -> Array:
        shape = source.array.shape[1:]
        if shape != self.shape:
            colour = {1: "grey", 3: "rgb", 4: "rgba"}.get(self.shape[2], "auto")
            raise DataError(
                f"{source.name}: pictures of {_told(shape)}; the model needs {_told(self.shape)} (height x width x channels). "
                f"Read picture files with size={self.shape[0]}x{self.shape[1]} and colour={colour!r}, or resize the array"
            )
        if (source.array.dtype.kind == "f") != (self.dtype[:5] == "float"):
            small = self.dtype in ("uint8", "uint16") and source.array.size and 0 < source.array.max() <= 1
            doubt = ", though they lie within 0 and 1: multiply them if the model's went further" if small else ""
            told = f"the model was fitted on {self.dtype} and these are {source.array.dtype.name}"
            source.notes.append(f"{told}: they are taken to be in the same units{doubt}")
        self._refuse_other_depth(source)
        return source.array

    def _refuse_other_depth(self, source: Source) -> None:
        """Refuse pixels of another number of bits: they would count as nearly black, or as far too bright."""
        found = source.array.dtype.name
        if self.dtype == "uint16" and found == "uint8":
            raise DataError(
                f"{source.name}: pixels of 8 bits; the model was fitted on 16. Multiply them by 257, or read files with bits=16"
            )
        if self.dtype == "uint8" and source.array.dtype.kind in "iu" and found != "uint8" and source.array.size:
            low, high = int(source.array.min()), int(source.array.max())
            if low < 0 or high > 255:
                mend = "Divide pixels of 16 bits by 257, or read files with bits=8"
                raise DataError(f"{source.name}: values from {low} to {high}; the model was fitted on pixels from 0 to 255. {mend}")

    def _align_named(self, source: Source) -> Array:
        if source.columns == self.columns:
            return source.array
        places = {name: j for j, name in enumerate(source.columns)}
        missing = [name for name in self.columns if name not in places]
        if missing:
            raise missing_columns(missing, source.columns, source.name)
        extra = [name for name in source.columns if name not in set(self.columns)]
        if extra:
            source.notes.append(f"ignored {len(extra)} columns that the model does not use: {listing(extra)}")
        return source.array[:, [places[name] for name in self.columns]]

    def _align_unnamed(self, source: Source) -> Array:
        width = source.array.shape[1]
        if width != self.shape[0]:
            raise DataError(
                f"{source.name} has {width} features, but the model expects {self.shape[0]} features. Give the same columns as at fitting"
            )
        if bool(self.columns) != bool(source.columns):
            source.notes.append("column names are on one side only (the model's or the data's); the columns are taken in their order")
        return source.array

    def to_json(self) -> dict[str, Any]:
        """Return the schema as plain JSON types."""
        plain = {**asdict(self), "columns": list(self.columns), "shape": list(self.shape)}
        del plain["types"]
        return {**plain, "types": [column.to_json() for column in self.types]} if self.types else plain

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Schema:
        """Rebuild a schema from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing, unknown or wrong.
        """
        if set(entry) - {"types"} != {"kind", "columns", "shape", "dtype"}:
            raise ConfigError(f"schema: needs exactly kind, columns, shape and dtype, has {sorted(map(str, entry))}")
        types = tuple(Column.from_json(column) for column in _as_tuple("types", entry.get("types", [])))
        return cls(entry["kind"], _as_tuple("columns", entry["columns"]), _as_tuple("shape", entry["shape"]), entry["dtype"], types)


def _begun(source: Source, kinds: Mapping[str, ColumnKind], given: Schema | None) -> Gathered:
    """Return where the facts of the columns are gathered, once it is sure that those with decided kinds are there."""
    missing = [name for name in kinds if name not in source.names]
    if missing:
        raise missing_columns(missing, source.names, source.name)
    for name, kind in kinds.items():
        check_kind(name, kind)
    types = dict(zip(source.names, source.types or ("boolean" if source.array.dtype == bool else "number",) * len(source.names)))
    names = [column.name for column in given.types] if given else list(types)
    extra = [name for name in types if name not in names]
    if extra:
        source.notes.append(f"ignored {len(extra)} columns that the schema does not name: {listing(extra)}")
    return Gathered(names, [types[name] for name in names], kinds, source.declared)


def _as_given(column: Column, given: Schema | None) -> Column:
    """Return a column with the categories, the format and the decimals that a schema gives it."""
    known = next((entry for entry in given.types if entry.name == column.name), None) if given else None
    if known is None or known.kind != column.kind:
        return column
    categories, written = known.categories or column.categories, known.format or column.format
    return replace(column, categories=categories, format=written, decimals=known.decimals or column.decimals)


def _refuse_mixed(columns: Sequence[str], source: Source, found: Array) -> None:
    """Refuse text, dates and gaps where the model was fitted on numbers without gaps."""
    needed = set(columns or source.names)
    odd = [name for name, kind in zip(source.names, source.types) if kind in ("text", "date") and name in needed]
    refuse_text({name: next(iter(source.vocabularies.get(name, ())), "a date") for name in odd}, source.name)
    try:
        check_finite(np.asarray(found), columns, source.name)
    except GapsError as error:
        raise GapsError(f"{error}; or fit a model on data with gaps, for this one knows none") from error


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"schema: {name} must be a list, not {value!r}")
    return tuple(cast("list[Any]", value))


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
