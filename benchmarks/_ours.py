"""The library under test. Only this file knows its interface; everything else sees the contenders below.

Wiring it means filling in the five functions and setting `WIRED = True`. `model` is whatever the train functions return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from _tasks import LEARNING_RATE, Array, Task

WIRED = False


def train_ae(x: Array, widths: tuple[int, ...], batch: int, epochs: int, learning_rate: float) -> Any:
    """Train widths[0]-...-widths[-1]-...-widths[0], ReLU between layers, squared error, Adam, shuffled; no held-out part, no early stop."""
    raise NotImplementedError


def train_vae(x: Array, widths: tuple[int, ...], batch: int, epochs: int, learning_rate: float) -> Any:
    """The same with a diagonal Gaussian code: half the squared error + KL to the standard normal, each summed per row."""
    raise NotImplementedError


def encode(model: Any, x: Any, batch: int) -> Any:
    """Codes (VAE: means) of all rows, in slices of `batch`."""
    raise NotImplementedError


def reconstruct(model: Any, x: Array) -> Array:
    """Decoded codes (VAE: of the mean)."""
    raise NotImplementedError


def count_parameters(model: Any) -> int:
    raise NotImplementedError


@dataclass
class FittedIsthmus:
    model: Any

    def parameters(self) -> int:
        return count_parameters(self.model)

    def reconstruct(self, x: Array) -> Array:
        return reconstruct(self.model, x)

    def encoder(self, x: Array, batch: int) -> Callable[[], Any]:
        return lambda: encode(self.model, x, batch)


class Isthmus:
    name = "isthmus"
    note = "this library"

    def missing(self) -> str | None:
        if find_spec("isthmus") is None:
            return "isthmus is not installed; pip install -e ."
        return None if WIRED else "benchmarks/_ours.py is not wired yet"

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> FittedIsthmus:
        train = train_vae if task.kind == "vae" else train_ae
        return FittedIsthmus(train(task.data, task.widths, task.batch, epochs, LEARNING_RATE))


OURS = [Isthmus()]
