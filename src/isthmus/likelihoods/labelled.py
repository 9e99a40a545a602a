"""Any likelihood, of rows that are followed by their condition."""

from __future__ import annotations

from math import prod

from torch import Tensor

from isthmus.distributions.labelled import Labelled
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register


@register("likelihood.labelled")
class LabelledRows(Likelihood):
    """Explains the row given its condition; the condition itself is not explained.

    Parameters
    ----------
    inner : Likelihood
        What explains the row.
    width : int
        Width of the condition.

    Examples
    --------
    >>> import torch
    >>> from isthmus.likelihoods import Gaussian
    >>> LabelledRows(Gaussian((3,)), 2)(torch.zeros(1, 5)).mean.shape
    torch.Size([1, 5])
    """

    def __init__(self, inner: Likelihood, width: int) -> None:
        super().__init__((prod(inner.shape) + width,))
        self.inner, self.width = inner, int(width)
        self.support = inner.support

    @property
    def shape_in(self) -> tuple[int, ...]:
        """Shape of what the decoder must give: all numbers flat, then the condition."""
        return (prod(self.inner.shape_in) + self.width,)

    def begin(self, rows: Tensor) -> None:
        """Hand on the rows without their condition."""
        self.inner.begin(rows[:, : -self.width].reshape(len(rows), *self.inner.shape))

    def check(self, rows: Tensor) -> None:
        """Hand on the rows without their condition."""
        self.inner.check(rows[:, : -self.width].reshape(len(rows), *self.inner.shape))

    def forward(self, h: Tensor) -> Labelled:
        """Map (batch, numbers + width) to rows and conditions."""
        numbers = h[:, : -self.width].reshape(h.shape[0], *self.inner.shape_in)
        return Labelled(self.inner(numbers), h[:, -self.width :], self.inner.shape)
