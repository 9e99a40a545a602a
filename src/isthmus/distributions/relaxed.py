"""Groups of categories, relaxed so that gradients pass through draws."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import Domain, Posterior


class RelaxedCategorical(Posterior):
    r"""Gumbel-softmax: :math:`z = \mathrm{softmax}((\log\pi + g)/\tau)` with Gumbel noise g, in groups; or the one-hot vectors it tends to.

    Parameters
    ----------
    logits : Tensor of shape (batch, groups, categories)
    temperature : float
        :math:`\tau`, positive.
    hard : bool
        Whether draws are one-hot vectors, through which no gradient passes.

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017; the density: Maddison, Mnih and Teh,
    "The concrete distribution", ICLR 2017, equation 10.

    Examples
    --------
    >>> RelaxedCategorical(torch.zeros(1, 2, 2)).mean
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """

    domain: ClassVar[Domain] = "simplex"

    def __init__(self, logits: Tensor, temperature: float = 0.5, hard: bool = False) -> None:
        self.logits = logits.log_softmax(2)
        self.temperature = temperature
        self.hard = hard

    @property
    def mean(self) -> Tensor:
        """The probabilities, shape (batch, groups * categories)."""
        return self.logits.exp().flatten(1)

    @property
    def variances(self) -> Tensor:
        """Variance of each entry of the one-hot vectors."""
        return self.mean * (1 - self.mean)

    @property
    def entropies(self) -> Tensor:
        """Entropy of each group's category, shape (batch, groups)."""
        return -(self.logits.exp() * self.logits).sum(2)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability of one-hot vectors, or log density of relaxed ones, in nats, shape (batch,)."""
        x = x.view_as(self.logits)
        if self.hard:
            return (self.logits * x).sum((1, 2))
        count, tau = x.shape[2], self.temperature
        log_x = x.clamp_min(torch.finfo(x.dtype).tiny).log()
        constant = math.lgamma(count) + (count - 1) * math.log(tau)
        spread = count * (self.logits - tau * log_x).logsumexp(2)
        return ((self.logits - (tau + 1) * log_x).sum(2) - spread + constant).sum(1)

    def sample(self, noise: Noise) -> Tensor:
        """Draw, shape (batch, groups * categories); gradients pass unless hard."""
        tiny = torch.finfo(self.logits.dtype).tiny
        gumbel = -torch.log((-torch.log(noise.uniform(self.logits).clamp_min(tiny))).clamp_min(tiny))
        scores = self.logits + gumbel
        if self.hard:
            return functional.one_hot(scores.argmax(2), scores.shape[2]).to(scores.dtype).flatten(1)
        return (scores / self.temperature).softmax(2).flatten(1)
