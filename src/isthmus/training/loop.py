"""The training loop: order, steps, evaluations, the best weights, early stopping, checkpoints, interruption."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, cast

import torch
from torch import Tensor

from isthmus.distributions import GeneratorNoise
from isthmus.errors import DataError, TrainingError
from isthmus.models import Autoencoder
from isthmus.objectives import Context, Objective
from isthmus.training import checkpoint as checkpoints
from isthmus.training.arithmetic import arithmetic
from isthmus.training.average import Average
from isthmus.training.batches import Rows, make_batches
from isthmus.training.callbacks import Callback
from isthmus.training.config import TrainingConfig
from isthmus.training.engines import StepFactory, make_step
from isthmus.training.history import History, Row
from isthmus.training.memory import memory_at_hand
from isthmus.training.slices import slice_rows
from isthmus.training.step import Step, weighted
from isthmus.training.threads import enough_threads
from isthmus.training.world import World

FLUSH = 20
EVALUATION_ROWS = 4096
SAVE_AFTER = 60.0  # seconds without a checkpoint


@dataclass(frozen=True)
class Result:
    """How a run went. The model holds the best weights, or their average.

    Attributes
    ----------
    history : History
    best_step : int
        Step whose weights were kept.
    best_loss : float
        Their held-out loss, nats per row (the training loss without held-out rows).
    stopped : {"steps", "time", "early", "interrupted", "diverged"}
    steps : int
        Steps made.
    seconds : float
        Time spent, evaluations included.
    """

    history: History
    best_step: int
    best_loss: float
    stopped: str
    steps: int
    seconds: float


class Interrupt(AbstractContextManager["Interrupt"]):
    """Turns the first Ctrl-C into a flag; the second raises as usual. Only the main thread can listen."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class Run:
    """State of one run; `fit` is its front.

    Raises
    ------
    DataError
        If there are fewer rows than processes.
    """

    def __init__(
        self, model: Autoencoder, objective: Objective, rows: Tensor | Rows, target: Tensor | None, config: TrainingConfig
    ) -> None:
        self.config = config
        self.world = World.join(config.device, config.devices)
        device = self.world.device
        self.model = model.to(device).train()
        self.objective = objective.to(device).train()
        self.batch = min(config.batch, len(rows)) // self.world.size * self.world.size
        if self.batch == 0:
            raise DataError(f"{len(rows)} training row(s) cannot be shared by {self.world.size} processes; use fewer devices")
        self.per_epoch = len(rows) // self.batch
        self.batches = make_batches(rows, target, self.batch, config.seed, self.world)
        self.generator = torch.Generator(device).manual_seed(config.seed + 1)
        self.context = Context(
            training=True,
            noise=GeneratorNoise(self.generator, self.world.rank, self.world.size),
            corrupt=True,
            batch_mean=self.world.batch_mean,
        )
        self.every = config.evaluate_every or max(50, self.per_epoch)
        self.history = History()
        self.world.share(list(self.current().values()))
        self.average = Average([self.model, self.objective], config.average)
        self.best = {name: tensor.clone() for name, tensor in self.current().items()}
        self.best_loss = math.inf
        self.best_step = 0
        self.stale = 0
        self.step = 0
        self.seconds = 0.0
        self.spent = 0.0
        self.pending: list[Mapping[str, Tensor | float]] = []
        self.sums: dict[str, float] = {}
        self.counted = 0
        self.held_out: tuple[Tensor, Tensor] | None = None
        self.saved = time.perf_counter()

    def current(self) -> dict[str, Tensor]:
        """Tensors of model and objective by name, as they are now."""
        found = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        return found | {f"objective.{k}": v for k, v in self.objective.state_dict().items()}

    def make_step(self, engine: Step) -> None:
        """Make a step on the next batch, and keep its terms until they are read."""
        x, target = next(self.batches)
        self.context.step, self.context.spent = self.step, self.spent
        self.context.done = max(self.spent, self.step / self.config.steps)
        self.pending.append(engine(x, target, self.context))
        self.step += 1
        self.average.update(self.step)

    def tick(self, seconds: float) -> None:
        """Note how much of the time is used up; the processes agree on it."""
        if self.config.seconds is not None:
            self.spent = self.world.agreed(min(1.0, seconds / self.config.seconds))

    def flush(self) -> dict[str, float]:
        """Read the pending terms, guard against NaN and inf, and add them up."""
        if not self.pending:
            return {}
        names = list(self.pending[0])
        table = self.world.mean(_table([[terms[name] for name in names] for terms in self.pending]))
        values = cast("list[list[float]]", table.tolist())  # pyright: ignore[reportUnknownMemberType]
        self.pending = []
        for offset, row in enumerate(values):
            for name, value in zip(names, row):
                if not math.isfinite(value):
                    self.diverged(self.step - len(values) + offset, f"the term {name!r}", value)
                self.sums[name] = self.sums.get(name, 0.0) + value
        self.counted += len(values)
        return dict(zip(names, values[-1]))

    def diverged(self, step: int, what: str, value: float) -> None:
        """Raise the error of a run whose numbers are none any more.

        Raises
        ------
        TrainingError
            Always.
        """
        kept = f"the best weights so far (step {self.best_step}) are kept" if self.best_step else "the first weights are put back"
        raise TrainingError(
            f"{what} became {value} at step {step}; {kept}. Lower the learning rate (now {self.config.learning_rate:g}), "
            "clip the gradient (clip=1.0), add warm-up steps, or scale the data"
        )

    def evaluate(self) -> dict[str, float]:
        """Mean terms over the held-out rows, with the same noise each time."""
        if self.held_out is None:
            return {}
        self.model.eval()
        noise = GeneratorNoise(torch.Generator(self.world.device).manual_seed(self.config.seed + 2))
        context = Context(step=self.step, noise=noise, corrupt=True)
        totals: dict[str, Tensor] = {}
        with torch.inference_mode():
            size = slice_rows(self.model) or EVALUATION_ROWS
            for x, target in zip(*(torch.split(part, size) for part in self.held_out)):
                for name, values in self.objective(self.model, x, target, context).items():
                    total = values.double().sum()
                    totals[name] = totals[name] + total if name in totals else total
        self.model.train()
        # The processes decide alike what is best and when to stop, even where their last digits differ.
        means = torch.stack(list(totals.values())) / len(self.held_out[0])
        self.world.share([means])
        return dict(zip(totals, cast("list[float]", means.tolist())))  # pyright: ignore[reportUnknownMemberType]

    def guard(self, held: dict[str, float]) -> None:
        """See to it that weights which are no numbers are never kept as the best."""
        for name, value in held.items():
            if not math.isfinite(value):
                self.diverged(self.step, f"the held-out term {name!r}", value)
        if not held and not all(bool(tensor.isfinite().all()) for tensor in self.current().values()):
            self.diverged(self.step, "a weight", math.nan)

    def record(self, seconds: float) -> tuple[Row, bool]:
        """Add a row to the history and keep the weights, or their average, if they are the best."""
        with self.average.shown():
            return self._record(seconds)

    def _record(self, seconds: float) -> tuple[Row, bool]:
        weights = self.objective.weights(Context(step=self.step))
        train = {name: total / self.counted for name, total in self.sums.items() if name != "loss"}
        held = self.evaluate()
        self.guard(held)
        row: Row = {"step": self.step, "epoch": self.step / self.per_epoch, "seconds": self.seconds + seconds}
        row |= {"learning_rate": self.config.rate(self.step - 1, self.context.spent), "samples_per_second": self.rate(row["seconds"])}
        row |= {"train": _total(train, weights)} | ({"held_out": _total(held, weights)} if held else {})
        row |= {f"train_{name}": value for name, value in train.items()} | {f"held_out_{name}": value for name, value in held.items()}
        self.history.add(row)
        self.sums, self.counted = {}, 0
        loss = row.get("held_out", row["train"])
        better = not held or loss < self.best_loss
        if better:
            self.best = {name: tensor.clone() for name, tensor in self.current().items()}
            self.best_loss, self.best_step, self.stale = loss, self.step, 0
        else:
            self.stale += 1
        return row, better

    def rate(self, seconds: float) -> float:
        """Return the rows a second since the last evaluation."""
        before = self.history[-1] if len(self.history) else {"step": 0.0, "seconds": 0.0}
        return (self.step - before["step"]) * self.batch / max(1e-9, seconds - before["seconds"])

    def restore(self) -> None:
        """Put the best weights into the model, and let the gradients go."""
        checkpoints.copy_into(self.current(), self.best)
        for part in (self.model, self.objective):
            part.eval().zero_grad()

    def save(self, path: Path, engine: Step, key: str, seconds: float) -> None:
        """Write everything the run needs to go on."""
        tensors = self.current() | {f"best.{k}": v for k, v in self.best.items()} | {f"engine.{k}": v for k, v in engine.state().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state().items()}
        tensors["generator"] = self.generator.get_state()
        state = {"fingerprint": key, "step": self.step, "history": self.history.rows, "best_loss": self.best_loss, "seconds": seconds}
        state |= {"best_step": self.best_step, "stale": self.stale, "sums": self.sums, "counted": self.counted}
        checkpoints.save(path, tensors, state)
        self.saved = time.perf_counter()

    def load(self, path: Path, engine: Step, key: str) -> None:
        """Take over what `save` wrote."""
        tensors, state = checkpoints.load(path, key)
        checkpoints.copy_into(self.current(), tensors)
        self.best = {k: v.to(self.world.device) for k, v in checkpoints.select(tensors, "best.").items()}
        engine.load_state(checkpoints.select(tensors, "engine."))
        self.average.load_state(checkpoints.select(tensors, "average."))
        self.generator.set_state(tensors["generator"])
        self.step, self.best_step, self.stale = state["step"], state["best_step"], state["stale"]
        self.best_loss, self.seconds = state["best_loss"], state["seconds"]
        self.sums, self.counted = state["sums"], state["counted"]
        self.history = History(state["history"])
        self.batches.seek(self.step)


