"""Small denoising autoencoders trained side by side as one batched model, on fixed buffers, with the gradient written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from math import cos, log, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.training.threads import SMALL, one_blas_thread, threads

POOL = 1 << 20  # normal numbers drawn once; each step takes a stretch of them
REPORTS = 50  # steps between two reports
_ATEN: Any = torch.ops.aten
_ADAM: Any = getattr(torch, "_fused_adam_", None)
BETAS = (0.9, 0.99)
EPSILON = 1e-8


@dataclass(frozen=True)
class Recipe:
    """How the denoisers are built and trained.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the layers between input and output, with ReLU on all but the narrowest, which is the code.
    steps, batch : int
    rate : float
        Adam's first learning rate; it falls along a half cosine to zero.
    noise : (float, float)
        Least and largest standard deviation of the noise; each row of a batch draws its own, log-uniformly.
    trimmed : float
        Share of a batch, those of the highest loss, that teaches nothing.
    """

    hidden: tuple[int, ...] = (128, 32, 128)
    steps: int = 800
    batch: int = 128
    rate: float = 5e-3
    noise: tuple[float, float] = (0.05, 0.5)
    trimmed: float = 0.0


class Denoisers:
    """Autoencoders of one shape, one behind the other in each tensor.

    Parameters
    ----------
    weights : sequence of Tensor of shape (models, in, out)
    biases : sequence of Tensor of shape (models, 1, out)

    Examples
    --------
    >>> rows = torch.randn(50, 3)
    >>> nets = train(rows, torch.arange(50).repeat(2, 1), Recipe(hidden=(8, 2, 8), steps=5), seed=0)
    >>> nets(rows).shape
    torch.Size([2, 50, 3])
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
        self.weights, self.biases = list(weights), list(biases)
        widths = [weight.shape[2] for weight in self.weights[:-1]]
        self.linear = {widths.index(min(widths)), len(widths)}

    def __len__(self) -> int:
        return len(self.weights[0])

    def __call__(self, rows: Tensor) -> Tensor:
        """Return what each model rebuilds of the rows, shape (models, n, d)."""
        h = rows.expand(len(self), *rows.shape[-2:])
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            h = torch.baddbmm(bias, h, weight)
            if k not in self.linear:
                h.relu_()
        return h

    def take(self, models: slice) -> Denoisers:
        """Return some of the models, on memory of their own."""
        return Denoisers([w[models].clone() for w in self.weights], [b[models].clone() for b in self.biases])


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Multiply batches of small matrices: NumPy's products of these sizes are quicker than `torch.bmm`."""
    np.matmul(a.numpy(), b.numpy(), out.numpy())
    return out


