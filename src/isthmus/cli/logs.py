"""What ``isthmus detect --logs`` does: learn from a log or open a model, judge the windows, show the alarms with their lines."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.cli.kit import tell
from isthmus.cli.places import check_apart, check_file, check_folder
from isthmus.data.logs import Tally
from isthmus.errors import ConfigError
from isthmus.files import atomic_path
from isthmus.tasks.conformal import check_share
from isthmus.tasks.log_alarms import APPENDED, ENDINGS, Table, Verdict, appended, opened, report
from isthmus.tasks.log_follow import Follower
from isthmus.tasks.log_windows import Plan
from isthmus.tasks.logs import ALPHA, LogDetector

if TYPE_CHECKING:
    from rich.console import Console

SHOWN, REPORTED = 10, 1000


@dataclass(frozen=True)
class Order:
    """What is to be done with a log.

    Parameters
    ----------
    logs : path
        The log to judge; ``-`` is the standard input.
    train : tuple of path
        Healthy logs to learn from.
    model : path, optional
        Folder of the detector: used if it is there; written if there is something to learn from.
    window : str, optional
        Lines (``100``) or time (``5m``) of a window.
    session : str, optional
        Regular expression that finds a line's session.
    gap : str, optional
        Time after which a session is over.
    form : str, optional
        Name of the format, or a regular expression with named groups.
    follow : bool
        Whether to go on where the last run stopped, and to wait for more.
    idle : float, optional
        Seconds without news after which following stops.
    state : path, optional
        File that keeps the place; ``<model>.state.json`` by default.
    out : path, optional
        Table of the windows.
    report : path, optional
        Page or text file of the alarms: .html, .txt or .md.
    alpha : float, optional
        Share of healthy windows that may be called alarms.
    seed : int
    overwrite : bool
        Whether a model that is there is replaced.
    fresh : bool
        Whether to learn also where nothing healthy is given: from the log itself.
    """

    logs: Path
    train: tuple[Path, ...] = ()
    model: Path | None = None
    window: str | None = None
    session: str | None = None
    gap: str | None = None
    form: str | None = None
    follow: bool = False
    idle: float | None = None
    state: Path | None = None
    out: Path | None = None
    report: Path | None = None
    alpha: float | None = None
    seed: int = 0
    overwrite: bool = False
    fresh: bool = False

    @property
    def learns(self) -> bool:
        """Whether there is something to learn first."""
        return bool(self.train) or self.fresh or self.model is None

    @property
    def alone(self) -> bool:
        """Whether the log is judged by what was learned from itself."""
        return self.learns and not self.train

    @property
    def plan(self) -> Plan | None:
        """How to cut windows, as far as it was told."""
        if self.window is self.session is self.gap is None:
            return None
        return Plan.of(self.window, self.session, self.gap)


def run(order: Order, console: Console) -> int:
    """Judge a log.

    Parameters
    ----------
    order : Order
    console : rich.console.Console

    Returns
    -------
    int
        Number of alarms.
    """
    _check(order)
    detector = _learned(order, console) if order.learns else _opened(order)
    level = _level(order, detector)
    for note in _notes(order, detector, level):
        tell(console, f"note: {note}", "dim")
    tally, verdicts = _verdicts(order, detector, level)
    kept = _Kept()
    with _table(order) as table:
        for verdict in verdicts:
            kept.add(verdict)
            if table is not None:
                table.add(verdict)
                table.flush() if order.follow else None
            if order.follow and verdict.alarm:
                tell(console, verdict.told())
    _tell(order, console, kept, tally, level)
    return kept.alarms


def _check(order: Order) -> None:
    check_share("alpha", ALPHA if order.alpha is None else order.alpha)
    if order.out is not None:
        check_file(order.out, APPENDED if order.follow else ENDINGS)
        check_apart(order.out, order.logs, *order.train)
    if order.report is not None:
        check_file(order.report, (".html", ".htm", ".txt", ".md"))
        check_apart(order.report, order.logs, *order.train, flag="--report")
    if order.model is not None and order.learns:
        check_folder(order.model, order.overwrite)
    if order.follow and order.alone:
        raise ConfigError("follow needs a model of healthy logs: give --model with one that is there, or --train with a healthy log")
    if order.follow and order.model is None and order.state is None:
        raise ConfigError("follow keeps its place in a file: give --model or --state")
    if str(order.logs) == "-" and (order.follow or order.alone):
        raise ConfigError("the standard input can be read only once: give --model or --train, and leave out --follow")


def _level(order: Order, detector: LogDetector) -> float:
    """Return the level of alarm; a log that is judged by itself shows one window at least."""
    if order.alpha is not None or not order.alone:
        return detector.alpha if order.alpha is None else order.alpha
    return max(detector.alpha, 1.0 / len(detector.ranks))


def _notes(order: Order, detector: LogDetector, level: float) -> list[str]:
    if order.alone:
        return ["nothing healthy to compare with: alarms are this log's own strangest windows, whether or not something is wrong"]
    doubt = detector.calibration.doubt(level)
    least = math.ceil(1000 * detector.calibration.smallest) / 1000
    return [f"{doubt.replace('rows', 'windows')}. Use smaller windows, more healthy logs, or --alpha {least:g}"] if doubt else []


def _learned(order: Order, console: Console) -> LogDetector:
    """Learn from healthy logs, or from the log itself if there are none."""
    detector = LogDetector.fit(
        order.train or (order.logs,),
        order.plan,
        form=order.form,
        polluted=order.alone,
        seed=order.seed,
        alpha=ALPHA if order.alpha is None else order.alpha,
    )
    facts = detector.facts
    told = f"{facts['training windows']:,} windows of {detector.plan.told()}, {len(detector.keys.miner.templates) - 1:,} templates"
    form = f" ({detector.form.name} lines)" if detector.form else ""
    tell(console, f"learned from {facts['data']}{form}: {told}")
    for line in facts["read"]:
        tell(console, f"  {line}", "dim")
    if order.model is not None:
        tell(console, f"saved {detector.save(order.model)}")
    return detector


def _opened(order: Order) -> LogDetector:
    detector = LogDetector.load(order.model or Path())
    if order.plan not in (None, detector.plan):
        raise ConfigError(f"{order.model} was fitted on windows of {detector.plan.told()}: leave out --window, --session and --gap")
    if order.form is not None:
        raise ConfigError(f"{order.model} knows the format of its log already: leave out --format")
    return detector


def _verdicts(order: Order, detector: LogDetector, level: float) -> tuple[Tally, Iterator[Verdict]]:
    """Return what counts the lines, and the windows judged."""
    if not order.follow:
        tally = Tally()
        return tally, detector.scored(order.logs, level, own=order.alone, tally=tally)
    beside = order.model.with_name(f"{order.model.name}.state.json") if order.model is not None else Path()
    follower = Follower(detector, order.logs, order.state or beside)
    return follower.watch.tally, follower.run(alpha=level, idle=order.idle)


def _table(order: Order) -> nullcontext[None] | _Lent:
    if order.out is None:
        return nullcontext()
    return appended(order.out) if order.follow else opened(order.out)


if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    _Lent = AbstractContextManager[Table]


@dataclass
class _Kept:
    """What is kept of the verdicts: their number, the strangest alarms, and partial windows that look strange."""

    windows: int = 0
    alarms: int = 0
    partial: list[Verdict] = field(default_factory=list[Verdict])
    heap: list[tuple[float, int, Verdict]] = field(default_factory=list[tuple[float, int, Verdict]])

    def add(self, verdict: Verdict) -> None:
        self.windows += 1
        if verdict.window.partial:
            self.partial = [*self.partial[-1:], verdict]
        if verdict.alarm:
            self.alarms += 1
            heapq.heappush(self.heap, (verdict.score, self.windows, verdict))
            if len(self.heap) > REPORTED:
                heapq.heappop(self.heap)

    def strangest(self, most: int) -> list[Verdict]:
        """Return the strangest alarms, in the order of the log."""
        return [verdict for _, _, verdict in sorted(heapq.nlargest(most, self.heap), key=lambda item: item[1])]


def _tell(order: Order, console: Console, kept: _Kept, tally: Tally, level: float) -> None:
    facts = [f"{kept.windows:,} windows, {kept.alarms:,} alarms at alpha = {level:g}"]
    if not order.follow:
        for verdict in kept.strangest(SHOWN):
            tell(console, f"\n{verdict.told()}")
        facts += map(_partial, kept.partial)
        if kept.alarms > SHOWN:
            facts.append(f"the {SHOWN} strangest of {kept.alarms:,} alarms are shown; --out writes all windows")
        tell(console, "")
    facts += [f"{line} since following began" if order.follow and i == 0 else line for i, line in enumerate(tally.told())]
    for line in facts:
        tell(console, line)
    _write(order, console, kept, facts)


def _write(order: Order, console: Console, kept: _Kept, facts: list[str]) -> None:
    if order.report is not None:
        page = order.report.suffix.lower().startswith(".htm")
        with atomic_path(order.report) as temporary:
            temporary.write_text(report(f"Alarms in {order.logs.name}", facts, kept.strangest(REPORTED), page), encoding="utf-8")
    for path in (order.report, order.out):
        if path is not None:
            tell(console, f"wrote {path}")


def _partial(verdict: Verdict) -> str:
    return f"not a whole window, so no alarm: lines {verdict.window.first:,}-{verdict.window.last:,} (p = {verdict.p_value:.2g})"
