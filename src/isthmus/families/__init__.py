"""Floor 4: recipes. A family turns fields and options into a model and its objective."""

from isthmus.families.common import (
    COUNTS,
    LIKELIHOODS,
    Architecture,
    as_coins,
    auto_channels,
    auto_hidden,
    auto_latent,
    auto_likelihood,
    auto_network,
    make_likelihood,
    networks,
)
from isthmus.families.conditioned import conditioned
from isthmus.families.table import FAMILIES, Family, Recipe, get

__all__ = [
    "COUNTS",
    "FAMILIES",
    "LIKELIHOODS",
    "Architecture",
    "Family",
    "Recipe",
    "as_coins",
    "auto_channels",
    "auto_hidden",
    "auto_latent",
    "auto_likelihood",
    "auto_network",
    "conditioned",
    "get",
    "make_likelihood",
    "networks",
]
