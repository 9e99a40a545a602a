"""Hyperspherical VAE: codes on the unit sphere, with a uniform prior.

Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.

Take it for directions rather than places: cosine similarity, clusters without a centre that attracts all. Best up to some 40 dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.families import variational
from isthmus.families.assembly import Look
from isthmus.families.common import auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Objective


def at_least_two(field: Field) -> int:
    """Choose the width of a code that needs two units: a quarter of the input's, within 2 and 32."""
    return max(2, auto_latent(field))


def build(
    fields: Sequence[Field], *, latent: int | None = None, beta: float = 1.0, kl_warmup: int = 0, **look: Unpack[Look]
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\beta\\,\\mathrm{KL}(\\mathrm{vMF}(\\mu, \\kappa) \\Vert \\mathrm{uniform})`."""
    width = at_least_two(single(fields)) if latent is None else latent
    return variational.build(fields, latent=width, posterior="sphere", beta=beta, kl_warmup=kl_warmup, **look)
