"""Lines of a log as a stream: plain or gzip, in blocks of bounded size, whatever bytes are in them."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isthmus.data.logs.tally import Tally
from isthmus.errors import DataError

BLOCK, LONGEST, HEAD = 1 << 20, 1 << 16, 4096
PIECE = 1 << 14  # of packed bytes at a time: so much at most is lost where a gzip file breaks
STDIN = Path("-")
_GZIP = b"\x1f\x8b"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PAR1": "Parquet", b"%PDF": "PDF"}
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BINARY_SHARE, _FEW, _JUNK_SHARE = 0.1, 0.02, 0.3


@dataclass(frozen=True)
class Batch:
    """Lines that stand one after another in a file.

    Parameters
    ----------
    lines : list of str
        Without their ends.
    first : int
        Number of the first of them, from 1.
    offset : int
        Bytes of the file up to the end of the last line; of the unpacked bytes for gzip.
    """

    lines: list[str]
    first: int
    offset: int


def read_lines(path: str | os.PathLike[str], tally: Tally | None = None, *, offset: int = 0, live: bool = False) -> Iterator[Batch]:
    """Read the lines of a plain or gzip file, some thousands at a time.

    Bytes that are no UTF-8 are escaped (``\\xff``), lines longer than 65,536 bytes are cut; both are counted. A gzip file
    that ends too early or is broken gives the lines before that place, and a note. The memory needed does not depend
    on the file.

    Parameters
    ----------
    path : path
        The file; ``-`` is the standard input.
    tally : Tally, optional
        Counts the lines; their numbers go on from there.
    offset : int
        Bytes to skip, such as a batch's `offset` of an earlier run.
    live : bool
        Leave a last line without its end for later: it is still being written.

    Yields
    ------
    Batch

    Raises
    ------
    DataError
        If the file is not there, cannot be read, or holds no text.

    Examples
    --------
    >>> import tempfile
    >>> log = Path(tempfile.mkdtemp()) / "app.log"
    >>> _ = log.write_bytes(b"one\\ntwo \\xff\\n")
    >>> [batch.lines for batch in read_lines(log)]
    [['one', 'two \\\\xff']]
    """
    path, tally = Path(path), tally if tally is not None else Tally()
    cutter = _Cutter(tally, offset)
    with _opened(path) as file:
        for block in _text_blocks(file, path, tally, offset):
            if batch := cutter.add(block):
                yield batch
    if not live and (batch := cutter.end()):
        yield batch


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False) if path == STDIN else path.open("rb")
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: give the log file itself") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. Check the place and its permissions") from error


def _text_blocks(file: IO[bytes], path: Path, tally: Tally, offset: int) -> Iterator[bytes]:
    """Yield the unpacked bytes after the first `offset`."""
    head = file.read(HEAD)
    _check_magic(head, path)
    if head.startswith(_GZIP):
        blocks = _unpacked(_blocks(head, file, path, PIECE), path, tally)
    elif offset and file.seekable():
        file.seek(offset)
        head, offset = file.read(HEAD), 0
        blocks = _blocks(head, file, path, BLOCK)
    else:
        _check_text(head, path)
        blocks = _blocks(head, file, path, BLOCK)
    for block in blocks:
        if kept := block[offset:]:
            yield kept
        offset = max(offset - len(block), 0)


def _check_magic(head: bytes, path: Path) -> None:
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise DataError(f"{path} is a {name} file, which is not read as a log. Unpack it first; plain text and gzip are read")
    if head.startswith(_WIDE):
        raise DataError(f"{path} is UTF-16 text. Convert it first: iconv -f UTF-16 -t UTF-8 {path.name}")


def _check_text(head: bytes, path: Path) -> None:
    """Refuse a file whose first bytes are such as no text has."""
    control = len(_UNPRINTABLE.findall(head))
    undecodable = head.decode(errors="replace").count("\ufffd")
    # Text in an old encoding has undecodable bytes, but hardly a control character among them.
    if control > _BINARY_SHARE * len(head) or (control > _FEW * len(head) and control + undecodable > _JUNK_SHARE * len(head)):
        raise DataError(f"{path} is no text: its first {len(head):,} bytes are binary. Give a plain, gzip or JSON-lines log")


def _blocks(head: bytes, file: IO[bytes], path: Path, size: int) -> Iterator[bytes]:
    block = head
    while block:
        yield block
        try:
            block = file.read(size)
        except OSError as error:
            raise DataError(f"cannot read {path} to its end: {error.strerror or error}") from error


def _unpacked(packed: Iterator[bytes], path: Path, tally: Tally) -> Iterator[bytes]:
    """Unpack the members of a gzip file, in blocks of bounded size; say if it breaks off."""
    checked = False
    try:
        for block in _members(packed):
            if not checked:
                _check_text(block[:HEAD], path)
            checked = True
            yield block
    except (EOFError, zlib.error) as error:
        tally.note(f"{path.name}: the gzip file is broken or ends too early ({error}); only the lines before that place were read")


def _members(packed: Iterator[bytes]) -> Iterator[bytes]:
    unpack = zlib.decompressobj(31)
    for piece in packed:
        while piece:
            if unpack.eof:
                piece = piece.lstrip(b"\0")  # a file may be filled up with zeros behind a member
                if not piece:
                    break
                unpack = zlib.decompressobj(31)
            if block := unpack.decompress(piece, BLOCK):
                yield block
            piece = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
    if not unpack.eof:
        raise EOFError("its end is missing")


class _Cutter:
    """Cut bytes into lines; of a line that is too long only the first part is kept."""

    def __init__(self, tally: Tally, offset: int) -> None:
        self._tally = tally
        self._offset = offset
        self._rest: bytes = b""
        self._dropped = 0  # bytes of the unfinished line that were not kept

    def add(self, block: bytes) -> Batch | None:
        """Return the lines that end in `block`."""
        if self._dropped:
            end = block.find(b"\n")
            self._dropped += end if end >= 0 else len(block)
            if end < 0:
                return None
            block = block[end:]
        data = self._rest + block
        end = data.rfind(b"\n") + 1
        batch = self._batch(data[:end]) if end else None
        self._rest = data[end:]
        if len(self._rest) > BLOCK:
            self._rest, self._dropped = self._rest[: LONGEST + 1], len(self._rest) - LONGEST - 1
        return batch

    def end(self) -> Batch | None:
        """Return the last line if it has no end."""
        return self._batch(self._rest + b"\n") if self._rest else None

    def _batch(self, data: bytes) -> Batch:
        first = self._tally.lines + 1
        self._offset += len(data) + self._dropped
        self._dropped = 0
        lines = self._decoded(data[:-1], first)
        self._tally.lines += len(lines)
        return Batch(lines, first, self._offset)

    def _decoded(self, data: bytes, first: int) -> list[str]:
        """Decode at once what is good text, and line by line what is not."""
        try:
            lines = data.decode().split("\n")
        except UnicodeDecodeError:
            return [self._one(line, first + i) for i, line in enumerate(data.split(b"\n"))]
        return (
            [self._short(line, first + i) for i, line in enumerate(lines)]
            if b"\r\n" in data or data.endswith(b"\r") or _long(lines)
            else lines
        )

    def _one(self, line: bytes, number: int) -> str:
        text = line.decode(errors="backslashreplace")
        try:
            line[:LONGEST].decode()
        except UnicodeDecodeError as error:
            if error.start < LONGEST - 4:  # else the cut itself went through a character
                self._tally.count("undecodable", number, text)
        return self._short(text, number)

    def _short(self, text: str, number: int) -> str:
        if len(text) > LONGEST:
            self._tally.count("cut", number, text)
        return text[:LONGEST].rstrip("\r")


def _long(lines: list[str]) -> bool:
    return max(map(len, lines)) > LONGEST
