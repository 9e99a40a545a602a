"""Interleaved timing: in each round every contender trains and encodes once, so a drift of the machine meets all alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _tasks import Contender, Task, reconstruction_error

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Plan:
    """How long to measure: `run` is the length aimed at of one run, in seconds."""

    rounds: int
    seconds: float
    run: float

    def wants_more(self, rounds: int, used: float) -> bool:
        """At least the rounds asked for, and more until the seconds are used; on a slow machine three rounds within twice the seconds."""
        if used > 2 * self.seconds:
            return rounds < min(LEAST_ROUNDS, self.rounds)
        return rounds < self.rounds or used < self.seconds


def clock(function: Callable[[], Any]) -> float:
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@dataclass
class Lane:
    """One contender on one task: its run lengths and what was measured."""

    contender: Contender
    task: Task
    epochs: int = 1
    passes: int = 1
    encode: Callable[[], Any] = field(default=lambda: None)
    parameters: int = 0
    errors: list[float] = field(default_factory=list[float])
    training: list[float] = field(default_factory=list[float])
    encoding: list[float] = field(default_factory=list[float])

    def warm_up(self) -> None:
        """Train for an epoch: imports, just-in-time compilers, and a check that the model has the task's size."""
        fitted = self.contender.fit(self.task, 1)
        self.parameters = fitted.parameters()
        if self.parameters != self.task.parameters:
            raise ValueError(f"{self.contender.name}: {self.parameters} parameters, the task has {self.task.parameters}")
        self.errors.append(reconstruction_error(fitted, self.task))
        self.encode = fitted.encoder(self.task.data, self.task.batch)
        self.encode()

    def calibrate(self, seconds: float) -> None:
        """Choose run lengths: the short training run and the encoding run each take about so long."""
        one, two = (clock(lambda n=n: self.contender.fit(self.task, n)) for n in (1, 2))
        epoch = two - one if two > one else two / 2
        self.epochs = max(1, round(seconds / epoch))
        self.passes = max(1, math.ceil(seconds / clock(self.encode)))

    def run(self) -> None:
        """One round: rows/s from the difference of a long and a short run, so that set-up drops out."""
        short = clock(lambda: self.contender.fit(self.task, self.epochs))
        kept: list[Any] = []
        long = clock(lambda: kept.append(self.contender.fit(self.task, 3 * self.epochs)))
        rows = 2 * self.epochs * self.task.rows
        self.training.append(rows / (long - short) if long > short else math.nan)
        self.encoding.append(self.passes * self.task.rows / clock(lambda: [self.encode() for _ in range(self.passes)]))
        if len(self.errors) == 1:
            self.errors.append(reconstruction_error(kept[0], self.task))


@dataclass(frozen=True)
class Figure:
    """A rate, its spread and its ratio to the floor, each over the rounds."""

    rate: float
    spread: float
    ratio: float
    share: float
    rounds: list[float]


def figure(rates: Sequence[float], floor: Sequence[float], flops: int, peak: float) -> Figure:
    """Medians; the spread is half the interquartile range over the median; ratios are taken within a round, then their median."""
    low, middle, high = np.nanpercentile(rates, [25, 50, 75])
    ratio = float(np.nanmedian(np.asarray(rates) / np.asarray(floor)))
    return Figure(float(middle), float((high - low) / 2 / middle), ratio, float(middle * flops / peak), list(rates))


def race(contenders: Sequence[Contender], task: Task, plan: Plan) -> list[Lane]:
    """All contenders on one task, in another (seeded) order each round."""
    lanes = [Lane(c, task) for c in contenders if c.supports(task)]
    for lane in lanes:
        lane.warm_up()
    # the collector would otherwise walk through every imported library, in the middle of some contender's run
    gc.collect()
    gc.freeze()
    for lane in lanes:
        lane.calibrate(plan.run)
    start, order = time.perf_counter(), random.Random(0)
    while plan.wants_more(len(lanes[0].training), time.perf_counter() - start):
        for lane in order.sample(lanes, len(lanes)):
            lane.run()
    return lanes
