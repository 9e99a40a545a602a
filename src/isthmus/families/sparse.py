"""Sparse autoencoder: few units active per input, also when the code is wider than the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from isthmus.bottlenecks import L1, Bottleneck, KLActivity, TopK
from isthmus.errors import ConfigError
from isthmus.families.assembly import Look, assemble
from isthmus.families.common import Architecture
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import AuxK, Objective, Reconstruction

SPARSITIES = {
    "topk": "keep the k largest units, k = activity * latent",
    "l1": "charge the sum of the units' activity, weighted by the decoder",
    "kl": "hold each unit's mean activity at a target (sigmoid units)",
}
WEIGHTS = {"l1": 0.03, "kl": 0.01}


def wide_latent(field: Field) -> int:
    """Choose the width of a wide code: four times the input's, within 64 and 1024."""
    return max(64, min(1024, 4 * field.values))


def units(latent: int, activity: float) -> int:
    """Return how many units `activity`, a share, lets be active."""
    return max(1, int(activity * latent))


def build(
    fields: Sequence[Field],
    *,
    latent: int | None = None,
    sparsity: str = "topk",
    activity: float = 0.05,
    weight: float | None = None,
    **look: Unpack[Look],
) -> tuple[Autoencoder, Objective]:
    """Minimise :math:`-\\log p(x | z)` and, by `sparsity`, keep k units, charge their sum, or hold their mean activity.

    Raises
    ------
    ConfigError
        If the sparsity is unknown or the activity is no share.
    """
    field = single(fields)
    if sparsity not in SPARSITIES:
        raise ConfigError(f"unknown sparsity {sparsity!r}; choose one of {', '.join(SPARSITIES)}")
    if not 0 < activity < 1:
        raise ConfigError(f"activity must lie strictly between 0 and 1, not {activity}")
    width = wide_latent(field) if latent is None else latent
    charge = WEIGHTS.get(sparsity, 1.0) * field.values / 10 if weight is None else weight
    bottleneck: Bottleneck = {
        "topk": lambda: TopK(width, units(width, activity)),
        "l1": lambda: L1(width),
        "kl": lambda: KLActivity(width, activity),
    }[sparsity]()
    look["architecture"] = look.get("architecture") or Architecture(network="linear")
    objective: Objective = Reconstruction({"l1": charge, "activity": charge})
    if sparsity == "topk":
        objective = objective + AuxK(width, k=min(width, 2 * units(width, activity)))
    return assemble(field, bottleneck, None, learned_scale=False, **look), objective
