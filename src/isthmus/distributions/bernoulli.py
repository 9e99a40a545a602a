"""Distributions over {0, 1} and over [0, 1], given by logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.base import Valuewise
from isthmus.distributions.noise import Noise


class Bernoulli(Valuewise):
    r"""Independent coins, :math:`\log p(x) = \sum_i x_i \log\lambda_i + (1-x_i)\log(1-\lambda_i)`, :math:`\lambda=\sigma(l)`.

    A likelihood only for values in {0, 1}: for grey values use `ContinuousBernoulli`.

    Parameters
    ----------
    logits : Tensor of shape (batch, ...)

    Examples
    --------
    >>> Bernoulli(torch.zeros(1, 2)).log_prob(torch.ones(1, 2))
    tensor([-1.3863])
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        """Probability of a one."""
        return self.logits.sigmoid()

    def log_probs(self, x: Tensor) -> Tensor:
        """Log probability of each value in nats, shape (batch, ...)."""
        return -functional.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

    def sample(self, noise: Noise) -> Tensor:
        """Draw zeros and ones; no gradient passes."""
        return (noise.uniform(self.logits) < self.mean).to(self.logits.dtype)


class ContinuousBernoulli(Bernoulli):
    r"""Density on [0, 1] proportional to :math:`\lambda^x (1-\lambda)^{1-x}`, with its normalising constant.

    In the logit l the constant is :math:`C = l / \tanh(l/2)` and the mean :math:`1/(1-e^{-l}) - 1/l`.

    Parameters
    ----------
    logits : Tensor of shape (batch, ...)

    References
    ----------
    Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational autoencoders", NeurIPS 2019.

    Examples
    --------
    >>> ContinuousBernoulli(torch.zeros(1, 1)).log_prob(torch.full((1, 1), 0.3))
    tensor([0.])
    """

    @property
    def mean(self) -> Tensor:
        """Expected value, which is not sigmoid(logits)."""
        size = self.logits.abs()
        small = size < 0.05
        safe = size.masked_fill(small, 1.0)
        # Mirrored, because expm1 of a large logit overflows and its gradient with it.
        above = -1 / torch.expm1(-safe) - 1 / safe
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        return torch.where(small, series, torch.where(self.logits > 0, above, 1 - above))

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density of each value in nats, shape (batch, ...)."""
        return super().log_probs(x) + self._log_constant()

    def _log_constant(self) -> Tensor:
        size = self.logits.abs()
        small = size < 0.05
        safe = size.masked_fill(small, 1.0)
        exact = safe.log() - (safe / 2).tanh().log()
        square = self.logits.square()
        series = math.log(2) + square / 12 - 7 * square.square() / 1440
        return torch.where(small, series, exact)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by the inverse distribution function; gradients pass."""
        u = noise.uniform(self.logits)
        size = self.logits.abs()
        small = size < 1e-3
        safe = size.masked_fill(small, 1.0)
        below = -torch.log1p(u * torch.expm1(-safe)) / safe
        series = u - 0.5 * size * u * (1 - u) * (1 - size * (1 - 2 * u) / 3)
        draw = torch.where(small, series, below)
        return torch.where(self.logits > 0, 1 - draw, draw)
