"""Attention between the places of a picture, within windows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.base import fill_uniform

WINDOW = 8


class WindowAttention(nn.Module):
    r"""Self-attention among the places of each window of 8 x 8, added to what came in.

    Windows lie on a grid that begins at the picture's corner, so that a place's result depends on its own window alone: a picture can
    still be worked on in tiles. A bias for each pair of places in a window tells where they lie. The last map starts at zero, hence
    the whole as the identity.

    Parameters
    ----------
    channels : int
    heads : int
        Must divide the channels.

    Raises
    ------
    ConfigError
        If it does not.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017; windows and the bias: Liu et al., "Swin transformer", ICCV 2021.

    Examples
    --------
    >>> layer = WindowAttention(8, 2)
    >>> layer.initialise(torch.Generator())
    >>> layer(torch.zeros(1, 8, 16, 24)).shape
    torch.Size([1, 8, 16, 24])
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ConfigError(f"attention needs a number of heads that divides the {channels} channels at the lowest size, not {heads}")
        self.heads = heads
        self.mix = nn.Parameter(torch.empty(3 * channels, channels))
        self.out = nn.Parameter(torch.empty(channels, channels))
        self.scale = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(heads, WINDOW**2, WINDOW**2))

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the first map at random, the others so that nothing changes."""
        fill_uniform(self.mix, math.sqrt(3 / self.mix.shape[1]), generator)
        with torch.no_grad():
            self.out.zero_()
            self.bias.zero_()
            self.scale.fill_(1)

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, channels, H, W), height and width multiples of 8, to the same shape."""
        batch, channels, height, width = h.shape
        down, right = height // WINDOW, width // WINDOW
        rows = h.reshape(batch, channels, down, WINDOW, right, WINDOW).permute(0, 2, 4, 3, 5, 1).reshape(-1, WINDOW**2, channels)
        # Each place is scaled to length one first: large activations must not decide where all look.
        normal = functional.normalize(rows.float(), dim=2).to(rows.dtype) * (math.sqrt(channels) * self.scale)
        mixed = functional.linear(normal, self.mix).view(len(rows), WINDOW**2, 3, self.heads, channels // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.bias.to(query.dtype))
        found = functional.linear(found.transpose(1, 2).reshape(rows.shape), self.out)
        found = found.view(batch, down, right, WINDOW, WINDOW, channels).permute(0, 5, 1, 3, 2, 4)
        return h + found.reshape(batch, channels, height, width)
