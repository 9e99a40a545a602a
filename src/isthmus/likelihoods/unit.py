"""Likelihoods for values in {0, 1} and in [0, 1]."""

from __future__ import annotations

from torch import Tensor

from isthmus.distributions import Bernoulli as BernoulliDistribution
from isthmus.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register


@register("likelihood.bernoulli")
class Bernoulli(Likelihood):
    """Independent coins for values in {0, 1}; its negative log is the binary cross-entropy.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.

    Examples
    --------
    >>> import torch
    >>> Bernoulli((3,))(torch.zeros(2, 1, 3)).mean[0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    support = "binary"

    def forward(self, h: Tensor) -> BernoulliDistribution:
        """Map logits (batch, 1, \\*shape) to coins."""
        return BernoulliDistribution(h.squeeze(1))


@register("likelihood.continuous_bernoulli")
class ContinuousBernoulli(Likelihood):
    """Density on [0, 1] for grey values: the binary cross-entropy made a likelihood by its normalising constant.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.

    Examples
    --------
    >>> import torch
    >>> ContinuousBernoulli((3,))(torch.zeros(2, 1, 3)).mean[0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    support = "unit"

    def forward(self, h: Tensor) -> ContinuousBernoulliDistribution:
        """Map logits (batch, 1, \\*shape) to densities on [0, 1]."""
        return ContinuousBernoulliDistribution(h.squeeze(1))
