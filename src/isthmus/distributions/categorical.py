"""One of several categories, given by logits."""

from __future__ import annotations

from torch import Tensor

from isthmus.distributions.base import Valuewise
from isthmus.distributions.noise import Noise


class Categorical(Valuewise):
    r"""One of K categories, :math:`\log p(x) = \sum_k x_k \log \mathrm{softmax}(l)_k`, for `x` with a single one.

    Parameters
    ----------
    logits : Tensor of shape (batch, ..., K)
        A category that cannot be has the logit minus infinity.

    Examples
    --------
    >>> import torch
    >>> Categorical(torch.zeros(1, 2)).log_prob(torch.tensor([[0.0, 1.0]]))
    tensor([-0.6931])
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        """Probability of each category."""
        return self.logits.softmax(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable category, as a single one."""
        return one_hot(self.logits.argmax(-1), self.logits)

    def log_probs(self, x: Tensor) -> Tensor:
        """Log probability in nats, shape (batch, ...): one axis less than `x`."""
        possible = x != 0
        return (self.logits.log_softmax(-1).masked_fill(~possible, 0.0) * x).sum(-1)

    def sample(self, noise: Noise) -> Tensor:
        """Draw by the inverse distribution function; no gradient passes."""
        u = noise.uniform(self.logits[..., 0])[..., None]
        reached = self.mean.detach().double().cumsum(-1)
        # Rounding may leave the last sum below u.
        return one_hot((reached <= u * reached[..., -1:]).sum(-1).clamp_max(self.logits.shape[-1] - 1), self.logits)


def one_hot(index: Tensor, like: Tensor) -> Tensor:
    """Return zeros with a one at `index` along the last axis, with the shape and type of `like`."""
    return like.new_zeros(like.shape).scatter_(-1, index[..., None], 1.0)
