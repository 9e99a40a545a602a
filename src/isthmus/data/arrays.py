"""Arrays, in memory and in NumPy's files, as a table or as pictures."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.checks import as_numbers, check_finite, has_gaps, listing, refuse_empty
from isthmus.data.columns import find, select
from isthmus.data.options import ReadOptions
from isthmus.data.source import Array, Source
from isthmus.errors import ConfigError, DataError

# The names under which data sets commonly keep their rows, in the order of trust.
USUAL_KEYS = ("X", "x", "x_train", "data")
_CHANNELS = (1, 3, 4)
BROKEN = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    MemoryError,
    OverflowError,
)


def from_array(
    array: Array,
    *,
    name: str,
    columns: tuple[str, ...] = (),
    shape: tuple[int, ...] | None = None,
    notes: list[str] | None = None,
    gaps: bool = False,
) -> Source:
    """Return an array as a source, after checking it.

    Parameters
    ----------
    array : ndarray of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
        Numbers. Two axes are a table, more are pictures.
    name : str
        What messages call it.
    columns : tuple of str
        Column names of a table, or empty.
    shape : tuple of int, optional
        (H, W, C) of the pictures that the rows of a table are.
    notes : list of str, optional
        Notes made before.
    gaps : bool
        Whether a table may have missing values (NaN), which makes it one of kind "columns".

    Returns
    -------
    Source
        A table or pictures, with the values untouched where their dtype allows; columns where values are missing.

    Raises
    ------
    DataError
        If it is empty, holds no numbers, has gaps, or its shape fits nothing.

    Examples
    --------
    >>> from_array(np.zeros((5, 3, 8, 8)), name="X").array.shape
    (5, 8, 8, 3)
    """
    notes = [] if notes is None else notes
    if array.ndim >= 1:
        refuse_empty(array.shape, name)
    array = _with_axes(as_numbers(array, name), name, notes)
    gaps = gaps and array.ndim == 2 and shape is None
    check_finite(array, columns, name, gaps=gaps)
    if gaps and has_gaps(array):
        return Source("columns", array.astype(np.float64, copy=False), columns, (), notes, name, ("number",) * array.shape[1])
    if shape is not None:
        array, columns = reshaped(array, shape, name, notes), ()
    return Source("table" if array.ndim == 2 else "pictures", array, columns, (), notes, name)


def _with_axes(array: Array, name: str, notes: list[str]) -> Array:
    """Return a table as (n, d) and pictures as (n, H, W, C)."""
    if array.ndim == 2 or (array.ndim == 4 and array.shape[3] in _CHANNELS):
        return array
    if array.ndim == 3:
        if array.shape[2] in (3, 4):
            notes.append(f"the shape {array.shape} is taken as {len(array)} grey pictures; give a single colour picture as array[None]")
        return array[..., None]
    if array.ndim == 4 and array.shape[1] in (1, 3):
        notes.append(f"the channels of {array.shape} were moved from the second axis to the last")
        return np.moveaxis(array, 1, 3)
    if array.ndim == 4:
        notes.append(f"the shape {array.shape} is taken as {len(array)} pictures of {array.shape[3]} channels")
        return array
    raise DataError(f"{name}: {_shape_trouble(array)}")


def _shape_trouble(array: Array) -> str:
    if array.ndim == 0:
        return f"Expected 2D array, got scalar array instead ({str(array)[:60]}). Give rows and columns; collect a lazy frame first"
    if array.ndim == 1:
        return (
            f"Expected 2D array, got 1D array instead (shape {array.shape}). "
            "Reshape your data with array.reshape(-1, 1) if it has a single column, or array.reshape(1, -1) if it is a single row"
        )
    return (
        f"the shape {array.shape} is neither a table (n, d) nor pictures (n, H, W), (n, H, W, C) or (n, C, H, W). "
        "Reshape it to one of these"
    )


def reshaped(array: Array, shape: tuple[int, ...], name: str, notes: list[str]) -> Array:
    """Return the rows of a table as pictures of `shape`, with a note.

    Raises
    ------
    DataError
        If they have another number of values.
    """
    if array.ndim == 4 and array.shape[1:] == shape:
        return array
    if array.ndim == 4 or array.shape[1] != prod(shape):
        told = "x".join(map(str, array.shape[1:]))
        raise DataError(
            f"{name}: rows of {told} values cannot be pictures of {'x'.join(map(str, shape))} = {prod(shape)}. Give another shape"
        )
    notes.append(f"each row of {array.shape[1]} values is a picture of {shape[0]} x {shape[1]} with {shape[2]} channel(s)")
    return array.reshape(-1, *shape)


def read_npy(path: Path, options: ReadOptions) -> Source:
    """Read an ``.npy`` file as a memory map.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        Its columns and drop (positions), shape, size and colour are heeded.

    Returns
    -------
    Source
        The array.

    Raises
    ------
    DataError
        If the file is broken or its array cannot be used.
    """
    try:
        array = mapped(path)
    except DataError:
        raise
    except BROKEN as error:
        raise broken_array(path.name, error) from error
    return chosen(array, path.name, options, [], gaps=True)


def mapped(path: Path) -> Any:
    """Return the array of an ``.npy`` file as a memory map.

    Raises
    ------
    DataError, ValueError
        If the file is of another kind, or broken, which NumPy says in several more ways (`BROKEN`).
    """
    with path.open("rb") as stream:
        start = stream.read(6)
        if start[:2] == b"PK":
            raise DataError(f"{path.name} holds several arrays. Give it the ending .npz")
        if start != b"\x93NUMPY":
            raise ValueError("it does not begin as such a file does")
        stream.seek(0)
        empty = 0 in _shape(stream)
    # An array without values cannot be mapped.
    return np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)


def _shape(stream: Any) -> tuple[int, ...]:
    """Return the shape that an npy stream announces."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)[0]


