"""A dense network that knows several answers to each row, and how likely each is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.mlp import MLP
from isthmus.spec import register

SMALLEST = 1e-2  # standard deviation, of standardised values: rows that repeat must not make it vanish


@register("network.answers")
class Answers(nn.Module):
    r"""A mixture :math:`\sum_k \pi_k(x)\,\mathcal N(\mu_k(x), \operatorname{diag} \sigma^2(x))` whose parts are told by dense layers.

    Which part it is decides all values of an answer together, so that a draw is of one piece; the rest is noise from value to value.

    Parameters
    ----------
    shape_in, shape_out : sequence of int
        Shapes of a row and of an answer.
    hidden : sequence of int
        Widths of the hidden layers.
    answers : int
        Parts of the mixture.
    activation : str
        See `isthmus.nn.activations`.

    Attributes
    ----------
    centre_in, scale_in, centre_out, scale_out : Tensor
        By which values are standardised; flat.

    Raises
    ------
    ConfigError
        If there are no such numbers.

    References
    ----------
    Bishop, "Mixture density networks", 1994.

    Examples
    --------
    >>> network = Answers((3,), (4, 2), hidden=(8,), answers=5)
    >>> [part.shape for part in network.parts(network(torch.zeros(6, 3)))]
    [torch.Size([6, 5]), torch.Size([6, 5, 8]), torch.Size([6, 1, 8])]
    """

    centre_in: Tensor
    scale_in: Tensor
    centre_out: Tensor
    scale_out: Tensor

    def __init__(
        self,
        shape_in: Sequence[int],
        shape_out: Sequence[int],
        hidden: Sequence[int] = (256, 256),
        answers: int = 8,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if not 1 <= answers <= 1024:
            raise ConfigError(f"answers must be 1 to 1024, not {answers}")
        self.shape_in, self.shape_out, self.answers = tuple(shape_in), tuple(shape_out), answers
        self.width = prod(self.shape_out)
        self.layers = MLP((prod(self.shape_in),), (answers + answers * self.width + self.width,), hidden, activation)
        for name, size in (("in", prod(self.shape_in)), ("out", self.width)):
            self.register_buffer(f"centre_{name}", torch.zeros(size))
            self.register_buffer(f"scale_{name}", torch.ones(size))

    def know(self, x: Tensor, y: Tensor) -> None:
        """Standardise by the means and standard deviations of rows and answers."""
        for name, values in (("in", x.flatten(1)), ("out", y.flatten(1))):
            spread = values.std(0, correction=0)
            getattr(self, f"centre_{name}").copy_(values.mean(0))
            getattr(self, f"scale_{name}").copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (batch, \\*shape_in) to the numbers that `parts` takes apart."""
        return self.layers((x.flatten(1) - self.centre_in) / self.scale_in)

    def parts(self, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (batch, answers), means (batch, answers, width) and log scales (batch, 1, width) of standardised values."""
        end = self.answers * (1 + self.width)
        logits, means, scales = found[:, : self.answers], found[:, self.answers : end], found[:, end:]
        return logits, means.view(-1, self.answers, self.width), scales.clamp_min(math.log(SMALLEST)).unsqueeze(1)

    def loss(self, found: Tensor, y: Tensor) -> Tensor:
        """Return the mean negative log likelihood of answers a value, in nats and in units of standardised values."""
        logits, means, scales = self.parts(found)
        apart = ((y.flatten(1) - self.centre_out) / self.scale_out).unsqueeze(1) - means
        each = -(0.5 * (apart * torch.exp(-scales)).square() + scales + 0.5 * math.log(2 * math.pi)).sum(2)
        return -torch.logsumexp(functional.log_softmax(logits, 1) + each, 1).mean() / self.width

    @torch.no_grad()
    def mean(self, x: Tensor) -> Tensor:
        """Return the mean over all answers, shape (batch, \\*shape_out)."""
        logits, means, _ = self.parts(self(x))
        return self._back((torch.softmax(logits, 1).unsqueeze(2) * means).sum(1))

    @torch.no_grad()
    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return one drawn answer to each row, shape (batch, \\*shape_out); the generator lies on the CPU."""
        logits, means, scales = self.parts(self(x))
        number = torch.multinomial(torch.softmax(logits, 1).cpu(), 1, generator=generator)
        noise = torch.randn(len(x), self.width, generator=generator).to(x.device)
        chosen = means.gather(1, number.to(x.device).view(-1, 1, 1).expand(-1, 1, self.width))
        return self._back(chosen.squeeze(1) + torch.exp(scales.squeeze(1)) * noise)

    def _back(self, values: Tensor) -> Tensor:
        return (values * self.scale_out + self.centre_out).view(-1, *self.shape_out)
