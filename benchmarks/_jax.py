"""JAX: an epoch as one compiled scan (the compiled floor)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from _peers import missing
from _tasks import LEARNING_RATE, Array, Role, Task

SCORED = 1024  # rows a call when the error is told


def _layer(generator: np.random.Generator, shape: tuple[int, ...], inputs: int) -> tuple[Array, Array]:
    """Weights and biases from torch's default bounds."""
    bound = inputs**-0.5
    return tuple(generator.uniform(-bound, bound, size).astype(np.float32) for size in (shape, shape[-1:]))


def _initial(task: Task) -> tuple[list[Any], list[Any]]:
    """Layers of encoder and decoder."""
    generator = np.random.default_rng(0)
    head = task.code * (2 if task.kind == "vae" else 1)
    there = [_layer(generator, (a, b), a) for a, b in pairwise((*task.widths[:-1], head))]
    return there, [_layer(generator, (a, b), a) for a, b in pairwise(task.widths[::-1])]


def _dense(layers: list[Any], h: Any) -> Any:
    import jax

    for weight, bias in layers[:-1]:
        h = jax.nn.relu(h @ weight + bias)
    return h @ layers[-1][0] + layers[-1][1]


class Functions(NamedTuple):
    """Compiled once for a task: an epoch of training, codes of slices, reconstructions."""

    epoch: Callable[..., Any]
    encode: Callable[..., Any]
    reconstruct: Callable[..., Any]


def _adam(parameters: Any, first: Any, second: Any, gradient: Any, step: Any) -> tuple[Any, Any, Any]:
    import jax
    from jax import numpy as jnp

    each = jax.tree.map
    first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = each(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    rate, root = LEARNING_RATE / (1 - 0.9**step), (1 - 0.999**step) ** -0.5
    return each(lambda p, m, v: p - rate * m / (root * jnp.sqrt(v) + 1e-8), parameters, first, second), first, second


def _loss(task: Task, parameters: Any, x: Any, key: Any) -> Any:
    import jax
    from jax import numpy as jnp

    h = _dense(parameters[0], x)
    if task.kind == "ae":
        return jnp.mean((_dense(parameters[1], h) - x) ** 2)
    mean, logvar = jnp.split(h, 2, axis=1)
    z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
    return 0.5 * (jnp.sum((_dense(parameters[1], z) - x) ** 2) + jnp.sum(mean**2 + jnp.exp(logvar) - logvar - 1)) / len(x)


@cache
def _functions(task: Task) -> Functions:
    """Compiled once: a fresh model costs no second compilation."""
    import jax

    slope = jax.grad(partial(_loss, task))

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        parameters, first, second, count, key = state
        key, now = jax.random.split(key)
        gradient = slope(parameters, rows, now)
        return (*_adam(parameters, first, second, gradient, count), count + 1, key), None

    def epoch(state: Any, x: Any, order: Any) -> Any:
        return jax.lax.scan(lambda s, index: step(s, x[index]), state, order)[0]

    def code(layers: Any, x: Any) -> Any:
        return _dense(layers, x)[:, : task.code]

    def codes(layers: Any, x: Any) -> Any:
        return jax.lax.map(partial(code, layers), x)

    return Functions(jax.jit(epoch, donate_argnums=0), jax.jit(codes), jax.jit(lambda p, x: _dense(p[1], code(p[0], x))))


class FittedJax:
    def __init__(self, functions: Functions, layers: Any) -> None:
        self.functions, self.layers = functions, layers

    def parameters(self) -> int:
        import jax

        return sum(leaf.size for leaf in jax.tree.leaves(self.layers))

    def reconstruct(self, x: Array) -> Array:
        return np.concatenate([self.functions.reconstruct(self.layers, x[i : i + SCORED]) for i in range(0, len(x), SCORED)])

    def encoder(self, x: Array, batch: int) -> Callable[[], Any]:
        import jax

        slices = jax.numpy.asarray(x.reshape(-1, batch, *x.shape[1:]))
        return lambda: self.functions.encode(self.layers[0], slices).block_until_ready()


class JaxScan:
    name = "jax scan"
    note = "raw JAX, an epoch of permuted batches in one jitted lax.scan, hand-written Adam; compiled before the timing"
    role: Role = "floor"

    def missing(self) -> str | None:
        return missing("jax")

    def supports(self, task: Task, /) -> bool:
        """XLA's convolutions are no floor on a CPU: the gradients of transposed ones take twenty times PyTorch's time in a scan."""
        return not task.channels

    def fit(self, task: Task, epochs: int) -> FittedJax:
        import jax
        from jax import numpy as jnp

        functions, generator = _functions(task), np.random.default_rng(0)
        layers = jax.tree.map(jnp.asarray, _initial(task))
        zeros = [jax.tree.map(jnp.zeros_like, layers) for _ in range(2)]
        state: Any = (layers, *zeros, jnp.float32(1), jax.random.key(0, impl="rbg"))
        x = jnp.asarray(task.data)
        for _ in range(epochs):
            state = functions.epoch(state, x, generator.permutation(task.rows).reshape(-1, task.batch))
        return FittedJax(functions, jax.block_until_ready(state)[0])


JAX = [JaxScan()]
