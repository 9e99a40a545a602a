"""A bottleneck of two stochastic levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.gaussian import normal
from isthmus.distributions import Normal
from isthmus.distributions.ladder import TwoLevels
from isthmus.errors import ConfigError
from isthmus.spec import register

WIDEST = 3.0  # of the log scales of p(z1 | z2): a unit that says nothing of the row fixes none, and drifts until a step goes astray


@register("bottleneck.ladder")
class Ladder(Bottleneck):
    r"""Two levels of codes, :math:`q(z_2|x)\,q(z_1|x,z_2)`; the lower one merges the row's evidence with what the upper one says.

    ::

        x --encoder--> evidence of z1 --------- merge --> z1 --> decoder
                  \--> q(z2|x) --draw--> z2 --p(z1|z2)--/

    The code is :math:`(z_1, z_2)`, and the decoder sees both. The network of :math:`p(z_1|z_2)` lives here, its log scales within
    [-3, 3]; `isthmus.priors.TwoLevelPrior` uses it too.

    Parameters
    ----------
    latent : int
        Width of both levels together.
    top : int
        Width of the upper level, at least 1 and below `latent`.
    hidden : int
        Width of the hidden layer between the levels.

    Raises
    ------
    ConfigError
        If `top` is not between 1 and ``latent - 1``.

    References
    ----------
    Sonderby et al., "Ladder variational autoencoders", NeurIPS 2016.

    Examples
    --------
    >>> Ladder(6, top=2)(torch.zeros(1, 12)).mean.shape
    torch.Size([1, 6])
    """

    multiplier = 2

    def __init__(self, latent: int, top: int, hidden: int = 64) -> None:
        super().__init__(latent)
        if not 1 <= top < latent:
            raise ConfigError(f"a ladder needs two levels: top must lie between 1 and latent - 1 ({latent - 1}), not {top}")
        self.top = int(top)
        self.first = nn.Linear(self.top, hidden)
        self.second = nn.Linear(hidden, 2 * (latent - self.top))

    def descend(self, top: Tensor) -> Normal:
        """Return p(z1 | z2)."""
        location, log_scale = self.second(functional.silu(self.first(top))).chunk(2, dim=1)
        return Normal(location, functional.hardtanh(log_scale, -WIDEST, WIDEST))

    def forward(self, h: Tensor) -> TwoLevels:
        """Map (batch, 2 * latent) to the posterior of both levels: locations of both, then the logs of their scales."""
        location, log_scale = h.chunk(2, dim=1)
        low = self.latent - self.top
        lower, top = (torch.cat([location[:, part], log_scale[:, part]], dim=1) for part in (slice(low), slice(low, None)))
        return TwoLevels(normal(lower), normal(top), self.descend)
