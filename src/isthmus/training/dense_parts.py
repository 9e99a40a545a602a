"""What a dense step needs beside its products: activations, the code and the likelihood, on fixed buffers, with gradients by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.bottlenecks.gaussian import HIGHEST as WIDEST
from isthmus.bottlenecks.gaussian import LOWEST as NARROWEST
from isthmus.distributions.real import HALF_LOG_2PI
from isthmus.likelihoods import Gaussian
from isthmus.likelihoods.real import HIGHEST, LOWEST
from isthmus.objectives import Context
from isthmus.training.kernels import Call

_ATEN: Any = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation and its derivative as calls on buffers.

    Attributes
    ----------
    forward, backward : callable
        Torch's operators, given their result's place.
    needs_input : bool
        Whether the derivative is computed from what came in; else from what went out, and forward works in place.
    more : tuple
        Further arguments of backward.
    """

    forward: Any
    backward: Any
    needs_input: bool = False
    more: tuple[object, ...] = ()

    def apply(self, h: Tensor, kept: Tensor) -> Call:
        """Return the call that applies it to `h`, keeping what came in in `kept` if needed."""
        return partial(_keep, self.forward, h, kept) if self.needs_input else partial(self.forward, h)

    def revert(self, gradient: Tensor, h: Tensor, kept: Tensor) -> Call:
        """Return the call that turns the gradient of what went out into that of what came in, in place."""
        return partial(self.backward, gradient, kept if self.needs_input else h, *self.more, grad_input=gradient)


def _keep(function: Any, h: Tensor, kept: Tensor) -> None:
    kept.copy_(h)
    function(kept, out=h)


ACTIVATIONS: dict[Callable[[Tensor], Tensor], Activation] = {
    functional.relu: Activation(torch.relu_, _ATEN.threshold_backward.grad_input, more=(0,)),
    functional.silu: Activation(_ATEN.silu.out, _ATEN.silu_backward.grad_input, needs_input=True),
    functional.gelu: Activation(_ATEN.gelu.out, _ATEN.gelu_backward.grad_input, needs_input=True),
    torch.tanh: Activation(torch.tanh_, _ATEN.tanh_backward.grad_input),
    torch.sigmoid: Activation(torch.sigmoid_, _ATEN.sigmoid_backward.grad_input),
}


class PlainCode:
    """A code that is the encoder's output.

    Parameters
    ----------
    h, gradient : Tensor of shape (n, latent)
        Buffers of the encoder's output and of its gradient.
    """

    def __init__(self, h: Tensor, gradient: Tensor) -> None:
        self.z, self.of_z = h, gradient

    def forward(self, context: Context, weight: float) -> tuple[dict[str, float], float]:  # noqa: ARG002
        """Return no term, and what they add to the loss."""
        return {}, 0.0

    def backward(self) -> None:
        """Nothing lies between the code and the encoder's output."""


class GaussianCode:
    r"""A diagonal Gaussian code: :math:`z = \mu + \sigma\epsilon`, and the KL to the standard normal.

    Parameters
    ----------
    h, gradient : Tensor of shape (n, 2 latent)
        Buffers of the encoder's output and of its gradient.
    """

    def __init__(self, h: Tensor, gradient: Tensor) -> None:
        self.rows = len(h)
        self.mean, self.raw = h.chunk(2, dim=1)
        self.of_mean, self.of_raw = gradient.chunk(2, dim=1)
        self.z, self.of_z, self.log_scale, self.scale, self.square = (torch.empty_like(self.mean.contiguous()) for _ in range(5))
        self.inside = torch.empty_like(self.z, dtype=torch.bool)
        self.nothing = torch.zeros_like(self.z)

    def forward(self, context: Context, weight: float) -> tuple[dict[str, float], float]:
        """Draw the code from the buffered output; return the KL, mean over rows, and what it adds to the loss."""
        self.share = weight / self.rows
        torch.clamp(self.raw, NARROWEST, WIDEST, out=self.log_scale)
        torch.eq(self.raw, self.log_scale, out=self.inside)
        torch.exp(self.log_scale, out=self.scale)
        torch.mul(self.scale, self.scale, out=self.square)
        squares = torch.addcmul(self.square, self.mean, self.mean, out=self.of_z).sum().item()
        kl = (0.5 * (squares - self.mean.numel()) - self.log_scale.sum().item()) / self.rows
        self.noise = self.nothing if context.noise is None else context.noise.normal(self.z)
        torch.addcmul(self.mean, self.noise, self.scale, out=self.z)
        return {"kl": kl}, weight * kl

    def backward(self) -> None:
        """Turn the gradient of the code into that of the encoder's output."""
        torch.add(self.of_z, self.mean, alpha=self.share, out=self.of_mean)
        slope = self.of_z.mul_(self.noise).mul_(self.scale).add_(self.square.sub_(1), alpha=self.share)
        torch.mul(slope, self.inside, out=self.of_raw)


