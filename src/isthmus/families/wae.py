"""Wasserstein autoencoder: codes are points, and all of them together are held to the prior.

Tolstikhin et al., "Wasserstein auto-encoders", ICLR 2018.

Take it for sharp reconstructions and new rows from one model; it gives no bound on log p(x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import Deterministic
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import MMD, Objective, Reconstruction
from isthmus.priors import StandardNormal


def build(
    fields: Sequence[Field], *, latent: int | None = None, weight: float = 10.0, **look: Unpack[Look]
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\lambda\\,\\mathrm{MMD}^2(q(z), p(z))` with :math:`z = f(x)`."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    model = assemble(field, Deterministic(width), StandardNormal(width), learned_scale=False, **look)
    return model, Reconstruction() + MMD(weight)
