"""The interface of a likelihood."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from isthmus.distributions import Distribution


class Likelihood(nn.Module):
    """A map from the decoder's output to a distribution over rows of data.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.

    Attributes
    ----------
    parameters_per_value : int
        Numbers the decoder must give per value.
    support : {"real", "unit", "binary"}
        Where the values it can explain lie.
    """

    parameters_per_value: int = 1
    support: Literal["real", "unit", "binary"] = "real"

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    def shape_in(self) -> tuple[int, ...]:
        """Shape of what the decoder must give for a row: ``(parameters_per_value, *shape)`` unless a subclass says otherwise."""
        return (self.parameters_per_value, *self.shape)

    def begin(self, rows: Tensor) -> None:
        """Take what there is to know of the training rows, of shape (n, \\*shape), or refuse them; most likelihoods need nothing."""

    def check(self, rows: Tensor) -> None:
        """Refuse rows, of shape (n, \\*shape), to which it can give no probability; most likelihoods explain any."""

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Map h of shape (batch, \\*shape_in) to a distribution over rows of `shape`."""
