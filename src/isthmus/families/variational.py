"""Variational autoencoder: a distribution over codes per input, a prior over all codes, a distribution over data per code.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.bottlenecks import Gaussian
from isthmus.families.common import Architecture, auto_latent, auto_likelihood, make_likelihood, networks
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import ELBO, Objective
from isthmus.priors import StandardNormal


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    architecture: Architecture | None = None,
    likelihood: str | None = None,
    likelihood_scale: float | str | None = None,
    beta: float = 1.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`E_{q(z|x)}[-\\log p(x|z)] + \\beta\\, \\mathrm{KL}(q(z|x) \\Vert p(z))`."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    bottleneck = Gaussian(width)
    name, scale = auto_likelihood(field, variational=True)
    decoded = make_likelihood(field, likelihood or name, scale if likelihood_scale is None else likelihood_scale)
    encoder, decoder = networks(field, 2 * width, width, decoded.parameters_per_value, architecture or Architecture())
    model = Autoencoder(encoder, bottleneck, decoder, decoded, StandardNormal(width))
    return model, ELBO(beta=beta, warmup=kl_warmup, free_bits=free_bits)
