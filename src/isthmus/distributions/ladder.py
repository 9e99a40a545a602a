"""A posterior of two levels, drawn from the top down."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import Posterior
from isthmus.distributions.real import Normal

Descent = Callable[[Tensor], Normal]


def merged(a: Normal, b: Normal) -> Normal:
    r"""Return the Gaussian of two pieces of evidence, weighed by their precisions: the product of both densities, normalised.

    Examples
    --------
    >>> merged(Normal(torch.zeros(1, 1)), Normal(torch.full((1, 1), 2.0))).mean
    tensor([[1.]])
    """
    first, second = a.scale.square().reciprocal(), b.scale.square().reciprocal()
    total = first + second
    return Normal((first * a.location + second * b.location) / total, -0.5 * total.log())


class TwoLevels(Posterior):
    r""":math:`q(z_2|x)\,q(z_1|x,z_2)`, codes side by side as :math:`(z_1, z_2)`.

    The lower level weighs what the row says of it with what the generative model :math:`p(z_1|z_2)` says, by their precisions.

    Parameters
    ----------
    evidence : Normal
        What the row says of the lower level.
    top : Normal
        :math:`q(z_2|x)`.
    descend : callable
        From :math:`z_2` to :math:`p(z_1|z_2)`.

    References
    ----------
    Sonderby et al., "Ladder variational autoencoders", NeurIPS 2016, equations 17 to 19.

    Examples
    --------
    >>> flat = Normal(torch.zeros(1, 2), torch.zeros(1, 2))
    >>> TwoLevels(flat, flat, lambda z: flat).mean.shape
    torch.Size([1, 4])
    """

    def __init__(self, evidence: Normal, top: Normal, descend: Descent) -> None:
        self.evidence, self.top, self.descend = evidence, top, descend

    def lower(self, top: Tensor) -> Normal:
        """Return q(z1 | x, z2)."""
        return merged(self.evidence, self.descend(top))

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return both levels of a code, the lower one first."""
        width = self.evidence.location.shape[1]
        return z[:, :width], z[:, width:]

    @property
    def mean(self) -> Tensor:
        """Mean of the top level, and that of the lower one given it."""
        return torch.cat([self.lower(self.top.mean).mean, self.top.mean], dim=1)

    @property
    def variances(self) -> Tensor:
        """Variances of the top level, and those of the lower one given the top's mean."""
        return torch.cat([self.lower(self.top.mean).scale.square(), self.top.scale.square()], dim=1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        lower, top = self.split(x)
        return self.top.log_prob(top) + self.lower(top).log_prob(lower)

    def sample(self, noise: Noise) -> Tensor:
        """Draw the top level, then the lower one given it; gradients pass."""
        top = self.top.sample(noise)
        return torch.cat([self.lower(top).sample(noise), top], dim=1)
