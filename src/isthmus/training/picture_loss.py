"""How far pictures are from their targets: pixels, structure, and features of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.objectives.perceptual import Features
from isthmus.objectives.similarity import WINDOW, ms_ssim, ssim
from isthmus.training.crops import Lesson

PIXELS = ("mse", "l1")
MOST_SCALES = 5


@dataclass(frozen=True)
class PictureLoss:
    """How far a picture is from its target: the mean over pixels, and beside it what structure and features lack to be the same.

    Parameters
    ----------
    pixels : {"mse", "l1"}
        Squared or absolute differences.
    ssim : float
        Weight of 1 - SSIM; crops must then be at least 11 x 11. Left out where not all places count, as is what follows.
    ms_ssim : float
        Weight of 1 - MS-SSIM, over as many of five scales as the crops have room for.
    perceptual : float
        Weight of the distance of `features`.
    features : Features, optional
        Such as `isthmus.training.features.fit_features` returns.

    Raises
    ------
    ConfigError
        If there is no such loss, a weight is negative, or features are asked for and missing.

    Examples
    --------
    >>> import torch
    >>> picture = torch.zeros(1, 16, 16, 1)
    >>> float(PictureLoss("mse", ssim=0.1)(picture, Lesson(picture, picture)))
    0.0
    """

    pixels: str = "mse"
    ssim: float = 0.0
    ms_ssim: float = 0.0
    perceptual: float = 0.0
    features: Features | None = None

    def __post_init__(self) -> None:
        if self.pixels not in PIXELS or not all(0 <= weight < math.inf for weight in (self.ssim, self.ms_ssim, self.perceptual)):
            raise ConfigError(
                f"the loss must be one of {', '.join(PIXELS)} and the weights of ssim, ms_ssim and perceptual at least 0, "
                f"not {self.pixels!r}, {self.ssim}, {self.ms_ssim} and {self.perceptual}"
            )
        if self.perceptual and self.features is None:
            raise ConfigError("perceptual needs features to compare: those of isthmus.training.features.fit_features")

    def __call__(self, found: Tensor, lesson: Lesson) -> Tensor:
        """Return the loss of a batch, a single number."""
        apart = found - lesson.target
        apart = apart.square() if self.pixels == "mse" else apart.abs()
        if lesson.where is not None:
            return (apart * lesson.where).sum() / (lesson.where.sum() * apart.shape[3]).clamp_min(1)
        loss = apart.mean()
        if self.ssim:
            loss = loss + self.ssim * (1 - ssim(found, lesson.target).mean())
        if self.ms_ssim:
            loss = loss + self.ms_ssim * (1 - ms_ssim(found, lesson.target, scales=scales_of(found)).mean())
        if self.perceptual and self.features is not None:
            loss = loss + self.perceptual * self.features.distance(found, lesson.target).mean()
        return loss


def scales_of(pictures: Tensor) -> int:
    """Return how many scales MS-SSIM has room for: at least 11 pixels at the coarsest.

    Examples
    --------
    >>> import torch
    >>> scales_of(torch.zeros(1, 64, 64, 1))
    3
    """
    room = (min(pictures.shape[1:3]) - 1) // (WINDOW - 1)
    return min(MOST_SCALES, max(1, room.bit_length()))
