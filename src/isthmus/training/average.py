"""A moving average of the weights, which is what a run evaluates and keeps."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

START = 10  # steps over which the average forgets the first weights, whatever the decay


class Average:
    r"""Moving average of parameters, :math:`a \leftarrow d_t\,a + (1-d_t)\,\theta` with :math:`d_t = \min(d, (1+t)/(10+t))` after step t.

    The rising :math:`d_t` keeps the first, random weights out of it. Buffers are not averaged.

    Parameters
    ----------
    parts : sequence of torch.nn.Module
        What is averaged: their parameters that learn.
    decay : float
        d, at least 0 and below 1; 0 for no average at all.

    References
    ----------
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and Optimization 30, 1992; the
    exponential form with this d_t: Kingma and Ba, "Adam", ICLR 2015, section 7.2, and TensorFlow's ``ExponentialMovingAverage``.

    Examples
    --------
    >>> layer = nn.Linear(1, 1)
    >>> average = Average([layer], decay=0.999)
    >>> with torch.no_grad():
    ...     _ = layer.weight.fill_(3.0)
    >>> average.update(1)
    >>> with average.shown():
    ...     bool(layer.weight.detach() != 3.0)
    True
    >>> float(layer.weight.detach())
    3.0
    """

    def __init__(self, parts: Sequence[nn.Module], decay: float) -> None:
        self.decay = decay
        self.weights = [p for part in parts for p in part.parameters() if p.requires_grad] if decay else []
        self.values = [p.detach().clone() for p in self.weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after `step` steps."""
        if self.weights:
            share = 1 - min(self.decay, (1 + step) / (START + step))
            torch._foreach_lerp_(self.values, self.weights, share)  # pyright: ignore

    @contextmanager
    def shown(self) -> Generator[None]:
        """Let the average stand in place of the weights within the block."""
        before = [p.detach().clone() for p in self.weights]
        self._put(self.values)
        try:
            yield
        finally:
            self._put(before)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for weight, value in zip(self.weights, values):
            weight.copy_(value)

    def state(self) -> dict[str, Tensor]:
        """Return the average by parameter number."""
        return {str(i): value for i, value in enumerate(self.values)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for name, value in self.state().items():
            value.copy_(state[name])
