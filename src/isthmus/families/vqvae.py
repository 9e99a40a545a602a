"""Vector-quantised autoencoder: the code is a few words out of learned codebooks, with a learned prior over words.

van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017.

Take it for codes of few bits, for compression, or for words to count and to model; its score is an exact cost in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import VectorQuantised
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import auto_latent
from isthmus.families.latents import group_size
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import ELBO, Commitment, Objective
from isthmus.priors import AutoregressiveCodes

WORD = 4


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    codebook: int = 64,
    code_width: int | None = None,
    commitment: float = 0.25,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x|e_k) - \\log p(k) + \\gamma\\lVert h - \\mathrm{sg}(e_k)\\rVert^2`, :math:`e_k` the nearest word."""
    field = single(fields)
    width = auto_latent(field) if latent is None else latent
    divisor = group_size(width, WORD)
    word = (divisor if width % divisor == 0 else 1) if code_width is None else code_width
    bottleneck = VectorQuantised(width, codebook, word)
    model = assemble(field, bottleneck, AutoregressiveCodes(width, bottleneck.cardinalities), **look)
    return model, ELBO() + Commitment(commitment)
