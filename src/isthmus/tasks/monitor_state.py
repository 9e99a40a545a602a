"""A monitor that survives a restart: its state in one file, its events in another, both whole after every batch."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, cast

from isthmus.errors import ConfigError, DataError
from isthmus.files import atomic_path, hold
from isthmus.tasks.monitor import Alarm, Health

FORMAT, VERSION = "isthmus monitor", 1
LARGEST = 64 << 20
# Batches that are recognised when they come again.
MOST_SEEN = 5000
EVENTS: tuple[str, ...] = (
    "event",
    "what",
    "alarm",
    "kind",
    "time",
    "batch",
    "row",
    "rows",
    "strange",
    "score",
    "p_value",
    "health",
    "reasons",
)
ENDINGS = (".jsonl", ".csv")


def digest(path: Path) -> str:
    """Return a digest by which a file is recognised, or the files of a folder by name and size.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    found = hashlib.sha256()
    try:
        if path.is_dir():
            entries = sorted(f"{item.relative_to(path)} {item.stat().st_size}" for item in path.rglob("*") if item.is_file())
            found.update("\n".join(entries).encode())
        else:
            with path.open("rb") as stream:
                for part in iter(lambda: stream.read(1 << 20), b""):
                    found.update(part)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. Check the path and its permissions") from error
    return found.hexdigest()[:16]


