"""Networks in which each output knows only the inputs before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Masked(nn.Linear):
    """A dense layer some of whose weights are held at zero.

    Parameters
    ----------
    source, sink : sequence of int
        Degrees of inputs and outputs.
    strict : bool
        Connect an input to outputs of higher degree only; otherwise to those of the same or a higher one.
    """

    def __init__(self, source: list[int], sink: list[int], strict: bool = False) -> None:
        super().__init__(len(source), len(sink))  # pyright: ignore[reportUnknownMemberType]
        self._degrees = source, sink, strict
        self._mask: Tensor | None = None

    def mask(self) -> Tensor:
        """1 where a weight counts, shape (outputs, inputs)."""
        if self._mask is None or self._mask.device != self.weight.device or self._mask.dtype != self.weight.dtype:
            source, sink, strict = self._degrees
            like: dict[str, Any] = {"device": self.weight.device}
            # Kept beyond this call, which may be one without gradients where the next is one with them.
            with torch.inference_mode(False):
                a, b = torch.tensor(source, **like), torch.tensor(sink, **like)[:, None]
                self._mask = ((b > a) if strict else (b >= a)).to(self.weight.dtype)
        return self._mask

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, inputs) to (batch, outputs)."""
        return functional.linear(input, self.weight * self.mask(), self.bias)


class Autoregressive(nn.Module):
    r"""Numbers for each of `units` groups of inputs, computed from the groups before it (and from a context): output i from :math:`x_{<i}`.

    Parameters
    ----------
    units : int
        Groups of inputs.
    width : int
        Inputs in each group.
    outputs : int
        Numbers for each group.
    context : int
        Width of what all outputs may know; 0 for none.
    hidden : int
        Width of the hidden layer.

    References
    ----------
    Germain et al., "MADE: masked autoencoder for distribution estimation", ICML 2015.

    Examples
    --------
    >>> Autoregressive(3, outputs=2)(torch.zeros(5, 3)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(self, units: int, width: int = 1, outputs: int = 2, context: int = 0, hidden: int = 64) -> None:
        super().__init__()
        self.units, self.outputs = units, outputs
        inputs = [i for i in range(1, units + 1) for _ in range(width)]
        middle = [i % units for i in range(max(hidden, units))]
        self.first = Masked(inputs, middle)
        self.second = Masked(middle, [i for i in range(1, units + 1) for _ in range(outputs)], strict=True)
        self.context = nn.Linear(context, len(middle), bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map (batch, units * width) to (batch, units, outputs)."""
        h = self.first(x)
        if self.context is not None and context is not None:
            h = h + self.context(context)
        return self.second(functional.silu(h)).view(x.shape[0], self.units, self.outputs)
