"""Keras 3 on JAX: Functional models, compile and fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from _peers import INSTALL, missing
from _tasks import LEARNING_RATE, Array, ConvTask, Role, Task

os.environ.setdefault("KERAS_BACKEND", "jax")


def _dense(widths: tuple[int, ...], h: Any) -> Any:
    from keras.layers import Dense

    for width in widths[:-1]:
        h = Dense(width, "relu")(h)
    return Dense(widths[-1])(h)


def _conv_encode(task: ConvTask, h: Any) -> Any:
    """Padding "same" is the task's: an odd side gets one on the left and two on the right."""
    from keras.layers import Conv2D, Dense, Flatten

    for channels in task.channels:
        h = Conv2D(channels, 4, strides=2, padding="same", activation="silu")(h)
    return Dense(task.code)(Flatten()(h))


def _conv_decode(task: ConvTask, z: Any) -> Any:
    from keras.layers import Activation, Conv2DTranspose, Cropping2D, Dense, Reshape

    h = Reshape((task.sides[-1], task.sides[-1], task.channels[-1]))(Dense(task.inner)(z))
    for channels, side in zip((*task.channels[-2::-1], task.shape[-1]), task.sides[-2::-1], strict=True):
        h = Conv2DTranspose(channels, 4, strides=2, padding="same")(Activation("silu")(h))
        h = Cropping2D(((0, side % 2), (0, side % 2)))(h) if side % 2 else h
    return h


def _draw(size: int) -> Any:
    """A layer that draws codes and adds the KL to the loss."""
    import keras

    class Draw(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seed = keras.random.SeedGenerator(0)

        def call(self, h: Any) -> Any:
            ops, mean, logvar = keras.ops, h[:, :size], h[:, size:]
            kl = ops.sum(ops.square(mean) + ops.exp(logvar) - logvar - 1, axis=1)
            self.add_loss(0.5 * ops.mean(kl))
            return mean + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mean), seed=self.seed)

    return Draw()


class Models(NamedTuple):
    """What is trained, and its halves; `first` are the values at the start, of the optimiser too."""

    whole: Any
    encode: Any
    decode: Any
    first: list[Array]


def _network(task: Task) -> tuple[Any, Any, Any]:
    import keras

    x, z = keras.Input(task.shape), keras.Input((task.code,))
    if isinstance(task, ConvTask):
        head, out = _conv_encode(task, x), _conv_decode(task, z)
    else:
        head = _dense((*task.widths[1:-1], task.code * (2 if task.kind == "vae" else 1)), x)
        out = _dense(task.widths[-2::-1], z)
    decode = keras.Model(z, out)
    drawn, mean = (_draw(task.code)(head), head[:, : task.code]) if task.kind == "vae" else (head, head)
    return keras.Model(x, decode(drawn)), keras.Model(x, mean), decode


def _loss(task: Task) -> Any:
    import keras

    if task.kind == "ae":
        return "mse"
    return lambda y, told: 0.5 * keras.ops.sum(keras.ops.square(y - told), axis=-1)


def _variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


@cache
def _models(task: Task) -> Models:
    """Compiled once: training starts again by putting the first values back."""
    import keras

    keras.utils.set_random_seed(0)
    whole, encode, decode = _network(task)
    whole.compile(keras.optimizers.Adam(LEARNING_RATE), loss=_loss(task))
    whole.optimizer.build(whole.trainable_variables)
    return Models(whole, encode, decode, [np.array(v) for v in _variables(whole)])


class FittedKeras:
    def __init__(self, models: Models) -> None:
        self.models = models

    def parameters(self) -> int:
        return sum(int(np.prod(v.shape)) for v in self.models.whole.trainable_variables)

    def reconstruct(self, x: Array) -> Array:
        codes = self.models.encode.predict(x, batch_size=1024, verbose=0)
        return self.models.decode.predict(codes, batch_size=1024, verbose=0)

    def encoder(self, x: Array, batch: int) -> Callable[[], Array]:
        return lambda: self.models.encode.predict(x, batch_size=batch, verbose=0)


class KerasJax:
    name = "keras-jax"
    note = "Keras on JAX: compile(Adam, jit_compile auto) and fit; compiled before the timing; encoding by its predict"
    role: Role = "peer"

    def missing(self) -> str | None:
        if find_spec("keras") and os.environ["KERAS_BACKEND"] != "jax":
            return f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']}, not jax; {INSTALL}"
        return missing("keras") or missing("jax")

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> FittedKeras:
        models = _models(task)
        for variable, value in zip(_variables(models.whole), models.first, strict=True):
            variable.assign(value)
        models.whole.fit(task.data, task.data, batch_size=task.batch, epochs=epochs, shuffle=True, verbose=0)
        return FittedKeras(models)


KERAS = [KerasJax()]
