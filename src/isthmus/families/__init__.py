"""Floor 4: recipes. A family turns fields and options into a model and its objective."""

from isthmus.families.common import (
    LIKELIHOODS,
    Architecture,
    auto_channels,
    auto_hidden,
    auto_latent,
    auto_likelihood,
    auto_network,
    make_likelihood,
    networks,
)
from isthmus.families.table import FAMILIES, Family, Recipe, get

__all__ = [
    "FAMILIES",
    "LIKELIHOODS",
    "Architecture",
    "Family",
    "Recipe",
    "auto_channels",
    "auto_hidden",
    "auto_latent",
    "auto_likelihood",
    "auto_network",
    "get",
    "make_likelihood",
    "networks",
]
