"""Open data that are larger than memory, by what the path holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from isthmus.data.dataset_base import Dataset
from isthmus.data.options import Colour, OnError, ReadOptions, as_bits, as_names, as_shape, as_size
from isthmus.errors import ConfigError, DataError

__all__ = ["Dataset", "open_dataset"]

PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")


def open_dataset(
    path: str | os.PathLike[str],
    *,
    columns: str | int | Iterable[str | int] | None = None,
    drop: str | int | Iterable[str | int] = (),
    ids: str | None = None,
    size: str | int | Sequence[int] | None = None,
    colour: Colour = "auto",
    bits: str | int = "auto",
    on_error: OnError = "refuse",
    shape: str | Sequence[int] | None = None,
) -> Dataset:
    """Open data that are too many for memory; their rows are read when they are needed.

    Parameters
    ----------
    path : str or path
        A Parquet, Arrow (``.arrow``, ``.feather``) or ``.npy`` file, a folder of Parquet or of Arrow files, also in a Hive
        partition (folders called ``name=value``), or a folder of pictures.
    columns : str or sequence of str, optional
        The columns to read, in this order; others are not looked at. The names of a Hive partition's folders are columns
        only if they stand here. Arrays take positions.
    drop : str or sequence of str
        Columns to leave out.
    ids : str, optional
        The column with the rows' names: no feature, but written beside what is made of the rows.
    size : int, str or (H, W), optional
        Height and width in pixels to which picture files are resized; by default the median size.
    colour : {"auto", "grey", "rgb", "rgba"}
        How picture files are read; "auto" keeps one channel if all are grey. Only "rgba" keeps transparency; otherwise it is white.
    bits : {"auto", 8, 16}
        Bits of a pixel of picture files; "auto" keeps 16 (as uint16) if all have 16, and reduces them to 8 otherwise.
    on_error : {"refuse", "skip"}
        What to do about pictures that cannot be read. To skip them, all are read once when the folder is opened.
    shape : str or (H, W, C), optional
        Turns the rows of a table into pictures, such as ``"28x28x1"``.

    Returns
    -------
    Dataset
        The opened data.

    Raises
    ------
    DataError
        If the path is missing, of an unknown kind or broken, or the data are empty or hold text.
    ConfigError
        If an option is wrong.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> file = Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(file, np.eye(3))
    >>> data = open_dataset(file)
    >>> len(data), data.shape, data.head(1).array.tolist()
    (3, (3,), [[1.0, 0.0, 0.0]])
    """
    asked = None if columns is None else as_names(columns)
    options = ReadOptions(None, asked, as_names(drop), as_size(size), colour, on_error, as_shape(shape), as_bits(bits))
    path = Path(path).expanduser()
    try:
        return _opened(path, options, ids)
    except OSError as error:
        raise DataError(f"cannot open {path}: {error}. Check its permissions") from error


def _opened(path: Path, options: ReadOptions, ids: str | None) -> Dataset:
    if not path.exists():
        raise DataError(f"there is no file or folder {path}. Check the path")
    files, others = _tables_in(path) if path.is_dir() else ([path], 0)
    endings = {".parquet" if file.suffix.lower() in PARQUET else ".arrow" for file in files}
    if len(endings) > 1:
        raise DataError(f"{path}: holds both Parquet and Arrow files. Give a folder with one kind of them")
    if path.is_dir() and not files:
        return _pictures(path, options, ids)
    ending = path.suffix.lower()
    if not path.is_dir() and ending == ".npy":
        return _array(path, options, ids)
    if not path.is_dir() and ending not in (*PARQUET, *ARROW):
        raise DataError(
            f"{path.name} cannot be streamed: that is built for {', '.join((*PARQUET, *ARROW))} and .npy files and folders of pictures. "
            "Convert it to Parquet, or read it into memory with isthmus.read"
        )
    found = _tables(path, files, endings == {".parquet"}, options, ids)
    if others:
        found.notes.append(f"left {others} other files in the folder alone")
    return found


def _tables_in(folder: Path) -> tuple[list[Path], int]:
    """Return the Parquet and Arrow files below a folder, and how many others; names that begin with a dot or an underscore are no data."""
    found = [file for file in folder.rglob("*") if file.is_file()]
    plain = [file for file in found if not any(part[0] in "._" for part in file.relative_to(folder).parts)]
    tables = [file for file in plain if file.suffix.lower() in (*PARQUET, *ARROW)]
    return sorted(tables, key=lambda file: file.relative_to(folder).as_posix()), len(plain) - len(tables)


def _tables(path: Path, files: Sequence[Path], parquet: bool, options: ReadOptions, ids: str | None) -> Dataset:
    from isthmus.data.dataset_ipc import ArrowDataset
    from isthmus.data.dataset_parquet import ParquetDataset
    from isthmus.data.dataset_tables import TableFile

    labelled = [TableFile(file, file.relative_to(path).as_posix() if path.is_dir() else file.name) for file in files]
    return (ParquetDataset if parquet else ArrowDataset)(labelled, path.name, options, ids)


def _array(path: Path, options: ReadOptions, ids: str | None) -> Dataset:
    from isthmus.data.dataset_arrays import ArrayDataset

    _refuse_ids(ids, path)
    return ArrayDataset(path, options)


def _pictures(path: Path, options: ReadOptions, ids: str | None) -> Dataset:
    from isthmus.data.dataset_pictures import PictureDataset

    _refuse_ids(ids, path)
    return PictureDataset(path, options)


def _refuse_ids(ids: str | None, path: Path) -> None:
    if ids is not None:
        raise ConfigError(f"ids: {path.name} has no column {ids!r}, for it has no columns with names. Leave ids out")
