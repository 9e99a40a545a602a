"""The step of a dense autoencoder, plain or variational, with Gaussian likelihood: its gradients written by hand.

A small net spends most of a step in autograd's book-keeping: the same products without it are two to three times quicker.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.bottlenecks import Deterministic
from isthmus.bottlenecks import Gaussian as GaussianBottleneck
from isthmus.bottlenecks.gaussian import HIGHEST as WIDEST
from isthmus.bottlenecks.gaussian import LOWEST as NARROWEST
from isthmus.distributions.real import HALF_LOG_2PI
from isthmus.likelihoods import Gaussian
from isthmus.likelihoods.real import HIGHEST, LOWEST
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.objectives import ELBO, Context, Objective, Reconstruction
from isthmus.priors import StandardNormal
from isthmus.training.adam import make_adam
from isthmus.training.config import TrainingConfig
from isthmus.training.world import World

Backward = Callable[[Tensor, Tensor, Tensor], Tensor]
_ATEN = torch.ops.aten
BACKWARD: dict[Callable[[Tensor], Tensor], Backward] = {
    functional.relu: lambda g, _, after: _ATEN.threshold_backward.default(g, after, 0),
    functional.silu: lambda g, before, _: _ATEN.silu_backward.default(g, before),
    functional.gelu: lambda g, before, _: _ATEN.gelu_backward.default(g, before),
    torch.tanh: lambda g, _, after: _ATEN.tanh_backward.default(g, after),
    torch.sigmoid: lambda g, _, after: _ATEN.sigmoid_backward.default(g, after),
}


def fits(model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> bool:
    """Say whether this step can train the model: dense nets, plain or Gaussian code, Gaussian likelihood, nothing else in the loss."""
    nets = all(type(net) is MLP and net.activation in BACKWARD for net in (model.encoder, model.decoder))
    likelihood = type(model.likelihood) is Gaussian and model.likelihood.mode != "predicted"
    trained = all(p.requires_grad for p in model.parameters()) and not any(True for _ in objective.parameters())
    return nets and likelihood and trained and _known_code(model, objective) and config.precision == "fp32" and world.device.type == "cpu"


def _known_code(model: Autoencoder, objective: Objective) -> bool:
    if type(objective) is ELBO:
        return type(model.bottleneck) is GaussianBottleneck and type(model.prior) is StandardNormal and objective.free_bits == 0
    return type(objective) is Reconstruction and type(model.bottleneck) is Deterministic


class _Plain:
    """A code that is the encoder's output."""

    def __init__(self) -> None:
        self.terms: dict[str, Tensor] = {}

    def forward(self, h: Tensor, context: Context, weight: float) -> Tensor:  # noqa: ARG002
        return h

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient

    def loss(self) -> Tensor | float:
        return 0.0


class _Variational:
    r"""A diagonal Gaussian code: :math:`z = \mu + \sigma\epsilon`, and the KL to the standard normal."""

    def __init__(self) -> None:
        self.terms: dict[str, Tensor] = {}

    def forward(self, h: Tensor, context: Context, weight: float) -> Tensor:
        self.weight = weight
        self.rows = len(h)
        self.mean, raw = h.chunk(2, dim=1)
        self.log_scale = raw.clamp(NARROWEST, WIDEST)
        self.inside = raw == self.log_scale
        self.scale = self.log_scale.exp()
        squares = self.mean.square().add_(self.scale.square()).sum()
        self.terms = {"kl": (0.5 * (squares - self.mean.numel()) - self.log_scale.sum()) / self.rows}
        self.noise = torch.zeros_like(self.mean) if context.noise is None else context.noise.normal(self.mean)
        return torch.addcmul(self.mean, self.noise, self.scale)

    def backward(self, gradient: Tensor) -> Tensor:
        share = self.weight / self.rows
        of_mean = gradient + share * self.mean
        of_scale = gradient.mul_(self.noise).mul_(self.scale).add_(self.scale.square_().sub_(1), alpha=share)
        return torch.cat([of_mean, of_scale.mul_(self.inside)], dim=1)

    def loss(self) -> Tensor | float:
        return self.weight * self.terms["kl"]


