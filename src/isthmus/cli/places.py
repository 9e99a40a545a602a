"""Where things are read from and written to: checked before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus.errors import ArtifactError, DataError

TABLES = (".csv", ".tsv", ".parquet", ".npy", ".npz")
SHEETS = (".png", ".jpg", ".jpeg", ".webp", ".avif")
PICTURES = (*TABLES, *SHEETS)


def named(path: Path) -> Path:
    """Return a path with a name, also for ``.`` and ``..``."""
    path = path.expanduser()
    return path if path.name not in ("", "..") else path.resolve()


def check_folder(out: Path, overwrite: bool, flag: str = "--out") -> None:
    """Refuse early what could not be saved later.

    Parameters
    ----------
    out : path
        Folder of a model to be.
    overwrite : bool
        Whether a model that is there may be replaced.
    flag : str
        What the message asks to change.

    Raises
    ------
    ArtifactError
        If something is at `out` already.
    DataError
        If the folder cannot be made or written to.
    """
    if out.is_dir() and any(out.iterdir()):
        if not (out / "config.json").exists():
            raise ArtifactError(f"{out} is there already and is no saved model: it is left as it is; choose another {flag}")
        if not overwrite:
            raise ArtifactError(f"{out} holds a model already; add --overwrite or choose another {flag}")
    elif out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is there already and is no folder; choose another {flag}")
    check_parent(out, flag)


def check_file(out: Path, endings: tuple[str, ...], folder: bool = False, flag: str = "--out") -> None:
    """Refuse early an output that could not be written later.

    Parameters
    ----------
    out : path
    endings : tuple of str
        Those that are allowed.
    folder : bool
        Whether a path without an ending may be a folder to be.
    flag : str
        What the message asks to change.

    Raises
    ------
    DataError
        If the ending is another, a folder is in the way, or the place cannot be written to.
    """
    known = ", ".join(endings) + (", or a folder (no ending)" if folder else "")
    if out.suffix.lower() not in endings and not (folder and not out.suffix):
        raise DataError(f"cannot write {out}: {flag} must end in one of {known}")
    if out.is_dir() and not folder:
        raise DataError(f"cannot write {out}: a folder of that name is there; choose another {flag}")
    check_parent(out, flag)


def check_apart(out: Path, *read: Path | None, flag: str = "--out") -> None:
    """Refuse to write over what is read.

    Parameters
    ----------
    out : path
        File or folder to be.
    *read : path or None
        Files or folders that are read; None means nothing.
    flag : str
        What the message asks to change.

    Raises
    ------
    DataError
        If `out` is one of them.
    """
    place = Path(os.path.realpath(out.expanduser()))
    for path in read:
        other = None if path is None else Path(os.path.realpath(path.expanduser()))
        if other is not None and (other == place or (place.is_file() and other.is_file() and other.samefile(place))):
            raise DataError(f"{out} is what is read, and would be replaced: choose another {flag}")


def check_parent(out: Path, flag: str = "--out") -> None:
    """Refuse a place into which nothing can be written.

    Parameters
    ----------
    out : path
        File or folder to be.
    flag : str
        What the message asks to change.

    Raises
    ------
    DataError
        If a file stands where a folder must be, or writing is not allowed.
    """
    parent = Path(os.path.realpath(out)).parent
    there = next(folder for folder in (parent, *parent.parents) if folder.exists())
    if not there.is_dir():
        raise DataError(f"cannot write {out}: {there} is a file, not a folder; choose another {flag}")
    if not os.access(there, os.W_OK):
        raise DataError(f"cannot write {out}: no permission to write into {there}; choose another {flag}")


def check_pictures(out: Path) -> None:
    """Refuse a place into which the pictures of a folder cannot go one by one.

    Raises
    ------
    DataError
        If it is a file by its ending or in fact, or writing is not allowed.
    """
    if out.suffix.lower() in PICTURES or out.is_file():
        raise DataError(f"{out} is no folder: a folder of pictures goes into a folder (a path without an ending)")
    check_parent(out)
