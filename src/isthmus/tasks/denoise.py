"""Noise taken off pictures: learned from clean pictures and a kind of noise, from pairs, or from noisy pictures alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact.restorer import Restorer, as_pictures, white
from isthmus.corruptions import Blur, Clipped, Corruption, GaussianRange, Jpeg, SaltAndPepper, Shot, Speckle
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError, DataError
from isthmus.nn import UNet, materialise
from isthmus.objectives.similarity import psnr
from isthmus.training import Callback, TrainingConfig
from isthmus.training.crops import Crops, Draw, Lesson, blind_spots
from isthmus.training.restoring import PictureLoss, fit_restorer, quick_precision

Array = NDArray[Any]
SMALL = 40  # pixels: pictures up to this size are learned from whole, with a shallow network
HELD_OUT = 200
ENOUGH = 20  # pictures from which some are held out
STEPS = 5000
HIDDEN = 0.15  # share of the pixels hidden at a time where there are only noisy pictures
NOISES: dict[str, Callable[..., Corruption]] = {
    "gaussian": GaussianRange,
    "poisson": Shot,
    "speckle": Speckle,
    "salt_and_pepper": SaltAndPepper,
    "jpeg": Jpeg,
    "blur": Blur,
}
LEVELS = {"gaussian": 25 / 255, "poisson": 30.0, "speckle": 0.2, "salt_and_pepper": 0.1, "jpeg": 20.0, "blur": 1.5}


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
    ssim : float
        Weight of 1 - SSIM in the loss.
    hidden : float
        Where there are only noisy pictures: the share of the pixels hidden at a time.
    turns : {"none", "mirror", "all"}, optional
        How crops are turned about.
    held_out : float, optional
        Share of the pictures that is not learned from and measured on instead.
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
    hidden: float = HIDDEN
    turns: str | None = None
    held_out: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str | None = None


def settle(settings: Settings, pictures: Sequence[Array]) -> Settings:
    """Choose what is left to choose."""
    smallest = min(min(picture.shape[:2]) for picture in pictures)
    small = smallest <= SMALL
    return replace(
        settings,
        widths=settings.widths or ((64, 128) if small else (48, 96, 192)),
        batch=settings.batch or (32 if small else 8),
        steps=settings.steps or (STEPS if settings.seconds is None else 1 << 40),
        turns=settings.turns or ("mirror" if smallest <= settings.crop else "all"),
        held_out=(0.05 if len(pictures) >= ENOUGH else 0.0) if settings.held_out is None else settings.held_out,
        precision=settings.precision or quick_precision(),
    )


def make_noise(name: str, level: float | None = None, highest: float | None = None, clip: bool = False) -> Corruption:
    """Return what makes pictures noisy.

    Parameters
    ----------
    name : {"gaussian", "poisson", "speckle", "salt_and_pepper", "jpeg", "blur"}
    level : float, optional
        Strength: standard deviation (white is 1) of Gaussian noise and of speckle's factor, photons of white, share of the pixels, JPEG's
        quality, standard deviation of the blur in pixels.
    highest : float, optional
        With it, each picture has a strength of its own from `level` to `highest`, which the network is not told.
    clip : bool
        Whether noisy values are kept within black and white, as in a file.

    Raises
    ------
    ConfigError
        If there is no noise of this name, or the strength is out of its range.

    Examples
    --------
    >>> make_noise("gaussian", 0.1, 0.3).highest
    0.3
    """
    if name not in NOISES:
        raise ConfigError(f"unknown noise {name!r}; choose one of {', '.join(NOISES)}")
    strength = LEVELS[name] if level is None else level
    if highest is not None and name == "salt_and_pepper":
        raise ConfigError("salt_and_pepper takes one level, no range: leave out highest")
    found = NOISES[name](strength, *(() if highest is None else (highest,)))
    return Clipped(found) if clip else found


def spoil(pictures: Any, noise: Corruption, seed: int = 0) -> list[Array]:
    """Return noisy copies of pictures as floating-point numbers, white being 1; each has noise of its own, the same for the same seed.

    Examples
    --------
    >>> spoil(np.zeros((1, 4, 4, 1), np.uint8), make_noise("speckle"))[0].max()
    np.float32(0.0)
    """
    source = GeneratorNoise(torch.Generator().manual_seed(seed))
    found = as_pictures(pictures)
    top = white(found[0].dtype)
    return [noise(torch.tensor(picture[None]).float() / top, source)[0].numpy() for picture in found]


def fit(
    pictures: Any,
    targets: Any = None,
    *,
    noise: Corruption | None = None,
    settings: Settings | None = None,
    callbacks: Sequence[Callback] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> Restorer:
    """Fit a denoiser.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
        Clean ones where `noise` is given, else noisy ones. uint8, uint16, or floating-point numbers from 0 to 1.
    targets : as `pictures`, optional
        The clean picture of each noisy one, or a second noisy one of the same: the mean of many is then what is learned (Noise2Noise).
    noise : Corruption, optional
        What makes clean pictures noisy. With neither `noise` nor `targets` the network learns from noisy pictures alone, by hiding pixels
        from it (Noise2Void): noise must then be independent from pixel to pixel.
    settings : Settings, optional
    callbacks : sequence of Callback
    clock : callable
        What ``settings.seconds`` counts.

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

    References
    ----------
    Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018; Krull, Buchholz and Jug, "Noise2Void",
    CVPR 2019.
    """
    if noise is not None and targets is not None:
        raise ConfigError("give either noise, for clean pictures, or targets, for noisy ones; not both")
    found = as_pictures(pictures, "pictures")
    paired = None if targets is None else _pairs(found, as_pictures(targets, "targets"))
    chosen = settle(settings or Settings(), found)
    if not 0 < chosen.hidden < 1:
        raise ConfigError(f"hidden must be a share between 0 and 1, not {chosen.hidden}")
    train, held = _split(len(found), chosen)
    blind = noise is None and paired is None
    network = _network(found[0].shape[2], chosen, residual=not blind)
    crops = _crops([found[i] for i in train], None if paired is None else [paired[i] for i in train], chosen)
    measure = None
    if len(held) and not blind:
        clean = [(paired or found)[i] for i in held]
        noisy = spoil(clean, noise, chosen.seed + 1) if noise is not None else [found[i] for i in held]
        measure = _measure(network, noisy, clean, chosen)
    history = fit_restorer(
        network,
        _lessons(crops, noise, chosen.hidden if blind else None),
        _training(chosen),
        loss=PictureLoss(chosen.loss, chosen.ssim),
        measure=measure,
        callbacks=callbacks,
        clock=clock,
    )
    way = "noisy pictures alone" if blind else "pairs" if paired else "clean pictures and noise"
    facts = {"learned from": way, "training pictures": len(train), "held-out pictures": len(held)}
    return Restorer(network.cpu().eval(), {k: v for k, v in asdict(chosen).items() if v is not None}, history, facts)


def _pairs(noisy: list[Array], clean: list[Array]) -> list[Array]:
    if len(noisy) != len(clean):
        raise DataError(f"{len(noisy)} noisy pictures, but {len(clean)} targets: give one for each")
    wrong = [f"{i} ({a.shape} and {b.shape})" for i, (a, b) in enumerate(zip(noisy, clean)) if a.shape != b.shape]
    if wrong:
        raise DataError(f"pairs of different sizes: {', '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}")
    if white(noisy[0].dtype) != white(clean[0].dtype):
        raise DataError(f"noisy pictures are {noisy[0].dtype.name}, their targets {clean[0].dtype.name}: give both in one type")
    return clean


def _split(count: int, settings: Settings) -> tuple[list[int], list[int]]:
    share = settings.held_out or 0.0
    if not 0 <= share < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {share}")
    order = np.random.default_rng(settings.seed).permutation(count).tolist()
    held = min(round(share * count), HELD_OUT, count - 1)
    return sorted(order[held:]), sorted(order[:held])


def _network(channels: int, settings: Settings, residual: bool) -> UNet:
    with torch.device("meta"):
        network = UNet(channels, settings.widths or (), settings.blocks, residual=residual)
    return materialise(network, settings.seed)


def _crops(pictures: list[Array], targets: list[Array] | None, settings: Settings) -> Crops:
    scale = 1 / white(pictures[0].dtype)
    return Crops(pictures, targets, size=settings.crop, batch=settings.batch or 1, scale=scale, turns=settings.turns or "none")


def _lessons(crops: Crops, noise: Corruption | None, hidden: float | None) -> Draw:
    def draw(generator: torch.Generator) -> Lesson:
        lesson = crops(generator)
        if noise is not None:
            return Lesson(noise(lesson.target, GeneratorNoise(generator)), lesson.target)
        return lesson if hidden is None else blind_spots(lesson.seen, hidden, generator)

    return draw


def _training(settings: Settings) -> TrainingConfig:
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
