"""A distribution over something with what is known of it beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.distributions.base import Distribution
from isthmus.distributions.noise import Noise
from isthmus.distributions.posterior import Posterior, entropies, variances


class Labelled(Posterior):
    """A distribution over codes or rows, each followed by a condition that is given: its density is that of the first part.

    Parameters
    ----------
    inner : Distribution
        Over tensors of shape (batch, \\*shape).
    label : Tensor of shape (batch, width)
        The condition.
    shape : sequence of int
        Shape of what `inner` is over.

    Examples
    --------
    >>> from isthmus.distributions import Normal
    >>> Labelled(Normal(torch.zeros(1, 2)), torch.ones(1, 1), (2,)).mean
    tensor([[0., 0., 1.]])
    """

    def __init__(self, inner: Distribution, label: Tensor, shape: Sequence[int]) -> None:
        self.inner, self.label, self.shape = inner, label, tuple(shape)

    def _beside(self, values: Tensor) -> Tensor:
        return torch.cat([values.flatten(1), self.label.to(values.dtype)], dim=1)

    def bare(self, x: Tensor) -> Tensor:
        """Return the first part of `x`, shape (batch, \\*shape)."""
        return x[:, : x.shape[1] - self.label.shape[1]].reshape(x.shape[0], *self.shape)

    @property
    def mean(self) -> Tensor:
        """Mean and condition."""
        return self._beside(self.inner.mean)

    @property
    def variances(self) -> Tensor:
        """Variances, zero for the condition."""
        found = variances(self.inner)
        return torch.cat([found.flatten(1), torch.zeros_like(self.label, dtype=found.dtype)], dim=1)

    @property
    def entropies(self) -> Tensor | None:
        """Entropies of the first part."""
        return entropies(self.inner)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of the first part given the condition, shape (batch,)."""
        return self.inner.log_prob(self.bare(x))

    def observed(self, x: Tensor) -> Tensor | None:
        """Which values of the first part count; the condition always does."""
        found = self.inner.observed(self.bare(x))
        return None if found is None else torch.cat([found.flatten(1), torch.ones_like(self.label, dtype=found.dtype)], dim=1)

    def nats(self, x: Tensor) -> Tensor:
        """Negative of `log_prob`, shape (batch,)."""
        return self.inner.nats(self.bare(x))

    def sample(self, noise: Noise) -> Tensor:
        """Draw the first part."""
        return self._beside(self.inner.sample(noise))


def bare(q: Distribution, z: Tensor) -> tuple[Distribution, Tensor]:
    """Return a distribution and a draw of it without their condition, if they have one.

    Examples
    --------
    >>> from isthmus.distributions import Normal
    >>> q = Labelled(Normal(torch.zeros(1, 2)), torch.ones(1, 1), (2,))
    >>> bare(q, q.mean)[1].shape
    torch.Size([1, 2])
    """
    return (q.inner, q.bare(z)) if isinstance(q, Labelled) else (q, z)
