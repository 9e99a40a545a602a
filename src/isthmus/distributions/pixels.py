"""Distributions over the grey levels of pictures, and over how a number of counts falls into places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions.base import Distribution, sum_rows
from isthmus.distributions.noise import Noise

LEVELS = 256


def _pick(weights: Tensor, u: Tensor) -> Tensor:
    """Return which part of a unit interval, cut by `weights` along axis 1, each `u` falls into."""
    reached = weights.detach().cumsum(1)
    return (reached <= (u * reached[:, -1])[:, None]).sum(1).clamp_max(weights.shape[1] - 1)


class LogisticMixture(Distribution):
    r"""Mixture of discretised logistics over the levels 0, 1/255 ... 1.

    :math:`P(x) = \sum_i\pi_i[\sigma((x^+-\mu_i)/s_i)-\sigma((x^--\mu_i)/s_i)]`, where :math:`x^\pm` are the edges of the level's bin;
    the outermost bins reach to infinity. It is a probability of 8-bit pictures, in nats, and each value is independent of the others
    given the code.

    Parameters
    ----------
    logits, location, log_scale : Tensor of shape (batch, mixtures, ...)
        Of the shares, and of the logistics in units of the full range.

    References
    ----------
    Salimans et al., "PixelCNN++", ICLR 2017, section 2.1.

    Examples
    --------
    >>> p = LogisticMixture(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))
    >>> levels = torch.arange(256.0).view(-1, 1) / 255
    >>> round(float(p.log_prob(levels).exp().sum()), 4)
    1.0
    """

    def __init__(self, logits: Tensor, location: Tensor, log_scale: Tensor) -> None:
        self.logits, self.location, self.log_scale = logits.log_softmax(1), location, log_scale

    @property
    def mean(self) -> Tensor:
        """Expected level, within half a level: the mean of each logistic held within [0, 1]."""
        scale = self.log_scale.exp()
        inside = scale * (functional.softplus(self.location / scale) - functional.softplus((self.location - 1) / scale))
        return (self.logits.exp() * inside).sum(1).clamp(0, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability of values at the levels, in nats, shape (batch,)."""
        x = x[:, None]
        half, inverse = 0.5 / (LEVELS - 1), (-self.log_scale).exp()
        upper, lower = ((x - self.location + sign * half) * inverse for sign in (1, -1))
        lowest, highest = functional.logsigmoid(upper), functional.logsigmoid(-lower)
        # log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a - b)), which never rounds to nothing
        between = lowest + highest + torch.log(-torch.expm1(lower - upper))
        found = torch.where(x < half, lowest, torch.where(x > 1 - half, highest, between))
        return sum_rows((self.logits + found).logsumexp(1))

    def sample(self, noise: Noise) -> Tensor:
        """Draw levels; no gradient passes."""
        chosen = _pick(self.logits.exp(), noise.uniform(self.logits[:, 0]))[:, None]
        location, log_scale = (part.detach().gather(1, chosen).squeeze(1) for part in (self.location, self.log_scale))
        eps = torch.finfo(location.dtype).eps
        u = noise.uniform(location).clamp(eps, 1 - eps)
        value = location + log_scale.exp() * (u.log() - torch.log1p(-u))
        return (value.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)


class Levels(Distribution):
    r"""A category for each level of each value: :math:`P(x = k/(K-1)) = \mathrm{softmax}(l)_k`.

    Parameters
    ----------
    logits : Tensor of shape (batch, levels, ...)

    References
    ----------
    van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 2.2.

    Examples
    --------
    >>> Levels(torch.zeros(1, 2, 1)).mean
    tensor([[0.5000]])
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def _top(self) -> int:
        return self.logits.shape[1] - 1

    @property
    def mean(self) -> Tensor:
        """Expected level, within [0, 1]."""
        values = torch.linspace(0, 1, self._top + 1, dtype=self.logits.dtype, device=self.logits.device)
        return (self.logits.softmax(1).movedim(1, -1) * values).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability of the levels nearest to `x`, in nats, shape (batch,)."""
        index = (x.clamp(0, 1) * self._top).round().long()
        return sum_rows(self.logits.log_softmax(1).gather(1, index[:, None]).squeeze(1))

    def sample(self, noise: Noise) -> Tensor:
        """Draw levels; no gradient passes."""
        chosen = _pick(self.logits.softmax(1), noise.uniform(self.logits[:, 0]))
        return chosen.to(self.logits.dtype) / self._top


class Multinomial(Distribution):
    r"""Counts of n things in d places: :math:`\log P(x) = \log\frac{n!}{\prod_i x_i!} + \sum_i x_i\log\mathrm{softmax}(l)_i`.

    n is that of `x`.

    Parameters
    ----------
    logits : Tensor of shape (batch, d)
    total : Tensor of shape (1,), or float
        The number of things of a row that is drawn, and of the mean.

    Examples
    --------
    >>> Multinomial(torch.zeros(1, 2), total=4.0).mean
    tensor([[2., 2.]])
    """

    def __init__(self, logits: Tensor, total: Tensor | float = 1.0) -> None:
        self.logits, self.total = logits, total

    @property
    def mean(self) -> Tensor:
        """Expected counts of a row of `total` things."""
        return self.total * self.logits.softmax(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability in nats, its coefficient included, shape (batch,)."""
        coefficient = torch.lgamma(x.sum(1) + 1) - torch.lgamma(x + 1).sum(1)
        return coefficient + (x * self.logits.log_softmax(1)).sum(1)

    def sample(self, noise: Noise) -> Tensor:
        """Draw counts of `total` things, rounded; no gradient passes."""
        places = self.logits.softmax(1)
        drawn = torch.zeros_like(places)
        for _ in range(max(1, round(float(self.total)))):
            chosen = _pick(places, noise.uniform(places[:, 0]))
            drawn.scatter_add_(1, chosen[:, None], torch.ones_like(places[:, :1]))
        return drawn
