"""Data in memory as a source: NumPy, torch, lists, pandas, polars and Arrow."""

from __future__ import annotations

import sys
from datetime import time, timedelta
from typing import Any, cast

import numpy as np

from isthmus.data.arrays import from_array
from isthmus.data.checks import as_numbers, has_gaps, listing, refuse_empty, refuse_text
from isthmus.data.columns import refuse_twins
from isthmus.data.raw import Raw, assembled, from_objects
from isthmus.data.source import Array, Source
from isthmus.data.tables import stack
from isthmus.errors import DataError


def from_any(X: Any) -> Source:
    """Return data in memory as a source.

    Parameters
    ----------
    X : array, tensor, frame or list, of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
        A NumPy array, a torch tensor, nested lists, a list of dictionaries, or a frame of pandas, polars or Arrow. Frames and
        dictionaries may hold text, dates and gaps, and tables of numbers may have gaps.

    Returns
    -------
    Source
        The values, not copied where that can be helped, with column names if all of them are text.

    Raises
    ------
    DataError
        If it is empty, holds text in an array or infinite numbers, or its shape fits nothing.

    Examples
    --------
    >>> from_any([[1.0, 2.0], [3.0, 4.0]]).array.shape
    (2, 2)
    """
    if isinstance(X, Source):
        return X
    if isinstance(X, np.ndarray):
        return from_array(np.asarray(cast("Any", X)), name="X", gaps=True)
    if _is_tensor(X):
        return from_array(_from_tensor(X), name="X", gaps=True)
    frame = _as_frame(X)
    return _from_list(X) if frame is None else _from_frame(frame)


def _is_tensor(X: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.Tensor)


def _from_tensor(X: Any) -> Array:
    if str(X.layout) != "torch.strided":
        raise DataError("X: Sparse data was passed, but dense data is required. Use X.to_dense()")
    tensor = X.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor.resolve_neg().resolve_conj()).numpy()


def _from_list(X: Any) -> Source:
    if hasattr(X, "toarray"):
        raise DataError("X: Sparse data was passed, but dense data is required. Use X.toarray() to convert it")
    if isinstance(X, list) and X and all(isinstance(row, dict) for row in cast("list[Any]", X)):
        return _from_records(cast("list[dict[Any, Any]]", X))
    try:
        array: Array = np.asarray(cast("Any", X))
    except (ValueError, TypeError) as error:
        raise DataError(f"X: not an array: {error}. Give rows of equal length") from error
    return from_array(array, name="X", gaps=True)


def _from_records(rows: list[dict[Any, Any]]) -> Source:
    """Return rows that are dictionaries; a key that a row does not have is missing there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not all(isinstance(name, str) for name in names):
        raise DataError(f"X: the keys of the rows must be text, not {listing(names)}")
    found = {name: from_objects([row.get(name) for row in rows]) for name in names}
    refuse_text({name: next((row[name] for row in rows if row.get(name) is not None), "") for name in names if found[name] is None}, "X")
    refuse_empty((len(rows), len(names)), "X")
    source = assembled([raw for raw in found.values() if raw is not None], names, "X", [])
    plain = set(source.types) == {"number"} and not has_gaps(source.array)
    return from_array(source.array, name="X", columns=source.columns) if plain else source


def _as_frame(X: Any) -> Any:
    """Return a frame behind the neutral front, or nothing if it is none."""
    # Plain containers are by far the most common: no need to load the front for them.
    if isinstance(X, (list, tuple, int, float, str)):
        return None
    import narwhals as nw

    try:
        frame: Any = nw.from_native(X, pass_through=True, eager_only=True)
    except ValueError as error:
        raise DataError(f"X: a frame that cannot be read ({error}). Give each column its own name") from error
    return cast("Any", frame) if isinstance(frame, nw.DataFrame) else None


def _from_frame(frame: Any) -> Source:
    names = list(frame.columns)
    refuse_empty(frame.shape, "X")
    named = all(isinstance(name, str) for name in names)
    if named:
        refuse_twins(names, "X")
    series = [frame[:, j] for j in range(len(names))]
    columns = tuple(names) if named else ()
    if any(not _is_numeric(entry) or (entry.null_count() and entry.dtype.is_numeric()) for entry in series):
        return _mixed(series, names, columns)
    if len({entry.dtype for entry in series}) == 1 and series[0].dtype.is_float():
        return from_array(frame.to_numpy(), name="X", columns=columns, gaps=True)
    arrays = [_to_numpy(entry) for entry in series]
    if any(map(has_gaps, arrays)):
        return _mixed(series, names, columns)
    return from_array(stack(arrays), name="X", columns=columns)


def _mixed(series: list[Any], names: list[Any], columns: tuple[str, ...]) -> Source:
    found = [_raw(entry) for entry in series]
    refuse_text({name: _example(entry) for name, entry, raw in zip(names, series, found) if raw is None}, "X")
    source = assembled([raw for raw in found if raw is not None], columns, "X", [])
    source.declared = tuple(name for name, entry in zip(source.names, series) if _is_declared(entry))
    return source


def _is_declared(series: Any) -> bool:
    """Say whether a frame declares a column as one of categories, and it is not one of names that are all different."""
    import narwhals as nw

    return series.dtype in (nw.Categorical, nw.Enum) and 2 * series.n_unique() <= len(series)


def _raw(series: Any) -> Raw | None:
    import narwhals as nw

    kind = series.dtype
    if kind in (nw.String, nw.Categorical, nw.Enum):
        return from_objects(series.cast(nw.String).to_list())
    if kind in (nw.Date, nw.Datetime):
        return Raw("date", _seconds(series))
    if kind == nw.Boolean:
        return Raw("boolean", _to_numpy(series).astype(np.float64))
    if kind.is_numeric():
        return Raw("number", _to_numpy(series).astype(np.float64))
    return from_objects(series.to_list())


def _seconds(series: Any) -> Array:
    """Return dates as seconds since 1970 (UTC), missing ones as NaN."""
    import narwhals as nw

    micros = (series.cast(nw.Datetime("us")) if series.dtype == nw.Date else series).dt.timestamp("us")
    return _to_numpy(micros.cast(nw.Float64)).astype(np.float64) / 1e6


def _is_numeric(series: Any) -> bool:
    import narwhals as nw

    if series.dtype == nw.Object:
        raw = from_objects(series.to_list())
        plain = raw is not None and raw.type in ("number", "boolean") and not has_gaps(raw.values)
        return plain and not isinstance(_example(series), (time, timedelta))
    return bool(series.dtype.is_numeric() or series.dtype == nw.Boolean)


def _example(series: Any) -> object:
    return next((value for value in series.to_list() if value is not None), "")


def _to_numpy(series: Any) -> Array:
    """Return a series as numbers, missing ones as NaN."""
    import narwhals as nw

    if series.dtype.is_decimal() or (not series.dtype.is_float() and series.dtype != nw.Object and series.null_count()):
        series = series.cast(nw.Float64)
    return as_numbers(np.asarray(series.to_numpy()), "X")
