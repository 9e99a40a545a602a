"""Read data from a file or a folder, by its ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from isthmus.data.arrays import read_npy, read_npz, refuse_other_size
from isthmus.data.options import Colour, OnError, ReadOptions, as_bits, as_names, as_shape, as_size
from isthmus.data.pictures import PICTURE_ENDINGS, read_folder, read_picture
from isthmus.data.source import Source
from isthmus.data.tables import read_parquet, read_text
from isthmus.errors import DataError

_Reader = Callable[[Path, ReadOptions], Source]
_READERS: dict[str, _Reader] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".txt": read_text,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys(PICTURE_ENDINGS, read_picture),
}


def read(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    columns: str | int | Iterable[str | int] | None = None,
    drop: str | int | Iterable[str | int] = (),
    size: str | int | Sequence[int] | None = None,
    colour: Colour = "auto",
    bits: str | int = "auto",
    on_error: OnError = "refuse",
    shape: str | Sequence[int] | None = None,
) -> Source:
    """Read a table, an array or a folder of pictures.

    Parameters
    ----------
    path : str or path
        A ``.csv``, ``.tsv``, ``.txt``, ``.parquet``, ``.npy`` or ``.npz`` file, a picture, or a folder of pictures.
    key : str, optional
        Which array of an ``.npz`` file; by default its only one, else X, x, x_train or data.
    columns : str or sequence of str, optional
        The columns to read, in this order; others are not looked at. Arrays take positions.
    drop : str or sequence of str
        Columns to leave out.
    size : int, str or (H, W), optional
        Height and width in pixels to which picture files are resized; by default the median size.
    colour : {"auto", "grey", "rgb", "rgba"}
        How picture files are read; "auto" keeps one channel if all are grey. Only "rgba" keeps transparency; otherwise it is white.
    bits : {"auto", 8, 16}
        Bits of a pixel of picture files; "auto" keeps 16 (as uint16) if all have 16, and reduces them to 8 otherwise.
    on_error : {"refuse", "skip"}
        What to do about pictures that cannot be read.
    shape : str or (H, W, C), optional
        Turns the rows of a table into pictures, such as ``"28x28x1"``.

    Returns
    -------
    Source
        The values with their names and with notes on each decision made.

    Raises
    ------
    DataError
        If the path is missing, of an unknown kind or broken, or the data are empty or hold text or gaps.
    ConfigError
        If an option is wrong.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> _ = file.write_text("petal,species\\n1.4,setosa\\n4.7,versicolor\\n")
    >>> read(file, drop="species").array.tolist()
    [[1.4], [4.7]]
    """
    asked = None if columns is None else as_names(columns)
    options = ReadOptions(key, asked, as_names(drop), as_size(size), colour, on_error, as_shape(shape), as_bits(bits))
    path = Path(path).expanduser()
    reader = _reader(path)
    try:
        source = reader(path, options)
    except OSError as error:
        raise DataError(f"cannot open {path}: {error}. Check its permissions") from error
    if reader in (read_text, read_parquet):
        refuse_other_size(source, options)
    return source


def _reader(path: Path) -> _Reader:
    if path.is_dir():
        return read_folder
    if not path.exists():
        raise DataError(f"there is no file or folder {path}. Check the path")
    if path.suffix.lower() not in _READERS:
        ending = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        logs = ". The lines of a log go to `isthmus detect --logs`" if path.suffix.lower() in (".log", ".gz") else ""
        raise DataError(f"{path.name} has {ending}, which is unknown. Known are {', '.join(_READERS)}, and a folder of pictures{logs}")
    return _READERS[path.suffix.lower()]
