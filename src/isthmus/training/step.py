"""One optimiser step. The place where engines differ."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from isthmus.models import Autoencoder
from isthmus.objectives import Context, Objective
from isthmus.training.config import TrainingConfig
from isthmus.training.world import World


class Step(Protocol):
    """What the loop needs of an engine: make one step on a batch, and give and take its state."""

    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        """Make one step; return the mean of each term and the weighted ``loss``, not synchronised with the device."""
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
        self.parameters = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.group: dict[str, Any] = self.optimiser.param_groups[0]
        self.low = config.precision == "bf16"

    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        """Make one step; return the mean of each term and the weighted ``loss``."""
        self.optimiser.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.low):
            terms = self.objective(self.model, x, target, context)
        means = {name: values.mean() for name, values in terms.items()}
        loss = weighted(means, self.objective.weights(context))
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        if self.world.size > 1:
            self.world.mean_in_place([p.grad for p in self.parameters if p.grad is not None])
        if self.config.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.group["lr"] = self.config.rate(context.step)
        self.optimiser.step()  # pyright: ignore[reportUnknownMemberType]
        found = {name: mean.detach() for name, mean in means.items()}
        found["loss"] = loss.detach()
        return found

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments and counters by parameter number."""
        entries = self.optimiser.state_dict()["state"]
        return {f"{index}.{name}": torch.as_tensor(value) for index, entry in entries.items() for name, value in entry.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            index, name = key.split(".", 1)
            entries.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({"state": entries, "param_groups": self.optimiser.state_dict()["param_groups"]})
