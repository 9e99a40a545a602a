"""Codes that take one of finitely many values."""

from __future__ import annotations

from torch import Tensor

from isthmus.distributions.base import Delta


class Quantised(Delta):
    """The nearest of finitely many codes; the gradient passes as if it were the code before rounding.

    Parameters
    ----------
    raw : Tensor of shape (batch, latent)
        The code before rounding.
    value : Tensor of shape (batch, latent)
        The code after it.
    indices : Tensor of shape (batch, groups), int64
        Which value each group took.

    References
    ----------
    The straight-through gradient: Bengio, Leonard and Courville, 2013; van den Oord et al., NeurIPS 2017, section 3.2.

    Examples
    --------
    >>> import torch
    >>> Quantised(torch.tensor([[0.3]]), torch.tensor([[0.0]]), torch.zeros(1, 1, dtype=torch.int64)).mean
    tensor([[0.]])
    """

    def __init__(self, raw: Tensor, value: Tensor, indices: Tensor) -> None:
        super().__init__(raw + (value - raw).detach() if raw.requires_grad else value)
        self.raw = raw
        self.nearest = value
        self.indices = indices
