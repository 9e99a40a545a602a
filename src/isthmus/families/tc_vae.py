"""Total-correlation VAE: only the dependence between the code's units is charged more, not what the code says of the row.

Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018.

Take it instead of beta_vae where reconstructions must stay sharper at the same independence of the units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.errors import ConfigError
from isthmus.families import variational
from isthmus.families.assembly import Look
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Objective, TotalCorrelation


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    beta: float = 6.0,
    kl_warmup: int = 0,
    free_bits: float = 0.0,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\mathrm{KL} + (\\beta - 1)\\,\\mathrm{TC}`, TC :math:`= \\log q(z) - \\sum_j\\log q(z_j)`.

    Raises
    ------
    ConfigError
        If `beta` is below 1.
    """
    if not beta >= 1:
        raise ConfigError(f"beta must be at least 1 for tc_vae, where it charges the total correlation, not {beta}")
    model, objective = variational.build(fields, latent=latent, kl_warmup=kl_warmup, free_bits=free_bits, **look)
    return model, objective + TotalCorrelation(beta - 1)
