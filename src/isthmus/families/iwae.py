"""Importance weighted autoencoder: a tighter bound from several draws of the code.

Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, with the gradient of Tucker et al., ICLR 2019; another
alpha: Li and Turner, "Renyi divergence variational inference", NeurIPS 2016.

Take it for the best density at a given network; each step costs about `draws` passes through the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.families import variational
from isthmus.families.assembly import Look
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import IWAE, Objective, Renyi


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    draws: int = 5,
    alpha: float = 0.0,
    one_draw: float = 0.0,
    posterior: str = "gaussian",
    prior: str = "normal",
    components: int = 50,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log\\tfrac1k\\sum_{i=1}^k p(x, z_i)/q(z_i|x)`; with alpha, Renyi's bound instead."""
    model, _ = variational.build(fields, latent=latent, posterior=posterior, prior=prior, components=components, **look)
    return model, IWAE(draws, one_draw=one_draw) if alpha == 0 else Renyi(draws, alpha, one_draw)
