"""Denoising autoencoder: corrupted in, clean out.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.corruptions import AdditiveGaussian, Corruption, Masking, SaltAndPepper
from isthmus.errors import ConfigError
from isthmus.families import undercomplete
from isthmus.families.common import Architecture
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Objective, Reconstruction

CORRUPTIONS = {
    "gaussian": "add Gaussian noise; level = its standard deviation",
    "masking": "set values to zero; level = their share",
    "salt_and_pepper": "set values to the lowest or highest; level = their share",
}
LEVELS = {"gaussian": 0.3, "masking": 0.3, "salt_and_pepper": 0.2}


def make_corruption(field: Field, name: str, level: float | None) -> Corruption:
    """Build the corruption called `name` for `field`.

    Raises
    ------
    ConfigError
        If there is none of this name or the level is out of its range.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"unknown corruption {name!r}; choose one of {', '.join(CORRUPTIONS)}")
    strength = LEVELS[name] if level is None else level
    if name == "gaussian":
        return AdditiveGaussian(strength)
    if name == "masking":
        return Masking(strength)
    return SaltAndPepper(strength, *((-2.0, 2.0) if field.support == "real" else (0.0, 1.0)))


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    architecture: Architecture | None = None,
    likelihood: str | None = None,
    likelihood_scale: float | str | None = None,
    corruption: str = "gaussian",
    level: float | None = None,
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x | z)` with :math:`z = f(c(x))`, c a random corruption."""
    damage = make_corruption(single(fields), corruption, level)
    model, _ = undercomplete.build(
        fields, latent=latent, architecture=architecture, likelihood=likelihood, likelihood_scale=likelihood_scale
    )
    return model, Reconstruction(corruption=damage)
