"""Write arrays to a file or a folder, in the format that the ending names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from isthmus.data.append import Head, opened
from isthmus.data.credentials import sign
from isthmus.data.picture_files import PICTURE_OUTPUTS, save_picture
from isthmus.data.provenance import Provenance, check_provenance
from isthmus.data.sheet import as_pictures, as_pixels, contact_sheet
from isthmus.data.source import Array
from isthmus.errors import ConfigError, DataError
from isthmus.files import atomic_path

MIXED = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class _Content:
    """What to write: the values with names for their columns and rows, and the metadata of pictures."""

    array: Array
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    made: Provenance | None


_Writer = Callable[[Path, _Content], None]


def write(
    path: str | os.PathLike[str],
    array: Array | Mapping[str, Any],
    *,
    columns: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    overwrite: bool = True,
    provenance: Provenance | None = None,
) -> Path:
    """Write an array; a file is written whole or not at all.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.tsv``, ``.parquet``, ``.npy``, ``.npz`` (under the key "data"), ``.png``, ``.jpg``, ``.webp`` or ``.avif``
        (one picture, or several on a sheet), or a folder: a path without an ending takes one PNG per picture.
    array : ndarray of shape (n,), (n, d), (H, W, C), (n, H, W, C) or (rows, steps, H, W, C)
        Numbers. Tables take pictures too, one value per column. Or columns of mixed types, as `isthmus.data.to_table` returns them.
        Pictures of uint16 are written as PNG of 16 bits; other formats have 8.
    columns : sequence of str, optional
        Names of the columns in a table; c0, c1 ... by default.
    ids : sequence of str, optional
        Names of the rows: the first column "id" of a table, or the files' names in a folder.
    overwrite : bool
        Whether a file that is already there may be replaced.
    provenance : Provenance, optional
        How pictures came to be, which is written into their metadata (XMP): see `isthmus.tasks.provenance.provenance` for those
        that a model made. Within `isthmus.data.signing` they are signed too (C2PA).

    Returns
    -------
    Path
        The file or folder.

    Raises
    ------
    DataError
        If the ending is unknown, the array does not fit the format, or the place cannot be written to.
    ConfigError
        If there are not as many names as columns or rows, or `provenance` is something else.

    Examples
    --------
    >>> import tempfile
    >>> file = write(Path(tempfile.mkdtemp()) / "codes.csv", np.eye(2), columns=["a", "b"])
    >>> file.read_text().splitlines()
    ['a,b', '1.0,0.0', '0.0,1.0']
    """
    path = Path(path).expanduser()
    if isinstance(array, Mapping):
        return _write_mixed(path, array, tuple(ids or ()), overwrite)
    content = _Content(np.asarray(array), tuple(columns or ()), tuple(ids or ()), check_provenance(provenance))
    if content.ids and (content.array.ndim == 0 or len(content.ids) != len(content.array)):
        raise ConfigError(f"ids: {len(content.ids)} names for an array of shape {content.array.shape}; give one for each row")
    if not path.suffix or path.is_dir():
        return _write_folder(path, content, overwrite)
    writer = _writer(path)
    with atomic_path(path, overwrite=overwrite) as temporary:
        writer(temporary, content)
    return path


def _write_mixed(path: Path, table: Mapping[str, Any], ids: tuple[str, ...], overwrite: bool) -> Path:
    rows = len(next(iter(table.values()), ()))
    if path.suffix.lower() not in MIXED or path.is_dir():
        raise DataError(f"cannot write {path}: mixed columns are written to {', '.join(MIXED)} only")
    if ids and len(ids) != rows:
        raise ConfigError(f"ids: {len(ids)} names for {rows} rows; give one for each row")
    with atomic_path(path, overwrite=overwrite) as temporary, opened(temporary, Head(tuple(table), rows, "id" if ids else "")) as file:
        file.add(table, ids)
    return path


def _writer(path: Path) -> _Writer:
    if path.suffix.lower() not in _WRITERS:
        raise DataError(
            f"cannot write {path.name}: the ending {path.suffix!r} is unknown. Known are {', '.join(_WRITERS)}, and a folder for pictures"
        )
    return _WRITERS[path.suffix.lower()]


def _as_table(content: _Content) -> tuple[Array, list[str]]:
    """Return the values as (n, d), with the names of the d columns."""
    array = content.array
    if array.ndim == 0:
        raise DataError("a single number is no table. Give an array with at least one axis")
    table = array.reshape(len(array), int(np.prod(array.shape[1:])))
    names = list(content.columns) or [f"c{j}" for j in range(table.shape[1])]
    if len(names) != table.shape[1]:
        raise ConfigError(f"columns: {len(names)} names for {table.shape[1]} columns; give one for each")
    return table, names


def _write_table(path: Path, content: _Content) -> None:
    table, names = _as_table(content)
    with opened(path, Head(tuple(names), len(table), "id" if content.ids else "")) as file:
        file.add(table, content.ids)


def _write_npy(path: Path, content: _Content) -> None:
    np.save(path, content.array, allow_pickle=False)


def _write_npz(path: Path, content: _Content) -> None:
    arrays = {"data": content.array, "ids": np.asarray(content.ids)} if content.ids else {"data": content.array}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _write_picture(path: Path, content: _Content) -> None:
    pixels = as_pixels(as_pictures(content.array))
    steps = content.array.shape[1] if content.array.ndim == 5 else None
    _save(path, pixels[0] if len(pixels) == 1 else contact_sheet(pixels, steps), content.made)


def _save(path: Path, pixels: Array, made: Provenance | None) -> None:
    save_picture(path, pixels, made.to_xmp() if made else b"")
    if made is not None:
        sign(path, made)


def _write_folder(folder: Path, content: _Content, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"cannot write pictures to {folder}: it is a file. Choose another name, or an ending of {', '.join(_WRITERS)}")
    if content.array.ndim < 3:
        raise DataError(
            f"cannot write a table of shape {content.array.shape} to the folder {folder}. Give the file an ending: {', '.join(_WRITERS)}"
        )
    pixels = as_pixels(as_pictures(content.array))
    for name, picture in zip(_file_names(content.ids, len(pixels)), pixels):
        with atomic_path(folder / name, overwrite=overwrite) as temporary:
            _save(temporary, picture, content.made)
    return folder


def _file_names(ids: Sequence[str], count: int) -> list[str]:
    if len(ids) != count:
        return [f"{i:05d}.png" for i in range(count)]
    for name in ids:
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise DataError(f"the name {name!r} would lie outside the folder. Give plain names")
    plain = [str(PurePosixPath(name).with_suffix(".png")) for name in ids]
    return plain if len(set(plain)) == count else [f"{name}.png" for name in ids]


_WRITERS: dict[str, _Writer] = {
    ".csv": _write_table,
    ".tsv": _write_table,
    ".parquet": _write_table,
    ".npy": _write_npy,
    ".npz": _write_npz,
    **dict.fromkeys(PICTURE_OUTPUTS, _write_picture),
}
