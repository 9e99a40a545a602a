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

    def given_parts(self, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        r"""Return what the density of a code's first units is, given the others, for each component.

        With the covariance's factor in the order (condition, code), :math:`\begin{pmatrix}A & 0\\ B & C\end{pmatrix}`, the code given the
        condition c is Gaussian with mean :math:`\mu + B A^{-1}(c - \mu_c)` and factor C, and each component weighs
        :math:`\pi_k\,\mathcal N(c; \mu_c, AA^\top)`.

        Parameters
        ----------
        conditions : Tensor of shape (rows, width)
            The last units of the codes.

        Returns
        -------
        log_weights : Tensor of shape (rows, components)
            Log of what each component weighs, not normalised: their sum is the density of the condition.
        standard : Tensor of shape (components, rows, width)
            :math:`A^{-1}(c - \mu_c)`.
        gains : Tensor of shape (components, latent - width, width)
            B.
        factors : Tensor of shape (components, latent - width, latent - width)
            C.
        """
        width = conditions.shape[1]
        factors = self.factors.double().roll(width, 1)
        # Of correlations: units that hardly vary beside others would make a covariance singular.
        spread = factors.square().sum(2, keepdim=True).sqrt()
        turned: Tensor = spread * _LINALG.cholesky((factors / spread) @ (factors / spread).transpose(1, 2))
        first = turned[:, :width, :width]
        apart = conditions.double()[None] - self.means[:, None, -width:].double()
        standard: Tensor = _LINALG.solve_triangular(first, apart.transpose(1, 2), upper=False).transpose(1, 2)
        volume = first.diagonal(dim1=1, dim2=2).log().sum(1) + width * HALF_LOG_2PI
        log_weights = self.log_weights.double()[:, None] - volume[:, None] - 0.5 * standard.square().sum(2)
        return log_weights.T, standard, turned[:, width:, :width], turned[:, width:, width:]

    def log_prob_given(self, z: Tensor, width: int) -> Tensor:
        """Return the log density of codes given their last `width` units, shape (batch,)."""
        return self.log_prob(z) - self.given_parts(z[:, -width:])[0].logsumexp(1).to(z.dtype)

    def given(self, conditions: Tensor, noise: Noise) -> Tensor:
        """Draw codes whose last units are given, shape (rows, latent).

        Examples
        --------
        >>> from isthmus.distributions import GeneratorNoise
        >>> z = MixtureDensity(3, 2).given(torch.ones(4, 1), GeneratorNoise(torch.Generator().manual_seed(0)))
        >>> z.shape, z[:, 2].tolist()
        (torch.Size([4, 3]), [1.0, 1.0, 1.0, 1.0])
        """
        log_weights, standard, gains, factors = self.given_parts(conditions)
        reached = log_weights.softmax(1).cumsum(1)
        u = noise.uniform(reached[:, :1])
        chosen = (reached <= u * reached[:, -1:]).sum(1).clamp_max(self.components - 1)
        means = self.means[:, : -conditions.shape[1]].double()
        along = (gains[chosen] @ standard[chosen, torch.arange(len(chosen))][:, :, None]).squeeze(2)
        eps = noise.normal(means[chosen])
        drawn = means[chosen] + along + (factors[chosen] @ eps[:, :, None]).squeeze(2)
        return torch.cat([drawn.to(self.means.dtype), conditions.to(self.means.dtype)], dim=1)
