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

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Map h of shape (batch, parameters_per_value, \\*shape) to a distribution over rows of `shape`."""
