"""Bring the columns of a mixed table to values that a network sees, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.data.checks import listing
from isthmus.data.coders import Coder, restored
from isthmus.data.measure import measure
from isthmus.data.schema import Schema
from isthmus.data.source import Array, row_blocks
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Field, Part, part_slices, row_width

SCALES = ("standard", "robust")
_BLOCK = 1 << 23


class ColumnsPreprocessor:
    """Each column of a mixed table by its own kind, with its inverse; made by `fit` or `from_state`.

    A row becomes the values of its parts side by side, 0 where missing, and then for each part a flag: 1 if it is there. Numbers have
    mean 0 and standard deviation 1 (or median 0 and interquartile range 1); heavy ones become normal scores; counts are scaled
    logarithms of one more; a category has one slot of several on; a date is a scaled number and angles of the day, week and year.

    Parameters
    ----------
    schema : Schema
        Of kind "columns".
    coders : sequence of Coder
        One for each column that is modelled.
    scale : {"standard", "robust"}
    limits : ndarray of shape (2, c)
        Smallest and largest value of each column.
    notes : list of str

    Examples
    --------
    >>> import pandas as pd
    >>> from isthmus.data import from_any
    >>> source = from_any(pd.DataFrame({"age": [30.0, 50.0, None], "town": ["Ulm", "Bonn", "Ulm"]}))
    >>> schema = Schema.infer(source)
    >>> coder = ColumnsPreprocessor.fit(schema.align(source), schema)
    >>> coder.transform(schema.align(source)).tolist()[2]
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, schema: Schema, coders: Iterable[Coder], scale: str, limits: Array, notes: list[str]) -> None:
        self.schema, self.scale, self.limits, self.notes = schema, scale, limits, notes
        self._coders = tuple(coders)
        parts = [coder.parts(name) for coder, name in zip(self._coders, schema.columns)]
        self._counts = [len(found) for found in parts]
        self._parts: tuple[Part, ...] = tuple(part for found in parts for part in found)
        self._slices = self._column_slices()

    def _column_slices(self) -> list[slice]:
        places, ends = part_slices(self._parts), list(accumulate(self._counts, initial=0))
        return [slice(int(places[a].start), int(places[b - 1].stop)) for a, b in pairwise(ends)]

    @property
    def support(self) -> str:
        """Where the values lie: "real"."""
        return "real"

    @property
    def width(self) -> int:
        """Entries of a row, flags included."""
        return row_width(self._parts)

    @classmethod
    def fit(cls, array: Array, schema: Schema, scale: str = "auto") -> ColumnsPreprocessor:
        """Measure the training rows.

        Parameters
        ----------
        array : ndarray of shape (n, c)
            What `Schema.align` returns.
        schema : Schema
        scale : {"auto", "standard", "robust"}
            How numbers are scaled; "auto" is "standard".

        Returns
        -------
        ColumnsPreprocessor

        Raises
        ------
        DataError
            If there are no rows, or only one.
        ConfigError
            If the scale is none of these.
        """
        return cls.fit_blocks([array], schema, scale)

    @classmethod
    def fit_blocks(cls, blocks: Iterable[Array], schema: Schema, scale: str = "auto") -> ColumnsPreprocessor:
        """Measure training rows that come in blocks, in one pass; parameters, result and errors as for `fit`."""
        scale = "standard" if scale == "auto" else scale
        if scale not in SCALES:
            raise ConfigError(f"scaling must be one of {', '.join(SCALES)} for a table of mixed columns, not {scale!r}")
        measures = [measure(column, scale == "robust") for column in schema.used]
        rows = 0
        for block in blocks:
            _check_shape(block, schema)
            rows += len(block)
            for j, found in enumerate(measures):
                column = block[:, j].astype(np.float64)
                found.look(column[~np.isnan(column)])
        if rows < 2:
            raise DataError(f"the data have {rows} row(s) to train with: a spread cannot be measured. Give at least 2 rows")
        coders = [found.coder() for found in measures]
        limits = np.array([[found.low for found in measures], [found.high for found in measures]])
        limits[:, ~np.isfinite(limits).all(0)] = 0.0
        return cls(schema, coders, scale, limits, [*_left_out(schema), *(note for found in measures for note in found.notes)])

    def transform(self, array: Array, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Bring rows to the values that a network sees.

        Parameters
        ----------
        array : ndarray of shape (n, c)
            What `Schema.align` returns; not changed.
        out : ndarray of shape (n, width), optional
            Array of float32 to write to.

        Returns
        -------
        ndarray of shape (n, width)
            `out`, or a new float32 array.

        Raises
        ------
        DataError
            If the shape is not the schema's.
        """
        _check_shape(array, self.schema)
        out = np.empty((len(array), self.width), np.float32) if out is None else out
        for rows in row_blocks(len(array), 8 * self.width, _BLOCK):
            self._forward(array[rows], out[rows])
        return out

    def _forward(self, block: Array, out: NDArray[np.float32]) -> None:
        # Column by column while they are made: rows are made of them once, at the end.
        columns = np.ascontiguousarray(block.T, np.float64)
        gaps = np.isnan(columns)
        parts = np.empty((self.width, len(block)), np.float32)
        flag = self.width - len(self._parts)
        for j, (coder, place, count) in enumerate(zip(self._coders, self._slices, self._counts)):
            there = ~gaps[j]
            whole = bool(there.all())
            parts[place] = coder.forward(columns[j] if whole else np.where(there, columns[j], 0.0))
            if not whole:
                np.copyto(parts[place], 0, where=gaps[j])
            parts[flag : flag + count] = there
            flag += count
        np.copyto(out, parts.T)

    def inverse_transform(self, array: Array) -> Array:
        """Bring rows as a network sees or makes them back to the columns' own units.

        Parameters
        ----------
        array : ndarray of shape (..., width)

        Returns
        -------
        ndarray of shape (..., c)
            Values as `Schema.align` returns them: the likeliest category, whole counts, dates by their trend; NaN where a flag is
            below one half. A category never seen is -1, and one of those that share a slot is as many as there are categories.

        Raises
        ------
        DataError
            If the rows have another width.
        """
        if array.shape[-1] != self.width:
            raise DataError(f"rows of {array.shape[-1]} values are not those of {self.width} that this table becomes")
        flat = array.reshape(-1, self.width)
        out = np.empty((len(flat), len(self._coders)), np.float64)
        for rows in row_blocks(len(flat), 8 * self.width, _BLOCK):
            self._backward(flat[rows], out[rows])
        return out.reshape(*array.shape[:-1], len(self._coders))

    def _backward(self, block: Array, out: Array) -> None:
        parts = np.ascontiguousarray(block.T)
        flag = self.width - len(self._parts)
        for j, (column, coder, place, count) in enumerate(zip(self.schema.used, self._coders, self._slices, self._counts)):
            found = coder.backward(parts[place])
            found = _rounded(found, column.decimals) if column.decimals else found
            out[:, j] = np.where(parts[flag] < 0.5, np.nan, found)
            flag += count

    def within(self, matrix: Array) -> Array:
        """Return rows in the columns' own units with numbers, counts and dates kept within the range of the training rows."""
        ranged = np.array([column.kind in ("number", "heavy", "count", "date") for column in self.schema.used])
        low, high = np.where(ranged, self.limits[0], -np.inf), np.where(ranged, self.limits[1], np.inf)
        return np.clip(matrix, low, high)

    def fields(self) -> tuple[Field, ...]:
        """Return what one row is, for a family: a single field of columns."""
        return (Field("row", "columns", (self.width,), parts=self._parts),)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return everything `from_state` needs: plain JSON types, and arrays by name."""
        coders: list[dict[str, Any]] = []
        arrays: dict[str, Array] = {"limits": self.limits.copy()}
        for j, coder in enumerate(self._coders):
            entry, found = coder.state()
            coders.append({"kind": coder.kind, **entry})
            arrays |= {f"{j}.{name}": np.array(values) for name, values in found.items()}
        return {"schema": self.schema.to_json(), "scale": self.scale, "coders": coders, "notes": list(self.notes)}, arrays

    @classmethod
    def from_state(cls, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> ColumnsPreprocessor:
        """Rebuild a preprocessor from what `state` gave.

        Raises
        ------
        ConfigError
            If an entry or an array is missing, unknown or wrong.
        """
        if set(entry) != {"schema", "scale", "coders", "notes"} or entry["scale"] not in SCALES:
            raise ConfigError(f"preprocessor: needs exactly schema, scale, coders and notes, has {sorted(map(str, entry))}")
        schema = Schema.from_json(entry["schema"])
        given, notes = entry["coders"], entry["notes"]
        if schema.kind != "columns" or not isinstance(given, list) or len(cast("list[Any]", given)) != len(schema.used):
            raise ConfigError("preprocessor: there must be a coder for each column that is modelled")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in cast("list[Any]", notes)):
            raise ConfigError(f"preprocessor: notes must be a list of text, not {notes!r}")
        coders = _restored(schema, cast("list[Any]", given), arrays)
        return cls(schema, coders, entry["scale"], _limits(schema, arrays), list(cast("list[str]", notes)))


def _restored(schema: Schema, given: list[Any], arrays: Mapping[str, Array]) -> list[Coder]:
    known = {f"{j}." for j in range(len(given))}
    if any(name != "limits" and f"{name.split('.')[0]}." not in known for name in arrays):
        raise ConfigError("preprocessor: an array belongs to no column")
    found: list[Coder] = []
    for j, (column, entry) in enumerate(zip(schema.used, given)):
        own = {name.removeprefix(f"{j}."): array for name, array in arrays.items() if name.startswith(f"{j}.")}
        found.append(restored(column, entry if isinstance(entry, dict) else {}, own))  # pyright: ignore[reportUnknownArgumentType]
    return found


def _limits(schema: Schema, arrays: Mapping[str, Array]) -> Array:
    limits = np.array(arrays.get("limits", np.zeros(0)))
    if limits.shape != (2, len(schema.used)) or limits.dtype != np.float64 or not np.all(np.isfinite(limits)):
        raise ConfigError("preprocessor: the limits must be finite numbers, two for each column")
    return limits


def _left_out(schema: Schema) -> list[str]:
    """Say which columns are left out, and why."""
    found: list[str] = []
    for kind in ("identifier", "constant"):
        names = [column.name for column in schema.types if column.kind == kind]
        found += [f"left out as {kind}{'s' if len(names) > 1 else ''}: {listing(names)}"] if names else []
    return found


def _rounded(values: Array, decimals: int) -> Array:
    """Return values rounded, but for those so large that they have no such digits."""
    return np.where(np.abs(values) < 1e9, np.round(np.where(np.abs(values) < 1e9, values, 0.0), decimals), values)


def _check_shape(array: Array, schema: Schema) -> None:
    if array.ndim != 2 or array.shape[1:] != schema.shape:
        raise DataError(
            f"rows of shape {array.shape[1:]} do not fit the rows fitted on, {schema.shape}. Align the data with the schema first"
        )
