"""The Gaussian with any covariance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import HALF_LOG_2PIE, Posterior
from isthmus.distributions.real import HALF_LOG_2PI
from isthmus.errors import ConfigError

_LINALG: Any = torch.linalg  # torch leaves it without type hints


class FullNormal(Posterior):
    r"""Gaussian :math:`\mathcal N(\mu, LL^\top)` of any covariance.

    :math:`\log p(x) = -\tfrac12\lVert L^{-1}(x-\mu)\rVert^2 - \sum_i\log L_{ii} - \tfrac d2\log 2\pi`.

    Parameters
    ----------
    location : Tensor of shape (batch, d)
    factor : Tensor of shape (batch, d, d)
        Lower triangle L with a positive diagonal.

    Examples
    --------
    >>> FullNormal(torch.zeros(1, 2), torch.eye(2)[None]).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    def __init__(self, location: Tensor, factor: Tensor) -> None:
        self.location = location
        self.factor = factor

    @classmethod
    def of_covariance(cls, location: Tensor, covariance: Tensor) -> FullNormal:
        """Return the Gaussian of a covariance of shape (batch, d, d).

        Raises
        ------
        ConfigError
            If a covariance is not positive definite to the precision of its numbers.
        """
        factor, info = _LINALG.cholesky_ex(covariance)
        if bool(info.any()):
            row = int(info.nonzero()[0])
            raise ConfigError(f"the covariance of row {row} is singular: add a little to its diagonal, or leave out units that copy others")
        return cls(location, factor)

    @property
    def mean(self) -> Tensor:
        """The location."""
        return self.location

    @property
    def variances(self) -> Tensor:
        """Diagonal of the covariance."""
        return self.factor.square().sum(2)

    @property
    def entropies(self) -> Tensor:
        """Entropy of each unit given those before it, shape (batch, d)."""
        return self._diagonal.log() + HALF_LOG_2PIE

    @property
    def _diagonal(self) -> Tensor:
        return self.factor.diagonal(dim1=1, dim2=2)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        eps: Tensor = _LINALG.solve_triangular(self.factor, (x - self.location)[..., None], upper=False)
        return -0.5 * eps.square().sum((1, 2)) - self._diagonal.log().sum(1) - HALF_LOG_2PI * x.shape[1]

    def sample(self, noise: Noise) -> Tensor:
        r"""Draw :math:`\mu + L\epsilon`; gradients pass."""
        return torch.baddbmm(self.location[..., None], self.factor, noise.normal(self.location)[..., None]).squeeze(2)
