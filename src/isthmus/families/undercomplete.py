"""Undercomplete autoencoder: a code narrower than the input.

Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 2006.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.bottlenecks import Deterministic
from isthmus.families.common import Architecture, auto_latent, auto_likelihood, make_likelihood, networks
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Objective, Reconstruction


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    architecture: Architecture | None = None,
    likelihood: str | None = None,
    likelihood_scale: float | str | None = None,
    missingness: bool = False,
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x | z)` with :math:`z = f(x)` narrower than x."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    bottleneck = Deterministic(width)
    name, scale = auto_likelihood(field, variational=False)
    decoded = make_likelihood(field, likelihood or name, scale if likelihood_scale is None else likelihood_scale, missingness)
    encoder, decoder = networks(field, width, width, decoded.shape_in, architecture or Architecture())
    return Autoencoder(encoder, bottleneck, decoder, decoded), Reconstruction()