@dataclass
class Memory:
    """What is kept on the disk.

    Parameters
    ----------
    path : path
        The state's file.
    model : str
        Digest of the model it belongs to.
    out : path, optional
        File of the events: ``.jsonl`` or ``.csv``.
    monitor : mapping, optional
        State of the monitor after the last whole batch.
    budget : str
        The budget then.
    seen : dict of str to str
        Digests of the files taken so far, with their names.
    events : int
        Events written so far.
    places : dict of str to int
        Size of the events' file after the last whole batch, by its path.
    """

    path: Path
    model: str
    out: Path | None = None
    monitor: Mapping[str, Any] | None = None
    budget: str = ""
    seen: dict[str, str] = field(default_factory=dict[str, str])
    events: int = 0
    places: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def open(cls, path: Path, model: str, out: Path | None = None) -> Memory:
        """Read the state at `path`, or begin a new one; what a killed run left in the events' file is taken back.

        Raises
        ------
        ConfigError
            If the file is no state, or that of another model.
        DataError
            If it cannot be read.
        """
        memory = cls(path, model, out)
        entry = _read(path)
        if entry is not None:
            memory._take(entry)
        memory._mend()
        return memory

    def _take(self, entry: Mapping[str, Any]) -> None:
        afresh = "Choose another --state, or remove the file to start afresh"
        if entry.get("format") != FORMAT or entry.get("version") != VERSION:
            raise ConfigError(f"{self.path} is not the state of a monitor of this version. {afresh}")
        if entry.get("model") != self.model:
            raise ConfigError(f"{self.path} belongs to another model, or the model was fitted again. {afresh}")
        try:
            self.monitor, self.budget, self.seen = dict(entry["monitor"]), str(entry["budget"]), dict(entry["seen"])
            self.events, self.places = int(entry["events"]), {str(k): int(v) for k, v in entry["places"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{self.path} is broken ({error!r}). {afresh}") from error

    def _mend(self) -> None:
        """Cut off events of a batch that was not finished, and nothing else."""
        if self.out is None or not self.out.is_file():
            return
        whole = self.places.get(str(self.out.resolve()))
        if whole is None or self.out.stat().st_size <= whole:
            return
        with self.out.open("r+b") as stream:
            stream.seek(whole)
            tail = stream.read(64)
            mark = f"{self.events + 1},".encode() if self.out.suffix.lower() == ".csv" else f'{{"event": {self.events + 1},'.encode()
            if tail.startswith(mark) or mark.startswith(tail):
                stream.truncate(whole)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold the state against other processes.

        Raises
        ------
        ConfigError
            If another monitor uses it.
        DataError
            If its folder cannot be written to.
        """
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.touch()
            handle = hold(lock)
        except BlockingIOError as error:
            raise ConfigError(f"another monitor uses {self.path}. Give this one a --state of its own") from error
        except OSError as error:
            raise DataError(f"cannot write {lock}: {error.strerror or error}. Choose another --state") from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            if handle is not None:
                os.close(handle)

    def knows(self, digest: str) -> bool:
        """Return whether a file was taken before."""
        return digest in self.seen

    def save(
        self, state: Mapping[str, Any], budget: str, events: Sequence[Mapping[str, Any]] = (), batch: tuple[str, str] | None = None
    ) -> None:
        """Write events and state after a batch.

        The events come first: if the process dies in between, the next one takes them back and does the batch again.

        Parameters
        ----------
        state : mapping
            Of the monitor.
        budget : str
        events : sequence of mapping
            As `told` gives them.
        batch : (str, str), optional
            Digest and name of the file.

        Raises
        ------
        DataError
            If a file cannot be written.
        """
        self._append(events)
        self.events += len(events)
        self.monitor, self.budget = state, budget
        if batch is not None:
            self.seen[batch[0]] = batch[1]
            for old in list(self.seen)[: max(0, len(self.seen) - MOST_SEEN)]:
                del self.seen[old]
        entry = {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "budget": budget,
            "monitor": state,
            "seen": self.seen,
            "events": self.events,
            "places": self.places,
        }
        with atomic_path(self.path) as beside:
            beside.write_text(json.dumps(entry), encoding="utf-8")

    def _append(self, events: Sequence[Mapping[str, Any]]) -> None:
        if self.out is None or not (events or not self.out.exists()):
            return
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            with self.out.open("ab") as stream:
                stream.write(_lines(self.out, stream.tell() == 0, self.events + 1, events).encode())
                stream.flush()
                os.fsync(stream.fileno())
                self.places = {str(self.out.resolve()): stream.tell()}
        except OSError as error:
            raise DataError(f"cannot write {self.out}: {error.strerror or error}. Choose another --out") from error


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path} is too large for the state of a monitor. Choose another --state")
        entry: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. Check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not the state of a monitor. Choose another --state, or remove the file to start afresh") from error
    return cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}


def _lines(path: Path, first: bool, number: int, events: Iterable[Mapping[str, Any]]) -> str:
    numbered: list[dict[str, Any]] = [{"event": number + i, **event} for i, event in enumerate(events)]
    if path.suffix.lower() != ".csv":
        return "".join(json.dumps(event) + "\n" for event in numbered)
    text = StringIO()
    writer = csv.DictWriter(text, EVENTS, lineterminator="\n")
    if first:
        writer.writeheader()
    writer.writerows({**event, "reasons": "; ".join(event["reasons"])} for event in numbered)
    return text.getvalue()


def told(health: Health) -> list[dict[str, Any]]:
    """Return what a batch adds to the events: alarms that begin, alarms that are over, and that it could not be scored.

    Parameters
    ----------
    health : Health

    Returns
    -------
    list of dict
        With the entries of `EVENTS`, but the number.
    """
    events = [_event(health, "alarm", alarm) for alarm in health.alarms]
    events += [_event(health, "over", alarm) for alarm in health.ended]
    if health.verdict == "not scored":
        events.append({**dict.fromkeys(EVENTS[1:]), "what": "not scored", **_where(health), "reasons": [health.note]})
    return events


def _where(health: Health) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {"time": datetime.fromtimestamp(health.time, UTC).isoformat(timespec="seconds"), "batch": health.batch}


def _event(health: Health, what: str, alarm: Alarm) -> dict[str, Any]:
    over = what == "over"
    return {
        "what": what,
        "alarm": alarm.number,
        "kind": alarm.kind,
        **_where(health),
        "row": None if over else alarm.row,
        "rows": alarm.rows if over else None,
        "strange": alarm.strange if over else None,
        "score": alarm.score,
        "p_value": alarm.p_value,
        "health": round(health.health, 2),
        "reasons": list(alarm.reasons),
    }
