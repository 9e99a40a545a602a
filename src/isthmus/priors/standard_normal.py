"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions import Distribution, Noise, Normal
from isthmus.distributions.posterior import entropies, variances
from isthmus.distributions.real import HALF_LOG_2PI
from isthmus.priors.base import Prior
from isthmus.spec import register


@register("prior.standard_normal")
class StandardNormal(Prior):
    r""":math:`p(z) = \mathcal N(0, I)`, with :math:`\mathrm{KL}_j = \tfrac12(\mu_j^2 + \sigma_j^2 - 1) - \log\sigma_j`.

    For other posteriors than a diagonal Gaussian, :math:`\tfrac12 E[z_j^2] + \tfrac12\log 2\pi - H_j` where their entropy has a
    closed form, and else an estimate from a draw.

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

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        return -0.5 * z.square().sum(1) - HALF_LOG_2PI * z.shape[1]

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL per unit, shape (batch, latent), or estimated for all of them together, shape (batch, 1).

        Raises
        ------
        ConfigError
            If `q` is a single point, or does not lie in the whole space.
        """
        if isinstance(q, Normal):
            log_scale = torch.as_tensor(q.log_scale, dtype=q.location.dtype, device=q.location.device)
            return 0.5 * (q.location.square() + (2 * log_scale).exp() - 1) - log_scale
        self.check(q)
        entropy = entropies(q)
        if entropy is None:
            return super().divergence(q, z)
        return 0.5 * (q.mean.square() + variances(q)) + HALF_LOG_2PI - entropy

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return noise.normal(torch.empty(rows, self.latent))
