"""How far apart two pictures are in the features of a network, which see textures and edges rather than single pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.nn.base import check_widths, fill_uniform

KERNEL = 3
LEAST, EPSILON = 0.5, 1e-6


class _Layer(nn.Conv2d):
    """A convolution with a stride, He's start and no bias at first."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, KERNEL, stride, KERNEL // 2)  # pyright: ignore[reportUnknownMemberType]

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the kernels at random and the bias with zeros."""
        fill_uniform(self.weight, math.sqrt(6 / self.weight[0].numel()), generator)
        with torch.no_grad():
            cast("Tensor", self.bias).zero_()


class Features(nn.Module):
    r"""A small convolutional network whose activations, level by level, tell how alike pictures look.

    :math:`d(x, y) = \frac{1}{L} \sum_l \operatorname{mean}\left(\frac{f_l(x) - f_l(y)}{s_l}\right)^2`, with the standard deviation
    :math:`s_l` of each channel over the pictures it was fitted on.

    Parameters
    ----------
    channels : int
        Of the pictures.
    widths : sequence of int
        Channels of the levels: the first at full size, each further at half of that before.
    classes : int
        Of the task that it is fitted by.

    Raises
    ------
    ConfigError
        If a number is not positive.

    References
    ----------
    Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016; Zhang et al., "The
    unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018.

    Examples
    --------
    >>> features = Features(1, (4, 8))
    >>> picture = torch.rand(1, 16, 16, 1)
    >>> float(features.distance(picture, picture).detach())
    0.0
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (16, 32, 64), classes: int = 4) -> None:
        super().__init__()
        colours, self.classes = check_widths([channels, classes], "channels and classes")
        self.channels, self.widths = colours, check_widths(widths, "widths")
        self.layers = nn.ModuleList(_Layer(a, b, 1 if i == 0 else 2) for i, (a, b) in enumerate(pairwise([colours, *self.widths])))
        self.last = nn.Linear(self.widths[-1], self.classes)
        for level, width in enumerate(self.widths):
            self.register_buffer(f"spread{level}", torch.ones(width))

    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the activations of pictures (batch, H, W, C), level by level: shape (batch, width, h, w)."""
        h, found = x.permute(0, 3, 1, 2), list[Tensor]()
        for layer in self.layers:
            h = functional.relu(layer(h))
            found.append(h)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the task it is fitted by, shape (batch, classes)."""
        return self.last(self.levels(x)[-1].mean((2, 3)))

    @torch.no_grad()
    def measure(self, x: Tensor) -> None:
        """Take the spread of each channel from pictures."""
        for level, h in enumerate(self.levels(x)):
            spread = h.std((0, 2, 3))
            # A channel that hardly ever speaks must not count for more than those that do.
            getattr(self, f"spread{level}").copy_(spread.clamp_min(float(LEAST * spread.mean()) + EPSILON))

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far each picture of a batch is from its partner, shape (batch,); gradients pass."""
        total = x.new_zeros(len(x))
        for level, (a, b) in enumerate(zip(self.levels(x), self.levels(y))):
            apart = (a - b) / getattr(self, f"spread{level}")[:, None, None]
            total = total + apart.square().flatten(1).mean(1)
        return total / len(self.widths)
