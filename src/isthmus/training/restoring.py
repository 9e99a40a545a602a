"""Training of networks that give pictures back, batch by batch for as long as is asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.errors import ConfigError, TrainingError
from isthmus.objectives.similarity import ssim
from isthmus.training.adam import make_adam
from isthmus.training.arithmetic import arithmetic
from isthmus.training.average import Average
from isthmus.training.callbacks import Callback
from isthmus.training.config import TrainingConfig
from isthmus.training.crops import Draw, Lesson
from isthmus.training.history import History
from isthmus.training.memory import memory_at_hand
from isthmus.training.world import choose_device

PIXELS = ("mse", "l1")
EVALUATIONS = 10
TWICE, FORGOTTEN = 2.0, 0.01  # of the usual length of a gradient; share of it that is forgotten at each step


@dataclass(frozen=True)
class PictureLoss:
    """How far a picture is from its target: the mean over pixels, and beside it what SSIM lacks to 1.

    Parameters
    ----------
    pixels : {"mse", "l1"}
        Squared or absolute differences.
    ssim : float
        Weight of 1 - SSIM; crops must then be at least 11 x 11. Left out where not all places count.

    Raises
    ------
    ConfigError
        If there is no such loss or the weight is negative.

    Examples
    --------
    >>> picture = torch.zeros(1, 16, 16, 1)
    >>> float(PictureLoss("mse", ssim=0.1)(picture, Lesson(picture, picture)))
    0.0
    """

    pixels: str = "mse"
    ssim: float = 0.0

    def __post_init__(self) -> None:
        if self.pixels not in PIXELS or not 0 <= self.ssim < math.inf:
            raise ConfigError(
                f"the loss must be one of {', '.join(PIXELS)} and the weight of SSIM at least 0, not {self.pixels!r}, {self.ssim}"
            )

    def __call__(self, found: Tensor, lesson: Lesson) -> Tensor:
        """Return the loss of a batch, a single number."""
        apart = found - lesson.target
        apart = apart.square() if self.pixels == "mse" else apart.abs()
        if lesson.where is not None:
            return (apart * lesson.where).sum() / (lesson.where.sum() * apart.shape[3]).clamp_min(1)
        loss = apart.mean()
        return loss + self.ssim * (1 - ssim(found, lesson.target).mean()) if self.ssim else loss


def quick_precision() -> str:
    """Return "bf16" where this processor multiplies bfloat16 in hardware, else "fp32"."""
    tests: Any = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "bf16" if any(test() for test in tests if test is not None) else "fp32"


def fit_restorer(
    network: nn.Module,
    draw: Draw,
    config: TrainingConfig,
    *,
    loss: PictureLoss | None = None,
    measure: Callable[[], float] | None = None,
    callbacks: Sequence[Callback] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> History:
    """Train a network from picture to picture.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (batch, H, W, C) to the same shape; changed in place. In the end its weights are the moving average, if there is one.
    draw : callable
        Returns the next batch from a generator.
    config : TrainingConfig
        Its batch, patience and devices have no meaning here: the batch is what `draw` gives. Without `clip`, gradients longer than
        twice the usual are shortened to that.
    loss : PictureLoss, optional
    measure : callable, optional
        Returns what stands as ``held_out`` in the history, measured on the average of the weights.
    callbacks : sequence of Callback
    clock : callable
        What `config.seconds` counts.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss becomes NaN or infinite.
    """
    device = choose_device(config.device)
    run = _Run(network.to(device), draw, config, loss or PictureLoss(), measure, clock)
    for watcher in callbacks:
        watcher.started(config, 0)
    stopped = "diverged"
    try:
        with arithmetic(config.precision, device), memory_at_hand() if device.type == "cpu" else nullcontext():
            stopped = run.all_steps(callbacks)
    finally:
        run.finish()
        for watcher in callbacks:
            watcher.finished(stopped)
    return run.history


class _Run:
    """A run under way."""

    def __init__(
        self,
        network: nn.Module,
        draw: Draw,
        config: TrainingConfig,
        loss: PictureLoss,
        measure: Callable[[], float] | None,
        clock: Callable[[], float],
    ) -> None:
        self.network, self.draw, self.config, self.loss, self.measure, self.clock = network, draw, config, loss, measure, clock
        self.parameters = list(network.parameters())
        self.device = self.parameters[0].device
        self.optimiser, self.average = make_adam(self.parameters, config), Average([network], config.average)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history, self.step, self.start = History(), 0, clock()
        self.losses: list[Tensor] = []
        self.usual = 0.0

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self.clock() - self.start

    @property
    def spent(self) -> float:
        """Share of the time, or else of the steps, that is used up."""
        by_time = self.seconds / self.config.seconds if self.config.seconds else 0.0
        return max(by_time, self.step / self.config.steps)

    def all_steps(self, callbacks: Sequence[Callback]) -> str:
        """Train to the end, and say what ended it."""
        due = 1 / EVALUATIONS
        while (spent := self.spent) < 1:
            if spent >= due:
                self.record(callbacks)
                due = (int(spent * EVALUATIONS) + 1) / EVALUATIONS
            self.one_step(spent)
        self.record(callbacks)
        return "steps" if self.step >= self.config.steps else "time"

    def one_step(self, spent: float) -> None:
        """Make one step."""
        lesson = Lesson(*(None if part is None else part.to(self.device) for part in self.draw(self.generator)))  # pyright: ignore[reportArgumentType]
        for parameter in self.parameters:
            parameter.grad = None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            found = self.network(lesson.seen)
        loss = self.loss(found.float(), lesson)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        self.clip()
        self.optimiser.step(self.config.rate(self.step, spent))
        self.step += 1
        self.average.update(self.step)
        self.losses.append(loss.detach())

    def clip(self) -> None:
        """Shorten a gradient that is longer than asked for, or, unasked, than twice the usual: a single odd batch must not undo a run."""
        if self.config.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
            return
        limit = TWICE * self.usual if self.step else math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, limit))
        self.usual += min(1.0, 1 / (self.step + 1) + FORGOTTEN) * (min(norm, limit) - self.usual)

    @torch.no_grad()
    def finish(self) -> None:
        """Let the average, if there is one, be the weights."""
        for weight, value in zip(self.average.weights, self.average.values):
            weight.copy_(value)

    def record(self, callbacks: Sequence[Callback]) -> None:
        """Add a row to the history, and refuse to go on from a loss that is none."""
        train = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        self.losses.clear()
        if not math.isfinite(train):
            raise TrainingError(f"the loss became {train} before step {self.step}: use a smaller learning_rate, or clip=1.0")
        row = {"step": float(self.step), "seconds": self.seconds, "learning_rate": self.config.rate(self.step, self.spent), "train": train}
        if self.measure:
            with self.average.shown():
                row["held_out"] = self.measure()
        self.history.add(row)
        for watcher in callbacks:
            watcher.stepped(self.step, {"loss": train})
            watcher.evaluated(row, best=True)
