"""Pictures of one domain shown as those of another: one encoder learned from all, a decoder for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact.swapping import SwapModel, as_numbers
from isthmus.corruptions import Corruption, Move, Tint, Warp
from isthmus.errors import ConfigError, DataError
from isthmus.nn import materialise
from isthmus.nn.shared_coder import SharedCoder
from isthmus.objectives.similarity import WINDOW
from isthmus.tasks.pictures.denoise import End, digest
from isthmus.training import Callback, TrainingConfig
from isthmus.training.history import Row
from isthmus.training.picture_loss import PictureLoss
from isthmus.training.restoring import EVALUATIONS, UNLIMITED, fit_restorer, quick_precision
from isthmus.training.swapping import SEEN, Critic, Lessons, SwapLoss, SwapTrainer

Array = NDArray[Any]
STEPS = 5000
LEAST, LARGEST = 8, 1024  # pixels of a side
HELD_OUT = 100
ENOUGH = 20  # pictures of a domain from which some are held out
CHANNELS, FEWER = (16, 32, 64, 96), (24, 48, 96)
SMALLEST = 4  # pixels of a side after the last halving


@dataclass(frozen=True)
class Settings:
    """How a swapper is fitted; None is chosen by the pictures.

    Parameters
    ----------
    channels : tuple of int, optional
        Channels of the networks at 1/2, 1/4 ... of the size.
    hidden, code : int
        Widths of the dense layers and of the code.
    batch : int
        Pictures of all domains together, each domain with as many; at least 8 of each.
    steps : int, optional
        At most; 5,000 by default.
    seconds : float, optional
        At most; without `steps` as many as fit in.
    learning_rate : float
    average : float
        Decay of the moving average of the weights that is kept.
    ssim : float
        Weight of 1 - SSIM in the loss, beside the absolute error.
    back : float
        Weight of the loss of pictures that were swapped and swapped back.
    critic : float
        Weight of what swapped pictures lack in the eyes of a critic that knows real ones; 0 for none.
    warp : float
        How far the encoder's input is bent, as a share of the side; 0 for not at all.
    shift, turn, zoom : float
        How far pictures are moved at random: shares of the side, degrees, share of the size.
    mirror : bool
        Whether left and right are exchanged at random.
    tint : float
        How much contrast, brightness and colours change at random.
    held_out : float, optional
        Share of the pictures of a domain that is measured on instead of learned from; 5 % by default, of at least 20.
    evaluations : int
        How often, at equal shares of the time or of the steps.
    seed : int
    device : str
    precision : {"fp32", "tf32", "bf16"}, optional
        By default bfloat16 where the processor multiplies it in hardware.

    Examples
    --------
    >>> Settings(steps=10).code
    64
    """

    channels: tuple[int, ...] | None = None
    hidden: int = 256
    code: int = 64
    batch: int = 64
    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 1e-3
    average: float = 0.998
    ssim: float = 0.5
    back: float = 0.0
    critic: float = 0.0
    warp: float = 0.03
    shift: float = 0.03
    turn: float = 5.0
    zoom: float = 0.08
    mirror: bool = False
    tint: float = 0.0
    held_out: float | None = None
    evaluations: int = EVALUATIONS
    seed: int = 0
    device: str = "auto"
    precision: str | None = None


def domains_of(X: Any, y: Any = None) -> dict[str, Any]:
    """Return pictures by the name of their domain, from a mapping, or from pictures and one label for each.

    Raises
    ------
    DataError
        If there are not as many labels as pictures, or they name fewer than two domains.

    Examples
    --------
    >>> {name: len(found) for name, found in domains_of(np.zeros((3, 8, 8)), ["b", "a", "b"]).items()}
    {'a': 1, 'b': 2}
    """
    if isinstance(X, Mapping):
        if y is not None:
            raise DataError("labels are for pictures in one array; pictures given by domain have their names")
        found: dict[str, Any] = {str(name): pictures for name, pictures in X.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if len(found) < len(X):  # pyright: ignore[reportUnknownArgumentType]
            raise DataError(f"several domains have the same name as text ({', '.join(found)}): give each a name of its own")
    else:
        labels = np.asarray([] if y is None else y)
        if labels.shape != (len(X),):
            told = "none" if y is None else f"{labels.shape}"
            raise DataError(f"{len(X)} pictures need one label each that names their domain (found: {told}); or give a dict of domains")
        found = {str(name): [X[i] for i in np.flatnonzero(labels == name)] for name in np.unique(labels)}
    if len(found) < 2:
        raise DataError(f"there is {len(found)} domain ({', '.join(found)}): pictures are swapped between at least two")
    return found


def checked(domains: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the pictures of each domain as numbers between 0 and 1, shape (n, H, W, C), all of one size.

    Raises
    ------
    DataError
        If a domain has fewer than two pictures, sizes or channels differ, or they are too small or too large.
    """
    found: dict[str, Tensor] = {}
    for name, pictures in domains.items():
        if len(pictures) < 2:
            raise DataError(f"domain {name!r} has {len(pictures)} picture(s): give at least 2, better 10 or more")
        found[name] = as_numbers(pictures, f"domain {name!r}")[0]
    first, shape = next((name, x.shape[1:]) for name, x in found.items())
    for name, x in found.items():
        if x.shape[1:] != shape:
            told = [" x ".join(map(str, size)) for size in (x.shape[1:], shape)]
            raise DataError(
                f"pictures of domain {name!r} are {told[0]} (height x width x channels), those of {first!r} {told[1]}: bring them to one "
                "size and all to grey or all to RGB (command line: --size 64x64 --colour grey)"
            )
    height, width, channels = shape
    if not LEAST <= min(height, width) <= max(height, width) <= LARGEST or channels not in (1, 3):
        raise DataError(
            f"pictures are {height} x {width} with {channels} channel(s): swapping takes {LEAST} to {LARGEST} pixels a side, grey or "
            "coloured (command line: --size 64x64)"
        )
    return found


