"""Networks that also see a condition: what is known of a row, such as its class."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from isthmus.nn.base import Network
from isthmus.spec import register


@register("network.labelled_encoder")
class LabelledEncoder(Network):
    """Encoder of rows followed by their condition, which it also hands on.

    Parameters
    ----------
    inner : Network
        Takes the row and the condition side by side, or, of pictures, the condition as further channels.
    shape : sequence of int
        Shape of a row without its condition.
    width : int
        Width of the condition.

    Examples
    --------
    >>> from isthmus.nn import MLP
    >>> LabelledEncoder(MLP((5,), (2,)), (3,), 2)(torch.zeros(4, 5)).shape
    torch.Size([4, 4])
    """

    def __init__(self, inner: Network, shape: Sequence[int], width: int) -> None:
        super().__init__()
        self.inner, self.data_shape, self.width = inner, tuple(shape), int(width)
        self.shape_in = (prod(self.data_shape) + self.width,)
        self.shape_out = (prod(inner.shape_out) + self.width,)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, prod(shape) + width) to (batch, code + width)."""
        label = x[:, -self.width :]
        if len(self.inner.shape_in) == 1:
            h = self.inner(x)
        else:
            picture = x[:, : -self.width].reshape(x.shape[0], *self.data_shape)
            planes = label[:, None, None].expand(-1, *self.data_shape[:2], -1)
            h = self.inner(torch.cat([picture, planes], dim=3))
        return torch.cat([h, label.to(h.dtype)], dim=1)

    def gain(self) -> Tensor:
        """Norm of the weights that leave each input unit."""
        return self.inner.gain()


@register("network.labelled_decoder")
class LabelledDecoder(Network):
    """Decoder of codes followed by a condition, which it also hands on.

    Parameters
    ----------
    inner : Network
        Takes code and condition side by side.
    width : int
        Width of the condition.

    Examples
    --------
    >>> from isthmus.nn import MLP
    >>> LabelledDecoder(MLP((4,), (1, 3)), 2)(torch.zeros(5, 4)).shape
    torch.Size([5, 5])
    """

    def __init__(self, inner: Network, width: int) -> None:
        super().__init__()
        self.inner, self.width = inner, int(width)
        self.shape_in = inner.shape_in
        self.shape_out = (prod(inner.shape_out) + self.width,)

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, latent + width) to (batch, numbers + width)."""
        h = self.inner(z).flatten(1)
        return torch.cat([h, z[:, -self.width :].to(h.dtype)], dim=1)

    def gain(self) -> Tensor:
        """Norm of the weights that leave each code unit, the condition's included."""
        return self.inner.gain()
