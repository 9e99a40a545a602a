"""Known classes of rows, read for measuring only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import DataError
from isthmus.extras import require


def read_labels(path: str | Path, key: str | None = None) -> NDArray[Any]:
    """Read one label per row: a text file with a label a line (a first line ``label`` is a heading), ``.npy`` or ``.npz``.

    Parameters
    ----------
    path : path
        ``.npy``, ``.npz`` (with `key`), ``.parquet`` (its only column, or `key`), or text (the only column, or `key`).
    key : str, optional
        Array or column that holds the labels.

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    DataError
        If the file holds anything else.
    """
    path = Path(path).expanduser()
    try:
        found = _numpy(path, key) if path.suffix in (".npy", ".npz") else _column(path, key)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"cannot read labels from {path}: {error}") from error
    if found.ndim != 1 or found.dtype == object:
        raise DataError(f"{path}: labels must be one number or text per row, not an array of shape {found.shape}")
    return found


def _numpy(path: Path, key: str | None) -> NDArray[Any]:
    found = np.load(path, allow_pickle=False)
    if path.suffix == ".npy":
        return found
    names = list(found.files)
    if key is None and len(names) > 1:
        raise DataError(f"{path} holds {', '.join(names)}; say which one holds the labels (--labels-key)")
    return found[key or names[0]]


def _column(path: Path, key: str | None) -> NDArray[Any]:
    reader = require("pyarrow.parquet" if path.suffix in (".parquet", ".pq") else "pyarrow.csv", "table", "reading labels from a table")
    table: Any = reader.read_table(path) if path.suffix in (".parquet", ".pq") else reader.read_csv(path)
    if key is None and table.num_columns > 1:
        raise DataError(f"{path} has the columns {', '.join(table.column_names[:8])}; say which one holds the labels (--labels-key)")
    column = table.column(key or table.column_names[0]).to_pylist()
    return np.asarray(column)