class SquaredError:
    r"""Gaussian likelihood: :math:`\tfrac12 \lVert e/\sigma \rVert^2 + \sum \log\sigma + \tfrac d2 \log 2\pi`, fixed or learned scale.

    Parameters
    ----------
    likelihood : Gaussian
        With a fixed scale, or one that is a parameter.
    log_scale, gradient : Tensor, optional
        That parameter and its gradient's buffer.
    """

    def __init__(self, likelihood: Gaussian, log_scale: Tensor | None = None, gradient: Tensor | None = None) -> None:
        self.log_scale = None if log_scale is None else log_scale.view(-1)
        self.gradient = None if gradient is None else gradient.view(-1)
        self.width = math.prod(likelihood.shape)
        self.fixed = math.exp(-2 * likelihood.fixed)
        self.constant = (HALF_LOG_2PI + likelihood.fixed) * self.width

    def __call__(self, output: Tensor, target: Tensor) -> float:
        """Return the mean over rows; `output`, shape (batch, d), becomes its gradient, and the scale's gradient is filled."""
        error = output.sub_(target)
        rows, flat = len(error), error.view(-1)
        if self.log_scale is None or self.gradient is None:
            nats = torch.dot(flat, flat).item() * (0.5 * self.fixed / rows) + self.constant
            error.mul_(self.fixed / rows)
            return nats
        scale = self.log_scale.clamp(LOWEST, HIGHEST)
        precision = (-2 * scale).exp()
        squares = error.square().sum(0) if scale.numel() > 1 else torch.dot(flat, flat).view(1)
        scaled = squares * precision / rows
        each = 1 if scale.numel() > 1 else self.width
        self.gradient.copy_((each - scaled) * (scale == self.log_scale))
        error.mul_(precision / rows)
        return 0.5 * scaled.sum().item() + each * scale.sum().item() + self.constant


class CrossEntropy:
    r"""Bernoulli likelihood of logits :math:`l`: :math:`\sum\log(1 + e^l) - x l`, with a learned log-odds of each value or none.

    Parameters
    ----------
    offset, gradient : Tensor, optional
        That parameter and its gradient's buffer.
    """

    def __init__(self, offset: Tensor | None = None, gradient: Tensor | None = None) -> None:
        self.offset = None if offset is None else offset.view(-1)
        self.gradient = None if gradient is None else gradient.view(-1)

    def __call__(self, output: Tensor, target: Tensor) -> float:
        """Return the mean over rows; `output`, shape (batch, d), becomes its gradient, and the log-odds' gradient is filled."""
        if self.offset is not None:
            output.add_(self.offset)
        nats = functional.softplus(output).addcmul_(output, target, value=-1).sum().item() / len(output)
        output.sigmoid_().sub_(target).div_(len(output))
        if self.gradient is not None:
            torch.sum(output, 0, out=self.gradient)
        return nats


class Flat:
    """Parameters as views of one buffer, so that one call of Adam serves all; each starts at a multiple of 64 bytes.

    Parameters
    ----------
    parameters : list of Parameter
        Their data are moved; they stay the same parameters.
    low : int
        How many of the first parameters are worked with in bfloat16, on copies that `lower` makes and with gradients that `lift` takes.
    """

    def __init__(self, parameters: list[nn.Parameter], low: int = 0) -> None:
        self.parameters = parameters
        starts: list[int] = []
        end = 0
        for parameter in parameters:
            starts.append(end)
            end += (parameter.numel() + 15) // 16 * 16
        self.starts = starts
        self.whole = nn.Parameter(torch.zeros(end, dtype=parameters[0].dtype))
        self.whole.grad = torch.zeros_like(self.whole)
        self.values, self.gradients = self.cut(self.whole.detach()), self.cut(self.whole.grad)
        for parameter, value in zip(parameters, self.values):
            value.copy_(parameter.detach())
            parameter.data = value
        self.used, self.of_used = self.values, self.gradients
        self.copies: list[tuple[Tensor, Tensor]] = []
        if low:
            self._copy(starts[low] if low < len(starts) else end, self.whole.grad)

    def _copy(self, end: int, gradient: Tensor) -> None:
        """Make what is worked with in bfloat16: the parameters and gradients up to `end`."""
        pairs = [(torch.empty(end, dtype=torch.bfloat16), whole[:end]) for whole in (self.whole.detach(), gradient)]
        self.copies = pairs
        self.used, self.of_used = self.cut(pairs[0][0]), self.cut(pairs[1][0])

    def lower(self) -> None:
        """Round the parameters into their copies, if there are any."""
        for copy, exact in self.copies[:1]:
            copy.copy_(exact)

    def lift(self) -> None:
        """Take the gradients that were computed in bfloat16, if any were."""
        for copy, exact in self.copies[1:]:
            exact.copy_(copy)

    def cut(self, buffer: Tensor) -> list[Tensor]:
        """Return the views of `buffer` that belong to each parameter, as far as it goes."""
        pairs = zip(self.starts, self.parameters)
        return [buffer[start : start + p.numel()].view_as(p) for start, p in pairs if start < len(buffer)]

    def show(self) -> None:
        """Let the parameters' gradients be the views."""
        for parameter, gradient in zip(self.parameters, self.gradients):
            parameter.grad = gradient
