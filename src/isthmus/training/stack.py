"""Dense autoencoders stacked on one another: one step trains all of them, every product a batch of products.

Each model alone is too small to keep a processor busy: what a step costs beside its arithmetic is paid once for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.bottlenecks import Gaussian as GaussianBottleneck
from isthmus.bottlenecks.gaussian import HIGHEST as WIDEST
from isthmus.bottlenecks.gaussian import LOWEST as NARROWEST
from isthmus.distributions import Noise
from isthmus.distributions.real import HALF_LOG_2PI
from isthmus.likelihoods import Gaussian
from isthmus.likelihoods.real import HIGHEST, LOWEST
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.objectives import Context, Objective
from isthmus.training.adam import make_adam
from isthmus.training.config import TrainingConfig
from isthmus.training.dense_parts import ACTIVATIONS
from isthmus.training.kernels import Call
from isthmus.training.probe import asked, findings, nearest, operations

Activation = Callable[[Tensor], Tensor]
BLOCK = 20  # steps whose terms are kept until they are read
BEHIND = 0.9  # rate of torch.bmm over that of torch.mm
FETCHED = 8_000_000  # bytes of rows that are fetched at once
_LINALG: Any = torch.linalg  # torch leaves it without type hints


@dataclass(frozen=True)
class Member:
    """One model of a stack, with what belongs to it alone.

    Attributes
    ----------
    model : Autoencoder
        One that `isthmus.training.dense.fits`, with a Gaussian likelihood in float32.
    objective : Objective
    config : TrainingConfig
    rows : Tensor of shape (n, \\*shape)
    order : iterator of Tensor
        Row numbers of each batch.
    noise : Noise
    """

    model: Autoencoder
    objective: Objective
    config: TrainingConfig
    rows: Tensor
    order: Iterator[Tensor]
    noise: Noise

    @property
    def width(self) -> int:
        """Values of a row."""
        return math.prod(self.model.shape)

    def release(self) -> None:
        """Give the parameters memory of their own again."""
        for parameter in parameters(self.model):
            parameter.data = parameter.detach().clone(memory_format=torch.contiguous_format)


def nets(model: Autoencoder) -> tuple[MLP, MLP]:
    """Return encoder and decoder of a dense model."""
    return cast("MLP", model.encoder), cast("MLP", model.decoder)


def likelihood(model: Autoencoder) -> Gaussian:
    """Return the likelihood of a model where it is Gaussian."""
    return cast("Gaussian", model.likelihood)


def parameters(model: Autoencoder) -> list[nn.Parameter]:
    """Return weight and bias of each layer, then the likelihood's scale where it is learned."""
    scale = likelihood(model).log_scale
    tensors = [tensor for net in nets(model) for layer in net.linears for tensor in (layer.weight, layer.bias)]
    return [*cast("list[nn.Parameter]", tensors), *([] if scale is None else [scale])]


def shapes(model: Autoencoder) -> list[tuple[int, ...]]:
    """Return the shapes of the parameters as they are stacked: weights (in, out), all else flat."""
    scale = likelihood(model).log_scale
    return [(p.shape[1], p.shape[0]) if p is not scale and p.ndim == 2 else (p.numel(),) for p in parameters(model)]


def padded(shapes: Sequence[Sequence[tuple[int, ...]]]) -> list[tuple[int, ...]]:
    """Return the least shapes that hold those of every model.

    Examples
    --------
    >>> padded([[(4, 2), (4,)], [(3, 5), (3,)]])
    [(4, 5), (4,)]
    """
    return [tuple(map(max, zip(*same))) for same in zip(*shapes)]


def by_numpy(rows: int, width_in: int, width_out: int, dtype: torch.dtype) -> bool:
    """Say whether NumPy multiplies batches of matrices quicker than `torch.bmm`, which falls behind `torch.mm` as NumPy's do not."""
    if asked() != "auto" or dtype != torch.float32:
        return asked() == "numpy"
    rates, place = findings(torch.get_num_threads()).rates["of_input"], nearest(operations((rows, width_in, width_out)))
    return "numpy" in rates and rates["numpy"][place] > BEHIND * rates["plain"][place]


