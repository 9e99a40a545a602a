"""Finite scalar quantisation: each code unit is rounded to a few levels, with a learned prior over them.

Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024.

Take it where vqvae would do: there is no codebook to collapse, and nothing to tune but the levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import FiniteScalar
from isthmus.errors import ConfigError
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import ELBO, Objective
from isthmus.priors import AutoregressiveCodes


def build(
    fields: Sequence[Field], *, latent: int | None = None, levels: Sequence[int] = (8,), **look: Unpack[Look]
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) - \\log p(z)` with z rounded to `levels` values a unit: one number for all units, or one for each.

    Raises
    ------
    ConfigError
        If there is no unit, or another number of levels than of units.
    """
    field = single(fields)
    width = (len(levels) if len(levels) > 1 else auto_latent(field)) if latent is None else latent
    if width < 1:
        raise ConfigError(f"latent must be at least 1, not {width}")
    if len(levels) not in (1, width):
        raise ConfigError(f"levels must be one number, or one for each of the {width} code units, not {len(levels)} ({list(levels)[:20]})")
    bottleneck = FiniteScalar(list(levels) * (width // len(levels)))
    return assemble(field, bottleneck, AutoregressiveCodes(width, bottleneck.cardinalities), **look), ELBO()
