"""What distributions over codes know of themselves beyond a density: their spread, their entropy, and where they live."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from isthmus.distributions.base import Distribution
from isthmus.distributions.real import Laplace, Normal

Domain = Literal["real", "sphere", "cube", "simplex", "codes", "conditioned"]
HALF_LOG_2PIE = 0.5 * math.log(2 * math.pi * math.e)


class Posterior(Distribution):
    """A distribution over codes that is no plain Gaussian.

    Attributes
    ----------
    domain : {"real", "sphere", "cube", "simplex", "codes"}
        Where its draws lie.
    """

    domain: ClassVar[Domain] = "real"

    @property
    @abstractmethod
    def variances(self) -> Tensor:
        """Variance of each code unit, shape (batch, latent)."""

    @property
    def entropies(self) -> Tensor | None:
        """Entropy in nats, split over groups of units that add up, shape (batch, groups); None without a closed form."""
        return None


def domain(q: Distribution) -> Domain:
    """Return where the draws of `q` lie.

    Examples
    --------
    >>> domain(Normal(torch.zeros(1, 2)))
    'real'
    """
    return q.domain if isinstance(q, Posterior) else "real"


def variances(q: Distribution) -> Tensor:
    """Return the variance of each code unit, shape (batch, latent): zero where the code is a function of the row.

    Examples
    --------
    >>> variances(Laplace(torch.zeros(1, 2)))
    tensor([[2., 2.]])
    """
    if isinstance(q, Normal):
        return q.scale.square()
    if isinstance(q, Laplace):
        return 2 * q.scale.square()
    return q.variances if isinstance(q, Posterior) else torch.zeros_like(q.mean)


def entropies(q: Distribution) -> Tensor | None:
    """Return the entropy of `q` in nats, shape (batch, groups), or None where it has no closed form.

    Examples
    --------
    >>> entropies(Normal(torch.zeros(1, 2)))
    tensor([[1.4189, 1.4189]])
    """
    if isinstance(q, Normal):
        return q.scale.log() + HALF_LOG_2PIE
    if isinstance(q, Laplace):
        return q.scale.log() + (1 + math.log(2))
    return q.entropies if isinstance(q, Posterior) else None


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    return frozen(value) if isinstance(value, Distribution) else value


def frozen(q: Distribution) -> Distribution:
    """Return a copy of `q` through whose parameters no gradient passes; one through the point of a density still does.

    Examples
    --------
    >>> location = torch.zeros(1, 2, requires_grad=True)
    >>> frozen(Normal(location)).mean.requires_grad
    False
    """
    other = object.__new__(type(q))
    for name, value in vars(q).items():
        setattr(other, name, _detached(value))
    return other
