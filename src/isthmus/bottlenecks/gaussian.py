"""Bottlenecks that are Gaussian given the input."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck
from isthmus.distributions import Normal
from isthmus.spec import register

LOWEST, HIGHEST = -10.0, 10.0


@register("bottleneck.gaussian")
class Gaussian(Bottleneck):
    r"""Diagonal Gaussian :math:`q(z|x) = \mathcal N(\mu(x), \mathrm{diag}\,\sigma^2(x))`.

    The encoder gives :math:`\mu` and then :math:`\log\sigma`; the latter is kept within [-10, 10].

    Parameters
    ----------
    latent : int
        Width of the code.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Examples
    --------
    >>> import torch
    >>> Gaussian(2)(torch.zeros(1, 4)).scale
    tensor([[1., 1.]])
    """

    multiplier = 2

    def forward(self, h: Tensor) -> Normal:
        """Map (batch, 2 * latent) to the posterior."""
        return normal(h)


def normal(h: Tensor) -> Normal:
    """Return the Gaussian of locations and log scales side by side, shape (batch, 2 * latent)."""
    location, log_scale = h.chunk(2, dim=1)
    return Normal(location, functional.hardtanh(log_scale, LOWEST, HIGHEST))
