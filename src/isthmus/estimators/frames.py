"""Frames of mixed columns: which kind was given, and the same kind back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from isthmus.artifact import Artifact
from isthmus.data import Schema, Source, like, to_table
from isthmus.data.raw import assembled, from_objects
from isthmus.estimators.rows import Array, laid_out


def prototype(X: Any) -> Any:
    """Return a frame without rows of the kind of `X`; nothing if it is none.

    Examples
    --------
    >>> import pandas as pd
    >>> prototype(pd.DataFrame({"a": [1, 2]})).shape
    (0, 1)
    """
    if isinstance(X, list) and X and isinstance(cast("list[Any]", X)[0], dict):
        return [{}]
    if isinstance(X, (Source, list)) or not (hasattr(X, "columns") and hasattr(X, "shape")):
        return None
    return X[:0]


def given_back(artifact: Artifact, rows: Array, shape: tuple[int, ...], frame: Any) -> Any:
    """Return rows in the data's own units as the caller knows them.

    Parameters
    ----------
    artifact : Artifact
    rows : ndarray of shape (n, \\*artifact.schema.shape)
        As `Artifact.restore` gives them.
    shape : tuple of int
        Shape of one row of an array, as the caller knows it.
    frame : Any
        A frame of the kind in which mixed columns are given back.

    Returns
    -------
    ndarray of shape (n, \\*shape), or a frame
    """
    return like(frame, to_table(rows, artifact.schema)) if artifact.schema.kind == "columns" else laid_out(rows, shape)


def column_names(schema: Schema) -> tuple[str, ...]:
    """Return the names of the columns that data must have, the ones left out too; nothing where they have none."""
    names = tuple(column.name for column in schema.types) or schema.columns
    return () if schema.types and names == tuple(f"c{j}" for j in range(len(names))) else names


def from_objects_array(X: Any) -> Source | None:
    """Return a two-dimensional array of objects or texts as mixed columns; nothing if it is none, or holds more than plain values.

    Examples
    --------
    >>> from_objects_array(np.array([["a", 1.0], [None, 2.0]], dtype=object)).types
    ('text', 'number')
    """
    if not isinstance(X, np.ndarray):
        return None
    array = cast("Array", X)
    if array.ndim != 2 or array.dtype.kind not in "OU" or not array.size:
        return None
    columns = [from_objects(array[:, j].tolist()) for j in range(array.shape[1])]
    found = [column for column in columns if column is not None]
    return assembled(found, (), "X", []) if len(found) == len(columns) and any(column.type != "number" for column in found) else None


def masked(source: Source, missing: Any) -> Source:
    """Return mixed columns in which `missing` (a number or a text) is missing.

    Examples
    --------
    >>> rows = Source("columns", np.array([[1.0, -1.0]]), types=("number", "number"))
    >>> masked(rows, -1).array.tolist()
    [[1.0, nan]]
    """
    found, number = source.array.copy(), isinstance(missing, (int, float, np.number))
    for j, (name, kind) in enumerate(zip(source.names, source.types)):
        words = list(source.vocabularies.get(name, ()))
        if kind == "text" and isinstance(missing, str) and missing in words:
            found[found[:, j] == words.index(missing), j] = np.nan
        elif number and kind in ("number", "boolean"):
            found[found[:, j] == missing, j] = np.nan
    return replace(source, array=found)


def cast_like(given: Any, table: dict[str, Any], names: Sequence[str]) -> Any:
    """Return a table as what was given; columns of frames in their former types as far as these hold the values.

    Parameters
    ----------
    given : Any
    table : dict of str to ndarray or list
    names : sequence of str
        What the columns of `given` are called in `table`.

    Returns
    -------
    frame or ndarray
    """
    found: Any = like(given, table)
    if isinstance(found, np.ndarray):
        single = getattr(given, "dtype", None) == np.float32
        return cast("Any", found).astype(np.float32) if single else cast("Any", found)
    if hasattr(found, "astype") and hasattr(given, "dtypes"):
        return _pandas_like(given, found, names)
    if hasattr(found, "cast") and hasattr(given, "schema"):
        return _polars_like(given, found)
    return found


def _pandas_like(given: Any, found: Any, names: Sequence[str]) -> Any:
    former = dict(zip(names, given.dtypes))
    kept = {
        name: former[name] for name in found.columns if name in former and not (former[name].kind in "biu" and found[name].isna().any())
    }
    return found.astype(kept).rename(columns=dict(zip(names, given.columns)))


def _polars_like(given: Any, found: Any) -> Any:
    former = dict(given.schema)
    return found.cast({name: kind for name, kind in former.items() if name in found.columns and str(kind) != "Null"})
