"""What ``isthmus fit-many`` does beyond calling the task."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from isthmus.artifact import Artifact
from isthmus.cli import show
from isthmus.cli.border import INTERRUPTED
from isthmus.cli.fitting import keep
from isthmus.cli.flags import parse_settings
from isthmus.cli.places import check_folder, check_parent, named
from isthmus.cli.schema import plain_reading
from isthmus.data import Source
from isthmus.errors import ArtifactError, ConfigError, TrainingError
from isthmus.files import atomic_path
from isthmus.tasks.config import Config
from isthmus.tasks.many import fit_many
from isthmus.tasks.opening import open_data
from isthmus.tasks.reading import digest
from isthmus.training import Callback, TrainingConfig
from isthmus.training.history import Row

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY = "summary.csv"
MANY = 10_000
SHOWN = 30  # models in the terminal
OPEN = ("interrupted", "not begun", "diverged")  # what is trained again by the next call


@dataclass(frozen=True)
class Order:
    """A call of ``isthmus fit-many``."""

    data: Sequence[Path]
    out: Path
    reading: dict[str, Any]
    config: Config
    grid: Sequence[str] = ()
    seeds: int = 1
    workers: int | None = None
    overwrite: bool = False


@dataclass
class Item:
    """One model of an order."""

    name: str
    source: Source
    config: Config
    varied: dict[str, Any]
    folder: Path
    artifact: Artifact | None = None
    state: str = "not begun"
    error: str = ""
    known: bool = False


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each setting from texts such as ``"latent=4,8"`` and ``"hidden=64x32,128"``.

    Raises
    ------
    ConfigError
        If a text is no list of values of a setting, or a setting is there twice.

    Examples
    --------
    >>> parse_grid(["latent=4,8", "hidden=64x32,128"])
    {'latent': [4, 8], 'hidden': [(64, 32), (128,)]}
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        parts = [part.strip() for part in values.split(",") if part.strip()]
        if not equals or not parts:
            raise ConfigError(f"--grid takes a setting and its values, such as 'latent=4,8', not {text!r}")
        if name in found:
            raise ConfigError(f"--grid has {name} twice: give all its values at once, such as {name}={values},...")
        kinds = Config.kinds().get(name, (str,))
        entries = [Config.from_mapping({name: _value(part, name, kinds)}, f"--grid {text}") for part in parts]
        found[name] = [getattr(entry, name) for entry in entries]
    return found


def _value(text: str, name: str, kinds: tuple[type, ...]) -> Any:
    """Return the text as the setting's type, and as it is where it is none: the message comes later."""
    if tuple in kinds:
        return parse_settings({name: text.replace("x", ",")})[name]
    if bool in kinds:
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def plan(order: Order) -> list[Item]:
    """Read the data and return every model of an order.

    Raises
    ------
    ConfigError
        If a setting is given twice, or data are too large for memory.
    """
    grid = parse_grid(order.grid)
    twice = sorted(set(grid) & set(order.config.given()))
    if twice:
        raise ConfigError(f"{twice[0]} is given both by --grid and by a setting of its own: leave one out")
    if order.seeds > 1:
        if "seed" in grid:
            raise ConfigError("--seeds and --grid seed=... both vary the seed: leave one out")
        first = order.config.seed or 0
        grid["seed"] = list(range(first, first + order.seeds))
    combinations = [dict(zip(grid, values)) for values in product(*grid.values())]
    if len(combinations) * len(order.data) > MANY:
        raise ConfigError(f"that would be {len(combinations) * len(order.data):,} models; at most {MANY:,} can be fitted at once")
    if plain_reading(order.reading) != order.reading:
        raise ConfigError("schema and kind are for one model: leave them out, or fit it with `isthmus fit`")
    titles = _titles(order.data)
    items: list[Item] = []
    for path, title in zip(order.data, titles):
        source = open_data(named(path), **order.reading)
        if not isinstance(source, Source):
            raise ConfigError(f"{path} is read as a stream, but fit-many trains on rows in memory: fit it alone with `isthmus fit`")
        for varied in combinations:
            name = "_".join([title, *(f"{key.replace('_', '-')}={_short(value)}" for key, value in varied.items())])
            items.append(Item(name, source, order.config.override(**varied), varied, order.out / name))
    return items


