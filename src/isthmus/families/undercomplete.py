"""Undercomplete autoencoder: a code narrower than the input.

Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import Deterministic
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Objective, Reconstruction


def build(fields: Sequence[Field], *, latent: int | None = None, **look: Unpack[Look]) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x | z)` with :math:`z = f(x)` narrower than x."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    return assemble(field, Deterministic(width), None, learned_scale=False, **look), Reconstruction()
