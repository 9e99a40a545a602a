"""Floor 1: distributions over codes."""

from isthmus.priors.standard_normal import Prior, StandardNormal

__all__ = ["Prior", "StandardNormal"]
