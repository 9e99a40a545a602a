"""Watch a stream of batches with a fitted detector: how far from healthy, when to ring, and whether the healthy rows themselves move.

A `Monitor` is a state machine without clock or files: the same batches give the same results, whether in one go or after a restart
from `Monitor.to_json`. What its figures mean is told in `isthmus.tasks.monitor_evidence` (health, alarms and their budget) and
`isthmus.tasks.monitor_drift` (drift).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.monitor_budget import DRIFT, GATHERED, SINGLE, Budget
from isthmus.tasks.monitor_drift import FEWEST, MOST, WINDOW, Reference, Shift, Windows
from isthmus.tasks.monitor_evidence import Course, Evidence, Passage

Floats = NDArray[np.float64]
Kind = Literal["row", "rows", "drift"]
VERSION = 1
# Alarms that stay in the state after their end.
KEPT = 200
MOST_REASONS = 20


@dataclass(frozen=True, eq=False)
class Look:
    """What a detector sees in some rows.

    Parameters
    ----------
    scores, p_values : ndarray of shape (n,)
    values : ndarray of shape (n, c)
        The columns as numbers, categories as codes; NaN where missing.
    """

    scores: Floats
    p_values: Floats
    values: Floats


class Watched(Protocol):
    """What a monitor asks of a detector.

    Attributes
    ----------
    calibration : int
        Number of rows behind the p-values.
    names : tuple of str
        The columns.
    """

    @property
    def calibration(self) -> int:
        """Number of rows behind the p-values."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        ...

    def look(self, source: Source) -> Look:
        """Score rows; a `DataError` says that they cannot be."""
        ...

    def healthy(self) -> Floats | None:
        """Return a sample of healthy rows, shape (r, c), if one is kept."""
        ...

    def why(self, source: Source, rows: Sequence[int]) -> list[tuple[str, ...]]:
        """Return for each of the rows what made it strange."""
        ...


@dataclass(frozen=True)
class Alarm:
    """An episode: it rings once, however many rows it has.

    Parameters
    ----------
    number : int
        Counted from 1.
    kind : {"row", "rows", "drift"}
        A single strange row, evidence gathered over several, or drift.
    batch : str
        In which batch it began.
    row : int
        At which row of it, from 0.
    start : int
        At which row of the stream, from 0.
    time : float
        When that batch came, in seconds since 1970.
    score, p_value : float or None
        Of the row that rang.
    reasons : tuple of str
        What made it strange, or how the columns moved.
    end : int or None
        Row of the stream at which it was over.
    strange, rows : int
        How many rows of the episode were strange, and how many there were; known at its end.
    """

    number: int
    kind: Kind
    batch: str
    row: int
    start: int
    time: float
    score: float | None = None
    p_value: float | None = None
    reasons: tuple[str, ...] = ()
    end: int | None = None
    strange: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Health:
    """What a batch says of the machine.

    Parameters
    ----------
    batch : str
    time : float
        When it came, in seconds since 1970.
    rows : int
    strange : int
        Rows as strange as one in a hundred healthy ones, or stranger.
    health : float
        How healthy the last rows are, from 0 to 100.
    lowest : float
        The lowest health within the batch.
    alarms : tuple of Alarm
        Those that began in the batch.
    ended : tuple of Alarm
        Those that were over in it.
    lasting : tuple of Alarm
        Those not over at its end.
    used : int
        Alarms within the last time or rows of the budget.
    budget : str
    drift : tuple of Shift
        How the columns moved, while a drift lasts.
    note : str
        Why the batch could not be scored, or what is to be known.
    """

    batch: str
    time: float
    rows: int
    strange: int
    health: float
    lowest: float
    alarms: tuple[Alarm, ...]
    ended: tuple[Alarm, ...]
    lasting: tuple[Alarm, ...]
    used: int
    budget: str
    drift: tuple[Shift, ...] = ()
    note: str = ""

    @property
    def verdict(self) -> str:
        """One or two words: healthy, anomalies, drift, anomalies and drift, or not scored."""
        if not self.rows and self.note:
            return "not scored"
        kinds = {alarm.kind == "drift" for alarm in (*self.alarms, *self.lasting, *self.ended)}
        return " and ".join(name for name, drift in (("anomalies", False), ("drift", True)) if drift in kinds) or "healthy"


