"""Distributions over counts 0, 1, 2 ..., given by the logarithm of their mean."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from isthmus.distributions.base import Valuewise
from isthmus.distributions.noise import Noise

_SPECIAL: Any = torch.special  # torch leaves it without type hints


class Poisson(Valuewise):
    r"""Independent Poisson counts, :math:`\log p(n) = \sum_i n_i\log\lambda_i - \lambda_i - \log n_i!`, computed in float64.

    Parameters
    ----------
    log_mean : Tensor of shape (batch, ...)

    Examples
    --------
    >>> Poisson(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1))
    tensor([-1.])
    """

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean

    @property
    def mean(self) -> Tensor:
        """Expected count."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        """Variance of the count."""
        return self.mean

    @property
    def mode(self) -> Tensor:
        """Most probable count."""
        return self.mean.floor()

    def log_probs(self, x: Tensor) -> Tensor:
        """Log probability of each count in nats, shape (batch, ...)."""
        # In single precision the log of a large count's factorial has no digit left behind the point.
        log_mean, count = self.log_mean.double(), x.double()
        return (count * log_mean - log_mean.exp() - (count + 1).lgamma()).to(self.log_mean.dtype)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by the inverse distribution function; no gradient passes."""
        return _poisson(noise.uniform(self.log_mean).double(), self.log_mean.detach().double().exp()).to(self.log_mean.dtype)


class NegativeBinomial(Valuewise):
    r"""Counts more scattered than Poisson's: mean :math:`\mu`, variance :math:`\mu + \mu^2/r`; a Poisson whose rate is gamma distributed.

    :math:`\log p(n) = \sum_i \log\frac{\Gamma(n_i+r_i)}{\Gamma(r_i)\,n_i!} + r_i\log\frac{r_i}{r_i+\mu_i}
    + n_i\log\frac{\mu_i}{r_i+\mu_i}`, computed in float64.

    Parameters
    ----------
    log_mean : Tensor of shape (batch, ...)
    log_size : Tensor
        Logarithm of r; broadcasts to `log_mean`.

    Examples
    --------
    >>> NegativeBinomial(torch.zeros(1, 1), torch.zeros(1)).log_prob(torch.zeros(1, 1))
    tensor([-0.6931])
    """

    def __init__(self, log_mean: Tensor, log_size: Tensor) -> None:
        self.log_mean = log_mean
        self.log_size = log_size

    @property
    def mean(self) -> Tensor:
        """Expected count."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        """Variance of the count."""
        return self.mean + (2 * self.log_mean - self.log_size).exp()

    @property
    def mode(self) -> Tensor:
        """Most probable count."""
        return (self.mean * (1 - (-self.log_size).exp()).clamp_min(0)).floor()

    def log_probs(self, x: Tensor) -> Tensor:
        """Log probability of each count in nats, shape (batch, ...)."""
        log_mean, log_size, count = self.log_mean.double(), self.log_size.double(), x.double()
        size = log_size.exp()
        whole = torch.logaddexp(log_mean, log_size)
        ways = (count + size).lgamma() - size.lgamma() - (count + 1).lgamma()
        return (ways + size * (log_size - whole) + count * (log_mean - whole)).to(self.log_mean.dtype)

    def sample(self, noise: Noise) -> Tensor:
        """Draw a rate and then a count; no gradient passes."""
        mean, size = self.log_mean.detach().double().exp(), self.log_size.detach().double().exp().expand_as(self.log_mean)
        rate = _gamma(size, noise) * mean / size
        return _poisson(noise.uniform(self.log_mean).double(), rate).to(self.log_mean.dtype)


def _gamma(shape: Tensor, noise: Noise) -> Tensor:
    """Draw from gamma distributions of scale 1 by rejection (Marsaglia and Tsang, ACM Transactions on Mathematical Software 26, 2000)."""
    # Below shape 1 the method does not hold: gamma(a) = gamma(a + 1) * u^(1 / a).
    raised = (1 - noise.uniform(shape)) ** (1 / shape)
    d = shape + 1 - 1 / 3
    drawn, missing = torch.zeros_like(shape), torch.ones_like(shape, dtype=torch.bool)
    while bool(missing.any()):
        z, u = noise.normal(shape), 1 - noise.uniform(shape)
        v = (1 + z / (9 * d).sqrt()).clamp_min(0) ** 3
        taken = missing & (u.log() < 0.5 * z.square() + d - d * v + d * v.log())
        drawn = torch.where(taken, d * v, drawn)
        missing = missing & ~taken
    return drawn * raised


def _poisson(u: Tensor, rate: Tensor) -> Tensor:
    """Return the quantiles `u` of Poisson distributions: the least count whose distribution function exceeds `u`."""

    def below(x: Tensor) -> Tensor:
        return (x < 0) | (_SPECIAL.gammaincc(x + 1, rate) <= u)

    reach = 8 * rate.sqrt() + 8
    low, high = (rate - reach).floor().clamp_min(-1), (rate + reach).ceil()
    low = torch.where(below(low), low, -1.0)
    while bool((short := below(high)).any()):
        high = torch.where(short, 2 * high, high)
    for _ in range(math.ceil(math.log2(float((high - low).max()))) if u.numel() else 0):
        middle = (0.5 * (low + high)).floor()
        short = below(middle)
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return high
