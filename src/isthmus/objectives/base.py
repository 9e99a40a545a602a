"""The interface of an objective: named terms per row, their weights, and sums of objectives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

from torch import Tensor, nn

from isthmus.corruptions import Corruption
from isthmus.distributions import Distribution, Noise
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.spec import register


def mean_of_rows(values: Tensor) -> Tensor:
    """Mean over the first axis."""
    return values.mean(0)


def _check_corruption(part: object) -> None:
    if part is not None and not isinstance(part, Corruption):
        raise ConfigError(f"the corruption is a {type(part).__name__}, which cannot stand there")


@dataclass
class Context:
    """Circumstances of one evaluation of an objective.

    Attributes
    ----------
    step : int
        Optimiser steps made so far, for warm-ups.
    spent : float
        Share of the time to train for that is used up, for the learning rate.
    done : float
        Share of the training that is done, by steps or by time, whichever ends it first.
    training : bool
        Whether warm-ups, free bits and counters apply. Held-out losses are taken without them.
    noise : Noise, optional
        Source of random numbers; without one, the code's mean is taken and nothing is corrupted.
    corrupt : bool
        Whether the objective's corruption is applied. Scores are taken without it.
    batch_mean : callable
        Mean over the whole batch, also where several processes share it.
    """

    step: int = 0
    spent: float = 0.0
    done: float = 0.0
    training: bool = False
    noise: Noise | None = None
    corrupt: bool = False
    batch_mean: Callable[[Tensor], Tensor] = mean_of_rows


@dataclass
class Passage:
    """What one pass through a model gave.

    Attributes
    ----------
    x, target : Tensor of shape (batch, ...)
        Input as it entered the encoder, and what is to be rebuilt.
    h : Tensor
        The encoder's output.
    q : Distribution
        Over codes.
    z : Tensor of shape (batch, latent)
        The code that was decoded.
    p : Distribution
        Over data.
    """

    x: Tensor
    target: Tensor
    h: Tensor
    q: Distribution
    z: Tensor
    p: Distribution


class Objective(nn.Module):
    """Named terms of shape (batch,) and their weights; the loss is the weighted sum of their means.

    Parameters
    ----------
    corruption : Corruption, optional
        What is done to the input, never to the target.

    Attributes
    ----------
    nats : tuple of str
        The terms that add up to a (bound on a) negative log likelihood; scores are made of these alone.
    rate : float
        Learning rate of the objective's own parameters, as a multiple of the model's.
    """

    nats: ClassVar[tuple[str, ...]] = ("reconstruction",)
    rate: float = 1.0

    def __init__(self, corruption: Corruption | None = None) -> None:
        super().__init__()
        _check_corruption(corruption)
        self.corruption = corruption

    @abstractmethod
    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return the named terms of a pass, each of shape (batch,)."""

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weights that are not 1."""
        return {}

    def passage(self, model: Autoencoder, x: Tensor, target: Tensor, context: Context) -> Passage:
        """Run the model once, corrupting the input and drawing the code as `context` says."""
        noise = context.noise
        if self.corruption is not None and context.corrupt and noise is not None:
            x = self.corruption(x, noise)
        h = model.activate(x)
        q = model.bottleneck(h)
        z = q.mean if noise is None else q.sample(noise)
        return Passage(x, target, h, q, z, self.decoded(model, z, context))

    def decoded(self, model: Autoencoder, z: Tensor, context: Context) -> Distribution:  # noqa: ARG002
        """Return the distribution over data of codes `z`."""
        return model.decode(z)

    def forward(self, model: Autoencoder, x: Tensor, target: Tensor | None = None, context: Context | None = None) -> dict[str, Tensor]:
        """Return the named terms for rows `x` of shape (batch, ...), to be rebuilt as `target` (`x` itself if None)."""
        context = context or Context()
        return self.terms(model, self.passage(model, x, x if target is None else target, context), context)

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the objective's own parameters, by the multiple of the learning rate at which they learn."""
        own = [p for p in self.parameters() if p.requires_grad]
        return [(own, self.rate)] if own else []

    def __add__(self, other: Objective) -> Sum:
        """Return an objective with the terms of both."""
        return Sum([self, other])


@register("objective.sum")
class Sum(Objective):
    """Several objectives on one pass; the first decides the corruption and the terms in nats.

    Parameters
    ----------
    parts : sequence of Objective

    Raises
    ------
    ConfigError
        If there is no part, or a part other than the first has a corruption.
    """

    def __init__(self, parts: list[Objective]) -> None:
        if not parts or any(part.corruption is not None for part in parts[1:]):
            raise ConfigError("a sum of objectives needs at least one, and only the first may have a corruption")
        super().__init__(parts[0].corruption)
        self.parts = nn.ModuleList(parts)
        self.nats = parts[0].nats  # pyright: ignore[reportAttributeAccessIssue]

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return the terms of all parts.

        Raises
        ------
        ConfigError
            If two parts use the same name.
        """
        found: dict[str, Tensor] = {}
        for part in self._objectives:
            new = part.terms(model, passage, context)
            if found.keys() & new.keys():
                raise ConfigError(f"two objectives have a term of the same name: {sorted(found.keys() & new.keys())}")
            found |= new
        return found

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the parameters of all parts, by the multiple of the learning rate at which they learn."""
        return [group for part in self._objectives for group in part.groups()]

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weights of all parts."""
        return {name: weight for part in self._objectives for name, weight in part.weights(context).items()}

    @property
    def _objectives(self) -> list[Objective]:
        return cast("list[Objective]", list(self.parts))
