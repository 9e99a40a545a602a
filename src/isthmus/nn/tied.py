"""Decoders that use the encoder's weights backwards: output units connected back to the input units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.base import Network, activation, check_widths, norms
from isthmus.nn.conv import ConvEncoder, sizes
from isthmus.nn.mlp import MLP
from isthmus.nn.strided import quick, to_pixels, transposed, up
from isthmus.spec import register


class Tied(Network):
    """A decoder that must be bound to its encoder before use; `isthmus.models.Autoencoder` does so."""

    _encoder: tuple[Network, ...] = ()

    def bind(self, encoder: nn.Module) -> None:
        """Use the weights of `encoder`, which stays no part of this module.

        Raises
        ------
        ConfigError
            If the encoder is of another kind or size.
        """
        if not isinstance(encoder, Network) or not self.fits(encoder):
            raise ConfigError(f"{type(self).__name__} cannot take the weights of this {type(encoder).__name__}: their layers differ")
        self._encoder = (encoder,)

    def fits(self, encoder: Network) -> bool:
        """Say whether the encoder's layers, reversed, are this decoder's."""
        raise NotImplementedError

    @property
    def encoder(self) -> Network:
        """The bound encoder.

        Raises
        ------
        ConfigError
            If there is none yet.
        """
        if not self._encoder:
            raise ConfigError(f"{type(self).__name__} is not bound to an encoder yet: put both into isthmus.models.Autoencoder")
        return self._encoder[0]


@register("network.tied_mlp")
class TiedMLP(Tied):
    r"""Decoder of an `MLP` encoder: :math:`h_{k} = a(W_{k+1}^\top h_{k+1} + c_k)`, only the biases are its own.

    Where the encoder gives more than one parameter per latent, the weights of the first (the location) are used.

    Parameters
    ----------
    shape_in, shape_out : sequence of int
        Shapes of code and output; the output has one parameter per value.
    hidden : sequence of int
        Hidden widths of the encoder, in the encoder's order.
    activation : str

    Raises
    ------
    ConfigError
        If a width is not positive or the activation is unknown.

    Examples
    --------
    >>> encoder = MLP((6,), (2,), hidden=(4,))
    >>> decoder = TiedMLP((2,), (1, 6), hidden=(4,))
    >>> decoder.bind(encoder)
    >>> decoder(torch.zeros(3, 2)).shape
    torch.Size([3, 1, 6])
    """

    def __init__(self, shape_in: Sequence[int], shape_out: Sequence[int], hidden: Sequence[int] = (), activation: str = "silu") -> None:
        super().__init__()
        self.shape_in = tuple(shape_in)
        self.shape_out = tuple(shape_out)
        self.activation = _activation(activation)
        self.widths = (prod(self.shape_in), *check_widths(hidden, "hidden")[::-1], prod(self.shape_out))
        self.biases = nn.ParameterList(torch.zeros(n) for n in self.widths[1:])

    def fits(self, encoder: Network) -> bool:
        """Say whether the encoder's layers, reversed, are this decoder's."""
        if not isinstance(encoder, MLP):
            return False
        shapes = [tuple(layer.weight.shape) for layer in encoder.linears][::-1]
        wanted = list(pairwise(self.widths))
        return shapes[1:] == wanted[1:] and shapes[0][1] == wanted[0][1] and shapes[0][0] % wanted[0][0] == 0

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, \\*shape_in) to (batch, \\*shape_out)."""
        h = z.flatten(1)
        layers = self._mlp.linears[::-1]
        for depth, (layer, bias) in enumerate(zip(layers, self.biases)):
            h = functional.linear(h, layer.weight[: self.widths[depth]].t(), bias)
            h = self.activation(h) if depth < len(layers) - 1 else h
        return h.view(-1, *self.shape_out)

    def gain(self) -> Tensor:
        """Norm of the rows of the encoder's last layer, shape (latent,)."""
        return norms(self._mlp.linears[-1].weight[: self.widths[0]], dim=1)

    @property
    def _mlp(self) -> MLP:
        return cast("MLP", self.encoder)


@register("network.tied_conv")
class TiedConv(Tied):
    """Decoder of a `ConvEncoder`: each convolution transposed, only the biases are its own.

    Parameters
    ----------
    shape_in, shape_out : sequence of int
        Shapes of code and output (one parameter per value, height, width, channels).
    channels : sequence of int
        As in the encoder.
    activation : str

    Raises
    ------
    ConfigError
        If a number of channels is not positive or the activation is unknown.

    Examples
    --------
    >>> encoder = ConvEncoder((9, 8, 1), (2,), channels=(4, 6))
    >>> decoder = TiedConv((2,), (1, 9, 8, 1), channels=(4, 6))
    >>> decoder.bind(encoder)
    >>> decoder(torch.zeros(3, 2)).shape
    torch.Size([3, 1, 9, 8, 1])
    """

    def __init__(
        self, shape_in: Sequence[int], shape_out: Sequence[int], channels: Sequence[int] = (32, 64), activation: str = "silu"
    ) -> None:
        super().__init__()
        self.shape_in = tuple(shape_in)
        self.shape_out = tuple(shape_out)
        self.activation = _activation(activation)
        _, height, width, colours = self.shape_out
        stages = len(check_widths(channels, "channels"))
        self.steps = tuple(zip(sizes(height, stages), sizes(width, stages)))[::-1]
        self.channels = (colours, *channels)
        inner = self.channels[-1] * prod(self.steps[0])
        self.biases = nn.ParameterList(torch.zeros(n) for n in (inner, *self.channels[-2::-1]))

    def fits(self, encoder: Network) -> bool:
        """Say whether the encoder's layers, reversed, are this decoder's."""
        if not isinstance(encoder, ConvEncoder) or encoder.shape_in != self.shape_out[1:]:
            return False
        widths = (encoder.shape_in[2], *(conv.weight.shape[0] for conv in encoder.convolutions))
        return widths == self.channels and self.shape_out[0] == 1 and prod(encoder.shape_out) % prod(self.shape_in) == 0

    def forward(self, z: Tensor) -> Tensor:
        """Map (batch, \\*shape_in) to (batch, 1, H, W, C)."""
        encoder = self._conv
        inner, *others = self.biases
        fast = quick(z, *self.steps[-1])
        shape = (self.channels[-1], *self.steps[0])
        weight = encoder.dense.weight[: prod(self.shape_in)].t()
        h = to_pixels(z.flatten(1), weight, inner, shape) if fast else functional.linear(z.flatten(1), weight, inner).view(-1, *shape)
        double = up if fast else transposed
        for conv, bias, size in zip(encoder.convolutions[::-1], others, self.steps[1:]):
            h = double(self.activation(h), conv.weight, bias, size)
        return h.permute(0, 2, 3, 1).unsqueeze(1)

    def gain(self) -> Tensor:
        """Norm of the rows of the encoder's dense layer, shape (latent,)."""
        return norms(self._conv.dense.weight[: prod(self.shape_in)], dim=1)

    @property
    def _conv(self) -> ConvEncoder:
        return cast("ConvEncoder", self.encoder)


_activation = activation
