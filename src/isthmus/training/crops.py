"""Batches for networks that give pictures back: random crops, turned and mirrored, and pixels hidden from the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.errors import ConfigError, DataError

TURNS = ("none", "mirror", "all")


class Lesson(NamedTuple):
    """What a network sees, what it shall give back, and, where not everywhere, the places that count.

    Attributes
    ----------
    seen, target : Tensor of shape (batch, H, W, C)
    where : Tensor of shape (batch, H, W, 1), optional
        1 at places that count, 0 elsewhere.
    """

    seen: Tensor
    target: Tensor
    where: Tensor | None = None


class Picture(Protocol):
    """What is needed of a picture: an array, or one on a shelf."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        ...

    def __getitem__(self, part: Any, /) -> NDArray[Any]:
        """Return a part of the pixels."""
        ...


Draw = Callable[[torch.Generator], Lesson]


class Crops:
    """Random crops of pictures, with the same part of their targets.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (H, W, C)
        Of any sizes, and of any type of numbers.
    targets : sequence of ndarray of shape (H, W, C), optional
        As large as the pictures, with any number of channels; the pictures themselves by default.
    size : int
        Height and width of a crop, or those of the smallest picture where that is smaller.
    batch : int
    scale : float
        What the numbers are multiplied by.
    turns : {"none", "mirror", "all"}
        Whether crops are mirrored left to right, or also turned by quarters, all crops of a batch alike.

    together : int
        Crops of a batch that are cut from one picture: more where pictures are decoded anew each time they are looked at.

    Raises
    ------
    DataError
        If there is no picture, or a target is not as large as its picture.
    ConfigError
        If a setting is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> crops = Crops([np.zeros((20, 30, 1)), np.zeros((9, 40, 1))], size=16, batch=4)
    >>> crops(torch.Generator()).seen.shape
    torch.Size([4, 9, 16, 1])
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        targets: Sequence[Picture] | None = None,
        *,
        size: int = 64,
        batch: int = 8,
        scale: float = 1.0,
        turns: str = "all",
        together: int = 1,
    ) -> None:
        if size < 1 or batch < 1 or turns not in TURNS:
            raise ConfigError(f"crops need size and batch of at least 1 and turns in {TURNS}; got {size}, {batch}, {turns!r}")
        if not len(pictures):
            raise DataError("there is no picture to train on")
        self.pictures, self.targets = pictures, targets
        if targets is not None and [p.shape[:2] for p in pictures] != [t.shape[:2] for t in targets]:
            raise DataError("each target must be as large as its picture, and there must be as many targets as pictures")
        self.height, self.width = (min(size, *(picture.shape[axis] for picture in pictures)) for axis in (0, 1))
        self.batch, self.scale, self.turns, self.together = batch, scale, turns, max(1, together)

    def __call__(self, generator: torch.Generator) -> Lesson:
        """Return the next batch; without targets both are the same object."""
        drawn = torch.rand(self.batch, 3, generator=generator, dtype=torch.float64)
        drawn[:, 0] = drawn[:: self.together, 0].repeat_interleave(self.together)[: self.batch]
        places = [self._place(*(float(share) for share in shares)) for shares in drawn]
        turn = int(torch.randint(8, (1,), generator=generator))
        seen = self._cut(self.pictures, places, turn)
        return Lesson(seen, seen if self.targets is None else self._cut(self.targets, places, turn))

    def _place(self, which: float, down: float, right: float) -> tuple[int, int, int]:
        number = int(which * len(self.pictures))
        height, width = self.pictures[number].shape[:2]
        return number, int(down * (height - self.height + 1)), int(right * (width - self.width + 1))

    def _cut(self, pictures: Sequence[Picture], places: Sequence[tuple[int, int, int]], turn: int) -> Tensor:
        parts = [pictures[i][top : top + self.height, left : left + self.width] for i, top, left in places]
        return self._turned(torch.stack([torch.tensor(part) for part in parts]), turn).float() * self.scale

    def _turned(self, crops: Tensor, turn: int) -> Tensor:
        if turn & 1 and self.turns != "none":
            crops = crops.flip(2)
        if turn & 2 and self.turns == "all":
            crops = crops.flip(1)
        return crops.transpose(1, 2).contiguous() if turn & 4 and self.turns == "all" and self.height == self.width else crops


def blind_spots(x: Tensor, share: float, generator: torch.Generator, radius: int = 2) -> Lesson:
    """Hide some pixels of noisy pictures behind neighbours of theirs, so that a network must tell them from what is around.

    Noise that is independent from pixel to pixel cannot be told from around, so what is learned is the picture without it.

    Parameters
    ----------
    x : Tensor of shape (batch, H, W, C)
    share : float
        Of the pixels that are hidden.
    generator : torch.Generator
    radius : int
        How far away a neighbour may lie, in height and width.

    Returns
    -------
    Lesson
        The target is `x`, and only hidden pixels count.

    References
    ----------
    Krull, Buchholz and Jug, "Noise2Void: learning denoising from single noisy images", CVPR 2019.

    Examples
    --------
    >>> lesson = blind_spots(torch.rand(1, 32, 32, 1), 0.1, torch.Generator().manual_seed(0))
    >>> bool(((lesson.seen != lesson.target) <= (lesson.where > 0)).all())
    True
    """
    height, width = x.shape[1:3]
    hidden = torch.rand(x.shape[:3], generator=generator) < share
    batch, row, column = hidden.nonzero().unbind(1)
    other = torch.randint((2 * radius + 1) ** 2 - 1, (len(row),), generator=generator)
    other = other + (other >= 2 * radius * (radius + 1)).long()  # not itself
    down, right = other // (2 * radius + 1) - radius, other % (2 * radius + 1) - radius
    seen = x.clone()
    seen[batch, row, column] = x[batch, _inside(row, down, height), _inside(column, right, width)]
    return Lesson(seen, x, hidden.unsqueeze(3).to(x.dtype))


def _inside(place: Tensor, step: Tensor, length: int) -> Tensor:
    """Return places `step` away, on the other side where that would lie outside."""
    moved = place + step
    return torch.where((moved < 0) | (moved >= length), place - step, moved).clamp(0, length - 1)


def more_noise(x: Tensor, std: float, generator: torch.Generator, share: float = 0.5) -> Lesson:
    r"""Split pictures with Gaussian noise of a known standard deviation into two whose noise is independent.

    With z of the same distribution as the noise, :math:`x + \alpha z` is shown, and :math:`x - z / \alpha` is what is to be given back:
    the noise of both is uncorrelated, hence independent, and the mean of the second, given the first, is that of the clean picture.

    Parameters
    ----------
    x : Tensor of shape (batch, H, W, C)
    std : float
        Standard deviation of the noise.
    generator : torch.Generator
    share : float
        :math:`\alpha`: how much noise comes on top of what the network sees; the less, the noisier is the target.

    Returns
    -------
    Lesson

    References
    ----------
    Pang, Zheng, Quan and Ji, "Recorrupted-to-recorrupted: unsupervised deep learning for image denoising", CVPR 2021.

    Examples
    --------
    >>> lesson = more_noise(torch.zeros(1, 2, 2, 1), 0.0, torch.Generator())
    >>> bool((lesson.seen == lesson.target).all())
    True
    """
    z = std * torch.randn(x.shape, generator=generator)
    return Lesson(x + share * z, x - z / share)


def thinned(x: Tensor, peak: float, generator: torch.Generator, share: float = 0.8) -> Lesson:
    r"""Split pictures of counted photons into two of fewer, whose noise is independent.

    Each photon goes to what is shown with the probability `share`, otherwise to the target: of a Poisson number both parts are Poisson
    numbers, and independent.

    Parameters
    ----------
    x : Tensor of shape (batch, H, W, C)
        Counts divided by `peak`.
    peak : float
        Mean number of photons of white.
    generator : torch.Generator
    share : float
        Of the photons that are shown.

    Returns
    -------
    Lesson

    References
    ----------
    The thinning property of Poisson processes: Kingman, "Poisson processes", 1993, section 5.1.

    Examples
    --------
    >>> lesson = thinned(torch.ones(1, 2, 2, 1), 50.0, torch.Generator())
    >>> bool((lesson.seen * 0.8 + lesson.target * 0.2 - 1).abs().max() < 1e-6)
    True
    """
    counts = (x * peak).round().clamp_min(0)
    kept = torch.binomial(counts, torch.full_like(counts, share), generator=generator)
    return Lesson(kept / (peak * share), (counts - kept) / (peak * (1 - share)))
