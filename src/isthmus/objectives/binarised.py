"""Any objective, on rows of zeros and ones that are drawn anew at each step."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions import Noise
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.binarised")
class Binarised(Objective):
    r"""Dynamic binarisation: values in [0, 1] are probabilities, of which the rows are drawn, :math:`x_i \sim \mathrm{Bernoulli}(v_i)`.

    Input and target are the same draw, a new one at each step of training; held-out losses have draws of their own, the same each
    time. Where nothing is drawn, as in scores, the values stand for themselves: a Bernoulli likelihood then gives the mean over the
    draws of the target. The condition that may follow a row is left as it is.

    Parameters
    ----------
    inner : Objective
        What is minimised on the draws.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, appendix D; Salakhutdinov and Murray, "On the
    quantitative analysis of deep belief networks", ICML 2008.

    Examples
    --------
    >>> from isthmus.objectives import ELBO
    >>> Binarised(ELBO(beta=0.5)).weights(Context())
    {'kl': 0.5}
    """

    def __init__(self, inner: Objective) -> None:
        super().__init__(inner.corruption)
        self.inner = inner
        self.nats = inner.nats  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, model: Autoencoder, x: Tensor, target: Tensor | None = None, context: Context | None = None) -> dict[str, Tensor]:
        """Return the named terms of a draw of rows `x`; a target of its own is drawn apart."""
        context = context or Context()
        if context.corrupt and context.noise is not None:
            same = target is None or target is x
            x = coins(x, context.noise, model.condition)
            target = x if same or target is None else coins(target, context.noise, model.condition)
        return self.inner(model, x, target, context)

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return the terms of the inner objective."""
        return self.inner.terms(model, passage, context)

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weights of the inner objective."""
        return self.inner.weights(context)

    def groups(self) -> list[tuple[list[torch.nn.Parameter], float]]:
        """Return the parameters of the inner objective, by the multiple of the learning rate at which they learn."""
        return self.inner.groups()


def coins(values: Tensor, noise: Noise, condition: int = 0) -> Tensor:
    """Draw zeros and ones with the probabilities `values`, shape (batch, ...); the last `condition` values stay as they are.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> coins(torch.tensor([[0.0, 1.0, 0.3]]), GeneratorNoise(torch.Generator()), condition=1)
    tensor([[0.0000, 1.0000, 0.3000]])
    """
    drawn = (noise.uniform(values) < values).to(values.dtype)
    return torch.cat([drawn[..., :-condition], values[..., -condition:]], dim=-1) if condition else drawn