def _product(numpy: bool, a: Tensor, b: Tensor, out: Tensor) -> Call:
    """Return the call that multiplies two batches of matrices into `out`."""
    return partial(np.matmul, a.numpy(), b.numpy(), out.numpy()) if numpy else partial(torch.bmm, a, b, out=out)


class _Buffers:
    """The parameters of all models, one model a row, padded with zeros to the widest; and their gradients."""

    def __init__(self, members: Sequence[Member], room: list[tuple[int, ...]]) -> None:
        self.shapes = room
        sizes = [math.prod(shape) for shape in self.shapes]
        self.starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self.values = torch.zeros(len(members), sum(sizes), dtype=parameters(members[0].model)[0].dtype)
        self.gradients = torch.zeros_like(self.values)
        for k, member in enumerate(members):
            for i, (parameter, shape) in enumerate(zip(parameters(member.model), shapes(member.model))):
                place = self.of(self.values, i)[k][tuple(slice(n) for n in shape)]
                place.copy_(parameter.detach().t() if len(shape) > 1 else parameter.detach().view(-1))
                parameter.data = place.t() if len(shape) > 1 else place.view(parameter.shape)

    def of(self, table: Tensor, i: int) -> Tensor:
        """Return the values or gradients of parameter `i`, shape (models, \\*shape)."""
        return table[:, self.starts[i] : self.starts[i + 1]].view(len(table), *self.shapes[i])


class _Layer:
    """A dense layer of every model, on memory that stays the same."""

    def __init__(self, buffers: _Buffers, number: int, x: Tensor, activation: Activation | None) -> None:
        self.x, self.first = x, number == 0
        self.weight, self.of_weight = (buffers.of(table, 2 * number) for table in (buffers.values, buffers.gradients))
        self.bias, self.of_bias = (buffers.of(table, 2 * number + 1).unsqueeze(1) for table in (buffers.values, buffers.gradients))
        self.part = None if activation is None else ACTIVATIONS[activation]
        self.before = x.new_zeros(*x.shape[:2], self.weight.shape[2])
        self.after = torch.zeros_like(self.before) if self.part and self.part.needs_input else self.before
        self.numpy = by_numpy(x.shape[1], x.shape[2], self.weight.shape[2], x.dtype)

    def forward(self) -> list[Call]:
        """Return the calls that fill `after`."""
        if self.numpy:
            calls = [_product(True, self.x, self.weight, self.before), partial(self.before.add_, self.bias)]
        else:
            calls: list[Call] = [partial(torch.baddbmm, self.bias, self.x, self.weight, out=self.before)]
        if self.part:
            same = self.after is self.before
            calls.append(self.part.apply(self.after, self.after) if same else partial(self.part.forward, self.before, out=self.after))
        return calls

    def backward(self, gradient: Tensor) -> tuple[list[Call], Tensor]:
        """Return the calls that, from the gradient of `after`, fill those of the parameters and of `x`, and the latter."""
        coming = torch.zeros_like(self.x)
        calls = [self.part.revert(gradient, self.after, self.before)] if self.part else []
        calls.append(_product(self.numpy, self.x.transpose(1, 2), gradient, self.of_weight))
        calls.append(_product(self.numpy, gradient.new_ones(len(self.x), 1, self.x.shape[1]), gradient, self.of_bias))
        return (calls if self.first else calls + self._of_input(gradient, coming)), coming

    def _of_input(self, gradient: Tensor, coming: Tensor) -> list[Call]:
        across = self.weight.transpose(1, 2)
        if not self.numpy:
            return [_product(False, gradient, across, coming)]
        turned = across.contiguous()  # the product with a view takes longer than turning the weights and the product with them
        return [partial(np.copyto, turned.numpy(), across.numpy()), _product(True, gradient, turned, coming)]


