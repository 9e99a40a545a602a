"""Codes that lie on a sphere or in a cube, as free numbers; and how chains of codes move where they lie."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.posterior import Domain
from isthmus.errors import ConfigError
from isthmus.tasks.latent import repeated


class Chart:
    """All of space, where a code is its own free numbers."""

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of free numbers of shape (n, width), and the log of how much the map stretches volumes, shape (n,)."""
        return u, torch.zeros_like(u[:, 0])

    def inverse(self, z: Tensor) -> Tensor:
        """Return the free numbers of codes."""
        return z


class Logit(Chart):
    r"""The open unit cube, :math:`z = 1/(1 + e^{-u})` with :math:`\log|\det J| = \sum_j \log z_j(1 - z_j)`.

    Examples
    --------
    >>> Logit().forward(torch.zeros(1, 1))[0]
    tensor([[0.5000]])
    """

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes and the log volume."""
        return u.sigmoid(), (functional.logsigmoid(u) + functional.logsigmoid(-u)).sum(1)

    def inverse(self, z: Tensor) -> Tensor:
        """Return the free numbers."""
        limits = torch.finfo(z.dtype)
        return z.clamp(limits.tiny, 1 - limits.eps / 2).logit()


class Stereographic(Chart):
    r"""The unit sphere but for one point, seen from there: :math:`z = H\,(2u,\ 1 - \lVert u\rVert^2) / (1 + \lVert u\rVert^2)`.

    H is the reflection that puts u = 0 at each row's centre, and :math:`\log|\det J| = (m - 1)\log\frac{2}{1 + \lVert u\rVert^2}` with
    respect to the sphere's area.

    Parameters
    ----------
    centre : Tensor of shape (rows, m)
        Unit vectors.

    Examples
    --------
    >>> chart = Stereographic(torch.tensor([[0.6, 0.8]]))
    >>> chart.forward(torch.zeros(1, 1))[0]
    tensor([[0.6000, 0.8000]])
    """

    def __init__(self, centre: Tensor) -> None:
        pole = torch.zeros_like(centre)
        pole[:, -1] = 1
        # Where centre and pole are the same, the normal is zero and nothing is reflected.
        self.normal = functional.normalize(pole - centre, dim=1)

    def _reflected(self, z: Tensor) -> Tensor:
        normal = repeated(self.normal, len(z) // len(self.normal))
        return z - 2 * (normal * z).sum(1, keepdim=True) * normal

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes and the log volume."""
        square = u.square().sum(1, keepdim=True)
        z = torch.cat([2 * u, 1 - square], dim=1) / (1 + square)
        return self._reflected(z), u.shape[1] * (math.log(2) - torch.log1p(square.squeeze(1)))

    def inverse(self, z: Tensor) -> Tensor:
        """Return the free numbers."""
        z = self._reflected(z)
        return z[:, :-1] / (1 + z[:, -1:]).clamp_min(1e-6)


def chart_of(domain: Domain, middle: Tensor) -> Chart:
    """Return the chart of codes whose middles, one for each row, are known.

    Raises
    ------
    ConfigError
        If codes of this domain are no smooth space.
    """
    if domain == "sphere":
        return Stereographic(functional.normalize(middle, dim=1))
    if domain not in ("real", "cube"):
        raise ConfigError(f"codes on the domain {domain!r} can be counted: they have no free numbers to move along gradients")
    return Logit() if domain == "cube" else Chart()


class Motion:
    """How a chain goes straight on in all of space; in a cube it goes through the free numbers of `Logit`.

    Parameters
    ----------
    chart : Chart
    """

    def __init__(self, chart: Chart) -> None:
        self.chart = chart

    def tangent(self, place: Tensor, arrow: Tensor) -> Tensor:  # noqa: ARG002 (the same everywhere)
        """Return the part of an arrow along which a chain can move."""
        return arrow

    def drift(self, place: Tensor, speed: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Return place and speed after a time."""
        return place + size * speed, speed


class GreatCircles(Motion):
    """How a chain goes straight on on the unit sphere.

    References
    ----------
    Byrne and Girolami, "Geodesic Monte Carlo on embedded manifolds", Scandinavian Journal of Statistics 40, 2013, section 4.1.

    Examples
    --------
    >>> quarter = torch.tensor([[math.pi / 2]])
    >>> GreatCircles(Chart()).drift(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), quarter)[0].round()
    tensor([[-0., 1.]])
    """

    def tangent(self, place: Tensor, arrow: Tensor) -> Tensor:
        """Return the part of an arrow that is orthogonal to the place."""
        return arrow - (place * arrow).sum(1, keepdim=True) * place

    def drift(self, place: Tensor, speed: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Return place and speed after a time along the great circle."""
        pace = speed.square().sum(1, keepdim=True).sqrt().clamp_min(torch.finfo(speed.dtype).tiny)
        angle, ahead = size * pace, speed / pace
        moved = functional.normalize(place * angle.cos() + ahead * angle.sin(), dim=1)
        return moved, self.tangent(moved, pace * (ahead * angle.cos() - place * angle.sin()))


def motion_of(domain: Domain) -> Motion:
    """Return how chains of codes of a domain move; errors as for `chart_of`."""
    if domain == "sphere":
        return GreatCircles(Chart())
    return Motion(chart_of(domain, torch.empty(0)))
