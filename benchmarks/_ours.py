"""The library under test. Only this file knows its interface; everything else sees the contenders below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from _tasks import LEARNING_RATE, Array, Role, Task


def build(task: Task) -> tuple[Any, Any]:
    """Model and objective of widths[0]-...-widths[-1]-...-widths[0] with ReLU between layers, or of the default conv net with SiLU.

    The loss is half the squared error (and, for a VAE, the KL to the standard normal), summed per row.
    """
    import torch

    from isthmus.families import Architecture, get
    from isthmus.fields import Field
    from isthmus.nn import materialise

    dense = Architecture(network="mlp", hidden=task.widths[1:-1], activation="relu")
    architecture = Architecture(network="conv") if task.channels else dense
    field = Field("x", "picture" if task.channels else "numbers", task.shape)
    family = "variational" if task.kind == "vae" else "undercomplete"
    with torch.device("meta"):
        parts = get(family)([field], latent=task.code, architecture=architecture, likelihood="gaussian", likelihood_scale=1.0)
    return materialise(parts[0], 0), parts[1]


def train(task: Task, epochs: int) -> Any:
    """Adam at a constant rate, shuffled; no held-out part, no early stop."""
    import torch

    from isthmus.training import TrainingConfig, fit

    model, objective = build(task)
    steps = epochs * (task.rows // task.batch)
    settings: dict[str, Any] = {"learning_rate": LEARNING_RATE, "schedule": "constant", "evaluate_every": steps, "device": "cpu"}
    fit(model, objective, torch.from_numpy(task.data), config=TrainingConfig(steps=steps, batch=task.batch, **settings))
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
    role: Role = "ours"

    def missing(self) -> str | None:
        return None if find_spec("isthmus") else "isthmus is not installed; pip install -e ."

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> FittedIsthmus:
        return FittedIsthmus(train(task, epochs))


OURS = [Isthmus()]
