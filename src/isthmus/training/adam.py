"""Adam and AdamW in one fused call over all parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from isthmus.training.config import TrainingConfig

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimiser(Protocol):
    """What a step needs of an optimiser."""

    def step(self, learning_rate: float) -> None:
        """Change the parameters by their gradients."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return moments and counters by name."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        ...


class FusedAdam:
    r"""Adam by PyTorch's fused kernel, called directly: `torch.optim.Adam` spends longer in Python than a small net's whole step.

    :math:`m \leftarrow \beta_1 m + (1-\beta_1) g`, :math:`v \leftarrow \beta_2 v + (1-\beta_2) g^2`,
    :math:`\theta \leftarrow \theta - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)`.

    Parameters
    ----------
    parameters : sequence of Parameter
    config : TrainingConfig

    References
    ----------
    Kingma and Ba, "Adam", ICLR 2015; Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: TrainingConfig) -> None:
        self.parameters = list(parameters)
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.counts = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters]
        self.kernel: Callable[..., Any] = torch._fused_adamw_ if config.optimiser == "adamw" else torch._fused_adam_  # pyright: ignore
        self.weight_decay = config.weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters that have a gradient."""
        lists = (self.parameters, [p.grad for p in self.parameters], self.first, self.second, self.counts)
        if any(gradient is None for gradient in lists[1]):
            chosen = [i for i, gradient in enumerate(lists[1]) if gradient is not None]
            lists = [[values[i] for i in chosen] for values in lists]
        params, grads, first, second, counts = lists
        if not params:
            return
        if len(counts) == 1:
            counts[0].add_(1)  # pyright: ignore[reportOptionalMemberAccess]
        else:
            torch._foreach_add_(counts, 1)  # pyright: ignore
        self.kernel(
            params,
            grads,
            first,
            second,
            [],
            counts,
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Return moments and counters by parameter number."""
        named = {"exp_avg": self.first, "exp_avg_sq": self.second, "step": self.counts}
        return {f"{i}.{name}": tensor for name, tensors in named.items() for i, tensor in enumerate(tensors)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


class PublicAdam:
    """The same through `torch.optim`, where the fused kernel cannot be called directly.

    Parameters
    ----------
    parameters : sequence of Parameter
    config : TrainingConfig
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: TrainingConfig) -> None:
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(parameters, lr=config.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=config.weight_decay)
        self.group: dict[str, Any] = self.optimiser.param_groups[0]

    def step(self, learning_rate: float) -> None:
        """Change the parameters that have a gradient."""
        self.group["lr"] = learning_rate
        self.optimiser.step()  # pyright: ignore[reportUnknownMemberType]

    def state(self) -> dict[str, Tensor]:
        """Return moments and counters by parameter number."""
        entries = self.optimiser.state_dict()["state"]
        return {f"{index}.{name}": torch.as_tensor(value) for index, entry in entries.items() for name, value in entry.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            index, name = key.split(".", 1)
            entries.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({"state": entries, "param_groups": self.optimiser.state_dict()["param_groups"]})


def make_adam(parameters: Sequence[nn.Parameter], config: TrainingConfig) -> Optimiser:
    """Return the quickest Adam that works here: the fused kernel is tried once on a copy of one number."""
    try:
        probe = nn.Parameter(torch.ones(1, device=parameters[0].device if parameters else None))
        probe.grad = torch.ones_like(probe)
        FusedAdam([probe], config).step(1e-3)
        moved = float(probe.detach()) < 1
    except (AttributeError, TypeError, RuntimeError):
        moved = False
    floats = all(p.is_floating_point() for p in parameters)
    return FusedAdam(parameters, config) if moved and floats else PublicAdam(parameters, config)
