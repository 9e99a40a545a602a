"""The evidence lower bound."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from isthmus.corruptions import Corruption
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.elbo")
class ELBO(Objective):
    r"""Negative evidence lower bound: ``reconstruction`` :math:`-\log p(x|z)` and ``kl`` :math:`\mathrm{KL}(q(z|x)\Vert p(z))`, in nats.

    Parameters
    ----------
    beta : float
        Final weight of ``kl``; 1 is the bound itself.
    warmup : int
        Steps over which the weight rises linearly from 0.
    free_bits : float
        Nats a code unit may use, on the mean of a batch, before it is charged: in training a unit's KL counts as at least this.
    corruption : Corruption, optional
    cycles : int
        How often the weight starts anew from 0 after a first time: each rise of `warmup` steps is followed by as many at the full weight.

    Raises
    ------
    ConfigError
        If a number is negative, or the model has no prior.

    References
    ----------
    Kingma and Welling, ICLR 2014; beta: Higgins et al., ICLR 2017; warm-up: Sonderby et al., NeurIPS 2016, section 2.2;
    cycles: Fu et al., "Cyclical annealing schedule", NAACL 2019;
    free bits: Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016, appendix C.8.

    Examples
    --------
    >>> ELBO(beta=2.0, warmup=10).weights(Context(step=5, training=True))
    {'kl': 1.0}
    """

    nats: ClassVar[tuple[str, ...]] = ("reconstruction", "kl")

    def __init__(
        self, beta: float = 1.0, warmup: int = 0, free_bits: float = 0.0, corruption: Corruption | None = None, cycles: int = 0
    ) -> None:
        super().__init__(corruption)
        for name, value in (("beta", beta), ("warmup", warmup), ("free_bits", free_bits), ("cycles", cycles)):
            if not value >= 0:
                raise ConfigError(f"{name} must be at least 0, not {value}")
        self.beta = float(beta)
        self.warmup = int(warmup)
        self.free_bits = float(free_bits)
        self.cycles = int(cycles)

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weight of ``kl`` at this step."""
        rising = context.training and self.warmup > 0
        return {"kl": self.beta * self._share(context.step) if rising else self.beta}

    def _share(self, step: int) -> float:
        turn = min(step // (2 * self.warmup), self.cycles)
        return min(1.0, (step - 2 * self.warmup * turn) / self.warmup)

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``reconstruction`` and ``kl``."""
        if model.prior is None:
            raise ConfigError("the ELBO needs a model with a prior: pass prior=StandardNormal(latent) to Autoencoder")
        kl = model.prior.divergence(passage.q, passage.z)
        if self.free_bits and context.training:
            free = context.batch_mean(kl.detach()) < self.free_bits
            kl = torch.where(free, self.free_bits, kl)
        return {"reconstruction": passage.p.nats(passage.target), "kl": kl.sum(1)}
