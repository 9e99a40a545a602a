"""Noise taken off pictures: learned from clean pictures and a kind of noise, from pairs, or from noisy pictures alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact.restorer import Restorer, as_pictures, white
from isthmus.corruptions import Corruption, GaussianRange, Shot
from isthmus.corruptions.pictures import Ranged
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError, DataError
from isthmus.nn import UNet, materialise
from isthmus.objectives.similarity import psnr
from isthmus.spec import to_spec
from isthmus.tasks.pictures.noises import described, spoil
from isthmus.tasks.pictures.shelf import Shelf, Shelved
from isthmus.training import Callback, TrainingConfig, choose_device
from isthmus.training.crops import Crops, Draw, Lesson, Picture, blind_spots, more_noise, thinned
from isthmus.training.features import fit_features
from isthmus.training.history import Row
from isthmus.training.restoring import EVALUATIONS, UNLIMITED, PictureLoss, fit_restorer, quick_precision

Array = NDArray[Any]
SMALL = 40  # pixels: pictures up to this size are learned from whole, with a shallow network
HELD_OUT = 200
ENOUGH = 20  # pictures from which some are held out
STEPS = 5000
HIDDEN = 0.15  # share of the pixels hidden at a time where there are only noisy pictures
MORE, MOST = 0.5, 4.0
FEW = 2  # pictures a batch where not all fit into memory
KNOWN = 64  # pictures by which a training is known again
WAYS = {
    "clean": "clean pictures and noise",
    "pairs": "pairs",
    "hidden": "noisy pictures alone",
    "more": "noisy pictures alone, of known Gaussian noise",
    "thinned": "noisy pictures alone, of known Poisson noise",
}
SPLIT: dict[str, type[Corruption]] = {"more": GaussianRange, "thinned": Shot}


@dataclass(frozen=True)
class Settings:
    """How a denoiser is fitted; None is chosen by the pictures.

    Parameters
    ----------
    widths : tuple of int, optional
        Channels of the network at 1/2, 1/4 ... of the size.
    blocks : int
        At each size, down and up.
    crop : int
        Height and width of the crops that are learned from.
    batch : int, optional
        Crops a step.
    steps : int, optional
        At most.
    seconds : float, optional
        At most; without `steps` as many as fit in.
    learning_rate : float
    average : float
        Decay of the moving average of the weights that is kept.
    loss : {"mse", "l1"}
    ssim, ms_ssim, perceptual : float
        Weights in the loss of 1 - SSIM, of 1 - MS-SSIM, and of the distance in features that are learned on the spot
        (`isthmus.training.features`). Not where there are only noisy pictures.
    attention : int
        Heads of attention at the lowest size; 0 for none.
    hidden : float
        Where there are only noisy pictures of unknown noise: the share of the pixels hidden at a time.
    more : float
        Where there are only pictures of known Gaussian noise: how much noise comes on top, as of `isthmus.training.crops.more_noise`.
    turns : {"none", "mirror", "all"}, optional
        How crops are turned about.
    held_out : float, optional
        Share of the pictures that is not learned from and measured on instead.
    evaluations : int
        How often, at equal shares of the time or of the steps.
    seed : int
    device : str
    precision : {"fp32", "tf32", "bf16"}, optional
        By default bfloat16 where the processor multiplies it in hardware.

    Examples
    --------
    >>> Settings(steps=10).crop
    64
    """

    widths: tuple[int, ...] | None = None
    blocks: int = 2
    crop: int = 64
    batch: int | None = None
    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 2e-3
    average: float = 0.995
    loss: str = "mse"
    ssim: float = 0.0
    ms_ssim: float = 0.0
    perceptual: float = 0.0
    attention: int = 0
    hidden: float = HIDDEN
    more: float = MORE
    turns: str | None = None
    held_out: float | None = None
    evaluations: int = EVALUATIONS
    seed: int = 0
    device: str = "auto"
    precision: str | None = None


def settle(settings: Settings, pictures: Sequence[Picture]) -> Settings:
    """Choose what is left to choose."""
    smallest = min(min(picture.shape[:2]) for picture in pictures)
    small = smallest <= SMALL
    return replace(
        settings,
        widths=settings.widths or ((64, 128) if small else (48, 96, 192)),
        batch=settings.batch or (32 if small else 8),
        steps=settings.steps or (STEPS if settings.seconds is None else UNLIMITED),
        turns=settings.turns or ("mirror" if smallest <= settings.crop else "all"),
        held_out=(0.05 if len(pictures) >= ENOUGH else 0.0) if settings.held_out is None else settings.held_out,
        precision=settings.precision or quick_precision(),
    )


def fit(
    pictures: Any,
    targets: Any = None,
    *,
    noise: Corruption | None = None,
    alone: bool = False,
    settings: Settings | None = None,
    callbacks: Sequence[Callback] = (),
    watch: Callable[[Restorer], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Restorer:
    """Fit a denoiser. The first Ctrl-C ends the training, and the best network so far is returned.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
        Clean ones where `noise` is given, else noisy ones. uint8, uint16, or floating-point numbers from 0 to 1. Or a `Shelf`.
    targets : as `pictures`, optional
        The clean picture of each noisy one, or a second noisy one of the same: the mean of many is then what is learned (Noise2Noise).
    noise : Corruption, optional
        What makes clean pictures noisy. With neither `noise` nor `targets` the network learns from noisy pictures alone, by hiding pixels
        from it (Noise2Void): noise must then be independent from pixel to pixel.
    alone : bool
        Whether `pictures` are noisy by `noise` already, Gaussian or Poisson of one known strength: the network then learns from them alone,
        by splitting each into two of independent noise, which is better than hiding pixels.
    settings : Settings, optional
    callbacks : sequence of Callback
    watch : callable, optional
        Called at each evaluation with the denoiser as it is then.
    clock : callable
        What ``settings.seconds`` counts.
    checkpoint : path, optional
        File that holds the state of the training.
    resume : bool
        Go on from `checkpoint`, as if training had never been stopped.

    Returns
    -------
    Restorer

    Raises
    ------
    ConfigError
        If settings do not fit, or both `targets` and `noise` are given.
    DataError
        If the pictures cannot be used, or pairs do not match.
    TrainingError
        If training diverges.
    ArtifactError
        If there is nothing to go on from.

    References
    ----------
    Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018; Krull, Buchholz and Jug, "Noise2Void",
    CVPR 2019; Pang et al., "Recorrupted-to-recorrupted", CVPR 2021.
    """
    if noise is not None and targets is not None:
        raise ConfigError("give either noise, for clean pictures, or targets, for noisy ones; not both")
    found = as_they_are(pictures, "pictures")
    paired = None if targets is None else _pairs(found, as_they_are(targets, "targets"))
    way = _way(noise, paired is not None, alone)
    chosen = _checked(settle(settings or Settings(), found), way)
    train, held = split(len(found), chosen)
    network = _network(found[0].shape[2], chosen, residual=way != "hidden")
    crops = make_crops([found[i] for i in train], None if paired is None else [paired[i] for i in train], chosen)
    draw = _lessons(crops, noise, way, chosen)
    measure = None
    if len(held) and way in ("clean", "pairs"):
        clean = [np.asarray((paired or found)[i]) for i in held]
        noisy = spoil(clean, noise, chosen.seed + 1) if noise is not None else [np.asarray(found[i]) for i in held]
        measure = _measure(network, noisy, clean, chosen)
    end = End()
    history = fit_restorer(
        network,
        draw,
        training_config(chosen),
        loss=_loss(draw, found[0].shape[2], chosen),
        measure=measure,
        evaluations=chosen.evaluations,
        callbacks=[*callbacks, end, *([_Watch(watch, Restorer(network))] if watch else [])],
        clock=clock,
        checkpoint=checkpoint,
        resume=resume,
        data=[way, repr(noise and to_spec(noise)), repr(chosen), *(digest(part) for part in (found, paired) if part is not None)],
    )
    told = {} if noise is None else {"noise": described(noise)}
    facts = {"learned from": WAYS[way], **told, "training pictures": len(train), "held-out pictures": len(held), "stopped": end.stopped}
    return Restorer(network.cpu().eval(), {k: v for k, v in asdict(chosen).items() if v is not None}, history, facts)


def as_they_are(pictures: Any, name: str) -> Sequence[Picture]:
    """Return pictures in memory or on a shelf as a sequence; errors as for `as_pictures`."""
    return pictures if isinstance(pictures, Shelf) else as_pictures(pictures, name)


def _way(noise: Corruption | None, paired: bool, alone: bool) -> str:
    """Return how is learned: "clean", "pairs", "hidden", "more" or "thinned"."""
    if not alone:
        return "pairs" if paired else "hidden" if noise is None else "clean"
    kind = next((way for way, known in SPLIT.items() if isinstance(noise, known)), None)
    if paired or kind is None:
        raise ConfigError(
            "noisy pictures alone are split where their noise is gaussian or poisson and not clipped, and there are no targets; "
            "of other noise leave its name out: pixels are then hidden"
        )
    if isinstance(noise, Ranged) and noise.lowest != noise.highest:
        raise ConfigError("noisy pictures alone need one strength of their noise: leave out highest, or the noise's name")
    if isinstance(noise, Ranged) and not noise.highest:
        raise ConfigError("noise of strength 0 is none: there is nothing to take off. Say how strong it is, or leave level out")
    return kind


def _checked(settings: Settings, way: str) -> Settings:
    if not 0 < settings.hidden < 1 or not 0 < settings.more <= MOST:
        raise ConfigError(
            f"hidden must be a share between 0 and 1 and more above 0 and at most {MOST}, not {settings.hidden} and {settings.more}"
        )
    if way in ("hidden", *SPLIT) and (settings.ssim, settings.ms_ssim, settings.perceptual) != (0, 0, 0):
        raise ConfigError("ssim, ms_ssim and perceptual compare with clean pictures, and there are only noisy ones: leave them at 0")
    return settings


def _loss(draw: Draw, channels: int, settings: Settings) -> PictureLoss:
    features = fit_features(draw, channels, seed=settings.seed, device=choose_device(settings.device)) if settings.perceptual else None
    return PictureLoss(settings.loss, settings.ssim, settings.ms_ssim, settings.perceptual, features)


def digest(pictures: Sequence[Picture]) -> str:
    """Return a digest of some pixels of some pictures, by which they are known again."""
    found = hashlib.sha256(repr([(picture.shape, picture.dtype) for picture in pictures]).encode())
    for picture in pictures[:: max(1, len(pictures) // KNOWN)]:
        found.update(np.ascontiguousarray(np.asarray(picture)[::7, ::7]).tobytes())
    return found.hexdigest()


class End(Callback):
    """Takes note of what ended the training."""

    stopped = ""

    def finished(self, stopped: str) -> None:
        """Take note."""
        self.stopped = stopped


class _Watch(Callback):
    """Shows the denoiser as it is to whoever asked for it."""

    def __init__(self, watch: Callable[[Restorer], None], restorer: Restorer) -> None:
        self.watch, self.restorer = watch, restorer

    def evaluated(self, row: Row, best: bool) -> None:  # noqa: ARG002
        """Show it."""
        self.restorer.network.eval()
        self.watch(self.restorer)
        self.restorer.network.train()


def _pairs(noisy: Sequence[Picture], clean: Sequence[Picture]) -> Sequence[Picture]:
    if len(noisy) != len(clean):
        raise DataError(f"{len(noisy)} noisy pictures, but {len(clean)} targets: give one for each")
    wrong = [f"{named(noisy, i)} ({a.shape} and {b.shape})" for i, (a, b) in enumerate(zip(noisy, clean)) if a.shape != b.shape]
    if wrong:
        raise DataError(f"pairs of different sizes: {', '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}")
    if white(noisy[0].dtype) != white(clean[0].dtype):
        raise DataError(f"noisy pictures are {noisy[0].dtype.name}, their targets {clean[0].dtype.name}: give both in one type")
    return clean


def named(pictures: Sequence[Picture], i: int) -> str:
    """Return what a picture is called in errors: its file, or its number."""
    return pictures.names[i] if isinstance(pictures, Shelf) else str(i)


def split(count: int, settings: Settings) -> tuple[list[int], list[int]]:
    """Return which pictures are learned from and which are held out, by the seed.

    Raises
    ------
    ConfigError
        If the share that is held out is none.
    """
    share = settings.held_out or 0.0
    if not 0 <= share < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {share}")
    order = np.random.default_rng(settings.seed).permutation(count).tolist()
    held = min(round(share * count), HELD_OUT, count - 1)
    return sorted(order[held:]), sorted(order[:held])


def _network(channels: int, settings: Settings, residual: bool) -> UNet:
    with torch.device("meta"):
        network = UNet(channels, settings.widths or (), settings.blocks, residual=residual, attention=settings.attention)
    return materialise(network, settings.seed)


def make_crops(pictures: Sequence[Picture], targets: Sequence[Picture] | None, settings: Settings) -> Crops:
    """Return what draws crops of pictures, few pictures at a time where not all fit into memory."""
    scale, batch = 1 / white(pictures[0].dtype), settings.batch or 1
    shelved = next((picture.shelf for picture in pictures if isinstance(picture, Shelved)), None)
    together = 1 if shelved is None or shelved.fits else -(-batch // FEW)
    return Crops(pictures, targets, size=settings.crop, batch=batch, scale=scale, turns=settings.turns or "none", together=together)


def _lessons(crops: Crops, noise: Corruption | None, way: str, settings: Settings) -> Draw:
    strength = noise.lowest if isinstance(noise, Ranged) else 0.0

    def draw(generator: torch.Generator) -> Lesson:
        lesson = crops(generator)
        if way == "clean" and noise is not None:
            return Lesson(noise(lesson.target, GeneratorNoise(generator)), lesson.target)
        if way == "more":
            return more_noise(lesson.seen, strength, generator, settings.more)
        if way == "thinned":
            return thinned(lesson.seen, strength, generator)
        return blind_spots(lesson.seen, settings.hidden, generator) if way == "hidden" else lesson

    return draw


def training_config(settings: Settings) -> TrainingConfig:
    """Return how a network is trained by these settings."""
    return TrainingConfig(
        steps=settings.steps or STEPS,
        seconds=settings.seconds,
        learning_rate=settings.learning_rate,
        warmup=min(50, settings.steps or STEPS),
        average=settings.average,
        seed=settings.seed,
        device=settings.device,
        precision=settings.precision or "fp32",
    )


def _measure(network: UNet, noisy: list[Array], clean: list[Array], settings: Settings) -> Callable[[], float]:
    """Return what measures the mean PSNR on held-out pictures."""
    restorer = Restorer(network)
    top = white(clean[0].dtype)
    wanted = [torch.tensor(picture[None]).float() / top for picture in clean]
    noisy = [(picture / white(picture.dtype)).astype(np.float32) for picture in noisy]

    def measure() -> float:
        found = restorer(noisy, device=settings.device)
        return float(torch.cat([psnr(torch.tensor(a[None]), b) for a, b in zip(found, wanted)]).mean())

    return measure
