"""Translations of what lies in folders and files, written beside each other with a mark of how they came to be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus import __version__
from isthmus.artifact.files import pack
from isthmus.artifact.translation import Translation, Use
from isthmus.data import write
from isthmus.data.provenance import COMPOSITE, TRAINED, Provenance
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.pictures.denoise_files import ENHANCED, check_outside, enhanced
from isthmus.tasks.pictures.opened import Opened, coloured, open_any
from isthmus.tasks.pictures.opening import listed
from isthmus.tasks.pictures.translate import make_inputs
from isthmus.tasks.pictures.translate_table import each_psnr
from isthmus.training.crops import Picture

Array = NDArray[Any]
KINDS = {"pairs": TRAINED, "edges": TRAINED, "grey": COMPOSITE, "masked": COMPOSITE, "half": ENHANCED}
SHEETS = (".png", ".jpg", ".jpeg", ".webp", ".avif")


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes
    ----------
    masks : Opened, optional
        One for each picture, by name, or one for all.
    truth : Opened, optional
        The right answers, by the same names: for measuring only.
    known : bool
        Whether what was opened are the right answers, of which the inputs are made first.
    draws : int
        Answers to each; 0 for the one best.
    seed : int
    use : Use
    """

    masks: Opened | None = None
    truth: Opened | None = None
    known: bool = False
    draws: int = 0
    seed: int = 0
    use: Use = field(default_factory=Use)


@dataclass
class Answer:
    """What became of one picture.

    Attributes
    ----------
    name : str
    given : ndarray of shape (H, W, C)
    found : ndarray of shape (draws, H, W, C)
        One, if none are drawn.
    wanted : ndarray of shape (H, W, C), optional
        Where it is known.
    psnr : float
        Of the first answer, where that is known; NaN otherwise.
    """

    name: str
    given: Array
    found: Array
    wanted: Array | None = None
    psnr: float = float("nan")


def check_inputs(model: Translation, data: Opened, order: Order) -> None:
    """Refuse what the model cannot translate, by name.

    Raises
    ------
    DataError
        If they are coloured where grey ones are asked for, or grey where coloured ones are.
    ConfigError
        If something is asked for that the model does not do.
    """
    if (data.rows is None) == model.rows:
        kinds = ("pictures", "rows") if model.rows else ("rows", "pictures")
        raise DataError(f"{data.path} holds {kinds[0]}, but the model was fitted on {kinds[1]}")
    if order.known and model.way == "pairs":
        raise ConfigError("a model that learned from pairs cannot make inputs of answers: leave out known (command line: use --truth PATH)")
    if order.known and (order.truth is not None or order.masks is not None):
        raise ConfigError("known pictures are the truth themselves, and get masks of their own: leave out truth and masks")
    if model.way == "masked" and order.masks is None and not order.known:
        raise ConfigError("this model paints what is missing: say with masks where, white (command line: --masks PATH, or --known)")
    if order.draws and not model.draws:
        raise ConfigError(f"a model of way={model.way!r} knows one answer to each picture: leave out draws")
    if model.channels[0] == 1 and not order.known:
        refuse_colours(data, model.way)


def refuse_colours(data: Opened, way: str = "grey") -> None:
    """Refuse coloured pictures, by name, where black and white ones are translated.

    Parameters
    ----------
    data : Opened
    way : str
        Where inputs are made of coloured pictures, the message says how.

    Raises
    ------
    DataError
        If there are any.
    """
    wrong = coloured(data)
    if wrong:
        made = way in ("grey", "edges")
        mend = "or let inputs be made of them, as of right answers (command line: --known)" if made else "or learn from coloured ones"
        learned = "" if made else " by a model that learned from such"
        raise DataError(
            f"{data.path}: black and white pictures are translated{learned}, and these are coloured: {listed(wrong)}. "
            f"Make them grey first; {mend}"
        )


def translated(model: Translation, data: Opened, order: Order) -> Iterator[Answer]:
    """Yield the answers to pictures one by one; errors as for `check_inputs` and `Translation`."""
    check_inputs(model, data, order)
    names = data.named
    holes, truth = check_partners(data, order.masks, order.truth)
    for i, (name, picture) in enumerate(zip(names, data.pictures)):
        pixels = np.asarray(picture)
        if order.known:
            inputs, masks = make_inputs([pixels], model.way, order.seed + i)
            wanted = _even(pixels) if model.way == "half" else pixels
            yield _answer(model, order, Answer(name, inputs[0], np.empty(0), wanted), None if masks is None else masks[0], order.seed + i)
            continue
        answer = Answer(name, _one(pixels, model), np.empty(0), None if truth is None else np.asarray(truth[i]))
        yield _answer(model, order, answer, None if holes is None else np.asarray(holes[i]), order.seed + i)


def _one(pixels: Array, model: Translation) -> Array:
    """Return grey pictures that are saved as colour with one channel, where one is asked for."""
    return pixels[..., :1] if model.channels[0] == 1 and pixels.shape[2] >= 3 else pixels


def _even(picture: Array) -> Array:
    return picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]


def _answer(model: Translation, order: Order, answer: Answer, mask: Array | None, seed: int) -> Answer:
    try:
        if order.draws:
            answer.found = model.sample([answer.given], order.draws, seed, order.use)[0]
        else:
            answer.found = np.asarray(model([answer.given], None if mask is None else [mask], order.use)[0])[None]
    except DataError as error:
        raise DataError(f"{answer.name}: {error}") from error
    answer.given = answer.given if mask is None else np.where(np.atleast_3d(mask), np.asarray(0, answer.given.dtype), answer.given)
    if answer.wanted is not None:
        if answer.wanted.shape != answer.found.shape[1:]:
            told = " x ".join(map(str, answer.wanted.shape)), " x ".join(map(str, answer.found.shape[1:]))
            raise DataError(f"{answer.name}: the true picture is {told[0]}, what was made of it {told[1]}; they must be of one size")
        answer.psnr = float(each_psnr(answer.found[:1], answer.wanted[None])[0])
    return answer


