"""What ``isthmus denoise`` does beyond calling the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from isthmus.artifact.restorer import Restorer, as_pictures
from isthmus.cli import marks
from isthmus.cli.border import INTERRUPTED
from isthmus.cli.kit import tell
from isthmus.cli.places import SHEETS, check_apart, check_file, check_folder, check_parent, check_pictures, named
from isthmus.cli.show import Bar, Count, number
from isthmus.corruptions import Corruption
from isthmus.data import read, write
from isthmus.data.options import Colour, OnError, ReadOptions, as_bits
from isthmus.errors import ConfigError, DataError
from isthmus.reports.denoising import DenoisingReport, write_html
from isthmus.tasks.pictures.denoise import ENOUGH, Settings, fit
from isthmus.tasks.pictures.denoise_files import (
    Use,
    denoise_folder,
    enhanced,
    is_array,
    is_picture,
    look,
    pixels_of,
    provenance,
    restore,
    targets_of,
)
from isthmus.tasks.pictures.denoise_table import Judgement, Method, judge, usual_methods
from isthmus.tasks.pictures.held import HeldOut, held_out, middle
from isthmus.tasks.pictures.noise_levels import estimated_level, recognised_level
from isthmus.tasks.pictures.noises import described, make_noise
from isthmus.tasks.pictures.opening import Opening, check_there, listed, open_pairs, open_pictures

if TYPE_CHECKING:
    from rich.console import Console

Array = NDArray[Any]
ARRAYS = (".npy", ".npz")
UNKNOWN = "unknown"  # a noise that nobody is to recognise


@dataclass(frozen=True)
class Learning:
    """How a denoiser is to be fitted, and where it is to be kept."""

    clean: Path | None
    noisy: Path | None
    noise: str | None
    level: str | None
    highest: str | None
    clip: bool
    save: Path | None
    overwrite: bool
    checkpoint: Path | None
    resume: bool
    settings: Settings

    @property
    def asked(self) -> list[str]:
        """The flags by which anything was said about learning."""
        own = ("clean", "noisy", "noise", "level", "highest", "clip", "save", "checkpoint", "resume")
        how, plain = ("steps", "seconds", "widths", "attention", "ssim", "ms_ssim", "perceptual"), Settings()
        given = [name for name in own if getattr(self, name) not in (None, False)]
        given += [name for name in how if getattr(self.settings, name) != getattr(plain, name)]
        return [f"--{name.replace('_', '-')}" for name in given]


@dataclass(frozen=True)
class Using:
    """What noise is to be taken off, and where the results go."""

    pictures: Path | None
    out: Path | None
    truth: Path | None
    report: Path | None
    turns: int
    tile: int
    device: str


def reading(key: str | None, colour: str, bits: str, on_error: str) -> Opening:
    """Return how pictures are read, checked.

    Raises
    ------
    ConfigError
        If a flag is none of its values.
    """
    if colour not in ("auto", "grey", "rgb"):
        raise ConfigError(f"--colour must be one of auto, grey and rgb, not {colour!r}")
    return Opening(key, ReadOptions(colour=cast("Colour", colour), bits=as_bits(bits), on_error=cast("OnError", on_error)))


def run(learning: Learning, using: Using, model: Path | None, how: Opening, console: Console) -> int:
    """Fit or load a denoiser, apply it, tell and write what came out; return the exit code.

    Raises
    ------
    ConfigError
        If the arguments do not go together.
    DataError, ArtifactError
        If pictures or denoiser cannot be used, or nothing can be written where it should.
    """
    _check(learning, using, model)
    held = None if using.truth is None else _truth(using.truth, using, how)
    if model is not None:
        restorer = Restorer.load(model)
        known = COLOURS.get(restorer.network.colours, f"pictures of {restorer.network.colours} channels")
        tell(console, f"{model}: a denoiser for {known}, learned from {restorer.facts.get('learned from', 'pictures')}")
    else:
        restorer, split = _learned(learning, using, how, console)
        held = held or split
    judgement = None if held is None else _judged(restorer, using, held, console)
    _applied(restorer, using, how, console)
    if judgement is not None and using.report is not None:
        tell(console, f"wrote {_report(restorer, judgement, using)}")
    return INTERRUPTED if model is None and restorer.facts.get("stopped") == "interrupted" else 0


COLOURS = {1: "grey pictures", 3: "coloured pictures", 4: "coloured pictures with transparency"}


def _check(learning: Learning, using: Using, model: Path | None) -> None:
    """Refuse early what cannot go well."""
    if model is not None and learning.asked:
        raise ConfigError(f"--model brings its own training: leave out {', '.join(learning.asked)}")
    if using.pictures is None and (using.out is not None or using.truth is not None or model is not None):
        raise ConfigError("denoise needs pictures: isthmus denoise PICTURES --out PATH")
    if using.pictures is not None and using.out is None and using.truth is None:
        raise ConfigError("say with --out where the pictures without noise go, or with --truth what they are to be measured against")
    if using.pictures is None and learning.save is None:
        raise ConfigError("denoise needs pictures, or --save to keep what is learned: isthmus denoise PICTURES --out PATH")
    if learning.resume and learning.checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE: the file an earlier run with --checkpoint wrote")
    if using.report is not None and using.truth is None and learning.clean is None:
        raise ConfigError("a report measures against clean pictures: add --truth PATH with those of PICTURES, or learn from --clean")
    if using.turns not in (1, 8):
        raise ConfigError(f"--turns must be 1 or 8, not {using.turns}")
    _check_places(learning, using)


def _check_places(learning: Learning, using: Using) -> None:
    if learning.save is not None:
        check_folder(learning.save, learning.overwrite, "--save")
    if learning.checkpoint is not None:
        check_parent(learning.checkpoint, "--checkpoint")
    if using.report is not None:
        check_file(using.report, (".html", ".htm"), flag="--report")
    if using.pictures is None or using.out is None:
        return
    check_there(using.pictures)
    if using.pictures.is_dir():
        check_pictures(using.out)
        targets_of(look(using.pictures, skip=True), using.pictures, using.out)
        return
    check_apart(using.out, using.pictures)
    if is_array(using.pictures):
        check_file(using.out, ARRAYS, folder=True)
    else:
        check_file(using.out, SHEETS)


def strength(text: str | None, flag: str) -> float | None:
    """Return a number written as such or as a fraction.

    Raises
    ------
    ConfigError
        If it is none.

    Examples
    --------
    >>> strength("51/255", "--level")
    0.2
    """
    if text is None:
        return None
    try:
        return float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"{flag} takes a number such as 0.1 or 25/255, not {text!r}") from error


def _noise(learning: Learning) -> Corruption | None:
    level, highest = strength(learning.level, "--level"), strength(learning.highest, "--highest")
    if learning.noise in (None, UNKNOWN):
        if (level, highest, learning.clip) != (None, None, False):
            raise ConfigError("--level, --highest and --clip say how strong a noise is: say which one with --noise, such as gaussian")
        return None
    return make_noise(learning.noise, level, highest, learning.clip)


def _learned(learning: Learning, using: Using, how: Opening, console: Console) -> tuple[Restorer, HeldOut | None]:
    """Fit a denoiser, keep it, and return it with the pictures that were held out."""
    noise = _noise(learning)
    if learning.clean is not None and learning.noisy is None and noise is None:
        raise ConfigError(
            "clean pictures need to be told what noise is: add --noise gaussian --level 25/255, say, or --noisy with partners"
        )
    if learning.clean is not None and learning.noisy is not None and noise is not None:
        raise ConfigError("--noisy and --clean are pairs, and --noise says what is done to clean pictures: leave one of them out")
    targets: Sequence[Any] | None = None
    if learning.clean is not None and learning.noisy is not None:
        found, targets, notes = open_pairs(named(learning.noisy), named(learning.clean), how)
    else:
        found, notes = open_pictures(named(cast("Path", learning.clean or learning.noisy or using.pictures)), how)
    for note in notes:
        tell(console, f"note: {note}", "dim")
    if using.report is not None and using.truth is None and len(found) < ENOUGH:
        raise ConfigError(f"no report: of fewer than {ENOUGH} pictures none are held out for measuring; add --truth PATH")
    if learning.clean is None:
        noise = _seen(found, noise, learning, console)
    alone = learning.clean is None and noise is not None
    tell(console, _about(found, targets, noise, alone))
    bar = Bar(console, "learning to take noise off")
    try:
        restorer = fit(
            found,
            targets,
            noise=noise,
            alone=alone,
            settings=learning.settings,
            callbacks=[bar],
            checkpoint=learning.checkpoint,
            resume=learning.resume,
        )
    finally:
        bar.close()
    _keep(restorer, learning, console)
    return restorer, None if alone else held_out(restorer, found, targets, noise)


def _seen(found: Sequence[Any], noise: Corruption | None, learning: Learning, console: Console) -> Corruption | None:
    """Return the noise of noisy pictures alone: as it was said, or as they show."""
    if learning.noise == UNKNOWN or learning.level is not None:
        return noise
    level = recognised_level(found) if learning.noise is None else (learning.noise, estimated_level(learning.noise, found))
    if level is None:
        tell(console, "noise: neither Gaussian nor that of photons, as far as the pictures show: pixels are hidden")
        return noise
    seen = make_noise(*level, strength(learning.highest, "--highest"), learning.clip)
    mend = "say it with --level" if learning.noise else f"hide pixels instead with --noise {UNKNOWN}"
    tell(console, f"noise: {described(seen)}, as the pictures show ({mend})")
    return seen


def _about(found: Sequence[Any], targets: Sequence[Any] | None, noise: Corruption | None, alone: bool) -> str:
    sizes = sorted({picture.shape[:2] for picture in found})
    size = " x ".join(map(str, sizes[0])) + ("" if len(sizes) == 1 else f" to {' x '.join(map(str, sizes[-1]))}")
    spoilt = "" if noise is None else f"clean, to be made noisy by {described(noise)}"
    way = "with their clean partners" if targets else "noisy, alone" if alone or noise is None else spoilt
    return f"{len(found):,} pictures of {size}, {found[0].shape[2]} channel(s), {found[0].dtype.name}: {way}"


def _keep(restorer: Restorer, learning: Learning, console: Console) -> None:
    rows = restorer.history.rows
    seconds, steps = (rows[-1]["seconds"], rows[-1]["step"]) if rows else (0.0, 0.0)
    held = max((row["held_out"] for row in rows if "held_out" in row), default=None)
    told = f", {held:.2f} dB on {restorer.facts['held-out pictures']} held-out pictures" if held is not None else ""
    tell(console, f"learned in {steps:,.0f} steps, {seconds:,.1f} s{told}")
    if restorer.facts["stopped"] == "interrupted":
        more = f"; to go on, run the same command with --resume (from {learning.checkpoint})" if learning.checkpoint else ""
        tell(console, f"interrupted: the best denoiser so far is kept{more}", "yellow")
    if learning.save is not None:
        tell(console, f"wrote {restorer.save(learning.save)}")


def _truth(truth: Path, using: Using, how: Opening) -> HeldOut:
    """Open noisy pictures beside their clean ones, before the training that is to be measured on them.

    Raises
    ------
    DataError
        If they do not match.
    """
    noisy, clean, _ = open_pairs(named(cast("Path", using.pictures)), named(truth), how)
    if len(noisy) != len(clean):
        raise DataError(f"{using.pictures} holds {len(noisy)} pictures, but --truth {truth} {len(clean)}: give the clean one of each")
    names = list(getattr(noisy, "names", ())) or [str(i) for i in range(len(noisy))]
    wrong = [name for name, one, two in zip(names, noisy, clean) if one.shape != two.shape]
    if wrong:
        raise DataError(f"the pictures of --truth {truth} must be as large, and have as many channels, as the noisy ones: {listed(wrong)}")
    return HeldOut(list(clean), list(noisy), names, f"the {len(noisy)} pictures")


def _judged(restorer: Restorer, using: Using, held: HeldOut, console: Console) -> Judgement:
    """Measure the denoiser beside older ways, and tell."""
    chosen, notes = middle(held)
    use = Use(using.tile, using.turns, using.device)
    network = "network, 8 turns" if using.turns == 8 else "network"
    methods: dict[str, Method] = {network: lambda noisy: [restore(restorer, picture, use) for picture in noisy]}
    with console.status("measuring beside older ways"):
        found = judge(chosen.clean, chosen.noisy, {**methods, **usual_methods()}, chosen.names)
    console.print(_table(found, chosen.told))
    for note in notes:
        tell(console, f"note: {note}", "dim")
    return found


def _table(found: Judgement, told: str) -> Table:
    table = Table(
        title=Text(f"\n{told}", style="bold"), title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False
    )
    table.add_column("")
    for name in ("PSNR in dB", "SSIM", "seconds"):
        table.add_column(name, justify="right")
    best = max(row.psnr for row in found.figures)
    for row in found.figures:
        cells = (f"{row.psnr:.2f}", "-" if np.isnan(row.ssim) else f"{row.ssim:.3f}", number(row.seconds))
        table.add_row(Text(row.method), *(Text(cell, style="bold green" if row.psnr == best else "") for cell in cells))
    return table


def _applied(restorer: Restorer, using: Using, how: Opening, console: Console) -> None:
    """Take the noise off, and write what is left."""
    if using.pictures is None or using.out is None:
        return
    use = Use(using.tile, using.turns, using.device, marks.wanted(), how.options.on_error == "skip")
    if using.pictures.is_dir():
        files = look(using.pictures, use.skip)
        for note in files.notes:
            tell(console, f"note: {note}", "dim")
        done = 0
        with Count(console, "taking noise off", len(files.heads), "pictures") as count:
            for done, _ in enumerate(denoise_folder(restorer, using.pictures, using.out, use=use), 1):
                count(done)
        told = f" ({done:,} of {len(files.heads):,} pictures)" if done < len(files.heads) else f" ({done:,} pictures)"
    elif is_picture(using.pictures):
        pixels = pixels_of(look(using.pictures).heads[0], skip=False)
        made = enhanced(provenance(restorer), using.pictures) if use.marked else None
        write(using.out, restore(restorer, cast("Array", pixels), use), provenance=made)
        told = ""
    else:
        source = read(using.pictures, key=how.key)
        found = np.stack([restore(restorer, picture, use) for picture in as_pictures(source.array, using.pictures.name)])
        write(using.out, found, provenance=provenance(restorer) if use.marked else None)
        told = f" ({len(found):,} pictures)"
    tell(console, f"wrote {using.out}{told}")


def _report(restorer: Restorer, found: Judgement, using: Using) -> Path:
    network, facts = restorer.network, restorer.facts
    known = {
        "learned from": str(facts.get("learned from", "pictures")),
        "training pictures": f"{facts.get('training pictures', 0):,}",
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "channels at 1/2, 1/4 ...": ", ".join(map(str, network.widths)),
    }
    if "noise" in facts:
        known["noise"] = str(facts["noise"])
    title = f"Noise taken off {using.pictures.name}" if using.pictures else "A denoiser"
    return write_html(DenoisingReport(title, "", known, found), cast("Path", using.report))