class _Trainer:
    """Forward, backward and Adam on buffers; parameters and gradients each lie in one flat tensor."""

    def __init__(self, models: int, width: int, recipe: Recipe, generator: torch.Generator) -> None:
        widths = [width, *recipe.hidden, width]
        shapes = [(models, a, b) for a, b in pairwise(widths)] + [(models, 1, b) for b in widths[1:]]
        sizes = [a * b * c for a, b, c in shapes]
        self.flat, self.gradient, self.first, self.second = (torch.zeros(sum(sizes)) for _ in range(4))
        layers = len(widths) - 1
        tables = [[part.view(shape) for part, shape in zip(torch.split(flat, sizes), shapes)] for flat in (self.flat, self.gradient)]
        self.nets = Denoisers(tables[0][:layers], tables[0][layers:])
        self.of_weights, self.of_biases = tables[1][:layers], tables[1][layers:]
        for weight in self.nets.weights:
            bound = (3 / weight.shape[1]) ** 0.5
            weight.uniform_(-bound, bound, generator=generator)
        self.inputs = [torch.zeros(models, recipe.batch, w) for w in widths]
        self.coming = [torch.zeros(models, recipe.batch, w) for w in widths]
        self.turned = [weight.transpose(1, 2).contiguous() for weight in self.nets.weights]
        self.count = torch.zeros(())

    def forward(self) -> Tensor:
        for k, (weight, bias) in enumerate(zip(self.nets.weights, self.nets.biases)):
            after = _multiply(self.inputs[k], weight, self.inputs[k + 1]).add_(bias)
            if k not in self.nets.linear:
                after.relu_()
        return self.inputs[-1]

    def backward(self) -> None:
        """Fill the gradients, that of the output being in place."""
        for k in reversed(range(len(self.nets.weights))):
            gradient = self.coming[k + 1]
            if k not in self.nets.linear:
                _ATEN.threshold_backward.grad_input(gradient, self.inputs[k + 1], 0, grad_input=gradient)
            _multiply(self.inputs[k].transpose(1, 2), gradient, self.of_weights[k])
            torch.sum(gradient, 1, keepdim=True, out=self.of_biases[k])
            if k:  # a product with turned weights in a row takes less time than one with a view of them
                _multiply(gradient, self.turned[k].copy_(self.nets.weights[k].transpose(1, 2)), self.coming[k])

    def update(self, rate: float) -> None:
        """Make a step of Adam."""
        self.count.add_(1)
        if _ADAM is not None:
            named = {"lr": rate, "beta1": BETAS[0], "beta2": BETAS[1], "weight_decay": 0.0, "eps": EPSILON}
            _ADAM([self.flat], [self.gradient], [self.first], [self.second], [], [self.count], **named, amsgrad=False, maximize=False)
            return
        done = float(self.count)
        self.first.lerp_(self.gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(self.gradient, self.gradient, value=1 - BETAS[1])
        spread = (self.second / (1 - BETAS[1] ** done)).sqrt_().add_(EPSILON)
        self.flat.addcdiv_(self.first, spread, value=-rate / (1 - BETAS[0] ** done))


class _Batches:
    """Rows of each model's bag, and noise for them."""

    def __init__(self, rows: Tensor, bags: Tensor, recipe: Recipe, generator: torch.Generator, present: Tensor | None) -> None:
        self.rows, self.bags, self.present, self.generator = rows, bags, present, generator
        self.shape = (len(bags), recipe.batch, rows.shape[1])
        self.size = len(bags) * recipe.batch * rows.shape[1]
        self.pool = torch.randn(max(POOL, 2 * self.size), generator=generator)
        self.low, self.high = (log(value) for value in recipe.noise)

    def draw(self, into: Tensor) -> tuple[Tensor, Tensor | None]:
        """Put noisy rows into a buffer; return the clean ones, and where they were observed."""
        places = torch.randint(self.bags.shape[1], self.shape[:2], generator=self.generator)
        index = self.bags.gather(1, places).view(-1)
        target = self.rows.index_select(0, index).view(self.shape)
        start = int(torch.randint(len(self.pool) - self.size + 1, (), generator=self.generator))
        sigma = torch.rand(*self.shape[:2], 1, generator=self.generator).mul_(self.high - self.low).add_(self.low).exp_()
        torch.addcmul(target, self.pool[start : start + self.size].view(self.shape), sigma, out=into)
        if self.present is None:
            return target, None
        seen = self.present.index_select(0, index).view(self.shape)
        into.mul_(seen)
        return target, seen


def _trim(error: Tensor, share: float) -> None:
    """Put zeros where a row's loss is among the highest of its batch."""
    loss = error.square().sum(2)
    last = max(1, round(loss.shape[1] * (1 - share)))
    error.mul_((loss <= loss.kthvalue(last, 1, keepdim=True).values).unsqueeze(2))


def train(
    rows: Tensor,
    bags: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    present: Tensor | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Denoisers:
    r"""Train one denoiser on each bag of rows.

    Each learns to rebuild clean rows from noisy ones, :math:`\min \lVert D(x + \sigma\epsilon) - x \rVert^2` with
    :math:`\log\sigma` uniform: what it takes away from a row then points to where healthy rows are dense.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        Standardised, float32.
    bags : Tensor of shape (models, b)
        Numbers of the rows each model learns from.
    recipe : Recipe
    seed : int
    present : Tensor of shape (n, d), optional
        1 where a value was observed, 0 elsewhere: there nothing is learned.
    watch : callable, optional
        Called now and then with the steps made and all steps.

    Returns
    -------
    Denoisers

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010; Alain and Bengio, "What regularized auto-encoders learn from the
    data-generating distribution", JMLR 2014. Trimming: Rousseeuw, "Least median of squares regression", JASA 1984.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(), ExitStack() as held:
        trainer = _Trainer(len(bags), rows.shape[1], recipe, generator)
        if 6 * recipe.batch * len(trainer.flat) < SMALL:  # too little for threads to share
            held.enter_context(threads(1))
            held.enter_context(one_blas_thread())
        batches = _Batches(rows, bags, recipe, generator, present)
        for step in range(recipe.steps):
            target, seen = batches.draw(trainer.inputs[0])
            error = torch.sub(trainer.forward(), target, out=trainer.coming[-1])
            if seen is not None:
                error.mul_(seen)
            if recipe.trimmed:
                _trim(error, recipe.trimmed)
            error.mul_(2 / recipe.batch)
            trainer.backward()
            trainer.update(recipe.rate * 0.5 * (1 + cos(pi * step / recipe.steps)))
            if watch is not None and (step + 1) % REPORTS == 0:
                watch(step + 1, recipe.steps)
    return trainer.nets
