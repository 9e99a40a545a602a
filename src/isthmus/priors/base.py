"""The interface of a prior."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from isthmus.distributions import Delta, Distribution, Noise
from isthmus.distributions.posterior import Domain, domain, entropies
from isthmus.errors import ConfigError

Encode = Callable[[Tensor], Distribution]


class Prior(nn.Module):
    """A distribution over codes of width `latent`.

    Attributes
    ----------
    latent : int
    domain : {"real", "sphere", "cube", "simplex", "codes"}
        Where its codes lie: it goes with a bottleneck whose codes lie there too.
    """

    latent: int
    domain: ClassVar[Domain] = "real"

    @property
    def bare(self) -> Prior:
        """This prior without the condition of its codes."""
        return self

    def bind(self, encode: Encode, bottleneck: nn.Module) -> None:
        """Take what a prior may need of the model it belongs to; `isthmus.models.Autoencoder` calls it."""

    def begin(self, rows: Tensor) -> None:
        """Take what there is to know of the training rows, of shape (n, \\*shape); most priors need nothing."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log density or log probability of codes in nats, shape (batch,)."""

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q || prior) in nats, split over groups of units that add up: shape (batch, groups).

        Without a closed form it is estimated at `z`, a draw from `q`: with the entropy of `q` where that is known, which has less variance.

        Raises
        ------
        ConfigError
            If `q` is a single point, or lies elsewhere than this prior.
        """
        self.check(q)
        return (q.log_prob(z) - self.log_prob(z))[:, None]

    def check(self, q: Distribution) -> None:
        """Refuse posteriors that this prior says nothing of.

        Raises
        ------
        ConfigError
            If `q` is a single point, or lies elsewhere than this prior.
        """
        name = type(self).__name__
        if isinstance(q, Delta):
            raise ConfigError(f"the prior {name} needs a bottleneck that is a distribution, not one that returns {type(q).__name__}")
        if domain(q) != self.domain:
            raise ConfigError(f"the prior {name} lies on the domain {self.domain!r}, but the bottleneck's codes on {domain(q)!r}")

    @abstractmethod
    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""


def known_entropies(q: Distribution) -> Tensor:
    """Return the entropies of `q`, shape (batch, groups).

    Raises
    ------
    ConfigError
        If they have no closed form.
    """
    found = entropies(q)
    if found is None:
        raise ConfigError(f"the entropy of {type(q).__name__} has no closed form, which this prior needs")
    return found
