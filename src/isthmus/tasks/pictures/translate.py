"""Pictures turned into others: learned from pairs, or from pictures of which the input is made in a named way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact.restorer import as_pictures, white
from isthmus.artifact.translation import Translation, Use, within
from isthmus.artifact.ways import Masked, Way, half, hole, make_way
from isthmus.errors import ConfigError, DataError
from isthmus.nn import Colouring, UNet, materialise
from isthmus.nn.colouring import SIDE, around, halved, hints, repeated
from isthmus.nn.lab import rgb_to_lab
from isthmus.objectives.similarity import psnr
from isthmus.tasks.pictures.denoise import End, Settings, as_they_are, digest, make_crops, named, settle, split, training_config
from isthmus.tasks.pictures.shelf import Shelf
from isthmus.training import Callback
from isthmus.training.crops import Crops, Draw, Lesson, Picture
from isthmus.training.restoring import PictureLoss, fit_restorer

Array = NDArray[Any]
SMALL = 40  # pixels, see `isthmus.tasks.pictures.denoise`
WIDTHS = {"grey": (32, 64, 128), "masked": (32, 64, 96, 128), "half": (48, 96)}
RARE = 1e-6  # share of all places below which a colour is not told apart from its neighbours
NEUTRAL, GREY = SIDE**2 // 2, 0.999  # the grid's point without colour, and the share of it that makes pictures grey
COUNTED = 4000  # pictures by which frequencies of colours are counted, at most
MEASURED = 64  # held-out pictures on the way, at most


def fit(
    pictures: Any,
    targets: Any = None,
    *,
    way: str = "pairs",
    settings: Settings | None = None,
    callbacks: Sequence[Callback] = (),
    clock: Callable[[], float] = time.perf_counter,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Translation:
    """Fit a translation of pictures. The first Ctrl-C ends the training, and the best network so far is returned.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
        With `targets` the inputs, else the targets, of which inputs are made in the way named. uint8, uint16, or floating-point numbers
        from 0 to 1. Or a `Shelf`.
    targets : as `pictures`, optional
        What each input is to become: of the same size, and of any number of channels. For ``way="pairs"``.
    way : {"pairs", "grey", "edges", "masked", "half"}
        What the input is: given; black and white, to be coloured; lines; a picture with holes; a picture of half the size.
    settings : Settings, optional
    callbacks : sequence of Callback
    clock : callable
        What ``settings.seconds`` counts.
    checkpoint : path, optional
        File that holds the state of the training.
    resume : bool
        Go on from `checkpoint`, as if training had never been stopped.

    Returns
    -------
    Translation

    Raises
    ------
    ConfigError
        If settings do not fit, or targets and way do not.
    DataError
        If the pictures cannot be used, or pairs do not match.
    TrainingError
        If training diverges.
    ArtifactError
        If there is nothing to go on from.
    """
    chosen_way = make_way(way)
    if (targets is None) == (way == "pairs"):
        told = "way='pairs' needs targets, one for each picture" if targets is None else f"targets are for way='pairs', not for way={way!r}"
        raise ConfigError(f"{told}; other ways make the input from the picture itself")
    found = _unit(pictures, "pictures")
    wanted = found if targets is None else paired(found, _unit(targets, "targets"))
    channels = (found[0].shape[2] if targets is not None else chosen_way.channels(found[0].shape[2]), wanted[0].shape[2])
    chosen = _settled(settings or Settings(), way, wanted)
    train, held = split(len(found), chosen)
    network = _network(chosen_way, channels, [wanted[i] for i in train], chosen)
    model = Translation(network, way, channels, {k: v for k, v in asdict(chosen).items() if v is not None})
    crops = make_crops([found[i] for i in train], None if targets is None else [wanted[i] for i in train], chosen)
    shown = held[:MEASURED]
    measure = _measure(model, [np.asarray(found[i]) for i in shown], [np.asarray(wanted[i]) for i in shown], chosen) if shown else None
    end = End()
    model.history = fit_restorer(
        network,
        _colours(crops) if isinstance(network, Colouring) else _lessons(crops, chosen_way),
        training_config(chosen),
        loss=_loss(network, chosen),
        measure=measure,
        evaluations=chosen.evaluations,
        callbacks=[*callbacks, end],
        clock=clock,
        checkpoint=checkpoint,
        resume=resume,
        data=[way, repr(chosen), digest(found), digest(wanted)],
    )
    network.cpu().eval()
    model.facts = {"learned": LEARNED[way], "training pictures": len(train), "held-out pictures": len(held), "stopped": end.stopped}
    return model


LEARNED = {
    "pairs": "from pairs of pictures",
    "grey": "to colour black and white pictures",
    "edges": "to make pictures of lines",
    "masked": "to paint what is missing",
    "half": "to double height and width",
}


def _unit(pictures: Any, name: str) -> Sequence[Picture]:
    found = as_they_are(pictures, name)
    return found if isinstance(pictures, Shelf) else within([np.asarray(picture) for picture in found], name)


def paired(inputs: Sequence[Picture], targets: Sequence[Picture]) -> Sequence[Picture]:
    """Return the targets of inputs as they are, or say which do not match.

    Raises
    ------
    DataError
        If there are not as many, or sizes differ.
    """
    if len(inputs) != len(targets):
        raise DataError(f"{len(inputs)} pictures, but {len(targets)} targets: give one for each")
    wrong = [
        f"{named(inputs, i)} ({a.shape[:2]} and {b.shape[:2]})"
        for i, (a, b) in enumerate(zip(inputs, targets))
        if a.shape[:2] != b.shape[:2]
    ]
    if wrong:
        raise DataError(f"pairs of different sizes: {', '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}")
    if white(inputs[0].dtype) != white(targets[0].dtype):
        raise DataError(f"pictures are {inputs[0].dtype.name}, their targets {targets[0].dtype.name}: give both in one type")
    return targets


def make_inputs(pictures: Any, way: str, seed: int = 0) -> tuple[list[Array], list[Array] | None]:
    """Make inputs from pictures, as `fit` does: to try a translation on pictures whose answer is known.

    Parameters
    ----------
    pictures : as of `fit`
    way : {"grey", "edges", "masked", "half"}
    seed : int
        Of the masks.

    Returns
    -------
    inputs : list of ndarray of shape (H, W, C)
        Of the type given.
    masks : list of ndarray of shape (H, W), or None
        True where a picture is hidden, for ``way="masked"``.

    Raises
    ------
    ConfigError
        If nothing is made in this way.
    DataError
        If the pictures cannot be used.

    Examples
    --------
    >>> make_inputs(np.zeros((2, 8, 6, 3), np.uint8), "half")[0][0].shape
    (4, 3, 3)
    """
    found, chosen = as_pictures(pictures), make_way(way)
    chosen.channels(found[0].shape[2])
    if isinstance(chosen, Masked):
        generator = torch.Generator().manual_seed(seed)
        holes: list[Array] = [hole(picture.shape[0], picture.shape[1], generator).numpy() > 0 for picture in found]
        return [np.where(mask, 0, picture).astype(picture.dtype) for mask, picture in zip(holes, found)], [mask[..., 0] for mask in holes]
    return [_as(picture, chosen) for picture in found], None


def _as(picture: Array, way: Way) -> Array:
    top = white(picture.dtype)
    x = torch.tensor(picture[None]).float() / top
    made = half(x) if way.name == "half" else way.spoil(x, torch.Generator())
    found: Array = made[0].double().numpy() * top
    return (found.round() if picture.dtype.kind == "u" else found).astype(picture.dtype)


def _settled(settings: Settings, way: str, pictures: Sequence[Picture]) -> Settings:
    small = min(min(picture.shape[:2]) for picture in pictures) <= SMALL
    given = replace(settings, widths=settings.widths or WIDTHS.get(way), batch=settings.batch or (32 if small or way == "grey" else None))
    if way == "half" and min(min(picture.shape[:2]) for picture in pictures) < 2:
        raise DataError("a picture is 1 pixel high or wide: to double the size is learned from pictures of 2 x 2 at least")
    return settle(given, pictures)


def _network(way: Way, channels: tuple[int, int], targets: Sequence[Picture], settings: Settings) -> UNet:
    widths = settings.widths or ()
    if way.name != "grey":
        inputs = channels[0] if way.name == "pairs" else way.inputs(channels[1])
        with torch.device("meta"):
            network = UNet(inputs, widths, settings.blocks, residual=way.residual and inputs >= channels[1], outputs=channels[1])
        return materialise(network, settings.seed)
    share = _frequencies(targets)
    if share[NEUTRAL] > GREY:
        raise DataError("the pictures are grey, though they have three channels: a model that colours learns from coloured pictures")
    with torch.device("meta"):
        colouring = Colouring(max(1, int((share > RARE).sum())), widths, settings.blocks)
    materialise(colouring, settings.seed).know(share)
    return colouring


def _frequencies(pictures: Sequence[Picture]) -> Tensor:
    """Return how frequent each colour of the grid is, shape (529,)."""
    total = torch.zeros(SIDE**2)
    for picture in pictures[:: -(-len(pictures) // COUNTED)]:
        points, parts = around(halved(rgb_to_lab(torch.tensor(np.asarray(picture)[None]).float() / white(picture.dtype))[..., 1:]))
        total.index_add_(0, points.flatten(), parts.flatten())
    return total / total.sum()


def _lessons(crops: Crops, way: Way) -> Draw:
    def draw(generator: torch.Generator) -> Lesson:
        lesson = crops(generator)
        if way.name == "pairs":
            return lesson
        seen = way.spoil(lesson.target, generator)
        return Lesson(seen, lesson.target, seen[..., -1:] if way.name == "masked" else None)

    return draw


def _colours(crops: Crops) -> Draw:
    """Return what draws lightness, and colours at some places, of crops; the target is the colour at half the size."""

    def draw(generator: torch.Generator) -> Lesson:
        lab = rgb_to_lab(crops(generator).target)
        colour = halved(lab[..., 1:])
        return Lesson(torch.cat([lab[..., :1] / 100, repeated(hints(colour, generator), *lab.shape[1:3])], -1), colour)

    return draw


def _loss(network: UNet, settings: Settings) -> Callable[[Tensor, Lesson], Tensor]:
    if isinstance(network, Colouring):
        return lambda found, lesson: -network.log_likelihood(found, lesson.target).mean()
    return PictureLoss(settings.loss, settings.ssim)


def _measure(model: Translation, inputs: list[Array], targets: list[Array], settings: Settings) -> Callable[[], float]:
    """Return what measures held-out pictures: the mean PSNR, or, of colours, the mean log likelihood of a place in nats."""
    even = [picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2] if model.way == "half" else picture for picture in targets]
    wanted = [torch.tensor(picture[None]).float() / white(picture.dtype) for picture in even]
    if isinstance(model.network, Colouring):
        return lambda: float(np.mean([_likelihood(model.network, target) for target in wanted]))
    given, masks = (inputs, None) if model.way == "pairs" else make_inputs(even, model.way, settings.seed)
    given = [(picture / white(picture.dtype)).astype(np.float32) for picture in given]

    def measure() -> float:
        found = model(given, masks, Use(device=settings.device))
        model.network.train()
        return float(torch.cat([psnr(torch.tensor(a).reshape(b.shape), b) for a, b in zip(found, wanted)]).mean())

    return measure


@torch.no_grad()
def _likelihood(network: Any, target: Tensor) -> float:
    lab = rgb_to_lab(target.to(network.share.device))
    seen = torch.cat([lab[..., :1] / 100, torch.zeros_like(lab)], -1)
    return float(network.log_likelihood(network(seen), halved(lab[..., 1:])).mean())
