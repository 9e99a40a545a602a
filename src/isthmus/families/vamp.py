"""VAE with a VampPrior: the prior is a mixture of the posteriors of learned pseudo-rows.

Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.

Take it for a better density and better samples than the standard normal prior gives: the prior goes where the codes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.families import variational
from isthmus.families.assembly import Look
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Objective


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    components: int = 50,
    beta: float = 1.0,
    kl_warmup: int = 0,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\beta\\,\\mathrm{KL}(q(z|x) \\Vert p(z))` with :math:`p(z) = \\tfrac1K\\sum_k q(z|u_k)`."""
    return variational.build(fields, latent=latent, prior="vamp", components=components, beta=beta, kl_warmup=kl_warmup, **look)
