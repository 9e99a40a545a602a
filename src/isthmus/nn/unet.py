"""A U-shaped, fully convolutional network for pictures of any size: picture in, picture out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.attention import WINDOW, WindowAttention
from isthmus.nn.base import activation, check_widths, fill_uniform
from isthmus.nn.strided import channels_last
from isthmus.spec import register

EVEN = math.sqrt(0.5)  # of a convolution that no activation follows, to keep the variance


class PlainConv(nn.Conv2d):
    """A convolution that starts with He's variance times the square of `scale`, each kernel `alike` times in a row, and no bias."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, scale: float = 1.0, alike: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, size // 2 if stride == 1 else 0)  # pyright: ignore[reportUnknownMemberType]
        self.scale, self.alike = scale, alike

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the kernels at random and the bias with zeros."""
        few = torch.empty_like(self.weight[:: self.alike])
        fill_uniform(few, self.scale * math.sqrt(6 / self.weight[0].numel()), generator)
        with torch.no_grad():
            self.weight.copy_(few.repeat_interleave(self.alike, dim=0))
            cast("Tensor", self.bias).zero_()


class _Block(nn.Module):
    """Two convolutions with kernels of 3 added to what came in; the second starts at zero, so that the block starts as the identity."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__()
        self.activation = activation(name)
        self.first = PlainConv(channels, channels)
        self.second = PlainConv(channels, channels, scale=0.0)

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, channels, H, W) to the same shape."""
        return h + self.second(self.activation(self.first(h)))


@register("network.unet")
class UNet(nn.Module):
    r"""A residual U-net: :math:`x + f(x)`, f by blocks of two convolutions at 1/2, 1/4, 1/8 ... of the picture's height and width.

    Fully convolutional: trained on crops, applied to any size. The first halving moves each 2 x 2 block's values into channels, and the
    last doubling moves them back, so that no convolution works at full size. There is no normalisation, so that neither the batch nor
    the rest of the picture decides a pixel; blocks start as the identity and the whole as :math:`x`. Kernels of 2 at stride 2 do not
    overlap, and the four pixels that grow of one start alike: nothing favours a checkerboard.

    The connections that carry details past the lower levels are why it is good at giving a picture back, and why it has no code worth
    the name: whatever can pass by the side does. Use it for picture to picture, never where the code itself matters.

    Parameters
    ----------
    channels : int
        Of the pictures.
    widths : sequence of int
        Channels of the network at 1/2, 1/4 ... of the size.
    blocks : int
        At each size, on the way down and on the way up.
    activation : str
    residual : bool
        Whether the picture itself is added at the end. Not where it must not be seen, as with a blind spot.
    outputs : int, optional
        Channels that are given back; by default as many as come in. A residual network adds the first ones of the picture to them.
    attention : int
        Heads of attention at the lowest size, between all places of windows that are 8 wide there; 0 for none.

    Raises
    ------
    ConfigError
        If a number is not positive, or a residual network is to give more channels back than come in.

    References
    ----------
    Zhang et al., "Plug-and-play image restoration with deep denoiser prior", IEEE TPAMI 2021 (DRUNet), of which this is a quick form;
    the half size at the start as in Zhang et al., "FFDNet", IEEE TIP 2018; the four equal kernels: Aitken et al., "Checkerboard
    artifact free sub-pixel convolution", 2017.

    Examples
    --------
    >>> UNet(channels=3, widths=(4, 8), blocks=1)(torch.zeros(2, 19, 30, 3)).shape
    torch.Size([2, 19, 30, 3])
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (48, 96, 192),
        blocks: int = 2,
        activation: str = "relu",
        residual: bool = True,
        outputs: int | None = None,
        attention: int = 0,
    ) -> None:
        super().__init__()
        colours, count, self.outputs = check_widths([channels, blocks, channels if outputs is None else outputs], "channels and blocks")
        if residual and self.outputs > colours:
            raise ConfigError(f"a residual network gives back at most the {colours} channel(s) that come in, not {self.outputs}")
        self.widths = check_widths(widths, "widths")
        if not self.widths:
            raise ConfigError("widths must name the channels of at least one size, such as (48, 96)")
        self.colours, self.count, self.residual = colours, count, residual
        self.head = PlainConv(4 * colours, self.widths[0], scale=EVEN)
        self.before = nn.ModuleList(self._blocks(width, activation) for width in self.widths)
        self.after = nn.ModuleList(self._blocks(width, activation) for width in self.widths[:-1])
        self.down = nn.ModuleList(PlainConv(a, b, 2, stride=2, scale=EVEN) for a, b in pairwise(self.widths))
        self.up = nn.ModuleList(PlainConv(b, 4 * a, 1, scale=EVEN, alike=4) for a, b in pairwise(self.widths))
        self.attention = attention
        self.attend = WindowAttention(self.widths[-1], attention) if attention else nn.Identity()
        self.tail = PlainConv(self.widths[0], 4 * self.outputs, scale=0.0)

    def _blocks(self, width: int, name: str) -> nn.Sequential:
        return nn.Sequential(*(_Block(width, name) for _ in range(self.count)))

    @property
    def multiple(self) -> int:
        """Height and width that the network works on are multiples of this; others are filled up within."""
        return 2 ** len(self.widths) * (WINDOW if self.attention else 1)

    @property
    def reach(self) -> int:
        """Pixels that lie further away than this, in height or width, have no part in a pixel's result."""
        levels = len(self.widths)
        convolutions = [2 * self.count * (1 if level == levels - 1 else 2) for level in range(levels)]
        convolutions[0] += 2
        afar = 2**levels * (WINDOW - 1) if self.attention else 0
        # Where sizes change, a pixel shares its result with the others of its block.
        return afar + sum(2 ** (level + 1) * (number + 1) for level, number in enumerate(convolutions))

    def filled(self, x: Tensor) -> Tensor:
        """Return pictures (batch, H, W, C) channels first, their edges repeated to a height and width the network can work on."""
        below, right = -x.shape[1] % self.multiple, -x.shape[2] % self.multiple
        h = x.permute(0, 3, 1, 2)
        return functional.pad(h, (0, right, 0, below), mode="replicate") if below or right else h

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (batch, H, W, channels) to as many of the same height and width, with `outputs` channels."""
        height, width = x.shape[1:3]
        found = self.through(channels_last(functional.pixel_unshuffle(self.filled(x), 2)))
        change = functional.pixel_shuffle(found, 2)[:, :, :height, :width].permute(0, 2, 3, 1).to(x.dtype)
        return x[..., : self.outputs] + change if self.residual else change

    def through(self, h: Tensor) -> Tensor:
        """Map 2 x 2 blocks of pixels to theirs, shape (batch, 4 C, H / 2, W / 2)."""
        h = self.head(h)
        passed: list[Tensor] = []
        for level, blocks in enumerate(self.before):
            h = blocks(self.down[level - 1](h) if level else h)
            passed.append(h)
        h = self.attend(h)
        for level in reversed(range(len(self.after))):
            h = self.after[level](passed[level] + functional.pixel_shuffle(self.up[level](h), 2))
        return self.tail(h)
