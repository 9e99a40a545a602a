"""Regularised autoencoder: codes are points, kept short, and the decoder is kept smooth.

Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.

Take it for sharp reconstructions and for new rows by a density that is fitted to the codes afterwards; it has no prior of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import Deterministic
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Objective, Reconstruction, Regularised


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    weight: float = 0.01,
    smoothness: float = 1e-4,
    penalty: str = "l2",
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|z) + \\tfrac\\beta2\\lVert z\\rVert^2 + \\lambda R(\\theta)`, R the decoder's penalty."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    model = assemble(field, Deterministic(width), None, learned_scale=False, **look)
    return model, Reconstruction() + Regularised(weight, smoothness, penalty)
