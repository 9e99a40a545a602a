"""Train many small models at once, each as it would be trained alone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.bottlenecks import Gaussian as GaussianBottleneck
from isthmus.distributions import Noise
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.likelihoods import Gaussian
from isthmus.models import Autoencoder
from isthmus.objectives import Binarised, Objective
from isthmus.training.arithmetic import arithmetic
from isthmus.training.callbacks import Callback
from isthmus.training.config import TrainingConfig
from isthmus.training.dense import fits
from isthmus.training.history import History, Row
from isthmus.training.loop import (
    Interrupt,
    Result,
    Run,
    fit,
    why_stopped,
)
from isthmus.training.order import Order
from isthmus.training.stack import BLOCK, Member, Stack, by_numpy, likelihood, nets, padded, parameters, shapes
from isthmus.training.threads import enough_threads, small
from isthmus.training.workers import Line, forks, in_processes
from isthmus.training.world import World

MOST = 16  # models in a stack: more are no quicker, and leave the cache
LITTLE = 2_000_000_000  # floating-point operations that another process is worth
SPARED = 10_000_000  # floating-point operations a step that take as long as what a stack costs beside its arithmetic

Outcome = Result | TrainingError
Told = Callable[[int, Outcome], None]
T = TypeVar("T")


@dataclass(frozen=True)
class _Job:
    """One model to train."""

    number: int
    model: Autoencoder
    objective: Objective
    rows: Tensor
    held_out: Tensor | None
    config: TrainingConfig
    callbacks: Sequence[Callback]

    @property
    def batch(self) -> int:
        return min(self.config.batch, len(self.rows))

    def stackable(self) -> bool:
        """Say whether the model can be trained in a stack, and is small enough to be better off there."""
        config = self.config
        if config.devices != 1 or config.precision != "fp32" or config.average or config.seconds is not None:
            return False
        if type(self.model.likelihood) is not Gaussian or type(self.objective) is Binarised:
            return False
        world = World.join(config.device, 1)
        if world.size > 1 or not fits(self.model, self.objective, config, world) or not small(self.model, self.batch):
            return False
        return len(list(self.model.parameters())) == len(parameters(self.model))

    def kind(self) -> tuple[object, ...]:
        """Return what the models of a stack have in common: all but the widths of their layers."""
        both = nets(self.model)
        activations = [net.activation for net in both]
        latent = self.model.latent if isinstance(self.model.bottleneck, GaussianBottleneck) else 0
        # A padded unit must be silent: where the activation of 0 is not 0, hidden layers are of one width.
        loud = any(bool(activation(torch.zeros(1)).any()) for activation in activations)
        hidden = tuple(len(layer.weight) for net in both for layer in net.linears[:-1]) if loud else ()
        dtype = parameters(self.model)[0].dtype
        return (self.batch, dtype, *activations, *(len(net.linears) for net in both), latent, hidden, likelihood(self.model).mode)


class _Lane:
    """A model in training: its run, and its place in the stack."""

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.run = Run(job.model, job.objective, job.rows, None, job.config)
        if job.held_out is not None and len(job.held_out):
            self.run.held_out = (job.held_out, job.held_out)
        order, noise = Order(len(job.rows), job.batch, job.config.seed), cast("Noise", self.run.context.noise)
        self.member = Member(job.model, job.objective, job.config, job.rows, order, noise)
        self.stopped = ""
        self.seconds = 0.0
        self.error: TrainingError | None = None
        for watcher in job.callbacks:
            watcher.started(job.config, 0)

    def due(self, step: int) -> int:
        """Return the step of the next evaluation."""
        return min(self.run.config.steps, step - step % self.run.every + self.run.every)

    def take(self, terms: NDArray[np.float64], names: list[str], asked: bool, seconds: float) -> None:
        """Add up the terms of some steps, shape (steps, terms), and evaluate where it is time to."""
        run = self.run
        due = self.due(run.step)
        try:
            self._add(terms, names)
            if run.step == due or asked:
                row, better = run.record(seconds)
                for watcher in self.job.callbacks:
                    watcher.evaluated(row, better)
                self.stopped, self.seconds = why_stopped(run, asked), seconds
        except TrainingError as error:
            self.stopped, self.error = "diverged", error

    def _add(self, terms: NDArray[np.float64], names: list[str]) -> None:
        first, self.run.step = self.run.step, self.run.step + len(terms)
        if not np.isfinite(terms).all():
            step, term = np.argwhere(~np.isfinite(terms))[0]
            self.run.diverged(first + int(step), f"the term {names[term]!r}", float(terms[step, term]))
        for name, values in zip(names, terms.T):
            self.run.sums[name] = self.run.sums.get(name, 0.0) + float(values.sum())
        self.run.counted += len(terms)
        newest = {name: float(value) for name, value in zip(names, terms[-1])} if self.job.callbacks else {}
        for watcher in self.job.callbacks:
            watcher.stepped(self.run.step, newest)

    def finish(self, stopped: str) -> Outcome:
        """Put the best weights into the model, and return how it went."""
        run = self.run
        run.restore()
        self.member.release()
        for watcher in self.job.callbacks:
            watcher.finished(stopped)
        result = Result(run.history, run.best_step, run.best_loss, stopped, run.step, self.seconds)
        if self.error is None:
            return result
        self.error.result = result if run.best_step else None
        return self.error


class _Session:
    """A call of `fit_many`: what is known of each model so far, and whether to stop."""

    def __init__(self, asked: Callable[[], bool], told: Told | None) -> None:
        self._asked, self.told = asked, told
        self.ended = False
        self.outcomes: dict[int, Outcome] = {}
        self.lock = threading.Lock()

    def asked(self) -> bool:
        """Say whether to stop."""
        return self.ended or self._asked()

    def note(self, job: _Job, outcome: Outcome) -> None:
        """Take what came of a model."""
        with self.lock:
            self.outcomes[job.number] = outcome
            if self.told:
                self.told(job.number, outcome)

    def alone(self, job: _Job) -> None:
        """Train one model by `fit`."""
        if self.asked():
            return self.skip(job)
        try:
            found = fit(job.model, job.objective, job.rows, held_out=job.held_out, config=job.config, callbacks=job.callbacks)
        except TrainingError as error:
            return self.note(job, error)
        self.ended |= found.stopped == "interrupted"
        return self.note(job, found)

    def skip(self, job: _Job) -> None:
        """Leave a model as it is."""
        job.model.eval()
        self.note(job, Result(History(), 0, math.inf, "interrupted", 0, 0.0))

    def together(self, jobs: Sequence[_Job]) -> None:
        """Train models of one kind as a stack."""
        if self.asked():
            for job in jobs:
                self.skip(job)
            return
        lanes = [_Lane(job) for job in jobs]
        try:
            with np.errstate(all="ignore"):
                self._train(lanes)
        finally:
            for lane in lanes:
                if lane.job.number not in self.outcomes:
                    lane.finish("interrupted")

    def _train(self, lanes: list[_Lane]) -> None:
        start, step = time.perf_counter(), 0
        stack = Stack([lane.member for lane in lanes], lanes[0].job.batch)
        while lanes:
            before, step = step, min(step - step % BLOCK + BLOCK, *(lane.due(step) for lane in lanes))
            for number in range(before, step):
                stack.step(number)
            asked, seconds = self.asked(), time.perf_counter() - start
            for lane, terms in zip(lanes, stack.read()):
                lane.take(terms, stack.names, asked, seconds)
            kept = [k for k, lane in enumerate(lanes) if not lane.stopped]
            for lane in lanes if len(kept) < len(lanes) else ():
                if lane.stopped:
                    self.note(lane.job, lane.finish(lane.stopped))
            if 0 < len(kept) < len(lanes):
                stack = stack.keep(kept)
            lanes = [lanes[k] for k in kept]


class _Pack:
    """Models of one kind that are padded to the same widths."""

    def __init__(self, job: _Job) -> None:
        self.jobs, self.shapes, self.work = [job], shapes(job.model), _work(job, shapes(job.model))

    def take(self, job: _Job) -> bool:
        """Take in a model, unless its padding would cost more than a stack of its own."""
        room = padded([self.shapes, shapes(job.model)])
        work = _work(job, room) * (len(self.jobs) + 1)
        if work > self.work + _work(job, shapes(job.model)) + SPARED:
            return False
        self.jobs, self.shapes, self.work = [*self.jobs, job], room, work
        return True

    def divide(self, workers: int) -> list[list[_Job]]:
        """Divide the models into stacks: one for each worker where the work is worth it, and none too large."""
        size = len(self.jobs)
        whole = self.work * max(job.config.steps for job in self.jobs)
        count = max(1, min(workers, size // 2, whole // LITTLE), math.ceil(size / MOST))
        return [self.jobs[size * i // count : size * (i + 1) // count] for i in range(count)]


def _work(job: _Job, room: Sequence[tuple[int, ...]]) -> int:
    """Floating-point operations of a step of one model, its parameters padded to `room`."""
    return 6 * job.batch * sum(math.prod(shape) for shape in room if len(shape) == 2)


def _stacks(jobs: Sequence[_Job], workers: int) -> list[list[_Job]]:
    """Divide what can be stacked among stacks of one kind each."""
    kinds: dict[tuple[object, ...], list[_Job]] = {}
    for job in jobs:
        if job.stackable():
            kinds.setdefault(job.kind(), []).append(job)
    packs: list[_Pack] = []
    for same in kinds.values():
        found: list[_Pack] = []
        for job in sorted(same, key=lambda job: _work(job, shapes(job.model))):
            if not found or not found[-1].take(job):
                found.append(_Pack(job))
        packs += found
    return [stack for pack in packs for stack in pack.divide(workers) if len(stack) > 1]


def _share(stacks: Sequence[Sequence[_Job]], session: _Session, workers: int) -> None:
    """Train stacks, several at a time where there are workers for it."""
    if workers == 1 or len(stacks) < 2:
        for stack in stacks:
            session.together(stack)
    elif forks():
        jobs = {job.number: job for stack in stacks for job in stack}
        in_processes([partial(_far, stack) for stack in stacks], workers, partial(_hear, session, jobs), session.asked)
    else:
        with ThreadPoolExecutor(workers) as pool:
            try:
                list(pool.map(session.together, stacks))
            except BaseException:
                session.ended = True
                raise


class _Distant(Callback):
    """Tells the first process what it would have seen."""

    def __init__(self, number: int, line: Line) -> None:
        self.number, self.line = number, line

    def _tell(self, event: str, *arguments: object) -> None:
        self.line.send({"number": self.number, "event": event, "arguments": arguments})

    def started(self, config: TrainingConfig, step: int) -> None:  # noqa: ARG002
        self._tell("started", step)

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        self._tell("stepped", step, terms)

    def evaluated(self, row: Row, best: bool) -> None:
        self._tell("evaluated", row, best)

    def finished(self, stopped: str) -> None:
        self._tell("finished", stopped)


def _far(stack: Sequence[_Job], line: Line) -> None:
    """Train a stack in a process of its own."""
    jobs = [replace(job, callbacks=[_Distant(job.number, line)] if job.callbacks else []) for job in stack]
    models = {job.number: job.model for job in jobs}

    def told(number: int, outcome: Outcome) -> None:
        result = outcome if isinstance(outcome, Result) else outcome.result
        entry = {**vars(result), "history": result.history.rows} if isinstance(result, Result) else None
        error = str(outcome) if isinstance(outcome, TrainingError) else None
        weights = b"".join(parameter.detach().numpy().tobytes() for parameter in parameters(models[number]))
        line.send({"number": number, "event": "done", "arguments": [entry, error]}, weights)

    _Session(line.asked, told).together(jobs)


def _hear(session: _Session, jobs: dict[int, _Job], message: dict[str, Any], weights: bytes) -> None:
    """Take what a process tells of a model."""
    job, event, arguments = jobs[message["number"]], message["event"], message["arguments"]
    if event == "done":
        _copy(job.model.eval(), weights)
        session.note(job, _outcome(*arguments))
        return
    for watcher in job.callbacks:
        getattr(watcher, event)(*([job.config] if event == "started" else []), *arguments)


def _copy(model: Autoencoder, weights: bytes) -> None:
    values = np.frombuffer(weights, parameters(model)[0].detach().numpy().dtype)
    sizes = [parameter.numel() for parameter in parameters(model)]
    for parameter, part in zip(parameters(model), np.split(values, np.cumsum(sizes)[:-1])):
        parameter.detach().numpy()[...] = part.reshape(parameter.shape)


def _outcome(entry: dict[str, Any] | None, error: str | None) -> Outcome:
    result = None if entry is None else Result(**entry | {"history": cast("Any", History(entry["history"]))})
    if error is None:
        return cast("Result", result)
    failed = TrainingError(error)
    failed.result = result
    return failed


def gather(outcomes: Sequence[T | TrainingError], names: Sequence[str]) -> list[T]:
    """Return what came of each model, or raise one error that names every model that diverged.

    Parameters
    ----------
    outcomes : sequence
        For each model what it gave, or its error.
    names : sequence of str

    Returns
    -------
    list

    Raises
    ------
    TrainingError
        If there is an error among the outcomes; ``error.result`` then is the list of them.
    """
    errors = [f"{name}: {outcome}" for name, outcome in zip(names, outcomes) if isinstance(outcome, TrainingError)]
    if errors:
        failed = TrainingError(f"{len(errors)} of {len(outcomes)} models diverged, the others are trained. {'; '.join(errors)}")
        failed.result = list(outcomes)
        raise failed
    return [outcome for outcome in outcomes if not isinstance(outcome, TrainingError)]


def _jobs(
    models: Sequence[Autoencoder],
    objectives: Sequence[Objective],
    rows: Sequence[Tensor],
    held_out: Sequence[Tensor | None] | None,
    configs: Sequence[TrainingConfig] | None,
    callbacks: Sequence[Sequence[Callback]] | None,
) -> list[_Job]:
    count = len(models)
    held_out, configs, callbacks = held_out or [None] * count, configs or [TrainingConfig()] * count, callbacks or [()] * count
    given = {"objectives": objectives, "rows": rows, "held_out": held_out, "configs": configs, "callbacks": callbacks}
    for name, values in given.items():
        if len(values) != count:
            raise ConfigError(f"there are {count} models, but {len(values)} entries in {name}: give one for each model")
    if len({id(model) for model in models}) < count:
        raise ConfigError("the same model is there twice: build one for each entry of models")
    empty = [number for number, part in enumerate(rows) if len(part) == 0]
    if empty:
        raise DataError(f"there is no row to train model {empty[0]} on")
    return [_Job(*entry) for entry in zip(range(count), models, objectives, rows, held_out, configs, callbacks)]


def fit_many(
    models: Sequence[Autoencoder],
    objectives: Sequence[Objective],
    rows: Sequence[Tensor],
    *,
    held_out: Sequence[Tensor | None] | None = None,
    configs: Sequence[TrainingConfig] | None = None,
    callbacks: Sequence[Sequence[Callback]] | None = None,
    told: Told | None = None,
    workers: int | None = None,
) -> list[Result]:
    """Train several models, each on rows of its own, and leave its best weights in each.

    Each gets what `fit` would give it alone, up to rounding: its own order of rows, noise, learning rate, held-out rows, best weights
    and early stop. Small dense models of one kind (activations, number of layers, plain or Gaussian code, rows a step) are trained as one
    batched model, which takes a fraction of the time; different widths are padded where that pays. All others are trained one after
    the other.

    Parameters
    ----------
    models : sequence of Autoencoder
        Different ones, trained in place.
    objectives : sequence of Objective
    rows : sequence of Tensor of shape (n, \\*shape)
        Training rows of each model; the same tensor may stand there several times.
    held_out : sequence of Tensor or None, optional
    configs : sequence of TrainingConfig, optional
    callbacks : sequence of sequence of Callback, optional
        Those of each model.
    told : callable, optional
        Called with a model's number and its `Result`, or the `TrainingError` it ended with, as soon as it is done.
    workers : int, optional
        Processes, forked from this one, that share the models; as many as torch has threads if None. Where the system cannot fork they
        are threads, which hinder one another.

    Returns
    -------
    list of Result
        After Ctrl-C, models that had not begun have made 0 steps.

    Raises
    ------
    TrainingError
        At the end, if models diverged: names them. The others are trained; ``error.result`` holds each model's `Result` or
        `TrainingError`.
    ConfigError
        If the sequences differ in length, or a model is there twice.
    DataError
        If a model has no row to train on.

    Examples
    --------
    >>> from isthmus.families import get
    >>> from isthmus.fields import Field
    >>> pairs = [get("undercomplete")([Field("x", "numbers", (4,))], latent=2) for _ in range(3)]
    >>> models, objectives = zip(*pairs)
    >>> results = fit_many(models, objectives, [torch.rand(64, 4)] * 3, configs=[TrainingConfig(steps=5, seed=i) for i in range(3)])
    >>> [result.steps for result in results]
    [5, 5, 5]
    """
    jobs = _jobs(models, objectives, rows, held_out, configs, callbacks)
    workers = torch.get_num_threads() if workers is None else max(1, workers)
    stacks = _stacks(jobs, workers)
    chosen = {job.number for stack in stacks for job in stack}
    with Interrupt() as interrupt:
        session = _Session(lambda: interrupt.asked, told)
        if stacks:
            with enough_threads(stacks[0][0].model, stacks[0][0].batch), arithmetic("fp32", torch.device("cpu")):
                by_numpy(1, 1, 1, torch.float32)  # measured once, before several would do it
                _share(stacks, session, workers)
        for job in jobs:
            if job.number not in chosen:
                session.alone(job)
    return gather([session.outcomes[job.number] for job in jobs], [f"model {job.number}" for job in jobs])
