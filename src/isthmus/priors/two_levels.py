"""The prior of a code of two levels."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from isthmus.distributions import Distribution, Noise, Normal
from isthmus.distributions.ladder import TwoLevels
from isthmus.errors import ConfigError
from isthmus.priors.base import Encode, Prior
from isthmus.priors.standard_normal import StandardNormal
from isthmus.spec import register


@runtime_checkable
class Descends(Protocol):
    """A bottleneck that knows p(z1 | z2)."""

    top: int

    def descend(self, top: Tensor) -> Normal:
        """Return p(z1 | z2)."""
        ...


@register("prior.two_levels")
class TwoLevelPrior(Prior):
    r""":math:`p(z_1|z_2)\,p(z_2)` with :math:`p(z_2) = \mathcal N(0, I)`; the network of :math:`p(z_1|z_2)` is the ladder's.

    :math:`\mathrm{KL} = \mathrm{KL}(q(z_2|x)\Vert p(z_2)) + E_{z_2}\,\mathrm{KL}(q(z_1|x,z_2)\Vert p(z_1|z_2))`, both in closed form given
    the draw of :math:`z_2`.

    Parameters
    ----------
    latent : int
        Width of both levels together.

    References
    ----------
    Sonderby et al., "Ladder variational autoencoders", NeurIPS 2016, section 2.

    Examples
    --------
    >>> from isthmus.bottlenecks.ladder import Ladder
    >>> prior = TwoLevelPrior(4)
    >>> prior.bind(lambda x: Normal(x), Ladder(4, top=1))
    >>> prior.log_prob(torch.zeros(3, 4)).shape
    torch.Size([3])
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = int(latent)
        self._ladder: tuple[Descends, ...] = ()

    def bind(self, encode: Encode, bottleneck: nn.Module) -> None:  # noqa: ARG002
        """Take the network between the levels.

        Raises
        ------
        ConfigError
            If the bottleneck is no ladder.
        """
        if not isinstance(bottleneck, Descends):
            raise ConfigError(f"the prior of two levels needs the bottleneck Ladder, not {type(bottleneck).__name__}")
        self._ladder = (bottleneck,)

    @property
    def ladder(self) -> Descends:
        """The bottleneck of the model.

        Raises
        ------
        ConfigError
            If the prior belongs to no model yet.
        """
        if not self._ladder:
            raise ConfigError("the prior of two levels is not bound to a ladder yet: put both into isthmus.models.Autoencoder")
        return self._ladder[0]

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        width = self.latent - self.ladder.top
        lower, top = z[:, :width], z[:, width:]
        return self.ladder.descend(top).log_prob(lower) + StandardNormal(self.ladder.top).log_prob(top)

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL per unit, shape (batch, latent).

        Raises
        ------
        ConfigError
            If `q` has no two levels.
        """
        if not isinstance(q, TwoLevels):
            raise ConfigError(f"the prior of two levels needs the bottleneck Ladder, not one that returns {type(q).__name__}")
        _, top = q.split(z)
        below, above = q.lower(top), q.descend(top)
        ratio = 2 * (below.scale.log() - above.scale.log())
        apart = ((below.location - above.location) / above.scale).square()
        lower = 0.5 * (ratio.exp() + apart - 1 - ratio)
        return torch.cat([lower, StandardNormal(q.top.location.shape[1]).divergence(q.top, top)], dim=1)

    @torch.no_grad()
    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        like = next(p for p in self._parameters_of_ladder())
        top = noise.normal(like.new_empty(rows, self.ladder.top))
        return torch.cat([self.ladder.descend(top).sample(noise), top], dim=1)

    def _parameters_of_ladder(self) -> list[Tensor]:
        ladder = self.ladder
        return list(ladder.parameters()) if isinstance(ladder, nn.Module) else [torch.empty(0)]
