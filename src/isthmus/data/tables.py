"""Tables in files: CSV and its kin, and Parquet. Both go through Arrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.arrays import from_array
from isthmus.data.cells import codes, decimal_commas
from isthmus.data.checks import has_gaps, refuse_empty, refuse_text
from isthmus.data.columns import select
from isthmus.data.options import ReadOptions
from isthmus.data.raw import assembled, from_arrow
from isthmus.data.sniff import DELIMITERS, Dialect, is_number, sniff
from isthmus.data.source import Array, Source
from isthmus.errors import DataError
from isthmus.extras import require

# Beside what Arrow knows as missing: the sign of many old public tables.
_MISSING_SIGNS = ("?",)


def read_text(path: Path, options: ReadOptions) -> Source:
    """Read a delimited text table.

    Parameters
    ----------
    path : Path
        A CSV, TSV or TXT file.
    options : ReadOptions
        Its columns, drop and shape are heeded.

    Returns
    -------
    Source
        The table with its column names.

    Raises
    ------
    DataError
        If the file is empty, no table, ragged, or has text or gaps in the columns read.
    """
    csv = require("pyarrow.csv", "table", "reading CSV files")
    dialect = sniff(path)
    chosen = select(dialect.names, options, path.name)
    columns = _parse(csv, path, dialect, chosen)
    names, notes = [dialect.names[j] for j in chosen], list(dialect.notes)
    if options.shape is None:
        columns = codes(path, dialect, columns, lambda some: _parse(csv, path, dialect, [chosen[j] for j in some], text=True))
        columns = decimal_commas(columns, names, notes)
    return _finish(columns, names, len(dialect.names), path.name, options, notes)


def _parse(csv: Any, path: Path, dialect: Dialect, chosen: Sequence[int], text: bool = False) -> list[Any]:
    # Columns are called by their position here, so that twin names outside the choice do no harm.
    keys = [str(j) for j in range(len(dialect.names))]
    convert = csv.ConvertOptions(
        include_columns=[keys[j] for j in chosen],
        column_types=dict.fromkeys([keys[j] for j in chosen], require("pyarrow", "table", "reading CSV files").string()) if text else None,
        decimal_point=dialect.decimal,
        null_values=[*csv.ConvertOptions().null_values, *_MISSING_SIGNS],
        strings_can_be_null=True,
    )
    try:
        table = _read_csv(csv, path, dialect, convert, keys, threads=True)
    except (ValueError, OSError):
        # A reader without threads knows the row's number.
        try:
            table = _read_csv(csv, path, dialect, convert, keys, threads=False)
        except (ValueError, OSError) as error:
            raise _broken_text(path.name, dialect, error) from error
    return table.columns


def _read_csv(csv: Any, path: Path, dialect: Dialect, convert: Any, keys: list[str], threads: bool) -> Any:
    reading = csv.ReadOptions(
        use_threads=threads,
        block_size=max(1 << 20, 8 * dialect.longest),
        skip_rows=dialect.blank,
        skip_rows_after_names=int(dialect.header),
        column_names=keys,
        encoding=dialect.encoding,
    )
    parsing = csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True)
    return csv.read_csv(path, read_options=reading, parse_options=parsing, convert_options=convert)


def _broken_text(name: str, dialect: Dialect, error: Exception) -> DataError:
    sign = DELIMITERS[dialect.delimiter]
    return DataError(
        f"{name} cannot be read as a table of {len(dialect.names)} columns separated by {sign}: {str(error)[:300]}. "
        "Mend that row (rows are counted from 1, with the header), or check that the file is a table"
    )


def read_parquet(path: Path, options: ReadOptions) -> Source:
    """Read a Parquet file; parameters, result and errors as for `read_text`."""
    parquet = require("pyarrow.parquet", "table", "reading Parquet files")
    notes: list[str] = []
    try:
        with parquet.ParquetFile(path) as file:
            names, hidden = visible(list(file.schema_arrow.names), options, notes)
            chosen = select(names, options, path.name)
            table = file.read(columns=[names[j] for j in chosen])
    except DataError:
        raise
    except (ValueError, OSError, NotImplementedError) as error:
        raise DataError(
            f"{path.name} cannot be read as Parquet: {str(error)[:300].rstrip('. ')}. The file may be cut off; write or fetch it again"
        ) from error
    columns = [table.column(names[j]) for j in chosen]
    return _finish(columns, [names[j] for j in chosen], len(names) + hidden, path.name, options, notes)


def visible(names: list[str], options: ReadOptions, notes: list[str]) -> tuple[list[str], int]:
    """Return the names less, and the number of, the row labels that pandas stores as columns, unless they are asked for."""
    labels = [name for name in names if re.fullmatch(r"__index_level_\d+__", name) and name not in (options.columns or ())]
    if labels:
        notes.append("left out the row labels stored by pandas")
    return [name for name in names if name not in labels], len(labels)


def _finish(columns: Sequence[Any], names: Sequence[str], total: int, file: str, options: ReadOptions, notes: list[str]) -> Source:
    if options.columns and len(names) < total:
        notes.append(f"read {len(names)} of the {total} columns")
    elif options.drop:
        notes.append(f"left out {total - len(names)} of the {total} columns")
    refuse_empty((len(columns[0]), len(columns)), file)
    pa = require("pyarrow", "table", "reading tables")
    columns = [column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column for column in columns]
    if options.shape is None and any(not is_numeric(pa, column.type) or column.null_count for column in columns):
        return _mixed(pa, columns, names, file, notes)
    refuse_text({name: example(column) for name, column in zip(names, columns) if not is_numeric(pa, column.type)}, file)
    arrays = [_to_numpy(pa, column) for column in columns]
    if options.shape is None and any(map(has_gaps, arrays)):
        return _mixed(pa, columns, names, file, notes)
    return from_array(stack(arrays), name=file, columns=tuple(names), shape=options.shape, notes=notes)


def _mixed(pa: Any, columns: Sequence[Any], names: Sequence[str], file: str, notes: list[str]) -> Source:
    found = [from_arrow(pa, column) for column in columns]
    refuse_text({name: example(column) for name, column, raw in zip(names, columns, found) if raw is None}, file)
    return assembled([raw for raw in found if raw is not None], names, file, notes)


def is_numeric(pa: Any, kind: Any) -> bool:
    """Return whether an Arrow type holds numbers."""
    types = pa.types
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null))


def example(column: Any) -> object:
    """Return the first entry of an Arrow column that is there and no number."""
    values = (entry.as_py() for entry in column)
    odd = (value for value in values if value not in (None, "") and not (isinstance(value, str) and is_number(value)))
    return next(odd, column[0].as_py())


def _to_numpy(pa: Any, column: Any) -> Array:
    """Return an Arrow column as numbers, missing ones as NaN."""
    if column.null_count or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return column.to_numpy()


def stack(columns: Sequence[Array]) -> Array:
    """Return 1-D arrays of numbers as the columns of one array, in the narrowest dtype that holds all."""
    if len(columns) == 1:
        return columns[0].reshape(-1, 1)
    out = np.empty((len(columns[0]), len(columns)), narrowest([column.dtype for column in columns]))
    for j, column in enumerate(columns):
        out[:, j] = column
    return out


def narrowest(dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the narrowest dtype that holds the values of all `dtypes`."""
    if all(dtype.kind == "b" for dtype in dtypes):
        return np.dtype(bool)
    return np.result_type(*{np.dtype(np.uint8) if dtype.kind == "b" else dtype for dtype in dtypes})
