"""Priors over codes that can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.distributions import Distribution, Noise
from isthmus.distributions.autoregressive import Autoregressive
from isthmus.distributions.posterior import Domain
from isthmus.distributions.quantised import Quantised
from isthmus.errors import ConfigError
from isthmus.priors.base import Encode, Prior
from isthmus.spec import register


@runtime_checkable
class Countable(Protocol):
    """A bottleneck whose codes have indices."""

    cardinalities: tuple[int, ...]

    def lookup(self, indices: Tensor) -> Tensor:
        """Return the codes of indices."""
        ...


@register("prior.autoregressive")
class AutoregressiveCodes(Prior):
    r"""Autoregressive prior over indices, :math:`p(k) = \prod_g p(k_g|k_{<g})`: what a code costs, :math:`-\log p(k)`, and how to draw one.

    Parameters
    ----------
    latent : int
        Width of the code.
    cardinalities : sequence of int
        Number of values of each group of code units.
    hidden : int
        Width of the network.

    Raises
    ------
    ConfigError
        If a group has fewer than 2 values.

    References
    ----------
    As a prior over quantised codes: van den Oord et al., "Neural discrete representation learning", NeurIPS 2017, section 3.3; the
    network: Germain et al., "MADE", ICML 2015. The prior is trained with the model; no gradient of it reaches the encoder.

    Examples
    --------
    >>> prior = AutoregressiveCodes(2, (3, 3))
    >>> prior.of_indices(torch.zeros(5, 2, dtype=torch.int64)).shape
    torch.Size([5, 2])
    """

    domain: ClassVar[Domain] = "codes"

    def __init__(self, latent: int, cardinalities: Sequence[int], hidden: int = 128) -> None:
        super().__init__()
        if not cardinalities or min(cardinalities) < 2:
            raise ConfigError(f"each group of a discrete code needs at least 2 values, not {list(cardinalities)[:20]}")
        self.latent, self.cardinalities = int(latent), tuple(int(n) for n in cardinalities)
        self.most = max(self.cardinalities)
        self.network = Autoregressive(len(self.cardinalities), width=self.most, outputs=self.most, hidden=hidden)
        self._codes: tuple[Countable, ...] = ()

    def bind(self, encode: Encode, bottleneck: nn.Module) -> None:  # noqa: ARG002
        """Take the codes of the bottleneck.

        Raises
        ------
        ConfigError
            If the bottleneck has other codes.
        """
        if not isinstance(bottleneck, Countable) or tuple(bottleneck.cardinalities) != self.cardinalities:
            raise ConfigError(f"the prior over indices needs a bottleneck of {self.cardinalities} values, not {type(bottleneck).__name__}")
        self._codes = (bottleneck,)

    def _log_shares(self, indices: Tensor) -> Tensor:
        """Log probabilities of every value of every group given those before it, shape (batch, groups, most)."""
        like = next(self.parameters())
        logits = self.network(functional.one_hot(indices, self.most).to(like.dtype).flatten(1))
        sizes = torch.tensor(self.cardinalities, device=like.device)[:, None]
        outside = torch.arange(self.most, device=like.device)[None] >= sizes
        return logits.masked_fill(outside, -torch.inf).log_softmax(2)

    def of_indices(self, indices: Tensor) -> Tensor:
        """Return the log probability of each group given those before it, shape (batch, groups)."""
        return self._log_shares(indices).gather(2, indices[..., None]).squeeze(2)

    def log_prob(self, z: Tensor) -> Tensor:  # noqa: ARG002 (refused)
        """Log probability of codes at their places, shape (batch,).

        Raises
        ------
        ConfigError
            Always: a code is known by its indices here; use `of_indices`.
        """
        raise ConfigError("a discrete code has a probability by its indices: use of_indices(q.indices)")

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:  # noqa: ARG002 (there is one code)
        """Cost of each group of the code, :math:`-\\log p(k_g|k_{<g})`, shape (batch, groups).

        Raises
        ------
        ConfigError
            If `q` is not quantised.
        """
        if not isinstance(q, Quantised):
            raise ConfigError(f"the prior over indices needs a quantising bottleneck, not one that returns {type(q).__name__}")
        return -self.of_indices(q.indices)

    @torch.no_grad()
    def draw(self, rows: int, noise: Noise) -> Tensor:
        """Draw indices, group by group, shape (rows, groups)."""
        device = next(self.parameters()).device
        indices = torch.zeros(rows, len(self.cardinalities), dtype=torch.int64, device=device)
        u = noise.uniform(torch.empty(indices.shape, device=device))
        for group in range(len(self.cardinalities)):
            reached = self._log_shares(indices)[:, group].double().exp().cumsum(1)
            found = (reached <= u[:, group, None] * reached[:, -1:]).sum(1)
            indices[:, group] = found.clamp_max(self.cardinalities[group] - 1)
        return indices

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent).

        Raises
        ------
        ConfigError
            If the prior belongs to no model yet.
        """
        if not self._codes:
            raise ConfigError("the prior over indices is not bound to a bottleneck yet: put both into isthmus.models.Autoencoder")
        with torch.no_grad():
            return self._codes[0].lookup(self.draw(rows, noise))
