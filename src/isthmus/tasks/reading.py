"""Read data the way a fitted model needs them, and recognise them again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Schema, Source, read
from isthmus.errors import DataError

Array = NDArray[Any]
ARRAYS = (".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".pq")
SUBSETS = ("columns", "drop")
SAMPLED = 256


def read_for(schema: Schema, path: str | Path, fitted: Mapping[str, Any] | None = None, **options: Any) -> Source:
    """Read `path` for a model fitted on rows of `schema`: its columns, its pictures' size and colour.

    Parameters
    ----------
    schema : Schema
    path : path
    fitted : mapping, optional
        The options with which the data fitted on were read: which columns were taken, where those have no names to ask for.
    **options
        Further options of `isthmus.read`, such as `key` and `on_error`; they win.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If the data cannot be read, or columns are missing.
    """
    path = Path(path).expanduser()
    if schema.kind == "columns" and path.suffix.lower() in (".npy", ".npz"):
        return read(path, **{name: fitted[name] for name in SUBSETS if fitted and fitted.get(name)}, **options)
    if schema.kind != "pictures" and schema.columns:
        return _read(path, {"columns": schema.columns, **options})
    if path.suffix.lower() in ARRAYS and not path.is_dir():
        return _read_array(schema, path, fitted or {}, options)
    if schema.kind == "table":
        return read(path, **options)
    return _read(path, {**picture_options(schema), **options})


def picture_options(schema: Schema) -> dict[str, Any]:
    """Return the options of `isthmus.read` that give picture files the size, channels and bits of the schema's rows."""
    height, width, channels = schema.shape
    colour = {1: "grey", 3: "rgb", 4: "rgba"}.get(channels, "auto")
    return {"size": (height, width), "colour": colour, "bits": 16 if schema.dtype == "uint16" else 8}


def _read(path: Path, options: Mapping[str, Any]) -> Source:
    return read(path, **options)


def _read_array(schema: Schema, path: Path, fitted: Mapping[str, Any], options: dict[str, Any]) -> Source:
    subset = {name: fitted[name] for name in SUBSETS if fitted.get(name)}
    source = (_read_subset(schema, path, {**subset, **options}) if subset else None) or read(path, **options)
    if schema.kind == "pictures" and source.kind == "table" and source.array.shape[1] == prod(schema.shape):
        return Source("pictures", source.array.reshape(-1, *schema.shape), notes=source.notes, name=source.name)
    return source


def _read_subset(schema: Schema, path: Path, options: dict[str, Any]) -> Source | None:
    """Read the columns that the fit took; nothing if these data have other ones."""
    try:
        source = read(path, **options)
    except DataError:
        return None
    return source if prod(source.array.shape[1:]) == prod(schema.shape) else None


def digest(source: Source) -> str:
    """Return a short digest by which the same values are recognised, whatever file they come from.

    Parameters
    ----------
    source : Source

    Returns
    -------
    str
        Of shape and dtype and of up to 256 rows spread over the data.

    Examples
    --------
    >>> digest(Source("table", np.eye(3))) == digest(Source("table", np.eye(3), name="copy"))
    True
    """
    return digest_of(source.array.shape, source.array.dtype, source.array[:: max(1, len(source) // SAMPLED)])


def digest_of(shape: tuple[int, ...], dtype: np.dtype[Any], rows: Array) -> str:
    """Return the digest of data of this shape and dtype, with `rows` spread over them."""
    found = hashlib.sha256(f"{shape} {dtype}".encode())
    found.update(np.ascontiguousarray(rows).tobytes())
    return found.hexdigest()[:16]