class _Code:
    """The code of every model: the encoder's output as it is."""

    names: tuple[str, ...] = ()

    def __init__(self, h: Tensor, members: Sequence[Member]) -> None:
        self.members, self.z = members, h

    def forward(self, step: int, row: Tensor) -> None:
        """Fill `z`, and put the terms, and last what they add to the loss, into `row`, shape (len(names), models)."""

    def backward(self, gradient: Tensor) -> tuple[list[Call], Tensor]:
        """Return the calls that, from the gradient of `z`, fill that of the encoder's output, and the latter."""
        return [], gradient


class _GaussianCode(_Code):
    r"""A diagonal Gaussian code: :math:`z = \mu + \sigma\epsilon`, and the KL to the standard normal."""

    names = ("kl", "added")

    def __init__(self, h: Tensor, members: Sequence[Member]) -> None:
        self.members, self.rows = members, h.shape[1]
        self.mean, self.raw = h.chunk(2, dim=2)
        self.z, self.noise, self.log_scale, self.scale = (h.new_zeros(self.mean.shape) for _ in range(4))
        self.weights: list[float] = []

    def forward(self, step: int, row: Tensor) -> None:
        """Draw the codes, each model from its own source; put the KL, and what it adds to the loss, into `row`."""
        context = Context(step=step, training=True)
        weights = [member.objective.weights(context).get("kl", 1.0) for member in self.members]
        if weights != self.weights:
            self.weights, self.weight = weights, self.z.new_tensor(weights).view(-1, 1, 1)
        for noise, member in zip(self.noise, self.members):
            noise.copy_(member.noise.normal(noise))
        torch.clamp(self.raw, NARROWEST, WIDEST, out=self.log_scale)
        torch.exp(self.log_scale, out=self.scale)
        squares = (self.mean.square() + self.scale.square()).sum((1, 2))
        torch.div(0.5 * (squares - self.z[0].numel()) - self.log_scale.sum((1, 2)), self.rows, out=row[0])
        torch.mul(row[0], self.weight.view(-1), out=row[1])
        torch.addcmul(self.mean, self.noise, self.scale, out=self.z)

    def backward(self, gradient: Tensor) -> tuple[list[Call], Tensor]:
        """Return the calls that, from the gradient of `z`, fill that of the encoder's output, and the latter."""
        whole = gradient.new_zeros(*gradient.shape[:2], 2 * gradient.shape[2])
        return [lambda: self._undo(gradient, *whole.chunk(2, dim=2))], whole

    def _undo(self, gradient: Tensor, of_mean: Tensor, of_raw: Tensor) -> None:
        share = self.weight / self.rows
        torch.addcmul(gradient, share, self.mean, out=of_mean)
        torch.mul(gradient.mul_(self.noise), self.scale, out=of_raw)
        of_raw.addcmul_(share, self.scale.square_().sub_(1)).mul_(self.raw == self.log_scale)


class _SquaredError:
    r"""Gaussian likelihoods: :math:`\tfrac12 \lVert e/\sigma \rVert^2 + \sum \log\sigma + \tfrac d2 \log 2\pi`, fixed or learned scales."""

    def __init__(self, output: Tensor, members: Sequence[Member], scale: tuple[Tensor, Tensor] | None) -> None:
        self.error, self.rows = output, output.shape[1]
        self.flat = output.flatten(1)
        widths = output.new_tensor([[member.width] for member in members])
        fixed = output.new_tensor([[likelihood(member.model).fixed] for member in members])
        self.log_scale, self.gradient = scale or (fixed, None)
        self.each = self.log_scale.shape[1] > 1
        # How many values of a row a scale stands for: none where a narrower model was padded.
        self.count = (torch.arange(output.shape[2]) < widths).to(output.dtype) if self.each else widths
        self.constant = HALF_LOG_2PI * widths.view(-1)
        self.inside: Tensor | bool = True
        self._weigh(self.log_scale)

    def _weigh(self, scale: Tensor) -> None:
        self.precision = (-2 * scale).exp_().div_(self.rows)
        self.normaliser = (self.count * scale).sum(1).add_(self.constant)

    def __call__(self, target: Tensor, out: Tensor) -> None:
        """Put each model's mean over rows into `out`, shape (models,), and its gradient in place of the output."""
        self.error.sub_(target)
        if self.gradient is not None:
            scale = self.log_scale.clamp(LOWEST, HIGHEST)
            self.inside = scale == self.log_scale
            self._weigh(scale)
        squares = self.error.square().sum(1) if self.each else _LINALG.vecdot(self.flat, self.flat).unsqueeze(1)
        scaled = squares.mul_(self.precision)
        if self.gradient is not None:
            torch.mul(self.count - scaled, self.inside, out=self.gradient)
        self.error.mul_(self.precision.unsqueeze(1))
        torch.add(self.normaliser, scaled.sum(1), alpha=0.5, out=out)


