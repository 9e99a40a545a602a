"""Data in memory as a source: NumPy, torch, lists, pandas, polars and Arrow."""

from __future__ import annotations

import sys
from typing import Any, cast

import numpy as np

from isthmus.data.arrays import from_array
from isthmus.data.checks import as_numbers, refuse_empty, refuse_text
from isthmus.data.columns import refuse_twins
from isthmus.data.source import Array, Source
from isthmus.data.tables import stack
from isthmus.errors import DataError


def from_any(X: Any) -> Source:
    """Return data in memory as a source.

    Parameters
    ----------
    X : array, tensor, frame or list, of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
        A NumPy array, a torch tensor, nested lists, or a frame of pandas, polars or Arrow.

    Returns
    -------
    Source
        The values, not copied where that can be helped, with column names if all of them are text.

    Raises
    ------
    DataError
        If it is empty, holds text or gaps, or its shape fits nothing.

    Examples
    --------
    >>> from_any([[1.0, 2.0], [3.0, 4.0]]).array.shape
    (2, 2)
    """
    if isinstance(X, Source):
        return X
    if isinstance(X, np.ndarray):
        return from_array(np.asarray(cast("Any", X)), name="X")
    if _is_tensor(X):
        return from_array(_from_tensor(X), name="X")
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
    try:
        array = np.asarray(X)
    except (ValueError, TypeError) as error:
        raise DataError(f"X: not an array: {error}. Give rows of equal length") from error
    return from_array(array, name="X")


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
    refuse_text({name: _example(entry) for name, entry in zip(names, series) if not _is_numeric(entry)}, "X")
    if len({entry.dtype for entry in series}) == 1 and series[0].dtype.is_float():
        values = frame.to_numpy()
    else:
        values = stack([_to_numpy(entry) for entry in series])
    return from_array(values, name="X", columns=tuple(names) if named else ())


def _is_numeric(series: Any) -> bool:
    import narwhals as nw

    if series.dtype == nw.Object:
        return not any(isinstance(value, (str, bytes)) for value in series.to_numpy())
    return bool(series.dtype.is_numeric() or series.dtype == nw.Boolean)


def _example(series: Any) -> object:
    return next((value for value in series.to_list() if value is not None), "")


def _to_numpy(series: Any) -> Array:
    """Return a series as numbers, missing ones as NaN."""
    import narwhals as nw

    if series.dtype.is_decimal() or (not series.dtype.is_float() and series.dtype != nw.Object and series.null_count()):
        series = series.cast(nw.Float64)
    return as_numbers(np.asarray(series.to_numpy()), "X")