def settle(settings: Settings, shape: Sequence[int]) -> Settings:
    """Choose what is left to choose."""
    halvings = 1
    while halvings < len(CHANNELS) and min(shape[:2]) // 2 ** (halvings + 1) >= SMALLEST:
        halvings += 1
    return replace(
        settings,
        channels=settings.channels or (CHANNELS if halvings == len(CHANNELS) else FEWER[:halvings]),
        steps=(STEPS if settings.seconds is None else UNLIMITED) if settings.steps is None else settings.steps,
        ssim=settings.ssim if min(shape[:2]) >= WINDOW else 0.0,
        precision=settings.precision or quick_precision(),
    )


def fit(
    domains: Mapping[str, Any],
    settings: Settings | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    watch: Callable[[SwapModel], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> SwapModel:
    """Fit an encoder shared by all domains and a decoder for each. The first Ctrl-C ends the training, and the best so far is returned.

    Parameters
    ----------
    domains : mapping of str to ndarray of shape (n, H, W) or (n, H, W, C), or to sequence of ndarray
        Two or more, all of one size; uint8, uint16 or floating-point numbers from 0 to 1.
    settings : Settings, optional
    callbacks : sequence of Callback
    watch : callable, optional
        Called at each evaluation with the model as it is then.
    clock : callable
        What ``settings.seconds`` counts.
    checkpoint : path, optional
        File that holds the state of the training.
    resume : bool
        Go on from `checkpoint`, as if training had never been stopped.

    Returns
    -------
    SwapModel

    Raises
    ------
    ConfigError
        If settings do not fit.
    DataError
        If the pictures cannot be used.
    TrainingError
        If training diverges.
    ArtifactError
        If there is nothing to go on from.

    Examples
    --------
    >>> faces = {name: np.random.default_rng(i).random((9, 16, 16), np.float32) for i, name in enumerate("ab")}
    >>> fit(faces, Settings(steps=2, device="cpu")).domains
    ('a', 'b')
    """
    found = checked(domains)
    shape = next(iter(found.values())).shape[1:]
    chosen = settle(settings or Settings(), shape)
    train, held = _split(found, chosen)
    trainer = _trainer(tuple(int(side) for side in shape), len(found), chosen)
    model = SwapModel(trainer.coder, tuple(found), _plain(chosen))
    pictures = PictureLoss("l1", chosen.ssim)
    end = End()
    model.history = fit_restorer(
        trainer,
        Lessons(train, chosen.batch, views(chosen), Warp(chosen.warp)),
        _training(chosen),
        loss=SwapLoss(trainer, pictures, chosen.back, chosen.critic, chosen.precision == "bf16"),
        measure=_measure(trainer, train, held),
        evaluations=chosen.evaluations,
        callbacks=[*callbacks, end, *([_Watch(watch, model)] if watch else [])],
        clock=clock,
        checkpoint=checkpoint,
        resume=resume,
        data=[repr(chosen), *found, *(digest(list(x.numpy())) for x in found.values())],
    )
    trainer.coder.cpu().eval()
    counts = {name: len(x) for name, x in zip(found, train)}
    model.facts = {"training pictures": counts, "held-out pictures": sum(map(len, held)), "stopped": end.stopped}
    return model


def views(settings: Settings) -> list[Corruption]:
    """Return what is done to pictures at random before they are learned from."""
    found: list[Corruption] = []
    if settings.mirror or settings.shift or settings.turn or settings.zoom:
        found.append(Move(settings.shift, settings.turn, settings.zoom, 0.5 if settings.mirror else 0.0))
    if settings.tint:
        found.append(Tint(settings.tint, settings.tint / 2, settings.tint / 2))
    return found


def _plain(settings: Settings) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items() if v is not None}  # pyright: ignore[reportUnknownArgumentType]


def _trainer(shape: Sequence[int], domains: int, settings: Settings) -> SwapTrainer:
    channels = settings.channels or CHANNELS
    with torch.device("meta"):
        coder = SharedCoder(shape, domains, channels, settings.hidden, settings.code)
        critic = Critic(shape[2], domains, channels[0]) if settings.critic else None
        trainer = SwapTrainer(coder, critic, settings.back > 0)
    return materialise(trainer, settings.seed)


def _training(settings: Settings) -> TrainingConfig:
    return TrainingConfig(
        steps=STEPS if settings.steps is None else settings.steps,
        seconds=settings.seconds,
        learning_rate=settings.learning_rate,
        warmup=50,
        average=settings.average,
        seed=settings.seed,
        device=settings.device,
        precision=settings.precision or "fp32",
    )


def _split(domains: Mapping[str, Tensor], settings: Settings) -> tuple[list[Tensor], list[Tensor]]:
    """Return for each domain the pictures that are learned from and those that are held out, by the seed."""
    if settings.held_out is not None and not 0 <= settings.held_out < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {settings.held_out}")
    rng = np.random.default_rng(settings.seed)
    train: list[Tensor] = []
    held: list[Tensor] = []
    for x in domains.values():
        share = (0.05 if len(x) >= ENOUGH else 0.0) if settings.held_out is None else settings.held_out
        order = torch.from_numpy(rng.permutation(len(x)))  # pyright: ignore[reportUnknownMemberType]
        count = min(round(share * len(x)), HELD_OUT, len(x) - 2)
        train.append(x[order[count:].sort().values])
        held.append(x[order[:count].sort().values])
    return train, held


def _measure(trainer: SwapTrainer, train: Sequence[Tensor], held: Sequence[Tensor]) -> Callable[[], float] | None:
    """Return what standardises the codes for use, and measures how well held-out pictures are rebuilt: minus the mean absolute error."""

    def error() -> float:
        coder = trainer.coder
        device = coder.norm.mean.device
        trainer.eval()
        found: list[float] = []
        for i, (learned, others) in enumerate(zip(train, held)):
            coder.calibrate(learned[:SEEN].to(device), i)
            x = (others if len(others) else learned[:SEEN]).to(device)
            with torch.no_grad():
                found.append(float((coder.decode(coder.encode(x, i), i).clamp(0, 1) - x).abs().mean()))
        trainer.train()
        return -float(np.mean(found))

    return error


class _Watch(Callback):
    """Shows the model as it is to whoever asked for it."""

    def __init__(self, watch: Callable[[SwapModel], None], model: SwapModel) -> None:
        self.watch, self.model = watch, model

    def evaluated(self, row: Row, best: bool) -> None:  # noqa: ARG002
        """Show it."""
        self.watch(self.model)
        self.model.network.train()
