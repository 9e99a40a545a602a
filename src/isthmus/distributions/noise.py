"""Sources of random numbers: always handed in, never torch's process-wide generator."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Noise(ABC):
    """Where a draw gets its random numbers."""

    @abstractmethod
    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers with the shape, type and device of `like`, whose first axis is the batch."""

    @abstractmethod
    def uniform(self, like: Tensor) -> Tensor:
        """Return numbers uniform on [0, 1) with the shape, type and device of `like`, whose first axis is the batch."""


class GeneratorNoise(Noise):
    """Fresh numbers from a generator, the same ones however many processes share the batch.

    Parameters
    ----------
    generator : torch.Generator
        Its device decides where the numbers are drawn.
    part, parts : int
        This process takes part `part` of the `parts` equal parts of the batch: numbers are drawn for the whole batch and
        sliced, so that the result does not depend on the number of processes.

    Examples
    --------
    >>> noise = GeneratorNoise(torch.Generator().manual_seed(0))
    >>> noise.normal(torch.empty(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, generator: torch.Generator, part: int = 0, parts: int = 1) -> None:
        self.generator = generator
        self.part = part
        self.parts = parts

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers."""
        return self._mine(torch.randn(self._whole(like), generator=self.generator, dtype=like.dtype, device=self.generator.device), like)

    def uniform(self, like: Tensor) -> Tensor:
        """Return uniform numbers."""
        return self._mine(torch.rand(self._whole(like), generator=self.generator, dtype=like.dtype, device=self.generator.device), like)

    def _whole(self, like: Tensor) -> tuple[int, ...]:
        return (like.shape[0] * self.parts, *like.shape[1:])

    def _mine(self, numbers: Tensor, like: Tensor) -> Tensor:
        rows = like.shape[0]
        return (numbers if self.parts == 1 else numbers[self.part * rows : (self.part + 1) * rows]).to(like.device)


class SharedNoise(Noise):
    """The same numbers for every row, so that a row's score depends neither on its neighbours nor on the batch size.

    Parameters
    ----------
    seed : int
        Decides the numbers.
    mirrored : bool
        Give the opposite draw (``-eps``, ``1 - u``): averaging a draw and its mirror lowers the variance.

    Examples
    --------
    >>> rows = SharedNoise(0).normal(torch.empty(2, 3))
    >>> bool((rows[0] == rows[1]).all())
    True
    """

    def __init__(self, seed: int, mirrored: bool = False) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.mirrored = mirrored

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers, equal in all rows."""
        draw = torch.randn((1, *like.shape[1:]), generator=self.generator, dtype=torch.float64).to(like.device, like.dtype)
        return (-draw if self.mirrored else draw).expand_as(like)

    def uniform(self, like: Tensor) -> Tensor:
        """Return uniform numbers, equal in all rows."""
        draw = torch.rand((1, *like.shape[1:]), generator=self.generator, dtype=torch.float64)
        # Mirroring 0 and rounding to a narrower type may both give 1, which does not belong.
        below_one = 1 - torch.finfo(like.dtype).eps / 2
        return (1 - draw if self.mirrored else draw).clamp_max(below_one).to(like.device, like.dtype).expand_as(like)
