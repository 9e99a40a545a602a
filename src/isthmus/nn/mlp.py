"""Dense networks; without hidden layers, a linear map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

from torch import Tensor, nn

from isthmus.nn.base import Network, activation, check_widths, norms, through
from isthmus.spec import register


@register("network.mlp")
class MLP(Network):
    """Dense layers with an activation between them (none after the last).

    Parameters
    ----------
    shape_in, shape_out : sequence of int
        Shapes of one row.
    hidden : sequence of int
        Widths of the hidden layers; empty for a linear map.
    activation : str
        See `isthmus.nn.activations`.

    Raises
    ------
    ConfigError
        If the activation is unknown or a width is not positive.

    Examples
    --------
    >>> import torch
    >>> MLP((28, 28, 1), (16,), hidden=(64,))(torch.zeros(5, 28, 28, 1)).shape
    torch.Size([5, 16])
    """

    def __init__(self, shape_in: Sequence[int], shape_out: Sequence[int], hidden: Sequence[int] = (), activation: str = "silu") -> None:
        super().__init__()
        self.shape_in = tuple(shape_in)
        self.shape_out = tuple(shape_out)
        self.activation = _activation(activation)
        widths = (prod(self.shape_in), *check_widths(hidden, "hidden"), prod(self.shape_out))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    @property
    def linears(self) -> list[nn.Linear]:
        """The layers in order."""
        return cast("list[nn.Linear]", list(self.layers))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, \\*shape_in) to (batch, \\*shape_out)."""
        h = x.flatten(1) if x.ndim > 2 else x
        h = through(self.layers, h, self.activation)
        return h if len(self.shape_out) == 1 else h.view(-1, *self.shape_out)

    def gain(self) -> Tensor:
        """Norm of the first layer's columns, shape (inputs,)."""
        return norms(self.linears[0].weight, dim=0)


_activation = activation
