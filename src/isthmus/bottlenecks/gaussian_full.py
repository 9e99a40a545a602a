"""The Gaussian bottleneck with any covariance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.gaussian import HIGHEST, LOWEST
from isthmus.distributions.full_normal import FullNormal
from isthmus.spec import register


@register("bottleneck.full_gaussian")
class FullGaussian(Bottleneck):
    r"""Gaussian :math:`q(z|x) = \mathcal N(\mu(x), L(x)L(x)^\top)` whose units may depend on each other given the row.

    The encoder gives :math:`\mu`, then the logs of the diagonal of L within [-10, 10], then what lies below it in units of the diagonal.

    Parameters
    ----------
    latent : int
        Width of the code.

    References
    ----------
    Kingma and Welling, "An introduction to variational autoencoders", 2019, section 2.5.1.

    Examples
    --------
    >>> FullGaussian(2)(torch.zeros(1, 5)).factor
    tensor([[[1., 0.],
             [0., 1.]]])
    """

    @property
    def inputs(self) -> int:
        """Numbers the encoder must give."""
        return 2 * self.latent + self.latent * (self.latent - 1) // 2

    def forward(self, h: Tensor) -> FullNormal:
        """Map (batch, inputs) to the posterior."""
        d = self.latent
        scale = functional.hardtanh(h[:, d : 2 * d], LOWEST, HIGHEST).exp()
        row, column = torch.tril_indices(d, d, -1, device=h.device)
        below = h.new_zeros(h.shape[0], d, d).index_put((torch.arange(h.shape[0], device=h.device)[:, None], row, column), h[:, 2 * d :])
        unit = below + torch.eye(d, dtype=h.dtype, device=h.device)
        return FullNormal(h[:, :d], scale[..., None] * unit)
