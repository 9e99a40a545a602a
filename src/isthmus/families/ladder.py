"""Ladder VAE: two stochastic levels, the lower one drawn given the upper one.

Sonderby et al., "Ladder variational autoencoders", NeurIPS 2016.

Take it for a better density than one level gives, and for a coarse code (the last `top` units) beside a fine one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import Ladder
from isthmus.families.assembly import Look, assemble
from isthmus.families.hyperspherical import at_least_two
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import ELBO, Objective
from isthmus.priors import TwoLevelPrior


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    top: int | None = None,
    beta: float = 1.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z_1,z_2) + \\beta[\\mathrm{KL}(q(z_2|x)\\Vert p(z_2)) + \\mathrm{KL}(q(z_1|x,z_2)\\Vert p(z_1|z_2))]`."""
    field = single(fields)
    width = at_least_two(field) if latent is None else latent
    bottleneck = Ladder(width, max(1, width // 4) if top is None else top)
    return assemble(field, bottleneck, TwoLevelPrior(width), **look), ELBO(beta=beta, warmup=kl_warmup, free_bits=free_bits)
