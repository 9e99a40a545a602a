"""Distributions on the unit sphere."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import Domain, Posterior
from isthmus.errors import ConfigError

NODES, CELLS = 96, 512
NEAR = 1e-12  # the least 1 - w of a draw, so that the root of 1 - w^2 keeps a gradient


def log_area(dimension: int) -> float:
    r"""Return the log of the area of the unit sphere in `dimension` dimensions, :math:`2\pi^{m/2}/\Gamma(m/2)`.

    Examples
    --------
    >>> round(math.exp(log_area(3)) / math.pi, 6)
    4.0
    """
    return math.log(2) + 0.5 * dimension * math.log(math.pi) - math.lgamma(0.5 * dimension)


@lru_cache
def _nodes(dimension: int) -> tuple[Tensor, Tensor]:
    """Nodes on the angle and the logs of their weights, Gauss-Legendre over where the mass can lie."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    reach = _reach(dimension)
    return torch.as_tensor(math.pi / 2 + reach * points), torch.as_tensor(np.log(reach * weights))


def _reach(dimension: int) -> float:
    return min(math.pi / 2, 9 / math.sqrt(dimension - 1))


class VonMisesFisher(Posterior):
    r"""Von Mises-Fisher on the sphere, :math:`\log p(z) = \kappa\mu^\top z - \log Z(\kappa)`.

    Only :math:`w = \mu^\top z` matters, whose density is proportional to :math:`e^{\kappa w}(1-w^2)^{(m-3)/2}`. Wood's map
    :math:`w = (x_0 + \cos\varphi)/(1 + x_0\cos\varphi)` makes it smooth for every :math:`\kappa`; the normaliser, the moments, the
    entropy and the distribution function are then integrals over :math:`\varphi`, taken by quadrature, so no Bessel function is needed.
    A draw inverts the distribution function; its gradient is the implicit one, :math:`dw/d\kappa = -\partial_\kappa F(w)/p(w)`.

    Parameters
    ----------
    direction : Tensor of shape (batch, m)
        Unit vectors :math:`\mu`, m at least 2.
    concentration : Tensor of shape (batch,)
        :math:`\kappa`, positive.

    Raises
    ------
    ConfigError
        If m is below 2.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018; the map: Wood, "Simulation of the von Mises Fisher
    distribution", 1994; the gradient: Figurnov et al., "Implicit reparameterization gradients", NeurIPS 2018.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> q = VonMisesFisher(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([5.0]))
    >>> z = q.sample(GeneratorNoise(torch.Generator().manual_seed(0)))
    >>> round(float(z.norm()), 5)
    1.0
    """

    domain: ClassVar[Domain] = "sphere"

    def __init__(self, direction: Tensor, concentration: Tensor) -> None:
        if direction.shape[1] < 2:
            raise ConfigError(f"a direction needs at least 2 dimensions, not {direction.shape[1]}: use latent=2 or more")
        self.direction = direction
        self.concentration = concentration

    @property
    def mean(self) -> Tensor:
        r"""The mean direction :math:`\mu`: the point of the sphere that is nearest to all draws (their average lies inside the sphere)."""
        return self.direction

    @property
    def dimension(self) -> int:
        """Dimensions m of the space around the sphere."""
        return self.direction.shape[1]

    def _map(self) -> tuple[Tensor, Tensor]:
        """Wood's b, from which 1 - x0 = 2b / (1 + b), and the concentration, both (batch, 1); b takes no gradient: any b is right."""
        kappa = self.concentration[:, None]
        fixed, m = kappa.detach(), self.dimension
        return (m - 1) / (2 * fixed + (4 * fixed.square() + (m - 1) ** 2).sqrt()), kappa

    def _below_one(self, b: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """1 - w at the angles, and the log of the weight that the measure (1 - w^2)^((m-3)/2) |dw| has there."""
        left = 2 * b / (1 + b)
        over = left + (1 - left) * 2 * (phi / 2).cos().square()
        measure = 0.5 * (self.dimension - 1) * (left * (2 - left)).log() - (self.dimension - 1) * over.log()
        if self.dimension > 2:
            measure = measure + (self.dimension - 2) * phi.sin().log()
        return left * 2 * (phi / 2).sin().square() / over, measure

    def _integrals(self) -> tuple[Tensor, Tensor, Tensor]:
        """Log of Z / e^kappa without the area of the smaller sphere, and the means of 1 - w and of its square, each (batch,)."""
        phi, weights = (part.to(self.direction) for part in _nodes(self.dimension))
        b, kappa = self._map()
        below, measure = self._below_one(b, phi[None])
        logits = weights + measure - kappa * below
        share = logits.softmax(1)
        return logits.logsumexp(1), (share * below).sum(1), (share * below.square()).sum(1)

    @property
    def variances(self) -> Tensor:
        """Variance of each coordinate, shape (batch, m)."""
        _, below, square = self._integrals()
        along = (square - below.square())[:, None]
        across = ((2 * below - square) / (self.dimension - 1))[:, None]
        return across + (along - across) * self.direction.square()

    @property
    def entropies(self) -> Tensor:
        """Entropy with respect to the area of the sphere, shape (batch, 1)."""
        log_z, below, _ = self._integrals()
        return (log_z + self.concentration * below + log_area(self.dimension - 1))[:, None]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density with respect to the area of the sphere in nats, shape (batch,)."""
        along = (self.direction * x).sum(1) - 1
        return self.concentration * along - self._integrals()[0] - log_area(self.dimension - 1)

    def sample(self, noise: Noise) -> Tensor:
        """Draw a point of the sphere; gradients pass."""
        tangent = noise.normal(self.direction)
        below = _Draw(self).below_one(noise.uniform(self.concentration)).clamp(NEAR, 2 - 1e-6)[:, None]
        mu = self.direction
        tangent = functional.normalize(tangent - (tangent * mu).sum(1, keepdim=True) * mu, dim=1)
        return (1 - below) * mu + (below * (2 - below)).sqrt() * tangent


class _Draw:
    """The inverse distribution function of w for each row, on a grid of angles."""

    def __init__(self, q: VonMisesFisher) -> None:
        self.q = q
        self.kappa = q.concentration
        reach = _reach(q.dimension)
        self.step = 2 * reach / CELLS
        like: dict[str, Any] = {"dtype": torch.float64, "device": q.direction.device}
        edges = torch.linspace(math.pi / 2 - reach, math.pi / 2 + reach, CELLS + 1, **like)
        self.phi = edges.clamp(1e-9, math.pi - 1e-9)[None]

    @torch.no_grad()
    def _found(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """1 - w of each row and its derivative by the concentration."""
        b, kappa = (part.double() for part in self.q._map())  # pyright: ignore[reportPrivateUsage]
        below, measure = self.q._below_one(b, self.phi)  # pyright: ignore[reportPrivateUsage]
        logits = measure - kappa * below
        density = (logits - logits.amax(1, keepdim=True)).exp()
        mass = self._cumulative(density)
        mean = (density * below).sum(1, keepdim=True) / density.sum(1, keepdim=True)
        turned = self._cumulative((mean - below) * density)
        target = u.double()[:, None] * mass[:, -1:]
        cell = torch.searchsorted(mass, target).clamp(1, CELLS) - 1
        p, after, rest = density.gather(1, cell), density.gather(1, cell + 1), target - mass.gather(1, cell)
        slope = (after - p) / self.step
        inside = 2 * rest / (p + (p.square() + 2 * rest * slope).clamp_min(0).sqrt()).clamp_min(1e-300)
        share = (inside / self.step).clamp(0, 1)
        phi = self.phi.expand_as(density).gather(1, cell) + share * self.step
        moved = torch.lerp(turned.gather(1, cell), turned.gather(1, cell + 1), share)
        by_kappa = -moved / (p + slope * share * self.step).clamp_min(1e-300)
        here = self.q._below_one(b, phi)[0]  # pyright: ignore[reportPrivateUsage]
        return here[:, 0], (by_kappa * self._rise(b, phi))[:, 0]

    def _cumulative(self, values: Tensor) -> Tensor:
        parts = 0.5 * self.step * (values[:, 1:] + values[:, :-1])
        return functional.pad(parts.cumsum(1), (1, 0))

    @staticmethod
    def _rise(b: Tensor, phi: Tensor) -> Tensor:
        """Derivative of 1 - w by the angle."""
        left = 2 * b / (1 + b)
        over = left + (1 - left) * 2 * (phi / 2).cos().square()
        return left * (2 - left) * phi.sin() / over.square()

    def below_one(self, u: Tensor) -> Tensor:
        """Return 1 - w with the gradient of the concentration, shape (batch,)."""
        value, derivative = (part.to(self.kappa.dtype) for part in self._found(u))
        return value + derivative * (self.kappa - self.kappa.detach())
