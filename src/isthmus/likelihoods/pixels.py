"""Likelihoods for pictures of 8 bits, as probabilities of their levels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from isthmus.distributions.pixels import LEVELS, Levels, LogisticMixture
from isthmus.errors import ConfigError
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register

NARROWEST, WIDEST = -7.0, 2.0
START = -2.5  # of the log scale: a tenth of the range


@register("likelihood.logistic_mixture")
class DiscretisedLogistic(Likelihood):
    """Mixture of discretised logistics: the probability of the 256 levels of pictures scaled to [0, 1].

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    mixtures : int
        Logistics for each value.

    Raises
    ------
    ConfigError
        If `mixtures` is below 1.

    References
    ----------
    Salimans et al., "PixelCNN++", ICLR 2017, section 2.1; the channels are independent here.

    Examples
    --------
    >>> import torch
    >>> DiscretisedLogistic((3,), mixtures=2)(torch.zeros(1, 6, 3)).mean.shape
    torch.Size([1, 3])
    """

    support = "unit"

    def __init__(self, shape: Sequence[int], mixtures: int = 3) -> None:
        super().__init__(shape)
        if mixtures < 1:
            raise ConfigError(f"mixtures must be at least 1, not {mixtures}")
        self.mixtures = mixtures
        self.parameters_per_value = 3 * mixtures

    def forward(self, h: Tensor) -> LogisticMixture:
        """Map (batch, 3 * mixtures, \\*shape) to a mixture."""
        logits, location, log_scale = h.chunk(3, dim=1)
        # Spread over the range, so that the logistics do not begin as one.
        places = [(i + 0.5) / self.mixtures for i in range(self.mixtures)]
        spread = h.new_tensor(places).view(-1, *[1] * len(self.shape))
        return LogisticMixture(logits, location + spread, (log_scale + START).clamp(NARROWEST, WIDEST))


@register("likelihood.levels")
class PixelLevels(Likelihood):
    """A category for each level of each value: assumes nothing of how levels lie, and needs as many outputs.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    levels : int
        Levels within [0, 1]; values between them are rounded.

    Raises
    ------
    ConfigError
        If `levels` is not between 2 and 256.

    Examples
    --------
    >>> import torch
    >>> PixelLevels((3,), levels=4)(torch.zeros(1, 4, 3)).mean
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    support = "unit"

    def __init__(self, shape: Sequence[int], levels: int = LEVELS) -> None:
        super().__init__(shape)
        if not 2 <= levels <= LEVELS:
            raise ConfigError(f"levels must lie between 2 and {LEVELS}, not {levels}")
        self.parameters_per_value = levels

    def forward(self, h: Tensor) -> Levels:
        """Map (batch, levels, \\*shape) to categories."""
        return Levels(h)
