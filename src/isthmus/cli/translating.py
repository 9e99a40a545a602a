"""What ``isthmus translate`` does beyond calling the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from isthmus.artifact.translation import Translation, Use
from isthmus.cli import marks
from isthmus.cli.border import INTERRUPTED
from isthmus.cli.kit import tell
from isthmus.cli.places import SHEETS, TABLES, check_file, check_folder, check_parent, named
from isthmus.cli.show import Bar, Count
from isthmus.data import write
from isthmus.data.options import OnError, ReadOptions
from isthmus.errors import ConfigError, DataError
from isthmus.reports.translations import write_html
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.opened import Opened, open_any, open_both
from isthmus.tasks.pictures.translate import LEARNED, fit
from isthmus.tasks.pictures.translate_files import (
    Answer,
    Order,
    check_inputs,
    check_out,
    check_partners,
    made_by,
    open_inputs,
    refuse_colours,
    translated,
    write_answers,
)
from isthmus.tasks.pictures.translate_rows import RowSettings, fit_rows

if TYPE_CHECKING:
    from rich.console import Console

ARRAYS = (".npy", ".npz")
FLAT = (".csv", ".tsv", ".parquet")
REPORTED = 300


@dataclass(frozen=True)
class Training:
    """How long and by what network."""

    steps: int | None
    seconds: float | None
    widths: tuple[int, ...] | None
    seed: int
    device: str


@dataclass(frozen=True)
class Learning:
    """What is learned from, and where the model is to be kept."""

    examples: Path | None
    targets: Path | None
    way: str | None
    save: Path | None
    overwrite: bool
    checkpoint: Path | None
    resume: bool
    training: Training

    @property
    def asked(self) -> list[str]:
        """The flags that were given."""
        training = self.training
        given = {"--examples": self.examples, "--targets": self.targets, "--way": self.way, "--save": self.save}
        given |= {"--checkpoint": self.checkpoint, "--steps": training.steps, "--seconds": training.seconds, "--widths": training.widths}
        return [flag for flag, value in given.items() if value is not None]


@dataclass(frozen=True)
class Using:
    """What is to be translated, and how."""

    data: Path | None
    out: Path | None
    masks: Path | None
    truth: Path | None
    report: Path | None
    known: bool
    draws: int
    vivid: float
    boldness: float
    tile: int


@dataclass(frozen=True)
class Reading:
    """How data are read."""

    key: str | None
    on_error: OnError


def reading(key: str | None, on_error: str) -> Reading:
    """Return how data are read, checked."""
    return Reading(key, ReadOptions(on_error=cast("OnError", on_error)).on_error)


def run(learning: Learning, using: Using, model: Path | None, how: Reading, console: Console) -> int:
    """Fit or load a translation, apply it, tell and write what came out; return the exit code.

    Raises
    ------
    ConfigError
        If the arguments do not go together.
    DataError, ArtifactError
        If data or model cannot be used, or nothing can be written where it should.
    """
    _check(learning, using, model)
    if model is not None:
        fitted = Translation.load(model)
        tell(console, f"{model}: learned {fitted.facts.get('learned', '?')}")
    else:
        _check_data(learning, using, how)
        fitted = _learned(learning, using, how, console)
    if using.data is not None and using.out is not None:
        _applied(fitted, learning.training, using, using.out, how, console)
    return INTERRUPTED if model is None and fitted.facts.get("stopped") == "interrupted" else 0


def _check(learning: Learning, using: Using, model: Path | None) -> None:
    """Refuse early what cannot go well."""
    if model is not None and learning.asked:
        raise ConfigError(f"--model has learned already: leave out {', '.join(learning.asked)}")
    if model is None and learning.examples is None:
        raise ConfigError("give --model FOLDER, or --examples PATH to learn from, with --targets PATH or --way grey, edges, masked or half")
    if model is None and (learning.targets is None) == (learning.way in (None, "pairs")):
        raise ConfigError("give either --targets PATH, or --way grey, edges, masked or half, by which inputs are made of --examples")
    if learning.way is not None and learning.way not in LEARNED:
        raise ConfigError(f"--way must be one of grey, edges, masked and half, not {learning.way!r}")
    if (using.data is None) != (using.out is None):
        raise ConfigError("what is translated and where it goes belong together: isthmus translate DATA --out PATH")
    if using.data is None and (model is not None or learning.save is None):
        raise ConfigError("translate needs DATA and --out, or --save to keep what is learned")
    if learning.resume and learning.checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE: the file an earlier run with --checkpoint wrote")
    Use(vivid=using.vivid, boldness=using.boldness)
    _check_places(learning, using)


def _check_data(learning: Learning, using: Using, how: Reading) -> None:
    """Refuse before the training what could not be translated after it."""
    if using.data is None:
        return
    opened = open_any(named(using.data), key=how.key, on_error=how.on_error)
    if learning.way is not None and using.draws and learning.way != "grey":
        raise ConfigError(f"a model of --way {learning.way} knows one answer to each picture: leave out --draws")
    if learning.way == "masked" and using.masks is None and not using.known:
        raise ConfigError("say with --masks where something shall be painted, white, or give --known")
    if learning.way in ("grey", "edges") and not using.known:
        refuse_colours(opened)
    if opened.rows is None and using.out is not None:
        check_out(opened, using.out)
        check_partners(opened, *_others(using))


def _others(using: Using) -> tuple[Opened | None, Opened | None]:
    """Open masks and right answers, where they are given."""
    masks = None if using.masks is None else open_any(named(using.masks), channels=1)
    return masks, None if using.truth is None else open_any(named(using.truth))


def _check_places(learning: Learning, using: Using) -> None:
    if learning.save is not None:
        check_folder(learning.save, learning.overwrite, "--save")
    if learning.checkpoint is not None:
        check_parent(learning.checkpoint, "--checkpoint")
    if using.report is not None:
        check_file(using.report, (".html", ".htm"), flag="--report")
    for path in (using.data, using.masks, using.truth):
        if path is not None and not path.expanduser().exists():
            raise DataError(f"there is no file or folder {path}. Check the path")
    if using.out is not None:
        check_file(using.out, (*SHEETS, *TABLES), folder=True)


def _note(found: Opened, console: Console) -> Opened:
    for note in found.notes:
        tell(console, f"note: {note}", "dim")
    return found


def _learned(learning: Learning, using: Using, how: Reading, console: Console) -> Translation:
    """Fit a translation, keep it, and return it."""
    path = named(cast("Path", learning.examples))
    answers: Opened | None = None
    if learning.targets is not None:
        examples, answers = open_both(path, named(learning.targets), key=how.key, on_error=how.on_error)
        _note(answers, console)
    else:
        examples = open_any(path, key=how.key, on_error=how.on_error)
    _note(examples, console)
    if using.data is not None and not using.known and examples.rows is None and examples.pictures[0].shape[-1] == 1:
        refuse_colours(open_any(named(using.data), key=how.key, on_error=how.on_error), learning.way or "pairs")
    count = f"{len(examples.pictures):,} pictures" if examples.rows is None else f"{len(examples.rows):,} rows"
    what = LEARNED[learning.way or "pairs"] if examples.rows is None else "from pairs of rows"
    tell(console, f"learning {what}: {count}{'' if answers is None else ' and what they are to become'}")
    bar = Bar(console, "learning to translate")
    try:
        model = _fitted(learning, examples, answers, bar)
    finally:
        bar.close()
    _keep(model, learning, console)
    return model


def _fitted(learning: Learning, examples: Opened, answers: Opened | None, bar: Bar) -> Translation:
    training = learning.training
    common: dict[str, Any] = {"steps": training.steps, "seconds": training.seconds, "seed": training.seed, "device": training.device}
    kept: dict[str, Any] = {"callbacks": [bar], "checkpoint": learning.checkpoint, "resume": learning.resume}
    if examples.rows is None:
        settings = Settings(widths=training.widths, **common)
        return fit(examples.pictures, answers and answers.pictures, way=learning.way or "pairs", settings=settings, **kept)
    if answers is None or answers.rows is None:
        raise DataError(f"{examples.path} holds rows, and --way {learning.way} is for pictures: give --targets")
    return fit_rows(examples.rows, answers.rows, settings=RowSettings(hidden=training.widths or RowSettings.hidden, **common), **kept)


def _keep(model: Translation, learning: Learning, console: Console) -> None:
    rows = model.history.rows
    seconds, steps = (rows[-1]["seconds"], rows[-1]["step"]) if rows else (0.0, 0.0)
    held = max((row["held_out"] for row in rows if "held_out" in row), default=None)
    count = next(value for name, value in model.facts.items() if name.startswith("held-out"))
    unit = " nats a place" if model.way == "grey" else " nats a value" if model.rows else " dB"
    told = "" if held is None else f"; {held:.2f}{unit} on {count} held out"
    tell(console, f"learned in {steps:,.0f} steps, {seconds:,.1f} s{told}")
    if model.facts.get("stopped") == "interrupted":
        more = f"; to go on, run the same command with --resume (from {learning.checkpoint})" if learning.checkpoint else ""
        tell(console, f"interrupted: the best model so far is kept{more}", "yellow")
    if learning.save is not None:
        tell(console, f"wrote {model.save(learning.save)}")


def _applied(model: Translation, training: Training, using: Using, out: Path, how: Reading, console: Console) -> None:
    """Translate, and write what came out."""
    path = named(cast("Path", using.data))
    holes, truth = _others(using)
    use = Use(tile=using.tile, vivid=using.vivid, boldness=using.boldness, device=training.device)
    order = Order(holes, truth, using.known, using.draws, training.seed, use)
    opened = _note(open_inputs(model, path, how.key, using.known, how.on_error), console)
    check_inputs(model, opened, order)
    if opened.rows is not None:
        _rows(model, opened.rows, out, order, using.report, console)
        return
    check_out(opened, out)
    _pictures(model, opened, out, order, using.report, console)


def _rows(model: Translation, rows: Any, out: Path, order: Order, report: Path | None, console: Console) -> None:
    if report is not None:
        raise ConfigError("--report shows pictures, and these are rows: leave it out")
    check_file(out, TABLES)
    found = model.sample(rows, order.draws, order.seed, order.use) if order.draws else model(rows, use=order.use)
    flat, columns = found, None
    if out.suffix.lower() in FLAT and order.draws:  # a table has a line for each draw
        number = np.tile(np.arange(order.draws), len(found)).reshape(-1, 1)
        flat = np.hstack([number, found.reshape(len(number), -1)])
        columns = ["draw", *(f"c{i}" for i in range(flat.shape[1] - 1))]
    tell(console, f"wrote {write(out, flat, columns=columns)} ({' x '.join(map(str, found.shape))})")


def _pictures(model: Translation, opened: Opened, out: Path, order: Order, report: Path | None, console: Console) -> None:
    mark = made_by(model) if marks.wanted() else None
    total = len(opened.pictures)
    kept, near = list[Answer](), list[float]()
    with Count(console, "translating", total, "pictures") as count:
        for done, (answer, _) in enumerate(write_answers(translated(model, opened, order), out, mark, total, opened.path), 1):
            count(done)
            near.append(answer.psnr)
            if report is not None and done <= REPORTED:
                kept.append(answer)
    tell(console, f"wrote {out} ({total:,} picture{'s' if total > 1 else ''}{f', {order.draws} draws of each' if order.draws else ''})")
    if order.known or order.truth is not None:
        which = ", the first draw of each" if order.draws else ""
        tell(console, f"PSNR {np.mean(near):.2f} dB on average, {min(near):.2f} to {max(near):.2f}, against the right answers{which}")
    if report is not None:
        tell(console, f"wrote {write_html(report, model, opened.path.name, kept, total)}")
