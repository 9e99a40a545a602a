"""One encoder for several kinds of pictures, and a decoder for each: what a code shows is decided by who decodes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.base import activation, check_widths, through
from isthmus.nn.conv import check_picture, sizes
from isthmus.nn.subpixel import SubpixelEncoder
from isthmus.spec import register

EVEN = 1e-5  # added to a variance
MOST = 1000


class DomainNorm(nn.Module):
    r"""Standardise codes by the mean and the variance of their own domain: :math:`(z - \mu_d) / \sqrt{\sigma_d^2 + 10^{-5}}`.

    While training, those of the batch; else those that `calibrate` was given.

    Parameters
    ----------
    domains, code : int

    References
    ----------
    Li et al., "Revisiting batch normalization for practical domain adaptation", ICLR workshop 2017.
    """

    def __init__(self, domains: int, code: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(domains, code))
        self.register_buffer("variance", torch.ones(domains, code))

    def forward(self, z: Tensor, domain: int) -> Tensor:
        """Map codes (batch, code) of one domain to standardised ones."""
        if self.training:
            return functional.batch_norm(z, None, None, training=True, eps=EVEN)
        return (z - self.mean[domain]) / (self.variance[domain] + EVEN).sqrt()

    @torch.no_grad()
    def calibrate(self, z: Tensor, domain: int) -> None:
        """Keep mean and variance of the codes (n, code) of a domain."""
        self.mean[domain] = z.mean(0)
        self.variance[domain] = z.var(0, unbiased=False)


class _Branch(nn.Module):
    """The convolutions of one domain: sub-pixel ones, each doubling the picture."""

    def __init__(self, widths: Sequence[int], sides: Sequence[tuple[int, int]], act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.sides, self.activation = tuple(sides), act
        self.convs = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in pairwise(widths))

    def forward(self, h: Tensor) -> Tensor:
        for conv, (height, width) in zip(self.convs, self.sides):
            h = functional.pixel_shuffle(conv(self.activation(h)), 2)[:, :, :height, :width]
        return h


@register("network.shared_coder")
class SharedCoder(nn.Module):
    """One encoder for the pictures of all domains, and for each domain a decoder.

    The encoder's code is standardised within each domain, so that by mean and variance it says nothing of the domain. The decoders
    share their dense layers, and have convolutions of their own.

    Parameters
    ----------
    shape : sequence of int
        Height, width, channels of a picture.
    domains : int
        At least 2.
    channels : sequence of int
        Channels after each halving.
    hidden : int
        Width of the dense layers before and after the code.
    code : int
        Width of the code.
    activation : str

    Raises
    ------
    ConfigError
        If a number is out of its range, or pictures are so small that they cannot be halved as often.

    References
    ----------
    Perov et al., "DeepFaceLab: integrated, flexible and extensible face-swapping framework", 2020, for the shared encoder with decoders
    of their own; sub-pixel convolutions as in `SubpixelDecoder`.

    Examples
    --------
    >>> net = SharedCoder((16, 12, 1), domains=2, channels=(4, 8), hidden=16, code=5).eval()
    >>> net.decode(net.encode(torch.zeros(3, 16, 12, 1), 0), 1).shape
    torch.Size([3, 16, 12, 1])
    """

    def __init__(
        self,
        shape: Sequence[int],
        domains: int = 2,
        channels: Sequence[int] = (24, 48, 96),
        hidden: int = 256,
        code: int = 64,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        height, width, colours = self.shape = check_picture(shape, "the shape of a picture")
        widths = check_widths(channels, "channels")
        check_widths((domains, hidden, code), "domains, hidden and code")
        if not 2 <= domains <= MOST:
            raise ConfigError(f"pictures are swapped between 2 to {MOST} domains, not {domains}")
        if not widths or min(height, width) < 2 ** len(widths):
            raise ConfigError(f"pictures of {height} x {width} cannot be halved {len(widths)} times: use fewer channels or larger pictures")
        self.domains, self.code = domains, code
        self.activation = _activation(activation)
        sides = list(zip(sizes(height, len(widths)), sizes(width, len(widths))))
        self.inner = (widths[-1], *sides[-1])
        self.encoder = SubpixelEncoder(self.shape, (code,), widths, (hidden,), 0, activation)
        self.norm = DomainNorm(domains, code)
        self.dense = nn.ModuleList([nn.Linear(code, hidden), nn.Linear(hidden, prod(self.inner))])
        outwards = (*widths[::-1], colours)
        self.branches = nn.ModuleList(_Branch(outwards, sides[-2::-1], self.activation) for _ in range(domains))

    def encode(self, x: Tensor, domain: int) -> Tensor:
        """Map pictures of a domain (batch, H, W, C) to codes (batch, code)."""
        return self.norm(cast("Tensor", self.encoder(x)).float(), domain)

    def decode(self, z: Tensor, domain: int) -> Tensor:
        """Map codes (batch, code) to pictures of a domain (batch, H, W, C)."""
        h = through(self.dense, z, self.activation).view(-1, *self.inner).contiguous(memory_format=torch.channels_last)
        return cast("Any", self.branches[domain])(h).permute(0, 2, 3, 1)

    @torch.no_grad()
    def calibrate(self, x: Tensor, domain: int, together: int = 256) -> None:
        """Learn mean and variance of a domain's codes from its pictures (n, H, W, C)."""
        self.norm.calibrate(torch.cat([self.encoder(part).float() for part in torch.split(x, together)]), domain)


_activation = activation
