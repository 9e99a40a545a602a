"""Bottlenecks whose posterior is a Gaussian bent by invertible maps."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.gaussian import HIGHEST, LOWEST
from isthmus.distributions import Normal
from isthmus.distributions.autoregressive import Autoregressive
from isthmus.distributions.flows import InverseAutoregressive, Planar, Transformed
from isthmus.distributions.splines import Affine, SplineCoupling, Told
from isthmus.errors import ConfigError
from isthmus.spec import register


class _Flow(Bottleneck):
    """A Gaussian from the encoder and some maps after it."""

    def __init__(self, latent: int, maps: int) -> None:
        super().__init__(latent)
        if not 1 <= maps <= 64:
            raise ConfigError(f"maps must lie between 1 and 64, not {maps}")
        self.maps = maps

    def _base(self, h: Tensor) -> tuple[Normal, Tensor]:
        """The Gaussian, and what the encoder says of the maps."""
        d = self.latent
        return Normal(h[:, :d], functional.hardtanh(h[:, d : 2 * d], LOWEST, HIGHEST)), h[:, 2 * d :]


@register("bottleneck.planar_flow")
class PlanarFlow(_Flow):
    r"""Planar flows :math:`z' = z + \hat u\tanh(w^\top z + b)` after a diagonal Gaussian; the encoder gives each row its own w, u and b.

    Parameters
    ----------
    latent : int
        Width of the code.
    maps : int
        Number of flows.

    Raises
    ------
    ConfigError
        If `maps` is not between 1 and 64.

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015.

    Examples
    --------
    >>> import torch
    >>> PlanarFlow(2, maps=1)(torch.zeros(1, 9)).mean
    tensor([[0., 0.]])
    """

    def __init__(self, latent: int, maps: int = 4) -> None:
        super().__init__(latent, maps)

    @property
    def inputs(self) -> int:
        """Numbers the encoder must give."""
        return 2 * self.latent + self.maps * (2 * self.latent + 1)

    def forward(self, h: Tensor) -> Transformed:
        """Map (batch, inputs) to the posterior."""
        base, rest = self._base(h)
        d = self.latent
        return Transformed(base, [Planar(part[:, :d], part[:, d:-1], part[:, -1:]) for part in rest.chunk(self.maps, dim=1)])


@register("bottleneck.autoregressive_flow")
class AutoregressiveFlow(_Flow):
    r"""Inverse autoregressive flow: :math:`z'_i = \sigma_i z_i + (1-\sigma_i)m_i`, the gates from :math:`z_{<i}` and the row.

    The encoder gives the Gaussian and as many numbers again, which tell the flows of the row. The units' order turns round from
    flow to flow.

    Parameters
    ----------
    latent : int
        Width of the code.
    maps : int
        Number of flows.
    hidden : int
        Width of their networks.

    Raises
    ------
    ConfigError
        If `maps` is not between 1 and 64.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016.

    Examples
    --------
    >>> import torch
    >>> AutoregressiveFlow(2, maps=1)(torch.zeros(1, 6)).mean.shape
    torch.Size([1, 2])
    """

    multiplier = 3

    def __init__(self, latent: int, maps: int = 2, hidden: int = 128) -> None:
        super().__init__(latent, maps)
        self.networks = nn.ModuleList(Autoregressive(latent, outputs=2, context=latent, hidden=hidden) for _ in range(maps))

    def forward(self, h: Tensor) -> Transformed:
        """Map (batch, 3 * latent) to the posterior."""
        base, context = self._base(h)
        networks = cast("list[Autoregressive]", list(self.networks))
        return Transformed(base, [InverseAutoregressive(net, context, flipped=bool(i % 2)) for i, net in enumerate(networks)])


@register("bottleneck.spline_flow")
class SplineFlow(_Flow):
    r"""Neural spline flow: a standard normal through coupling layers of rational-quadratic splines, then stretched and moved for each row.

    The encoder gives location and scale, and as many numbers again as there are units, which tell the splines of the row. They bend the
    standard normal before it is stretched, so that they are as fine for narrow posteriors as for wide ones.

    Parameters
    ----------
    latent : int
        Width of the code, at least 2: one half is bent by the other.
    maps : int
        Number of coupling layers.
    hidden : int
        Width of their networks.
    bins : int
        Of each spline.

    Raises
    ------
    ConfigError
        If `latent` is below 2, `maps` not between 1 and 64, or `bins` not between 2 and 100.

    References
    ----------
    Durkan et al., "Neural spline flows", NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> SplineFlow(2, maps=1)(torch.zeros(1, 6)).mean.shape
    torch.Size([1, 2])
    """

    multiplier = 3

    def __init__(self, latent: int, maps: int = 2, hidden: int = 128, bins: int = 8) -> None:
        super().__init__(latent, maps)
        if latent < 2 or not 2 <= bins <= 100:
            raise ConfigError(f"a spline flow needs latent of at least 2 and 2 to 100 bins; got latent={latent}, bins={bins}")
        self.layers = nn.ModuleList(SplineCoupling(latent, i % 2, hidden, bins, context=latent) for i in range(maps))

    def forward(self, h: Tensor) -> Transformed:
        """Map (batch, 3 * latent) to the posterior."""
        own, context = self._base(h)
        layers = cast("list[SplineCoupling]", list(self.layers))
        last = Affine(own.location, own.scale.log())
        return Transformed(Normal(torch.zeros_like(own.location)), [*(Told(layer, context) for layer in layers), last])
