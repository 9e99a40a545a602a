"""Denoising autoencoder: corrupted in, clean out.

Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from isthmus.corruptions import AdditiveGaussian, Corruption, HideColumns, Masking, SaltAndPepper
from isthmus.errors import ConfigError
from isthmus.families import undercomplete
from isthmus.families.assembly import Look
from isthmus.families.common import MEMBERS, Architecture, auto_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Filling, Objective, Reconstruction

CORRUPTIONS = {
    "gaussian": "add Gaussian noise; level = its standard deviation",
    "masking": "set values to zero; level = their share",
    "salt_and_pepper": "set values to the lowest or highest; level = their share",
    "hide": "hide mixed columns as if they were missing; level = the mean share of a row's columns, which varies from row to row",
}
LEVELS = {"gaussian": 0.3, "masking": 0.3, "salt_and_pepper": 0.2, "hide": 0.3}
BLUR = 0.3  # noise on mixed columns that are not hidden
VISIBLE = 0.1  # weight of mixed columns that are not hidden


def auto_code(field: Field, network: str | None = None) -> int:
    """Choose the width of the code: of mixed columns 32 for each of the four nets, which the gaps and not the code keep from copying."""
    return 32 * MEMBERS if field.kind == "columns" and network in (None, "filling") else auto_latent(field)


def auto_corruption(field: Field) -> str:
    """Choose a corruption: hide mixed columns, add noise to all else."""
    return "hide" if field.kind == "columns" else "gaussian"


def make_corruption(field: Field, name: str, level: float | None) -> Corruption:
    """Build the corruption called `name` for `field`.

    Raises
    ------
    ConfigError
        If there is none of this name or the level is out of its range.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"unknown corruption {name!r}; choose one of {', '.join(CORRUPTIONS)}")
    if (name == "hide") != (field.kind == "columns"):
        mend = "corruption='hide'" if field.kind == "columns" else "corruption='masking'"
        raise ConfigError(f"the corruption {name!r} does not suit {field.name!r}, which is made of {field.kind}; use {mend}")
    strength = LEVELS[name] if level is None else level
    if name == "hide":
        return HideColumns(field.parts, strength, BLUR)
    if name == "gaussian":
        return AdditiveGaussian(strength)
    if name == "masking":
        return Masking(strength)
    return SaltAndPepper(strength, *((-2.0, 2.0) if field.support == "real" else (0.0, 1.0)))


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    corruption: str | None = None,
    level: float | None = None,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x | z)` with :math:`z = f(c(x))`, c a random corruption."""
    field, chosen = single(fields), look.get("architecture") or Architecture()
    damage = make_corruption(field, corruption or auto_corruption(field), level)
    if field.kind == "columns" and chosen.network is None:
        chosen = replace(chosen, network="filling")
    look["architecture"] = chosen
    model, _ = undercomplete.build(fields, latent=auto_code(field, chosen.network) if latent is None else latent, **look)
    return model, Filling(VISIBLE, damage) if field.kind == "columns" else Reconstruction(corruption=damage)
