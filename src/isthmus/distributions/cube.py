"""Distributions on the unit cube."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from isthmus.distributions.base import sum_rows
from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import Domain, Posterior

EULER = 0.57721566490153286
PROPOSALS = 6  # of which one in twenty is rejected at most
_TORCH: Any = torch  # its derivative of Dirichlet draws has no type hints


class Kumaraswamy(Posterior):
    r"""Independent Kumaraswamy units, :math:`p(x) = abx^{a-1}(1-x^a)^{b-1}` on (0, 1): like a Beta, with a draw in closed form.

    Parameters
    ----------
    log_a, log_b : Tensor of shape (batch, latent)
        Logarithms of the two shapes.

    References
    ----------
    Kumaraswamy, "A generalized probability density function for double-bounded random processes", 1980; as a posterior:
    Nalisnick and Smyth, "Stick-breaking variational autoencoders", ICLR 2017. Entropy: Jones, 2009, section 3.

    Examples
    --------
    >>> Kumaraswamy(torch.zeros(1, 1), torch.zeros(1, 1)).mean
    tensor([[0.5000]])
    """

    domain: ClassVar[Domain] = "cube"

    def __init__(self, log_a: Tensor, log_b: Tensor) -> None:
        self.log_a = log_a
        self.log_b = log_b

    def _moment(self, power: int) -> Tensor:
        """Mean of a power: b B(1 + power / a, b)."""
        a, b = self.log_a.exp(), self.log_b.exp()
        first = 1 + power / a
        return (self.log_b + torch.lgamma(first) + torch.lgamma(b) - torch.lgamma(first + b)).exp()

    @property
    def mean(self) -> Tensor:
        """Expected value."""
        return self._moment(1)

    @property
    def variances(self) -> Tensor:
        """Variance of each unit."""
        return (self._moment(2) - self.mean.square()).clamp_min(0)

    @property
    def entropies(self) -> Tensor:
        """Entropy of each unit, shape (batch, latent)."""
        harmonic = torch.digamma(self.log_b.exp() + 1) + EULER
        return (1 - (-self.log_b).exp()) + (1 - (-self.log_a).exp()) * harmonic - self.log_a - self.log_b

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        a, b, log_x = self.log_a.exp(), self.log_b.exp(), x.log()
        rest = torch.log(-torch.expm1(a * log_x))
        return sum_rows(self.log_a + self.log_b + (a - 1) * log_x + (b - 1) * rest)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by the inverse distribution function; gradients pass."""
        limits = torch.finfo(self.log_a.dtype)
        u = noise.uniform(self.log_a).clamp(limits.eps, 1 - limits.eps)
        # log(1 - (1-u)^(1/b)), without rounding a small power to nothing
        inner = torch.log(-torch.expm1(torch.log1p(-u) * (-self.log_b).exp()).clamp(-1, -limits.tiny))
        return (inner * (-self.log_a).exp()).exp().clamp(limits.tiny, 1 - limits.eps / 2)


class Beta(Posterior):
    r"""Independent Beta units, :math:`p(x) = x^{a-1}(1-x)^{b-1} / B(a, b)` on (0, 1).

    A draw is :math:`g_a/(g_a + g_b)` of two gamma variables, found by rejection. No gradient passes through a rejection; that of the draw
    is the implicit one, :math:`dx/da = -\partial_a F(x)/p(x)`.

    Parameters
    ----------
    log_a, log_b : Tensor of shape (batch, latent)
        Logarithms of the two shapes.

    References
    ----------
    Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018; the gamma variables: Marsaglia and Tsang, "A simple
    method for generating gamma variables", ACM Transactions on Mathematical Software 26, 2000.

    Examples
    --------
    >>> Beta(torch.zeros(1, 1), torch.zeros(1, 1)).mean
    tensor([[0.5000]])
    """

    domain: ClassVar[Domain] = "cube"

    def __init__(self, log_a: Tensor, log_b: Tensor) -> None:
        self.log_a = log_a
        self.log_b = log_b

    def _shapes(self) -> tuple[Tensor, Tensor, Tensor]:
        a, b = self.log_a.exp(), self.log_b.exp()
        return a, b, a + b

    @property
    def mean(self) -> Tensor:
        """Expected value."""
        return (self.log_a - self.log_b).sigmoid()

    @property
    def variances(self) -> Tensor:
        """Variance of each unit."""
        return self.mean * (1 - self.mean) / (self._shapes()[2] + 1)

    def _log_beta(self) -> Tensor:
        a, b, both = self._shapes()
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(both)

    @property
    def entropies(self) -> Tensor:
        """Entropy of each unit, shape (batch, latent)."""
        a, b, both = self._shapes()
        return self._log_beta() - (a - 1) * torch.digamma(a) - (b - 1) * torch.digamma(b) + (both - 2) * torch.digamma(both)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        a, b, _ = self._shapes()
        return sum_rows((a - 1) * x.log() + (b - 1) * torch.log1p(-x) - self._log_beta())

    def sample(self, noise: Noise) -> Tensor:
        """Draw; gradients pass."""
        limits = torch.finfo(self.log_a.dtype)
        first, second = log_gamma_draws(torch.cat([self.log_a, self.log_b], dim=1).detach().exp(), noise).chunk(2, dim=1)
        x = (first - second).sigmoid().clamp(limits.tiny, 1 - limits.eps / 2)
        a, b, both = self._shapes()
        whole = both.detach()
        by_a = (1 - x) * cast("Tensor", _TORCH._dirichlet_grad(x, a.detach(), whole))
        by_b = -x * cast("Tensor", _TORCH._dirichlet_grad(1 - x, b.detach(), whole))
        return x + by_a * (a - a.detach()) + by_b * (b - b.detach())


def log_gamma_draws(shape: Tensor, noise: Noise) -> Tensor:
    """Draw the logarithms of gamma variables of scale 1, shape (batch, d) as `shape`; as many numbers are used whatever is rejected.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> draws = log_gamma_draws(torch.full((1000, 1), 3.0), GeneratorNoise(torch.Generator().manual_seed(0)))
    >>> 2.5 < float(draws.exp().mean()) < 3.5
    True
    """
    # Below shape 1 the method does not hold: gamma(a) = gamma(a + 1) * u^(1 / a).
    raised = torch.log1p(-noise.uniform(shape)) / shape
    d = shape[:, None] + 1 - 1 / 3
    like = shape[:, None].expand(-1, PROPOSALS, -1)
    z, u = noise.normal(like), 1 - noise.uniform(like)
    v = (1 + z / (9 * d).sqrt()).clamp_min(1e-3) ** 3
    taken = u.log() < 0.5 * z.square() + d - d * v + d * v.log()
    first = taken.to(torch.uint8).argmax(1, keepdim=True)
    return (d * v).log().gather(1, first).squeeze(1) + raised
