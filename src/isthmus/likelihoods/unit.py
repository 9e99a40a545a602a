"""Likelihoods for values in {0, 1} and in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isthmus.distributions import Bernoulli as BernoulliDistribution
from isthmus.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from isthmus.errors import DataError
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register

RAREST = 1e-3


@register("likelihood.bernoulli")
class Bernoulli(Likelihood):
    """Independent coins for values in {0, 1}; its negative log is the binary cross-entropy.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    offset : bool
        Whether each value has a learned log-odds of its own, to which the decoder's number is added; it begins at that of the training
        rows, so that a decoder, above all one of convolutions, has only to learn how a row differs.

    Examples
    --------
    >>> Bernoulli((3,))(torch.zeros(2, 1, 3)).mean[0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    support = "binary"

    def __init__(self, shape: Sequence[int], offset: bool = False) -> None:
        super().__init__(shape)
        self.offset = nn.Parameter(torch.zeros(self.shape)) if offset else None

    def begin(self, rows: Tensor) -> None:
        """Take the log-odds of each value over the training rows, kept within what 1 value in 1,000 would give."""
        if self.offset is not None:
            with torch.no_grad():
                self.offset.copy_(rows.mean(0).clamp(RAREST, 1 - RAREST).logit())

    def check(self, rows: Tensor) -> None:
        """Refuse rows that hold anything but 0 and 1.

        Raises
        ------
        DataError
            If a value is neither.
        """
        wrong = ((rows != 0) & (rows != 1) & ~rows.isnan()).flatten(1)
        if bool(wrong.any()):
            row, place = (int(i) for i in wrong.nonzero()[0])
            value = float(rows.flatten(1)[row, place])
            raise DataError(
                f"the likelihood 'bernoulli' explains only 0 and 1, but row {row} has {value:g} in place {place}: binarise the data as "
                "those fitted on were, use treatment='threshold' or 'sample' where rows are evaluated, or fit with binarise='dynamic'"
            )

    def forward(self, h: Tensor) -> BernoulliDistribution:
        """Map logits (batch, 1, \\*shape) to coins."""
        logits = h.squeeze(1)
        return BernoulliDistribution(logits if self.offset is None else logits + self.offset)


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