def _table(values: list[list[Tensor | float]]) -> Tensor:
    first = values[0][0]
    if not isinstance(first, Tensor):
        return torch.tensor(values, dtype=torch.float64)
    return torch.stack([torch.as_tensor(value, device=first.device) for row in values for value in row]).view(len(values), -1)


def _total(means: dict[str, float], weights: dict[str, float]) -> float:
    return float(weighted({k: torch.tensor(v, dtype=torch.float64) for k, v in means.items()}, weights))


def fit(
    model: Autoencoder,
    objective: Objective,
    rows: Tensor | Rows,
    *,
    target: Tensor | None = None,
    held_out: Tensor | None = None,
    held_out_target: Tensor | None = None,
    config: TrainingConfig | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    resume: bool = False,
    engine: StepFactory = make_step,
    clock: Callable[[], float] = time.perf_counter,
) -> Result:
    """Train `model` and leave its best weights in it.

    Parameters
    ----------
    model : Autoencoder
        Trained in place, moved to the device.
    objective : Objective
    rows : Tensor of shape (n, \\*shape), or Rows
        Inputs, preprocessed, float32: a tensor, or a stream such as `isthmus.data.Stream` for more of them than memory holds.
    target : Tensor of shape (n, ...), optional
        What is to be rebuilt; the inputs themselves if None. Not with a stream.
    held_out, held_out_target : Tensor, optional
        Rows that are never trained on: they decide which weights are kept and when to stop.
    config : TrainingConfig, optional
    callbacks : sequence of Callback
    checkpoint : path, optional
        File that holds the run's state after every evaluation.
    resume : bool
        Go on from `checkpoint`, with the same curve as a run that was never stopped.
    engine : callable
        Makes the `Step`.
    clock : callable
        Tells the seconds that `config.seconds` and the history count: time that passes, or with `time.process_time` that of the processor.

    Returns
    -------
    Result

    Raises
    ------
    TrainingError
        If a term becomes NaN or infinite: names the step, the term and the mend. The model holds the best weights so far.
    DataError
        If there is no row, or fewer than processes.
    ArtifactError
        If `resume` is asked for and the checkpoint is missing, broken or of another run.

    Examples
    --------
    >>> from isthmus.families import get
    >>> from isthmus.fields import Field
    >>> model, objective = get("undercomplete")([Field("x", "numbers", (4,))], latent=2)
    >>> result = fit(model, objective, torch.rand(64, 4), config=TrainingConfig(steps=5))
    >>> result.steps
    5
    """
    if len(rows) == 0:
        raise DataError("there is no row to train on")
    if target is not None and not isinstance(rows, Tensor):
        raise DataError("a stream is its own target: give rows and target as tensors, or leave target out")
    run = Run(model, objective, rows, target, config or TrainingConfig())
    if held_out is not None and len(held_out):
        held = held_out.to(run.world.device)
        run.held_out = (held, held if held_out_target is None else held_out_target.to(run.world.device))
    step = engine(model, objective, run.config, run.world)
    path = Path(checkpoint) if checkpoint is not None else None
    seen = [rows if isinstance(rows, Tensor) else rows.fingerprint()]
    seen += [part for part in (target, held_out, held_out_target) if part is not None]
    key = checkpoints.fingerprint(run.config, seen, (model, objective)) if path else ""
    if resume and path:
        run.load(path, step, key)
    watchers = callbacks if run.world.leads else ()
    for watcher in watchers:
        watcher.started(run.config, run.step)
    stopped = "diverged"
    try:
        rounding = arithmetic(run.config.precision, run.world.device)
        pages = memory_at_hand() if slice_rows(model) and run.world.device.type == "cpu" else nullcontext()
        with Interrupt() as interrupt, enough_threads(model, run.batch // run.world.size), rounding, pages:
            stopped, seconds = _train(run, step, interrupt, watchers, path, key, clock)
    except TrainingError as error:
        if run.best_step:
            seconds = run.history[-1]["seconds"]
            error.result = Result(run.history, run.best_step, run.best_loss, stopped, run.step, seconds)
        raise
    finally:
        run.batches.close()
        run.restore()
        for watcher in watchers:
            watcher.finished(stopped)
    return Result(run.history, run.best_step, run.best_loss, stopped, run.step, seconds)


def _train(
    run: Run,
    engine: Step,
    interrupt: Interrupt,
    watchers: Sequence[Callback],
    path: Path | None,
    key: str,
    clock: Callable[[], float],
) -> tuple[str, float]:
    config, start = run.config, clock()
    run.tick(run.seconds)
    stopped = why_stopped(run, False)
    while not stopped:
        run.make_step(engine)
        run.tick(run.seconds + clock() - start)
        due = run.step % run.every == 0 or run.step == config.steps or run.spent >= 1
        wished = interrupt.asked or any(getattr(watcher, "stops", False) for watcher in watchers)
        if not due and run.step % FLUSH and not (wished and run.world.size == 1):
            continue
        newest = run.flush()
        asked = run.world.any(wished)
        for watcher in watchers:
            watcher.stepped(run.step, newest)
        spent = clock() - start
        if path and run.world.leads and not due and (asked or time.perf_counter() - run.saved > SAVE_AFTER):
            run.save(path, engine, key, run.seconds + spent)  # between two evaluations: the means so far go with it
        if not (due or asked):
            continue
        row, better = run.record(spent)
        for watcher in watchers:
            watcher.evaluated(row, better)
        stopped = why_stopped(run, asked)
        if path and run.world.leads and due:
            run.save(path, engine, key, row["seconds"])
    return stopped, run.seconds + clock() - start


def why_stopped(run: Run, asked: bool) -> str:
    """Return why a run ends here, or nothing if it goes on."""
    if run.step >= run.config.steps:
        return "steps"
    if run.spent >= 1:
        return "time"
    if run.config.patience is not None and run.stale >= run.config.patience:
        return "early"
    return "interrupted" if asked else ""
