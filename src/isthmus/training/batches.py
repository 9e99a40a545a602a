"""Where the loop's batches come from: tensors in memory, or rows that arrive in pieces."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.training.order import Order
from isthmus.training.world import World


class Rows(Protocol):
    """Training rows that are too many for memory, such as `isthmus.data.Stream`.

    Attributes
    ----------
    shape : tuple of int
        Shape of one row.

    Notes
    -----
    ``batches`` must give the same for the same seed, wherever it starts: this is what lets a run go on in mid-epoch.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        ...

    def __len__(self) -> int:
        """Return the number of rows of an epoch."""
        ...

    def batches(self, batch: int, seed: int, step: int = 0) -> Generator[NDArray[np.float32]]:
        """Yield shuffled batches of shape (batch, \\*shape) from the `step`-th on, epoch after epoch; a last incomplete one is left out."""
        ...

    def fingerprint(self) -> str:
        """Return a text by which the same rows are recognised."""
        ...


class Batches(Protocol):
    """What the loop draws its batches from."""

    def seek(self, step: int) -> None:
        """Go on from the batch of step `step`."""
        ...

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return this process's part of the next batch, and its target."""
        ...

    def close(self) -> None:
        """Let go of files and threads."""
        ...


class InMemory:
    """Batches picked from tensors.

    Parameters
    ----------
    rows, target : Tensor of shape (n, ...)
        On the world's device; the same object where the rows are their own target.
    batch, seed : int
    world : World
    """

    def __init__(self, rows: Tensor, target: Tensor, batch: int, seed: int, world: World) -> None:
        self.rows, self.target, self.batch, self.seed, self.world = rows, target, batch, seed, world
        self.seek(0)

    def seek(self, step: int) -> None:
        """Go on from the batch of step `step`."""
        self.order = Order(len(self.rows), self.batch, self.seed, step, self.world.device)

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return this process's part of the next batch, and its target."""
        index = self.world.mine(next(self.order))
        x = self.rows.index_select(0, index)
        return x, x if self.target is self.rows else self.target.index_select(0, index)

    def close(self) -> None:
        """Nothing is held."""


class Streamed:
    """Batches of rows that arrive in pieces; they are their own target.

    Parameters
    ----------
    rows : Rows
    batch, seed : int
    world : World
        Every process reads every batch and keeps its part.
    """

    def __init__(self, rows: Rows, batch: int, seed: int, world: World) -> None:
        self.rows, self.batch, self.seed, self.world = rows, batch, seed, world
        self.source: Generator[NDArray[np.float32]] | None = None
        self.step = 0

    def seek(self, step: int) -> None:
        """Go on from the batch of step `step`."""
        self.close()
        self.step = step

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return this process's part of the next batch, and its target."""
        if self.source is None:
            self.source = self.rows.batches(self.batch, self.seed, self.step)
        x = self.world.mine(torch.from_numpy(next(self.source))).to(self.world.device)  # pyright: ignore[reportUnknownMemberType]
        self.step += 1
        return x, x

    def close(self) -> None:
        """Stop reading."""
        if self.source is not None:
            self.source.close()
            self.source = None


def make_batches(rows: Tensor | Rows, target: Tensor | None, batch: int, seed: int, world: World) -> Batches:
    """Return the batches of `rows`, moved to the world's device where they are a tensor."""
    if not isinstance(rows, Tensor):
        return Streamed(rows, batch, seed, world)
    here = rows.to(world.device)
    return InMemory(here, here if target is None else target.to(world.device), batch, seed, world)
