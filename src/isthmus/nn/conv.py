"""Convolutional networks for pictures of any height, width and number of channels (H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

from torch import Tensor, nn

from isthmus.errors import ConfigError
from isthmus.nn.base import Network, activation, check_widths, norms
from isthmus.nn.strided import channels_last, evened, from_pixels, quick, to_pixels, up
from isthmus.spec import register


def sizes(side: int, stages: int) -> list[int]:
    """Return the side of a picture after 0, 1, ... `stages` halvings, odd ones rounded up."""
    found = [side]
    for _ in range(stages):
        found.append((found[-1] + 1) // 2)
    return found


def check_picture(shape: Sequence[int], name: str) -> tuple[int, int, int]:
    """Return height, width and channels.

    Raises
    ------
    ConfigError
        If `shape` is no picture.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ConfigError(f"{name} must be (height, width, channels), not {tuple(shape)}: use network='mlp' for other shapes")
    return shape[0], shape[1], shape[2]


@register("network.conv_encoder")
class ConvEncoder(Network):
    """Convolutions of stride 2, then one dense layer.

    Parameters
    ----------
    shape_in : sequence of int
        Height, width, channels.
    shape_out : sequence of int
    channels : sequence of int
        Channels after each halving.
    activation : str

    Raises
    ------
    ConfigError
        If `shape_in` is no picture or a number of channels is not positive.

    Examples
    --------
    >>> import torch
    >>> ConvEncoder((19, 30, 3), (8,), channels=(4, 8))(torch.zeros(2, 19, 30, 3)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self, shape_in: Sequence[int], shape_out: Sequence[int], channels: Sequence[int] = (32, 64), activation: str = "silu"
    ) -> None:
        super().__init__()
        height, width, colours = self.shape_in = check_picture(shape_in, "shape_in")
        self.shape_out = tuple(shape_out)
        self.activation = _activation(activation)
        widths = (colours, *check_widths(channels, "channels"))
        self.stages = len(channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.inner = (widths[-1], sizes(height, self.stages)[-1], sizes(width, self.stages)[-1])
        self.dense = nn.Linear(prod(self.inner), prod(self.shape_out))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions in order."""
        return cast("list[nn.Conv2d]", list(self.convs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, H, W, C) to (batch, \\*shape_out)."""
        fast = quick(x, *x.shape[1:3])
        h = channels_last(x.permute(0, 3, 1, 2)) if fast else x.permute(0, 3, 1, 2)
        for conv in self.convs:
            h = self.activation(conv(evened(h)))
        h = from_pixels(h, self.dense.weight, self.dense.bias) if fast else self.dense(h.flatten(1))
        return h.view(-1, *self.shape_out)

    def gain(self) -> Tensor:
        """Norm of the first kernel's weights for each input channel, shape (C,)."""
        weight = self.convolutions[0].weight if self.stages else self.dense.weight.view(-1, *self.inner)
        return norms(weight.transpose(0, 1).flatten(1), dim=1)


@register("network.conv_decoder")
class ConvDecoder(Network):
    """One dense layer, then transposed convolutions of stride 2: the mirror of `ConvEncoder`.

    Kernels of 4 at stride 2 overlap evenly, which avoids the checkerboards of kernels of 3.

    Parameters
    ----------
    shape_in : sequence of int
        Usually ``(latent,)``.
    shape_out : sequence of int
        Parameters per value, height, width, channels.
    channels : sequence of int
        As in the encoder: the first is nearest to the picture.
    activation : str

    Raises
    ------
    ConfigError
        If `shape_out` is no picture.

    Examples
    --------
    >>> import torch
    >>> ConvDecoder((8,), (1, 19, 30, 3), channels=(4, 8))(torch.zeros(2, 8)).shape
    torch.Size([2, 1, 19, 30, 3])
    """

    def __init__(
        self, shape_in: Sequence[int], shape_out: Sequence[int], channels: Sequence[int] = (32, 64), activation: str = "silu"
    ) -> None:
        super().__init__()
        self.shape_in = tuple(shape_in)
        self.shape_out = tuple(shape_out)
        height, width, colours = check_picture(self.shape_out[1:], "shape_out after its first entry")
        self.activation = _activation(activation)
        widths = (colours * self.shape_out[0], *check_widths(channels, "channels"))[::-1]
        self.stages = len(channels)
        self.steps = tuple(zip(sizes(height, self.stages), sizes(width, self.stages)))[::-1]
        self.inner = (widths[0], *self.steps[0])
        self.dense = nn.Linear(prod(self.shape_in), prod(self.inner))
        self.convs = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))

    @property
    def convolutions(self) -> list[nn.ConvTranspose2d]:
        """The transposed convolutions in order."""
        return cast("list[nn.ConvTranspose2d]", list(self.convs))

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, \\*shape_in) to (batch, parameters, H, W, C)."""
        fast = quick(z, *self.steps[-1])
        if fast:
            h = to_pixels(z.flatten(1), self.dense.weight, self.dense.bias, self.inner)
        else:
            h = self.dense(z.flatten(1)).view(-1, *self.inner)
        for conv, (height, width) in zip(self.convolutions, self.steps[1:]):
            h = self.activation(h)
            h = up(h, conv.weight, conv.bias, (height, width)) if fast else conv(h)[:, :, :height, :width]
        parameters, height, width, colours = self.shape_out
        return h.reshape(-1, parameters, colours, height, width).permute(0, 1, 3, 4, 2)

    def gain(self) -> Tensor:
        """Norm of the dense layer's columns, shape (inputs,)."""
        return norms(self.dense.weight, dim=0)


_activation = activation
