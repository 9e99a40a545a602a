"""The preprocessor that fits a schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.data.mixed import ColumnsPreprocessor
from isthmus.data.preprocessor import Preprocessor
from isthmus.data.schema import Schema
from isthmus.data.source import Array
from isthmus.errors import ConfigError

AnyPreprocessor = Preprocessor | ColumnsPreprocessor


def fit_preprocessor(rows: Array | Iterable[Array], schema: Schema, scale: str = "auto") -> AnyPreprocessor:
    """Measure training rows and choose how they are scaled.

    Parameters
    ----------
    rows : ndarray of shape (n, \\*schema.shape), or iterable of such
        What `Schema.align` returns, at once or in blocks.
    schema : Schema
    scale : str
        As for `Preprocessor.fit` or, of mixed columns, `ColumnsPreprocessor.fit`.

    Returns
    -------
    Preprocessor or ColumnsPreprocessor

    Raises
    ------
    DataError, ConfigError
        As these do.
    """
    kind = ColumnsPreprocessor if schema.kind == "columns" else Preprocessor
    return kind.fit(rows, schema, scale) if hasattr(rows, "shape") else kind.fit_blocks(rows, schema, scale)  # pyright: ignore[reportArgumentType]


def restore_preprocessor(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> AnyPreprocessor:
    """Rebuild a preprocessor of either kind from its state.

    Parameters
    ----------
    entry : mapping
        Plain JSON types.
    arrays : mapping of str to ndarray

    Returns
    -------
    Preprocessor or ColumnsPreprocessor

    Raises
    ------
    ConfigError
        If an entry or an array is missing, unknown or wrong.
    """
    schema = entry.get("schema")
    if not isinstance(schema, Mapping):
        raise ConfigError(f"preprocessor: the schema must be a mapping, not {schema!r}")
    mixed = schema.get("kind") == "columns"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return (ColumnsPreprocessor if mixed else Preprocessor).from_state(entry, arrays)
