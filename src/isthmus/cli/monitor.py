"""The command ``isthmus monitor``; everything heavy is imported inside it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.kit import tell
from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from isthmus.tasks.monitor import Alarm, Health
    from isthmus.tasks.monitor_feed import Batch
    from isthmus.tasks.monitor_run import Session

ALARM, UNSCORED = 1, 2
STDIN = Path("-")


@dataclass
class Tally:
    """What has come so far.

    Parameters
    ----------
    batches, known, alarms, unscored : int
        Batches taken, files left out because they were taken before, alarms that began, batches that could not be scored.
    """

    batches: int = 0
    known: int = 0
    alarms: int = 0
    unscored: int = 0


def monitor(
    model: Annotated[Path, typer.Argument(help="Folder of a detector that `isthmus detect` saved.", metavar="MODEL")],
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders, each file a batch; - for CSV or JSON lines on the standard input.", metavar="[DATA...]"),
    ] = None,
    follow: Annotated[Path | None, typer.Option(help="Folder to watch for new files, until interrupted.", metavar="DIR")] = None,
    once: Annotated[bool, typer.Option("--once", help="With --follow: take what is there now, and end.", metavar="")] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            help="False alarms that a healthy machine may cause: 1/1000 (rows), 1/day, 2/week ... Default: 1/1000.", metavar="N/PER"
        ),
    ] = None,
    state: Annotated[Path | None, typer.Option(help="File that keeps the state; MODEL.monitor.json if left out.", metavar="FILE")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to which alarms are added: .jsonl or .csv.", metavar="PATH")] = None,
    time: Annotated[
        str | None, typer.Option(help="Column with the rows' time, for a budget of time; else the files' times count.", metavar="COLUMN")
    ] = None,
    batch: Annotated[int, typer.Option(help="Lines of the standard input that make a batch.", min=1, metavar="N")] = 100,
    wait: Annotated[float, typer.Option(help="Seconds after which fewer lines make a batch.", min=0.0, metavar="X")] = 5.0,
    every: Annotated[float, typer.Option(help="Seconds between two looks into the folder.", min=0.1, metavar="X")] = 2.0,
) -> None:
    """Watch a machine with a detector: score batches as they come, tell how healthy it is, ring within a budget of false alarms.

    Ends with 0 if all was healthy, 1 if there was an alarm or one lasts, and 2 after an error or if a batch could not be scored.
    """
    _check(data, follow, once)
    from rich.console import Console

    from isthmus.cli.places import check_apart, check_file, check_parent
    from isthmus.tasks.monitor_budget import Budget
    from isthmus.tasks.monitor_run import Session
    from isthmus.tasks.monitor_state import ENDINGS

    if out is not None:
        check_file(out, ENDINGS)
        check_apart(out, *(data or []))
    if state is not None:
        check_parent(state, "--state")
    console = Console(highlight=False, soft_wrap=True)
    session = Session(model, state, Budget.parse(budget) if budget else None, out, time)
    raise typer.Exit(_run(session, _batches(session, data or [], follow, once, batch, wait, every), console))


def _check(data: list[Path] | None, follow: Path | None, once: bool) -> None:
    if not data and follow is None:
        raise ConfigError("monitor needs data: files, a folder, - for the standard input, or --follow DIR")
    if data and follow is not None:
        raise ConfigError("give files or --follow DIR, not both")
    if data and STDIN in data and len(data) > 1:
        raise ConfigError("- stands for the standard input, which cannot be mixed with files")
    if once and follow is None:
        raise ConfigError("--once goes with --follow DIR; files are taken once anyway")


def _batches(
    session: Session, data: list[Path], follow: Path | None, once: bool, batch: int, wait: float, every: float
) -> Generator[Batch]:
    from isthmus.tasks import monitor_feed as feed

    schema, fitted = session.detector.layout.schema, session.detector.facts.get("reading")
    if data == [STDIN]:
        return feed.lines(sys.stdin, schema, batch, wait)
    if follow is None:
        return feed.files(data, schema, fitted)
    return feed.files([follow], schema, fitted) if once else feed.follow(follow, schema, every, fitted)


def _run(session: Session, batches: Generator[Batch], console: Console) -> int:
    tally = Tally()
    with session.memory.alone():
        _begin(session, console)
        try:
            for batch in batches:
                _take(session, batch, console, tally)
        except KeyboardInterrupt:
            tell(console, f"interrupted: the state is kept in {session.memory.path}; the same command goes on from there", "yellow")
            raise
    return _finish(session, tally, console)


def _begin(session: Session, console: Console) -> None:
    rows, rung = session.monitor.evidence.course.rows, session.monitor.rung
    before = f"going on after {rows:,} rows and {rung} alarms" if rows else "a new start"
    tell(
        console, f"budget: {session.budget} (false alarms of a healthy machine); calibrated on {session.view.calibration:,} rows; {before}"
    )
    for doubt in session.doubts():
        tell(console, f"note: {doubt}", "dim")
    tell(console, f"{'time (UTC)':19}  {'batch':20}  {'rows':>6}  {'strange':>7}  {'health':>6}  {'alarms':>6}  verdict", "bold")


def _take(session: Session, batch: Batch, console: Console, tally: Tally) -> None:
    found = session.take(batch)
    if not found:
        tally.known += 1
        return
    tally.batches += 1
    tally.unscored += any(health.verdict == "not scored" for health in found)
    for health in found:
        tally.alarms += len(health.alarms)
        _line(health, console)
        if health.note:
            tell(console, f"  warning: {' '.join(health.note.split())}", "yellow")
        if health.alarms:
            console.print(_reasons(health.alarms))


def _line(health: Health, console: Console) -> None:
    from datetime import UTC, datetime

    from rich.text import Text

    when = datetime.fromtimestamp(health.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    style = {"healthy": "green", "not scored": "yellow"}.get(health.verdict, "bold red")
    told = f"{health.verdict}: {_shifts(health)}" if health.drift and health.rows else health.verdict
    low = f"{health.health:.0f}" if health.health - health.lowest < 5 else f"{health.lowest:.0f}-{health.health:.0f}"
    figures = f"{health.rows:>6,}  {health.strange:>7,}  {low:>6}  {health.used:>6}"
    console.print(Text.assemble(f"{when}  {health.batch:20}  {figures}  ", (told, style)), soft_wrap=True)


def _shifts(health: Health) -> str:
    more = f" and {len(health.drift) - 4} more" if len(health.drift) > 4 else ""
    return ", ".join(str(shift) for shift in health.drift[:4]) + more


def _reasons(alarms: tuple[Alarm, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold red")
    for name in ("  alarm", "what", "row", "p-value", "why"):
        table.add_column(name, overflow="fold", no_wrap=name != "why")
    for alarm in alarms:
        what = {"row": "strange row", "rows": "strange rows", "drift": "drift"}[alarm.kind]
        p_value = "" if alarm.p_value is None else f"{alarm.p_value:.2g}"
        table.add_row(f"  {alarm.number:>5}", what, str(alarm.row), p_value, Text("; ".join(alarm.reasons)))
    return table


def _finish(session: Session, tally: Tally, console: Console) -> int:
    lasting = [alarm for alarm in session.monitor.alarms if alarm.end is None]
    known = f", {tally.known} taken before and left out" if tally.known else ""
    failed = f", {tally.unscored} not scored" if tally.unscored else ""
    still = f", {len(lasting)} lasting" if lasting else ""
    tell(console, f"{tally.batches} batches{failed}{known}; {tally.alarms} alarms{still}; state: {session.memory.path}")
    return ALARM if tally.alarms or lasting else UNSCORED if tally.unscored else 0
