"""Beta-VAE: a variational autoencoder whose code is charged more, or held to a capacity.

Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", ICLR 2017; with a capacity:
Burgess et al., "Understanding disentangling in beta-VAE", 2018.

Take it for a code whose units each follow one thing that varies, at the price of coarser reconstructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.families import variational
from isthmus.families.assembly import Look
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Capacity, Objective


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    beta: float = 2.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    capacity: float | None = None,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\beta\\,\\mathrm{KL}`; with a capacity C, :math:`-\\log p(x|z) + \\beta\\,|\\mathrm{KL} - C|`."""
    model, objective = variational.build(fields, latent=latent, beta=beta, kl_warmup=kl_warmup, free_bits=free_bits, **look)
    return model, objective if capacity is None else Capacity(capacity, weight=beta, rise=kl_warmup)