def _titles(paths: Sequence[Path]) -> list[str]:
    """Return a name for each path: its own without ending, with the folder's before it where two are the same."""
    parts = [named(path).resolve().with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        found = ["-".join(part[-length:]).strip("/\\").replace("=", "-") for part in parts]
        if len(set(found)) == len(found):
            return found
    raise ConfigError("the same data are there twice: give each file once")


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, cast("tuple[int, ...]", value)))
    return f"{value:g}" if isinstance(value, float) else str(value)


def take_up(item: Item, overwrite: bool) -> None:
    """Open what an earlier call left of a model; what was interrupted, or is to be replaced, is trained again.

    Raises
    ------
    ArtifactError
        If something else is in the folder.
    """
    check_folder(item.folder, overwrite=True)
    if overwrite or not (item.folder / "config.json").exists():
        return
    artifact = Artifact.load(item.folder)
    wanted = {**item.config.to_json(), "digest": digest(item.source)}
    there = {**artifact.config, "digest": artifact.facts.get("digest")}
    other = [name for name, value in wanted.items() if there.get(name) != value]
    if other:
        what = "other data" if other[0] == "digest" else f"{other[0]} {there.get(other[0])}, not {wanted[other[0]]}"
        raise ArtifactError(f"{item.folder} holds a model fitted with {what}: add --overwrite or choose another --out")
    stopped = str(artifact.facts.get("training", {}).get("stopped"))
    if stopped not in OPEN:
        item.artifact, item.state, item.known = artifact, stopped, True


class Bar:
    """A progress bar of models. Silent if the console is no terminal.

    Parameters
    ----------
    console : rich.console.Console
    models : int
    """

    def __init__(self, console: Console, models: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("models"))
        self.progress = Progress(*columns, TimeRemainingColumn(compact=True), TextColumn("left"), console=console, transient=True)
        self.task = self.progress.add_task("training", total=models)
        if console.is_terminal:
            self.progress.start()

    def move(self, models: float) -> None:
        """Move on by so many models."""
        self.progress.advance(self.task, models)

    def close(self) -> None:
        """Take the bar away."""
        self.progress.stop()


class Watch(Callback):
    """Moves the bar of all models for one of them.

    Parameters
    ----------
    bar : Bar
    """

    def __init__(self, bar: Bar) -> None:
        self.bar, self.moved, self.steps = bar, 0.0, 1

    def started(self, config: TrainingConfig, step: int) -> None:  # noqa: ARG002
        """Remember how many steps there are at most."""
        self.steps = config.steps

    def stepped(self, step: int, terms: dict[str, float]) -> None:  # noqa: ARG002
        """Move the bar by the steps made since."""
        self._to(step / self.steps)

    def finished(self, stopped: str) -> None:
        """Move the bar by the steps that are not made any more."""
        if stopped != "interrupted":
            self._to(1.0)

    def _to(self, place: float) -> None:
        self.bar.move(place - self.moved)
        self.moved = place


def run(order: Order, console: Console) -> int:
    """Fit what is not there yet, save each model as soon as it is done, and tell how they came out; return the exit code.

    Raises
    ------
    TrainingError
        At the end, if models diverged.
    """
    check_parent(order.out)
    items = plan(order)
    for item in items:
        take_up(item, order.overwrite)
    todo = [item for item in items if not item.known]
    known = f", {len(items) - len(todo)} of them there already" if len(todo) < len(items) else ""
    console.print(Text(f"{_counted(len(items), 'model')} on {_counted(len(order.data), 'data set')}{known}"), soft_wrap=True)
    if todo:
        _train(todo, order, console)
    _tell(items, order.out, console)
    failed = [item for item in items if item.error]
    if failed:
        names = ", ".join(item.name for item in failed[:5]) + (", ..." if len(failed) > 5 else "")
        raise TrainingError(f"{len(failed)} of {_counted(len(items), 'model')} diverged ({names}), the others are saved. {failed[0].error}")
    return INTERRUPTED if any(item.state in ("interrupted", "not begun") for item in items) else 0


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def _train(todo: Sequence[Item], order: Order, console: Console) -> None:
    def done(number: int, found: Artifact | TrainingError) -> None:
        _note(todo[number], found, order)

    if not console.is_terminal:
        console.print("training ...")
    bar = Bar(console, len(todo))
    sources, configs = [item.source for item in todo], [item.config for item in todo]
    try:
        with warnings.catch_warnings(), suppress(TrainingError):  # told at the end
            warnings.simplefilter("ignore", UserWarning)
            fit_many(sources, configs, callbacks=[[Watch(bar)] for _ in todo], told=done, workers=order.workers)
    finally:
        bar.close()


