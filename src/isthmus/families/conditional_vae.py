"""Conditional VAE: encoder and decoder know the class of a row, or other columns beside it.

Sohn, Lee and Yan, "Learning structured output representation using deep conditional generative models", NeurIPS 2015; Kingma et al.,
"Semi-supervised learning with deep generative models", NeurIPS 2014 (the model M2 with all labels known).

Take it for new rows of a wanted class, for p(x | class), and for a code that is free of what the condition says.
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
    beta: float = 1.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    posterior: str = "gaussian",
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`E_{q(z|x,y)}[-\\log p(x|z,y)] + \\beta\\,\\mathrm{KL}(q(z|x,y)\\Vert p(z))`; `conditioned` brings in y."""
    return variational.build(fields, latent=latent, beta=beta, kl_warmup=kl_warmup, free_bits=free_bits, posterior=posterior, **look)
