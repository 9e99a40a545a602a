"""Follow a log that is still being written: go on where the last run stopped, through rotations and truncations."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from isthmus.data.logs import read_lines
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.files import atomic_path
from isthmus.tasks.log_alarms import Verdict
from isthmus.tasks.log_watch import Watch
from isthmus.tasks.logs import LogDetector

VERSION = 1
POLL = 1.0
SAVED = 2.0  # seconds between two writings of the state while much is read
HEAD = 256  # first bytes of a file, by which it is known again
_GZIP = b"\x1f\x8b"


@dataclass
class Follower:
    """Where in a log a detector is.

    Parameters
    ----------
    detector : LogDetector
    log : path
        A plain log.
    state : path
        File that keeps the place, the open windows and the new templates from run to run.

    Raises
    ------
    DataError
        If the log cannot be followed.
    ArtifactError
        If the state is broken, or belongs to another detector or log.
    """

    detector: LogDetector
    log: Path
    state: Path

    def __post_init__(self) -> None:
        self.offset, self.inode, self.head, self.judged = 0, 0, b"", 0
        self.watch: Watch = self.detector.watch()
        self._saved = time.monotonic()
        if self.state.exists():
            self._load()

    def news(self, alpha: float | None = None) -> Iterator[Verdict]:
        """Read what was written since the last time, and judge the windows that are over.

        Parameters
        ----------
        alpha : float, optional
            The level of alarm.

        Yields
        ------
        Verdict
        """
        found = self._stat()
        if found is None:
            return
        if not self.inode:
            self._begin(self.log)
        elif found.st_ino != self.inode or found.st_size < self.offset or not self._is_same():
            yield from self._rest(alpha, found.st_ino != self.inode)
            self._begin(self.log)
        yield from self._read(self.log, alpha, live=True)

    def _stat(self) -> os.stat_result | None:
        try:
            return self.log.stat()
        except FileNotFoundError:
            if not self.inode:
                raise DataError(f"cannot read {self.log}: it is not there. Check the place, or start when there is a log") from None
            return None  # between two steps of a rotation

    def _begin(self, path: Path) -> None:
        self.offset, self.inode, self.head = 0, path.stat().st_ino, b""
        if path == self.log:
            self._is_same()
        else:
            self.head = _head(path)

    def _is_same(self) -> bool:
        with self.log.open("rb") as file:
            head = file.read(HEAD)
        if head.startswith(_GZIP):
            raise DataError(f"{self.log} is a gzip file, which nobody writes on. Follow the plain log, or score this one without following")
        same = head.startswith(self.head)
        self.head = head if same else self.head
        return same

    def _rest(self, alpha: float | None, rotated: bool) -> Iterator[Verdict]:
        """Read what was written before the log began anew: the end of the old file, and those that came and went since."""
        others, lines = self._rotated(), self.watch.tally.lines
        if not rotated:
            self.watch.tally.note(f"{self.log.name} was cut short and began anew after line {lines:,}")
        old = self._old(others)
        if old is None:
            if rotated:
                self.watch.tally.note(
                    f"{self.log.name} was rotated after line {lines:,}; the old file was not found, so its end is not read"
                )
            return
        yield from self._read(old, alpha, live=False)
        for path in others[others.index(old) + 1 :] if old in others else ():
            self._begin(path)
            yield from self._read(path, alpha, live=False)

    def _rotated(self) -> list[Path]:
        """Return the files that carry the log's name and a number or a date, the oldest first."""
        named = re.compile(re.escape(self.log.name) + r"[._-]?\d[\d._:T-]*(\.gz)?$")
        return sorted((p for p in self._beside() if named.match(p.name)), key=lambda path: path.stat().st_mtime_ns)

    def _beside(self) -> list[Path]:
        return [path for path in self.log.absolute().parent.iterdir() if path.is_file() and path.name != self.log.name]

    def _old(self, rotated: list[Path]) -> Path | None:
        """Return the file that was read so far, or a copy of it, packed or not."""
        same = next((path for path in self._beside() if path.stat().st_ino == self.inode), None)
        if same is None and self.head:
            same = next((path for path in reversed(rotated) if _head(path).startswith(self.head)), None)
        return same

    def _read(self, path: Path, alpha: float | None, live: bool) -> Iterator[Verdict]:
        for batch in read_lines(path, self.watch.tally, offset=self.offset, live=live):
            over = self.watch.feed(self.watch.parser.parse(batch.lines, batch.first))
            self.offset = batch.offset
            self.judged += len(over)
            yield from self.detector.judge(over, self.watch.keys, alpha)
            if time.monotonic() - self._saved >= SAVED:
                self.save()

    def save(self) -> None:
        """Write the state, whole or not at all."""
        place = {"offset": self.offset, "inode": self.inode, "head": self.head.hex(), "judged": self.judged}
        entry = {
            "version": VERSION,
            "log": str(self.log.resolve()),
            "detector": self.detector.fingerprint,
            **place,
            "watch": self.watch.state(),
        }
        with atomic_path(self.state) as temporary:
            temporary.write_text(json.dumps(entry, allow_nan=False), encoding="utf-8")
        self._saved = time.monotonic()

    def run(self, *, alpha: float | None = None, idle: float | None = None, poll: float = POLL) -> Iterator[Verdict]:
        """Judge the log as it is written; see `follow`.

        Raises
        ------
        ConfigError
            If `idle` or `poll` is negative.
        """
        if (idle is not None and idle < 0) or poll < 0:
            raise ConfigError("idle and poll are seconds, and must not be negative")
        quiet_since = time.monotonic()
        while True:
            before = self.watch.tally.lines
            yield from self.news(alpha)
            fresh = self.watch.tally.lines > before
            if fresh or not self.state.exists():
                self.save()
            quiet_since = time.monotonic() if fresh else quiet_since
            if idle is not None and time.monotonic() - quiet_since >= idle:
                return
            time.sleep(poll)

    def _load(self) -> None:
        mend = "Remove the file to begin anew, or name another one with state"
        try:
            entry = cast("dict[str, Any]", json.loads(self.state.read_text(encoding="utf-8")))
            if entry["version"] != VERSION or entry["detector"] != self.detector.fingerprint:
                raise ArtifactError(f"{self.state} was written with another detector. {mend}")
            if entry["log"] != str(self.log.resolve()):
                raise ArtifactError(f"{self.state} belongs to the log {entry['log']}. {mend}")
            self.offset, self.inode, self.head = int(entry["offset"]), int(entry["inode"]), bytes.fromhex(entry["head"])
            self.judged = int(entry["judged"])
            self.watch = Watch.from_state(self.detector.keys, self.detector.plan, entry["watch"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"{self.state} is not readable as the state of a followed log ({error!r}). {mend}") from error


def follow(
    detector: LogDetector, log: Path, state: Path, *, alpha: float | None = None, idle: float | None = None, poll: float = POLL
) -> Iterator[Verdict]:
    """Judge a log as it is written, beginning where the last run with the same `state` stopped.

    The state is written after each look at the file that found something, and every two seconds while much is read. A run that is
    killed judges the windows since then again the next time: none is left out.

    Parameters
    ----------
    detector : LogDetector
    log : path
    state : path
        File that keeps the place from run to run.
    alpha : float, optional
        The level of alarm.
    idle : float, optional
        Seconds without news after which to stop; never by default.
    poll : float
        Seconds between two looks at the file.

    Yields
    ------
    Verdict
        One for each window that is over; a window that is not stays open until the next run.

    Raises
    ------
    ConfigError
        If `idle` or `poll` is negative.
    """
    yield from Follower(detector, log, state).run(alpha=alpha, idle=idle, poll=poll)


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(_GZIP):
        return head
    try:
        with gzip.open(path) as file:
            return file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return b""