class _SquaredError:
    r"""Gaussian likelihood: :math:`\tfrac12 \lVert e/\sigma \rVert^2 + \sum \log\sigma + \tfrac d2 \log 2\pi`, fixed or learned scale."""

    def __init__(self, likelihood: Gaussian) -> None:
        self.learned = likelihood.log_scale
        self.log_scale = torch.tensor(likelihood.fixed) if self.learned is None else self.learned.detach().view(-1)
        self.width = math.prod(likelihood.shape)
        self.gradient = None if self.learned is None else torch.empty_like(self.learned)
        self.fixed = math.exp(-2 * likelihood.fixed)
        self.constant = (HALF_LOG_2PI + likelihood.fixed) * self.width

    def __call__(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean over rows, and its gradient in place of `error`, shape (batch, d)."""
        rows = len(error)
        if self.learned is None or self.gradient is None:
            flat = error.view(-1)
            return torch.dot(flat, flat) * (0.5 * self.fixed / rows) + self.constant, error.mul_(self.fixed / rows)
        scale = self.log_scale.clamp(LOWEST, HIGHEST)
        precision = (-2 * scale).exp()
        squares = error.square().sum(0) if scale.numel() > 1 else torch.dot(error.view(-1), error.view(-1)).view(1)
        scaled = squares * precision / rows
        each = 1 if scale.numel() > 1 else self.width
        self.learned.grad = self.gradient.copy_(((each - scaled) * (scale == self.log_scale)).view_as(self.learned))
        return 0.5 * scaled.sum() + each * scale.sum() + self.constant, error.mul_(precision / rows)


class DenseStep:
    """Forward and backward by hand, one fused Adam; the same numbers as `AutogradStep` up to rounding.

    Parameters
    ----------
    model : Autoencoder
        For which `fits` is true.
    objective : Objective
    config : TrainingConfig
    world : World

    Raises
    ------
    TypeError
        If a part of the model is of another kind.
    """

    def __init__(self, model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> None:
        encoder, decoder, likelihood = model.encoder, model.decoder, model.likelihood
        if not isinstance(encoder, MLP) or not isinstance(decoder, MLP) or not isinstance(likelihood, Gaussian):
            raise TypeError("DenseStep trains dense encoders and decoders with a Gaussian likelihood")
        self.objective = objective
        self.config = config
        self.world = world
        self.parameters = list(model.parameters())
        layers = [*encoder.linears, *decoder.linears]
        self.weights = [layer.weight.detach() for layer in layers]
        self.biases = [layer.bias.detach() for layer in layers]
        self.transposed = [weight.t() for weight in self.weights]
        self.middle = len(encoder.linears)
        nets = [encoder] * self.middle + [decoder] * len(decoder.linears)
        silent = (self.middle - 1, len(layers) - 1)
        self.activations = [None if i in silent else net.activation for i, net in enumerate(nets)]
        self.weight_gradients = [torch.empty_like(weight) for weight in self.weights]
        self.bias_gradients = [torch.empty_like(bias) for bias in self.biases]
        self.layers = layers
        self.attach()
        self.code = _Variational() if isinstance(model.bottleneck, GaussianBottleneck) else _Plain()
        self.error = _SquaredError(likelihood)
        self.optimiser = make_adam(self.parameters, config)

    @torch.no_grad()
    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        """Make one step; return the mean of each term and the weighted ``loss``."""
        if self.parameters[0].grad is None:
            self.attach()
        if self.objective.corruption is not None and context.corrupt and context.noise is not None:
            x = self.objective.corruption(x, context.noise)
        inputs: list[Tensor] = []
        before: list[Tensor] = []
        h = self.run(x.flatten(1), range(self.middle), inputs, before)
        z = self.code.forward(h, context, self.objective.weights(context).get("kl", 1.0))
        output = self.run(z, range(self.middle, len(self.weights)), inputs, before)
        nats, gradient = self.error(output.sub_(target.flatten(1)))
        gradient = self.undo(gradient, range(self.middle, len(self.weights)), inputs, before)
        self.undo(self.code.backward(gradient), range(self.middle), inputs, before)
        if self.world.size > 1:
            self.world.mean_in_place([p.grad for p in self.parameters if p.grad is not None])
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimiser.step(self.config.rate(context.step))
        return {"reconstruction": nats, **self.code.terms, "loss": nats + self.code.loss()}

    def attach(self) -> None:
        """Let the parameters' gradients be the buffers that `undo` fills."""
        for layer, weight, bias in zip(self.layers, self.weight_gradients, self.bias_gradients):
            layer.weight.grad, layer.bias.grad = weight, bias

    def run(self, h: Tensor, layers: range, inputs: list[Tensor], before: list[Tensor]) -> Tensor:
        """Pass through some layers, keeping each one's input and its output before the activation."""
        for i in layers:
            activation = self.activations[i]
            inputs.append(h)
            h = torch.addmm(self.biases[i], h, self.transposed[i])
            before.append(h)
            h = h if activation is None else activation(h)
        return h

    def undo(self, gradient: Tensor, layers: range, inputs: list[Tensor], before: list[Tensor]) -> Tensor:
        """Fill the gradients of some layers, given that of their output; return that of their input (of the first layer: none)."""
        for i in reversed(layers):
            torch.mm(gradient.t(), inputs[i], out=self.weight_gradients[i])
            torch.sum(gradient, 0, out=self.bias_gradients[i])
            if i == 0:
                break
            gradient = gradient @ self.weights[i]
            activation = self.activations[i - 1]
            if activation is not None:
                gradient = BACKWARD[activation](gradient, before[i - 1], inputs[i])
        return gradient

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments and counters by parameter number."""
        return self.optimiser.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        self.optimiser.load_state(state)
