"""Linear autoencoder: its best solution spans the space of the leading principal components.

Baldi and Hornik, "Neural networks and principal component analysis: learning from examples without local minima", 1989.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.families import undercomplete
from isthmus.families.common import Architecture
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Objective


def build(fields: Sequence[Field], *, latent: int | None = None, tied: bool = False) -> tuple[Autoencoder, Objective]:
    """Minimise the squared error of :math:`\\hat x = W_2 (W_1 x + b_1) + b_2`."""
    architecture = Architecture(network="linear", tied=tied)
    return undercomplete.build(fields, latent=latent, architecture=architecture, likelihood="gaussian", likelihood_scale=1.0)
