"""Convolutions that work on few pixels and many channels: the quickest form on a CPU, above all in bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.base import Network, activation, check_widths, norms, through
from isthmus.nn.conv import check_picture, sizes
from isthmus.nn.strided import evened
from isthmus.spec import register


class Residual(nn.Module):
    """Two convolutions with kernels of 3, added to what came in: :math:`h + W_2 * s(W_1 * s(h))`.

    Parameters
    ----------
    channels : int
    activation : callable
        s.

    References
    ----------
    He et al., "Identity mappings in deep residual networks", ECCV 2016, without the normalisation.
    """

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, channels, H, W) to the same shape."""
        return h + self.second(self.activation(self.first(self.activation(h))))


class _Subpixel(Network):
    """What both directions share: widths of the stages, dense layers around the code, residual blocks at the smallest size."""

    def __init__(self, picture: Sequence[int], channels: Sequence[int], hidden: Sequence[int], blocks: int, name: str) -> None:
        super().__init__()
        height, width, self.colours = check_picture(picture, "the shape of a row")
        self.activation = activation(name)
        self.widths = check_widths(channels, "channels")
        if not self.widths:
            raise ConfigError("network='subpixel' halves a picture at least once: give a number of channels, or use network='mlp'")
        self.hidden = check_widths(hidden, "hidden")
        stages = len(self.widths)
        self.sides = tuple(zip(sizes(height, stages), sizes(width, stages)))
        self.inner = (self.widths[-1], *self.sides[-1])
        count = check_widths([blocks], "blocks")[0] if blocks else 0
        self.blocks = nn.Sequential(*(Residual(self.inner[0], self.activation) for _ in range(count)))


@register("network.subpixel_encoder")
class SubpixelEncoder(_Subpixel):
    """Convolutions with kernels of 4 at stride 2, residual blocks, dense layers.

    Parameters
    ----------
    shape_in : sequence of int
        Height, width, channels.
    shape_out : sequence of int
    channels : sequence of int
        Channels after each halving.
    hidden : sequence of int
        Widths of the dense layers before the last.
    blocks : int
        Residual blocks of two convolutions each, at the smallest size.
    activation : str

    Raises
    ------
    ConfigError
        If `shape_in` is no picture, there are no channels, or a number is not positive.

    Examples
    --------
    >>> SubpixelEncoder((19, 30, 3), (8,), channels=(4, 8), hidden=(16,), blocks=1)(torch.zeros(2, 19, 30, 3)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        shape_in: Sequence[int],
        shape_out: Sequence[int],
        channels: Sequence[int] = (16, 32),
        hidden: Sequence[int] = (256,),
        blocks: int = 0,
        activation: str = "silu",
    ) -> None:
        super().__init__(shape_in, channels, hidden, blocks, activation)
        self.shape_in, self.shape_out = tuple(shape_in), tuple(shape_out)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise((self.colours, *self.widths)))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((prod(self.inner), *self.hidden, prod(self.shape_out))))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions that halve the picture, in order."""
        return cast("list[nn.Conv2d]", list(self.convs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, H, W, C) to (batch, \\*shape_out)."""
        h = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for i, conv in enumerate(self.convs):
            h = conv(evened(self.activation(h) if i else h))
        return through(self.layers, self.activation(self.blocks(h)).flatten(1), self.activation).view(-1, *self.shape_out)

    def gain(self) -> Tensor:
        """Norm of the first kernel's weights for each input channel, shape (C,)."""
        return norms(self.convolutions[0].weight.transpose(0, 1).flatten(1), dim=1)


@register("network.subpixel_decoder")
class SubpixelDecoder(_Subpixel):
    """Dense layers, residual blocks, then sub-pixel convolutions: kernels of 3 that give each pixel's four successors as channels.

    Each doubles the picture, like a transposed convolution with kernels of 6 at stride 2, but works on a quarter of the pixels.

    Parameters
    ----------
    shape_in : sequence of int
        Usually ``(latent,)``.
    shape_out : sequence of int
        Parameters per value, height, width, channels.
    channels, hidden, blocks : as in the encoder
        The decoder goes through them backwards.
    activation : str

    Raises
    ------
    ConfigError
        If `shape_out` is no picture, there are no channels, or a number is not positive.

    References
    ----------
    Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016.

    Examples
    --------
    >>> SubpixelDecoder((8,), (1, 19, 30, 3), channels=(4, 8), hidden=(16,), blocks=1)(torch.zeros(2, 8)).shape
    torch.Size([2, 1, 19, 30, 3])
    """

    def __init__(
        self,
        shape_in: Sequence[int],
        shape_out: Sequence[int],
        channels: Sequence[int] = (16, 32),
        hidden: Sequence[int] = (256,),
        blocks: int = 0,
        activation: str = "silu",
    ) -> None:
        super().__init__(tuple(shape_out)[1:], channels, hidden, blocks, activation)
        self.shape_in, self.shape_out = tuple(shape_in), tuple(shape_out)
        last = self.colours * self.shape_out[0]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((prod(self.shape_in), *self.hidden[::-1], prod(self.inner))))
        self.convs = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in pairwise((*self.widths[::-1], last)))

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, \\*shape_in) to (batch, parameters, H, W, C)."""
        h = through(self.layers, z.flatten(1), self.activation).view(-1, *self.inner).contiguous(memory_format=torch.channels_last)
        h = self.blocks(h)
        for conv, (height, width) in zip(self.convs, self.sides[-2::-1]):
            h = functional.pixel_shuffle(conv(self.activation(h)), 2)[:, :, :height, :width]
        parameters, height, width, colours = self.shape_out
        return h.reshape(-1, parameters, colours, height, width).permute(0, 1, 3, 4, 2)

    def gain(self) -> Tensor:
        """Norm of the first dense layer's columns, shape (inputs,)."""
        return norms(cast("nn.Linear", self.layers[0]).weight, dim=0)
