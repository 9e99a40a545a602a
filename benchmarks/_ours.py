"""The library under test. Only this file knows its interface; everything else sees the contenders below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from _tasks import LEARNING_RATE, Array, Task


def train(family: str, x: Array, widths: tuple[int, ...], batch: int, epochs: int, learning_rate: float) -> Any:
    """Train widths[0]-...-widths[-1]-...-widths[0], ReLU between layers, Adam, shuffled; no held-out part, no early stop.

    The loss is half the squared error (and, for a VAE, the KL to the standard normal), summed per row.
    """
    import torch

    from isthmus.families import Architecture, get
    from isthmus.fields import Field
    from isthmus.nn import materialise
    from isthmus.training import TrainingConfig, fit

    architecture = Architecture(network="mlp", hidden=widths[1:-1], activation="relu")
    with torch.device("meta"):
        model, objective = get(family)(
            [Field("x", "numbers", (widths[0],))], latent=widths[-1], architecture=architecture, likelihood="gaussian", likelihood_scale=1.0
        )
    materialise(model, 0)
    steps = epochs * (len(x) // batch)
    config = TrainingConfig(steps=steps, batch=batch, learning_rate=learning_rate, schedule="constant", evaluate_every=steps, device="cpu")
    fit(model, objective, torch.from_numpy(x), config=config)
    return model


def encode(model: Any, x: Any, batch: int) -> Any:
    """Codes (VAE: means) of all rows, in slices of `batch`."""
    import torch

    from isthmus.training import encode

    return encode(model, torch.from_numpy(x), batch)


def reconstruct(model: Any, x: Array) -> Array:
    """Decoded codes (VAE: of the mean)."""
    import torch

    from isthmus.training import reconstruct

    return reconstruct(model, torch.from_numpy(x)).numpy()


def count_parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


@dataclass
class FittedIsthmus:
    model: Any

    def parameters(self) -> int:
        return count_parameters(self.model)

    def reconstruct(self, x: Array) -> Array:
        return reconstruct(self.model, x)

    def encoder(self, x: Array, batch: int) -> Callable[[], Any]:
        return lambda: encode(self.model, x, batch)


class Isthmus:
    name = "isthmus"
    note = "this library"

    def missing(self) -> str | None:
        return None if find_spec("isthmus") else "isthmus is not installed; pip install -e ."

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> FittedIsthmus:
        family = "variational" if task.kind == "vae" else "undercomplete"
        return FittedIsthmus(train(family, task.data, task.widths, task.batch, epochs, LEARNING_RATE))


OURS = [Isthmus()]
