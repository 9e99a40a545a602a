"""From the lines of a log to records: time, level, message and template of each line, in their order."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from isthmus.data.logs.formats import JSON, LOOKED_AT, Format, find_format
from isthmus.data.logs.lines import Batch, read_lines
from isthmus.data.logs.tally import Tally
from isthmus.data.logs.times import Clock

_TIMES = ("time", "timestamp", "@timestamp", "ts", "t", "date", "datetime", "asctime")
_LEVELS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel")
_MESSAGES = ("message", "msg", "event", "text", "log", "body")

Parts = tuple[str | None, str, str]


@dataclass(slots=True, frozen=True)
class Record:
    """A line of a log, taken apart.

    Parameters
    ----------
    number : int
        Of the line, from 1.
    time : float
        Seconds since 1970 (UTC); NaN where no time is known yet.
    level : str
        In capitals; empty where the line has none.
    message : str
    line : str
        The line as it is.
    """

    number: int
    time: float
    level: str
    message: str
    line: str


@dataclass
class Parser:
    """Take lines apart, and count those that do not have the format.

    Parameters
    ----------
    form : Format
    tally : Tally
        Counts what is peculiar.
    clock : Clock
        Reads the times.
    time : float
        The last time read: a line without one has it too.

    Examples
    --------
    >>> parser = Parser(find_format("log4j"))
    >>> found = parser.parse(["2024-05-01 10:00:00,123 ERROR app.Main: disk full", "\\tat app.Main.run(Main.java:7)"])
    >>> [(record.level, record.message) for record in found]
    [('ERROR', 'app.Main: disk full'), ('', '\\tat app.Main.run(Main.java:7)')]
    >>> parser.tally.counts["unparsed"], found[1].time == found[0].time
    (1, True)
    """

    form: Format
    tally: Tally = field(default_factory=Tally)
    clock: Clock = field(default_factory=Clock)
    time: float = math.nan

    def parse(self, lines: Iterable[str], first: int = 1) -> list[Record]:
        """Return a record for each line; the numbers begin at `first`."""
        split = _from_json if self.form.name == JSON else self._splitter()
        found: list[Record] = []
        for number, line in enumerate(lines, first):
            parts = split(line)
            if parts is None:
                self.tally.count("unparsed" if line.strip() else "empty", number, line)
                parts = (None, "", line)
            elif parts[0] is not None:
                self._see(parts[0], number, line)
            found.append(Record(number, self.time, parts[1].upper(), parts[2], line))
        return found

    def _see(self, text: str, number: int, line: str) -> None:
        time = self.clock(text)
        if time == time:
            self.time = time
        else:
            self.tally.count("timeless", number, line)

    def _splitter(self) -> Callable[[str], Parts | None]:
        pattern = cast("Any", self.form.pattern)
        match, groups = pattern.match, pattern.groupindex
        if "time" in groups and "level" in groups:
            return lambda line: (m["time"], m["level"] or "", m["message"] or "") if (m := match(line)) else None
        if "time" in groups:
            return lambda line: (m["time"], "", m["message"] or "") if (m := match(line)) else None
        if "level" in groups:
            return lambda line: (None, m["level"] or "", m["message"] or "") if (m := match(line)) else None
        return lambda line: (None, "", m["message"] or "") if line and (m := match(line)) else None

    def state(self) -> dict[str, Any]:
        """Return all as JSON."""
        time = None if math.isnan(self.time) else self.time
        return {"form": self.form.state(), "tally": self.tally.state(), "last": list(self.clock.last), "time": time}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Parser:
        """Return what `state` told."""
        time = math.nan if state["time"] is None else float(state["time"])
        year, month = state["last"]
        return cls(Format.from_state(state["form"]), Tally.from_state(state["tally"]), Clock((int(year), int(month))), time)


def _from_json(line: str) -> Parts | None:
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    named = cast("dict[str, Any]", entry)
    time, level, message = (_first(named, names) for names in (_TIMES, _LEVELS, _MESSAGES))
    if message is None:
        others = {name: value for name, value in named.items() if name not in (*_TIMES, *_LEVELS)}
        message = " ".join(f"{name}={value}" for name, value in sorted(others.items()))
    return time, level or "", message


def _first(entry: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(entry[name]) for name in names if entry.get(name) is not None), None)


@dataclass
class Reading:
    """A log that is being read.

    Parameters
    ----------
    parser : Parser
    batches : iterator of Batch
    """

    parser: Parser
    batches: Iterator[Batch]

    def __iter__(self) -> Iterator[tuple[list[Record], Batch]]:
        """Yield the records of each batch of lines, and the batch."""
        for batch in self.batches:
            yield self.parser.parse(batch.lines, batch.first), batch


def read_log(path: str | os.PathLike[str], form: str | None = None, tally: Tally | None = None) -> Reading:
    """Open a log for reading; its format is recognised by its first lines.

    Parameters
    ----------
    path : path
        A plain, gzip or JSON-lines log; ``-`` is the standard input.
    form : str, optional
        Name of a format, or a regular expression with named groups; see `find_format`.
    tally : Tally, optional
        Counts the lines.

    Returns
    -------
    Reading
        Its iteration yields the records.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> log = Path(tempfile.mkdtemp()) / "app.log"
    >>> _ = log.write_text("Jun 14 15:16:01 combo sshd[1]: check pass; user unknown\\n")
    >>> [record.message for records, _ in read_log(log) for record in records]
    ['check pass; user unknown']
    """
    tally = tally if tally is not None else Tally()
    batches = read_lines(path, tally)
    ahead: list[Batch] = []
    for batch in batches:
        ahead.append(batch)
        if sum(len(b.lines) for b in ahead) >= LOOKED_AT:
            break
    found = find_format(form, [line for batch in ahead for line in batch.lines][:LOOKED_AT])
    return Reading(Parser(found, tally), _chained(ahead, batches))


def _chained(ahead: list[Batch], batches: Iterator[Batch]) -> Iterator[Batch]:
    while ahead:
        yield ahead.pop(0)
    yield from batches
