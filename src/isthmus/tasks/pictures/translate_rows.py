"""Rows turned into others: numbers to numbers, series to series, any shape to any other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact.translation import Translation
from isthmus.errors import DataError
from isthmus.nn import Answers, materialise
from isthmus.tasks.pictures.denoise import End
from isthmus.training import Callback, TrainingConfig
from isthmus.training.crops import Draw, Lesson
from isthmus.training.restoring import UNLIMITED, fit_restorer

Array = NDArray[Any]
BATCH, STEPS = 128, 3000
ENOUGH = 20  # rows from which some are held out


@dataclass(frozen=True)
class RowSettings:
    """How a translation of rows is fitted.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    answers : int
        How many different answers to one row are known at most.
    steps : int, optional
        At most.
    seconds : float, optional
        At most; without `steps` as many as fit in.
    learning_rate : float
    weight_decay : float
    held_out : float
        Share of the rows that is not learned from; the weights are kept that explain them best.
    evaluations : int
        How often these are looked at.
    seed : int
    device : str

    Examples
    --------
    >>> RowSettings(answers=1).hidden
    (256, 256)
    """

    hidden: tuple[int, ...] = (256, 256)
    answers: int = 8
    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    held_out: float = 0.1
    evaluations: int = 30
    seed: int = 0
    device: str = "auto"


def fit_rows(
    x: Any,
    y: Any,
    *,
    settings: RowSettings | None = None,
    callbacks: Sequence[Callback] = (),
    clock: Callable[[], float] = time.perf_counter,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Translation:
    """Fit a translation of rows. The first Ctrl-C ends the training, and the best network so far is returned.

    Parameters
    ----------
    x, y : ndarray of shape (n, ...)
        Numbers, row by row; those of `y` may have another shape.
    settings : RowSettings, optional
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
    DataError
        If they are no such numbers, or there are not as many of both.
    ConfigError
        If settings do not fit.
    TrainingError
        If training diverges.
    ArtifactError
        If there is nothing to go on from.

    Examples
    --------
    >>> x = np.linspace(0, 1, 50)[:, None]
    >>> fit_rows(x, x**2, settings=RowSettings(steps=2, device="cpu"))(x).shape
    (50, 1)
    """
    before, after = _numbers(x, "X"), _numbers(y, "y")
    if len(before) != len(after):
        raise DataError(f"X has {len(before)} rows and y {len(after)}: give one target for each row")
    chosen = settings or RowSettings()
    held = round(chosen.held_out * len(before)) if len(before) >= ENOUGH else 0
    order = torch.tensor(np.random.default_rng(chosen.seed).permutation(len(before)))
    apart, kept = order[:held], order[held:]
    with torch.device("meta"):
        network = Answers(before.shape[1:], after.shape[1:], chosen.hidden, chosen.answers)
    materialise(network, chosen.seed).know(before[kept], after[kept])
    end = End()
    history = fit_restorer(
        network,
        _lessons(before[kept], after[kept]),
        _training(chosen),
        loss=lambda found, lesson: network.loss(found, lesson.target),
        measure=_measure(network, before[apart], after[apart]) if held else None,
        evaluations=chosen.evaluations,
        callbacks=[*callbacks, end],
        clock=clock,
        checkpoint=checkpoint,
        resume=resume,
        data=[repr(chosen), *(hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in (before, after))],
    )
    entry = {k: v for k, v in asdict(chosen).items() if v is not None}
    facts = {"learned": "from rows", "training rows": len(kept), "held-out rows": held, "stopped": end.stopped}
    return Translation(network.cpu().eval(), "pairs", (1, 1), entry, history, facts)


def _measure(network: Answers, x: torch.Tensor, y: torch.Tensor) -> Callable[[], float]:
    """Return what measures the mean log likelihood of held-out rows a value."""

    @torch.no_grad()
    def measure() -> float:
        device = network.centre_in.device
        return -float(network.loss(network(x.to(device)), y.to(device)))

    return measure


def _numbers(values: Any, name: str) -> torch.Tensor:
    found = np.asarray(values)
    found = found[:, None] if found.ndim == 1 else found
    if found.dtype.kind not in "fiub" or found.ndim < 2 or 0 in found.shape:
        raise DataError(f"{name} must hold numbers, shape (n, ...), not {found.shape} of {found.dtype}; turn texts into numbers first")
    if not np.isfinite(found).all():
        raise DataError(f"{name} holds NaN or infinite values: fill or leave out these rows")
    return torch.tensor(np.ascontiguousarray(found)).float()


def _lessons(x: torch.Tensor, y: torch.Tensor) -> Draw:
    def draw(generator: torch.Generator) -> Lesson:
        chosen = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator)
        return Lesson(x[chosen], y[chosen])

    return draw


def _training(settings: RowSettings) -> TrainingConfig:
    steps = settings.steps or (STEPS if settings.seconds is None else UNLIMITED)
    return TrainingConfig(
        steps=steps,
        seconds=settings.seconds,
        learning_rate=settings.learning_rate,
        optimiser="adamw",
        weight_decay=settings.weight_decay,
        warmup=min(50, steps),
        average=0.99,
        seed=settings.seed,
        device=settings.device,
    )
