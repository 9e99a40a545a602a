"""What is timed: networks, data and objectives shared by every contender, and the arithmetic of their cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Kind = Literal["ae", "vae"]
Role = Literal["floor", "ours", "peer", "reference"]
LEARNING_RATE = 1e-3
INTRINSIC_DIMENSIONS = 8
IMAGE = (784, 512, 256, 16)
TABLE = (30, 64, 32, 8)
PICTURE = (28, 28, 1)
CHANNELS = (16, 32, 64)
KERNEL = 4 * 4


@dataclass(frozen=True)
class Task:
    """One network on one data set: `widths` runs from the input to the code, the decoder mirrors it."""

    name: str
    kind: Kind
    widths: tuple[int, ...]
    batch: int
    rows: int
    channels: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        return "-".join(map(str, (*self.widths, *self.widths[-2::-1])))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.widths[:1]

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
        """Per row: a multiply and an add per MAC, one pass forward and two backward; the first layer's input needs no gradient."""
        return 2 * (3 * self.macs - self.first_macs)

    @property
    def first_macs(self) -> int:
        return self.widths[0] * self.widths[1]

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
        mixing = self.mixing(generator)
        mixing *= np.sqrt(0.95) / np.linalg.norm(mixing, axis=0)
        noise = generator.standard_normal((self.rows, self.widths[0]))
        return np.ascontiguousarray(hidden @ mixing + np.sqrt(0.05) * noise, dtype=np.float32).reshape(-1, *self.shape)

    def mixing(self, generator: np.random.Generator) -> NDArray[np.float64]:
        return generator.standard_normal((INTRINSIC_DIMENSIONS, self.widths[0]))


class ConvTask(Task):
    """Pictures through convolutions of stride 2 (kernel 4, padding 1), a dense layer to the code, and back the same way.

    An odd side gets one row of zeros on the way in and loses one on the way out, as in isthmus's own conv nets.
    """

    @property
    def label(self) -> str:
        return f"{'x'.join(map(str, self.shape))}, conv {'-'.join(map(str, self.channels))}, code {self.code}"

    @property
    def shape(self) -> tuple[int, ...]:
        return PICTURE

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the (square) picture after 0, 1, ... convolutions."""
        found = [PICTURE[0]]
        for _ in self.channels:
            found.append((found[-1] + 1) // 2)
        return tuple(found)

    @property
    def inner(self) -> int:
        """Numbers between the convolutions and the dense layer."""
        return self.channels[-1] * self.sides[-1] ** 2

    @property
    def first_macs(self) -> int:
        return KERNEL * self.shape[-1] * self.channels[0] * self.sides[1] ** 2

    @property
    def encoder_macs(self) -> int:
        pairs = pairwise((PICTURE[2], *self.channels))
        return sum(KERNEL * a * b * side**2 for (a, b), side in zip(pairs, self.sides[1:], strict=True)) + self.inner * self.code

    @property
    def macs(self) -> int:
        return 2 * self.encoder_macs

    @property
    def parameters(self) -> int:
        weights = 2 * sum(KERNEL * a * b for a, b in pairwise((PICTURE[2], *self.channels))) + 2 * self.inner * self.code
        return weights + 2 * sum(self.channels[:-1]) + self.channels[-1] + PICTURE[2] + self.code + self.inner

    def mixing(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Blocks of 7 x 7 equal pixels: neighbours go together, as in a picture."""
        coarse = generator.standard_normal((INTRINSIC_DIMENSIONS, 4, 4))
        return np.kron(coarse, np.ones((1, 7, 7))).reshape(INTRINSIC_DIMENSIONS, -1)


def tasks(image_rows: int, table_rows: int) -> list[Task]:
    """All tasks; the numbers of rows are multiples of every batch size, so no contender meets a short batch."""
    sizes = (("image", IMAGE, image_rows), ("table", TABLE, table_rows))
    kinds: tuple[Kind, Kind] = ("ae", "vae")
    dense = [Task(f"{name}-{kind}-{b}", kind, widths, b, rows) for name, widths, rows in sizes for kind in kinds for b in (128, 1024)]
    return [*dense, ConvTask("conv-ae-128", "ae", (PICTURE[0] * PICTURE[1] * PICTURE[2], 16), 128, image_rows, CHANNELS)]


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
    role: Role
    """Hand-written, this library, another library, or not ranked (another precision)."""

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
