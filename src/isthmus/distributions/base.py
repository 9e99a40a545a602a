"""The interface of a distribution over rows, and the distribution that is one point."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from isthmus.distributions.noise import Noise


def sum_rows(values: Tensor) -> Tensor:
    """Sum all but the first axis: shape (batch, ...) to (batch,)."""
    if values.ndim < 3:
        return values.sum(1) if values.ndim == 2 else values
    return values.flatten(1).sum(1)


class Distribution(ABC):
    """A distribution per row; densities are summed over all axes but the first."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expected value, shape (batch, ...)."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log density or log probability of `x` in nats, shape (batch,)."""

    def nats(self, x: Tensor) -> Tensor:
        """Negative of `log_prob`, shape (batch,)."""
        return -self.log_prob(x)

    def observed(self, x: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return 1 for the values of `x` that count and 0 for those that are missing, or None if all count."""
        return None

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """Draw once; gradients pass through the draw where the distribution is reparameterised."""


class Valuewise(Distribution):
    """A distribution whose values are independent of each other, so that each has a log probability of its own."""

    @abstractmethod
    def log_probs(self, x: Tensor) -> Tensor:
        """Log density or log probability of each value in nats, shape (batch, ...)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density or log probability in nats, shape (batch,)."""
        return sum_rows(self.log_probs(x))


class Delta(Distribution):
    """One point: what a deterministic bottleneck returns.

    Parameters
    ----------
    value : Tensor of shape (batch, ...)

    Examples
    --------
    >>> Delta(torch.zeros(2, 3)).mean.shape
    torch.Size([2, 3])
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @property
    def mean(self) -> Tensor:
        """The point itself."""
        return self.value

    def log_prob(self, x: Tensor) -> Tensor:
        """Zero on the point, minus infinity elsewhere."""
        same = (x == self.value).flatten(1).all(1)
        zero = torch.zeros(len(x), dtype=self.value.dtype, device=self.value.device)
        return zero.masked_fill(~same, -torch.inf)

    def sample(self, noise: Noise) -> Tensor:  # noqa: ARG002 (nothing is random here)
        """Return the point."""
        return self.value
