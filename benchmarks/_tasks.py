"""What is timed: networks, data and objectives shared by every contender, and the arithmetic of their cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Kind = Literal["ae", "vae"]
LEARNING_RATE = 1e-3
INTRINSIC_DIMENSIONS = 8
IMAGE = (784, 512, 256, 16)
TABLE = (30, 64, 32, 8)


@dataclass(frozen=True)
class Task:
    """One network on one data set: `widths` runs from the input to the code, the decoder mirrors it."""

    name: str
    kind: Kind
    widths: tuple[int, ...]
    batch: int
    rows: int

    @property
    def code(self) -> int:
        return self.widths[-1]

    @property
    def encoder_macs(self) -> int:
        """Multiply-accumulates per row from the input to the code (VAE: mean and log-variance)."""
        heads = self.code * (self.kind == "vae") * self.widths[-2]
        return sum(a * b for a, b in pairwise(self.widths)) + heads

    @property
    def macs(self) -> int:
        return self.encoder_macs + sum(a * b for a, b in pairwise(self.widths))

    @property
    def training_flops(self) -> int:
        """Per row: a multiply and an add per MAC, one pass forward and two backward."""
        return 3 * 2 * self.macs

    @property
    def encoding_flops(self) -> int:
        return 2 * self.encoder_macs

    @property
    def parameters(self) -> int:
        biases = 2 * sum(self.widths[1:-1]) + self.widths[0] + self.code * (2 if self.kind == "vae" else 1)
        return self.macs + biases

    @cached_property
    def data(self) -> Array:
        """Standard normal columns that an 8-dimensional code explains up to 5 % of their variance."""
        generator = np.random.default_rng(0)
        hidden = generator.standard_normal((self.rows, INTRINSIC_DIMENSIONS))
        mixing = generator.standard_normal((INTRINSIC_DIMENSIONS, self.widths[0]))
        mixing *= np.sqrt(0.95) / np.linalg.norm(mixing, axis=0)
        noise = generator.standard_normal((self.rows, self.widths[0]))
        return np.ascontiguousarray(hidden @ mixing + np.sqrt(0.05) * noise, dtype=np.float32)


def tasks(image_rows: int, table_rows: int) -> list[Task]:
    """All six tasks; the numbers of rows are multiples of every batch size, so no contender meets a short batch."""
    kinds: tuple[Kind, Kind] = ("ae", "vae")
    images = [Task(f"image-{kind}-{batch}", kind, IMAGE, batch, image_rows) for kind in kinds for batch in (128, 1024)]
    return images + [Task(f"table-{kind}-128", kind, TABLE, 128, table_rows) for kind in kinds]


class Fitted(Protocol):
    """A trained model of any contender."""

    def parameters(self) -> int: ...

    def reconstruct(self, x: Array) -> Array:
        """Decoded codes; a VAE decodes the mean."""
        ...

    def encoder(self, x: Array, batch: int) -> Callable[[], Any]:
        """A function without arguments that encodes all of `x` in slices of `batch`; conversion of `x` is done here, untimed."""
        ...


class Contender(Protocol):
    """One way to train the network of a task."""

    name: str
    note: str

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        ...

    def supports(self, task: Task, /) -> bool: ...

    def fit(self, task: Task, epochs: int) -> Fitted:
        """Train a fresh model for so many epochs on `task.data`."""
        ...


def reconstruction_error(fitted: Fitted, task: Task) -> float:
    """Mean squared error per feature (the data's variance is 1)."""
    return float(np.mean((fitted.reconstruct(task.data) - task.data) ** 2))


def _fastest(function: Callable[[], Any], seconds: float) -> float:
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def gemm_peak(seconds: float = 0.3, sizes: Sequence[int] = (512, 1024, 2048)) -> float:
    """Best float32 rate of torch.mm over a few square sizes, in FLOP/s, on this process's threads."""
    import torch

    rates: list[float] = []
    for n in sizes:
        a, b, out = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
        rates.append(2 * n**3 / _fastest(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), seconds))
    return max(rates)
