"""The likelihood of rows of counts whose sum is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.distributions.pixels import Multinomial as MultinomialDistribution
from isthmus.errors import ConfigError
from isthmus.likelihoods.base import Likelihood
from isthmus.likelihoods.counts import refuse_no_counts
from isthmus.spec import register


@register("likelihood.multinomial")
class Multinomial(Likelihood):
    """How the counts of a row fall into its places, given their sum: words of a text, clicks of a user. Its coefficient is kept.

    A row that is drawn has as many things as the training rows have on average; a row that is scored has its own sum.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row, a vector.

    Raises
    ------
    ConfigError
        If rows are no vectors.

    References
    ----------
    Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018, section 2.1.

    Examples
    --------
    >>> likelihood = Multinomial((2,))
    >>> likelihood.begin(torch.tensor([[1.0, 3.0]]))
    >>> likelihood(torch.zeros(1, 1, 2)).mean
    tensor([[2., 2.]])
    """

    total: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        if len(self.shape) != 1:
            raise ConfigError(f"the likelihood 'multinomial' takes rows of counts, not pictures of shape {self.shape}")
        self.register_buffer("total", torch.ones(1))

    def initialise(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Begin with rows of one thing."""
        self.total.fill_(1.0)

    def begin(self, rows: Tensor) -> None:
        """Take the mean sum of training rows.

        Raises
        ------
        DataError
            If a value is no count.
        """
        self.check(rows)
        self.total.fill_(max(1.0, float(rows.sum(1).mean())))

    def check(self, rows: Tensor) -> None:
        """Refuse rows that hold anything but counts; errors as for `begin`."""
        refuse_no_counts(rows, "multinomial")

    def forward(self, h: Tensor) -> MultinomialDistribution:
        """Map logits (batch, 1, \\*shape) to counts."""
        return MultinomialDistribution(h.flatten(1), self.total)