def _note(item: Item, found: Artifact | TrainingError, order: Order) -> None:
    """Save a model as soon as it is done, if there are weights worth keeping."""
    if isinstance(found, TrainingError):
        item.state, item.error = "diverged", str(found)
    artifact = found if isinstance(found, Artifact) else found.artifact
    if not isinstance(artifact, Artifact) or len(artifact.history) == 0:
        return
    item.artifact = artifact
    item.state = str(artifact.facts["training"]["stopped"])
    keep(artifact, order.reading, item.folder)


def figures(item: Item) -> dict[str, float]:
    """Return what is worth comparing of a model; nothing if there is none."""
    if item.artifact is None:
        return {}
    facts, history = item.artifact.facts, item.artifact.history
    kept = next((row for row in history if row["step"] == facts["training"]["kept step"]), Row())
    found = {"held-out loss": kept.get("held_out", math.nan), "training loss": kept.get("train", math.nan)}
    seconds = history[-1].get("seconds", 0.0) if len(history) else 0.0
    return {**found, **facts["figures"], "steps": facts["training"]["steps"], "seconds": seconds}


def _rank(item: Item) -> tuple[float, str]:
    found = figures(item)
    losses = (found.get("held-out loss", math.nan), found.get("training loss", math.nan), math.inf)
    return next(loss for loss in losses if not math.isnan(loss)), item.name


def _tell(items: Sequence[Item], out: Path, console: Console) -> None:
    """Show the best models, and write all of them as a table."""
    ranked = sorted(items, key=_rank)
    rows = {item.name: _shown(figures(item)) for item in ranked[:SHOWN]}
    console.print(show.comparison(rows, "\nModels, the lowest loss first"))
    if len(ranked) > SHOWN:
        console.print(Text(f"... and {len(ranked) - SHOWN:,} more", style="dim"))
    with atomic_path(out / SUMMARY) as beside:
        beside.write_text(_table(ranked), encoding="utf-8")
    console.print(Text(f"\nwrote {out / SUMMARY}; each model lies in its folder in {out}"), soft_wrap=True)
    open_ = [item.name for item in items if item.state in ("interrupted", "not begun")]
    if open_:
        told = f"interrupted: {_counted(len(open_), 'model')} not trained to the end; run the same command again to go on with those"
        console.print(Text(told, style="yellow"), soft_wrap=True)


def _shown(found: dict[str, float]) -> dict[str, float]:
    """Return the figures for the terminal, under short names."""
    names = {"mean squared error (scaled units)": "squared error", "share of variance explained": "variance explained"}
    loss = "training loss" if math.isnan(found.get("held-out loss", math.nan)) else "held-out loss"
    return {names.get(name, name): value for name, value in found.items() if name in (loss, *names, "steps")}


def _table(items: Sequence[Item]) -> str:
    rows = [
        {"model": item.name, "data": item.source.name, **{name: _short(value) for name, value in item.varied.items()}}
        | {name.split(" (")[0].replace(",", "").replace(" ", "_").replace("-", "_"): value for name, value in figures(item).items()}
        | {"state": item.state, "error": item.error}
        for item in items
    ]
    names = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()} for row in rows)
    return text.getvalue()
