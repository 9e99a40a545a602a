"""Bring data to the scale a network sees, and back to their own units."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from isthmus.data.moments import summarise, summarise_blocks
from isthmus.data.scales import Plan, Scale, make_plan, needs_moments
from isthmus.data.schema import Schema
from isthmus.data.source import Array, row_blocks
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Field, Support

# Values of these dtypes are exact in float32; larger numbers than the limit could overflow there.
_EXACT = ("bool", "uint8", "int8", "uint16", "int16", "float32")
_LARGE = 1e30
_BLOCK = 1 << 19


class Preprocessor:
    """An affine scaling, ``(x - offset) / divisor``, with its inverse.

    Made by `fit` or `from_state`. Values outside the fitted range are not clipped, so that outliers stay visible.

    Parameters
    ----------
    schema : Schema
        Shape and dtype of the rows.
    plan : Plan
        Offset, divisor and what the scaled values are.

    Examples
    --------
    >>> X = np.array([[0.0, 5.0], [2.0, 9.0]])
    >>> from isthmus.data import Source
    >>> scaler = Preprocessor.fit(X, Schema.infer(Source("table", X)))
    >>> scaler.transform(X).tolist(), scaler.inverse_transform(scaler.transform(X)).tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [[0.0, 5.0], [2.0, 9.0]])
    """

    def __init__(self, schema: Schema, plan: Plan) -> None:
        self.schema = schema
        self._plan = plan
        self._single = _in_single_precision(plan)

    @property
    def scale(self) -> Scale:
        """The resolved scale: "standard", "robust", "unit" or "none"."""
        return self._plan.scale

    @property
    def support(self) -> Support:
        """Where the scaled values lie: "real", "unit" or "binary"."""
        return self._plan.support

    @property
    def notes(self) -> list[str]:
        """What was decided, one sentence each."""
        return self._plan.notes

    @classmethod
    def fit(cls, array: Array, schema: Schema, scale: str = "auto") -> Preprocessor:
        """Measure the data and choose the scaling.

        Parameters
        ----------
        array : ndarray of shape (n, \\*schema.shape)
            Finite numbers in their own units; it may be a memory map.
        schema : Schema
            What one row is.
        scale : {"auto", "standard", "robust", "unit", "none"}
            "standard" gives mean 0 and standard deviation 1: of each column of a table, of all values of pictures.
            "robust" gives median 0 and interquartile range 1 likewise, which a few outliers do not change.
            "unit" gives [0, 1]: pixels by their dtype, else by the smallest and largest value (of each column of a table,
            of all pictures). "none" keeps the values. "auto" takes "unit" for values that are all 0 or 1, for pixels and
            other pictures, and for floats already within [0, 1]; else "standard".

        Returns
        -------
        Preprocessor
            The fitted scaling.

        Raises
        ------
        DataError
            If the shape is not the schema's, or the data have no spread.
        ConfigError
            If the scale is unknown.
        """
        _check_shape(array, schema)
        summary = summarise(array, per_column=schema.kind == "table", moments=needs_moments(schema, scale), quartiles=scale == "robust")
        return cls(schema, make_plan(summary, schema, scale))

    @classmethod
    def fit_blocks(cls, blocks: Iterable[Array], schema: Schema, scale: str = "auto") -> Preprocessor:
        """Measure data that come in blocks, in one pass, and choose the scaling.

        Parameters
        ----------
        blocks : iterable of ndarray of shape (n, \\*schema.shape)
            Finite numbers in their own units.
        schema : Schema
            What one row is.
        scale : {"auto", "standard", "robust", "unit", "none"}
            As for `fit`. The quartiles of "robust" are estimated by a `isthmus.data.sketch.Sketch`: exact for some
            thousand rows, then with ranks that are off by 0.04 to 0.25 % of the rows (in tables of up to 200 columns).

        Returns
        -------
        Preprocessor
            The fitted scaling.

        Raises
        ------
        DataError
            If the shape is not the schema's, there are no rows, or the data have no spread.
        ConfigError
            If the scale is unknown.
        """
        table = schema.kind == "table"
        summary = summarise_blocks(
            _checked_blocks(blocks, schema),
            width=schema.shape[0] if table else 1,
            per_column=table,
            moments=needs_moments(schema, scale),
            quartiles=scale == "robust",
        )
        if not summary.rows:
            raise DataError("there are no rows to measure the scaling on. Give at least one row")
        return cls(schema, make_plan(summary, schema, scale))

    def transform(self, array: Array, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Scale rows for a network.

        Parameters
        ----------
        array : ndarray of shape (n, \\*schema.shape)
            Values in their own units; not changed.
        out : ndarray of shape (n, \\*schema.shape), optional
            C-contiguous float32 array to write to.

        Returns
        -------
        ndarray of shape (n, \\*schema.shape)
            `out`, or a new C-contiguous float32 array.

        Raises
        ------
        DataError
            If the shape is not the schema's, or a value is too large for float32 once scaled.
        """
        _check_shape(array, self.schema)
        out = np.empty(array.shape, np.float32) if out is None else out
        row_bytes = max(array[:1].nbytes, out[:1].nbytes)
        try:
            with np.errstate(over="raise"):
                for rows, scratch in _with_scratch(array, row_blocks(len(array), row_bytes, _BLOCK)):
                    self._forward(array[rows], out[rows], scratch)
        except FloatingPointError as error:
            raise DataError(
                "a value lies so far from the data fitted on that its scaled value is no 32-bit number. Look for it and mend it"
            ) from error
        return out

    def _forward(self, block: Array, out: NDArray[np.float32], scratch: NDArray[np.float32] | None) -> None:
        if self._single is None or block.dtype.name not in _EXACT:
            np.divide(np.subtract(block, self._plan.offset, dtype=np.float64), self._plan.divisor, out=out, casting="same_kind")
            return
        offset, divisor, rest = self._single
        scaled = out if scratch is None else scratch
        np.subtract(block, offset, out=scaled, dtype=np.float32, casting="unsafe")
        np.divide(scaled, divisor, out=scaled)
        if rest is not None:
            np.subtract(scaled, rest, out=scaled)
        if scratch is not None:
            np.copyto(out, scratch)

    def inverse_transform(self, array: Array) -> Array:
        """Bring scaled values back to the data's own units and dtype.

        Parameters
        ----------
        array : ndarray of shape (..., \\*schema.shape)
            Scaled values; any number of leading axes.

        Returns
        -------
        ndarray of shape (..., \\*schema.shape)
            Floats as they were; integers rounded and clipped to their range, or to the two values that the data had where they had no
            others; booleans as uint8 0 and 1.

        Raises
        ------
        DataError
            If the last axes are not the schema's shape.
        """
        shape = self.schema.shape
        if array.shape[array.ndim - len(shape) :] != shape:
            raise DataError(f"the last axes of {array.shape} are not {shape}. Give scaled rows of this shape")
        flat = array.reshape(-1, *shape)
        dtype = np.dtype("uint8" if self.schema.dtype == "bool" else self.schema.dtype)
        out = np.empty(flat.shape, dtype)
        for rows in row_blocks(len(flat), flat[:1].size * 8):
            self._backward(flat[rows], out[rows])
        return out.reshape(array.shape)

    def _backward(self, block: Array, out: Array) -> None:
        values = np.multiply(block, self._plan.divisor, dtype=np.float64)
        values += self._plan.offset
        if out.dtype.kind != "f":
            np.rint(values, out=values)
            ends = (self._plan.offset, self._plan.offset + self._plan.divisor)
            np.clip(values, *(ends if self.support == "binary" else _integer_range(self.schema.dtype)), out=values)
        np.copyto(out, values, casting="unsafe")

    def fields(self) -> tuple[Field, ...]:
        """Return what one scaled row is, for a family: a single field."""
        if self.schema.kind == "pictures":
            return (Field("pictures", "picture", self.schema.shape, self.support),)
        return (Field("columns", "numbers", self.schema.shape, self.support),)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return everything `from_state` needs: plain JSON types, and arrays by name."""
        plan = self._plan
        entry = {"schema": self.schema.to_json(), "scale": plan.scale, "support": plan.support, "notes": list(plan.notes)}
        return entry, {"offset": plan.offset.copy(), "divisor": plan.divisor.copy()}

    @classmethod
    def from_state(cls, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Preprocessor:
        """Rebuild a preprocessor from what `state` gave.

        Raises
        ------
        ConfigError
            If an entry or an array is missing, unknown or wrong.
        """
        _check_keys(entry, {"schema", "scale", "support", "notes"})
        _check_keys(arrays, {"offset", "divisor"})
        schema = Schema.from_json(_as_mapping(entry["schema"]))
        _check_choice("scale", entry["scale"], get_args(Scale))
        _check_choice("support", entry["support"], get_args(Support))
        offset, divisor = (_checked(name, arrays[name], schema) for name in ("offset", "divisor"))
        if offset.shape != divisor.shape or np.any(divisor <= 0):
            raise ConfigError("preprocessor: the divisor must be positive and of the offset's shape")
        return cls(schema, Plan(entry["scale"], entry["support"], offset, divisor, _checked_notes(entry["notes"])))


def _in_single_precision(plan: Plan) -> tuple[Array, Array, Array | None] | None:
    """Return offset and divisor in float32, and what rounding the offset leaves over, in scaled units.

    For values that float32 holds exactly, ``(x - offset) / divisor - rest`` in float32 is within four roundings of the exact
    result, wherever the values lie, and needs no detour through float64. Returns nothing for numbers near float32's limits.
    """
    if np.abs(plan.offset).max() > _LARGE or plan.divisor.max() > _LARGE or plan.divisor.min() < 1 / _LARGE:
        return None
    offset = plan.offset.astype(np.float32)
    rest = ((plan.offset - offset) / plan.divisor).astype(np.float32)
    return offset, plan.divisor.astype(np.float32), rest if np.any(rest) else None


def _with_scratch(array: Array, blocks: Iterable[slice]) -> Generator[tuple[slice, NDArray[np.float32] | None]]:
    """Yield the blocks, each with room to scale it as it lies where rows lie column by column: they are turned once, at the end."""
    turned = array.ndim == 2 and array.strides[0] < array.strides[1]
    scratch: NDArray[np.float32] | None = None
    for rows in blocks:
        size = rows.stop - rows.start
        if turned and scratch is None:
            # Columns a power of two apart would share their lines of the cache.
            scratch = np.empty((array.shape[1], size + 16), np.float32).T
        yield rows, None if scratch is None else scratch[:size]


def _integer_range(dtype: str) -> tuple[float, float]:
    """Return the smallest and largest float64 that a cast to `dtype` keeps within its range."""
    if dtype == "bool":
        return 0.0, 1.0
    info = np.iinfo(dtype)
    high = float(info.max)
    return float(info.min), high if int(high) <= info.max else float(np.nextafter(high, 0.0))


def _check_shape(array: Array, schema: Schema) -> None:
    if array.shape[1:] != schema.shape or array.ndim == 0:
        raise DataError(
            f"rows of shape {array.shape[1:]} do not fit the rows fitted on, {schema.shape}. Align the data with the schema first"
        )


def _checked_blocks(blocks: Iterable[Array], schema: Schema) -> Generator[Array]:
    for block in blocks:
        _check_shape(block, schema)
        yield block


def _check_keys(entry: Mapping[str, Any], needed: set[str]) -> None:
    if set(entry) != needed:
        raise ConfigError(f"preprocessor: needs exactly {sorted(needed)}, has {sorted(map(str, entry))}")


def _as_mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"preprocessor: the schema must be a mapping, not {value!r}")
    return cast("Mapping[str, Any]", value)


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"preprocessor: {name} must be one of {allowed}, not {value!r}")


def _checked(name: str, array: Array, schema: Schema) -> Array:
    allowed = {(1,), schema.shape} if schema.kind == "table" else {(1,)}
    if array.dtype != np.float64 or array.shape not in allowed or not np.all(np.isfinite(array)):
        raise ConfigError(f"preprocessor: {name} must be finite float64 of a shape in {sorted(allowed)}, not {array.dtype} {array.shape}")
    return np.array(array)


def _checked_notes(notes: object) -> list[str]:
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in cast("list[Any]", notes)):
        raise ConfigError(f"preprocessor: notes must be a list of text, not {notes!r}")
    return cast("list[str]", notes)
