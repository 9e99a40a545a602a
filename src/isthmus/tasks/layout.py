"""Between the data's own columns and the plain numbers that a scorer sees, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import AnyPreprocessor, Schema, Source, fit_preprocessor, restore_preprocessor
from isthmus.data.checks import drop_mend, listing
from isthmus.data.kinds import ColumnKind
from isthmus.errors import ConfigError, DataError
from isthmus.fields import part_slices

Array = NDArray[Any]
Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows as a scorer sees them.

    Attributes
    ----------
    rows : ndarray of shape (n, d), float32
        Scaled values, 0 where one is missing.
    present : ndarray of bool of shape (n, d), optional
        Where a value was observed; None if all were.
    """

    rows: Rows
    present: Mask | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: slice | Array) -> Seen:
        """Return some of the rows."""
        return Seen(self.rows[chosen], None if self.present is None else self.present[chosen])


class Layout:
    """Which numbers stand for which column.

    Parameters
    ----------
    schema : Schema
        Of the data.
    preprocessor : Preprocessor or ColumnsPreprocessor
        Fitted on rows of the schema.
    missingness : bool
        Whether it tells something that a value is missing: then each column's flag is a number like others.

    Notes
    -----
    Of dates only the cyclic parts are seen, such as the hour of the day: time goes on, so that later rows would be strange for that alone.

    Attributes
    ----------
    columns : tuple of str
        Names of the data's columns.
    owner : ndarray of int of shape (d,)
        The column that each number belongs to.
    """

    def __init__(self, schema: Schema, preprocessor: AnyPreprocessor, missingness: bool = False) -> None:
        self.schema, self.preprocessor = schema, preprocessor
        self.parts = tuple(preprocessor.fields()[0].parts)
        self.missingness = missingness and bool(self.parts)
        self.columns = schema.columns or tuple(f"c{j}" for j in range(schema.shape[0]))
        self.dates = [j for j, column in enumerate(schema.used) if column.kind == "date"]
        owner = self._owner()
        self.kept = self._kept(owner)
        self.owner = owner[self.kept]

    def _owner(self) -> NDArray[np.int64]:
        """Return the column that each number of a preprocessed row belongs to."""
        if not self.parts:
            return np.arange(len(self.columns))
        places = {name: j for j, name in enumerate(self.columns)}
        owners = np.array([places[part.column] for part in self.parts], np.int64)
        values = np.repeat(owners, [part.width for part in self.parts])
        return np.concatenate([values, owners]) if self.missingness else values

    def _kept(self, owner: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which numbers of a preprocessed row a scorer sees: all but the trend of dates, unless there is nothing else."""
        going = np.zeros(len(owner), np.bool_)
        for part, place in zip(self.parts, part_slices(self.parts)):
            going[place] = part.kind == "number" and int(owner[place.start]) in self.dates
        return np.arange(len(owner)) if going.all() else np.flatnonzero(~going)

    @property
    def notes(self) -> list[str]:
        """What was decided, one sentence each."""
        full = self._owner()
        gone = [self.columns[int(j)] for j in np.unique(np.delete(full, self.kept))]
        return [f"of the date {listing(gone)} only what comes again is looked at (hours, weekdays, days of the year)"] if gone else []

    @classmethod
    def fit(cls, source: Source, schema: Schema | None = None, missingness: bool = False) -> Layout:
        """Measure the rows of `source`.

        Parameters
        ----------
        source : Source
            A table.
        schema : Schema, optional
            What its columns are; by default what they look like, but heavy tails as plain numbers: quantiles would bring what lies far
            out as near as the next row.
        missingness : bool

        Returns
        -------
        Layout

        Raises
        ------
        DataError
            If it is no table, or cannot be scaled.
        """
        if source.kind == "pictures":
            raise DataError(
                f"{source.name} holds pictures; anomalies are sought in tables. Give one row of numbers a picture: reshape(n, -1)"
            )
        schema = schema or _measured(source)
        return cls(schema, fit_preprocessor(schema.align(source), schema, "standard"), missingness)

    def matrix(self, source: Source) -> Array:
        """Return the columns of the schema in its order, shape (n, c), in the data's own units.

        Raises
        ------
        DataError
            If columns are missing.
        """
        if self.schema.kind == "table" and source.kind == "columns":
            source = _numbers(source, self.columns)
        return self.schema.align(source)

    def see(self, matrix: Array) -> Seen:
        """Return rows of `matrix` as a scorer sees them.

        Raises
        ------
        DataError
            If a number is infinite, or too large to compute with.
        """
        infinite = np.isinf(matrix).any(0) if matrix.dtype.kind == "f" else np.zeros(0, np.bool_)
        if infinite.any():
            names = [self.columns[j] for j in np.flatnonzero(infinite).tolist()]
            raise DataError(f"infinity in {listing(names)}. Mend those values, or leave the columns out with {drop_mend(names)}")
        return self._mixed(matrix) if self.parts else self._plain(matrix)

    def _mixed(self, matrix: Array) -> Seen:
        found: Rows = self.preprocessor.transform(matrix)
        width = found.shape[1] - len(self.parts)
        flags = found[:, width:] > 0
        present = np.repeat(flags, [part.width for part in self.parts], axis=1)
        if self.missingness:
            present = np.concatenate([present, np.ones_like(flags)], axis=1)
        present = present[:, self.kept]
        return Seen(found[:, self.kept], None if present.all() and not self.missingness else present)

    def _plain(self, matrix: Array) -> Seen:
        gaps: Mask | None = np.isnan(matrix) if matrix.dtype.kind == "f" else None
        if gaps is None or not gaps.any():
            return Seen(self.preprocessor.transform(matrix))
        rows: Rows = self.preprocessor.transform(matrix)
        rows[gaps] = 0.0
        return Seen(rows, ~gaps)

    def restore(self, rows: Array) -> Array:
        """Return what a scorer sees, shape (n, d), in the data's own columns and units, shape (n, c)."""
        if not self.parts:
            return self.preprocessor.inverse_transform(rows)
        width = sum(part.width for part in self.parts)
        full = np.zeros((len(rows), width + len(self.parts)), np.float32)
        full[:, self.kept] = rows
        full[:, width:] = 1.0
        return self.preprocessor.inverse_transform(full)

    def by_column(self, values: Array) -> Floats:
        """Return sums of values, shape (n, d), over the numbers of each column, shape (n, c)."""
        found = np.zeros((values.shape[1], len(self.columns)))
        found[np.arange(len(self.owner)), self.owner] = 1.0
        return values.astype(np.float64) @ found

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return everything `from_state` needs: plain JSON types, and arrays by name."""
        entry, arrays = self.preprocessor.state()
        return {"schema": self.schema.to_json(), "preprocessor": entry, "missingness": self.missingness}, arrays

    @classmethod
    def from_state(cls, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Layout:
        """Rebuild a layout from what `state` gave.

        Raises
        ------
        ConfigError
            If an entry or an array is missing, unknown or wrong.
        """
        schema = Schema.from_json(entry["schema"])
        preprocessor = restore_preprocessor(entry["preprocessor"], arrays)
        if preprocessor.schema != schema:
            raise ConfigError("the preprocessing belongs to another schema")
        return cls(schema, preprocessor, bool(entry["missingness"]))


def _numbers(source: Source, wanted: tuple[str, ...]) -> Source:
    """Return mixed columns as a plain table with gaps, for a model of numbers only."""
    types = dict(zip(source.names, source.types))
    for name in wanted:
        if types.get(name, "number") not in ("number", "boolean"):
            held = f"{source.name}: the column {name!r} holds {types[name]}, but held numbers when the model was fitted"
            raise DataError(f"{held}. Mend it, or fit again")
    keep = [j for j, name in enumerate(source.names) if types[name] in ("number", "boolean")]
    names = tuple(source.names[j] for j in keep) if source.columns else ()
    return replace(source, kind="table", array=source.array[:, keep], columns=names, types=(), vocabularies={})


def _measured(source: Source) -> Schema:
    schema = Schema.infer(source)
    heavy: dict[str, ColumnKind] = {column.name: "number" for column in schema.types if column.kind == "heavy"}
    return Schema.infer(source, heavy) if heavy else schema
