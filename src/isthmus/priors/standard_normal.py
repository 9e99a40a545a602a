"""The prior interface and the standard normal prior."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from isthmus.distributions import Distribution, Noise, Normal
from isthmus.errors import ConfigError
from isthmus.spec import register


class Prior(nn.Module):
    """A distribution over codes of width `latent`."""

    latent: int

    @abstractmethod
    def divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q || prior) in nats, split over groups of units that add up: shape (batch, groups).

        `z` is a draw from `q`, for priors without a closed form.
        """

    @abstractmethod
    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""


@register("prior.standard_normal")
class StandardNormal(Prior):
    r""":math:`p(z) = \mathcal N(0, I)`, with :math:`\mathrm{KL}_j = \tfrac12(\mu_j^2 + \sigma_j^2 - 1) - \log\sigma_j`.

    Parameters
    ----------
    latent : int

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.

    Examples
    --------
    >>> q = Normal(torch.zeros(1, 2), torch.zeros(1, 2))
    >>> StandardNormal(2).divergence(q, torch.zeros(1, 2))
    tensor([[0., 0.]])
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = int(latent)

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:  # noqa: ARG002 (closed form)
        """KL per unit, shape (batch, latent).

        Raises
        ------
        ConfigError
            If `q` is not Gaussian.
        """
        if not isinstance(q, Normal):
            raise ConfigError(f"the standard normal prior needs a Gaussian bottleneck, not one that returns {type(q).__name__}")
        log_scale = torch.as_tensor(q.log_scale, dtype=q.location.dtype, device=q.location.device)
        return 0.5 * (q.location.square() + (2 * log_scale).exp() - 1) - log_scale

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return noise.normal(torch.empty(rows, self.latent))
