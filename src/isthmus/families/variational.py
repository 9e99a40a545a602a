"""Variational autoencoder: a distribution over codes per input, a prior over all codes, a distribution over data per code.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

Take it for new rows, a code without holes, and a score that charges for the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.families.latents import make_posterior, make_prior
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import ELBO, Adversarial, Objective


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    beta: float = 1.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    cycles: int = 0,
    posterior: str = "gaussian",
    prior: str = "normal",
    components: int = 50,
    adversarial: float = 0.0,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`E_{q(z|x)}[-\\log p(x|z)] + \\beta\\, \\mathrm{KL}(q(z|x) \\Vert p(z))`."""
    field = single(fields)
    bottleneck = make_posterior(posterior, auto_latent(field) if latent is None else latent)
    model = assemble(field, bottleneck, make_prior(prior, field, bottleneck, posterior, components), **look)
    objective: Objective = ELBO(beta=beta, warmup=kl_warmup, free_bits=free_bits, cycles=cycles)
    return model, objective + Adversarial(field.shape, weight=adversarial) if adversarial else objective
