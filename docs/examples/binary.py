"""A new bottleneck and a new family in one file: a code of bits.

Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons", 2013: the bit is used on the
way forward, the gradient of its probability on the way back.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from isthmus.bottlenecks import Bottleneck
from isthmus.distributions import Delta
from isthmus.families import Architecture, Recipe, auto_latent, auto_likelihood, make_likelihood, networks
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Reconstruction
from isthmus.spec import register


@register("bottleneck.binary")
class Binary(Bottleneck):
    """Code of bits: 1 where the encoder's output is positive, else 0.

    Parameters
    ----------
    latent : int
        Number of bits.

    Examples
    --------
    >>> import torch
    >>> Binary(2)(torch.tensor([[-1.0, 3.0]])).mean
    tensor([[0., 1.]])
    """

    def forward(self, h: Tensor) -> Delta:
        """Return the bits; gradients pass as if they were the sigmoid of `h`."""
        soft = h.sigmoid()
        hard = (h > 0).to(h.dtype)
        return Delta(hard + (soft - soft.detach()))


def build(fields: Sequence[Field], *, latent: int | None = None, architecture: Architecture | None = None) -> Recipe:
    """Minimise -log p(x | z), z made of bits."""
    field = single(fields)
    bits = auto_latent(field) if latent is None else latent
    likelihood = make_likelihood(field, *auto_likelihood(field, variational=False))
    encoder, decoder = networks(field, bits, bits, likelihood.shape_in, architecture or Architecture())
    return Autoencoder(encoder, Binary(bits), decoder, likelihood), Reconstruction()
