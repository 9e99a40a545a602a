"""How results look in a terminal, and progress that falls quiet where there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from isthmus.tasks.choices import Choice
from isthmus.tasks.config import Config
from isthmus.tasks.examine import told
from isthmus.training import Callback, TrainingConfig
from isthmus.training.history import Row

LOWER_IS_BETTER = ("error", "seconds", "loss")
UNRANKED = ("code width", "active units", "log likelihood (nats)", "steps")
UNNAMED = ("loss", "lr")


class _Progress(Progress):
    """A bar, and the loss terms in a line of their own below it, cut at the terminal's width."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(str(task.fields.get("terms", "")), style="dim", no_wrap=True, overflow="ellipsis")


class Bar(Callback):
    """A progress bar: steps, time left, losses, samples a second, loss terms. Silent if the console is no terminal.

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
        self._held_out = ""

    def started(self, config: TrainingConfig, step: int) -> None:
        """Draw the bar."""
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("steps"))
        self._progress = _Progress(*columns, TimeRemainingColumn(compact=True), TextColumn("left"), console=self.console, transient=True)
        total = config.steps if config.seconds is None else None  # how many the time allows is not known
        self._task = self._progress.add_task(self.title, total=total, completed=step, terms="")
        self._batch = config.batch
        self._held_out = ""
        self._progress.start()

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        """Move the bar."""
        if self._progress is None:
            return
        speed = self._progress.tasks[0].speed or 0.0
        parts = [f"train {terms['loss']:.4g}"] if "loss" in terms else []
        parts += [self._held_out] if self._held_out else []
        parts += [f"{_short(speed * self._batch)} samples/s"] if speed else []
        named = [f"{name} {value:.4g}" for name, value in terms.items() if name not in UNNAMED]
        self._progress.update(self._task, completed=step, terms=" | ".join([*parts, *(named if len(named) > 1 else [])]))

    def evaluated(self, row: Row, best: bool) -> None:  # noqa: ARG002
        """Remember the newest held-out loss."""
        self._held_out = f"held-out {row['held_out']:.4g}" if "held_out" in row else ""

    def finished(self, stopped: str) -> None:  # noqa: ARG002
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away, also after an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Count:
    """A progress bar of rows. Silent if the console is none, or no terminal.

    As the context of what is done, it goes away with it, and says how far Ctrl-C let it come.

    Parameters
    ----------
    console : rich.console.Console, optional
    title : str
        What is being done.
    total : int
        Rows in all.
    unit : str
        What they are, if not rows.
    """

    def __init__(self, console: Console | None, title: str, total: int, unit: str = "rows") -> None:
        self.console, self.title, self.total, self.unit, self.done = console, title, total, unit, 0
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Count:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is KeyboardInterrupt and self.console is not None:
            self.console.print(f"stopped after {self.done:,} of {self.total:,} {self.unit}; what is written is whole", soft_wrap=True)

    def __call__(self, done: int) -> None:
        """Move the bar to `done` rows; it is taken away when all are done."""
        self.done = done
        if self.console is None or not self.console.is_terminal:
            return
        if self._progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn(f"{{task.completed:,}} {self.unit}"))
            self._progress = Progress(*columns, TimeRemainingColumn(compact=True), TextColumn("left"), console=self.console, transient=True)
            self._task = self._progress.add_task(self.title, total=self.total)
            self._progress.start()
        self._progress.update(self._task, completed=done)
        if done >= self.total:
            self.close()

    def close(self) -> None:
        """Take the bar away, also after an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _short(value: float) -> str:
    return f"{value / 1000:,.0f}k" if value >= 10_000 else f"{value:,.0f}"


def number(value: float) -> str:
    """Return a figure as text: three significant digits, a dash for none.

    Examples
    --------
    >>> number(0.12345), number(1234.0), number(1234567.8), number(float("nan"))
    ('0.123', '1,234', '1,234,568', '-')
    """
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _table(title: str = "", header: bool = False) -> Table:
    heading = Text(title, style="bold") if title else None
    return Table(
        title=heading, title_justify="left", header_style="bold", show_header=header, box=None, padding=(0, 2, 0, 0), pad_edge=False
    )


def comparison(rows: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Return a table of figures, the best of each column in bold."""
    names = sorted({name for figures in rows.values() for name in figures}, key=_place)
    table = _table(title, header=True)
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(Text(name.replace(" ", "\n")), justify="right", no_wrap=True, vertical="bottom")
    winners = {name: _best(name, rows) for name in names}
    for label, figures in rows.items():
        cells = [Text(number(figures.get(name, math.nan)), style="bold green" if label in winners[name] else "") for name in names]
        table.add_row(Text(label), *cells)
    return table


def _place(name: str) -> tuple[int, str]:
    order = ("reconstruction error", "code width", "active units", "k-NN accuracy", "clustering")
    return (order.index(name), name) if name in order else (len(order), name)


def _best(name: str, rows: Mapping[str, Mapping[str, float]]) -> set[str]:
    """Return the rows that are best to the digits shown."""
    values = {label: figures[name] for label, figures in rows.items() if not math.isnan(figures.get(name, math.nan))}
    if name in UNRANKED or len(values) < 2:
        return set()
    goal = min(values.values()) if any(word in name for word in LOWER_IS_BETTER) else max(values.values())
    return {label for label, value in values.items() if number(value) == number(goal)}


def choices(found: Sequence[Choice]) -> Table:
    """Return a table of settings with their reasons, in groups."""
    table = _table("Settings", header=True)
    for name in ("setting", "value", "why"):
        table.add_column(name)
    groups = Config.help()
    before = ""
    for choice in found:
        group = groups[choice.name][0]
        if before and group != before:
            table.add_row()
        before = group
        given = choice.why == "given"
        table.add_row(choice.name.replace("_", "-"), Text(told(choice.value)), Text(choice.why, style="bold" if given else "dim"))
    return table


def facts(entries: Mapping[str, Any], title: str = "", width: int | None = None) -> Table:
    """Return a two-column table; tables of the same `width` of the first column stand in line."""
    table = _table(title)
    table.add_column(style="bold", min_width=width, no_wrap=True)
    table.add_column()
    for name, value in entries.items():
        table.add_row(Text(name), Text(f"{value:.6g}" if isinstance(value, float) else told(value)))
    return table
