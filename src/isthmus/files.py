"""Write a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from isthmus.errors import DataError


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = True) -> Generator[Path]:
    """Lend a temporary path beside `path`, and move what was written there to `path` at the end.

    The temporary file lies in the same folder under a hidden, unique name with the same ending. When the block ends
    well, it is flushed to the disk and replaces `path` in one step; when it fails, it is removed and an older file at
    `path` stays as it was. Missing parent folders are made.

    Parameters
    ----------
    path : str or path
        Where the file shall lie in the end. A symbolic link is followed.
    overwrite : bool
        Whether a file that is already there may be replaced.

    Yields
    ------
    Path
        The temporary path to write to.

    Raises
    ------
    DataError
        If the file cannot be written: a folder is in its place, the folder is read-only, the disk is full, or it is
        there already and `overwrite` is false.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(os.path.realpath(path))
    _check_target(target, overwrite)
    temporary = target.with_name(f".{target.stem[:80]}.{uuid4().hex[:12]}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error}. {_mend(target)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def hold(folder: Path) -> int | None:
    """Hold a folder against other processes for as long as the returned handle is open; None where there are no such locks.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise DataError(f"cannot write {target}: a folder of that name is there. Choose another name, or a file inside the folder")
    if target.exists() and not overwrite:
        raise DataError(f"{target} is already there. Choose another name, or allow it to be replaced (overwrite=True)")


def _mend(target: Path) -> str:
    return f"Check that the folder {target.parent} can be written to and that its disk has room, or choose another place"


def _flush(path: Path) -> None:
    # Read-write, because some systems refuse to flush a file that is open for reading only.
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can open folders at all."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