def read_npz(path: Path, options: ReadOptions) -> Source:
    """Read one array of an ``.npz`` file, chosen by `ReadOptions.key` or by the usual names; else as `read_npy`.

    Raises
    ------
    DataError
        If it is broken, holds no or another array than asked for, or what `read_npy` refuses.
    """
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with path.open("rb") as stream:
            archive: Any = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path.name} holds a single array. Give it the ending .npy")
            keys = [key for key in archive.files if f"{key}.npy" in archive.zip.namelist()]
            key = _choose_key(archive, keys, path.name, options.key)
            notes = [f"took the array {key!r} of {len(keys)}"] if len(keys) > 1 else []
            array = archive[key]
    except DataError:
        raise
    except BROKEN as error:
        raise broken_array(path.name, error) from error
    return chosen(array, path.name, options, notes, gaps=True)


def _choose_key(archive: Any, keys: list[str], name: str, key: str | None) -> str:
    if not keys:
        raise DataError(f"{name} holds no array. Give a file with at least one")
    if key is not None:
        if key not in keys:
            raise DataError(f"{name}: there is no array {key!r}. It has: {_contents(archive, keys)}")
        return key
    usual = [entry for entry in USUAL_KEYS if entry in keys]
    if len(keys) > 1 and not usual:
        raise DataError(f"{name}: which of its arrays? Name one with key (command line: --key NAME). It has: {_contents(archive, keys)}")
    return keys[0] if len(keys) == 1 else usual[0]


def _contents(archive: Any, keys: list[str]) -> str:
    told: list[str] = []
    for key in keys[:20]:
        with archive.zip.open(f"{key}.npy") as stream:
            told.append(f"{key!r} {_shape(stream)}")
    return ", ".join(told)


def broken_array(name: str, error: Exception) -> DataError:
    """Return the error for an array's file that cannot be read."""
    if "pickle" in str(error) or "Object arrays" in str(error):
        return DataError(
            f"{name} holds Python objects, which are not opened because that could run code. Save the data as an array of numbers"
        )
    return DataError(f"{name} cannot be read as a NumPy file: {str(error)[:200].rstrip('. ')}. It may be cut off; write or fetch it again")


def chosen(array: Array, name: str, options: ReadOptions, notes: list[str], gaps: bool = False) -> Source:
    """Take the asked columns of an array, by position, and make it a source, with `gaps` if they are allowed; errors as for `read_npy`."""
    columns: tuple[str, ...] = ()
    if array.ndim == 2 and array.shape[1] and (options.columns or options.drop):
        array, columns = _take_columns(array, name, options, notes)
    source = from_array(array, name=name, columns=columns, shape=options.shape, notes=notes, gaps=gaps)
    refuse_other_size(source, options)
    return source


def _take_columns(array: Array, name: str, options: ReadOptions, notes: list[str]) -> tuple[Array, tuple[str, ...]]:
    width = array.shape[1]
    positions = [str(j) for j in range(width)]
    unknown = [entry for entry in options.columns or () if not find(positions, (entry,), name, strict=False)]
    if unknown and options.columns and len(unknown) == len(options.columns):
        return array, _by_order(options.columns, width, name, notes)
    kept = select(positions, options, name)
    if kept == list(range(width)):
        return array, ()
    notes.append(f"took {len(kept)} of the {width} columns")
    return array[:, kept], ()


def _by_order(columns: Sequence[str | int], width: int, name: str, notes: list[str]) -> tuple[str, ...]:
    """Give the columns of an array without names the asked names, in their order."""
    if len(columns) != width:
        raise DataError(
            f"{name} has {width} columns without names; {len(columns)} are needed: {listing(columns)}. Give exactly these, in this order"
        )
    notes.append(f"the file names no columns; its {width} columns are taken in order as {listing(columns)}")
    return tuple(str(column) for column in columns)


def refuse_other_size(source: Source, options: ReadOptions) -> None:
    """Raise if a size or colour was asked for that an array does not have: only picture files are converted."""
    height, width, channels = source.array.shape[1:] if source.kind == "pictures" else (0, 0, 0)
    if options.size is not None and options.size != (height, width):
        raise ConfigError(f"{source.name}: size={options.size} is for picture files; this array of {source.array.shape} is read as it is")
    if options.colour != "auto" and channels != {"grey": 1, "rgb": 3, "rgba": 4}[options.colour]:
        raise ConfigError(
            f"{source.name}: colour={options.colour!r} is for picture files; this array of {source.array.shape} is read as it is"
        )
