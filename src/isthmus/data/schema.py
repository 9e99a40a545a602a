"""What one row of the data is: remembered with a model, and asked of data that come later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast, get_args

from isthmus.data.checks import listing
from isthmus.data.columns import missing_columns
from isthmus.data.source import Array, Source, SourceKind
from isthmus.errors import ConfigError, DataError

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@dataclass(frozen=True)
class Schema:
    """Kind, column names, shape and dtype of the rows a model was fitted on.

    Parameters
    ----------
    kind : {"table", "pictures"}
        What one row is.
    columns : tuple of str
        Column names of a table; empty where it has none, and for pictures.
    shape : tuple of int
        Shape of one row: (d,) or (H, W, C).
    dtype : str
        NumPy's name of the dtype, such as ``"uint8"``.

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

    def __post_init__(self) -> None:
        if self.kind not in get_args(SourceKind):
            raise ConfigError(f"schema: kind must be one of {get_args(SourceKind)}, not {self.kind!r}")
        if self.dtype not in DTYPES:
            raise ConfigError(f"schema: dtype must be one of {DTYPES}, not {self.dtype!r}")
        self._check_shape()
        self._check_columns()

    def _check_shape(self) -> None:
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in cast("tuple[object, ...]", self.shape))
        if len(self.shape) != (1 if self.kind == "table" else 3) or not whole:
            raise ConfigError(f"schema: the shape {self.shape} does not fit the kind {self.kind!r}")

    def _check_columns(self) -> None:
        if not all(isinstance(name, str) for name in cast("tuple[object, ...]", self.columns)):
            raise ConfigError(f"schema: column names must be text, not {listing(self.columns)}")
        if self.columns and (self.kind != "table" or len(set(self.columns)) != self.shape[0] or len(self.columns) != self.shape[0]):
            raise ConfigError(f"schema: {len(self.columns)} column names do not fit {self.kind} of shape {self.shape}")

    @classmethod
    def infer(cls, source: Source) -> Schema:
        """Return the schema of `source`."""
        return cls(source.kind, source.columns, tuple(int(n) for n in source.array.shape[1:]), source.array.dtype.name)

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
        if source.kind != self.kind:
            raise DataError(self._other_kind(source))
        if self.kind == "pictures":
            return self._align_pictures(source)
        return self._align_named(source) if self.columns and source.columns else self._align_unnamed(source)

    def _other_kind(self, source: Source) -> str:
        needs = f"{self.kind} of shape {self.shape}"
        mend = f"Read it with shape={'x'.join(map(str, self.shape))}" if self.kind == "pictures" else "Give a table with these columns"
        return f"{source.name} holds {source.kind} of shape {source.array.shape[1:]}; the model needs {needs}. {mend}"

    def _align_pictures(self, source: Source) -> Array:
        shape = source.array.shape[1:]
        if shape != self.shape:
            colour = {1: "grey", 3: "rgb"}.get(self.shape[2], "auto")
            raise DataError(
                f"{source.name}: pictures of {_told(shape)}; the model needs {_told(self.shape)} (height x width x channels). "
                f"Read picture files with size={self.shape[0]}x{self.shape[1]} and colour={colour!r}, or resize the array"
            )
        if (source.array.dtype.kind == "f") != (self.dtype[:5] == "float"):
            source.notes.append(
                f"the model was fitted on {self.dtype} and these are {source.array.dtype.name}: they are taken to be in the same units"
            )
        return source.array

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
        return {**asdict(self), "columns": list(self.columns), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Schema:
        """Rebuild a schema from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing, unknown or wrong.
        """
        if set(entry) != {"kind", "columns", "shape", "dtype"}:
            raise ConfigError(f"schema: needs exactly kind, columns, shape and dtype, has {sorted(map(str, entry))}")
        return cls(entry["kind"], _as_tuple("columns", entry["columns"]), _as_tuple("shape", entry["shape"]), entry["dtype"])


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"schema: {name} must be a list, not {value!r}")
    return tuple(cast("list[Any]", value))


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
