"""Likelihoods of counts that are independent of each other given the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.distributions import NegativeBinomial as NegativeBinomialDistribution
from isthmus.distributions import Poisson as PoissonDistribution
from isthmus.errors import DataError
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register

LOWEST, HIGHEST = -12.0, 16.0  # of the log mean
SIZES = (-5.0, 10.0)  # of the log size
NEVER = 0.01  # mean of a count that is always 0


def refuse_no_counts(rows: Tensor, name: str) -> None:
    """Refuse rows, of shape (n, \\*shape), that hold anything but whole numbers of at least 0.

    Raises
    ------
    DataError
        If a value is no count.
    """
    flat = rows.flatten(1)
    wrong = (flat < 0) | (flat != flat.round())
    if bool(wrong.any()):
        row, place = (int(i) for i in wrong.nonzero()[0])
        raise DataError(
            f"the likelihood {name!r} explains counts, but row {row} has {float(flat[row, place]):g} in place {place}: "
            "give whole numbers of at least 0 and leave scaling='none', or use likelihood='gaussian'"
        )


class _Counts(Likelihood):
    """The decoder gives each value's log mean, from that of the training rows on."""

    name: ClassVar[str]
    offset: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.register_buffer("offset", torch.zeros(self.shape))

    def initialise(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Begin with means of 1."""
        self.offset.zero_()

    def begin(self, rows: Tensor) -> None:
        """Take the mean of each value of training rows.

        Raises
        ------
        DataError
            If a value is no count.
        """
        self.check(rows)
        self.offset.copy_(rows.mean(0).clamp_min(NEVER).log())

    def check(self, rows: Tensor) -> None:
        """Refuse rows that hold anything but counts; errors as for `begin`."""
        refuse_no_counts(rows, self.name)

    def _log_mean(self, h: Tensor) -> Tensor:
        return (h.squeeze(1) + self.offset).clamp(LOWEST, HIGHEST)


@register("likelihood.poisson")
class Poisson(_Counts):
    """Independent Poisson counts; the decoder gives the logarithms of their means, less those of the training rows.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.

    Examples
    --------
    >>> Poisson((3,))(torch.zeros(2, 1, 3)).mean.shape
    torch.Size([2, 3])
    """

    name: ClassVar[str] = "poisson"

    def forward(self, h: Tensor) -> PoissonDistribution:
        """Map (batch, 1, \\*shape) to counts."""
        return PoissonDistribution(self._log_mean(h))


@register("likelihood.negative_binomial")
class NegativeBinomial(_Counts):
    """Independent negative binomial counts, more scattered than Poisson's; how much is learned for each value.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.

    References
    ----------
    As the likelihood of an autoencoder of counts: Lopez et al., "Deep generative modeling for single-cell transcriptomics", Nature Methods
    2018.

    Examples
    --------
    >>> NegativeBinomial((3,))(torch.zeros(2, 1, 3)).mean.shape
    torch.Size([2, 3])
    """

    name: ClassVar[str] = "negative_binomial"

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.log_size = nn.Parameter(torch.zeros(self.shape))

    def initialise(self, generator: torch.Generator) -> None:
        """Begin with means and sizes of 1."""
        super().initialise(generator)
        with torch.no_grad():
            self.log_size.zero_()

    def forward(self, h: Tensor) -> NegativeBinomialDistribution:
        """Map (batch, 1, \\*shape) to counts."""
        return NegativeBinomialDistribution(self._log_mean(h), self.log_size.clamp(*SIZES))