class Monitor:
    """Follows the health of a machine from batch to batch.

    Parameters
    ----------
    detector : Watched
    budget : Budget
        False alarms allowed.
    state : mapping, optional
        What `to_json` gave, to go on from there. It must be of the same detector.

    Raises
    ------
    ConfigError
        If the state cannot be read.

    Examples
    --------
    >>> class Ranks:  # a detector of one column, whose score is the value
    ...     calibration, names = 999, ("heat",)
    ...     known = np.random.default_rng(0).standard_normal((999, 1))
    ...     def look(self, source):
    ...         values = np.asarray(source.array, float)
    ...         return Look(values[:, 0], (1 + (self.known >= values[:, 0]).sum(0)) / 1000, values)
    ...     def healthy(self):
    ...         return self.known
    ...     def why(self, source, rows):
    ...         return [("heat",) for _ in rows]
    >>> monitor = Monitor(Ranks(), Budget(1, 1000))
    >>> rows = np.random.default_rng(1).standard_normal((400, 1))
    >>> monitor.update(Source("table", rows)).verdict
    'healthy'
    >>> found = monitor.update(Source("table", np.concatenate([rows[:50], rows[50:60] + 9])))
    >>> found.verdict, len(found.alarms), round(found.health)
    ('anomalies', 1, 88)
    >>> monitor.update(Source("table", rows + 0.8)).verdict
    'anomalies and drift'
    """

    def __init__(self, detector: Watched, budget: Budget | None = None, state: Mapping[str, Any] | None = None) -> None:
        self.detector, self.budget = detector, budget or Budget()
        self.evidence = Evidence(detector.calibration)
        self.windows: Windows | None = None
        self.alarms: list[Alarm] = []
        self.rung = 0
        self.clock: tuple[float, int] | None = None
        self._learnt: list[list[float]] | None = None
        self._start(state)

    def _start(self, state: Mapping[str, Any] | None) -> None:
        sample = self.detector.healthy()
        if sample is None or len(sample) < FEWEST:
            self._learnt = []
        try:
            if state is not None:
                self._restore(state)
            if sample is not None and self._learnt is None:
                self._compare(sample, state["windows"] if state else None)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigError(f"the monitor's state cannot be read ({error!r}). Start afresh with another state file") from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.evidence = Evidence(self.detector.calibration, Course.from_json(state["course"]))
        self.alarms = [replace(Alarm(**entry), reasons=tuple(entry["reasons"])) for entry in state["alarms"]]
        self.rung, clock = int(state["rung"]), state["clock"]
        self.clock = None if clock is None else (float(clock[0]), int(clock[1]))
        if self._learnt is not None:
            self._learnt = [[np.nan if value is None else float(value) for value in row] for row in state["learnt"]]
            if len(self._learnt) >= MOST // 2:
                self._compare(np.asarray(self._learnt), state["windows"])

    def _compare(self, sample: Floats, state: Mapping[str, Any] | None) -> None:
        self.windows = Windows(Reference(self.detector.names, sample, self.detector.calibration), state)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON types, of bounded size."""
        learnt = [[None if value != value else value for value in row] for row in self._learnt or ()]
        return {
            "version": VERSION,
            "course": self.evidence.course.to_json(),
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "rung": self.rung,
            "clock": self.clock,
            "windows": self.windows.to_json() if self.windows else None,
            "learnt": learnt,
        }

    def update(self, batch: Source, *, time: float = 0.0, seconds: float | None = None) -> Health:
        """Take the next batch of the stream.

        Parameters
        ----------
        batch : Source
        time : float
            When it came, in seconds since 1970.
        seconds : float, optional
            The time its rows cover, if it is known better than from the times of the batches; only a budget of time heeds it.

        Returns
        -------
        Health
            A batch that cannot be scored changes nothing and is told in the note.
        """
        if not len(batch):
            return self.unscored(batch.name, time, f"{batch.name} has no rows")
        try:
            look = self.detector.look(batch)
        except DataError as error:
            return self.unscored(batch.name, time, str(error))
        self._drop()
        rate = self.budget.rate(self._pace(len(batch), time, seconds))
        begun, lowest = self._walk(batch, look, rate, time)
        self._explain(batch, begun)
        return self._health(batch.name, time, look, lowest)

    def unscored(self, batch: str, time: float, note: str) -> Health:
        """Return what is to be said of a batch that cannot be scored; nothing changes by it.

        Parameters
        ----------
        batch : str
        time : float
            When it came, in seconds since 1970.
        note : str
            Why.

        Returns
        -------
        Health
        """
        return self._health(batch, time, note=note)

    def _pace(self, rows: int, time: float, seconds: float | None) -> float:
        """Return the rows a second."""
        if seconds:
            return rows / seconds
        if self.clock is None:
            # Nothing is known yet: as if the rows had come in the budget's time.
            self.clock = (time, 0)
            return rows / self.budget.per
        start, before = self.clock[0], self.clock[1] + rows
        self.clock = (start, before)
        return before / (time - start) if time > start else rows / self.budget.per

    def _walk(self, batch: Source, look: Look, rate: float, time: float) -> tuple[list[Alarm], float]:
        begun: list[Alarm] = []
        lowest, at, n = 100.0, 0, len(look.scores)
        while at < n:
            step = slice(at, at + min(n - at, self.windows.room if self.windows else n))
            first = self.evidence.course.rows
            passage = self.evidence.feed(look.p_values[step], look.scores[step], SINGLE * rate, GATHERED * rate)
            lowest = min(lowest, passage.lowest)
            begun += self._follow(passage, batch, look, first, at, time)
            begun += self._moved(batch, look, step, passage.inside, rate, time)
            at = step.stop
        return begun, lowest

    def _follow(self, passage: Passage, batch: Source, look: Look, first: int, at: int, time: float) -> list[Alarm]:
        """Write down which episodes began and ended."""
        begun: list[Alarm] = []
        for ring in passage.rings:
            row = at + ring.row
            facts = {"score": float(look.scores[row]), "p_value": float(look.p_values[row])}
            begun.append(self._ring(ring.kind, batch, row, first + ring.row, time, **facts))
        for episode in passage.ended:
            over = episode.start + episode.rows
            self._end(episode.start, False, end=over, strange=episode.strange, rows=episode.rows)
        return begun

    def _ring(self, kind: Kind, batch: Source, row: int, start: int, time: float, **facts: Any) -> Alarm:
        self.rung += 1
        self.alarms.append(Alarm(self.rung, kind, batch.name, row, start, time, **facts))
        return self.alarms[-1]

    def _end(self, start: int, drift: bool, **facts: Any) -> None:
        def over(alarm: Alarm) -> bool:
            return alarm.start == start and (alarm.kind == "drift") == drift and alarm.end is None

        self.alarms = [replace(alarm, **facts) if over(alarm) else alarm for alarm in self.alarms]

    def _moved(self, batch: Source, look: Look, step: slice, inside: list[bool], rate: float, time: float) -> list[Alarm]:
        if self.windows is None:
            self._learn(look, step)
            return []
        before, rows = self.windows.drift, self.evidence.course.rows
        first = rows - (step.stop - step.start)
        strange, p_values = self.evidence.strange, look.p_values[step]
        odd = (p_values <= strange) | np.asarray(inside)
        shifts = self.windows.feed(look.values[step], p_values, odd, strange, DRIFT * rate, first)
        if self.windows.room == WINDOW:
            self.evidence.course.reach = self.windows.reach
        if shifts:
            self.evidence.drifting(True)
            reasons = tuple(str(shift) for shift in shifts)
            return [self._ring("drift", batch, step.stop - 1, rows, time, reasons=reasons)]
        if before is not None and self.windows.drift is None:
            self.evidence.drifting(False)
            self._end(before.start, True, end=rows, rows=rows - before.start)
        return []

    def _learn(self, look: Look, step: slice) -> None:
        """Take the first rows that are not strange as the healthy sample, where the detector keeps none."""
        known = self._learnt if self._learnt is not None else []
        plain = look.values[step][look.p_values[step] > self.evidence.strange]
        known += plain[: MOST // 2 - len(known)].tolist()
        if len(known) >= MOST // 2:
            self._compare(np.asarray(known), None)

    def _explain(self, batch: Source, begun: Sequence[Alarm]) -> None:
        rang = [alarm for alarm in begun if alarm.kind != "drift"][:MOST_REASONS]
        if not rang:
            return
        why = dict(zip((alarm.number for alarm in rang), self.detector.why(batch, [alarm.row for alarm in rang])))
        self.alarms = [replace(a, reasons=tuple(why[a.number])) if a.number in why else a for a in self.alarms]

    def _drop(self) -> None:
        """Forget old alarms that are over."""
        over = [alarm.number for alarm in self.alarms if alarm.end is not None]
        old = set(over[: max(0, len(over) - KEPT)])
        self.alarms = [alarm for alarm in self.alarms if alarm.number not in old]

    def _health(self, batch: str, time: float, look: Look | None = None, lowest: float | None = None, note: str = "") -> Health:
        course, rows = self.evidence.course, 0 if look is None else len(look.scores)
        first = course.rows - rows
        strange = 0 if look is None else int((look.p_values <= self.evidence.strange).sum())
        drift = self.windows.drift if self.windows else None
        health = self.evidence.health
        return Health(
            batch,
            time,
            rows,
            strange,
            health,
            health if lowest is None else min(lowest, health),
            alarms=tuple(a for a in self.alarms if rows and a.start + (a.kind != "drift") > first),
            ended=tuple(a for a in self.alarms if rows and a.end is not None and a.end > first),
            lasting=tuple(a for a in self.alarms if a.end is None),
            used=self._used(time),
            budget=str(self.budget),
            drift=tuple(drift.shifts) if drift else (),
            note=note,
        )

    def _used(self, time: float) -> int:
        since, now = self.budget.per, self.evidence.course.rows
        if self.budget.unit == "rows":
            return sum(alarm.start > now - since for alarm in self.alarms)
        return sum(alarm.time > time - since for alarm in self.alarms)
