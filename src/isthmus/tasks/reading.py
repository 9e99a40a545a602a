"""Read data the way a fitted model needs them."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from isthmus.data import Schema, Source, read


def read_for(schema: Schema, path: str | Path, **options: Any) -> Source:
    """Read `path` for a model fitted on rows of `schema`: its columns, its pictures' size and colour.

    Parameters
    ----------
    schema : Schema
    path : path
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
    if schema.kind == "table":
        return read(path, **{"columns": schema.columns or None, **options})
    arrays = path.suffix.lower() in (".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".pq")
    if not arrays:
        height, width, channels = schema.shape
        return read(path, **{"size": (height, width), "colour": "grey" if channels == 1 else "rgb", **options})
    source = read(path, **options)
    if source.kind == "table" and source.array.shape[1] == prod(schema.shape):
        return Source("pictures", source.array.reshape(-1, *schema.shape), notes=source.notes, name=source.name)
    return source
