"""Any bottleneck, with a condition that passes it by."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from isthmus.bottlenecks.base import Bottleneck, Mean
from isthmus.distributions.labelled import Labelled
from isthmus.spec import register


@register("bottleneck.labelled")
class LabelledCode(Bottleneck):
    """Codes followed by the condition of their rows: the encoder's last numbers, unchanged.

    Parameters
    ----------
    inner : Bottleneck
        What makes the code.
    width : int
        Width of the condition.

    Examples
    --------
    >>> import torch
    >>> from isthmus.bottlenecks.gaussian import Gaussian
    >>> LabelledCode(Gaussian(2), 3)(torch.zeros(1, 7)).mean.shape
    torch.Size([1, 5])
    """

    def __init__(self, inner: Bottleneck, width: int) -> None:
        super().__init__(inner.latent + width)
        self.inner, self.width = inner, int(width)

    @property
    def inputs(self) -> int:
        """Numbers the encoder must give, the condition included."""
        return self.inner.inputs + self.width

    @property
    def bare(self) -> Bottleneck:
        """The bottleneck inside."""
        return self.inner

    def terms(self, code: Tensor, gain: Callable[[], Tensor], batch_mean: Mean) -> dict[str, Tensor]:
        """Return the terms of the bottleneck inside, of the code alone."""
        return self.inner.terms(code[:, : -self.width], lambda: gain()[: -self.width], batch_mean)

    def forward(self, h: Tensor) -> Labelled:
        """Map (batch, inputs) to codes and conditions."""
        return Labelled(self.inner(h[:, : -self.width]), h[:, -self.width :], (self.inner.latent,))
