"""How results look in a terminal, and progress that falls quiet where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from isthmus.tasks.choices import Choice
from isthmus.training import Callback, TrainingConfig
from isthmus.training.history import Row

LOWER_IS_BETTER = ("error", "seconds")
UNRANKED = ("code width", "active units", "log likelihood (nats)")


class _Terms(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("terms", "")), style="dim")


class Bar(Callback):
    """A progress bar: steps, losses, loss terms, samples a second, time left. Silent if the console is no terminal.

    Parameters
    ----------
    console : rich.console.Console
    title : str
        What is being trained.
    """

    def __init__(self, console: Console, title: str = "training") -> None:
        self.console = console
        self.title = title
        self._progress: Progress | None = None
        self._task: Any = None
        self._batch = 1
        self._losses = ""

    def started(self, config: TrainingConfig, step: int) -> None:
        """Draw the bar."""
        if not self.console.is_terminal:
            return
        columns = (SpinnerColumn(), TextColumn("{task.description:<14}"), BarColumn(bar_width=24), TextColumn("{task.completed:>6}/{task.total}"))
        self._progress = Progress(*columns, TimeRemainingColumn(compact=True), _Terms(), console=self.console, transient=True)
        self._task = self._progress.add_task(self.title, total=config.steps, completed=step, terms="")
        self._batch = config.batch
        self._losses = ""
        self._progress.start()

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        """Move the bar."""
        if self._progress is None:
            return
        speed = self._progress.tasks[0].speed or 0.0
        shown = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
        rate = f"{speed * self._batch:,.0f} samples/s" if speed else ""
        self._progress.update(self._task, completed=step, terms=f"{shown}  {self._losses}  {rate}")

    def evaluated(self, row: Row, best: bool) -> None:  # noqa: ARG002
        """Remember the newest held-out loss."""
        self._losses = f"held-out {row['held_out']:.4g}" if "held_out" in row else ""

    def finished(self, stopped: str) -> None:  # noqa: ARG002
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away, also after an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def number(value: float) -> str:
    """Return a figure as text: three significant digits, a dash for none."""
    if math.isnan(value):
        return "-"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def comparison(rows: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Return a table of figures, the best of each column in bold."""
    names = sorted({name for figures in rows.values() for name in figures}, key=_place)
    table = Table(title=title, title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(name.replace(" ", "\n", 1), justify="right", no_wrap=True, vertical="bottom")
    winners = {name: _best(name, rows) for name in names}
    for label, figures in rows.items():
        cells = [number(figures.get(name, math.nan)) for name in names]
        table.add_row(label, *(f"[bold green]{cell}[/]" if label in winners[name] else cell for name, cell in zip(names, cells)))
    return table


def _place(name: str) -> tuple[int, str]:
    order = ("reconstruction error", "code width", "active units", "k-NN accuracy", "clustering")
    return (order.index(name), name) if name in order else (len(order), name)


def _best(name: str, rows: Mapping[str, Mapping[str, float]]) -> set[str]:
    values = {label: figures[name] for label, figures in rows.items() if name in figures and not math.isnan(figures[name])}
    if name in UNRANKED or len(values) < 2:
        return set()
    goal = min(values.values()) if any(word in name for word in LOWER_IS_BETTER) else max(values.values())
    return {label for label, value in values.items() if value == goal}


def choices(found: Sequence[Choice]) -> Table:
    """Return a table of settings with their reasons."""
    table = Table(title="Settings", title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0))
    for name in ("setting", "value", "why"):
        table.add_column(name)
    for choice in found:
        value = ",".join(map(str, choice.value)) if isinstance(choice.value, tuple) else str(choice.value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        table.add_row(choice.name.replace("_", "-"), value, f"[dim]{choice.why}[/]" if choice.why != "given" else "[bold]given[/]")
    return table


def facts(entries: Mapping[str, Any], title: str = "") -> Table:
    """Return a two-column table."""
    table = Table(title=title or None, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in entries.items():
        table.add_row(f"[bold]{name}[/]", f"{value:.6g}" if isinstance(value, float) else str(value))
    return table
