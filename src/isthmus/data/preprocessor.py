"""Bring data to the scale a network sees, and back to their own units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from isthmus.data.moments import summarise
from isthmus.data.scales import Plan, Scale, make_plan, needs_moments
from isthmus.data.schema import Schema
from isthmus.data.source import Array, row_blocks
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Field, Support


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

    @property
    def scale(self) -> Scale:
        """The resolved scale: "standard", "unit" or "none"."""
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
        scale : {"auto", "standard", "unit", "none"}
            "standard" gives mean 0 and standard deviation 1: of each column of a table, of all values of pictures.
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
        summary = summarise(array, per_column=schema.kind == "table", moments=needs_moments(schema, scale))
        return cls(schema, make_plan(summary, schema, scale))

    def transform(self, array: Array) -> NDArray[np.float32]:
        """Scale rows for a network.

        Parameters
        ----------
        array : ndarray of shape (n, \\*schema.shape)
            Values in their own units; not changed.

        Returns
        -------
        ndarray of shape (n, \\*schema.shape)
            A new C-contiguous float32 array.

        Raises
        ------
        DataError
            If the shape is not the schema's, or a value is too large for float32 once scaled.
        """
        _check_shape(array, self.schema)
        out = np.empty(array.shape, np.float32)
        try:
            with np.errstate(over="raise"):
                for rows in row_blocks(len(array), max(array[:1].nbytes, out[:1].nbytes)):
                    self._forward(array[rows], out[rows])
        except FloatingPointError as error:
            raise DataError(
                "a value lies so far from the data fitted on that its scaled value is no 32-bit number. Look for it and mend it"
            ) from error
        return out

    def _forward(self, block: Array, out: NDArray[np.float32]) -> None:
        offset, divisor = self._plan.offset, self._plan.divisor
        if offset.size == 1 and offset[0] == 0 and (divisor[0] == 1 or block.dtype.name in ("bool", "uint8", "uint16", "float32")):
            # One divisor and values that float32 holds exactly: no detour through float64.
            np.divide(block, np.float32(divisor[0]), out=out, dtype=np.float32, casting="unsafe")
        else:
            np.divide(np.subtract(block, offset, dtype=np.float64), divisor, out=out, casting="same_kind")

    def inverse_transform(self, array: Array) -> Array:
        """Bring scaled values back to the data's own units and dtype.

        Parameters
        ----------
        array : ndarray of shape (..., \\*schema.shape)
            Scaled values; any number of leading axes.

        Returns
        -------
        ndarray of shape (..., \\*schema.shape)
            Floats as they were; integers rounded and clipped to their range; booleans as uint8 0 and 1.

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
            np.clip(values, *_integer_range(self.schema.dtype), out=values)
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
