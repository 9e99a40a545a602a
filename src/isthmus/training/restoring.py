"""Training of networks that give pictures back, batch by batch for as long as is asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.errors import TrainingError
from isthmus.training import checkpoint as checkpoints
from isthmus.training.adam import make_adam
from isthmus.training.arithmetic import arithmetic
from isthmus.training.average import Average
from isthmus.training.callbacks import Callback
from isthmus.training.config import TrainingConfig
from isthmus.training.crops import Draw, Lesson
from isthmus.training.history import History
from isthmus.training.loop import SAVE_AFTER, Interrupt
from isthmus.training.memory import memory_at_hand
from isthmus.training.picture_loss import PictureLoss
from isthmus.training.world import choose_device

EVALUATIONS = 10
UNLIMITED = 1 << 40  # steps of a training that only its time ends
TWICE, FORGOTTEN = 2.0, 0.01  # of the usual length of a gradient; share of it that is forgotten at each step
__all__ = ["EVALUATIONS", "UNLIMITED", "PictureLoss", "fit_restorer", "quick_precision"]


def quick_precision() -> str:
    """Return "bf16" where this processor multiplies bfloat16 in hardware, else "fp32"."""
    tests: Any = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "bf16" if any(test() for test in tests if test is not None) else "fp32"


def fit_restorer(
    network: nn.Module,
    draw: Draw,
    config: TrainingConfig,
    *,
    loss: Callable[[Tensor, Lesson], Tensor] | None = None,
    measure: Callable[[], float] | None = None,
    evaluations: int = EVALUATIONS,
    callbacks: Sequence[Callback] = (),
    clock: Callable[[], float] = time.perf_counter,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    data: Sequence[str] = (),
) -> History:
    """Train a network from picture to picture.

    The first Ctrl-C ends the training, and what was best so far is kept.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (batch, H, W, C) to the same shape; changed in place. In the end its weights are those of the best evaluation, or of the last
        one if there is no `measure`: the moving average, if there is one.
    draw : callable
        Returns the next batch from a generator, and depends on nothing else.
    config : TrainingConfig
        Its batch, patience and devices have no meaning here: the batch is what `draw` gives. Without `clip`, gradients longer than
        twice the usual are shortened to that.
    loss : callable, optional
        Such as the default, a `PictureLoss`.
    measure : callable, optional
        Returns what stands as ``held_out`` in the history, measured on the average of the weights; the higher, the better.
    evaluations : int
        How often, at equal shares of the time or of the steps.
    callbacks : sequence of Callback
    clock : callable
        What `config.seconds` counts.
    checkpoint : path, optional
        File that holds the run's state after every evaluation, and every minute.
    resume : bool
        Go on from `checkpoint`, with the same weights in the end as if the run had never been stopped.
    data : sequence of str
        Texts by which a checkpoint knows its pictures and all else that `draw` depends on.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss becomes NaN or infinite.
    ArtifactError
        If `resume` is asked for and the checkpoint is missing, broken or of another run.
    """
    device = choose_device(config.device)
    path = None if checkpoint is None else Path(checkpoint)
    key = checkpoints.fingerprint(config, data, (network,)) if path else ""
    run = _Run(network.to(device), draw, config, loss or PictureLoss(), measure, evaluations, clock, path, key)
    if resume and path:
        run.load(path)
    for watcher in callbacks:
        watcher.started(config, run.step)
    stopped = "diverged"
    try:
        memory = memory_at_hand() if device.type == "cpu" else nullcontext()
        with Interrupt() as interrupt, arithmetic(config.precision, device), memory:
            stopped = run.all_steps(callbacks, interrupt)
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
        loss: Callable[[Tensor, Lesson], Tensor],
        measure: Callable[[], float] | None,
        evaluations: int,
        clock: Callable[[], float],
        path: Path | None,
        key: str,
    ) -> None:
        self.network, self.draw, self.config, self.loss, self.measure, self.clock = network, draw, config, loss, measure, clock
        self.evaluations, self.path, self.key = evaluations, path, key
        self.parameters = list(network.parameters())
        self.device = self.parameters[0].device
        self.optimiser, self.average = make_adam(self.parameters, config), Average([network], config.average)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history, self.step, self.start, self.before = History(), 0, clock(), 0.0
        self.losses: list[Tensor] = []
        self.usual, self.due = 0.0, 1 / evaluations
        self.best, self.best_measure = self.weights(), -math.inf
        self.saved = time.perf_counter()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights as they are."""
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    @property
    def seconds(self) -> float:
        """Time since the start, that of runs before included."""
        return self.before + self.clock() - self.start

    @property
    def spent(self) -> float:
        """Share of the time, or else of the steps, that is used up."""
        by_time = self.seconds / self.config.seconds if self.config.seconds else 0.0
        return max(by_time, self.step / self.config.steps)

    def all_steps(self, callbacks: Sequence[Callback], interrupt: Interrupt) -> str:
        """Train to the end, and say what ended it."""
        while (spent := self.spent) < 1:
            if spent >= self.due:
                self.record(callbacks)
                self.due = (int(spent * self.evaluations) + 1) / self.evaluations
                self.save()
            elif interrupt.asked or time.perf_counter() - self.saved > SAVE_AFTER:
                self.save()
            if interrupt.asked:
                break
            self.one_step(spent)
        if self.losses:
            self.record(callbacks)
        if spent < 1:
            return "interrupted"
        self.due = math.inf
        self.save()
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

    def finish(self) -> None:
        """Let the best weights stay."""
        checkpoints.copy_into(self.network.state_dict(), self.best)

    def record(self, callbacks: Sequence[Callback]) -> None:
        """Add a row to the history, keep the weights if they are the best, and refuse to go on from a loss that is none."""
        train = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        self.losses.clear()
        if not math.isfinite(train):
            raise TrainingError(f"the loss became {train} before step {self.step}: use a smaller learning_rate, or clip=1.0")
        row = {"step": float(self.step), "seconds": self.seconds, "learning_rate": self.config.rate(self.step, self.spent), "train": train}
        with self.average.shown():
            if self.measure:
                row["held_out"] = self.measure()
            better = row.get("held_out", math.inf) >= self.best_measure
            if better:
                self.best, self.best_measure = self.weights(), row.get("held_out", -math.inf)
            self.history.add(row)
            for watcher in callbacks:
                watcher.stepped(self.step, {"loss": train})
                watcher.evaluated(row, better)

    def save(self) -> None:
        """Write everything the run needs to go on, if it is to be kept."""
        self.saved = time.perf_counter()
        if self.path is None:
            return
        tensors = self.weights() | {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"optimiser.{k}": v for k, v in self.optimiser.state().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state().items()}
        tensors |= {"generator": self.generator.get_state(), "losses": torch.stack(self.losses) if self.losses else torch.zeros(0)}
        state = {"fingerprint": self.key, "step": self.step, "seconds": self.seconds, "usual": self.usual, "history": self.history.rows}
        state |= {"due": _plain(self.due), "best_measure": _plain(self.best_measure)}
        checkpoints.save(self.path, tensors, state)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote."""
        tensors, state = checkpoints.load(path, self.key)
        checkpoints.copy_into(self.network.state_dict(), tensors)
        self.best = {k: v.to(self.device) for k, v in checkpoints.select(tensors, "best.").items()}
        self.optimiser.load_state(checkpoints.select(tensors, "optimiser."))
        self.average.load_state(checkpoints.select(tensors, "average."))
        self.generator.set_state(tensors["generator"])
        self.losses = [loss.to(self.device) for loss in tensors["losses"]]
        self.step, self.before, self.usual = state["step"], state["seconds"], state["usual"]
        self.due, self.best_measure = float(state["due"]), float(state["best_measure"])
        self.history = History(state["history"])


def _plain(value: float) -> float | str:
    """Return a number as JSON can hold it."""
    return value if math.isfinite(value) else str(value)
