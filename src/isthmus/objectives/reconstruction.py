"""Rebuild the target; with what a sparse bottleneck adds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus.corruptions import Corruption
from isthmus.distributions.base import sum_rows
from isthmus.distributions.labelled import bare
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.reconstruction")
class Reconstruction(Objective):
    r"""The term ``reconstruction`` :math:`= -\log p(\text{target} \mid z)` in nats, and the bottleneck's own terms.

    With a corruption this is a denoising objective.

    Parameters
    ----------
    weights : mapping of str to float, optional
        Weights of the bottleneck's terms, such as ``{"l1": 0.1}``; 1 where none is given.
    corruption : Corruption, optional

    Raises
    ------
    ConfigError
        If a weight is negative.

    Examples
    --------
    >>> from isthmus.bottlenecks import L1
    >>> from isthmus.likelihoods import Gaussian
    >>> from isthmus.nn import MLP
    >>> model = Autoencoder(MLP((5,), (8,)), L1(8), MLP((8,), (1, 5)), Gaussian((5,)))
    >>> sorted(Reconstruction({"l1": 0.1})(model, torch.zeros(3, 5)))
    ['l1', 'reconstruction']
    """

    def __init__(self, weights: Mapping[str, float] | None = None, corruption: Corruption | None = None) -> None:
        super().__init__(corruption)
        self._weights = {name: float(weight) for name, weight in (weights or {}).items()}
        for name, weight in self._weights.items():
            if not weight >= 0:
                raise ConfigError(f"the weight of the term {name!r} must be at least 0, not {weight}")

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``reconstruction`` and the bottleneck's terms."""
        extra = model.bottleneck.terms(passage.z, model.decoder.gain, context.batch_mean)
        return {"reconstruction": passage.p.nats(passage.target), **extra}

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weights of the bottleneck's terms."""
        return self._weights


@register("objective.aux_k")
class AuxK(Objective):
    r"""The term ``aux_k``: units that have not fired for long must rebuild what the others left over, so that none stays dead.

    :math:`\text{aux}_k = \tfrac12 \lVert (x - \hat x) - \hat e \rVert^2`, where :math:`\hat e` is what the `k` largest dead units,
    not rectified so that gradients reach silent ones, add to the decoder's mean. To be added to `Reconstruction` on a sparse bottleneck.

    Parameters
    ----------
    latent : int
        Width of the code.
    k : int
        Dead units that take part, per row.
    patience : int
        Steps without firing after which a unit counts as dead.
    weight : float
        Weight of the term.

    Raises
    ------
    ConfigError
        If `k`, `patience` or `weight` is out of its range.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", 2024, section 2.4.

    Examples
    --------
    >>> AuxK(latent=64, k=8).idle.shape
    torch.Size([64])
    """

    idle: Tensor

    def __init__(self, latent: int, k: int, patience: int = 100, weight: float = 1 / 32) -> None:
        super().__init__()
        if not 1 <= k <= latent or patience < 1 or not weight >= 0:
            raise ConfigError(f"AuxK needs 1 <= k <= latent, patience >= 1, weight >= 0; got k={k}, patience={patience}, weight={weight}")
        self.k = k
        self.patience = patience
        self.weight = float(weight)
        self.register_buffer("idle", torch.zeros(latent, dtype=torch.int64))

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weight of ``aux_k``: none outside training."""
        return {"aux_k": self.weight if context.training else 0.0}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``aux_k`` and count for how long each unit has been idle."""
        _, z = bare(passage.q, passage.z)
        dead = self.idle >= self.patience
        if context.training:
            fired = context.batch_mean((z.detach() != 0).to(z.dtype)) > 0
            self.idle = torch.where(fired, 0, self.idle + 1)
        if not context.training or not bool(dead.any()):
            return {"aux_k": torch.zeros_like(passage.z[:, 0]).detach()}
        seen = passage.p.observed(passage.target)
        left = (passage.target - passage.p.mean).detach()
        candidates = torch.where(dead, passage.h[:, : z.shape[1]], -torch.inf)
        values, indices = candidates.topk(min(self.k, int(dead.sum())), dim=1)
        condition = passage.z[:, z.shape[1] :]
        code = torch.cat([torch.zeros_like(z).scatter(1, indices, values), condition], dim=1)
        nothing = torch.cat([torch.zeros_like(z), condition], dim=1)
        silent = model.decode(nothing if condition.shape[1] else nothing[:1]).mean
        error = left - (model.decode(code).mean - silent)
        return {"aux_k": 0.5 * sum_rows((error if seen is None else error * seen).square())}
