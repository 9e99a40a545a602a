"""A density fitted to the codes of a finished model: what a plain autoencoder is sampled from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.distributions import Noise
from isthmus.errors import ConfigError
from isthmus.spec import register

_LINALG: Any = torch.linalg  # torch leaves it without type hints
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
BLOCK = 1 << 19  # numbers worked on at once, which stay in the cache


@register("density.mixture")
class MixtureDensity(nn.Module):
    r"""Mixture of Gaussians with full covariances, :math:`\log p(z) = \log \sum_k \pi_k \mathcal N(z; \mu_k, L_k L_k^\top)`.

    Its numbers are found by `isthmus.tasks.density`, not by gradient; with one component it is a Gaussian.

    Parameters
    ----------
    latent : int
        Width of the code.
    components : int
        How many Gaussians.

    Raises
    ------
    ConfigError
        If a number is below 1.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020, section 4.

    Examples
    --------
    >>> MixtureDensity(2, 1).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    log_weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        if latent < 1 or components < 1:
            raise ConfigError(f"a mixture needs a code of at least 1 unit and at least 1 component, not {latent} and {components}")
        self.latent = int(latent)
        self.components = int(components)
        self.register_buffer("log_weights", torch.full((components,), -math.log(components)))
        self.register_buffer("means", torch.zeros(components, latent))
        self.register_buffer("factors", torch.eye(latent).repeat(components, 1, 1))

    def squares(self, z: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance of codes from the mean of every component, shape (batch, components)."""
        eye = torch.eye(self.latent, dtype=z.dtype, device=z.device)
        whitening = _LINALG.solve_triangular(self.factors.to(z.dtype), eye, upper=False)
        centres = (whitening @ self.means.to(z.dtype)[:, :, None]).reshape(-1)
        flat = whitening.reshape(-1, self.latent)
        size = max(1, BLOCK // len(flat))
        parts = (torch.addmm(-centres, z[i : i + size], flat.T) for i in range(0, max(1, len(z)), size))
        return torch.cat([part.view(-1, self.components, self.latent).square().sum(2) for part in parts])

    def component_log_prob(self, z: Tensor) -> Tensor:
        """Return log(weight * density) of every component, shape (batch, components)."""
        volume = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        return self.log_weights - volume - self.latent * HALF_LOG_2PI - 0.5 * self.squares(z)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density of codes of shape (batch, latent) in nats, shape (batch,)."""
        return torch.logsumexp(self.component_log_prob(z), dim=1)

    def forward(self, z: Tensor) -> Tensor:
        """Same as `log_prob`."""
        return self.log_prob(z)

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent), in no order of their components."""
        u = noise.uniform(torch.empty(rows, dtype=torch.float64))
        chosen = torch.searchsorted(self.log_weights.double().exp().cumsum(0), u).clamp_max(self.components - 1)
        eps = noise.normal(torch.empty(rows, self.latent, dtype=self.means.dtype))
        return self.means[chosen] + (self.factors[chosen] @ eps[:, :, None]).squeeze(2)
