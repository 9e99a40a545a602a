"""One optimiser step. The place where engines differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from isthmus.models import Autoencoder
from isthmus.objectives import Context, Objective
from isthmus.training.adam import make_adam
from isthmus.training.config import TrainingConfig
from isthmus.training.world import World


class Step(Protocol):
    """What the loop needs of an engine: make one step on a batch, and give and take its state."""

    def __call__(self, x: Tensor, target: Tensor, context: Context) -> Mapping[str, Tensor | float]:
        """Make one step; return the mean of each term and the weighted ``loss``: numbers, or tensors not synchronised with the device."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the optimiser's state by name."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over a state that `state` gave."""
        ...


def weighted(means: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Return the weighted sum of term means."""
    parts = [mean if (weight := weights.get(name, 1.0)) == 1.0 else mean * weight for name, mean in means.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class AutogradStep:
    """Forward, backward by autograd, one fused Adam.

    Parameters
    ----------
    model : Autoencoder
    objective : Objective
        Its own parameters are trained with the model's.
    config : TrainingConfig
    world : World
    """

    def __init__(self, model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> None:
        self.model = model
        self.objective = objective
        self.config = config
        self.world = world
        groups = [([p for p in model.parameters() if p.requires_grad], 1.0), *objective.groups()]
        self.parameters = [p for group, _ in groups for p in group]
        alike = [p for group, rate in groups if rate == 1 for p in group]
        self.optimiser = make_adam(alike, config)
        self.others = [(make_adam(group, config), rate) for group, rate in groups if rate != 1]
        self.low = config.precision == "bf16"

    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        """Make one step; return the mean of each term and the weighted ``loss``."""
        for parameter in self.parameters:
            parameter.grad = None
        terms = self.low_terms(x, target, context) if self.low else self.objective(self.model, x, target, context)
        means = {name: values.mean() for name, values in terms.items()}
        loss = weighted(means, self.objective.weights(context))
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        if self.world.size > 1:
            self.world.mean_in_place([p.grad for p in self.parameters if p.grad is not None])
        if self.config.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        rate = self.config.rate(context.step, context.spent)
        self.optimiser.step(rate)
        for optimiser, multiple in self.others:
            optimiser.step(multiple * rate)
        found = {name: mean.detach() for name, mean in means.items()}
        found["loss"] = loss.detach()
        return found

    def low_terms(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        """Return the terms with the networks in bfloat16 where that is safe."""
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.objective(self.model, x, target, context)

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments and counters by parameter number."""
        found = self.optimiser.state()
        for number, (optimiser, _) in enumerate(self.others):
            found |= {f"group{number}.{name}": tensor for name, tensor in optimiser.state().items()}
        return found

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        for number, (optimiser, _) in enumerate(self.others):
            start = f"group{number}."
            optimiser.load_state({name[len(start) :]: tensor for name, tensor in state.items() if name.startswith(start)})
        self.optimiser.load_state({name: tensor for name, tensor in state.items() if not name.startswith("group")})
