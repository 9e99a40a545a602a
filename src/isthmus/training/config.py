"""Settings of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, inf, pi
from numbers import Integral, Real
from typing import Any

from isthmus.errors import ConfigError

OPTIMISERS = ("adam", "adamw")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("fp32", "tf32", "bf16")
LOWEST = {"steps": 1, "batch": 1, "warmup": 0, "patience": 1, "evaluate_every": 1, "seed": 0, "devices": 1}
SEEDS = 1 << 43  # the order of the rows takes the seed and, in 20 bits more, the epoch


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; every entry is checked.

    Parameters
    ----------
    steps : int
        Optimiser steps at most.
    seconds : float, optional
        Time to train for at most, evaluations included. The learning rate then falls by the share of the time, or of the steps, that is
        used up, whichever is more; such a run is not repeated exactly.
    batch : int
        Rows a step, over all processes together.
    learning_rate : float
        Peak rate.
    optimiser : {"adam", "adamw"}
    weight_decay : float
        Decoupled for adamw, added to the gradient for adam.
    schedule : {"cosine", "linear", "constant"}
        How the rate falls after the warm-up: along a half cosine or a line to 0, or not at all.
    warmup : int
        Steps over which the rate rises linearly from near 0.
    clip : float, optional
        Largest Euclidean norm of the gradient.
    average : float
        Decay of a moving average of the weights, such as 0.999 for one over about 1,000 steps. The average is what is evaluated and kept;
        0 for the weights themselves.
    patience : int, optional
        Evaluations without a better held-out loss after which training stops; None: never.
    evaluate_every : int, optional
        Steps between evaluations; None: an epoch, but 50 steps at least.
    seed : int
        Decides the order of the rows and every draw.
    device : str
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ...
    precision : {"fp32", "tf32", "bf16"}
        ``"tf32"`` lets GPUs round the factors of products to 10 bits, ``"bf16"`` runs the networks in bfloat16 where that is safe;
        weights and losses stay float32.
    devices : int
        Processes that share each batch. More than one needs ``torchrun``.

    Raises
    ------
    ConfigError
        If an entry is out of its range; the message names it.

    Examples
    --------
    >>> TrainingConfig(steps=100, warmup=10).rate(9) == 1e-3
    True
    """

    steps: int = 1000
    seconds: float | None = None
    batch: int = 128
    learning_rate: float = 1e-3
    optimiser: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: int = 0
    clip: float | None = None
    average: float = 0.0
    patience: int | None = None
    evaluate_every: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "fp32"
    devices: int = 1

    def __post_init__(self) -> None:
        for name, lowest in LOWEST.items():
            object.__setattr__(self, name, _whole(name, getattr(self, name), lowest))
        for name in ("learning_rate", "weight_decay", "clip", "seconds", "average"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.average >= 1:
            raise ConfigError(f"average must be below 1, such as 0.999, not {self.average}")
        if self.seed >= SEEDS:
            raise ConfigError(f"seed must be below {SEEDS}, not {self.seed}")
        for name, allowed in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.batch % self.devices:
            raise ConfigError(f"batch ({self.batch}) must be a multiple of devices ({self.devices}), so that each takes an equal part")

    def rate(self, step: int, spent: float = 0.0) -> float:
        """Return the learning rate of step `step`, counted from 0, when the share `spent` of the time is used up."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        done = max(spent, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.learning_rate * (0.5 * (1 + cos(pi * done)) if self.schedule == "cosine" else 1 - done)


def _whole(name: str, value: Any, lowest: int) -> int | None:
    if value is None and name in ("patience", "evaluate_every"):
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
        raise ConfigError(f"{name} must be a whole number of at least {lowest}, not {value!r}")
    return int(value)


def _number(name: str, value: Any) -> float | None:
    if value is None and name in ("clip", "seconds"):
        return None
    zero = name in ("weight_decay", "average")
    number = float(value) if type(value) is not bool and isinstance(value, Real) else -1.0
    if not 0 <= number < inf or (number == 0 and not zero):
        raise ConfigError(f"{name} must be a finite number {'of at least' if zero else 'above'} 0, not {value!r}")
    return number
