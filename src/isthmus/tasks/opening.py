"""Open data for a fit or a use: in memory where they fit, as a stream where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data import Dataset, Schema, Source, open_dataset, read
from isthmus.data.checks import GapsError
from isthmus.data.dataset import ARROW, PARQUET
from isthmus.errors import ConfigError
from isthmus.tasks.conditions import columns_of, known_columns, with_condition
from isthmus.tasks.labels import read_names
from isthmus.tasks.memory import free
from isthmus.tasks.reading import SUBSETS, picture_options, read_for

STREAM = ("auto", "always", "never")
STREAMABLE = (*PARQUET, *ARROW, ".npy")
# No compression of real data is better than this, so smaller files need no closer look.
DENSEST = 100


def open_data(
    path: str | Path, stream: str = "auto", ids: str | None = None, condition: Sequence[str] | None = None, **options: Any
) -> Source | Dataset:
    """Open data to fit a model on.

    Parameters
    ----------
    path : path
    stream : {"auto", "always", "never"}
        Whether the rows are streamed. "auto" streams folders of Parquet or Arrow files, and everything that would take more than a
        third of the free memory.
    ids : str, optional
        Column with the rows' names, which is no feature.
    condition : sequence of str, optional
        Columns with what conditional models are told of each row, or one file with it; such rows are not streamed.
    **options
        Those of `isthmus.read`.

    Returns
    -------
    Source or Dataset
    """
    path = Path(path).expanduser()
    if condition:
        dropped = (*_names(options.get("drop")), *columns_of(condition), *([ids] if ids else []))
        options["drop"] = dropped or None
        return with_condition(read(path, **options), path, condition)
    if streams(path, stream, ids, options):
        return _dataset(path, ids, options)
    if _only_streamed(path):
        return gathered(_dataset(path, ids, options))
    if ids is not None:
        options["drop"] = (*_names(options.get("drop")), ids)
    return read(path, **options)


def open_for(
    schema: Schema,
    path: str | Path,
    fitted: Mapping[str, Any] | None = None,
    stream: str = "auto",
    ids: str | None = None,
    condition: Sequence[str] | None = None,
    **options: Any,
) -> Source | Dataset:
    """Open data for a model fitted on rows of `schema`: its columns, its pictures' size and colour.

    Parameters
    ----------
    schema : Schema
    path : path
    fitted : mapping, optional
        The options with which the data fitted on were opened.
    stream : {"auto", "always", "never"}
    ids : str, optional
        Column with the rows' names, which are written beside the results.
    condition : sequence of str, optional
        Columns, or one file, with the conditions of the rows; the columns of the data fitted on by default.
    **options
        Further options of `isthmus.read`; they win.

    Returns
    -------
    Source or Dataset
    """
    path = Path(path).expanduser()
    wanted = {**_wanted(schema, path, fitted or {}), **options}
    condition = condition or known_columns(fitted)
    if condition:
        source = with_condition(read_for(schema, path, fitted, **options), path, condition)
        return source if ids is None else replace(source, ids=read_names(path, ids, len(source)))
    if streams(path, stream, ids, wanted):
        return _dataset(path, ids, wanted).coded(schema)
    if _only_streamed(path):
        return gathered(_dataset(path, ids, wanted).coded(schema))
    source = read_for(schema, path, fitted, **options)
    return source if ids is None else replace(source, ids=read_names(path, ids, len(source)))


def _wanted(schema: Schema, path: Path, fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that give a dataset the rows of the schema."""
    if schema.kind != "pictures":
        return {"columns": schema.columns} if schema.columns else {name: fitted[name] for name in SUBSETS if fitted.get(name)}
    if path.is_dir() and not _only_streamed(path):
        return picture_options(schema)
    return {"shape": schema.shape}


def streams(path: Path, stream: str, ids: str | None, options: Mapping[str, Any]) -> bool:
    """Say whether data are to be streamed.

    Raises
    ------
    ConfigError
        If `stream` is none of its values.
    """
    if stream not in STREAM:
        raise ConfigError(f"stream must be one of {', '.join(STREAM)}, not {stream!r}")
    if stream != "auto":
        return stream == "always"
    return _only_streamed(path) or _is_large(path, ids, options)


def _only_streamed(path: Path) -> bool:
    """Say whether only a dataset can be opened from here: an Arrow file, or a folder of tables."""
    if path.is_dir():
        found = (item for item in path.rglob("*") if item.suffix.lower() in (*PARQUET, *ARROW))
        return any(not any(part[0] in "._" for part in item.relative_to(path).parts) for item in found)
    return path.suffix.lower() in ARROW


def _is_large(path: Path, ids: str | None, options: Mapping[str, Any]) -> bool:
    """Say whether the values, and their scaled copy, would take more than a third of the free memory."""
    if not path.is_dir() and path.suffix.lower() not in STREAMABLE:
        return False
    room = free() / 3
    files = (item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    if not path.exists() or sum(item.stat().st_size for item in files) * DENSEST < room:
        return False
    dataset = _dataset(path, ids, options)
    return len(dataset) * prod(dataset.shape) * (dataset.dtype.itemsize + 4) > room


def _dataset(path: Path, ids: str | None, options: Mapping[str, Any]) -> Dataset:
    if options.get("key") is not None:
        raise ConfigError(f"key is for .npz files, which cannot be streamed: leave it out, or use stream='never' ({path.name})")
    return open_dataset(path, ids=ids, **{name: value for name, value in options.items() if name != "key"})


def gathered(dataset: Dataset) -> Source:
    """Return all rows of a dataset in memory."""
    try:
        blocks = list(dataset.blocks())
    except GapsError:
        if dataset.with_gaps() is dataset:
            raise
        return gathered(dataset.with_gaps())
    array = np.concatenate([block.array for block in blocks]) if blocks else np.empty((0, *dataset.shape), dataset.dtype)
    ids = tuple(name for block in blocks for name in block.ids)
    # Texts keep their numbers from block to block, so those of the last one are those of all.
    words = dict(blocks[-1].vocabularies) if blocks else {}
    return Source(dataset.kind, array, dataset.columns, ids, list(dataset.notes), dataset.name, dataset.types, words)


def _names(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,) if isinstance(value, (str, int)) else tuple(value)
