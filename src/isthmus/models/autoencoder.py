"""One encoder, one decoder."""

from __future__ import annotations

from math import prod
from types import NoneType

import torch
from torch import Tensor, nn

from isthmus.bottlenecks import Bottleneck
from isthmus.distributions import Distribution
from isthmus.errors import ConfigError
from isthmus.likelihoods import Likelihood
from isthmus.nn import Network
from isthmus.nn.labelled import LabelledEncoder
from isthmus.nn.tied import Tied
from isthmus.priors import Prior
from isthmus.spec import register


@register("model.autoencoder")
class Autoencoder(nn.Module):
    """Encoder, bottleneck, decoder, likelihood, and a prior where there is one.

    ::

        x --encoder--> h --bottleneck--> q(z | x) --draw--> z --decoder--> h' --likelihood--> p(x | z)

    Parameters
    ----------
    encoder : Network
        Maps rows of data to ``bottleneck.inputs`` numbers.
    bottleneck : Bottleneck
    decoder : Network
        Maps codes to ``likelihood.shape_in``. A tied one is bound to `encoder` here.
    likelihood : Likelihood
    prior : Prior, optional
        Needed by variational objectives and for sampling.

    Raises
    ------
    ConfigError
        If the parts' shapes do not meet.

    Examples
    --------
    >>> import torch
    >>> from isthmus.bottlenecks import Deterministic
    >>> from isthmus.likelihoods import Gaussian
    >>> from isthmus.nn import MLP
    >>> model = Autoencoder(MLP((5,), (2,)), Deterministic(2), MLP((2,), (1, 5)), Gaussian((5,)))
    >>> model.reconstruct(torch.zeros(3, 5)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self, encoder: Network, bottleneck: Bottleneck, decoder: Network, likelihood: Likelihood, prior: Prior | None = None
    ) -> None:
        super().__init__()
        _belong((encoder, Network), (bottleneck, Bottleneck), (decoder, Network), (likelihood, Likelihood), (prior, (Prior, NoneType)))
        _meet("encoder's output", prod(encoder.shape_out), "bottleneck's input", bottleneck.inputs)
        _meet("code", bottleneck.latent, "decoder's input", prod(decoder.shape_in))
        _meet("decoder's output", decoder.shape_out, "likelihood's input", likelihood.shape_in)
        if prior is not None:
            _meet("code", bottleneck.latent, "prior", prior.latent)
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        if isinstance(decoder, Tied):
            decoder.bind(encoder)
        if prior is not None:
            prior.bind(self.encode, bottleneck)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of data."""
        return self.encoder.shape_in

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one row of data without the condition that may follow it."""
        return self.encoder.data_shape if isinstance(self.encoder, LabelledEncoder) else self.shape

    @property
    def condition(self) -> int:
        """Width of the condition that follows each row; 0 for none."""
        return self.encoder.width if isinstance(self.encoder, LabelledEncoder) else 0

    @property
    def latent(self) -> int:
        """Width of the code."""
        return self.bottleneck.latent

    def activate(self, x: Tensor) -> Tensor:
        """Return the encoder's output for rows `x`, shape (batch, multiplier * latent)."""
        return _at_least_float(self.encoder(x))

    def encode(self, x: Tensor) -> Distribution:
        """Return the distribution over codes of rows `x`, shape (batch, \\*shape)."""
        return self.bottleneck(self.activate(x))

    def decode(self, z: Tensor) -> Distribution:
        """Return the distribution over data of codes `z`, shape (batch, latent)."""
        return self.likelihood(_at_least_float(self.decoder(z)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the mean of the data given the mean of the code, shape (batch, \\*shape)."""
        return self.decode(self.encode(x).mean).mean

    def forward(self, x: Tensor) -> Tensor:
        """Same as `reconstruct`."""
        return self.reconstruct(x)


def _at_least_float(h: Tensor) -> Tensor:
    """Densities are computed in float32 at least, whatever precision the networks ran in."""
    return h.float() if h.dtype in (torch.bfloat16, torch.float16) else h


def _belong(*parts: tuple[object, type | tuple[type, ...]]) -> None:
    for place, (part, kind) in zip(("encoder", "bottleneck", "decoder", "likelihood", "prior"), parts):
        if not isinstance(part, kind):
            raise ConfigError(f"the {place} is a {type(part).__name__}, which cannot stand there")


def _meet(left: str, a: object, right: str, b: object) -> None:
    if a != b:
        raise ConfigError(f"the {left} is {a} but the {right} is {b}: they must be the same")