def check_partners(data: Opened, masks: Opened | None, truth: Opened | None) -> tuple[list[Picture] | None, list[Picture] | None]:
    """Return a mask and a true picture for each picture, where they are given.

    Raises
    ------
    DataError
        If one is missing, or a mask is not as large as its picture; the message names it.
    """
    holes = None if masks is None else _partners(masks, data.named, "mask", alone=True)
    for name, picture, hole in zip(data.named, data.pictures, holes or ()):
        if picture.shape[:2] != hole.shape[:2]:
            sizes = [f"{shape[0]} x {shape[1]}" for shape in (hole.shape, picture.shape)]
            raise DataError(f"{name}: its mask has {sizes[0]} pixels, the picture {sizes[1]}: both must be as large")
    return holes, None if truth is None else _partners(truth, data.named, "true picture")


def _partners(others: Opened, names: list[str], kind: str, alone: bool = False) -> list[Picture]:
    """Return a partner for each picture: that of the same name, or, if it may stand `alone`, the only one there is."""
    if alone and len(others.pictures) == 1:
        return [others.pictures[0]] * len(names)
    if not others.names:
        if len(others.pictures) != len(names):
            raise DataError(f"{len(names)} pictures, but {others.path} holds {len(others.pictures)}: one {kind} is needed for each")
        return list(others.pictures)
    by_name = {PurePosixPath(name).with_suffix(""): picture for name, picture in zip(others.names, others.pictures)}
    missing = [name for name in names if PurePosixPath(name).with_suffix("") not in by_name]
    if missing:
        raise DataError(f"{others.path} has no {kind} for {listed(missing)}: give one of the same name for each")
    return [by_name[PurePosixPath(name).with_suffix("")] for name in names]


def write_answers(
    answers: Iterator[Answer], out: Path, mark: Provenance | None, total: int, source: Path | None = None
) -> Iterator[tuple[Answer, Path]]:
    """Write answers as they come, and yield each with the file it is in.

    Parameters
    ----------
    answers : iterator of Answer
    out : path
        A folder: names are kept, but for the ending, which becomes .png; several draws are numbered. A picture's file, for one answer,
        or several side by side. Or ``.npy`` or ``.npz``, where all answers are of one size.
    mark : Provenance, optional
    total : int
        How many answers there will be.
    source : path, optional
        Where the pictures are from: those that a model made, and that are only enhanced, still say so.

    Raises
    ------
    DataError
        If they cannot be written so.
    """
    ending = out.suffix.lower()
    _check_room(out, total)
    if ending not in SHEETS and ending:
        found = list(answers)
        shapes = sorted({answer.found.shape for answer in found})
        if len(shapes) > 1:
            raise DataError(f"pictures of different sizes do not go into one array {out.name}: give a folder (no ending)")
        drawn = np.stack([answer.found for answer in found])
        written = write(out, drawn[:, 0] if drawn.shape[1] == 1 else drawn)
        yield from ((answer, written) for answer in found)
        return
    for answer in answers:
        made = mark if source is None or mark is None or mark.source_type != ENHANCED else enhanced(mark, _file(source, answer.name))
        if ending:
            yield answer, write(out, answer.found[0] if len(answer.found) == 1 else answer.found, provenance=made)
            continue
        plain = PurePosixPath(answer.name).with_suffix("")
        files = [out / (f"{plain}-{k}.png" if len(answer.found) > 1 else f"{plain}.png") for k in range(1, len(answer.found) + 1)]
        for file, picture in zip(files, answer.found):
            write(file, picture, provenance=made)
        yield answer, files[0]


def _file(source: Path, name: str) -> Path:
    return source / name if source.is_dir() else source


def _check_room(out: Path, total: int) -> None:
    if out.suffix.lower() in SHEETS and total > 1:
        raise DataError(f"{total} pictures do not go into {out.name}: give a folder (no ending), .npy or .npz")


def check_out(data: Opened, out: Path) -> None:
    """Refuse a place into which the results cannot go, or where pictures would be replaced.

    Raises
    ------
    DataError
        If `out` is where the pictures are, or holds but one of many, or two would be written under one name.
    """
    check_outside(out, data.path)
    _check_room(out, len(data.pictures))
    plain = [str(PurePosixPath(name).with_suffix("")) for name in data.names]
    twice = sorted({name for name in plain if plain.count(name) > 1}) if len(set(plain)) < len(plain) else []
    if twice:
        raise DataError(f"{data.path}: several pictures would be written as {twice[0]}.png; give them different names")


def made_by(model: Translation) -> Provenance:
    """Return what translated pictures are to say of themselves."""
    found = hashlib.sha256(repr((model.way, model.network)).encode())
    for name, tensor in sorted(pack({"network": model.network}).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return Provenance(KINDS[model.way], f"isthmus {__version__}", f"isthmus translator ({model.way})", found.hexdigest()[:16], "translate")


def open_inputs(model: Translation, path: Path, key: str | None, known: bool, on_error: Any = "refuse") -> Opened:
    """Open what a model shall translate, its pictures in the channels it knows; errors as for `open_any`."""
    asked = model.channels[1] if known else model.channels[0]
    return open_any(path, key=key, channels=None if model.rows or (asked == 1 and not known) else asked, on_error=on_error)
