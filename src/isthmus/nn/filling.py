"""Networks for rows of mixed columns with gaps: several small ones side by side, which fill the gaps before they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from isthmus.errors import ConfigError
from isthmus.fields import Part, row_width
from isthmus.nn.base import Network, activation, check_widths, fill_uniform, norms, through
from isthmus.spec import register


class _Layer(nn.Module):
    """One dense layer of each member: maps (members, batch, a) to (members, batch, b)."""

    def __init__(self, members: int, a: int, b: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, a, b))
        self.bias = nn.Parameter(torch.zeros(members, 1, b))

    def forward(self, h: Tensor) -> Tensor:
        width = self.weight.shape[2]
        more = _padding(width)
        if more:
            return torch.baddbmm(pad(self.bias, (0, more)), h, pad(self.weight, (0, more)))[:, :, :width]
        return torch.baddbmm(self.bias, h, self.weight)

    def initialise(self, generator: torch.Generator) -> None:
        for parameter in (self.weight, self.bias):
            fill_uniform(parameter, 1 / math.sqrt(self.weight.shape[1]), generator)


def _layers(members: int, widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(_Layer(members, a, b) for a, b in pairwise(widths))


def _padding(width: int, unit: int = 16) -> int:
    """Return how many columns of zeros make products of matrices quicker: those that fill the processor's vectors, if they are few."""
    more = -width % unit
    return more if unit * more <= 2 * width else 0


def _shared(width: int, members: int) -> int:
    if members < 1 or width % members:
        raise ConfigError(f"a code of {width} cannot be shared by {members} members in equal parts")
    return width // members


@register("network.filling")
class FillingEncoder(Network):
    r"""Encoder that first fills the gaps of a row by a learned linear map, again and again, and then maps it to a code.

    With values v, 0 in gaps, and m = 1 where a value is present: :math:`v \leftarrow m\,v + (1-m)\,vA`, `rounds` times; :math:`A`
    leads from each column to the others only. Then dense layers take the filled values and the flags. Each member has weights of its
    own, and its own equal part of the code.

    Parameters
    ----------
    parts : sequence of Part
        What a row is made of.
    shape_out : sequence of int
        Shape of the code: one width, a multiple of `members`.
    hidden : sequence of int
        Widths of each member's hidden layers.
    activation : str
        See `isthmus.nn.activations`.
    members : int
    rounds : int

    Raises
    ------
    ConfigError
        If the activation is unknown, a width is not positive, or the code cannot be shared.

    Examples
    --------
    >>> parts = [Part("a", "number", 1, "a"), Part("b", "category", 3, "b")]
    >>> FillingEncoder(parts, (8,), hidden=(16,))(torch.zeros(5, 6)).shape
    torch.Size([5, 8])
    """

    def __init__(
        self,
        parts: Sequence[Part],
        shape_out: Sequence[int],
        hidden: Sequence[int] = (),
        activation: str = "silu",
        members: int = 4,
        rounds: int = 4,
    ) -> None:
        super().__init__()
        self.shape_in, self.shape_out = (row_width(parts),), tuple(shape_out)
        self.activation, self.members, self.rounds = _activation(activation), members, rounds
        self.width = self.shape_in[0] - len(parts)
        code = _shared(prod(self.shape_out), members)
        self.fill = nn.Parameter(torch.zeros(members, self.width, self.width))
        self.layers = _layers(members, (self.shape_in[0], *check_widths(hidden, "hidden"), code))
        columns = [part.column for part in parts]
        self._owners = [place for place, part in enumerate(parts) for _ in range(part.width)]
        self._apart = [[columns[a] != columns[b] for b in self._owners] for a in self._owners]
        self._placed: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, W + P) to (batch, code)."""
        values, flags = x[:, : self.width], x[:, self.width :]
        h = torch.cat([self._filled(values, flags), flags.expand(self.members, -1, -1)], 2)
        return through(self.layers, h, self.activation).transpose(0, 1).reshape(x.shape[0], *self.shape_out)

    def _filled(self, values: Tensor, flags: Tensor) -> Tensor:
        """Return the values with their gaps filled by each member, shape (members, batch, W)."""
        owners, apart = self._tensors(values)
        gaps, fill = 1 - flags.index_select(1, owners), self.fill * apart.to(values.dtype)
        more = _padding(self.width)
        if more:
            values, gaps, fill = pad(values, (0, more)), pad(gaps, (0, more)), pad(fill, (0, more, 0, more))
        h = values.expand(self.members, -1, -1)
        for _ in range(self.rounds):
            h = torch.addcmul(values, gaps, torch.matmul(h, fill))
        return h[:, :, : self.width]

    def _tensors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.device not in self._placed:
            with torch.inference_mode(False):
                self._placed[x.device] = torch.tensor(self._owners, device=x.device), torch.tensor(self._apart, device=x.device)
        return self._placed[x.device]

    def gain(self) -> Tensor:
        """Norm of the first layers' weights from each entry of a row, shape (W + P,)."""
        return norms(norms(cast("_Layer", self.layers[0]).weight, dim=2), dim=0)


@register("network.team")
class TeamDecoder(Network):
    """Decoder of several members, each of its own part of the code; what it gives is their mean.

    Parameters
    ----------
    shape_in : sequence of int
        Shape of the code: one width, a multiple of `members`.
    shape_out : sequence of int
    hidden : sequence of int
        Widths of each member's hidden layers.
    activation : str
        See `isthmus.nn.activations`.
    members : int

    Raises
    ------
    ConfigError
        If the activation is unknown, a width is not positive, or the code cannot be shared.

    Examples
    --------
    >>> decoder = TeamDecoder((8,), (3,), hidden=(16,))
    >>> decoder(torch.zeros(5, 8)).shape, decoder.each(torch.zeros(5, 8)).shape
    (torch.Size([5, 3]), torch.Size([4, 5, 3]))
    """

    def __init__(
        self,
        shape_in: Sequence[int],
        shape_out: Sequence[int],
        hidden: Sequence[int] = (),
        activation: str = "silu",
        members: int = 4,
    ) -> None:
        super().__init__()
        self.shape_in, self.shape_out = tuple(shape_in), tuple(shape_out)
        self.activation, self.members = _activation(activation), members
        code = _shared(prod(self.shape_in), members)
        self.layers = _layers(members, (code, *check_widths(hidden, "hidden"), prod(self.shape_out)))

    def each(self, z: Tensor) -> Tensor:
        """Map (batch, code) to what each member gives, shape (members, batch, \\*shape_out)."""
        h = z.reshape(z.shape[0], self.members, -1).transpose(0, 1)
        return through(self.layers, h, self.activation).reshape(self.members, z.shape[0], *self.shape_out)

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, code) to (batch, \\*shape_out)."""
        return self.each(z).mean(0)

    def gain(self) -> Tensor:
        """Norm of the first layers' weights from each code unit, shape (code,)."""
        return norms(cast("_Layer", self.layers[0]).weight, dim=2).flatten()


_activation = activation