class _Adam:
    """One Adam for all models. Where their rates differ it finds the directions, and each model goes its own way along them."""

    def __init__(self, buffers: _Buffers, configs: Sequence[TrainingConfig]) -> None:
        self.buffers, self.configs = buffers, configs
        self.alike = (
            len({replace(config, **dict.fromkeys(("seed", "batch", "evaluate_every"), 1), patience=None) for config in configs}) == 1
        )
        self.moved = nn.Parameter(buffers.values if self.alike else torch.zeros_like(buffers.values))
        self.moved.grad = buffers.gradients
        self.kernel = make_adam([self.moved], configs[0] if self.alike else replace(configs[0], optimiser="adam", weight_decay=0.0))
        self.clip = self._column([math.inf if config.clip is None else config.clip for config in configs])
        self.clips = any(config.clip is not None for config in configs)
        self.decays = any(config.weight_decay for config in configs)
        self.decay = self._column([config.weight_decay for config in configs])
        self.decoupled = self._column([float(config.optimiser == "adamw") for config in configs])

    def _column(self, values: Sequence[float]) -> Tensor:
        return self.buffers.values.new_tensor(values).unsqueeze(1)

    def step(self, step: int) -> None:
        """Change all parameters by their gradients."""
        values, gradients = self.buffers.values, self.buffers.gradients
        if self.clips:
            norms = _LINALG.vector_norm(gradients, dim=1, keepdim=True)
            gradients.mul_((self.clip / (norms + 1e-6)).clamp_(max=1.0))
        if self.alike:
            self.kernel.step(self.configs[0].rate(step))
            return
        rates = self._column([config.rate(step) for config in self.configs])
        if self.decays:
            gradients.addcmul_(values, self.decay * (1 - self.decoupled))
            values.mul_(1 - rates * self.decay * self.decoupled)
        self.moved.detach().zero_()
        self.kernel.step(1.0)
        values.addcmul_(self.moved.detach(), rates)


