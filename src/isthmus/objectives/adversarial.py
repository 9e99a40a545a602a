"""A critic that tells rows from what the model makes of codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportUnknownVariableType]
from torch.nn import functional

from isthmus.distributions import Distribution
from isthmus.distributions.labelled import Labelled
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.adversarial")
class Adversarial(Objective):
    r"""The terms ``adversarial`` :math:`= -\log D(\hat x)` and ``critic`` :math:`= -\log D(x) - \log(1 - D(\hat x))`, for model and D.

    :math:`\hat x` is the mean of the data given the row's code, and, in a model with a prior, given a drawn code too. Each term's gradient
    reaches its own side alone. The critic belongs to this objective and may learn at its own rate. Both terms are charged in
    training only. To be added to an objective that rebuilds.

    Parameters
    ----------
    shape : sequence of int
        Shape of a row.
    hidden : sequence of int
        Hidden widths of the critic.
    weight : float
        Weight of ``adversarial``.
    rate : float
        The critic's learning rate as a multiple of the model's.

    Raises
    ------
    ConfigError
        If `weight` is negative or `rate` is not positive.

    References
    ----------
    Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016; the form of the model's term:
    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, section 3.

    Examples
    --------
    >>> Adversarial((4,)).weights(Context(training=True))
    {'adversarial': 1.0, 'critic': 1.0}
    """

    def __init__(self, shape: Sequence[int], hidden: Sequence[int] = (128,), weight: float = 1.0, rate: float = 1.0) -> None:
        super().__init__()
        if not weight >= 0 or not rate > 0:
            raise ConfigError(f"the weight of the term 'adversarial' must be at least 0 and rate above 0; got {weight} and {rate}")
        self.critic = MLP(shape, (1,), hidden, "leaky_relu")
        self.weight, self.rate = float(weight), float(rate)

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weights: none outside training."""
        return {"adversarial": self.weight, "critic": 1.0} if context.training else {"adversarial": 0.0, "critic": 0.0}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``adversarial`` and ``critic``."""
        nothing = torch.zeros_like(passage.z[:, 0]).detach()
        if not context.training:
            return {"adversarial": nothing, "critic": nothing}
        made = [_rows(passage.p, passage.p.mean)]
        if model.prior is not None and context.noise is not None:
            p = model.decode(model.prior.sample(len(nothing), context.noise).to(passage.z))
            made.append(_rows(p, p.mean))
        fooled = [functional.softplus(-self._judge(rows, learning=False)) for rows in made]
        caught = [functional.softplus(self._judge(rows.detach(), learning=True)) for rows in made]
        right = functional.softplus(-self._judge(_rows(passage.p, passage.target), learning=True))
        return {"adversarial": sum(fooled, nothing) / len(made), "critic": right + sum(caught, nothing) / len(made)}

    def _judge(self, rows: Tensor, learning: bool) -> Tensor:
        """The critic's logit of each row; without learning, no gradient reaches the critic's own weights."""
        if learning:
            return self.critic(rows)[:, 0]
        weights = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        return cast("Tensor", functional_call(self.critic, weights, (rows,)))[:, 0]


def _rows(p: Distribution, x: Tensor) -> Tensor:
    """Return rows without their condition."""
    return p.bare(x) if isinstance(p, Labelled) else x
