"""What ``isthmus swap`` does: learn from domains, or swap frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from isthmus.artifact.swapping import SwapModel
from isthmus.cli import marks, show
from isthmus.cli.border import INTERRUPTED
from isthmus.cli.kit import console, say
from isthmus.cli.places import SHEETS, check_apart, check_file, check_folder, check_parent, check_pictures
from isthmus.data import write
from isthmus.data.options import as_size
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.pictures.denoise_files import is_array, look
from isthmus.tasks.pictures.opening import check_there
from isthmus.tasks.pictures.swap import Settings, checked, fit
from isthmus.tasks.pictures.swap_files import Order, Reading, made_by, parse_box, read_domain, swap_array, swap_folder
from isthmus.tasks.pictures.swap_files import preview as write_preview

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Job:
    """A call of ``isthmus swap`` that learns."""

    domains: tuple[str, ...]
    save: Path | None
    overwrite: bool
    preview: Path | None
    checkpoint: Path | None
    resume: bool
    reading: Reading
    settings: Settings


def reading(size: str | None, box: str | None, colour: str, key: str | None, on_error: str) -> Reading:
    """Return how pictures are read, from flags.

    Raises
    ------
    ConfigError
        If a flag is none of its values.
    """
    if colour not in ("auto", "grey", "rgb") or on_error not in ("refuse", "skip"):
        raise ConfigError(f"--colour must be auto, grey or rgb, and --on-error refuse or skip; not {colour!r} and {on_error!r}")
    shape: Any = as_size(size)
    return Reading(shape, parse_box(box) if box else None, colour, key, on_error)


def refuse_frames(model: Path | None, frames: Path | None, to: str | None, out: Path | None) -> None:
    """Refuse to learn and to swap in one call.

    Raises
    ------
    ConfigError
        If both are asked for.
    """
    given = [name for name, value in {"MODEL": model, "FRAMES": frames, "--to": to, "--out": out}.items() if value is not None]
    if given:
        raise ConfigError(f"--domain learns a model: leave out {', '.join(given)}, and swap with it in a second call")


def refuse_learning(given: Mapping[str, object], resume: bool) -> None:
    """Refuse what is for learning where no domain is given.

    Raises
    ------
    ConfigError
        If there is such a flag.
    """
    names = [*(name for name, value in given.items() if value is not None), *(["--resume"] if resume else [])]
    if names:
        raise ConfigError(f"{', '.join(names)}: for learning, which needs --domain NAME=PATH twice or more")


def order(to: str | None, source: str | None, mask: str, soft: float, device: str, how: Reading) -> Order:
    """Return what is to become of frames, from flags.

    Raises
    ------
    ConfigError
        If ``--to`` is missing.
    """
    if to is None:
        raise ConfigError("give MODEL FRAMES --to NAME --out PATH to swap frames, or --domain NAME=PATH twice or more to learn a model")
    skip = how.on_error == "skip"
    return Order(to, source, how.box, mask, soft, device, marks.wanted(), skip)


def named_domains(texts: tuple[str, ...]) -> dict[str, Path]:
    """Return paths by the name of their domain, from texts such as ``"a=DIR"``.

    Raises
    ------
    ConfigError
        If a text is none, a name comes twice, or there are fewer than two.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--domain takes NAME=PATH, such as anna=photos/anna, not {text!r}")
        if name in found:
            raise ConfigError(f"--domain {name!r} is given twice: give each domain a name of its own")
        found[name] = Path(path).expanduser()
    if len(found) < 2:
        raise ConfigError(f"there is one domain ({', '.join(found)}): give --domain NAME=PATH twice or more")
    return found


def learn(job: Job, out: Console) -> int:
    """Learn from domains, save, and tell how it went; return the exit code."""
    paths = named_domains(job.domains)
    _check(job)
    domains = {name: _read(name, path, job.reading) for name, path in paths.items()}
    checked(domains)
    shape = " x ".join(map(str, next(iter(domains.values())).shape[1:]))
    say(f"learning from {', '.join(f'{name} ({len(x):,} pictures)' for name, x in domains.items())}, {shape} each ...")
    bar = show.Bar(out, "learning to swap")

    def renew(model: SwapModel) -> None:
        if job.preview is not None:
            write_preview(model, domains, job.preview, marks.wanted(), job.settings.device)

    try:
        model = fit(domains, job.settings, callbacks=[bar], watch=renew, checkpoint=job.checkpoint, resume=job.resume)
    finally:
        bar.close()
    renew(model)
    return _saved(model, job, out)


def _check(job: Job) -> None:
    if job.save is None:
        raise ConfigError("--domain learns a model: give --save FOLDER, where it is kept")
    check_folder(job.save, job.overwrite, "--save")
    if job.preview is not None:
        check_file(job.preview, SHEETS, flag="--preview")
    if job.checkpoint is not None:
        check_parent(job.checkpoint, "--checkpoint")
    if job.resume and job.checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE: the file an earlier run with --checkpoint wrote")


def _read(name: str, path: Path, how: Reading) -> Any:
    try:
        found, notes = read_domain(path, how)
    except DataError as error:
        raise DataError(f"domain {name!r}: {error}") from error
    for note in notes:
        say(f"note: domain {name!r}: {note}")
    return found


def _saved(model: SwapModel, job: Job, out: Console) -> int:
    place = model.save(job.save or Path())
    last = model.history[-1] if len(model.history) else {}
    say(
        f"saved {place} after {int(last.get('step', 0)):,} steps in {last.get('seconds', 0.0):,.0f} s; error of rebuilt pictures "
        f"{-last.get('held_out', 0.0):.4f} (mean absolute, white is 1)"
    )
    interrupted = model.facts["stopped"] == "interrupted"
    if interrupted:
        more = f"; to go on, run the same command with --resume --overwrite (from {job.checkpoint})" if job.checkpoint else ""
        out.print(Text(f"interrupted: the best model so far is kept{more}", style="yellow"), soft_wrap=True)
    say(f"next: isthmus swap {job.save} FRAMES --to {model.domains[-1]} --out OUT")
    return INTERRUPTED if interrupted else 0


def apply(model: Path | None, frames: Path | None, out: Path | None, how: Order, read_as: Reading) -> None:
    """Swap frames, and write them.

    Raises
    ------
    ConfigError
        If something is not given, or does not go together.
    """
    if model is None or frames is None or out is None:
        raise ConfigError("give MODEL FRAMES --to NAME --out PATH: which model, what is swapped, and where it goes")
    arrays = is_array(frames)
    if arrays and (how.box is not None or how.mask != "ellipse"):
        raise ConfigError("--box and --mask blend into frames in picture files; pictures in arrays are swapped whole: leave them out")
    check_there(frames)
    check_apart(out, frames)
    if frames.is_dir():
        check_pictures(out)
    else:
        check_file(out, (*ARRAYS, *SHEETS), folder=arrays)
    found = SwapModel.load(model)
    found.number(how.to)
    if arrays:
        pictures = swap_array(found, frames, how, read_as.key)
        say(f"wrote {write(out, pictures, provenance=made_by(found) if how.marked else None)} ({len(pictures):,} pictures)")
        return
    _each(found, frames, out, how)


def _each(model: SwapModel, frames: Path, out: Path, how: Order) -> None:
    total, done = len(look(frames, how.skip).heads), 0
    with show.Count(console(), "swapping", total, "pictures") as count:
        for _ in swap_folder(model, frames, out, how):
            done += 1
            count(done)
    left = f"; left out {total - done} that could not be read" if done < total else ""
    say(f"wrote {out} ({done:,} picture{'s' if done != 1 else ''} as {how.to}{left})")
