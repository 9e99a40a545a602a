"""Distributions over the real line, independent per coordinate."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.base import Valuewise, sum_rows
from isthmus.distributions.noise import Noise

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class _LocationScale(Valuewise):
    """Location and scale, the scale given by its logarithm: a tensor that broadcasts to the location, or one number."""

    def __init__(self, location: Tensor, log_scale: Tensor | float = 0.0) -> None:
        self.location = location
        self.log_scale = log_scale

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.location

    @property
    def scale(self) -> Tensor:
        """Scale, with the location's shape."""
        return torch.as_tensor(self.log_scale, dtype=self.location.dtype, device=self.location.device).exp().expand_as(self.location)

    @property
    def _width(self) -> int:
        return math.prod(self.location.shape[1:])

    def _standardised(self, x: Tensor) -> Tensor:
        distance = x - self.location
        return distance * ((-self.log_scale).exp() if isinstance(self.log_scale, Tensor) else math.exp(-self.log_scale))

    def _log_scale_total(self) -> Tensor | float:
        """Sum of the log scales of a row: shape (batch,), or one number for all rows."""
        width = self._width
        if isinstance(self.log_scale, Tensor):
            if self.log_scale.numel() == 1:
                return self.log_scale.reshape(1) * width
            return sum_rows(self.log_scale.expand_as(self.location))
        return self.log_scale * width


class Normal(_LocationScale):
    r"""Diagonal Gaussian, :math:`\log p(x) = -\tfrac12 \sum_i ((x_i-\mu_i)/\sigma_i)^2 - \sum_i \log\sigma_i - \tfrac d2 \log 2\pi`.

    Parameters
    ----------
    location : Tensor of shape (batch, ...)
        Mean.
    log_scale : Tensor or float
        Logarithm of the standard deviation; broadcasts to `location`.

    Examples
    --------
    >>> Normal(torch.zeros(1, 2)).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density of each value in nats, shape (batch, ...)."""
        return -0.5 * self._standardised(x).square() - (self.log_scale + HALF_LOG_2PI)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        return -self.nats(x)

    def nats(self, x: Tensor) -> Tensor:
        """Negative log density, shape (batch,)."""
        constant = HALF_LOG_2PI * self._width
        if isinstance(self.log_scale, Tensor) and self.log_scale.numel() > 1:
            squares = sum_rows(((x - self.location) * (-self.log_scale).exp()).square())
        else:
            squares = sum_rows(functional.mse_loss(self.location, x, reduction="none"))
            if isinstance(self.log_scale, Tensor):
                squares = squares * (-2 * self.log_scale.reshape(1)).exp()
            elif self.log_scale != 0:
                squares = squares * math.exp(-2 * self.log_scale)
        return 0.5 * squares + (self._log_scale_total() + constant)

    def sample(self, noise: Noise) -> Tensor:
        """Draw ``mean + scale * eps``; gradients pass."""
        if not isinstance(self.log_scale, Tensor):
            return self.location + math.exp(self.log_scale) * noise.normal(self.location)
        return torch.addcmul(self.location, noise.normal(self.location), self.log_scale.exp())


class Laplace(_LocationScale):
    r"""Independent Laplace, :math:`\log p(x) = -\sum_i |x_i-\mu_i|/b_i - \sum_i \log 2b_i`.

    Parameters
    ----------
    location : Tensor of shape (batch, ...)
    log_scale : Tensor or float
        Logarithm of the scale b; broadcasts to `location`.

    Examples
    --------
    >>> Laplace(torch.zeros(1, 1)).log_prob(torch.zeros(1, 1))
    tensor([-0.6931])
    """

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density of each value in nats, shape (batch, ...)."""
        return -self._standardised(x).abs() - (self.log_scale + math.log(2))

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        constant = math.log(2) * self._width
        distance = functional.l1_loss(self.location, x, reduction="none")
        if isinstance(self.log_scale, Tensor):
            distance = distance * (-self.log_scale).exp()
        elif self.log_scale != 0:
            distance = distance * math.exp(-self.log_scale)
        return -sum_rows(distance) - (self._log_scale_total() + constant)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by the inverse distribution function; gradients pass."""
        half = noise.uniform(self.location) - 0.5
        tiny = torch.finfo(half.dtype).tiny
        return self.location - self.scale * half.sign() * (1 - 2 * half.abs()).clamp_min(tiny).log()


class StudentT(_LocationScale):
    r"""Independent Student-t with :math:`\nu` degrees of freedom: a Gaussian's shape with tails that forgive outliers.

    :math:`\log p(x) = \sum_i \log\Gamma(\tfrac{\nu_i+1}2) - \log\Gamma(\tfrac{\nu_i}2) - \tfrac12\log(\nu_i\pi) - \log\sigma_i
    - \tfrac{\nu_i+1}2 \log(1 + ((x_i-\mu_i)/\sigma_i)^2/\nu_i)`. Its ``mean`` is the location, also where :math:`\nu \le 1` leaves none.

    Parameters
    ----------
    location : Tensor of shape (batch, ...)
    log_scale : Tensor or float
        Logarithm of the scale; broadcasts to `location`.
    log_freedom : Tensor
        Logarithm of the degrees of freedom; broadcasts to `location`.

    Examples
    --------
    >>> StudentT(torch.zeros(1, 1), 0.0, torch.zeros(1)).log_prob(torch.zeros(1, 1))
    tensor([-1.1447])
    """

    def __init__(self, location: Tensor, log_scale: Tensor | float, log_freedom: Tensor) -> None:
        super().__init__(location, log_scale)
        self.log_freedom = log_freedom

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density of each value in nats, shape (batch, ...)."""
        freedom = self.log_freedom.exp()
        half = 0.5 * (freedom + 1)
        constant = half.lgamma() - (0.5 * freedom).lgamma() - 0.5 * (self.log_freedom + math.log(math.pi)) - self.log_scale
        return constant - half * torch.log1p(self._standardised(x).square() / freedom)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by Bailey's polar method (Mathematics of Computation 62, 1994), exact; gradients pass."""
        freedom = self.log_freedom.exp()
        radius = (freedom * torch.expm1(-2 / freedom * torch.log1p(-noise.uniform(self.location)))).sqrt()
        return self.location + self.scale * radius * (2 * math.pi * noise.uniform(self.location)).cos()
