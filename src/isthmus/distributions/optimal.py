"""The Gaussian whose scale is the best one for the rows it meets."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions.real import Normal

FOLLOWED = 0.02  # share of each batch in the moving average


class OptimalNormal(Normal):
    r"""Gaussian of scale :math:`\sigma^* = \sqrt{\mathrm{mean}((x-\mu)^2)}` over the batch in training, and of the kept average else.

    In training the negative log density of a batch is thus :math:`\tfrac d2\log\mathrm{MSE}` and a constant, with the gradient of this.

    Parameters
    ----------
    location : Tensor of shape (batch, ...)
    kept : Tensor of shape (1,)
        Log of the moving average of the variance; changed in training.
    follows : bool
        Whether this is training.

    References
    ----------
    Rybkin, Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders", ICML 2021, equation 8.

    Examples
    --------
    >>> p = OptimalNormal(torch.zeros(2, 1), torch.zeros(1), follows=True)
    >>> p.log_prob(torch.tensor([[2.0], [-2.0]]))
    tensor([-2.1121, -2.1121])
    """

    def __init__(self, location: Tensor, kept: Tensor, follows: bool) -> None:
        super().__init__(location, 0.5 * kept)
        self.kept, self.follows = kept, follows

    def nats(self, x: Tensor) -> Tensor:
        """Negative log density, shape (batch,)."""
        if self.follows:
            variance = (x - self.location).square().mean().clamp_min(1e-6).reshape(1)
            self.log_scale = 0.5 * variance.log()
            with torch.no_grad():
                average = torch.lerp(self.kept.exp(), variance.detach().to(self.kept.dtype), FOLLOWED)
                self.kept.copy_(average.log())
        return super().nats(x)
