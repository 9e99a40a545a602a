"""Any prior, of codes that are followed by a condition."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.distributions import Distribution, Noise
from isthmus.distributions.labelled import Labelled, bare
from isthmus.distributions.posterior import Domain
from isthmus.priors.base import Encode, Prior
from isthmus.spec import register


@register("prior.labelled")
class LabelledPrior(Prior):
    """A prior over codes whatever their condition; draws have the conditions of training rows.

    Parameters
    ----------
    inner : Prior
        Over the code alone.
    width : int
        Width of the condition.
    kept : int
        Conditions of training rows that are kept to draw from.

    Examples
    --------
    >>> from isthmus.priors import StandardNormal
    >>> LabelledPrior(StandardNormal(2), width=3, kept=4).latent
    5
    """

    domain: ClassVar[Domain] = "conditioned"
    conditions: Tensor

    def __init__(self, inner: Prior, width: int, kept: int) -> None:
        super().__init__()
        self.inner, self.width = inner, int(width)
        self.latent = inner.latent + self.width
        self.register_buffer("conditions", torch.zeros(kept, width))

    @property
    def bare(self) -> Prior:
        """The prior inside."""
        return self.inner

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density of the code, shape (batch,)."""
        return self.inner.log_prob(z[:, : -self.width])

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL of the code, shape (batch, groups); errors as for the prior inside."""
        return self.inner.divergence(*bare(q, z))

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, each with the condition of a training row, shape (rows, latent)."""
        place = (noise.uniform(torch.empty(rows)) * len(self.conditions)).long()
        return self.given(self.conditions[place], noise)

    def given(self, conditions: Tensor, noise: Noise) -> Tensor:
        """Draw codes for given conditions of shape (rows, width), shape (rows, latent)."""
        return torch.cat([self.inner.sample(len(conditions), noise), conditions], dim=1)

    def bind(self, encode: Encode, bottleneck: nn.Module) -> None:
        """Hand on the encoder, whose rows are followed by a condition too, and the bottleneck inside."""
        self.inner.bind(lambda rows: _first(encode(rows)), getattr(bottleneck, "bare", bottleneck))

    def begin(self, rows: Tensor) -> None:
        """Hand on training rows with their conditions."""
        self.inner.begin(rows)


def _first(q: Distribution) -> Distribution:
    return q.inner if isinstance(q, Labelled) else q
