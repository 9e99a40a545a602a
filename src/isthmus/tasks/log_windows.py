"""Windows over a log: so many lines, so much time, or all lines of a session; each with the counts of its templates."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast

from isthmus.data.logs import Record, Tally
from isthmus.data.logs.times import YEARLESS
from isthmus.errors import ConfigError, DataError

START, END = -1, -2  # what stands before the first and behind the last line of a session
MOST_OPEN = 10_000
MOST_KEYS = 50  # sessions that one line may belong to
GAP = 3600.0
SAMPLES, SAMPLE = 2, 240
DEFAULT = 100
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d|sec|min)?$")
_PATIENCE = 1000  # lines without any time before windows of time are given up


@dataclass(slots=True)
class Window:
    """Some lines of a log, in their order, as counts.

    Parameters
    ----------
    name : str
        Session key, time of the beginning, or lines.
    first, last : int
        Numbers of its first and last line.
    start, end : float
        Their times in seconds since 1970; NaN where unknown.
    lines : int
    loosened : int
        Lines that fitted their template only by loosening it.
    counts : dict
        Template -> lines.
    pairs : dict
        (template, next template) -> how often.
    samples : dict
        Template -> its first lines, as (line number, text).
    previous : int or None
        Template of the line before.
    partial : bool
        Whether the log begins or ends within it.
    """

    name: str = ""
    first: int = 0
    last: int = 0
    start: float = math.nan
    end: float = math.nan
    lines: int = 0
    loosened: int = 0
    counts: dict[int, int] = field(default_factory=dict[int, int])
    pairs: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    samples: dict[int, list[tuple[int, str]]] = field(default_factory=dict[int, list[tuple[int, str]]])
    previous: int | None = None
    partial: bool = False

    def add(self, key: int, number: int = 0, time: float = math.nan, text: str | None = None, loosened: bool = False) -> None:
        """Add the next line: its template, number and time, and the text if samples are kept."""
        if not self.lines:
            self.first, self.start = number, time
        self.last = number
        if time == time:
            self.start, self.end = (time if math.isnan(self.start) else self.start), time
        self.lines += 1
        self.loosened += loosened
        self.counts[key] = self.counts.get(key, 0) + 1
        self.step(key)
        if text is not None:
            shown = self.samples.setdefault(key, [])
            if len(shown) < SAMPLES:
                shown.append((number, text[:SAMPLE]))

    def step(self, key: int) -> None:
        """Count the transition from the line before."""
        if self.previous is not None:
            pair = (self.previous, key)
            self.pairs[pair] = self.pairs.get(pair, 0) + 1
        self.previous = key

    @property
    def duration(self) -> float:
        """Seconds from its first to its last line; 0 where unknown."""
        span = self.end - self.start
        return max(span, 0.0) if span == span else 0.0

    def state(self) -> dict[str, Any]:
        """Return all as JSON."""
        plain = {name: _plain(getattr(self, name)) for name in ("name", "first", "last", "start", "end", "lines", "loosened", "previous")}
        pairs = [[a, b, n] for (a, b), n in self.pairs.items()]
        samples = [[key, *map(list, lines)] for key, lines in self.samples.items()]
        return {
            **plain,
            "partial": self.partial,
            "counts": [list(item) for item in self.counts.items()],
            "pairs": pairs,
            "samples": samples,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Window:
        """Return what `state` told."""
        found = cls(state["name"], state["first"], state["last"], _number(state["start"]), _number(state["end"]), state["lines"])
        found.loosened, found.previous, found.partial = state["loosened"], state["previous"], state["partial"]
        found.counts = {int(key): int(n) for key, n in state["counts"]}
        found.pairs = {(int(a), int(b)): int(n) for a, b, n in state["pairs"]}
        found.samples = {int(key): [(int(n), str(text)) for n, text in lines] for key, *lines in state["samples"]}
        return found


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True)
class Plan:
    """How a log is cut into windows.

    Parameters
    ----------
    kind : {"count", "time", "session"}
    size : float
        Lines, or seconds.
    session : str
        Regular expression; what it finds in a line (its first group, if it has one) names the session.
    gap : float
        Seconds without a line after which a session is over.

    Raises
    ------
    ConfigError
        If the kind is another.

    Examples
    --------
    >>> Plan.of("5m")
    Plan(kind='time', size=300.0, session='', gap=3600.0)
    """

    kind: Literal["count", "time", "session"] = "count"
    size: float = DEFAULT
    session: str = ""
    gap: float = GAP

    def __post_init__(self) -> None:
        if self.kind not in ("count", "time", "session"):
            raise ConfigError(f"windows are cut by count, time or session, not by {self.kind!r}")

    @classmethod
    def of(cls, window: str | None = None, session: str | None = None, gap: str | None = None) -> Plan:
        """Read what a person wrote: ``100`` lines, ``5m``, ``30s``, ``1h`` or ``1d``; or a session's regular expression.

        Raises
        ------
        ConfigError
            If it cannot be read, or both are given.
        """
        if window is not None and session is not None:
            raise ConfigError("give a window or a session, not both: lines are grouped either by place and time, or by their session")
        if session is not None:
            _check_pattern(session)
            return cls("session", 0.0, session, GAP if gap is None else _amount(gap, "gap")[0])
        if gap is not None:
            raise ConfigError("gap ends sessions: give it together with session")
        amount, timed = _amount(str(DEFAULT) if window is None else window, "window")
        if not timed and (amount < 1 or amount != int(amount)):
            raise ConfigError(f"window must be a whole number of lines or a time such as 5m, not {window!r}")
        return cls("time" if timed else "count", amount)

    def told(self) -> str:
        """Return it in words."""
        if self.kind == "session":
            return f"sessions by {self.session}"
        return f"{self.size:g} lines" if self.kind == "count" else f"{self.size:g} seconds"

    def state(self) -> dict[str, Any]:
        """Return all as JSON."""
        return {"kind": self.kind, "size": self.size, "session": self.session, "gap": self.gap}


def _check_pattern(session: str) -> None:
    try:
        pattern = re.compile(session)
    except re.error as error:
        raise ConfigError(f"session {session!r} is no regular expression ({error}). Give one such as 'blk_-?\\d+'") from error
    if pattern.match(""):
        raise ConfigError(f"session {session!r} also matches nothing at all. Give one that needs a key, such as 'blk_-?\\d+'")


def _amount(text: str, name: str) -> tuple[float, bool]:
    match = _SIZE.match(text.strip().lower())
    if match is None or not float(match[1]) > 0:
        raise ConfigError(f"{name} must be a number of lines such as 100, or a time such as 30s, 5m, 1h or 1d, not {text!r}")
    return float(match[1]) * _UNITS[(match[2] or "s")[0]], match[2] is not None


class Windows:
    """Cut a log into windows as its lines come.

    Parameters
    ----------
    plan : Plan
    tally : Tally
        Counts lines that belong to no window.
    samples : bool
        Whether windows keep the first lines of each template.

    Examples
    --------
    >>> windows = Windows(Plan.of("2"), Tally())
    >>> lines = [Record(number, 0.0, "", "x", "x") for number in (1, 2, 3)]
    >>> [window.name for line in lines for window in windows.add(line, 1)]
    ['lines 1-2']
    >>> [(window.name, window.partial) for window in windows.end()]
    [('lines 3-3', True)]
    """

    def __init__(self, plan: Plan, tally: Tally, samples: bool = True) -> None:
        self.plan, self.tally, self._samples = plan, tally, samples
        self._open: OrderedDict[str, Window] = OrderedDict()
        self._pattern = re.compile(plan.session) if plan.kind == "session" else None
        self._bucket: int | None = None
        self._cut = False  # whether the log began before the first window of time did

    def add(self, record: Record, key: int, loosened: bool = False) -> list[Window]:
        """Add a line, and return the windows that are over."""
        if self._pattern is not None:
            return self._add_to_sessions(record, key, loosened, self._pattern)
        over = self._over(record) if self.plan.kind == "time" else []
        window = self._open.setdefault("", Window())
        self._put(window, record, key, loosened)
        if self.plan.kind == "count" and window.lines >= self.plan.size:
            over = self._close("")
        return over

    def _put(self, window: Window, record: Record, key: int, loosened: bool) -> None:
        window.add(key, record.number, record.time, record.line if self._samples else None, loosened)

    def _over(self, record: Record) -> list[Window]:
        """Return the window of time that ends before the line."""
        if math.isnan(record.time):
            self._check_patience()
            return []
        bucket = math.floor(record.time / self.plan.size)
        if self._bucket is None or bucket == self._bucket:
            self._bucket = bucket
            return []
        if bucket == self._bucket - 1:
            self.tally.count("late", record.number, record.line)
            return []
        over = self._close("")
        self._bucket = bucket
        return over

    def _check_patience(self) -> None:
        held = self._open.get("")
        if self._bucket is None and held is not None and held.lines >= _PATIENCE:
            raise DataError(_no_time(held.lines))

    def _add_to_sessions(self, record: Record, key: int, loosened: bool, pattern: re.Pattern[str]) -> list[Window]:
        names = dict.fromkeys(str(m[1] if pattern.groups else m[0]) for m in pattern.finditer(record.line))
        if not names:
            self.tally.count("outside", record.number, record.line)
        over = self._idle(record.time)
        for name in list(names)[:MOST_KEYS]:
            window = self._open.get(name)
            if window is None:
                window = self._open[name] = Window(name, previous=START)
            self._open.move_to_end(name)
            self._put(window, record, key, loosened)
        while len(self._open) > MOST_OPEN:
            over += self._close(next(iter(self._open)))
        return over

    def _idle(self, time: float) -> list[Window]:
        over: list[Window] = []
        while self._open:
            name, window = next(iter(self._open.items()))
            if not time - window.end > self.plan.gap:
                break
            over += self._close(name)
        return over

    def _close(self, name: str) -> list[Window]:
        window = self._open.pop(name, None)
        if window is None:
            return []
        if self.plan.kind == "session":
            window.step(END)
        elif self.plan.kind == "count":
            window.name = f"lines {window.first}-{window.last}"
        else:
            window.name = moment((self._bucket or 0) * self.plan.size)
            window.partial, self._cut = not self._cut, True
        return [window]

    def end(self) -> list[Window]:
        """Return the windows that are still open; those of count and time are partial ones.

        Raises
        ------
        DataError
            If there should be windows of time, but no line has one.
        """
        if self.plan.kind == "time" and self._bucket is None and self._open:
            raise DataError(_no_time(self._open[""].lines))
        over = [window for name in list(self._open) for window in self._close(name)]
        for window in over:
            window.partial = self.plan.kind != "session"
        return over

    def state(self) -> dict[str, Any]:
        """Return the open windows as JSON."""
        held = {name: window.state() for name, window in self._open.items()}
        return {"plan": self.plan.state(), "open": held, "bucket": self._bucket, "cut": self._cut}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` told."""
        held = cast("dict[str, dict[str, Any]]", state["open"])
        self._open = OrderedDict((name, Window.from_state(window)) for name, window in held.items())
        self._bucket, self._cut = state["bucket"], state["cut"]


def _no_time(lines: int) -> str:
    return (
        f"none of the first {lines:,} lines has a time that is recognised, so there can be no windows of time. "
        "Use windows of lines such as window='100', a session, or tell where the time is with format"
    )


def of_keys(keys: Iterator[int], name: str = "") -> Window:
    """Return the window of a whole sequence of templates."""
    window = Window(name, previous=START)
    for number, key in enumerate(keys, 1):
        window.add(key, number)
    window.step(END)
    return window


def moment(seconds: float) -> str:
    """Return a time as text, without the year where logs do not tell it.

    Examples
    --------
    >>> moment(1117838570.0)
    '2005-06-03 22:42:50'
    """
    if math.isnan(seconds) or not 0 <= seconds < 1e11:
        return ""
    found = datetime.fromtimestamp(seconds, UTC)
    return found.strftime("%m-%d %H:%M:%S" if found.year <= YEARLESS + 5 else "%Y-%m-%d %H:%M:%S")
