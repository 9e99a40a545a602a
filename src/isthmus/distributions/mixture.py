"""Densities of points under many diagonal Gaussians at once."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions.noise import Noise
from isthmus.distributions.real import HALF_LOG_2PI

AT_ONCE = 8_000_000  # numbers of a block: what bounds the memory


def pairwise(z: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """Log density of each coordinate of each point under each Gaussian.

    Parameters
    ----------
    z : Tensor of shape (n, d)
    location, log_scale : Tensor of shape (k, d)

    Returns
    -------
    Tensor of shape (n, k, d)

    Examples
    --------
    >>> pairwise(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    tensor([[[-0.9189]]])
    """
    eps = (z[:, None] - location) * (-log_scale).exp()
    return -0.5 * eps.square() - (log_scale + HALF_LOG_2PI)


def mixture_log_prob(z: Tensor, log_shares: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """Log density of each point under a mixture of diagonal Gaussians.

    Parameters
    ----------
    z : Tensor of shape (n, d)
    log_shares : Tensor of shape (k,)
    location, log_scale : Tensor of shape (k, d)

    Returns
    -------
    Tensor of shape (n,)

    Examples
    --------
    >>> mixture_log_prob(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1, 1), torch.zeros(1, 1))
    tensor([-0.9189])
    """
    blocks = torch.split(z, max(1, AT_ONCE // location.numel()))
    return torch.cat([(log_shares + pairwise(part, location, log_scale).sum(2)).logsumexp(1) for part in blocks])


def mixture_sample(rows: int, log_shares: Tensor, location: Tensor, log_scale: Tensor, noise: Noise) -> Tensor:
    """Draw points of a mixture of diagonal Gaussians.

    Parameters
    ----------
    rows : int
    log_shares : Tensor of shape (k,)
    location, log_scale : Tensor of shape (k, d)
    noise : Noise

    Returns
    -------
    Tensor of shape (rows, d)

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> noise = GeneratorNoise(torch.Generator().manual_seed(0))
    >>> mixture_sample(3, torch.zeros(1), torch.zeros(1, 2), torch.zeros(1, 2), noise).shape
    torch.Size([3, 2])
    """
    reached = log_shares.exp().cumsum(0)
    u = noise.uniform(location.new_empty(rows))
    chosen = torch.searchsorted(reached, u * reached[-1], right=True).clamp_max(len(log_shares) - 1)
    return torch.addcmul(location[chosen], noise.normal(location.new_empty(rows, location.shape[1])), log_scale[chosen].exp())