class Stack:
    """Forward and backward of several models by hand, and one Adam; each gets the numbers it gets alone, up to rounding.

    Parameters
    ----------
    members : sequence of Member
        Of one `kind`. Their parameters become views of the stack until they are released.
    batch : int
        Rows a step, of each model.
    room : list of tuple, optional
        Shapes of the parameters with room for every model; as small as can be if None.
    """

    def __init__(self, members: Sequence[Member], batch: int, room: list[tuple[int, ...]] | None = None) -> None:
        self.members, self.batch = list(members), batch
        self.buffers = _Buffers(members, room or padded([shapes(member.model) for member in members]))
        self.x = self.buffers.values.new_zeros(len(members), batch, self.buffers.shapes[0][0])
        self.corrupted = any(member.objective.corruption is not None for member in members)
        self.target = torch.zeros_like(self.x) if self.corrupted else self.x
        self._lay_out()
        self.adam = _Adam(self.buffers, [member.config for member in members])
        self.names = ["reconstruction", *self.code.names[:-1], "loss"]
        self.table = self.x.new_zeros(BLOCK, 1 + len(self.code.names), len(members))
        self.filled = 0
        # Rows are fetched for some steps at once: fewer calls, and a table is read while it is in the cache.
        steps = max(1, min(BLOCK, FETCHED // (self.x.numel() * self.x.element_size())))
        self.blocks: list[NDArray[Any]] = [self.x.new_zeros(steps, batch, member.width).numpy() for member in members]
        self.places: list[NDArray[Any]] = [self.target[k, :, : member.width].numpy() for k, member in enumerate(members)]
        self.fetched = 0

    def _lay_out(self) -> None:
        """Make the lists of calls: first up to the code, then from the code to the output and back to the input."""
        encoder, decoder = nets(self.members[0].model)
        layers: list[_Layer] = []
        h = self._chain(encoder, self.x, layers)
        self.code = (_GaussianCode if isinstance(self.members[0].model.bottleneck, GaussianBottleneck) else _Code)(h, self.members)
        output = self._chain(decoder, self.code.z, layers)
        last = len(self.buffers.shapes) - 1
        tables = (self.buffers.values, self.buffers.gradients)
        learned = (self.buffers.of(tables[0], last), self.buffers.of(tables[1], last)) if last == 2 * len(layers) else None
        self.error = _SquaredError(output, self.members, learned)
        middle = len(encoder.linears)
        self.up = [call for layer in layers[:middle] for call in layer.forward()]
        self.over = [call for layer in layers[middle:] for call in layer.forward()]
        self.down: list[Call] = []
        gradient = output
        for part in (*reversed(layers[middle:]), self.code, *reversed(layers[:middle])):
            calls, gradient = part.backward(gradient)
            self.down += calls

    def _chain(self, net: MLP, h: Tensor, layers: list[_Layer]) -> Tensor:
        for linear in net.linears:
            activation = None if linear is net.linears[-1] else net.activation
            layers.append(_Layer(self.buffers, len(layers), h, activation))
            h = layers[-1].after
        return h

    @torch.no_grad()
    def step(self, step: int) -> None:
        """Make step number `step` of every model, and keep its terms until they are read."""
        self._fill()
        row = self.table[self.filled]
        for call in self.up:
            call()
        self.code.forward(step, row[1:])
        for call in self.over:
            call()
        self.error(self.target, row[0])
        for call in self.down:
            call()
        self.adam.step(step)
        self.filled += 1

    def _fill(self) -> None:
        """Put the next batch of every model into its place."""
        if self.fetched == 0:
            for member, block in zip(self.members, self.blocks):
                index = torch.cat([next(member.order) for _ in range(len(block))]).numpy()
                member.rows.numpy().take(index, 0, block.reshape(-1, *member.rows.shape[1:]), "clip")
        for place, block in zip(self.places, self.blocks):
            np.copyto(place, block[self.fetched])
        self.fetched = (self.fetched + 1) % len(self.blocks[0])
        if self.corrupted:
            for k, member in enumerate(self.members):
                self._corrupt(k, member)

    def _corrupt(self, k: int, member: Member) -> None:
        rows, corruption = self.target[k, :, : member.width], member.objective.corruption
        damaged = rows if corruption is None else corruption(rows.reshape(-1, *member.model.shape), member.noise).flatten(1)
        self.x[k, :, : member.width] = damaged

    def read(self) -> NDArray[np.float64]:
        """Return the terms of the steps since the last call, shape (models, steps, terms)."""
        taken, self.filled = self.table[: self.filled].double().numpy(), 0
        loss = taken[:, :1] + taken[:, 1:][:, -1:].sum(1, keepdims=True)
        return np.concatenate([taken[:, : len(self.names) - 1], loss], 1).transpose(2, 0, 1)

    def keep(self, which: Sequence[int]) -> Stack:
        """Return a stack of some of the members alone, which go on as they would have in this one."""
        smaller, chosen = Stack([self.members[k] for k in which], self.batch, self.buffers.shapes), list(which)
        state, whole = self.adam.kernel.state(), self.buffers.values.shape
        smaller.adam.kernel.load_state({name: value[chosen] if value.shape == whole else value for name, value in state.items()})
        smaller.blocks, smaller.fetched = [self.blocks[k] for k in which], self.fetched
        return smaller
